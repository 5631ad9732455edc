"""Checks infra/deploy.sh against a fake `az` that records its calls and gives prepared answers.

    python3 tests/infra/check_deploy.py
"""

import base64
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from bicep import INFRA, parameters_of

sys.path.insert(0, str(INFRA))
import preflight  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "infra" / "deploy.sh"
PUBLISH_SCRIPT = ROOT / "infra" / "publish.sh"

# Answers by command, and, behind a colon, by words of the call; the first that fits. A list gives its members in turn,
# and then its last one; `!` is a failure.
# The parameters of the one spoke of infra/parameters, as the Bicep compiler would give them.
PARAMETERS = json.dumps(
    {"parametersJson": json.dumps({"parameters": {"spokes": {"value": parameters_of("one-spoke.bicepparam")["spokes"]}}})}
)
ANSWERS = {
    "version": "2.87.0",
    "account show": "sub-1",
    "bicep build-params": PARAMETERS,
    "group exists: rg-spoke1": "true",
    "group exists: rg-dns": "true",
    "group exists": "false",
    "network private-dns zone list": """[
  { "name": "spoke1.contoso.internal", "tags": { "cost": "42" } },
  { "name": "1.10.in-addr.arpa", "tags": null },
  { "name": "of-others.internal", "tags": { "cost": "43" } }
]""",
    "provider list": "\n".join([*preflight.HOME_PROVIDERS, "microsoft.containerinstance"]),
    "functionapp log deployment list": ["1\t4", "2\t4"],
    "deployment group show: imagesFunctionAppName": "images-1",
    "deployment group show: imagesFunctionAppId": "/images/id",
    "deployment group show: imagesStorageAccountId": "/images-storage/id",
    "deployment group show: imageTopics": '[{"name": "i"}]',
    "deployment group show: functionAppName": "app-1",
    "deployment group show: functionAppId": "/app/id",
    "deployment group show: storageAccountId": "/storage/id",
    "deployment group show: namePrefix": "aci-dns",
    "deployment group show: retryQueue": "true",
    "rest": ["1", "1", "0"],
    "deployment group show: topics": '[{"name": "t"}]',
    "deployment group show: isPattern subscriptionId": "sub-2",
    "deployment group show: isPattern resourceGroup": "rg-spoke1",
    "deployment group show: isPattern zoneSubscriptionId": "sub-3",
    "deployment group show: isPattern zoneResourceGroup": "rg-dns",
    "deployment group show: isPattern forwardZone": "spoke1.contoso.internal",
    "deployment group show: isPattern reverseZones": "1.10.in-addr.arpa\n2.10.in-addr.arpa",
    "container show": "10.1.5.4",
    "network private-dns record-set a list": ["", "10.1.5.4", ""],
    "network private-dns record-set ptr list": ["4.5.1.10.in-addr.arpa.", "", "4.5.1.10.in-addr.arpa.", "", ""],
}
ANSWERS |= {
    key.replace("deployment group show", "stack group show"): answer
    for key, answer in ANSWERS.items()
    if key.startswith("deployment group show")
}
# In shell, because a walk calls it some thirty times. Arguments are separated by US, calls by RS.
FAKE_AZ = """#!/bin/sh
verbs= call="$*"
for argument; do
  case "$argument" in -*) break ;; esac
  verbs="$verbs${verbs:+ }$argument"
done
{ printf '%s\\037' "$@"; printf '\\036'; } >>"$FAKE_AZ/calls"

# Whether the command is this one, and all words are in the call.
fits() {
  [ "$verbs" = "$1" ] || return 1
  shift
  for word; do
    case "$call" in *"$word"*) ;; *) return 1 ;; esac
  done
}

# How often this rule has matched before.
seen() {
  count=0
  if [ -e "$FAKE_AZ/seen-$1" ]; then read -r count <"$FAKE_AZ/seen-$1"; fi
  echo $((count + 1)) >"$FAKE_AZ/seen-$1"
}

"""


