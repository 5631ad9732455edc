#!/usr/bin/env python3
"""Speed, side by side: this handler and the two that people write instead, in front of the same simulated Azure.

    python3 benches/compare.py                 # builds, measures, prints
    python3 benches/compare.py --write         # and puts the table into docs/performance.md
    python3 benches/compare.py --quick         # a look; nothing to rely on
    cargo bench                                # the parts that only compute, in nanoseconds

The rivals are a warm Python worker with Microsoft's clients (rivals/sdk.py) and one that starts a shell script with the
Azure CLI for each event (rivals/cli.py). Their packages are installed from PyPI into the cache, once; the CLI's are
700 MB. All kinds of workers get the same invocations, see the same container groups and zones, and have to leave the
same records behind, which is checked after each event.

Runs of different kinds alternate, so that noise meets all of them; of repetitions the median counts. Processor time is
the kernel's count for the worker's process and its children, so it says the same on a machine that does other things
besides, where times on the clock do not.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from statistics import median

import stage
from stage import Azure, AzureOfCli, Kind, deliver, seconds_in_azure, waiting_round_trips

ROOT = stage.HERE.parent
OURS, WITH_TELEMETRY, SDK, CLI = "aci-dns", "with telemetry", "Python", "Azure CLI"
LATENCIES = [0, 20, 50]
READY, ANSWERED = "start: ready", "start: ready, and the first event answered"
WARM = "warm event without anything to do: processor time"
STORM_PROCESSOR, STORM_MEMORY = "storm: processor time per event", "storm: most memory of an instance"
START, END = "<!-- The table is written by benches/compare.py. -->\n", "<!-- End of the table. -->\n"

# What is measured of each kind, by what it is called: {label: {kind: number}}.
FIGURES = {}


def note(label, kind, figure, unit=""):
    FIGURES.setdefault((label, unit), {})[kind] = figure
    shown = figure if isinstance(figure, str) else f"{figure:,.3f}".rstrip("0").rstrip(".")
    print(f"{label:62} {kind:15} {shown} {unit}".rstrip(), flush=True)


class Bench:
    def __init__(self, binary, telemetry_url, quick, without_cli):
        self.binary, self.quick = binary, quick
        sdk = stage.environment_of_python(ROOT / "tests/sdk/requirements.txt") / "python"
        key = "InstrumentationKey=00000000-0000-0000-0000-000000000001"
        insights = {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"{key};IngestionEndpoint={telemetry_url}/"}
        rivals = stage.HERE / "rivals"
        self.ours = Kind(OURS, [binary, "serve"])
        self.with_telemetry = Kind(WITH_TELEMETRY, [binary, "serve"], lambda azure: insights)
        self.sdk = Kind(SDK, [sdk, rivals / "sdk.py"])
        self.cli = None
        if not without_cli:
            programs = stage.environment_of_python(rivals / "cli-requirements.txt")
            path, cloud = {"PATH": f"{programs}:{os.environ['PATH']}"}, AzureOfCli()
            command = [sys.executable, rivals / "cli.py"]
            self.cli = Kind(CLI, command, lambda azure: {**path, **cloud.environment(azure)})

    def times(self, count):
        return max(1, count // 10) if self.quick else count

    def kinds(self, ours=0, with_telemetry=0, sdk=0, cli=0):
        """Those that a measure is about, and how often each is measured."""
        counts = [(self.ours, ours), (self.with_telemetry, with_telemetry), (self.sdk, sdk), (self.cli, cli)]
        return [(kind, self.times(count)) for kind, count in counts if kind and count]

    def start(self):
        """From the start of the process to the first answer: to the host's question, and to an event."""
        kinds = self.kinds(ours=40, with_telemetry=40, sdk=5, cli=3)
        azure = Azure(self.binary, groups=1, with_records=True)
        seen = {kind.name: [] for kind, _ in kinds}
        for repetition in range(self.times(40)):
            for kind, count in kinds:
                if repetition >= count:
                    continue
                worker = kind.start(azure)
                begun = time.perf_counter()
                worker.invoke("web-1")
                answered = time.perf_counter() - begun
                ready = worker.ready - worker.started
                seen[kind.name].append((ready, answered, worker.processor_seconds(), worker.memory()))
                worker.stop()
        azure.stop()
        for name, runs in seen.items():
            ready, answered, processor, memory = (median(values) for values in zip(*runs, strict=True))
            note(READY, name, ready * 1000, "ms")
            note(ANSWERED, name, (ready + answered) * 1000, "ms")
            note("start: processor time until then", name, processor * 1000, "ms")
            # The memory of a shell worker is that of its commands, which are gone.
            if name != CLI:
                note("memory after 1 event", name, memory, "MB")

    def lives(self):
        """Each case of the cost table, one event after the other, with more and more latency."""
        for latency in LATENCIES:
            kinds = self.kinds(ours=20, sdk=10, cli=2)
            stages = [(kind, count, Azure(self.binary, latency=latency, groups=1)) for kind, count in kinds]
            stages = [(kind, count, azure, kind.start(azure)) for kind, count, azure in stages]
            seen = {}
            for repetition in range(-1, self.times(20)):
                for kind, count, azure, worker in stages:
                    # The first life warms up what can be warm.
                    if repetition >= count or (repetition < 0 and kind is self.cli):
                        continue
                    for case, *figures in life(azure, worker, f"life-{repetition + 2}", kind is self.ours):
                        if repetition >= 0:
                            seen.setdefault((case, kind.name), []).append(figures)
            for _, _, azure, worker in stages:
                worker.stop()
                azure.stop()
            for (case, name), runs in seen.items():
                requests, trips, wall, above, _ = (median(values) for values in zip(*runs, strict=True))
                if latency == LATENCIES[-1]:
                    note(f"{case}: requests, waiting round trips", name, f"{requests:.0f}, {trips:.0f}")
                note(f"{case}, {latency} ms", name, wall * 1000, "ms")
                note(f"{case}, {latency} ms: above the round trips", name, above * 1000, "ms")

    def processor(self):
        """What an event costs that finds nothing to do, in a worker that is warm."""
        azure = Azure(self.binary, groups=20, with_records=True)
        names = [f"web-{number}" for number in range(1, 21)]
        kinds = self.kinds(ours=600, with_telemetry=600, sdk=60, cli=1)
        workers = [(kind, count, kind.start(azure)) for kind, count in kinds]
        seen = {kind.name: [] for kind, _ in kinds}
        for repetition in range(-1, 5):
            for kind, count, worker in workers:
                before = worker.processor_seconds()
                wall = deliver([worker], (names[number % 20] for number in range(count)), 1)
                spent = worker.processor_seconds() - before
                # The first repetition warms up what can be warm.
                if repetition >= 0:
                    seen[kind.name].append((spent / count, wall / count))
        for _, _, worker in workers:
            worker.stop()
        azure.stop()
        for name, runs in seen.items():
            spent, wall = (median(values) for values in zip(*runs, strict=True))
            note(WARM, name, spent * 1e6, "us")
            note("warm event without anything to do: wall time", name, wall * 1e6, "us")

    def storm(self):
        """Events over new groups, to three instances, with 20 ms of latency."""
        for kind, events in self.kinds(ours=2000, with_telemetry=2000, sdk=2000, cli=24):
            # The CLI's is a small one: it takes a minute as it is.
            groups, in_flight = (12, 6) if kind is self.cli else (100, 48)
            azure = Azure(self.binary, latency=20, groups=groups)
            workers = [kind.start(azure) for _ in range(3)]
            names = [f"web-{number % groups + 1}" for number in range(events)]
            before = sum(worker.processor_seconds() for worker in workers)
            wall = deliver(workers, names, in_flight)
            spent = sum(worker.processor_seconds() for worker in workers) - before
            right = {name: azure.records(name) == azure.records_due(name) for name in set(names)}
            assert all(right.values()), (kind.name, right)
            note("storm: events per second", kind.name, events / wall)
            note(STORM_PROCESSOR, kind.name, spent / events * 1e6, "us")
            if kind is not self.cli:
                note(STORM_MEMORY, kind.name, max(it.memory(peak=True) for it in workers), "MB")
            for worker in workers:
                worker.stop()
            azure.stop()

    def memory(self):
        """Whether memory grows with the number of events."""
        names = [f"web-{number}" for number in range(1, 51)]
        for kind, counts in [
            (self.ours, [10_000, 100_000]),
            (self.with_telemetry, [10_000, 100_000]),
            (self.sdk, [10_000]),
        ]:
            azure = Azure(self.binary, groups=50, with_records=True)
            worker, done = kind.start(azure), 0
            for count in counts:
                deliver([worker], (names[n % 50] for n in range(done, self.times(count))), 16)
                done = self.times(count)
                note(f"memory after {self.times(count):,} events", kind.name, worker.memory(), "MB")
            note(f"most memory in {done:,} events", kind.name, worker.memory(peak=True), "MB")
            worker.stop()
            azure.stop()

    def zone_size(self):
        """The same lives in a zone of 10 record sets and in one of 25,000."""
        counts = [10, 24_900]
        stages = [(count, Azure(self.binary, groups=1, record_sets=count)) for count in counts]
        stages = [(count, azure, self.ours.start(azure)) for count, azure in stages]
        seen = {}
        for repetition in range(-1, self.times(40)):
            for count, azure, worker in stages:
                for case, requests, *_, spent in life(azure, worker, f"life-{repetition + 2}", True, False):
                    if repetition >= 0:
                        seen.setdefault((case, count), []).append((requests, spent))
        for _, azure, worker in stages:
            worker.stop()
            azure.stop()
        for case in dict.fromkeys(case for case, _ in seen):
            figures = [[median(values) for values in zip(*seen[case, count], strict=True)] for count in counts]
            requests = ", ".join(f"{requests:.0f}" for requests, _ in figures)
            note(f"zone of 10, of 25,000 record sets: requests, {case}", OURS, requests)
            ratio = figures[1][1] / figures[0][1]
            note(f"zone of 25,000 against 10: processor time, {case}", OURS, ratio, "times")

    def sweep(self):
        """`aci-dns drift` over 2,000 groups in three subscriptions and a zone of 25,000 record sets."""
        zones = {**stage.ZONES[stage.GROUP], "zoneSubscriptionId": stage.SUBSCRIPTION}
        subscriptions = [f"{stage.SUBSCRIPTION[:-1]}{last}" for last in range(3)]
        size = {"groups": 2000, "record_sets": 22_999, "resource_groups": 20, "subscriptions": 3}
        for latency in (0, 20):
            azure = Azure(self.binary, latency=latency, with_records=True, **size)
            settings = {
                **stage.environment(azure),
                "ACI_DNS_ZONES": json.dumps({"rg-spoke*": zones}),
                "ACI_DNS_SUBSCRIPTIONS": ",".join(subscriptions),
            }
            begun = time.perf_counter()
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            child = subprocess.Popen([self.binary, "drift"], env=settings, **silent)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - begun
            assert os.waitstatus_to_exitcode(status) == 0, status
            requests = len(azure.calls())
            azure.stop()
            note(f"sweep of 2,000 groups, {latency} ms", OURS, wall * 1000, "ms")
        note("sweep of 2,000 groups: requests", OURS, requests)
        note("sweep of 2,000 groups: processor time", OURS, (usage.ru_utime + usage.ru_stime) * 1000, "ms")
        note("sweep of 2,000 groups: most memory", OURS, usage.ru_maxrss * 1024 / 1e6, "MB")


