"""Checks the Bicep files as far as possible without the compiler, which no package registry offers.

    python3 tests/infra/check_bicep.py ACI_DNS

Syntax; every name that is used is declared, and every name that is declared is used; every module exists and gets the
parameters that it declares; every output that is read exists; every file that is loaded exists; the example
parameters are parameters. Then the variables of main.bicep are computed from the examples (bicep.py), and ACI_DNS, a
binary, has to accept the settings that come out. What the deployment has to consist of is in check_rules.py.

Not checked: the types of resources, and the rules of Resource Manager.
"""

import json
import os
import re
import signal
import subprocess
import sys

import tree_sitter
from bicep import DECLARATIONS, INFRA, File, Place, Scope, nodes, parameters_of, text
from check_package import free_port, running

HOME = "00000000-0000-0000-0000-00000000000a"

mistakes = []


def wrong(file: File, node: tree_sitter.Node, what: str) -> None:
    line = node.start_point[0] + 1
    mistakes.append(f"{file.path.relative_to(INFRA)}:{line}: {text(node)[:60]!r} {what}")


def string_of(declaration: tree_sitter.Node) -> str:
    """The path of a module."""
    return text(next(child for child in declaration.named_children if child.type == "string")).strip("'")


def names_in_use(file: File):
    """The identifiers that stand for something declared: not keys, properties, functions, or declarations."""
    for node in nodes(file.root, "identifier"):
        parent = node.parent
        is_first = parent.named_children[0] == node
        is_key = parent.type == "object_property" and is_first
        is_function = parent.type == "call_expression" and is_first
        is_declaration = parent.type in DECLARATIONS and is_first
        is_lambda = parent.type == "lambda_expression" and is_first
        if not (is_key or is_function or is_declaration or is_lambda):
            yield node


def check_names(file: File) -> None:
    declared = {name: node for kind in file.declared.values() for name, node in kind.items()}
    imported = {
        text(name) for clause in nodes(file.root, "import_functionality") for name in nodes(clause, "identifier")
    }
    # A lambda's own variable, and those of a loop: `entry` or `(entry, index)`.
    local = {text(node.named_children[0]) for node in nodes(file.root, "lambda_expression")}
    for kind in ("loop_variable", "loop_enumerator"):
        local |= {text(node) for node in nodes(file.root, kind)}
    for_loops = re.findall(r"\bfor \(?(\w+)(?:, (\w+))?\)? in ", text(file.root))
    local |= {name for loop in for_loops for name in loop if name}
    used = set()
    for node in names_in_use(file):
        name = text(node)
        used.add(name)
        if name not in declared and name not in imported and name not in local:
            wrong(file, node, "is not declared")
    for kind in ("param", "var") if file.path.suffix == ".bicep" else ():
        for name, node in file.declared[kind].items():
            if name not in used:
                wrong(file, node, "is not used")


def check_loaded_files(file: File) -> None:
    for call in nodes(file.root, "call_expression"):
        if text(call.named_children[0]) in ("loadJsonContent", "loadTextContent"):
            (string,) = nodes(call, "string")
            if not file.path_of(text(string).strip("'")).is_file():
                wrong(file, call, "loads a file that does not exist")


def check_modules(file: File, files: dict) -> None:
    for name, node in file.declared["module"].items():
        path = file.path_of(string_of(node))
        if path not in files:
            wrong(file, node, "is a module that does not exist")
            continue
        body = next(nodes(node, "object"))
        given = members(members(body).get("params"))
        wanted = files[path].declared["param"]
        for extra in given.keys() - wanted.keys():
            wrong(file, node, f"has no parameter {extra}")
        for parameter, declaration in wanted.items():
            is_required = " = " not in re.sub(r"'(?:[^'\\]|\\.)*'", "", text(declaration))
            if is_required and parameter not in given:
                wrong(file, node, f"is called without {parameter}")
        for output in re.findall(rf"\b{name}(?:\[\w+\])?!?\.outputs\.(\w+)", text(file.root)):
            if output not in files[path].declared["output"]:
                wrong(file, node, f"has no output {output}")


def members(node: tree_sitter.Node | None) -> dict:
    """The properties of an object."""
    if node is None:
        return {}
    properties = (child for child in node.named_children if child.type == "object_property")
    return {text(child.named_children[0]).strip("'"): child.named_children[-1] for child in properties}


def variables_of_main(main: File, example: str) -> dict:
    """The variables of main.bicep with the parameters of an example."""
    using = re.search(r"^using '(.*)'$", (INFRA / "parameters" / example).read_text(), flags=re.M)
    if (INFRA / "parameters" / using[1]).resolve() != INFRA / "main.bicep":
        mistakes.append(f"{example} does not use main.bicep")
    known = parameters_of(example)
    unknown = known.keys() - main.declared["param"].keys()
    if unknown:
        mistakes.append(f"{example}: {unknown} are not parameters of main.bicep")
    scope = Scope(main, Place(HOME, "rg-aci-dns"), known)
    return {name: scope.value(name) for name in main.declared["var"]}


