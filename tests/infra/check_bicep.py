"""Checks the Bicep files as far as that goes without a compiler, which no package registry has.

    python3 tests/infra/check_bicep.py ACI_DNS

Syntax; every name that is used is declared, and every name that is declared is used; every module exists and gets the
parameters that it declares; every output that is read exists; every file that is loaded exists; the example
parameters are parameters. Then the variables of main.bicep are computed from the examples, with the functions of
Bicep written anew here, and ACI_DNS, a binary, has to accept the settings that come out.

Not checked: the types of resources, and the rules of Resource Manager.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import tree_sitter
import tree_sitter_bicep
from check_package import free_port, running

INFRA = Path(__file__).resolve().parent.parent.parent / "infra"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
    "type_declaration": "type",
}
HOME = "00000000-0000-0000-0000-00000000000a"
HOME_GROUP = f"/subscriptions/{HOME}/resourceGroups/rg-aci-dns"

mistakes = []


def text(node: tree_sitter.Node) -> str:
    return node.text.decode()


def nodes(node: tree_sitter.Node, kind: str | None = None):
    if kind in (None, node.type):
        yield node
    for child in node.named_children:
        yield from nodes(child, kind)


class File:
    """A Bicep file: its tree, and the nodes of what it declares, by kind and name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        source = path.read_text()
        if path.suffix == ".bicepparam":
            # The grammar knows templates only: a parameter that is given looks like a variable there.
            source = re.sub(r"^param ", "var ", re.sub(r"^using .*$", "", source, flags=re.M), flags=re.M)
        self.root = PARSER.parse(source.encode()).root_node
        self.declared = {kind: {} for kind in DECLARATIONS.values()}
        for node in nodes(self.root):
            if node.is_error or node.is_missing:
                self.wrong(node, "is not Bicep")
            if node.type in DECLARATIONS:
                self.declared[DECLARATIONS[node.type]][text(node.named_children[0])] = node

    def wrong(self, node: tree_sitter.Node, what: str) -> None:
        line = node.start_point[0] + 1
        mistakes.append(f"{self.path.relative_to(INFRA)}:{line}: {text(node)[:60]!r} {what}")

    def path_of(self, string: tree_sitter.Node) -> Path:
        return (self.path.parent / text(string).strip("'")).resolve()

    def names_in_use(self):
        """The identifiers that stand for something declared: not keys, properties, functions, or declarations."""
        for node in nodes(self.root, "identifier"):
            parent = node.parent
            is_first = parent.named_children[0] == node
            is_key = parent.type == "object_property" and is_first
            is_function = parent.type == "call_expression" and is_first
            is_declaration = parent.type in DECLARATIONS and is_first
            is_lambda = parent.type == "lambda_expression" and is_first
            if not (is_key or is_function or is_declaration or is_lambda):
                yield node

    def check_names(self) -> None:
        declared = {name: node for kind in self.declared.values() for name, node in kind.items()}
        imported = {
            text(name)
            for clause in nodes(self.root, "import_functionality")
            for name in nodes(clause, "identifier")
        }
        # A lambda's own variable, and those of a loop: `entry` or `(entry, index)`.
        local = {text(node.named_children[0]) for node in nodes(self.root, "lambda_expression")}
        for kind in ("loop_variable", "loop_enumerator"):
            local |= {text(node) for node in nodes(self.root, kind)}
        for_loops = re.findall(r"\bfor \(?(\w+)(?:, (\w+))?\)? in ", text(self.root))
        local |= {name for loop in for_loops for name in loop if name}
        used = set()
        for node in self.names_in_use():
            name = text(node)
            used.add(name)
            if name not in declared and name not in imported and name not in local:
                self.wrong(node, "is not declared")
        for kind in ("param", "var") if self.path.suffix == ".bicep" else ():
            for name, node in self.declared[kind].items():
                if name not in used:
                    self.wrong(node, "is not used")

    def check_loaded_files(self) -> None:
        for call in nodes(self.root, "call_expression"):
            if text(call.named_children[0]) in ("loadJsonContent", "loadTextContent"):
                (string,) = nodes(call, "string")
                if not self.path_of(string).is_file():
                    self.wrong(call, "loads a file that does not exist")

    def check_modules(self, files: dict) -> None:
        for name, node in self.declared["module"].items():
            path = self.path_of(next(child for child in node.named_children if child.type == "string"))
            if path not in files:
                self.wrong(node, "is a module that does not exist")
                continue
            body = next(nodes(node, "object"))
            given = members(members(body).get("params"))
            wanted = files[path].declared["param"]
            for extra in given.keys() - wanted.keys():
                self.wrong(node, f"has no parameter {extra}")
            for parameter, declaration in wanted.items():
                is_required = " = " not in text(declaration)
                if is_required and parameter not in given:
                    self.wrong(node, f"is called without {parameter}")
            for output in re.findall(rf"\b{name}(?:\[\w+\])?!?\.outputs\.(\w+)", text(self.root)):
                if output not in files[path].declared["output"]:
                    self.wrong(node, f"has no output {output}")


