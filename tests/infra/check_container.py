"""Checks the container image and the container group that runs it, as far as possible without a container engine.

    python3 tests/infra/check_container.py ZIP ACI_DNS

The Dockerfile's instructions are carried out by hand: what it copies, from the package ZIP and from another image, goes
into an empty folder, which becomes the root of a process of the image's user. The manifest is read by Microsoft's own
models, which are generated from the API's description. Then the manifest's container runs in the image, with its
command and its environment, beside a simulator (of ACI_DNS, a binary) to which that very group is deployed: it has to
wait for the address, write both records, and end.

Not checked: that a container engine builds the image, and what Azure makes of the group.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml
from azure.mgmt.containerinstance import models
from check_package import AUTHORITIES, PATIENCE_SECONDS, check, check_static, free_port, running
from check_package import request as ask

FOLDER = Path(__file__).resolve().parent.parent.parent / "infra" / "container"
DOCKERFILE = FOLDER / "Dockerfile"
MANIFEST = FOLDER / "group.yaml"


def instructions() -> list[list[str]]:
    lines = DOCKERFILE.read_text().splitlines()
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def build(package: Path, image: Path) -> tuple[int, int]:
    """Executes the Dockerfile, and returns user and group of the image."""
    froms = [at for at, words in enumerate(instructions()) if words[0] == "FROM"]
    stages = {words[-1] for words in instructions() if words[0] == "FROM"}
    *_, last = froms
    first, *rest = instructions()[last:]
    check(first == ["FROM", "scratch"], f"the image is built upon {first}")
    user = None
    for keyword, *words in rest:
        if keyword == "COPY":
            *options, source, target = words
            options = dict(option.removeprefix("--").split("=") for option in options)
            place = image / target.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if "from" in options:
                check(options["from"] in stages, f"there is no stage {options['from']}")
                # From another image, which is missing here: this machine has the same file.
                check(Path(source) == AUTHORITIES, f"{source} is not known to be in that image")
                shutil.copyfile(source, place)
            else:
                with zipfile.ZipFile(package) as archive:
                    place.write_bytes(archive.read(source))
            place.chmod(int(options.get("chmod", "0644"), 8))
        elif keyword == "USER":
            user = [int(number) for number in words[0].split(":")]
        elif keyword == "ENTRYPOINT":
            # In exec form: there is no shell.
            entrypoint = json.loads(DOCKERFILE.read_text().split("ENTRYPOINT ")[1])
            check((image / entrypoint[0].removeprefix("/")).is_file(), f"there is no {entrypoint[0]}")
        else:
            sys.exit(f"what {keyword} does is not known here")
    check(user is not None and len(user) == 2 and 0 not in user, f"the image runs as {user}")
    return tuple(user)


def check_known(given: object, kind: str, place: str) -> None:
    """Checks that every key is in the API, and every enum value is in its list."""
    if kind.startswith("[") or kind.startswith("{"):
        inner = kind[1:-1]
        items = given.items() if kind.startswith("{") else enumerate(given)
        for key, item in items:
            check_known(item, inner, f"{place}.{key}")
        return
    model = getattr(models, kind, None)
    if model is None or not hasattr(model, "_attribute_map"):
        return
    known = {}
    for attribute in model._attribute_map.values():
        outer, _, inner = attribute["key"].partition(".")
        if inner:
            known.setdefault(outer, {})[inner] = attribute["type"]
        else:
            known[outer] = attribute["type"]
    required = {
        model._attribute_map[name]["key"] for name, rules in model._validation.items() if rules.get("required")
    }
    paths = set(given) | {f"properties.{key}" for key in given.get("properties", {})}
    check(required <= paths, f"{place}: {required - paths} is missing")
    for key, value in given.items():
        check(key in known, f"{place}: the API knows no {key}")
        if isinstance(known[key], dict):
            for inner, item in value.items():
                check(inner in known[key], f"{place}.{key}: the API knows no {inner}")
                check_known(item, known[key][inner], f"{place}.{key}.{inner}")
        else:
            check_known(value, known[key], f"{place}.{key}")


def check_manifest(manifest: dict) -> dict:
    """Returns the container that runs the image."""
    group = {key: value for key, value in manifest.items() if key != "apiVersion"}
    check_known(group, "ContainerGroup", "")
    check(manifest["apiVersion"] == "2023-05-01", "the version that the models are of")
    check(group["type"] == "Microsoft.ContainerInstance/containerGroups", group["type"])
    properties = group["properties"]
    check(properties["restartPolicy"] in list(models.ContainerGroupRestartPolicy), properties["restartPolicy"])
    check(properties["restartPolicy"] == "OnFailure", "what is done must not be started again")
    check(properties["ipAddress"]["type"] == "Private", "only a private address has a place in the zones")
    check(not properties.get("initContainers"), "an init container has neither an identity nor an address")
    return next(container for container in properties["containers"] if container["name"] == "aci-dns")["properties"]


def check_runs(image: Path, user: tuple[int, int], manifest: dict, container: dict, simulator: str) -> None:
    azure = free_port()
    variables = {variable["name"]: variable["value"] for variable in container["environmentVariables"]}
    variables |= {
        "ACI_DNS_ARM_ENDPOINT": f"http://127.0.0.1:{azure}/",
        "IDENTITY_ENDPOINT": f"http://127.0.0.1:{azure}/msi/token",
        "IDENTITY_HEADER": "simulator",
    }
    if os.geteuid() == 0:
        command = container["command"]

        def enter() -> None:
            os.chroot(image)
            os.chdir("/")
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])

        where = {"preexec_fn": enter}
    else:
        print("NOT CHECKED: that the image needs no file of this machine, because only root may chroot.")
        command = [str(image / container["command"][0].removeprefix("/")), *container["command"][1:]]
        where = {}
    simulate = [simulator, "simulate", "--port", str(azure), "--no-token", "--groups", "1", "--provisioning", "2"]
    with running(simulate, azure, stdout=subprocess.DEVNULL):
        group = container["command"][-1]
        body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "name", "type")}
        path = f"{group}?api-version={manifest['apiVersion']}"
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        status, _, answer = ask(azure, "PUT", path, json.dumps(body).encode(), headers)
        check(status == 201, f"{status} {answer!r}")
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, **where
        )
        output = f"{done.returncode} {done.stdout} {done.stderr}"
        check(done.returncode == 0 and done.stdout.startswith("changed: ") and not done.stderr, output)
        zones = ask(azure, "GET", "/simulator/zones")[2].decode()
        name = f"{manifest['name']}.{json.loads(variables['ACI_DNS_ZONES'])['rg-spoke1']['forwardZone']}"
        for record in (f"A {name} 60 10.1.5.", f" 60 {name} aci-dns-owner="):
            check(record in zones, f"no {record} in {zones}")
    print(done.stdout.strip())


if __name__ == "__main__":
    _, package, simulator = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        image.mkdir()
        image.chmod(0o755)
        Path(folder).chmod(0o755)
        user = build(Path(package), image)
        check_static(image / "aci-dns")
        manifest = yaml.safe_load(MANIFEST.read_text())
        container = check_manifest(manifest)
        check_runs(image, user, manifest, container, simulator)