def fake_az(answers: dict, failures: dict) -> str:
    """An az with these answers and failures."""

    def quoted(*words: str) -> str:
        return " ".join(shlex.quote(word) for word in words)

    def fits(key: str) -> str:
        command, _, words = key.partition(": ")
        return f"fits {quoted(command, *words.split())}"

    lines = [FAKE_AZ]
    for number, (key, times) in enumerate(failures.items()):
        fail = f"if [ $count -lt {times} ]; then echo {quoted(key)} failed >&2; exit 1; fi"
        lines.append(f"if {fits(key)}; then seen failure-{number}; {fail}; fi")
    for number, (key, answer) in enumerate(answers.items()):
        answers_in_turn = answer if isinstance(answer, list) else [answer]
        cases = [
            f"{turn}) {'exit 1' if text == '!' else 'printf %s ' + quoted(text + chr(10))} ;;"
            for turn, text in enumerate(answers_in_turn)
        ]
        cases[-1] = "*" + cases[-1].lstrip("0123456789")
        lines.append(f"if {fits(key)}; then seen answer-{number}; case $count in {' '.join(cases)} esac; exit 0; fi")
    return "\n".join(lines) + "\n"


FAKE_TIMEOUT = """#!/bin/sh
# Records the timeout of a command.
echo "$1 $2" >>"$FAKE_AZ/bounds"
shift 2
exec "$@"
"""


