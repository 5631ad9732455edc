"""The stage of the comparison: a simulated Azure, the workers in front of it, and whoever delivers events."""

import atexit
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "aci-dns"

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP, ZONES_GROUP = "rg-spoke1", "rg-dns"
FORWARD, REVERSE = "spoke1.contoso.internal", "1.10.in-addr.arpa"
ZONES = {GROUP: {"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": ZONES_GROUP}}
DNS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{ZONES_GROUP}/providers/Microsoft.Network/privateDnsZones"
TICK = os.sysconf("SC_CLK_TCK")


def group_id(name):
    """The resource id of a container group."""
    provider = "Microsoft.ContainerInstance/containerGroups"
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{provider}/{name}"


def reverse_name(address):
    """The relative name of an address in the reverse zone."""
    return ".".join(reversed(address.split("."))).removesuffix(".1.10")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Process:
    """A process, and what it uses."""

    def __init__(self, command, environment=None, stdout=subprocess.DEVNULL):
        clean = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LANG": "C.UTF-8"}
        self.started = time.perf_counter()
        atexit.register(self.stop)
        self.child = subprocess.Popen(command, env={**clean, **(environment or {})}, stdout=stdout, text=True)

    def processor_seconds(self):
        """Its own, and those of the children that it waited for."""
        of = pathlib.Path(f"/proc/{self.child.pid}")
        stat = of.joinpath("stat").read_text().rpartition(")")[2].split()
        # In nanoseconds, but without threads that have ended; the kernel's sum of all is in hundredths of a second.
        living = sum(int(path.read_text().split()[0]) for path in of.glob("task/*/schedstat")) / 1e9
        return max(living, sum(map(int, stat[11:13])) / TICK) + sum(map(int, stat[13:15])) / TICK

    def memory(self, peak=False):
        """Resident megabytes."""
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", status)[1]) * 1024 / 1e6

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Azure(Process):
    """`aci-dns simulate`, and what people and the platform do in it."""

    def __init__(self, binary, **options):
        """`options` are those of `aci-dns simulate`."""
        options = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        given = [name if value is True else f"{name}={value}" for name, value in options.items()]
        fixed = ["--port=0", "--provisioning=0", "--no-token"]
        super().__init__([binary, "simulate", *given, *fixed], stdout=subprocess.PIPE)
        self.url = re.search(r"http://127\.0\.0\.1:\d+", self.child.stdout.readline()).group()
        self.port = int(self.url.rpartition(":")[2])

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in (b"{", b"[") else text.decode()

    def create(self, name):
        container = {"image": "web", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}, "ports": [{"port": 80}]}
        properties = {"osType": "Linux", "containers": [{"name": "web", "properties": container}]}
        properties["ipAddress"] = {"type": "Private", "ports": [{"port": 80, "protocol": "TCP"}]}
        properties["subnetIds"] = [{"id": f"/subscriptions/{SUBSCRIPTION}/subnets/containers"}]
        body = {"location": "westeurope", "properties": properties}
        self.call("PUT", f"{group_id(name)}?api-version=2023-05-01", body)

    def delete(self, name):
        self.call("DELETE", f"{group_id(name)}?api-version=2023-05-01")

    def move(self, name):
        self.call("POST", "/simulator/groups/move", {"id": group_id(name)})

    def age_memory(self, name):
        """Makes what an A record set remembers ten minutes older."""
        path = f"{DNS}/{FORWARD}/A/{name}?api-version=2024-06-01"
        read = self.call("GET", path)["properties"]
        metadata = read["metadata"]
        metadata["aci-dns-previous"] = re.sub(
            r"@(\d+)", lambda since: f"@{int(since[1]) - 600}", metadata["aci-dns-previous"]
        )
        kept = {key: read[key] for key in ("ttl", "metadata", "aRecords")}
        self.call("PUT", path, {"properties": kept})

    def address(self, name):
        groups = self.call("GET", "/simulator/groups")
        return next((group["address"] for group in groups if group["id"].endswith(f"/{name}")), None)

    def records(self, name):
        """The records of a group, without metadata."""
        lines = (line.split()[:4] for line in self.call("GET", "/simulator/zones").splitlines())
        fqdn = f"{name}.{FORWARD}"
        return sorted(tuple(line) for line in lines if fqdn in line)

    def records_due(self, name):
        address = self.address(name)
        if not address:
            return []
        fqdn = f"{name}.{FORWARD}"
        return [("A", fqdn, "60", address), ("PTR", f"{reverse_name(address)}.{REVERSE}", "60", fqdn)]

    def forget_calls(self):
        self.call("DELETE", "/simulator/calls")

    def calls(self):
        """When each request came and was answered, in seconds."""
        calls = self.call("GET", "/simulator/calls")
        return [(call["arrivedSeconds"], call["answeredSeconds"]) for call in calls]


