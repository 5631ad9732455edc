"""Runs the commands of aci-dns in docs/quickstart.md and docs/rollout.md, in their order, against the simulator.

    python3 tests/sdk/check_quickstart.py ACI_DNS

An `az` that answers with the ids of the simulator takes the place of the Azure CLI. Not run: what deploys the app, and
the restart of step 7, which needs the deployed app.
"""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
PRINCIPAL = "33333333-3333-3333-3333-333333333333"
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups"
FAKE_AZ = f"""#!/bin/sh
case "$*" in
  "account show "*) echo {SUBSCRIPTION} ;;
  "identity show "*) echo {PRINCIPAL} ;;
  "functionapp list "*) echo app ;;
  *ACI_DNS_ZONES*) echo '{{"rg-spoke1": {{"forwardZone": "spoke1.contoso.internal", "policy": "observe",' \\
    '"reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}}}' ;;
  *ACI_DNS_SUBSCRIPTIONS*) echo {SUBSCRIPTION} ;;
esac
"""
# A statement that is run: it begins a line, and goes on until the quotes and the function are closed.
STARTS = ("export ", "aci-dns ", "app=", "setting() {", "echo ")


def check(found: object, expected: object, output: str = "") -> None:
    if found != expected:
        sys.exit(f"expected {expected}\nfound    {found}\n{output}")


def is_complete(statement: str) -> bool:
    is_function = statement.partition("\n")[0].endswith("{")
    return not (statement.endswith("\\") or statement.count("'") % 2 or is_function and not statement.endswith("\n}"))


def statements(page: str) -> list[str]:
    kept = []
    for block in re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S):
        lines = block.splitlines()
        while lines:
            statement = lines.pop(0)
            while lines and not is_complete(statement):
                statement += "\n" + lines.pop(0)
            if statement.startswith(STARTS):
                kept.append(statement)
    return kept


class Simulator:
    def __init__(self, binary: str) -> None:
        command = [binary, "simulate", "--port", "0", "--groups", "1", "--provisioning", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://127\.0\.0\.1:\d+/", self.process.stdout.readline())[0]
        self("POST", "groups/delete", id=f"{GROUPS}/web-1")
        self("POST", "groups/create", name="web", resourceGroup="rg-spoke1")
        self("PUT", "permissions", scope=f"/subscriptions/{SUBSCRIPTION}", actions=["*"], notActions=[], principal=PRINCIPAL)

    def __call__(self, method: str, path: str, **body: object) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}simulator/{path}", json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            check(answer.status // 100, 2)


def walk(binary: str, page: str) -> list[tuple[str, int, str]]:
    """Each command of the page with its exit code and its output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "az").write_text(FAKE_AZ)
        (folder / "az").chmod(0o755)
        (folder / "aci-dns").symlink_to(binary)
        simulator = Simulator(binary)
        try:
            script = "".join(
                f"{statement}\nprintf '\\n<<%d>>\\n' $?\n" if statement.startswith("aci-dns ") else f"{statement}\n"
                for statement in statements(page)
            )
            (folder / "walk.sh").write_text(script)
            # `sync` asks at a terminal only.
            ours, theirs = pty.openpty()
            os.write(ours, b"y\n" * 9)
            done = subprocess.run(
                ["bash", folder / "walk.sh"],
                cwd=folder,
                env={
                    "PATH": f"{folder}:{os.environ['PATH']}",
                    "HOME": name,
                    "ACI_DNS_ARM_ENDPOINT": simulator.url,
                    "IDENTITY_ENDPOINT": f"{simulator.url}msi/token",
                    "IDENTITY_HEADER": "simulator",
                },
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            os.close(ours)
            os.close(theirs)
        finally:
            simulator.process.terminate()
            simulator.process.wait(timeout=20)
    parts = re.split(r"\n<<(\d+)>>\n", done.stdout)
    commands = [statement for statement in statements(page) if statement.startswith("aci-dns ")]
    check(len(parts), 2 * len(commands) + 1, done.stdout)
    return [(command, int(code), output) for command, output, code in zip(commands, parts[::2], parts[1::2])]


def sample(page: str, start: str) -> str:
    blocks = re.findall(r"^```text\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)
    return next(block for block in blocks if block.startswith(start))


# The first words of each command, its exit code, and a text of its output.
EXPECTED = {
    "quickstart.md": [
        ("doctor --principal", 0, ": 16 ok ("),
        ("plan", 3, "PLAN"),
        ("sync", 0, "Make these 2 changes? [y/N]"),
        ("drift", 0, "1 container group: 1 "),
    ],
    "rollout.md": [
        ("doctor --principal", 0, ": 16 ok ("),
        ("plan --zones", 3, "PLAN"),
        ("plan --zones spoke1.json --adopt", 3, "PLAN"),
        ("sync --zones spoke1.json --adopt-only", 0, ""),
        ("sync --zones", 0, "Make these 2 changes? [y/N]"),
        ("drift --zones", 0, "1 container group: 1 "),
    ],
}


def main(binary: str) -> None:
    for page, expected in EXPECTED.items():
        found = walk(binary, page)
        check(len(found), len(expected), str([command for command, _, _ in found]))
        for (command, code, output), (words, status, text) in zip(found, expected):
            check(command.startswith(f"aci-dns {words}"), True, command)
            check(code, status, f"{command}\n{output}")
            text = sample(page, "rg-spoke1/web: ") if text == "PLAN" else text
            check(text in output, True, f"{page}: {command} does not print {text!r}\n{output}")
        print(f"docs/{page}: {len(found)} commands do what the page says")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
