"""Checks infra/prerequisites.sh, and the samples of output in docs/quickstart.md, against the fake `az` of check_deploy.py.

    python3 tests/infra/check_prerequisites.py
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

from bicep import INFRA
from check_deploy import ALL, ROOT, Run, check

sys.path.insert(0, str(INFRA))
import preflight  # noqa: E402

SCRIPT = INFRA / "prerequisites.sh"
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
WITH_PARAMETERS = ["--parameters", "FOLDER/parameters.bicepparam"]
OWNER = json.dumps({"value": [{"actions": ["*"], "notActions": []}]})
CONTRIBUTOR = json.dumps({"value": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}]})
ANSWERS = {
    "bicep version": "Bicep CLI version 0.36.1 (a727ed087a)",
    "container list": "1",
    "rest": OWNER,
}


def run(arguments: list[str], **answers: str) -> Run:
    given = ANSWERS | {key.replace("_", " "): answer for key, answer in answers.items()}
    with tempfile.TemporaryDirectory() as tools:
        # The machine of the test may have no rustup.
        (Path(tools) / "rustup").write_text("#!/bin/sh\n")
        (Path(tools) / "rustup").chmod(0o755)
        return Run(arguments, answers=given, script=SCRIPT, path=f"{tools}:{os.environ['PATH']}")


def what_is_there_is_listed() -> None:
    found = run(WITH_PARAMETERS)
    check((found.status, found.output.splitlines()[-1]), (0, "all prerequisites are there"), found)
    for line in ("ok       Azure CLI 2.87.0", "ok       subscription sub-1", "ok       resource group rg-dns (zones)"):
        check(line in found.output.splitlines(), True, found)
    check("MISSING" in found.output, False, found)
    check(run([]).status, 0)


def it_only_reads() -> None:
    reads = {"version", "bicep version", "account show", "bicep build-params", "group exists", "container list", "rest"}
    found = run(WITH_PARAMETERS)
    check(set(found.verbs()), reads, found)
    check(set(found.option("rest", "--method")), {"get"}, found)


def what_is_missing_is_named_and_ends_with_1() -> None:
    for answers, line in (
        ({"version": "2.86.0"}, "Azure CLI 2.87.0 or later (this is 2.86.0): az upgrade"),
        ({"bicep_version": "Bicep CLI version 0.9.1 (a)"}, "Bicep 0.36 or later (this is 0.9.1)"),
        ({"bicep_version": "!"}, "Bicep: az bicep install"),
        ({"account_show": "!"}, "a sign-in: az login"),
        ({"group_exists": "false", "group_exists: rg-dns": "false"}, "resource group rg-dns in subscription sub-1 (zones)"),
    ):
        found = run(WITH_PARAMETERS, **{key: [answer] if answer == "!" else answer for key, answer in answers.items()})
        check((found.status, f"MISSING  {line}" in found.output), (1, True), found)
    for version in ("2.100.0", "3.0.0"):
        check(run([], version=version).status, 0)


def a_right_that_is_missing_is_a_note() -> None:
    found = run(WITH_PARAMETERS, rest=CONTRIBUTOR)
    line = "note     not allowed at subscription sub-1: Microsoft.Authorization/roleAssignments/write"
    check((found.status, line in found.output), (0, True), found)


def actions_are_compared_as_azure_does() -> None:
    allowed = [{"actions": ["Microsoft.Network/*", "*/read"], "notActions": ["Microsoft.Network/*/delete"]}]
    actions = ["microsoft.network/privateDnsZones/write", "Microsoft.Web/sites/Read"]
    check(preflight.missing(allowed, actions), [])
    refused = ["Microsoft.Network/privateDnsZones/delete", "Microsoft.Web/sites/write"]
    check(preflight.missing(allowed, refused), refused)
    # What one role leaves out, another one may give.
    check(preflight.missing([*allowed, {"actions": ["*"], "notActions": []}], refused), [])


def wrong_arguments_are_refused() -> None:
    for arguments in (["--parameters"], ["--parameter", "x"], ["--parameters", "FOLDER/none"]):
        found = run(arguments)
        check((found.status, found.verbs()), (2, []), found)


# What differs between machines and deployments, and what stands for it in a sample.
VARIABLE = (r"\b[0-9]+(\.[0-9]+)+\b", r"<id>|\bsub-1\b", r"aci-dns-<suffix>|\bapp-1\b", r"\S*aci-dns\.zip")


def lines(text: str) -> list[str]:
    for number, pattern in enumerate(VARIABLE):
        text = re.sub(pattern, f"#{number}", text)
    return [line for line in text.splitlines() if line and line != "..."]


def check_sample(start: str, found: Run) -> list[str]:
    """Checks that the lines of the sample with this beginning are printed in this order, and returns them."""
    blocks = re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S)
    (sample,) = (block for block in blocks if block.startswith(start))
    check(found.status, 0, found)
    printed = iter(lines(found.output))
    for line in lines(sample):
        if line not in printed:
            sys.exit(f"docs/quickstart.md: this line is not printed, or not at this place: {line}\n{found.output}")
    return lines(sample)


def the_samples_of_the_quickstart_are_the_output() -> None:
    check_sample("== tools\nok", run(WITH_PARAMETERS))
    deployed = Run(["rg-aci-dns" if argument == "rg" else argument for argument in ALL])
    shown = check_sample("== tools\n== subscription", deployed)
    check(shown[:-1], [line for line in lines(deployed.output) if line.startswith("==")], deployed)


if __name__ == "__main__":
    for rule in (
        what_is_there_is_listed,
        it_only_reads,
        what_is_missing_is_named_and_ends_with_1,
        a_right_that_is_missing_is_a_note,
        actions_are_compared_as_azure_does,
        wrong_arguments_are_refused,
        the_samples_of_the_quickstart_are_the_output,
    ):
        rule()
        print(f"{rule.__name__.replace('_', ' ')}: ok")