def waiting_round_trips(calls):
    """How many requests waited for each other: the most of which no two were under way together."""
    count, free = 0, -1.0
    for arrived, answered in sorted(calls, key=lambda call: call[1]):
        if arrived >= free:
            count, free = count + 1, answered
    return count


def seconds_in_azure(calls):
    """How long at least one request was under way."""
    total, end = 0.0, -1.0
    for arrived, answered in sorted(calls):
        total += max(0.0, answered - max(arrived, end))
        end = max(end, answered)
    return total


class Line:
    """A connection of the Functions host to a worker, kept open."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def invoke(self, event):
        body = json.dumps({"Data": {"eventGridEvent": event}, "Metadata": {}})
        head = (
            "POST /function_aci_reconcile HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"x-azure-functions-invocationid: {event['id']}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        if not self.socket:
            self.socket = socket.create_connection(("127.0.0.1", self.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.settimeout(120)
        self.socket.sendall((head + body).encode())
        answer = b""
        while True:
            answer += self.socket.recv(65536) or self.broken(answer)
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head)[1]):
                break
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"an invocation failed: {answer.decode()}")

    def broken(self, answer):
        raise RuntimeError(f"the connection broke after {answer!r}")


EVENTS = iter(range(1, 1 << 62))


def event(name):
    """An event as Event Grid sends it for a container group."""
    operation = "Microsoft.ContainerInstance/containerGroups/write"
    return {
        "id": f"00000000-0000-0000-0000-{next(EVENTS):012}",
        "subject": group_id(name),
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-01T00:00:00Z",
        "topic": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "resourceUri": group_id(name),
            "resourceProvider": "Microsoft.ContainerInstance",
            "operationName": operation,
            "status": "Succeeded",
            "subscriptionId": SUBSCRIPTION,
            "tenantId": "11111111-1111-1111-1111-111111111111",
        },
    }


class Worker(Process):
    """An instance of a worker, ready to be invoked."""

    def __init__(self, command, environment):
        self.port = free_port()
        super().__init__(command, {**environment, "FUNCTIONS_CUSTOMHANDLER_PORT": str(self.port)})
        while not self.is_ready():
            if self.child.poll() is not None:
                raise RuntimeError(f"{command} ended with {self.child.returncode}")
            time.sleep(0.0002)
        self.ready = time.perf_counter()
        self.line = Line(self.port)

    def is_ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def invoke(self, name):
        self.line.invoke(event(name))


class Kind:
    """A kind of worker: how it is started in front of an Azure."""

    def __init__(self, name, command, environment=lambda azure: {}):
        self.name, self.command, self.environment = name, command, environment

    def start(self, azure):
        return Worker(self.command, {**environment(azure), **self.environment(azure)})


def environment(azure):
    """The settings of a worker in front of an Azure, as the platform gives them."""
    return {
        "ACI_DNS_ZONES": json.dumps(ZONES),
        "ACI_DNS_ARM_ENDPOINT": f"{azure.url}/",
        "IDENTITY_ENDPOINT": f"{azure.url}/msi/token",
        "IDENTITY_HEADER": "simulator",
    }


def deliver(workers, names, in_flight):
    """Delivers an event for each name, so many at once, and says how long it took."""
    names, lock = iter(names), threading.Lock()
    failures = []

    def work(worker):
        line = Line(worker.port)
        while not failures:
            with lock:
                name = next(names, None)
            if name is None:
                return
            try:
                line.invoke(event(name))
            except Exception as error:  # Told below: a thread tells nobody.
                failures.append(error)

    started = time.perf_counter()
    threads = [threading.Thread(target=work, args=(workers[n % len(workers)],)) for n in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def environment_of_python(*requirements):
    """A virtual environment with these packages, made once, and its folder of programs."""
    text = "".join(pathlib.Path(file).read_text() for file in requirements)
    folder = CACHE / f"bench-{zlib.crc32(text.encode()):08x}"
    if not (folder / "complete").exists():
        print(f"installing {', '.join(map(str, requirements))}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--root-user-action=ignore"]
        files = [argument for file in requirements for argument in ("--requirement", file)]
        subprocess.run([*pip, *options, *files], check=True)
        (folder / "complete").touch()
    return folder / "bin"


class Sink(BaseHTTPRequestHandler):
    """Takes whatever telemetry comes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"itemsReceived":1,"itemsAccepted":1,"errors":[]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def telemetry_sink():
    """The URL of a server that takes telemetry, in a process of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    server.server_close()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    process.terminate()


class AzureOfCli:
    """What the Azure CLI needs to take the simulator for a cloud: TLS, a registered cloud, and a signed-in identity."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="aci-dns-bench-")
        self.path = pathlib.Path(self.folder.name)
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        files = ["-keyout", self.path / "key.pem", "-out", self.path / "certificate.pem"]
        subprocess.run([*new, *files], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path / "certificate.pem", self.path / "key.pem")

    def environment(self, azure):
        """The variables of a CLI that talks to this simulator."""
        port = self.terminate_tls(azure.port)
        endpoint = f"https://localhost:{port}"
        configuration = self.path / str(port)
        configuration.mkdir()
        names = ["management", "resource_manager", "active_directory", "active_directory_graph_resource_id"]
        names += ["microsoft_graph_resource_id", "sql_management", "gallery"]
        endpoints = "".join(f"endpoint_{name} = {endpoint}\n" for name in names)
        audience = "endpoint_active_directory_resource_id = https://management.azure.com/\n"
        cloud = f"[bench]\n{endpoints}{audience}profile = latest\nsubscription = {SUBSCRIPTION}\n"
        (configuration / "clouds.config").write_text(cloud)
        core = "[core]\ninstance_discovery = false\ncollect_telemetry = false\n"
        (configuration / "config").write_text(f"[cloud]\nname = bench\n{core}")
        user = {"name": "systemAssignedIdentity", "type": "servicePrincipal", "assignedIdentityInfo": "MSI"}
        tenant = "11111111-1111-1111-1111-111111111111"
        account = {"id": SUBSCRIPTION, "name": "bench", "state": "Enabled", "user": user, "isDefault": True}
        account |= {"tenantId": tenant, "homeTenantId": tenant, "environmentName": "bench", "managedByTenants": []}
        (configuration / "azureProfile.json").write_text(json.dumps({"subscriptions": [account]}))
        return {
            "AZURE_CONFIG_DIR": str(configuration),
            "REQUESTS_CA_BUNDLE": str(self.path / "certificate.pem"),
        }

    def terminate_tls(self, target):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def talk(plain):
            with contextlib.suppress(OSError):
                near = self.context.wrap_socket(plain, server_side=True)
                far = socket.create_connection(("127.0.0.1", target))
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=pump, args=(far, near), daemon=True).start()
                pump(near, far)

        def accept():
            while True:
                plain, _ = listener.accept()
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=talk, args=(plain,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]