def members(node: tree_sitter.Node | None) -> dict:
    """The properties of an object."""
    if node is None:
        return {}
    properties = (child for child in node.named_children if child.type == "object_property")
    return {text(child.named_children[0]).strip("'"): child.named_children[-1] for child in properties}


def union(*values):
    if isinstance(values[0], dict):
        return {key: value for one in values for key, value in one.items()}
    merged = []
    for value in (value for one in values for value in one):
        if value not in merged:
            merged.append(value)
    return merged


FUNCTIONS = {
    "concat": lambda *lists: [value for one in lists for value in one],
    "contains": lambda container, value: value in container,
    "empty": lambda value: not value,
    "endsWith": lambda value, end: value.lower().endswith(end.lower()),
    "environment": lambda: {"name": "AzureCloud"},
    "filter": lambda values, keep: [value for value in values if keep(value)],
    "flatten": lambda lists: [value for one in lists for value in one],
    "guid": lambda *values: "-".join(["guid", *values]),
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "map": lambda values, change: [change(value) for value in values],
    "resourceGroup": lambda: {"id": HOME_GROUP, "location": "westeurope"},
    "resourceId": lambda kind, name: f"{HOME_GROUP}/providers/{kind}/{name}",
    "split": lambda value, at: value.split(at),
    "string": lambda value: value if isinstance(value, str) else json.dumps(value, separators=(",", ":")),
    "subscription": lambda: {"id": f"/subscriptions/{HOME}", "subscriptionId": HOME},
    "toLower": str.lower,
    "toObject": lambda values, key, value=lambda value: value: {key(one): value(one) for one in values},
    "union": union,
}


