"""Checks that every `az` command in the pages, scripts and examples exists, with its options.

    pip install azure-cli
    python tests/sdk/check_az_commands.py

Nothing is run: the commands are compared with the tables of the Azure CLI itself.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The scripts of the benchmark put commands together from variables.
PATTERNS = ("*.md", "*.sh", "examples/*", "src/*", ".github/workflows/*.yml", ":!benches/*")
# Every command has these.
GLOBAL = {"--output", "--query", "--only-show-errors", "--debug", "--verbose", "--help", "--subscription"}
ENDS = "\n|;&)`\"'<>"


def call(text: str) -> str:
    """The command that starts here, without the values in quotes and the commands that are substituted."""
    kept, at, quote = [], 0, ""
    while at < len(text):
        letter = text[at]
        if letter == "$" and text[at + 1 : at + 2] == "(":
            depth, at = 1, at + 2
            while depth and at < len(text):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            continue
        if quote:
            quote = "" if letter == quote else quote
        # A quote after a blank or an equals sign begins a value; any other quote ends the text around the command.
        elif letter in "\"'" and text[at - 1] in " =":
            quote = letter
        elif letter in ENDS:
            break
        else:
            kept.append(letter)
        at += 1
    return "".join(kept)


def calls(text: str) -> list[tuple[str, list[str]]]:
    """The commands in a text: words, and options."""
    text = re.sub(r"\\\n\s*", " ", text)
    found = []
    for start in re.finditer(r"(?<![\w/.-])az (?=[a-z])", text):
        words, options = [], []
        for word in call(text[start.end() :]).split():
            if word.startswith("--"):
                options.append(re.match(r"[\w-]+", word)[0])
            elif not options and re.fullmatch(r"[a-z][a-z0-9-]*", word):
                words.append(word)
            elif not options:
                break
        found.append((" ".join(words), options))
    return found


class Cli:
    def __init__(self) -> None:
        from azure.cli.core import get_default_cli
        from azure.cli.core.commands.arm import register_global_subscription_argument, register_ids_argument

        self.cli = get_default_cli()
        register_global_subscription_argument(self.cli)
        register_ids_argument(self.cli)
        self.known: dict[str, tuple[str, set[str]] | None] = {}

    def command(self, words: str) -> tuple[str, set[str]] | None:
        """The longest command with these first words, and its options. A page may go on in prose."""
        if words not in self.known:
            self.known[words] = self.load(words.split())
        return self.known[words]

    def load(self, words: list[str]) -> tuple[str, set[str]] | None:
        from azure.cli.core.commands.events import EVENT_INVOKER_POST_LOAD_ARGUMENTS

        cli = self.cli
        invoker = cli.invocation_cls(
            cli_ctx=cli, commands_loader_cls=cli.commands_loader_cls, parser_cls=cli.parser_cls, help_cls=cli.help_cls
        )
        cli.invocation, loader = invoker, invoker.commands_loader
        # Arguments depend on the words of the command line.
        invoker.data["command_string"] = " ".join(words)
        loader.load_command_table([*words, "--help"])
        names = (" ".join(words[:length]) for length in range(len(words), 0, -1))
        name = next((name for name in names if name in loader.command_table), None)
        if name is None:
            return None
        loader.command_table = {name: loader.command_table[name]}
        loader.command_name = name
        loader.load_arguments(name)
        cli.raise_event(EVENT_INVOKER_POST_LOAD_ARGUMENTS, commands_loader=loader)
        options = set()
        for parameter, argument in loader.command_table[name].arguments.items():
            named = argument.type.settings.get("options_list") or [f"--{parameter.replace('_', '-')}"]
            # A deprecated option is an object.
            options |= {getattr(option, "target", option) for option in named}
        return name, options

    def helps(self, command: str, option: str) -> bool:
        """Whether the help has the option. Slow; for the few options that are added while a command runs."""
        call = [sys.executable, "-m", "azure.cli", *command.split(), "--help"]
        text = subprocess.run(call, capture_output=True, text=True, timeout=300, check=True).stdout
        return re.search(rf"(?m)^ +(\S+ )*{re.escape(option)}\s", text) is not None


def main() -> None:
    cli = Cli()
    mistakes, checked = [], set()
    names = subprocess.run(["git", "ls-files", *PATTERNS], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        for words, options in calls((ROOT / name).read_text()):
            if not options:
                # In prose, where only the first words count.
                continue
            found = cli.command(words)
            if found is None:
                mistakes.append(f"{name}: there is no command: az {words}")
                continue
            command, known = found
            checked.add(command)
            for option in options:
                if option not in known | GLOBAL and not cli.helps(command, option):
                    mistakes.append(f"{name}: az {command} has no option {option}")
    if mistakes:
        sys.exit("\n".join(mistakes))
    if len(checked) < 25:
        sys.exit(f"only {len(checked)} commands were found: {sorted(checked)}")
    print(f"{len(checked)} commands of the Azure CLI exist, with their options")


if __name__ == "__main__":
    main()
