"""Checks the packages as they are published: their contents, and that they run.

    python3 tests/infra/check_package.py ZIP ACI_DNS

The package of the app that updates images stands beside ZIP, with -images in its name.

ZIP is unpacked into an empty folder and started as host.json says, from that folder and with nothing else: as root
in a chroot, so that not even the libraries of this machine are there. The only thing there besides is what every image
that speaks TLS has, the certificates of the authorities. ACI_DNS is a binary whose simulator stands in for Azure. One
event is delivered as the Functions host does it.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "infra"))
import zip as package_writer  # noqa: E402

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
PATIENCE_SECONDS = 30
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def check(is_right: bool, what: object) -> None:
    if not is_right:
        sys.exit(f"{what}")


def check_contents(package: Path, root: Path) -> None:
    functions = sorted(path.name for path in root.glob("function_*"))
    check(len(functions) > 2, f"{root} has the functions {functions}")
    expected = {"aci-dns": 0o100755, "host.json": 0o100644}
    expected |= {f"{function}/function.json": 0o100644 for function in functions}
    with zipfile.ZipFile(package) as archive:
        found = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        check(list(found) == sorted(found), f"the entries are not sorted: {list(found)}")
        check(found == expected, f"the package holds {found}, not {expected}")
        for name in found:
            if name != "aci-dns":
                check(archive.read(name) == (root / name).read_bytes(), f"{name} is not that of the repository")


def check_bytes(package: Path, root: Path) -> None:
    """The same binary gives the same archive, from another path and at another time."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(package) as archive:
        binary = Path(archive.extract("aci-dns", folder))
        os.utime(binary, (0, 0))
        again = Path(folder) / "again.zip"
        package_writer.write(binary, again, root)
        check(again.read_bytes() == package.read_bytes(), "the same files give another archive")


