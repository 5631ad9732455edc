"""Checks that the simulator's key vault is a key vault to Microsoft's own client.

It talks HTTPS to `aci-dns simulate --tls`, as the client requires, and trusts the authority that the simulator names.
The last check runs the handler against the simulator, and reads what it wrote with Microsoft's client.

    pip install --requirement tests/sdk/requirements.txt
    python tests/sdk/check_vault.py target/debug/aci-dns
"""

import datetime
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aci-dns/providers/Microsoft.KeyVault/vaults/simulator"
ACTIONS = "Microsoft.KeyVault/vaults/secrets"
# A whole mark: what a resource id may have at most.
OWNER = f"{SUBSCRIPTION}/{'g' * 90}/{'n' * 63}"


class NoToken:
    """A credential whose token the simulator never issued."""

    def get_token(self, *_scopes, **_options):
        return AccessToken("never-issued", 4_000_000_000)


class OtherAudience:
    """A credential that asks for a token for Resource Manager, whatever the vault's challenge says."""

    def __init__(self, credential):
        self.credential = credential

    def get_token(self, *_scopes, **_options):
        return self.credential.get_token("https://management.azure.com/.default")


class Simulator:
    """The simulator, started, and its vault's client."""

    def __init__(self, binary, folder):
        self.authority = str(Path(folder, "ca.pem"))
        command = [binary, "simulate", "--tls", "--ca-file", self.authority, "--port", "0", "--groups", "1"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"https://localhost:\d+", line)
        if not found:
            self.stop()
            raise SystemExit(f"the simulator does not say where it is: {line!r}")
        self.url = found.group()
        os.environ.update(IDENTITY_ENDPOINT=f"{self.url}/msi/token", IDENTITY_HEADER="simulator")
        self.credential = ManagedIdentityCredential(connection_verify=self.authority)
        self.secrets = self.client(self.credential)

    def client(self, credential, **options):
        return SecretClient(
            self.url,
            credential,
            verify_challenge_resource=False,
            connection_verify=self.authority,
            retry_total=0,
            **options,
        )

    def control(self, method, path, body=None):
        context = ssl.create_default_context(cafile=self.authority)
        request = urllib.request.Request(
            f"{self.url}/simulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=context) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait(timeout=10)


class Check(unittest.TestCase):
    azure: Simulator
    binary: str

    def setUp(self):
        # Each test has a secret of its own, named after it.
        self.name = self.id().rsplit(".", 1)[-1].replace("_", "-")[:127].strip("-")
        self.secrets = self.azure.secrets

    def failure(self, kind, status, code, inner, operation, *arguments, **options):
        with self.assertRaises(HttpResponseError) as caught:
            operation(*arguments, **options)
        error = caught.exception
        told = error.error.innererror["code"] if error.error and error.error.innererror else None
        self.assertEqual((type(error), error.status_code, error.error.code, told), (kind, status, code, inner), error)
        return error

    def permit(self, actions, without=()):
        body = {"scope": VAULT, "actions": ["*"], "dataActions": list(actions), "notDataActions": list(without)}
        self.azure.control("PUT", "permissions", body)
        self.addCleanup(self.azure.control, "PUT", "permissions", {"scope": VAULT, "actions": ["*"], "dataActions": ["*"]})


class Secrets(Check):
    def test_a_secret_is_set_and_read(self):
        tags = {"createdBy": "aci-dns", "aci-dns-owner": OWNER}
        made = self.secrets.set_secret(self.name, "10.1.5.4", tags=tags, content_type="text/plain")
        read = self.secrets.get_secret(self.name)
        self.assertEqual((read.value, read.properties.tags, read.properties.content_type), ("10.1.5.4", tags, "text/plain"))
        self.assertEqual((read.name, read.id), (made.name, made.id))
        self.assertTrue(read.properties.enabled)
        age = datetime.datetime.now(datetime.timezone.utc) - read.properties.created_on
        self.assertLess(abs(age.total_seconds()), 60)

    def test_names_compare_without_regard_to_case(self):
        self.secrets.set_secret(self.name, "first")
        self.assertEqual(self.secrets.get_secret(self.name.upper()).value, "first")

    def test_each_write_is_a_version(self):
        first = self.secrets.set_secret(self.name, "10.1.5.4")
        second = self.secrets.set_secret(self.name, "10.1.5.6")
        self.assertNotEqual(first.properties.version, second.properties.version)
        self.assertEqual(self.secrets.get_secret(self.name).properties.version, second.properties.version)
        self.assertEqual(self.secrets.get_secret(self.name, first.properties.version).value, "10.1.5.4")
        versions = {it.version for it in self.secrets.list_properties_of_secret_versions(self.name)}
        self.assertEqual(versions, {first.properties.version, second.properties.version})

    def test_the_tags_of_a_write_replace_those_before(self):
        self.secrets.set_secret(self.name, "10.1.5.4", tags={"team": "web"})
        self.secrets.set_secret(self.name, "10.1.5.4")
        self.assertFalse(self.secrets.get_secret(self.name).properties.tags)

    def test_an_update_makes_no_version(self):
        made = self.secrets.set_secret(self.name, "10.1.5.4")
        self.secrets.update_secret_properties(self.name, tags={"team": "web"})
        read = self.secrets.get_secret(self.name)
        self.assertEqual((read.properties.version, read.properties.tags), (made.properties.version, {"team": "web"}))

    def test_secrets_are_listed_without_values(self):
        self.secrets.set_secret(self.name, "10.1.5.4", tags={"team": "web"})
        listed = {it.name: it for it in self.secrets.list_properties_of_secrets()}
        self.assertEqual(listed[self.name].tags, {"team": "web"})

    def test_a_secret_that_does_not_exist_is_not_found(self):
        self.failure(ResourceNotFoundError, 404, "SecretNotFound", None, self.secrets.get_secret, self.name)

    def test_a_bad_name_is_refused(self):
        self.failure(HttpResponseError, 400, "BadParameter", None, self.secrets.set_secret, "a_b", "1")
        self.failure(HttpResponseError, 400, "BadParameter", None, self.secrets.set_secret, "a" * 128, "1")

    def test_limits_are_those_of_the_service(self):
        self.secrets.set_secret(self.name, "1", tags={str(number): "x" * 256 for number in range(15)})
        for value, tags in [
            ("1", {str(number): "x" for number in range(16)}),
            ("1", {"x": "x" * 257}),
            ("x" * 25_601, {}),
        ]:
            self.failure(HttpResponseError, 400, "BadParameter", None, self.secrets.set_secret, self.name, value, tags=tags)

    def test_a_disabled_secret_is_forbidden(self):
        self.secrets.set_secret(self.name, "10.1.5.4")
        self.secrets.update_secret_properties(self.name, enabled=False)
        self.failure(HttpResponseError, 403, "Forbidden", "SecretDisabled", self.secrets.get_secret, self.name)
        self.secrets.update_secret_properties(self.name, enabled=True)
        self.assertEqual(self.secrets.get_secret(self.name).value, "10.1.5.4")

    def test_a_deleted_secret_keeps_its_name_until_it_is_recovered(self):
        self.secrets.set_secret(self.name, "10.1.5.4")
        deleted = self.secrets.begin_delete_secret(self.name).result()
        self.assertEqual(deleted.name, self.name)
        self.assertTrue(deleted.scheduled_purge_date)
        self.failure(ResourceNotFoundError, 404, "SecretNotFound", None, self.secrets.get_secret, self.name)
        inner = "ObjectIsDeletedButRecoverable"
        self.failure(ResourceExistsError, 409, "Conflict", inner, self.secrets.set_secret, self.name, "10.1.5.6")
        self.assertIn(self.name, {it.name for it in self.secrets.list_deleted_secrets()})
        self.assertEqual(self.secrets.get_deleted_secret(self.name).name, self.name)
        self.secrets.begin_recover_deleted_secret(self.name).result()
        self.assertEqual(self.secrets.get_secret(self.name).value, "10.1.5.4")

    def test_a_purged_secret_frees_its_name(self):
        self.secrets.set_secret(self.name, "10.1.5.4")
        self.secrets.begin_delete_secret(self.name).result()
        self.secrets.purge_deleted_secret(self.name)
        self.secrets.set_secret(self.name, "10.1.5.6")
        self.assertEqual(len(list(self.secrets.list_properties_of_secret_versions(self.name))), 1)

    def test_a_throttle_says_how_long(self):
        fault = {"method": "GET", "path": f"/secrets/{self.name}", "effect": "answer", "status": 429, "code": "Throttled"}
        self.azure.control("POST", "faults", {**fault, "retryAfterSeconds": 7})
        error = self.failure(HttpResponseError, 429, "Throttled", None, self.secrets.get_secret, self.name)
        self.assertEqual(error.response.headers["Retry-After"], "7")


class Access(Check):
    def test_the_challenge_names_the_audience(self):
        context = ssl.create_default_context(cafile=self.azure.authority)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{self.azure.url}/secrets/{self.name}?api-version=2025-07-01", context=context)
        caught.exception.close()
        self.assertEqual(caught.exception.code, 401)
        challenge = caught.exception.headers["WWW-Authenticate"]
        self.assertRegex(challenge, r'^Bearer authorization="https://[^"]+", resource="https://vault\.azure\.net"$')

    def test_a_client_finds_the_audience_by_the_challenge(self):
        asked = []

        class Watching:
            def get_token(_, *scopes, **options):
                asked.extend(scopes)
                return self.azure.credential.get_token(*scopes)

        self.azure.client(Watching()).set_secret(self.name, "10.1.5.4")
        self.assertEqual(asked, ["https://vault.azure.net/.default"])

    def test_a_token_that_was_not_issued_or_is_for_another_audience_is_refused(self):
        for credential in (NoToken(), OtherAudience(self.azure.credential)):
            client = self.azure.client(credential)
            self.failure(ClientAuthenticationError, 401, "Unauthorized", None, client.get_secret, self.name)

    def test_a_missing_right_is_named(self):
        self.permit([f"{ACTIONS}/getSecret/action"])
        error = self.failure(HttpResponseError, 403, "Forbidden", "ForbiddenByRbac", self.secrets.set_secret, self.name, "1")
        self.assertIn(f"{ACTIONS}/setSecret/action", str(error))

    def test_two_data_actions_are_enough_to_read_and_set(self):
        self.permit([f"{ACTIONS}/getSecret/action", f"{ACTIONS}/setSecret/action"])
        self.secrets.set_secret(self.name, "10.1.5.4")
        self.assertEqual(self.secrets.get_secret(self.name).value, "10.1.5.4")
        for operation in (self.secrets.begin_delete_secret, lambda name: self.secrets.update_secret_properties(name, enabled=False)):
            self.failure(HttpResponseError, 403, "Forbidden", "ForbiddenByRbac", operation, self.name)

    def test_the_firewall_and_private_endpoints_have_codes_of_their_own(self):
        self.addCleanup(self.azure.control, "PUT", "vaults", {"vault": "simulator", "network": "open"})
        for network, inner in [("firewall", "ForbiddenByFirewall"), ("private", "ForbiddenByConnection")]:
            self.azure.control("PUT", "vaults", {"vault": "simulator", "network": network})
            self.failure(HttpResponseError, 403, "Forbidden", inner, self.secrets.get_secret, self.name)


class Handler(Check):
    """The handler of the same binary publishes an address, and Microsoft's client reads it."""

    def test_microsofts_client_reads_the_address_that_the_handler_writes(self):
        azure = subprocess.Popen(
            [self.binary, "simulate", "--port", "0", "--groups", "1"], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(azure.stdout.close)
        self.addCleanup(azure.wait)
        self.addCleanup(azure.terminate)
        address = re.search(r"http://(127\.0\.0\.1:\d+)", azure.stdout.readline()).group(1)
        entry = {
            "forwardZone": "spoke1.contoso.internal",
            "reverseZones": ["1.10.in-addr.arpa"],
            "zoneResourceGroup": "rg-dns",
            "secret": {"vault": f"http://{address}/", "name": "{group}--ip"},
        }
        environment = {
            **os.environ,
            "ACI_DNS_ARM_ENDPOINT": f"http://{address}/",
            "IDENTITY_ENDPOINT": f"http://{address}/msi/token",
            "IDENTITY_HEADER": "simulator",
            "ACI_DNS_ZONES": json.dumps({"rg-spoke1": entry}),
        }
        handler = subprocess.Popen(
            [self.binary, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.addCleanup(handler.stdout.close)
        self.addCleanup(handler.wait)
        self.addCleanup(handler.terminate)
        place = None
        while not place:
            line = handler.stdout.readline()
            self.assertTrue(line, "the handler ended")
            place = re.search(r'"server.address":"(127\.0\.0\.1:\d+)"', line)
        subject = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web-1"
        event = {"id": "1", "eventType": "Microsoft.Resources.ResourceWriteSuccess", "subject": subject, "data": {}}
        connection = http.client.HTTPConnection(place.group(1))
        self.addCleanup(connection.close)
        body = json.dumps({"Data": {"eventGridEvent": event}, "Metadata": {}})
        connection.request("POST", "/function_aci_reconcile", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200, answer.read())
        # The client requires HTTPS; the plain simulator serves it through a transport that takes the TLS away.
        from azure.core.pipeline.transport import RequestsTransport

        class Plain(RequestsTransport):
            def send(self, request, **options):
                secured = request.url
                request.url = secured.replace("https://", "http://", 1)
                try:
                    return super().send(request, **options)
                finally:
                    request.url = secured

        class Token:
            def get_token(_, *scopes, **_options):
                resource = scopes[0].removesuffix("/.default")
                url = f"http://{address}/msi/token?api-version=2019-08-01&resource={resource}"
                header = {"X-IDENTITY-HEADER": "simulator"}
                with urllib.request.urlopen(urllib.request.Request(url, headers=header)) as answer:
                    return AccessToken(json.load(answer)["access_token"], 4_000_000_000)

        client = SecretClient(
            f"https://{address}", Token(), verify_challenge_resource=False, transport=Plain(), retry_total=0
        )
        read = client.get_secret("web-1--ip")
        tags = read.properties.tags
        self.assertRegex(read.value, r"^10\.1\.5\.\d+$")
        self.assertEqual(tags["createdBy"], "aci-dns")
        self.assertEqual(tags["aci-dns-owner"], f"{SUBSCRIPTION}/rg-spoke1/web-1")
        self.assertTrue(datetime.datetime.fromisoformat(tags["createdOn"]))
        self.assertEqual(len(list(client.list_properties_of_secret_versions("web-1--ip"))), 1)


def main():
    if len(sys.argv) < 2:
        raise SystemExit("usage: check_vault.py BINARY [unittest arguments]")
    with tempfile.TemporaryDirectory() as folder:
        Check.binary = sys.argv[1]
        azure = Check.azure = Simulator(sys.argv[1], folder)
        try:
            outcome = unittest.main(argv=[sys.argv[0], *sys.argv[2:]], exit=False).result
        finally:
            code = azure.stop()
    if code != 0:
        raise SystemExit(f"the simulator ended with {code}")
    raise SystemExit(0 if outcome.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