class Parser:
    """Bicep's expressions, each as a function of the variables in scope.

    The grammar above is right about what is an expression and wrong about which operator binds first.
    """

    WORD = re.compile(r"[A-Za-z_]\w*|\d+")
    OPERATOR = re.compile(r"=>|\?\?|==|&&|\.\?|[?:!.,()\[\]{}]")
    GAP = re.compile(r"(?:\s|//[^\n]*)*")

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0

    def peek(self) -> str:
        """The next word or operator; a quotation mark where a string begins."""
        at = self.GAP.match(self.source, self.at).end()
        if self.source[at : at + 1] == "'":
            return "'"
        found = self.WORD.match(self.source, at) or self.OPERATOR.match(self.source, at)
        return found[0] if found else ""

    def next(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or expected not in (None, token):
            raise SyntaxError(f"{expected or 'an expression'} is expected at {self.source[self.at:][:60]!r}")
        self.at = self.GAP.match(self.source, self.at).end() + len(token)
        return token

    def takes(self, token: str) -> bool:
        if self.peek() == token:
            self.next()
            return True
        return False

    def is_same_line(self) -> bool:
        return "\n" not in self.GAP.match(self.source, self.at)[0]

    def expression(self):
        condition = self.coalescing()
        if not self.takes("?"):
            return condition
        yes = self.expression()
        self.next(":")
        no = self.expression()
        return lambda scope: (yes if condition(scope) else no)(scope)

    def coalescing(self):
        left = self.equality()
        if not self.takes("??"):
            return left
        right = self.coalescing()

        def value(scope):
            given = left(scope)
            return right(scope) if given is None else given

        return value

    def equality(self):
        left = self.postfix()
        if not self.takes("=="):
            return left
        right = self.postfix()
        return lambda scope: left(scope) == right(scope)

    def postfix(self):
        value = self.primary()
        while self.is_same_line() and self.peek() in (".", ".?", "["):
            value = self.access(value, self.next())
        return value

    def access(self, value, operator: str):
        if operator == "[":
            index = self.expression()
            self.next("]")
            return lambda scope: value(scope)[index(scope)]
        name = self.next()
        if operator == ".?":
            return lambda scope: value(scope).get(name)
        return lambda scope: value(scope)[name]

    def primary(self):
        token = self.next()
        if token == "'":
            return self.string()
        if token == "!":
            value = self.postfix()
            return lambda scope: not value(scope)
        if token == "(":
            value = self.expression()
            self.next(")")
            return value
        if token == "[":
            items = self.until("]", self.expression)
            return lambda scope: [item(scope) for item in items]
        if token == "{":
            members = self.until("}", self.member)
            return lambda scope: {key: value(scope) for key, value in members}
        if token.isdigit():
            return lambda scope: int(token)
        if token in ("true", "false"):
            return lambda scope: token == "true"
        if self.takes("=>"):
            body = self.expression()
            return lambda scope: lambda value: body(scope.with_one(token, value))
        if self.is_same_line() and self.takes("("):
            arguments = self.until(")", self.expression)
            return lambda scope: FUNCTIONS[token](*(argument(scope) for argument in arguments))
        return lambda scope: scope.value(token)

    def until(self, end: str, one) -> list:
        found = []
        while not self.takes(end):
            found.append(one())
            self.takes(",")
        return found

    def member(self):
        key = self.next()
        if key == "'":
            key = self.string()(None)
        self.next(":")
        return key, self.expression()

    def string(self):
        """What follows the opening quotation mark."""
        parts, start = [], self.at
        while True:
            if self.source.startswith(("'", "${"), self.at):
                parts.append(lambda scope, literal=self.source[start : self.at]: literal)
                self.at += 1
                if self.source[self.at - 1] == "'":
                    return lambda scope: "".join(part(scope) for part in parts)
                self.at += 1
                parts.append(self.expression())
                self.next("}")
                start = self.at
            else:
                self.at += 1


class Scope:
    """The values of variables. One that is not known yet is computed from its declaration."""

    def __init__(self, known: dict, declarations: dict) -> None:
        self.known, self.declarations = known, declarations

    def with_one(self, name: str, value: object) -> "Scope":
        return Scope({**self.known, name: value}, self.declarations)

    def value(self, name: str):
        if name not in self.known:
            self.known[name] = self.compute(self.declarations[name])
        return self.known[name]

    def compute(self, declaration: tree_sitter.Node):
        """What stands behind the first equals sign."""
        return Parser(text(declaration).partition("=")[2]).expression()(self)


def parameters_of(example: str) -> dict:
    file = File(INFRA / "parameters" / example)
    declarations = file.declared["var"]
    source = file.path.read_text()
    given = re.findall(r"^param (\w+) =", source, flags=re.M)
    using = re.search(r"^using '(.*)'$", source, flags=re.M)
    if (file.path.parent / using[1]).resolve() != INFRA / "main.bicep":
        mistakes.append(f"{example} does not use main.bicep")
    scope = Scope({}, declarations)
    return {name: scope.value(name) for name in given}


def variables_of_main(main: File, example: str) -> dict:
    """The variables of main.bicep with the parameters of an example."""
    known = parameters_of(example)
    unknown = known.keys() - main.declared["param"].keys()
    if unknown:
        mistakes.append(f"{example}: {unknown} are not parameters of main.bicep")
    scope = Scope(known, {**main.declared["param"], **main.declared["var"]})
    return {name: scope.value(name) for name in main.declared["var"]}


def expect(example: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        mistakes.append(f"{example}: {what} is\n  {found}\nand not\n  {expected}")


def check_one_spoke(variables: dict) -> None:
    network = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network"
    network += "/providers/Microsoft.Network/virtualNetworks/vnet-spoke1"
    zones = [
        {"subscriptionId": HOME, "resourceGroup": "rg-dns", "name": name, "networkIds": [network]}
        for name in ("spoke1.contoso.internal", "1.10.in-addr.arpa")
    ]
    topic = {"subscriptionId": HOME, "resourceGroup": "rg-spoke1", "source": "resourceGroup"}
    settings = {
        "ACI_DNS_CLOUD": "public",
        "ACI_DNS_ZONES": json.dumps(
            {
                f"{HOME}/rg-spoke1": {
                    "forwardZone": "spoke1.contoso.internal",
                    "reverseZones": ["1.10.in-addr.arpa"],
                    "zoneSubscriptionId": HOME,
                    "zoneResourceGroup": "rg-dns",
                    "ttl": 60,
                }
            },
            separators=(",", ":"),
        ),
        "ACI_DNS_SWEEP": "report",
        "ACI_DNS_SWEEP_SCHEDULE": "0 0 0 1 1 *",
        "AzureWebJobs.function_drift_sweep.Disabled": "true",
    }
    for what, expected in (
        ("zones", zones),
        ("topicEntries", [{**topic, "name": "aci-dns-events", "create": True}]),
        ("patternSubscriptionIds", []),
        ("subscriptionIds", [HOME]),
        ("appSettings", settings),
    ):
        expect("one spoke", what, variables[what], expected)


def check_hub_and_spoke(variables: dict) -> None:
    hub, spoke1, spoke2 = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))
    zones = [(zone["subscriptionId"], zone["resourceGroup"], zone["name"]) for zone in variables["zones"]]
    names = ["spoke1.contoso.internal", "10.in-addr.arpa", "spoke2.contoso.internal"]
    settings = variables["appSettings"]
    entries = json.loads(settings["ACI_DNS_ZONES"])
    topics = [
        {
            "subscriptionId": spoke1,
            "resourceGroup": "rg-spoke1",
            "source": "resourceGroup",
            "name": "aci-dns-events",
            "create": True,
        },
        {
            "subscriptionId": spoke2,
            "resourceGroup": "rg-events",
            "source": "subscription",
            "name": "evgt-subscription",
            "create": False,
        },
    ]
    for what, found, expected in (
        ("zones", zones, [(hub, "rg-dns", name) for name in names]),
        ("links", [len(zone["networkIds"]) for zone in variables["zones"]], [3, 3, 3]),
        ("topicEntries", variables["topicEntries"], topics),
        ("exactEntries", [entry["resourceGroup"] for entry in variables["exactEntries"]], ["rg-spoke1"]),
        ("patternSubscriptionIds", variables["patternSubscriptionIds"], [spoke2]),
        ("subscriptionIds", variables["subscriptionIds"], [HOME, spoke1, spoke2, hub]),
        ("keys", list(entries), [f"{spoke1}/rg-spoke1", f"{spoke2}/rg-spoke2-*"]),
        ("time to live", [entry["ttl"] for entry in entries.values()], [60, 30]),
        ("ownership", settings["ACI_DNS_OWNERSHIP"], "strict"),
        ("sweep", settings["AzureWebJobs.function_drift_sweep.Disabled"], "false"),
        ("schedule", settings["ACI_DNS_SWEEP_SCHEDULE"], "0 */30 * * * *"),
    ):
        expect("hub and spoke", what, found, expected)


