"""A custom handler in Python: the invocation protocol of the Functions host, and nothing else."""

import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ID = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.ContainerInstance/containerGroups/([^/]+)$",
    re.IGNORECASE,
)


class Zones:
    """What `ACI_DNS_ZONES` says of a resource group."""

    def __init__(self, resource_group):
        zones = json.loads(os.environ["ACI_DNS_ZONES"])[resource_group]
        self.resource_group = zones["zoneResourceGroup"]
        self.forward = zones["forwardZone"]
        self.reverse = zones["reverseZones"][0]
        self.ttl = zones.get("ttl", 60)

    def reverse_name(self, address):
        """The relative name of an address in the reverse zone."""
        return ".".join(reversed(address.split("."))) + ".in-addr.arpa"

    def relative_reverse_name(self, address):
        return self.reverse_name(address).removesuffix("." + self.reverse)


def serve(reconcile):
    """Serves invocations on the port that the host names. `reconcile` is given subscription, group and name."""

    class Invocation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write for head and body, or an acknowledgement is waited for between them.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self):
            self.answer(200, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            event = body["Data"]["eventGridEvent"]
            found = ID.match(event["subject"])
            if not found or not event["eventType"].startswith("Microsoft.Resources.Resource"):
                return self.answer(200, {"Outputs": {}, "Logs": ["ignored"], "ReturnValue": None})
            try:
                told = reconcile(*found.groups())
            except Exception as error:  # Whatever it is, the event has to come again.
                print(error, file=sys.stderr, flush=True)
                return self.answer(500, {"error": {"code": "failed", "message": str(error)}})
            print(json.dumps({"event.id": event["id"], "message": told}), flush=True)
            return self.answer(200, {"Outputs": {}, "Logs": [told], "ReturnValue": None})

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    Server(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Invocation).serve_forever()
