"""Checks infra/deploy.sh against an `az` that notes how it is called, and answers as it is told.

    python3 tests/infra/check_deploy.py
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "infra" / "deploy.sh"

# Answers by the beginning of the call; the first that fits. A list gives its members in turn, and then its last one;
# `!` is a failure.
ANSWERS = {
    "account show": "sub-1",
    "group exists": "false",
    "deployment group show functionAppName": "app-1",
    "deployment group show functionAppId": "/app/id",
    "deployment group show storageAccountId": "/storage/id",
    "deployment group show namePrefix": "aci-dns",
    "deployment group show topics": '[{"name": "t"}]',
    "deployment group show isPattern subscriptionId": "sub-2",
    "deployment group show isPattern resourceGroup": "rg-spoke1",
    "deployment group show isPattern zoneSubscriptionId": "sub-3",
    "deployment group show isPattern zoneResourceGroup": "rg-dns",
    "deployment group show isPattern forwardZone": "spoke1.contoso.internal",
    "deployment group show isPattern reverseZones": "1.10.in-addr.arpa\n2.10.in-addr.arpa",
    "container show": "10.1.5.4",
    "network private-dns record-set a list": ["", "10.1.5.4", ""],
    "network private-dns record-set ptr list": ["4.5.1.10.in-addr.arpa.", "", "4.5.1.10.in-addr.arpa.", "", ""],
}
FAKE_AZ = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path

folder = Path(os.environ["FAKE_AZ"])
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
settings = json.loads((folder / "settings").read_text())
call = " ".join(sys.argv[1:])


def fits(key):
    words = key.split()
    verbs = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    fixed = [word for word in words if word in verbs]
    return call.startswith(" ".join(fixed)) and all(word in call for word in words)


for key, times in settings["failures"].items():
    if fits(key):
        counter = folder / key.replace(" ", "-")
        seen = len(counter.read_text()) if counter.exists() else 0
        counter.write_text("x" * (seen + 1))
        if seen < times:
            sys.exit(f"{key} failed")
for key, answer in settings["answers"].items():
    if fits(key):
        if isinstance(answer, list):
            counter = folder / f"answer-{key.replace(' ', '-')}"
            seen = len(counter.read_text()) if counter.exists() else 0
            counter.write_text("x" * (seen + 1))
            answer = answer[min(seen, len(answer) - 1)]
        if answer == "!":
            sys.exit(f"{key} failed")
        print(answer)
        break
"""