class Run:
    """One run of the script: exit code, output, and calls of az."""

    def __init__(
        self,
        arguments: list[str],
        answers: dict | None = None,
        failures: dict | None = None,
        script: Path = DEPLOY,
        path: str | None = None,
        files: tuple[str, ...] = (),
    ) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            # What a rule says comes first: of answers that fit, the first counts.
            rest = {key: answer for key, answer in ANSWERS.items() if key not in (answers or {})}
            az = fake_az({**(answers or {}), **rest}, failures or {})
            for tool, text in (("az", az), ("sleep", "#!/bin/sh\n"), ("timeout", FAKE_TIMEOUT)):
                (folder / tool).write_text(text)
                (folder / tool).chmod(0o755)
            (folder / "python3").symlink_to(sys.executable)
            for file in ("parameters.bicepparam", "aci-dns.zip", *files):
                (folder / file).write_text("")
            (folder / "parameters.json").write_text(json.loads(PARAMETERS)["parametersJson"])
            done = subprocess.run(
                [script, *(argument.replace("FOLDER", name) for argument in arguments)],
                env={"PATH": f"{name}:{path or os.environ['PATH']}", "FAKE_AZ": name},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            self.status, self.output = done.returncode, done.stdout + done.stderr
            calls = folder / "calls"
            records = calls.read_text().replace(name, "FOLDER").split("\x1e")[:-1] if calls.exists() else []
            self.calls = [record.split("\x1f")[:-1] for record in records]
            bounds = folder / "bounds"
            self.bounds = bounds.read_text().splitlines() if bounds.exists() else []

    def verbs(self) -> list[str]:
        """The calls without their options, without reads of outputs, and without repetitions."""
        verbs = []
        for call in self.calls:
            words = []
            for argument in call:
                if argument.startswith("-"):
                    break
                words.append(argument)
            verb = " ".join(words)
            if verb not in ("deployment group show", "stack group show") and verbs[-1:] != [verb]:
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
LOOKS = [
    "version",
    "account show",
    "bicep build-params",
    "group exists",
    "network private-dns zone list",
    "provider list",
]
PUBLISH = ["version", "functionapp log deployment list", "functionapp deployment source config-zip"]
CHANGES = [
    "group create",
    "deployment group create",
    *PUBLISH,
    "functionapp function show",
    "storage message put",
    "rest",
    "deployment group create",
]
ORDER = [*LOOKS, *CHANGES]
# If the resource group exists, Azure can report the changes in advance.
WHAT_IF = [*LOOKS[:-1], "deployment group what-if", LOOKS[-1]]
READS = {"rest", *LOOKS, "deployment group what-if", "deployment group show", "functionapp log deployment list"}


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
    anywhere = ("version", "account", "bicep")
    elsewhere = [call for call in run.calls if call[0] not in (*anywhere, "rest", "storage")]
    check({call[call.index("--subscription") + 1] for call in elsewhere}, {"sub-1"})


def functions() -> list[str]:
    events = json.loads((ROOT / "infra" / "events.json").read_text())
    return sorted([*events["functions"], "function_aci_retry"])


def what_exists_is_not_created() -> None:
    run = Run(ALL, answers={"group exists": "true"})
    check(run.verbs(), [*WHAT_IF, *CHANGES[1:]], run)


def what_if_changes_nothing() -> None:
    for exists, verbs in (("true", WHAT_IF), ("false", LOOKS)):
        run = Run(
            [*ALL, "--what-if"],
            answers={
                "group exists: rg-spoke1": "true",
                "group exists: rg-dns": "true",
                "group exists": exists,
                "provider list": "Microsoft.Web",
            },
        )
        check((run.status, run.verbs()), (0, verbs), run)
        check({" ".join(call).split(" --")[0] for call in run.calls} - READS, set(), run)
        check("resource provider to register: Microsoft.EventGrid in subscription sub-1" in run.output, True, run)


def without_a_yes_nothing_is_applied() -> None:
    run = Run(ALL[:-1])
    check((run.status, run.verbs()), (1, LOOKS), run)


def what_if_hides_is_shown() -> None:
    run = Run([*ALL, "--what-if"])
    zone = "/subscriptions/sub-1/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones"
    for line in (
        "role: aci-dns container groups (custom)",
        "right: app: aci-dns container groups (custom): /subscriptions/sub-1",
        f"right: app: aci-dns record sets (custom): {zone}/spoke1.contoso.internal",
        f"right: app: aci-dns record sets (custom): {zone}/1.10.in-addr.arpa",
        "right: app: Storage Queue Data Contributor: the new storage account in rg",
    ):
        check(line in run.output.splitlines(), True, run)


def parameters_may_be_json() -> None:
    run = Run([*ALL[:5], "FOLDER/parameters.json", *ALL[6:]])
    check((run.status, run.verbs()), (0, [verb for verb in ORDER if verb != "bicep build-params"]), run)


def tags_of_zones_are_kept() -> None:
    run = Run(ALL, answers={"group exists": "true"})
    given = 'zoneTags={"sub-1/rg-dns/spoke1.contoso.internal": {"cost": "42"}}'
    for verb in ("deployment group what-if", "deployment group create"):
        call = next(call for call in run.calls if " ".join(call).startswith(verb))
        check(given in call, True, run)


def resource_providers_are_registered_first() -> None:
    missing = {"Microsoft.App", "Microsoft.EventGrid"}
    states = {"provider list": "\n".join({"Microsoft.ContainerInstance", *preflight.HOME_PROVIDERS} - missing)}
    run = Run(ALL, answers=states)
    check((run.status, run.verbs()), (0, [*LOOKS, "provider register", *CHANGES]), run)
    registered = run.option("provider register", "--namespace")
    check(registered, ["Microsoft.App", "Microsoft.EventGrid"], run)
    check(all("--wait" in call for call in run.calls if call[:2] == ["provider", "register"]), True, run)
    run = Run(ALL, answers=states, failures={"provider register": 1000})
    check((run.status, run.verbs()), (1, [*LOOKS, "provider register"]), run)
    advice = "az provider register --subscription sub-1 --namespace Microsoft.App --wait"
    check(advice in run.output, True, run)


def resource_groups_of_others_have_to_exist() -> None:
    run = Run(ALL, answers={"group exists: rg-spoke1": "false", "group exists: rg-dns": "false"})
    check((run.status, run.verbs()), (1, LOOKS[:4]), run)
    for group, purpose in (("rg-spoke1", "spoke"), ("rg-dns", "zones")):
        line = f"the resource group {group} in subscription sub-1 does not exist ({purpose})"
        check(line in run.output, True, run)


def an_old_azure_cli_is_refused() -> None:
    for version, status in (("2.86.0", 1), ("2.9.0", 1), ("2.87.0", 0), ("2.100.1", 0), ("3.0.0", 0)):
        run = Run(ALL, answers={"version": version})
        check(run.status, status, run)
        check(run.verbs() == ["version"], status == 1, run)
        check(f"Azure CLI {version} is too old" in run.output, status == 1, run)


def publishing_is_bounded_and_its_own_status_decides() -> None:
    publish, listed = "functionapp deployment source config-zip", "functionapp log deployment list"
    run = Run(ALL)
    check(run.bounds, ["--kill-after=30 1200"], run)
    # The command fails, as it does where the app is closed to the caller; the deployment has succeeded.
    run = Run(ALL, failures={publish: 1000}, answers={listed: ["1\t4", "2\t4"]})
    check((run.status, "the deployment succeeded" in run.output), (0, True), run)
    check(len(run.option(publish, "--src")), 1, run)
    # It failed, is still under way, or is the one from before: again, five times in all.
    for after in ("2\t3", "2\t1", "1\t4", "", "!"):
        run = Run(ALL, failures={publish: 1000}, answers={listed: ["1\t4", after]})
        check((run.status, run.verbs()[-1]), (1, listed), run)
        check(len(run.option(publish, "--src")), 5, run)
    # The first deployment of all.
    run = Run(ALL, failures={publish: 1000}, answers={listed: ["", "1\t4"]})
    check(run.status, 0, run)


def the_app_has_to_read_its_queue_before_it_gets_events() -> None:
    run = Run(ALL)
    (put,) = (call for call in run.calls if call[:3] == ["storage", "message", "put"])
    message = json.loads(base64.b64decode(put[put.index("--content") + 1]))
    # The expected answer of the app: the message for an ignored event.
    check((message["version"], message["event"]["eventType"]), (1, "aci-dns.probe"), run)
    check(put[put.index("--account-name") + 1 :][:3], ["id", "--queue-name", "aci-dns-retry"], run)
    check(put[put.index("--auth-mode") + 1], "login", run)
    (url,) = set(run.option("rest", "--url"))
    check(url.startswith("/storage/id/queueServices/default/queues/aci-dns-retry?"), True, run)
    # Other messages may arrive, so the number must decrease once.
    for counts in (["3", "4", "3"], ["0", "0", "1", "0"]):
        run = Run(ALL, answers={"rest": counts})
        check((run.status, run.verbs()), (0, ORDER), run)
    for failing in ({"answers": {"rest": ["1"]}}, {"answers": {"rest": ["0"]}}, {"failures": {"rest": 1}}):
        run = Run(ALL, **failing)
        check((run.status, run.verbs()), (1, ORDER[:-1]), run)
    check("Storage Queue Data Contributor" in Run(ALL, answers={"rest": ["1"]}).output, True, run)
    run = Run(ALL, failures={"storage message put": 1})
    check((run.status, run.verbs()), (1, ORDER[:-2]), run)
    check("Storage Queue Data Message Sender" in run.output, True, run)
    without = [verb for verb in ORDER if verb not in ("storage message put", "rest")]
    run = Run([*ALL, "--skip-queue-probe"])
    check((run.status, run.verbs()), (0, without), run)
    run = Run(ALL, answers={"deployment group show: retryQueue": "false"})
    check((run.status, run.verbs()), (0, without), run)


def a_stack_is_applied_where_it_is_asked_for() -> None:
    for action, option in (("detach", "detachAll"), ("delete", "deleteResources")):
        run = Run([*ALL, "--stack", action])
        expected = ["stack group create" if at == 7 else verb for at, verb in enumerate(ORDER)]
        check((run.status, run.verbs()), (0, expected), run)
        check(run.option("stack group create", "--action-on-unmanage"), [option], run)
        check(any(call[:3] == ["deployment", "group", "show"] for call in run.calls), False, run)
        check(run.option("functionapp", "--name"), ["app-1"] * len(run.option("functionapp", "--name")), run)
    run = Run([*ALL, "--stack", "nonsense"])
    check((run.status, run.calls), (2, []), run)


def the_app_that_updates_images_comes_last() -> None:
    given = parameters_of("image-updates.bicepparam")
    parameters = {name: {"value": given[name]} for name in ("spokes", "imageUpdates")}
    answers = {
        "bicep build-params": json.dumps({"parametersJson": json.dumps({"parameters": parameters})}),
        "group exists: rg-registry": "true",
        "group exists: rg-network": "true",
    }
    run = Run(ALL, answers=answers, files=("aci-dns-images.zip",))
    images = [*PUBLISH, "functionapp function show", "deployment group create"]
    check(run.status, 0, run)
    check(run.verbs()[-len(images) :], images, run)
    packages = [Path(path).name for path in run.option("functionapp deployment source config-zip", "--src")]
    check(packages, ["aci-dns.zip", "aci-dns-images.zip"], run)
    shown = run.option("functionapp function show", "--function-name")
    check(shown[-3:], sorted(path.parent.name for path in (ROOT / "apps" / "images").glob("*/function.json")), run)
    check(run.option("functionapp function show", "--name")[-3:], ["images-1"] * 3, run)
    (subscribed,) = (call for call in run.calls if "aci-dns-image-subscriptions" in call)
    expected = ['imageTopics=[{"name": "i"}]', "imagesFunctionAppId=/images/id", "imagesStorageAccountId=/images-storage/id"]
    check(subscribed[subscribed.index("--parameters") + 1 :], [*expected, "namePrefix=aci-dns"], run)
    # Without the package, nothing is changed.
    run = Run(ALL, answers=answers)
    check((run.status, "aci-dns-images.zip cannot be read" in run.output), (2, True), run)
    check(run.verbs(), LOOKS[:3], run)
    run = Run([*ALL, "--images-package", "FOLDER/other.zip"], answers=answers, files=("other.zip",))
    packages = [Path(path).name for path in run.option("functionapp deployment source config-zip", "--src")]
    check((run.status, packages), (0, ["aci-dns.zip", "other.zip"]), run)


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
    run = Run([], script=PUBLISH_SCRIPT)
    check((run.status, run.verbs()), (2, ["version"]), run)
    run = Run(["--help"])
    check((run.status, run.calls, run.output.startswith("Usage:")), (0, [], True), run)


def a_step_that_fails_is_the_last() -> None:
    for index, verb in enumerate([*LOOKS, *CHANGES[:2]]):
        run = Run(ALL, failures={verb: 1000})
        check(run.status != 0, True, run)
        check(run.verbs(), ORDER[: index + 1], run)
    run = Run(ALL, answers={"group exists": "true"}, failures={"deployment group what-if": 1000})
    check((run.status != 0, run.verbs()), (True, WHAT_IF[:-1]), run)
    run = Run(ALL, failures={"functionapp function show": 1000})
    check((run.status != 0, run.verbs()), (True, ORDER[:-3]), run)
    run = Run(ALL, failures={"deployment group create: aci-dns-subscriptions": 1000})
    check((run.status != 0, run.verbs()), (True, ORDER), run)


def what_was_granted_a_moment_ago_is_waited_for() -> None:
    failures = {
        "functionapp deployment source config-zip": 4,
        "functionapp function show": 19,
        "deployment group create: aci-dns-subscriptions": 9,
    }
    run = Run(ALL, failures=failures, answers={"functionapp log deployment list": "1\t3"})
    check(run.status, 0, run)
    check(len(run.option("functionapp deployment source config-zip", "--src")), 5, run)


def the_smoke_test_leaves_nothing_behind() -> None:
    smoke = [*ALL, "--smoke-test", "/subnet/id"]
    run = Run(smoke)
    check(run.status, 0, run)
    look = ["network private-dns record-set a list", "network private-dns record-set ptr list"]
    after = run.verbs()[len(ORDER) :]
    check(after[:2], ["container create", "container show"], run)
    check(after[-3:], ["container delete", *look], run)
    check(run.option("container", "--subscription"), ["sub-2"] * 3)
    check(set(run.option("network private-dns record-set", "--subscription")), {"sub-3"})
    check(run.option("container create", "--subnet"), ["/subnet/id"])
    check(len(set(run.option("container", "--name"))), 1)

    for answers in ({look[0]: ""}, {look[1]: ""}, {look[0]: "10.1.5.4"}, {look[0]: "10.9.9.9"}):
        run = Run(smoke, answers=answers)
        check((run.status, run.verbs().count("container delete")), (1, 1), run)
    for verb in look:
        run = Run(smoke, failures={verb: 1000})
        check((run.status, run.verbs().count("container delete")), (1, 1), run)
    # A failed read does not mean that the record is deleted.
    run = Run(smoke, answers={look[0]: ["10.1.5.4", "!"]})
    check((run.status, "did not go" in run.output), (1, True), run)
    # The zones are read before anything is created, so a failure there fails the test.
    for question in ("reverseZones", "forwardZone"):
        run = Run(smoke, failures={f"deployment group show: {question}": 1000})
        check((run.status != 0, "container create" in run.verbs()), (True, False), run)
    run = Run(smoke, failures={"container show": 1})
    check((run.status != 0, run.verbs()[-1]), (True, "container delete"), run)


if __name__ == "__main__":
    for rule in (
        everything_in_its_order,
        what_exists_is_not_created,
        what_if_changes_nothing,
        without_a_yes_nothing_is_applied,
        what_if_hides_is_shown,
        parameters_may_be_json,
        tags_of_zones_are_kept,
        resource_providers_are_registered_first,
        resource_groups_of_others_have_to_exist,
        an_old_azure_cli_is_refused,
        publishing_is_bounded_and_its_own_status_decides,
        the_app_has_to_read_its_queue_before_it_gets_events,
        a_stack_is_applied_where_it_is_asked_for,
        the_app_that_updates_images_comes_last,
        what_is_missing_is_refused,
        a_step_that_fails_is_the_last,
        what_was_granted_a_moment_ago_is_waited_for,
        the_smoke_test_leaves_nothing_behind,
    ):
        rule()
        print(f"{rule.__name__.replace('_', ' ')}: ok")