def life(azure, worker, name, remembers, has_end=True):
    """The cases of the cost table, in the order of a container group's life: each with its requests, waiting round
    trips, seconds, seconds during which no request was under way, and seconds of the worker's processor."""

    def case(label):
        azure.forget_calls()
        spent, begun = worker.processor_seconds(), time.perf_counter()
        worker.invoke(name)
        wall, spent = time.perf_counter() - begun, worker.processor_seconds() - spent
        calls = azure.calls()
        assert azure.records(name) == azure.records_due(name), (label, azure.records(name), azure.records_due(name))
        return label, len(calls), waiting_round_trips(calls), wall, wall - seconds_in_azure(calls), spent

    azure.create(name)
    yield case("new group")
    yield case("nothing to do")
    azure.move(name)
    yield case("address moved")
    if remembers:
        azure.age_memory(name)
        yield case("forgetting")
    azure.delete(name)
    if has_end:
        yield case("deleted")
        yield case("deleted, nothing left")


def goals(binary):
    """What this handler is to keep, and whether it does: a figure on the clock only on a machine that is quiet."""
    figures = {(label, kind): figure for (label, _), kinds in FIGURES.items() for kind, figure in kinds.items()}
    note("binary", OURS, binary.stat().st_size / 1e6, "MB")
    above = [label for label, kind in figures if kind == OURS and label.endswith(", 20 ms: above the round trips")]
    most = [
        ("binary, in MB", binary.stat().st_size / 1e6, 8),
        ("ready, telemetry included, in ms", figures.get((READY, WITH_TELEMETRY)), 5),
        ("ready, and the first event answered, in ms", figures.get((ANSWERED, WITH_TELEMETRY)), 20),
        ("processor time of a warm event without anything to do, in us", figures.get((WARM, OURS)), 300),
        *((f"{label}, in ms", figures[label, OURS], 1) for label in above),
        ("memory in a storm, telemetry included, in MB", figures.get((STORM_MEMORY, WITH_TELEMETRY)), 16),
    ]
    least = [(SDK, 10), (CLI, 100)]
    for label, figure, goal in most:
        if figure is not None:
            print(f"{'holds' if figure <= goal else 'DOES NOT HOLD':14} {label}: {figure:.2f}, at most {goal}")
    for kind, goal in least:
        for label in (WARM, STORM_PROCESSOR):
            if (label, kind) in figures:
                ratio = figures[label, kind] / figures[label, OURS]
                verdict = "holds" if ratio >= goal else "DOES NOT HOLD"
                print(f"{verdict:14} {label}, {kind} against ours: {ratio:.1f}, at least {goal}")