def check_static(binary: Path) -> None:
    """Checks that the binary needs no interpreter and no library: an ELF file without PT_INTERP and DT_NEEDED."""
    image = binary.read_bytes()
    check(image[:6] == b"\x7fELF\x02\x01", "not a 64 bit little-endian ELF file")
    check(int.from_bytes(image[18:20], "little") == 62, "not for x86_64")
    start, size, count = (int.from_bytes(image[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    for header in (image[start + size * index :][:size] for index in range(count)):
        kind, offset, length = (int.from_bytes(header[a:b], "little") for a, b in ((0, 4), (8, 16), (32, 40)))
        check(kind != 3, "the binary asks for an interpreter")
        if kind == 2:
            tags = (image[at : at + 8] for at in range(offset, offset + length, 16))
            check(all(int.from_bytes(tag, "little") != 1 for tag in tags), "the binary asks for a library")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(port: int, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        # The host sends chunks.
        chunks = None if body is None else iter([body[:1000], body[1000:]])
        connection.request(method, path, chunks, headers or {}, encode_chunked=body is not None)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        check(process.poll() is None, f"{process.args} ended with {process.returncode}")
        try:
            request(port, "GET", "/")
            return
        except OSError:
            check(time.monotonic() < deadline, f"{process.args} is not ready")
            time.sleep(0.025)


@contextmanager
def running(arguments: list, port: int, **options):
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, **options)
    try:
        wait_until_ready(process, port)
        yield process
    finally:
        process.kill()
        process.wait()


def event() -> dict:
    group = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1"
        "/providers/Microsoft.ContainerInstance/containerGroups/web-1"
    )
    return {
        "id": "e1",
        "topic": f"/subscriptions/{SUBSCRIPTION}",
        "subject": group,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-02T03:04:05.1234567Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {"operationName": "Microsoft.ContainerInstance/containerGroups/write"},
    }


def push() -> dict:
    """An image that no container group uses: what the app does with one that is used, other tests tell."""
    return {
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "topic": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-registry"
        "/providers/Microsoft.ContainerRegistry/registries/demo",
        "subject": "app:v1",
        "eventType": "Microsoft.ContainerRegistry.ImagePushed",
        "eventTime": "2026-01-02T03:04:05.1234567Z",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "data": {
            "id": "31c51664-e5bd-416a-a5df-e5206bc47ed0",
            "timestamp": "2026-01-02T03:04:05.1234567Z",
            "action": "push",
            "target": {"digest": f"sha256:{'ab' * 32}", "repository": "app", "tag": "v1"},
            "request": {"host": "demo.azurecr.io", "method": "PUT"},
        },
    }


def invoke(port: int, function: str, event: dict) -> None:
    body = {"Data": {"eventGridEvent": event}, "Metadata": {"data": event["data"], "sys": {}}}
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Transfer-Encoding": "chunked",
        "X-Azure-Functions-InvocationId": "83a33220-a921-460a-bec0-b3f043dcf1ff",
        "traceparent": "00-bb2bd5eef54cb15a1506d0326d2489e7-d3f54c84c7034d76-00",
    }
    status, kind, answer = request(port, "POST", f"/{function}", json.dumps(body).encode(), headers)
    check(status == 200 and kind.startswith("application/json"), f"{status} {kind} {answer!r}")
    answer = json.loads(answer)
    check(sorted(answer) == ["Logs", "Outputs", "ReturnValue"], answer)


# What the function of each app is given, and the outcome.
APPS = {
    "": (
        ROOT,
        "function_aci_reconcile",
        event(),
        {
            "ACI_DNS_ZONES": json.dumps(
                {
                    f"{SUBSCRIPTION}/rg-spoke1": {
                        "forwardZone": "spoke1.contoso.internal",
                        "reverseZones": ["1.10.in-addr.arpa"],
                        "zoneResourceGroup": "rg-dns",
                    }
                }
            )
        },
        "changed",
    ),
    "-images": (
        ROOT / "apps" / "images",
        "function_image_pushed",
        push(),
        {"ACI_DNS_IMAGES": json.dumps({f"{SUBSCRIPTION}/rg-spoke1": {"registries": ["demo.azurecr.io"]}})},
        "ignored",
    ),
}


def check_runs(package: Path, simulator: str, function: str, event: dict, settings: dict, outcome: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        app = image / "app"
        app.mkdir(parents=True)
        with zipfile.ZipFile(package) as archive:
            for entry in archive.infolist():
                archive.extract(entry, app)
                (app / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
        check_static(app / "aci-dns")

        host = json.loads((app / "host.json").read_text())
        check(host["version"] == "2.0", host)
        description = host["customHandler"]["description"]
        executable = description["defaultExecutablePath"]
        check(os.access(app / executable, os.X_OK), f"{executable} may not be executed")

        azure, handler = free_port(), free_port()
        variables = {
            "FUNCTIONS_CUSTOMHANDLER_PORT": str(handler),
            "FUNCTIONS_CUSTOMHANDLER_WORKER_ID": "83a33220",
            "ACI_DNS_ARM_ENDPOINT": f"http://127.0.0.1:{azure}/",
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{azure}/msi/token",
            "IDENTITY_HEADER": "simulator",
            **settings,
        }
        if os.geteuid() == 0:
            (image / AUTHORITIES.relative_to("/")).parent.mkdir(parents=True)
            shutil.copy(AUTHORITIES, image / AUTHORITIES.relative_to("/"))
            command = [f"/app/{executable}", *description.get("arguments", [])]
            where = {"preexec_fn": lambda: (os.chroot(image), os.chdir("/app"))}
        else:
            print("NOT CHECKED: that the package needs no file of this machine, because only root may chroot.")
            command = [str(app / executable), *description.get("arguments", [])]
            where = {"cwd": app}
        simulate = [simulator, "simulate", "--port", str(azure), "--provisioning", "0", "--groups", "1"]
        lines = (Path(folder) / "stdout", Path(folder) / "stderr")
        with (
            running(simulate, azure, stdout=subprocess.DEVNULL),
            lines[0].open("wb") as stdout,
            lines[1].open("wb") as stderr,
            running(command, handler, env=variables, stdout=stdout, stderr=stderr, **where) as process,
        ):
            invoke(handler, function, event)
            process.send_signal(signal.SIGTERM)
            check(process.wait(PATIENCE_SECONDS) == 0, f"SIGTERM ended it with {process.returncode}")
        outcomes = [json.loads(line) for line in lines[0].read_text().splitlines()]
        outcomes = [line for line in outcomes if "outcome" in line]
        check([line["outcome"] for line in outcomes] == [outcome], outcomes)
        check(lines[1].read_text() == "", lines[1].read_text())
        print(f"{outcomes[0]['message']}: {', '.join(outcomes[0].get('plan', []))}")


if __name__ == "__main__":
    _, first, simulator = sys.argv
    for suffix, (root, function, event, settings, outcome) in APPS.items():
        package = Path(first).with_name(f"{Path(first).stem}{suffix}.zip")
        check_contents(package, root)
        check_bytes(package, root)
        check_runs(package, simulator, function, event, settings, outcome)