class Run:
    """One run of the script: what it ended with, what it said, and what it asked of az."""

    def __init__(self, arguments: list[str], answers: dict | None = None, failures: dict | None = None) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for tool, text in (("az", FAKE_AZ), ("sleep", "#!/bin/sh\n")):
                (folder / tool).write_text(text)
                (folder / tool).chmod(0o755)
            for file in ("parameters.bicepparam", "aci-dns.zip"):
                (folder / file).write_text("")
            settings = {"answers": {**ANSWERS, **(answers or {})}, "failures": failures or {}}
            (folder / "settings").write_text(json.dumps(settings))
            done = subprocess.run(
                [DEPLOY, *(argument.replace("FOLDER", name) for argument in arguments)],
                env={"PATH": f"{name}:{os.environ['PATH']}", "FAKE_AZ": name},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.status, self.output = done.returncode, done.stdout + done.stderr
            calls = folder / "calls"
            lines = calls.read_text().replace(name, "FOLDER").splitlines() if calls.exists() else []
            self.calls = [json.loads(line) for line in lines]

    def verbs(self) -> list[str]:
        """The calls without their options; looks at outputs and repetitions are left out."""
        verbs = []
        for call in self.calls:
            words = []
            for argument in call:
                if argument.startswith("-"):
                    break
                words.append(argument)
            verb = " ".join(words)
            if verb != "deployment group show" and verbs[-1:] != [verb]:
                verbs.append(verb)
        return verbs

    def option(self, verb: str, name: str) -> list[str]:
        """The value of an option in each call that begins so."""
        calls = (call for call in self.calls if " ".join(call).startswith(verb))
        return [call[call.index(name) + 1] for call in calls if name in call]


def check(found: object, expected: object, run: Run | None = None) -> None:
    if found != expected:
        sys.exit(f"expected {expected}\nfound    {found}\n{run.output if run else ''}")


REQUIRED = ["--resource-group", "rg", "--location", "westeurope", "--parameters", "FOLDER/parameters.bicepparam"]
ALL = [*REQUIRED, "--package", "FOLDER/aci-dns.zip", "--yes"]
ORDER = [
    "account show",
    "group exists",
    "group create",
    "deployment group what-if",
    "deployment group create",
    "functionapp deployment source config-zip",
    "functionapp function show",
    "deployment group create",
]


def everything_in_its_order() -> None:
    run = Run(ALL)
    check(run.status, 0, run)
    check(run.verbs(), ORDER, run)
    templates = [Path(path).name for path in run.option("deployment group create", "--template-file")]
    check(templates, ["main.bicep", "subscriptions.bicep"])
    check(run.option("functionapp function show", "--function-name"), functions())
    (subscribed,) = (call for call in run.calls if "aci-dns-subscriptions" in call)
    given = subscribed[subscribed.index("--parameters") + 1 :]
    check(
        given,
        ['topics=[{"name": "t"}]', "functionAppId=/app/id", "storageAccountId=/storage/id", "namePrefix=aci-dns"],
    )
    elsewhere = [call for call in run.calls if call != ["account", "show", "--query", "id", "--output", "tsv"]]
    check({call[call.index("--subscription") + 1] for call in elsewhere}, {"sub-1"})


def functions() -> list[str]:
    events = json.loads((ROOT / "infra" / "events.json").read_text())
    return sorted(events["functions"])


def what_exists_is_not_created() -> None:
    run = Run(ALL, answers={"group exists": "true"})
    check(run.verbs(), [verb for verb in ORDER if verb != "group create"], run)


def what_if_changes_nothing() -> None:
    run = Run([*ALL, "--what-if"], answers={"group exists": "true"})
    check((run.status, run.verbs()), (0, ["account show", "group exists", "deployment group what-if"]), run)


def without_a_yes_nothing_is_applied() -> None:
    run = Run(ALL[:-1])
    check((run.status, run.verbs()), (1, ORDER[:4]), run)


def what_is_missing_is_refused() -> None:
    for index in range(0, len(REQUIRED), 2):
        run = Run([*REQUIRED[:index], *REQUIRED[index + 2 :]])
        check((run.status, run.calls), (2, []), run)
        check(f"{REQUIRED[index]} is required" in run.output, True, run)
        run = Run([*REQUIRED[: index + 1]])
        check((run.status, run.calls), (2, []), run)
    for arguments in (["--nonsense"], [*REQUIRED, "--package", "FOLDER/none.zip"]):
        run = Run(arguments)
        check((run.status, run.calls), (2, []), run)
    run = Run(["--help"])
    check((run.status, run.calls, run.output.startswith("Usage:")), (0, [], True), run)


def a_step_that_fails_is_the_last() -> None:
    for index, verb in enumerate(ORDER[:6]):
        run = Run(ALL, failures={verb: 1000})
        check(run.status != 0, True, run)
        check(run.verbs(), ORDER[: index + 1], run)
    run = Run(ALL, failures={"functionapp function show": 1000})
    check((run.status != 0, run.verbs()), (True, ORDER[:7]), run)


def what_was_granted_a_moment_ago_is_waited_for() -> None:
    failures = {
        "functionapp deployment source config-zip": 9,
        "functionapp function show": 19,
        "deployment group create aci-dns-subscriptions": 9,
    }
    run = Run(ALL, failures=failures)
    check((run.status, run.verbs()), (0, ORDER), run)


def the_smoke_test_leaves_nothing_behind() -> None:
    smoke = [*ALL, "--smoke-test", "/subnet/id"]
    run = Run(smoke)
    check(run.status, 0, run)
    look = ["network private-dns record-set a list", "network private-dns record-set ptr list"]
    after = run.verbs()[len(ORDER) :]
    check(after[:2], ["container create", "container show"], run)
    check(after[-3:], ["container delete", *look], run)
    check(run.option("container", "--subscription"), ["sub-2"] * 3)
    check(set(run.option("network", "--subscription")), {"sub-3"})
    check(run.option("container create", "--subnet"), ["/subnet/id"])
    check(len(set(run.option("container", "--name"))), 1)

    for answers in ({look[0]: ""}, {look[1]: ""}, {look[0]: "10.1.5.4"}, {look[0]: "10.9.9.9"}):
        run = Run(smoke, answers=answers)
        check((run.status, run.verbs().count("container delete")), (1, 1), run)
    for verb in look:
        run = Run(smoke, failures={verb: 1000})
        check((run.status, run.verbs().count("container delete")), (1, 1), run)
    # A look that failed is not a record that is gone.
    run = Run(smoke, answers={look[0]: ["10.1.5.4", "!"]})
    check((run.status, "did not go" in run.output), (1, True), run)
    run = Run(smoke, failures={"container show": 1})
    check((run.status != 0, run.verbs()[-1]), (True, "container delete"), run)


if __name__ == "__main__":
    for rule in (
        everything_in_its_order,
        what_exists_is_not_created,
        what_if_changes_nothing,
        without_a_yes_nothing_is_applied,
        what_is_missing_is_refused,
        a_step_that_fails_is_the_last,
        what_was_granted_a_moment_ago_is_waited_for,
        the_smoke_test_leaves_nothing_behind,
    ):
        rule()
        print(f"{rule.__name__.replace('_', ' ')}: ok")
