"""`dig` asks the simulator's DNS server: `python3 tests/sdk/check_dns.py BINARY`.

The demo runs with one container group. `dig` has a parser of its own, so an answer that it understands is one that
other clients understand, too. What the resolver answers to each kind of question is tested in the crate.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request

ZONE = "spoke1.contoso.internal"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


def call(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def put_record(url, kind, name, properties):
    body = {"zone": ZONE, "type": kind, "name": name, "properties": {"ttl": 60, **properties}}
    call(f"{url}/simulator/record-sets", "POST", body)


class Dig:
    def __init__(self, port):
        self.command = ["dig", "@127.0.0.1", "-p", port, "+tries=1", "+timeout=3"]

    def __call__(self, *question):
        done = subprocess.run([*self.command, *question], capture_output=True, text=True, timeout=30, check=True)
        assert "Warning" not in done.stdout and "malformed" not in done.stdout, done.stdout
        return done.stdout

    def check(self, question, *expected):
        output = re.sub(r"[ \t]+", " ", self(*question.split()))
        for text in expected:
            assert text in output, f"{question}: no {text!r} in\n{output}"


def until_named(dig):
    for _ in range(100):
        output = dig(f"web-1.{ZONE}", "+short").strip()
        if output:
            return output
        time.sleep(0.1)
    raise AssertionError("web-1 gets no name")


def check(url, port):
    dig = Dig(port)
    address = until_named(dig)
    dig.check(f"web-1.{ZONE} A", "status: NOERROR", "flags: qr rd ra;", "EDNS: version: 0",
              f"web-1.{ZONE}. 60 IN A {address}")
    dig.check(f"+tcp wEb-1.{ZONE} A", f"wEb-1.{ZONE}. 60 IN A {address}", "(TCP)")
    dig.check(f"+noedns +norecurse web-1.{ZONE} A", "flags: qr ra;", "ADDITIONAL: 0")
    dig.check(f"-x {address}", f"60 IN PTR web-1.{ZONE}.")
    soa = f"{ZONE}. 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"
    dig.check(f"none.{ZONE} A", "status: NXDOMAIN", "ANSWER: 0, AUTHORITY: 1", soa)
    dig.check(f"web-1.{ZONE} AAAA", "status: NOERROR", "ANSWER: 0, AUTHORITY: 1", soa)
    dig.check(f"{ZONE} SOA", f"{ZONE}. 3600 IN SOA azureprivatedns.net.")
    dig.check("www.example.com A", "status: NXDOMAIN", "86400 IN SOA a.root-servers.net.")
    dig.check("9.9.168.192.in-addr.arpa PTR", "status: NXDOMAIN", "IN SOA a.root-servers.net.")

    put_record(url, "CNAME", "www", {"cnameRecord": {"cname": f"web-1.{ZONE}"}})
    put_record(url, "A", "*.apps", {"aRecords": [{"ipv4Address": "10.1.5.99"}]})
    put_record(url, "AAAA", "six", {"aaaaRecords": [{"ipv6Address": "fd00::1"}]})
    put_record(url, "MX", "mail", {"mxRecords": [{"preference": 10, "exchange": f"six.{ZONE}"}]})
    put_record(url, "SRV", "_http._tcp", {"srvRecords": [
        {"priority": 1, "weight": 2, "port": 80, "target": f"six.{ZONE}"}]})
    texts = [{"value": ["x" * 200]} for _ in range(10)]
    put_record(url, "TXT", "long", {"txtRecords": texts})
    put_record(url, "A", "empty", {"aRecords": []})
    dig.check(f"www.{ZONE} A", f"www.{ZONE}. 60 IN CNAME web-1.{ZONE}.", f"web-1.{ZONE}. 60 IN A {address}")
    dig.check(f"any.apps.{ZONE} A", f"any.apps.{ZONE}. 60 IN A 10.1.5.99")
    dig.check(f"six.{ZONE} AAAA", "60 IN AAAA fd00::1")
    dig.check(f"mail.{ZONE} MX", f"60 IN MX 10 six.{ZONE}.")
    dig.check(f"_http._tcp.{ZONE} SRV", f"60 IN SRV 1 2 80 six.{ZONE}.")
    dig.check(f"empty.{ZONE} A", "status: NOERROR", soa)
    dig.check(f"+ignore long.{ZONE} TXT", "flags: qr tc rd ra;", "ANSWER: 0")
    dig.check(f"long.{ZONE} TXT", "ANSWER: 10", "(TCP)")

    dig.check("-c CH version.bind TXT", "status: REFUSED")
    dig.check(f"+opcode=UPDATE {ZONE} SOA", "status: NOTIMP")
    dig.check(f"+dnssec {ZONE} SOA", "status: NOERROR", "ANSWER: 1")

    # The name follows a restart.
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web-1"
    call(f"{url}/simulator/groups/restart", "POST", {"id": group})
    for _ in range(100):
        moved = dig(f"web-1.{ZONE}", "+short").strip()
        if moved != address:
            break
        time.sleep(0.1)
    assert moved != address, "the name does not follow"
    dig.check(f"-x {moved}", f"60 IN PTR web-1.{ZONE}.")


def check_commands(binary, url, port):
    """`drift --resolve` and `doctor --resolve` ask the same server."""
    zones = {"rg-spoke*": {"forwardZone": ZONE, "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}
    environment = {
        **os.environ,
        "ACI_DNS_ZONES": json.dumps(zones),
        "ACI_DNS_SUBSCRIPTIONS": SUBSCRIPTION,
        "ACI_DNS_ARM_ENDPOINT": f"{url}/",
        "IDENTITY_ENDPOINT": f"{url}/msi/token",
        "IDENTITY_HEADER": "simulator",
    }

    def run(command, code):
        resolver = ["--resolve", "--resolver", f"127.0.0.1:{port}", "--output", "json"]
        done = subprocess.run([binary, command, *resolver], capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    results = run("drift", 0)["dns"]["results"]
    assert [result["result"] for result in results] == ["resolved", "resolved"], results
    call(f"{url}/simulator/resolver", "PUT", {"shadowed": [ZONE]})
    results = run("drift", 3)["dns"]["results"]
    assert [result["result"] for result in results] == ["shadowed", "resolved"], results
    assert "shadowed" in json.dumps(run("doctor", 3))
    call(f"{url}/simulator/resolver", "PUT", {})


def main():
    command = [sys.argv[1], "demo", "--port", "0", "--dns", "0", "--groups", "1", "--provisioning", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            url = re.search(r"http://[\d.:]+", demo.stdout.readline())[0]
            port = re.search(r"-p (\d+)", demo.stdout.readline())[1]
            check(url, port)
            check_commands(sys.argv[1], url, port)
        finally:
            demo.terminate()
        assert demo.wait(10) == 0
    print("dig understands the simulator's DNS server, the name follows its group, and drift and doctor ask for it")


main()
