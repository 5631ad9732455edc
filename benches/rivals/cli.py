"""The same function as a shell script that runs the Azure CLI, started for each event."""

import pathlib
import subprocess

import worker

SCRIPT = pathlib.Path(__file__).with_name("cli.sh")


def reconcile(_subscription, resource_group, name):
    zones = worker.Zones(resource_group)
    known = [zones.resource_group, zones.forward, zones.reverse, str(zones.ttl)]
    done = subprocess.run(["bash", SCRIPT, resource_group, name, *known], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


worker.serve(reconcile)
