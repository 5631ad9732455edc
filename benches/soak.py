#!/usr/bin/env python3
"""A soak of the real process: many events, and what it holds meanwhile.

    python3 benches/soak.py                              # builds, 1,000,000 events
    python3 benches/soak.py --binary FILE --events 20000

One instance of the handler works in front of `aci-dns simulate`. It gets events of 200 groups, 64 at once; every
hundredth event moves its group before. After each tenth of the events, a line shows events per second, and the memory,
open files and connections of the handler. They must not grow: the last line is compared with the first. At the end the
records of all groups must be right.
"""

import argparse
import os
import pathlib
import sys

import stage
from compare import build
from stage import Azure, Kind, deliver

GROUPS, IN_FLIGHT, LINES = 200, 64, 10


def files(worker):
    """The numbers of open files and of sockets."""
    links = []
    for entry in pathlib.Path(f"/proc/{worker.child.pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:
            continue
    return len(links), sum(link.startswith("socket:") for link in links)


def names(azure, events):
    for number in range(events):
        name = f"web-{number % GROUPS + 1}"
        if number % 100 == 0:
            azure.move(name)
        yield name


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, help="use this one instead of building one")
    arguments.add_argument("--events", type=int, default=1_000_000)
    given = arguments.parse_args()
    binary = given.binary.resolve() if given.binary else build()
    azure = Azure(binary, groups=GROUPS, with_records=True)
    worker = Kind("aci-dns", [binary, "serve"]).start(azure)
    deliver([worker], (f"web-{number}" for number in range(1, GROUPS + 1)), IN_FLIGHT)
    print("| events | events per second | memory | open files | of them sockets |\n|---|---|---|---|---|")
    held = []
    share = given.events // LINES
    for line in range(1, LINES + 1):
        seconds = deliver([worker], names(azure, share), IN_FLIGHT)
        memory, (opened, sockets) = worker.memory(), files(worker)
        held.append((memory, opened))
        print(f"| {line * share:,} | {share / seconds:,.0f} | {memory:.1f} MB | {opened} | {sockets} |", flush=True)
    deliver([worker], (f"web-{number}" for number in range(1, GROUPS + 1)), IN_FLIGHT)
    wrong = [name for name in (f"web-{number}" for number in range(1, GROUPS + 1))
             if azure.records(name) != azure.records_due(name)]
    worker.stop()
    azure.stop()
    (first_memory, first_opened), (last_memory, last_opened) = held[0], held[-1]
    grows = last_memory > first_memory * 1.2 + 1 or last_opened > first_opened + 16
    print(f"wrong: {wrong or 'none'}; {'IT GROWS' if grows else 'nothing grows'}")
    sys.exit(1 if wrong or grows else 0)


if __name__ == "__main__":
    main()