def expect(example: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        mistakes.append(f"{example}: {what} is\n  {found}\nand not\n  {expected}")


def check_one_spoke(variables: dict) -> None:
    network = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network"
    network += "/providers/Microsoft.Network/virtualNetworks/vnet-spoke1"
    zones = [
        {
            "id": f"{HOME}/rg-dns/{name}",
            "subscriptionId": HOME,
            "resourceGroup": "rg-dns",
            "name": name,
            "networkIds": [network],
        }
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
        "ACI_DNS_SUBSCRIPTIONS": HOME,
        "ACI_DNS_SWEEP": "report",
        "ACI_DNS_SWEEP_SCHEDULE": "0 */15 * * * *",
        "AzureWebJobs.function_drift_sweep.Disabled": "false",
        "AzureWebJobs.function_aci_retry.Disabled": "false",
    }
    for what, expected in (
        ("zones", zones),
        ("topicEntries", [{**topic, "name": "aci-dns-events", "create": True}]),
        ("readSubscriptionIds", [HOME]),
        ("readEntries", []),
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
        ("readSubscriptionIds", variables["readSubscriptionIds"], [spoke1, spoke2]),
        ("subscriptionIds", variables["subscriptionIds"], [HOME, spoke1, spoke2, hub]),
        ("keys", list(entries), [f"{spoke1}/rg-spoke1", f"{spoke2}/rg-spoke2-*"]),
        ("time to live", [entry["ttl"] for entry in entries.values()], [60, 30]),
        ("ownership", settings["ACI_DNS_OWNERSHIP"], "strict"),
        ("recheck", settings["ACI_DNS_RECHECK_SECONDS"], "60"),
        ("subscriptions", settings["ACI_DNS_SUBSCRIPTIONS"], f"{spoke1},{spoke2}"),
        ("policies", [entry.get("policy") for entry in entries.values()], [None, "observe"]),
        ("groups", [entry.get("groups") for entry in entries.values()], [None, ["web-*", "api"]]),
        (
            "secrets",
            [entry.get("secret") for entry in entries.values()],
            [
                {"vault": "https://kv-apps.vault.azure.net/", "name": "{group}--ip"},
                {"vault": "https://kv-spoke2.vault.azure.net/"},
            ],
        ),
        (
            "secretScopes",
            [scope.split("/providers/")[1] for scope in variables["secretScopes"]],
            ["microsoft.keyvault/vaults/kv-apps/secrets/", "microsoft.keyvault/vaults/kv-spoke2/secrets/api--ip"],
        ),
        ("former zones", [entry.get("formerZones") for entry in entries.values()], [None, ["old.contoso.internal"]]),
        (
            "services",
            [entry.get("services") for entry in entries.values()],
            [None, {"api": {"groups": ["api-v*"], "ttl": 20}}],
        ),
        ("sweep", settings["AzureWebJobs.function_drift_sweep.Disabled"], "false"),
        ("schedule", settings["ACI_DNS_SWEEP_SCHEDULE"], "0 */15 * * * *"),
    ):
        expect("hub and spoke", what, found, expected)


def check_image_updates(variables: dict) -> None:
    spoke = "00000000-0000-0000-0000-000000000001"
    topic = {"subscriptionId": spoke, "resourceGroup": "rg-registry", "name": "aci-dns-images"}
    for what, found, expected in (
        ("imageTopics", variables["imageTopics"], [topic]),
        ("subscriptions", variables["imageSettings"]["ACI_DNS_SUBSCRIPTIONS"], spoke),
        ("replacesImages", variables["replacesImages"], True),
    ):
        expect("image updates", what, found, expected)


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
        for node in file.broken():
            wrong(file, node, "is not Bicep")
        check_names(file)
        check_loaded_files(file)
        check_modules(file, files)
    called = {
        file.path_of(string_of(node)) for file in files.values() for node in file.declared["module"].values()
    }
    for path in paths:
        if path.parent.name == "modules" and path not in called:
            mistakes.append(f"no template calls {path.name}")
    if not mistakes:
        for example, rule in (
            ("one-spoke.bicepparam", check_one_spoke),
            ("hub-and-spoke.bicepparam", check_hub_and_spoke),
            ("image-updates.bicepparam", check_image_updates),
        ):
            variables = variables_of_main(files[INFRA / "main.bicep"], example)
            rule(variables)
            check_settings_are_accepted(os.path.abspath(sys.argv[1]), variables["appSettings"])
            if example.startswith("image"):
                # The platform resolves the reference before the app starts.
                settings = {**variables["imageSettings"], "ACI_DNS_WEBHOOK_SECRET": "hunter2"}
                check_settings_are_accepted(os.path.abspath(sys.argv[1]), settings)
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{len(paths)} templates and their three examples are right, as far as that is known without a compiler")


if __name__ == "__main__":
    main()
