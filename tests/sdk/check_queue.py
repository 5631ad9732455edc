"""Checks that the simulator's storage queues are queues to Microsoft's own client, and to a queue of others.

The same calls go to `aci-dns simulate` and to Azurite, Microsoft's emulator of the storage services: the Python client
must find its way with both, and the answers to requests that are written by hand must be the same, status by status and
element by element, except for the differences that `DIFFERENT` lists.

    pip install --requirement tests/sdk/requirements.txt
    npm install --prefix FOLDER azurite
    python tests/sdk/check_queue.py target/debug/aci-dns FOLDER/node_modules/azurite
"""

import base64
import datetime
import difflib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from xml.etree import ElementTree

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.storage.queue import (
    AccountSasPermissions,
    QueueClient,
    QueueSasPermissions,
    QueueServiceClient,
    ResourceTypes,
    TextBase64DecodePolicy,
    TextBase64EncodePolicy,
    generate_account_sas,
    generate_queue_sas,
)

# The well-known account of Azurite, which the simulator has, too.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
EVERYTHING = {name: True for name in ("read", "write", "delete", "list", "add", "create", "update", "process")}
# How long a service may take to do what it does by itself.
PATIENCE_SECONDS = 20


def soon():
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)


def signature(**permissions):
    """A shared access signature for the whole account."""
    everywhere = ResourceTypes(service=True, container=True, object=True)
    return generate_account_sas(ACCOUNT, KEY, everywhere, AccountSasPermissions(**permissions), soon())


class Service:
    """A queue service that was started, at `url`."""

    def __init__(self, command, says):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if found := re.search(says, line):
                self.address = found.group(1)
                self.url = f"http://{self.address}/{ACCOUNT}"
                return
        self.stop()
        raise SystemExit(f"{command[0]} does not say where it is")

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait(timeout=10)

    def queue(self, name, credential=KEY, **options):
        return QueueClient(self.url, name, credential=credential, **options)


def simulator(binary):
    return Service([binary, "simulate", "--port", "0"], r"http://(127\.0\.0\.1:\d+)")