def table():
    """The figures as ratios to ours; counts and memory as they are. What differs with the latency is shown at 20 ms."""
    rows = ["| | aci-dns | Python, warm | Azure CLI per event |", "|---|---|---|---|"]
    for (label, unit), figures in FIGURES.items():
        ours = figures.get(OURS)
        if ours is None or SDK not in figures or "above" in label or label.endswith((", 0 ms", ", 50 ms", "wall time")):
            continue
        cells = [show(figures.get(kind), ours, unit) for kind in (OURS, SDK, CLI)]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def show(figure, ours, unit):
    if figure is None:
        return ""
    if isinstance(figure, str):
        return figure
    if unit == "MB":
        return f"{figure:.0f} MB"
    ratio = figure / ours
    return "1" if figure is ours else f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def main():
    # So that whoever ends this ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, help="measure this one instead of building one")
    arguments.add_argument("--only", action="append", help="only this measure; may be repeated")
    arguments.add_argument("--without-cli", action="store_true", help="without the Azure CLI, which takes minutes")
    arguments.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    arguments.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    given = arguments.parse_args()
    binary = given.binary.resolve() if given.binary else build()
    with stage.telemetry_sink() as telemetry_url:
        bench = Bench(binary, telemetry_url, given.quick, given.without_cli)
        for measure in ["start", "lives", "processor", "storm", "memory", "zone_size", "sweep"]:
            if not given.only or measure in given.only:
                getattr(bench, measure)()
    print()
    goals(binary)
    print(f"\n{table()}")
    if given.write:
        write()


def build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return pathlib.Path(target) / "release/aci-dns"


def write():
    page = ROOT / "docs" / "performance.md"
    text = page.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main()