def check_settings_are_accepted(binary: str, settings: dict) -> None:
    port = free_port()
    variables = {**settings, "FUNCTIONS_CUSTOMHANDLER_PORT": str(port)}
    with running([binary], port, env=variables, stdout=subprocess.DEVNULL) as process:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main() -> None:
    paths = sorted(path.resolve() for path in INFRA.glob("**/*.bicep"))
    files = {path: File(path) for path in paths}
    for file in files.values():
        file.check_names()
        file.check_loaded_files()
        file.check_modules(files)
    called = {
        file.path_of(next(child for child in node.named_children if child.type == "string"))
        for file in files.values()
        for node in file.declared["module"].values()
    }
    for path in paths:
        if path.parent.name == "modules" and path not in called:
            mistakes.append(f"nobody calls {path.name}")
    if not mistakes:
        for example, rule in (
            ("one-spoke.bicepparam", check_one_spoke),
            ("hub-and-spoke.bicepparam", check_hub_and_spoke),
        ):
            variables = variables_of_main(files[INFRA / "main.bicep"], example)
            rule(variables)
            check_settings_are_accepted(os.path.abspath(sys.argv[1]), variables["appSettings"])
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{len(paths)} templates and their two examples are right, as far as that is known without a compiler")


if __name__ == "__main__":
    main()