def azurite(package, folder):
    main = os.path.join(package, "dist", "src", "queue", "main.js")
    options = ["--queuePort", "0", "--location", folder, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    return Service(["node", main, *options], r"successfully listens on http://(127\.0\.0\.1:\d+)")


class Queues:
    """What Microsoft's client does with a queue."""

    service: Service

    def setUp(self):
        # Each test has a queue of its own, named after it.
        self.name = self.id().rsplit(".", 1)[-1].replace("_", "-")[:63].strip("-")
        self.queue = self.service.queue(self.name)
        self.queue.create_queue()
        self.addCleanup(self.queue.delete_queue)

    def failure(self, kind, status, code, operation, *arguments, **options):
        with self.assertRaises(HttpResponseError) as caught:
            operation(*arguments, **options)
        error = caught.exception
        self.assertEqual((type(error), error.status_code, error.error_code), (kind, status, code), error)

    def receive(self, queue=None, **options):
        """The next message, as soon as there is one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if message := (queue or self.queue).receive_message(**options):
                return message
            time.sleep(0.05)
        raise AssertionError("there is no message")

    def test_a_message_is_read_as_it_was_sent(self):
        text = 'é <&>"\' {"version":1}\n'
        sent = self.queue.send_message(text, time_to_live=-1)
        got = self.receive(visibility_timeout=60)
        self.assertEqual((got.id, got.content, got.dequeue_count), (sent.id, text, 1))
        self.assertEqual(got.expires_on.year, 9999)
        self.queue.delete_message(got)
        self.assertIsNone(self.queue.receive_message())

    def test_messages_in_base64(self):
        coded = {"message_encode_policy": TextBase64EncodePolicy(), "message_decode_policy": TextBase64DecodePolicy()}
        queue = self.service.queue(self.name, **coded)
        queue.send_message('{"version":1}')
        raw = self.queue.peek_messages()[0]
        self.assertEqual(base64.b64decode(raw.content), b'{"version":1}')
        self.assertEqual(self.receive(queue).content, '{"version":1}')

    def test_a_message_is_invisible_until_its_time(self):
        self.queue.send_message("later", visibility_timeout=2)
        self.assertEqual(self.queue.peek_messages(), [])
        self.assertEqual(self.queue.get_queue_properties().approximate_message_count, 1)
        self.assertEqual(self.receive(visibility_timeout=1).dequeue_count, 1)
        self.assertEqual(self.receive(visibility_timeout=60).dequeue_count, 2)

    def test_a_message_expires(self):
        self.queue.send_message("short", time_to_live=1)
        self.queue.send_message("long")
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.queue.peek_messages(32)) > 1 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual([message.content for message in self.queue.peek_messages(32)], ["long"])

    def test_an_update_hides_a_message_again_and_changes_it(self):
        self.queue.send_message("first")
        got = self.receive(visibility_timeout=60)
        updated = self.queue.update_message(got, content="second", visibility_timeout=0)
        self.assertNotEqual(updated.pop_receipt, got.pop_receipt)
        self.failure(HttpResponseError, 400, "PopReceiptMismatch", self.queue.delete_message, got)
        again = self.receive()
        self.assertEqual((again.id, again.content, again.dequeue_count), (got.id, "second", 2))

    def test_messages_are_received_page_by_page(self):
        texts = [str(number) for number in range(40)]
        for text in texts:
            self.queue.send_message(text)
        pages = [[item.content for item in page] for page in self.queue.receive_messages(messages_per_page=32).by_page()]
        self.assertEqual([len(page) for page in pages if page], [32, 8])
        self.assertEqual(sorted(text for page in pages for text in page), sorted(texts))
        self.queue.clear_messages()
        self.assertEqual(self.queue.get_queue_properties().approximate_message_count, 0)

    def test_what_is_absent_is_not_found(self):
        absent = self.service.queue("absent")
        for operation in [absent.get_queue_properties, absent.receive_message, absent.peek_messages, absent.clear_messages]:
            self.failure(ResourceNotFoundError, 404, "QueueNotFound", operation)
        self.failure(ResourceNotFoundError, 404, "QueueNotFound", absent.send_message, "a")
        gone = self.queue.send_message("a")
        self.queue.delete_message(gone)
        self.failure(ResourceNotFoundError, 404, "MessageNotFound", self.queue.delete_message, gone)

    def test_a_queue_exists_once(self):
        # The client takes 204, "it is there already", for a failure, too.
        with self.assertRaises(ResourceExistsError):
            self.queue.create_queue()
        self.failure(ResourceExistsError, 409, "QueueAlreadyExists", self.queue.create_queue, metadata={"a": "b"})
        self.queue.set_queue_metadata({"team": "dns"})
        self.assertEqual(self.queue.get_queue_properties().metadata, {"team": "dns"})
        service = QueueServiceClient(self.service.url, credential=KEY)
        self.assertIn(self.name, [queue.name for queue in service.list_queues()])

    def test_a_text_has_at_most_64_kib(self):
        self.queue.send_message("a" * 65_536)
        self.failure(HttpResponseError, 413, "RequestBodyTooLarge", self.queue.send_message, "a" * 65_537)

    def test_a_signature_grants_what_it_says(self):
        everything = self.service.queue(self.name, signature(**EVERYTHING))
        everything.send_message("a")
        self.assertEqual(self.receive(everything, visibility_timeout=60).content, "a")
        sender = self.service.queue(self.name, signature(add=True))
        sender.send_message("b")
        mismatch = "AuthorizationPermissionMismatch"
        self.failure(HttpResponseError, 403, mismatch, sender.receive_message)
        self.failure(HttpResponseError, 403, mismatch, sender.get_queue_properties)
        own = generate_queue_sas(ACCOUNT, self.name, KEY, QueueSasPermissions(process=True), soon())
        worker = self.service.queue(self.name, own)
        worker.delete_message(self.receive(worker))
        self.failure(HttpResponseError, 403, mismatch, worker.send_message, "c")
        elsewhere = self.service.queue("elsewhere", own)
        self.failure(ClientAuthenticationError, 403, "AuthenticationFailed", elsewhere.receive_message)
        over = soon() - datetime.timedelta(hours=2)
        late = generate_queue_sas(ACCOUNT, self.name, KEY, QueueSasPermissions(process=True), over)
        late = self.service.queue(self.name, late)
        self.failure(ClientAuthenticationError, 403, "AuthenticationFailed", late.receive_message)

    def test_another_key_is_refused(self):
        other = self.service.queue(self.name, base64.b64encode(b"other").decode())
        self.failure(ClientAuthenticationError, 403, "AuthenticationFailed", other.send_message, "a")


class Simulated(Queues, unittest.TestCase):
    """The simulator's queues, and what only they can do over http."""

    def test_a_token_of_the_managed_identity_is_accepted(self):
        address = f"http://{self.service.address}/msi/token"
        os.environ.update(IDENTITY_ENDPOINT=address, IDENTITY_HEADER="simulator")
        token = ManagedIdentityCredential().get_token("https://storage.azure.com/.default").token
        # By hand, because the client sends tokens over https only.
        headers = {"Authorization": f"Bearer {token}"}
        transcript = Transcript(self.service)
        path = f"/{self.name}/messages"
        put, _ = transcript.ask("put", "POST", path, MESSAGE.format("a"), headers, signed=False)
        self.assertEqual(put.status, 201)
        self.assertEqual(self.receive().content, "a")


class Emulated(Queues, unittest.TestCase):
    """The queues of Azurite."""


# Requests whose answers differ, and why. The simulator answers them as the service documents it.
DIFFERENT = {
    "without credentials": "the service answers 401 NoAuthenticationInformation; Azurite answers 403",
    "a number that is none": "the service names the parameter; Azurite answers 400 without a body",
    "no messages": "as above",
    "without pop receipt": "as above",
    "an unknown operation": "as above",
    "half a document": "the service answers InvalidXmlDocument; Azurite answers 400 without a body",
}
MESSAGE = "<?xml version='1.0' encoding='utf-8'?>\n<QueueMessage><MessageText>{}</MessageText></QueueMessage>"


class Transcript:
    """Requests that are written by hand, and what was answered, without what differs from run to run."""

    def __init__(self, service):
        self.service = service
        self.lines = []
        self.signature = signature(**EVERYTHING)

    def ask(self, what, method, path, body=None, headers=None, signed=True):
        connection = http.client.HTTPConnection(self.service.address, timeout=30)
        target = f"/{ACCOUNT}{path}"
        if signed:
            target += ("&" if "?" in path else "?") + self.signature
        headers = {"x-ms-version": "2024-11-04", **(headers or {})}
        if body is not None:
            headers["Content-Type"] = "application/xml"
        connection.request(method, target, body.encode() if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8-sig")
        connection.close()
        if what not in DIFFERENT:
            names = ["x-ms-error-code", "x-ms-approximate-messages-count", "x-ms-meta-a", "content-type"]
            told = {name: answer.headers.get(name) for name in names if answer.headers.get(name)}
            self.lines += [f"{what}: {answer.status} {told}", *self.elements(text)]
        return answer, text

    @staticmethod
    def elements(text):
        """The elements of a document, one a line, with stand-ins for ids and times."""
        stand_ins = [(r"RequestId:\S+", "RequestId"), (r"Time:\S+", "Time")]
        stand_ins += [(r"\w{3}, (?!31 Dec 9999)\d\d \w{3} \d{4} [\d:]{8} GMT", "a time")]
        lines = []
        for element in ElementTree.fromstring(text).iter() if text else []:
            # Azurite returns it without a request for it.
            if element.tag == "MaxResults":
                continue
            content = (element.text or "").strip()
            for pattern, name in stand_ins:
                content = re.sub(pattern, name, content)
            if element.tag in ("MessageId", "PopReceipt"):
                content = f"is there: {bool(content)}"
            lines.append(f"    {element.tag} {sorted(element.keys())} {content!r}")
        return lines

    def record(self):
        ask, queue, messages = self.ask, "/transcript", "/transcript/messages"
        receipt = lambda text: re.search("<PopReceipt>(.*?)<", text).group(1).replace("+", "%2B")
        ask("create", "PUT", queue)
        ask("create again", "PUT", queue)
        ask("create with metadata", "PUT", queue, headers={"x-ms-meta-a": "b"})
        ask("metadata", "GET", f"{queue}?comp=metadata")
        ask("metadata of nothing", "GET", "/nothing?comp=metadata")
        ask("set metadata", "PUT", f"{queue}?comp=metadata", headers={"x-ms-meta-a": "b"})
        ask("head", "HEAD", f"{queue}?comp=metadata")
        ask("put for ever", "POST", f"{messages}?messagettl=-1", MESSAGE.format("a&amp;b &lt;c&gt; é"))
        ask("put for later", "POST", f"{messages}?visibilitytimeout=60&messagettl=100", MESSAGE.format("later"))
        ask("put nothing", "POST", messages, MESSAGE.format(""))
        ask("put no text", "POST", messages, "<QueueMessage></QueueMessage>")
        ask("put no body", "POST", messages, "")
        ask("half a document", "POST", messages, "<QueueMessage><MessageText>a")
        ask("put into nothing", "POST", "/nothing/messages", MESSAGE.format("a"))
        for value in ["604801", "-1"]:
            ask(f"hidden {value}", "POST", f"{messages}?visibilitytimeout={value}", MESSAGE.format("a"))
        ask("a number that is none", "POST", f"{messages}?visibilitytimeout=x", MESSAGE.format("a"))
        ask("no lifetime", "POST", f"{messages}?messagettl=0", MESSAGE.format("a"))
        ask("hidden for life", "POST", f"{messages}?visibilitytimeout=50&messagettl=50", MESSAGE.format("a"))
        ask("too large", "POST", messages, MESSAGE.format("a" * 65_537))
        ask("peek", "GET", f"{messages}?peekonly=true&numofmessages=32")
        _, got = ask("get", "GET", f"{messages}?visibilitytimeout=30")
        ask("too many messages", "GET", f"{messages}?numofmessages=33")
        ask("no messages", "GET", f"{messages}?numofmessages=0")
        ask("got and not hidden", "GET", f"{messages}?visibilitytimeout=0")
        identity = re.search("<MessageId>(.*?)<", got).group(1)
        message = f"{messages}/{identity}?popreceipt={receipt(got)}"
        updated, _ = ask("update", "PUT", f"{message}&visibilitytimeout=0", MESSAGE.format("changed"))
        self.lines.append(f"update tells {sorted(name for name in updated.headers if name in ('x-ms-popreceipt', 'x-ms-time-next-visible'))}")
        ask("update again", "PUT", f"{message}&visibilitytimeout=0", MESSAGE.format("changed"))
        ask("delete with the old receipt", "DELETE", message)
        ask("delete what is not there", "DELETE", message.replace(identity, "00000000-0000-0000-0000-000000000000"))
        ask("without pop receipt", "DELETE", f"{messages}/{identity}")
        ask("get all", "GET", f"{messages}?numofmessages=32")
        ask("list", "GET", "?comp=list&prefix=transcript")
        ask("clear", "DELETE", messages)
        ask("get none", "GET", messages)
        ask("without credentials", "GET", f"{queue}?comp=metadata", signed=False)
        for name in ["UPPER", "a", "a--b", "abc_d"]:
            ask(f"create {name}", "PUT", f"/{name}")
        ask("an unknown operation", "POST", queue)
        ask("delete", "DELETE", queue)
        ask("delete again", "DELETE", queue)
        return self.lines


class Same(unittest.TestCase):
    """Both services answer the same."""

    services: tuple
    maxDiff = None

    def test_both_answer_requests_by_hand_alike(self):
        ours, theirs = (Transcript(service).record() for service in self.services)
        difference = "\n".join(difflib.unified_diff(theirs, ours, "azurite", "simulator", lineterm="", n=4))
        self.assertEqual(difference, "")
        self.assertGreater(len(ours), 100, "there is something to compare")


class Handler(unittest.TestCase):
    """The handler stores its messages in both queues, and Microsoft's client reads them."""

    services: tuple
    binary: str

    def check(self, service):
        queue = service.queue("aci-dns-retry", message_decode_policy=TextBase64DecodePolicy())
        azure = Service([self.binary, "simulate", "--port", "0", "--groups", "1", "--with-records", "--no-token"], r"http://(127\.0\.0\.1:\d+)")
        self.addCleanup(azure.stop)
        zones = {"forwardZone": "spoke1.contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}
        rights = signature(**{name: True for name in ("read", "write", "add", "create", "process", "update", "delete")})
        os.environ.update({
            "ACI_DNS_ARM_ENDPOINT": f"http://{azure.address}/",
            "IDENTITY_ENDPOINT": f"http://{azure.address}/msi/token",
            "IDENTITY_HEADER": "simulator",
            "ACI_DNS_ZONES": json.dumps({"rg-spoke1": zones}),
            "ACI_DNS_RETRY_QUEUE": f"{service.url}/aci-dns-retry?{rights}",
            "ACI_DNS_RECHECK_SECONDS": "1",
        })
        handler = Service([self.binary, "serve", "--port", "0"], r'"server.address":"(127\.0\.0\.1:\d+)"')
        self.addCleanup(handler.stop)
        subject = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web-1"
        event = {"id": "event-1", "eventType": "Microsoft.Resources.ResourceWriteSuccess", "subject": subject, "data": {"é": "<&>"}}
        connection = http.client.HTTPConnection(handler.address)
        self.addCleanup(connection.close)
        body = json.dumps({"Data": {"eventGridEvent": event}, "Metadata": {}})
        connection.request("POST", "/function_aci_reconcile", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200, answer.read())
        # The handler has created the queue.
        end = time.monotonic() + PATIENCE_SECONDS
        while not (message := queue.receive_message()) and time.monotonic() < end:
            time.sleep(0.05)
        content = json.loads(message.content)
        self.assertEqual(message.expires_on.year, 9999)
        since = content.pop("since")
        self.assertLess(abs(datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(since)).total_seconds(), 60)
        self.assertEqual(content, {"version": 1, "event": event, "attempt": 1, "recheck": True, "rechecks": 1})
        queue.delete_queue()

    def test_microsofts_client_reads_the_messages_of_the_handler(self):
        for service in self.services:
            with self.subTest(service.url):
                self.check(service)


def main():
    if len(sys.argv) < 3:
        raise SystemExit("usage: check_queue.py BINARY AZURITE [unittest arguments]")
    with tempfile.TemporaryDirectory() as folder:
        services = (simulator(sys.argv[1]), azurite(sys.argv[2], folder))
        Simulated.service, Emulated.service = services
        Same.services = Handler.services = services
        Handler.binary = sys.argv[1]
        try:
            outcome = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False).result
        finally:
            codes = [service.stop() for service in services]
    if codes[0] != 0:
        raise SystemExit(f"the simulator ended with {codes[0]}")
    raise SystemExit(0 if outcome.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
