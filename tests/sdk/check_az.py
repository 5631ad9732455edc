"""Checks that `aci-dns simulate --tls` is an Azure to the Azure CLI.

The CLI trusts the authority of the simulator, signs in as a service principal, and does what people do with it: zones,
links, record sets, container groups. What is not simulated has to fail with a message that says so.

All commands run in this process, so that the CLI is loaded once.

    pip install azure-cli
    python tests/sdk/check_az.py target/debug/aci-dns
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "11111111-1111-1111-1111-111111111111"
# These exist: `simulate --groups 1` makes them.
ZONES_GROUP = "rg-dns"
CONTAINERS_GROUP = "rg-spoke1"
NETWORK = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{CONTAINERS_GROUP}/providers/Microsoft.Network/virtualNetworks/vnet"
)


class Cli:
    """The simulator over TLS, and a CLI that has signed in to it."""

    def __init__(self, binary, folder):
        authority = Path(folder, "ca.pem")
        command = [binary, "simulate", "--tls", "--ca-file", authority, "--port", "0", "--groups", "1"]
        self.process = subprocess.Popen([*command, "--provisioning", "0"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"https://localhost:\d+", line)
        if not found:
            self.stop()
            raise SystemExit(f"the simulator does not say where it is: {line!r}")
        os.environ.update(
            AZURE_CONFIG_DIR=str(Path(folder, "azure")),
            AZURE_CORE_COLLECT_TELEMETRY="false",
            AZURE_CORE_INSTANCE_DISCOVERY="false",
            AZURE_CORE_ONLY_SHOW_ERRORS="true",
            REQUESTS_CA_BUNDLE=str(authority),
        )
        self.commands = 0
        self("cloud register -n simulator --endpoint-resource-manager", found.group())
        self("cloud set -n simulator")
        self(f"login --service-principal -u app -p secret --tenant {TENANT}")

    def run(self, words, *more):
        """Exit code, output and error of a command."""
        # Its configuration is read when it is loaded.
        from azure.cli.core import get_default_cli

        self.commands += 1
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            cli = get_default_cli()
            try:
                code = cli.invoke([*words.split(), *more], out_file=output)
            except SystemExit as left:
                code = left.code
        # Which of the two tells depends on the command.
        error = cli.result.error if cli.result else ""
        return code, output.getvalue(), f"{errors.getvalue()}{error}"

    def __call__(self, words, *more):
        """What a command prints, as JSON."""
        code, output, error = self.run(words, *more)
        if code != 0:
            raise AssertionError(f"az {words}: {error}")
        return json.loads(output) if output.strip() else None

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=10)


class Check(unittest.TestCase):
    """What all checks need."""

    cli: Cli

    def fails(self, expected, words, *more):
        code, _, error = self.cli.run(words, *more)
        self.assertNotEqual(code, 0, words)
        self.assertIn(expected, error, words)

    def not_simulated(self, words, *more):
        self.fails("The simulator does not simulate", words, *more)


class Accounts(Check):
    def test_the_subscription_and_its_resource_groups_are_read(self):
        self.assertEqual(self.cli("account show")["id"], SUBSCRIPTION)
        self.assertIn(ZONES_GROUP, [group["name"] for group in self.cli("group list")])
        self.assertEqual(self.cli(f"group show -n {ZONES_GROUP}")["location"], "westeurope")
        self.assertIs(self.cli("group exists -n rg-none"), False)
        made = self.cli("group create -n rg-made -l westus --tags a=b")
        self.assertEqual((made["location"], made["tags"]), ("westus", {"a": "b"}))
        self.not_simulated("group delete -n rg-made --yes")


class Zones(Check):
    def test_a_zone_is_created_changed_listed_and_deleted(self):
        zone = f"network private-dns zone %s -g {ZONES_GROUP} -n made.internal"
        made = self.cli(zone % "create")
        self.assertEqual((made["name"], made["provisioningState"]), ("made.internal", "Succeeded"))
        self.fails("PreconditionFailed", zone % "create")
        changed = self.cli(zone % "update" + " --tags team=dns")
        self.assertEqual(changed["tags"], {"team": "dns"})
        self.assertNotEqual(changed["etag"], made["etag"])
        self.fails("etag mismatch", zone % "update" + f" --if-match {made['etag']} --tags team=web")
        self.assertEqual(self.cli(zone % "show"), changed)
        listed = self.cli(f"network private-dns zone list -g {ZONES_GROUP}")
        self.assertIn("made.internal", [zone["name"] for zone in listed])
        self.assertEqual(len(self.cli("network private-dns zone list")), len(listed))
        self.cli(zone % "delete" + " --yes")
        self.fails("ResourceNotFound", zone % "show")

    def test_a_link_is_created_changed_listed_and_deleted(self):
        zone = f"-g {ZONES_GROUP} -z linked.internal"
        self.cli(f"network private-dns zone create -g {ZONES_GROUP} -n linked.internal")
        link = f"network private-dns link vnet %s {zone} -n hub"
        self.fails("ResourceNotFound", link % "show")
        made = self.cli(link % "create" + f" -v {NETWORK} -e false")
        self.assertEqual((made["virtualNetwork"]["id"], made["registrationEnabled"]), (NETWORK, False))
        changed = self.cli(link % "update" + " -e true --tags team=dns")
        self.assertEqual((changed["registrationEnabled"], changed["tags"]), (True, {"team": "dns"}))
        self.fails("etag mismatch", link % "update" + " --if-match 092c27b0-6bde-4b59-8877-4bf9c74f6d3d --tags team=web")
        self.assertEqual(self.cli(link % "show"), changed)
        self.assertEqual(self.cli(f"network private-dns link vnet list {zone}"), [changed])
        self.fails("CannotDeleteResource", f"network private-dns zone delete -g {ZONES_GROUP} -n linked.internal --yes")
        self.cli(link % "delete" + " --yes")
        self.assertEqual(self.cli(f"network private-dns link vnet list {zone}"), [])


class RecordSets(Check):
    ZONE = "records.internal"

    @classmethod
    def setUpClass(cls):
        cls.cli(f"network private-dns zone create -g {ZONES_GROUP} -n {cls.ZONE}")

    def record_set(self, kind, verb, *more):
        return self.cli(f"network private-dns record-set {kind} {verb} -g {ZONES_GROUP} -z {self.ZONE}", *more)

    def test_an_a_record_set_lives_as_in_the_recordings(self):
        self.record_set("a", "create", "-n", "web", "--ttl", "60")
        self.record_set("a", "add-record", "-n", "web", "-a", "10.1.5.4")
        self.record_set("a", "add-record", "-n", "web", "-a", "10.1.5.5")
        self.record_set("a", "update", "-n", "web", "--metadata", "team=dns")
        shown = self.record_set("a", "show", "-n", "web")
        self.assertEqual([record["ipv4Address"] for record in shown["aRecords"]], ["10.1.5.4", "10.1.5.5"])
        self.assertEqual((shown["ttl"], shown["metadata"]), (60, {"team": "dns"}))
        self.record_set("a", "remove-record", "-n", "web", "-a", "10.1.5.4")
        self.record_set("a", "remove-record", "-n", "web", "-a", "10.1.5.5", "--keep-empty-record-set")
        self.assertFalse(self.record_set("a", "show", "-n", "web").get("aRecords"))
        self.assertEqual([item["name"] for item in self.record_set("a", "list")], ["web"])
        self.record_set("a", "delete", "-n", "web", "--yes")
        self.assertEqual(self.record_set("a", "list"), [])

    def test_every_type_is_written_and_listed(self):
        for kind, *record in [
            ("aaaa", "-n", "n-aaaa", "-a", "fd00::1"),
            ("mx", "-n", "n-mx", "-e", "mail.contoso.internal", "-p", "1"),
            ("ptr", "-n", "n-ptr", "-d", "web.contoso.internal"),
            ("srv", "-n", "n-srv", "-t", "db.contoso.internal", "-p", "1", "-r", "120", "-w", "5"),
            ("txt", "-n", "n-txt", "-v", "text"),
        ]:
            self.record_set(kind, "add-record", *record)
            self.assertEqual(self.record_set(kind, "show", "-n", f"n-{kind}")["name"], f"n-{kind}")
        self.record_set("cname", "set-record", "-n", "n-cname", "-c", "web.contoso.internal")
        soa = self.record_set("soa", "update", "-e", "dns.contoso.internal")
        self.assertEqual(soa["soaRecord"]["email"], "dns.contoso.internal")
        listed = self.cli(f"network private-dns record-set list -g {ZONES_GROUP} -z {self.ZONE}")
        names = [item["name"] for item in listed if item["name"] == "@" or item["name"].startswith("n-")]
        self.assertEqual(names, ["@", "n-aaaa", "n-cname", "n-mx", "n-ptr", "n-srv", "n-txt"])
        self.fails(
            "a CNAME record with the same name already exists in this zone",
            f"network private-dns record-set a add-record -g {ZONES_GROUP} -z {self.ZONE} -n n-cname -a 10.1.5.4",
        )

    def test_a_zone_goes_out_as_a_zone_file_and_comes_in_again(self):
        zone = f"-g {ZONES_GROUP} -n imported.internal"
        with tempfile.TemporaryDirectory() as folder:
            soa = "@ 3600 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"
            lines = ["$ORIGIN imported.internal.", soa, "web 60 IN A 10.1.5.4", "alias 60 IN CNAME web.imported.internal."]
            Path(folder, "in.txt").write_text("\n".join([*lines, ""]))
            self.cli(f"network private-dns zone import {zone} -f", str(Path(folder, "in.txt")))
            self.cli(f"network private-dns zone export {zone} -f", str(Path(folder, "out.txt")))
            self.assertIn("10.1.5.4", Path(folder, "out.txt").read_text())


class ContainerGroups(Check):
    def test_a_group_in_a_subnet_lives(self):
        group = f"container %s -g {CONTAINERS_GROUP} -n cli-web"
        image = "mcr.microsoft.com/azuredocs/aci-helloworld"
        size = "--os-type Linux --cpu 1 --memory 1.5"
        made = self.cli(group % "create" + f" --image {image} {size} --ports 80 --subnet {NETWORK}/subnets/default")
        self.assertEqual((made["ipAddress"]["type"], made["provisioningState"]), ("Private", "Succeeded"))
        self.assertRegex(made["ipAddress"]["ip"], r"^10\.")
        shown = self.cli(group % "show")
        self.assertEqual(shown["instanceView"]["state"], "Running")
        events = shown["containers"][0]["instanceView"]["events"]
        self.assertEqual([event["name"] for event in events], ["Pulling", "Pulled", "Started"])
        self.assertIn("cli-web", [item["name"] for item in self.cli(f"container list -g {CONTAINERS_GROUP}")])
        self.assertIn("cli-web", [item["name"] for item in self.cli("container list")])
        self.cli(group % "stop")
        self.assertEqual(self.cli(group % "show")["instanceView"]["state"], "Stopped")
        self.cli(group % "start")
        self.cli(group % "restart")
        self.assertEqual(self.cli(group % "show")["instanceView"]["state"], "Running")
        self.not_simulated(group % "logs")
        self.cli(group % "delete" + " --yes")
        # 3 is the CLI's word for what a `show` does not find.
        self.assertEqual(self.cli.run(group % "show")[0], 3)

    def test_a_public_group_has_a_name_an_identity_and_a_zone(self):
        made = self.cli(
            f"container create -g {CONTAINERS_GROUP} -n cli-shop --image nginx --os-type Linux --cpu 1 --memory 1.5"
            " --ports 80 --ip-address Public --dns-name-label cli-shop --zone 1 --assign-identity"
            " --secrets password=hunter2 --secrets-mount-path /mnt/secrets"
        )
        self.assertEqual(made["ipAddress"]["fqdn"], "cli-shop.westeurope.azurecontainer.io")
        self.assertEqual((made["zones"], made["identity"]["type"]), (["1"], "SystemAssigned"))
        self.assertNotIn("hunter2", json.dumps(made))
        self.assertNotIn("aHVudGVyMg==", json.dumps(made))


class Networks(Check):
    def test_networks_are_read_and_not_written(self):
        self.assertEqual([network["name"] for network in self.cli("network vnet list")], ["vnet"])
        shown = self.cli(f"network vnet show --ids {NETWORK}")
        self.assertEqual(shown["subnets"][0]["delegations"][0]["serviceName"], "Microsoft.ContainerInstance/containerGroups")
        subnets = self.cli(f"network vnet subnet list -g {CONTAINERS_GROUP} --vnet-name vnet")
        self.assertEqual(subnets, shown["subnets"])
        self.assertEqual(self.cli(f"network vnet subnet show --ids {NETWORK}/subnets/default"), subnets[0])
        self.not_simulated(f"network vnet create -g {CONTAINERS_GROUP} -n new")


class Prerequisites(Check):
    """infra/prerequisites.sh reads what the Azure CLI really prints."""

    PARAMETERS = {
        "spokes": [
            {
                "resourceGroup": CONTAINERS_GROUP,
                "forwardZone": "spoke1.contoso.internal",
                "reverseZones": ["1.10.in-addr.arpa"],
                "zoneResourceGroup": ZONES_GROUP,
            },
            {"resourceGroup": "rg-none", "forwardZone": "none.internal", "reverseZones": []},
        ]
    }

    def test_tools_groups_and_rights_are_read(self):
        with tempfile.TemporaryDirectory() as folder:
            az, parameters = Path(folder, "az"), Path(folder, "parameters.json")
            az.write_text(f'#!/bin/sh\nexec {sys.executable} -m azure.cli "$@"\n')
            az.chmod(0o755)
            given = {name: {"value": value} for name, value in self.PARAMETERS.items()}
            parameters.write_text(json.dumps({"parameters": given}))
            script = Path(__file__).resolve().parent.parent.parent / "infra" / "prerequisites.sh"
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            command = [script, "--parameters", parameters]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        printed = done.stdout.splitlines()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for line in (
            f"ok       subscription {SUBSCRIPTION}",
            f"ok       resource group {CONTAINERS_GROUP} (spoke)",
            f"ok       resource group {ZONES_GROUP} (zones)",
            f"MISSING  resource group rg-none in subscription {SUBSCRIPTION} (spoke): az group create",
            f"ok       rights in subscription {SUBSCRIPTION}",
        ):
            self.assertIn(line, printed)
        # A machine of a pipeline may have Bicep.
        bicep = ("MISSING  Bicep: az bicep install", "ok       Bicep 0.")
        self.assertTrue(any(line.startswith(bicep) for line in printed), done.stdout)
        self.assertTrue(any(line.startswith("ok       Azure CLI 2.") for line in printed), done.stdout)


def main():
    if len(sys.argv) < 2:
        raise SystemExit("usage: check_az.py BINARY [unittest arguments]")
    with tempfile.TemporaryDirectory() as folder:
        cli = Check.cli = Cli(sys.argv[1], folder)
        try:
            outcome = unittest.main(argv=[sys.argv[0], *sys.argv[2:]], exit=False).result
        finally:
            code = cli.stop()
    print(f"{cli.commands} commands of the Azure CLI")
    if code != 0:
        raise SystemExit(f"the simulator ended with {code}")
    raise SystemExit(0 if outcome.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
