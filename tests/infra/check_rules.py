"""Rules of a deployment: of the resources that the templates make (bicep.py), of what surrounds them, and of the files
that build and publish.

    python3 tests/infra/check_rules.py

Each test covers a mistake that happened, or would have happened, in a real subscription. Rules that Terraform can check itself are
in infra/terraform/tests; that both say the same is in check_terraform.py; the script's walk is in check_deploy.py.
"""

import json
import re
import sys
import tempfile
import unittest
from pathlib import Path

from bicep import INFRA, Deployment, File, Place, Refused, parameters_of, text

ROOT = INFRA.parent
sys.path.insert(0, str(INFRA))
import preflight  # noqa: E402

HOME = "00000000-0000-0000-0000-00000000000a"
MAIN = INFRA / "main.bicep"
ONE_SPOKE, HUB, IMAGES = "one-spoke.bicepparam", "hub-and-spoke.bicepparam", "image-updates.bicepparam"
QUICKSTART = "observe-first.bicepparam"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
ROLES = {
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "b12aa53e-6015-4669-85d0-8515ebb3ae7f": "Private DNS Zone Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}
GRANT = "/providers/Microsoft.Authorization/roleAssignments/"


def deploy(example: str = ONE_SPOKE, group: str = "rg-aci-dns", **changes) -> Deployment:
    return Deployment(MAIN, {**parameters_of(example), **changes}, Place(HOME, group))


def of(deployment: Deployment, kind: str) -> list:
    return [resource for resource in deployment.resources if resource.kind == kind]


def one(deployment: Deployment, kind: str):
    (resource,) = of(deployment, kind)
    return resource


def grants(deployment: Deployment) -> list[tuple[str, str]]:
    """Role and scope of each assignment."""
    custom = {role.name: role.properties["roleName"] for role in of(deployment, "Microsoft.Authorization/roleDefinitions")}
    names = ROLES | {name: f"{title.rpartition(' aci-dns ')[0]} (custom)" for name, title in custom.items()}
    found = of(deployment, "Microsoft.Authorization/roleAssignments")
    return [
        (names[grant.properties["roleDefinitionId"].rpartition("/")[2]], grant.id.partition(GRANT)[0]) for grant in found
    ]


def spoke(**changes) -> dict:
    return {"resourceGroup": "rg-spoke1", "forwardZone": "a.internal", "reverseZones": [], **changes}


class Severe(unittest.TestCase):
    def test_the_resource_providers_of_every_subscription_are_known(self):
        given = {"parameters": {name: {"value": value} for name, value in parameters_of(HUB).items()}}
        facts = preflight.facts(given, HOME, "rg-aci-dns")
        found = {fact[1:] for fact in facts if fact[0] == "provider"}
        # Event Grid reads the keys of the functions with the registration of the app's subscription.
        self.assertLessEqual({(HOME, "Microsoft.EventGrid"), (HOME, "Microsoft.App")}, found)
        deployment = deploy(HUB)
        needed = set()
        for resource in deployment.resources:
            subscription = resource.id.split("/")[2]
            namespace = resource.id.rpartition("/providers/")[2].partition("/")[0]
            if namespace != "Microsoft.Authorization":
                needed.add((subscription, namespace))
        # The workspace is an existing one, of another subscription.
        workspace = (parameters_of(HUB)["existingWorkspaceId"].split("/")[2], "Microsoft.OperationalInsights")
        self.assertEqual(needed - found, {workspace})
        spokes = {spoke["subscriptionId"] for spoke in parameters_of(HUB)["spokes"]}
        self.assertLessEqual({(spoke_id, "Microsoft.ContainerInstance") for spoke_id in spokes}, found)

    def test_the_documentation_names_them(self):
        rows = re.findall(r"^\| of (?:the app|each spoke|the zones) \| (Microsoft.*) \|$", (ROOT / "docs" / "deploy.md").read_text(), re.M)
        home, spokes, zones = (set(row.split(", ")) for row in rows)
        self.assertEqual(home, set(preflight.HOME_PROVIDERS))
        given = {"spokes": {"value": [spoke(subscriptionId="s", zoneSubscriptionId="z", zoneResourceGroup="g")]}}
        facts = [fact for fact in preflight.facts(given, HOME, "rg-aci-dns") if fact[0] == "provider"]
        self.assertEqual(spokes, {namespace for _, subscription, namespace in facts if subscription == "s"})
        self.assertEqual(zones, {namespace for _, subscription, namespace in facts if subscription == "z"})

    def test_the_quickstart_deploys_what_the_example_deploys_and_writes_nothing(self):
        shown = re.search(r"^```bicep\n(.*?)^```", (ROOT / "docs" / "quickstart.md").read_text(), re.M | re.S)[1]
        source = (INFRA / "parameters" / QUICKSTART).read_text()
        self.assertEqual(shown, "".join(line for line in source.splitlines(True) if not line.startswith("//")))
        given = parameters_of(QUICKSTART)
        deployment = Deployment(MAIN, given, Place(HOME, "rg-aci-dns"))
        kinds = [resource.kind for resource in deployment.resources]
        self.assertEqual(kinds, [resource.kind for resource in deploy(ONE_SPOKE).resources])
        self.assertEqual([spoke["policy"] for spoke in given["spokes"]], ["observe"])
        identity = one(deployment, "Microsoft.ManagedIdentity/userAssignedIdentities")
        for page in ("quickstart.md", "rollout.md", "operate.md"):
            self.assertIn(f"az identity show --name {identity.name} ", (ROOT / "docs" / page).read_text())

    def test_the_quickstart_without_its_policy_writes(self):
        # What the `sed` of the page makes of the file.
        source = (INFRA / "parameters" / QUICKSTART).read_text()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mine.bicepparam"
            path.write_text("".join(line for line in source.splitlines(True) if "policy: 'observe'" not in line))
            self.assertEqual([spoke.get("policy") for spoke in parameters_of(str(path))["spokes"]], [None])

    def test_the_examples_of_terraform_register_them(self):
        def lists(example):
            source = (INFRA / "terraform" / "examples" / example / "main.tf").read_text()
            found = re.findall(r"resource_providers_to_register\s*= \[([^\]]*)\]", source)
            return [set(re.findall(r'"([\w.]+)"', names)) for names in found]

        home = set(preflight.HOME_PROVIDERS)
        self.assertEqual(lists("one-spoke"), [home | {"Microsoft.ContainerInstance"}])
        spoke_providers = {"Microsoft.ContainerInstance", "Microsoft.EventGrid"}
        self.assertEqual(lists("hub-and-spoke"), [home, spoke_providers, spoke_providers])

    def test_publishing_has_one_way_and_the_documentation_names_its_version(self):
        version = re.search(r"^least_version=(2\.\d+)\.0$", (INFRA / "publish.sh").read_text(), re.M)[1]
        for page in (ROOT / "README.md", ROOT / "docs" / "deploy.md"):
            self.assertIn(f"Azure CLI {version} or later", page.read_text())
        for path in (INFRA / "deploy.sh", INFRA / "terraform" / "app.tf"):
            self.assertIn("publish.sh", path.read_text())
            self.assertNotIn("config-zip", path.read_text())

    def test_a_spoke_that_no_topic_carries_is_refused(self):
        topic = {"resourceGroup": "rg-events", "source": "subscription"}
        pattern = spoke(resourceGroup="rg-*", zoneResourceGroup="rg-dns")
        for spokes, topics, is_refused in (
            ([spoke()], [], False),
            ([pattern], [], True),
            ([pattern], [topic], False),
            ([pattern], [{"resourceGroup": "RG-1"}], False),
            ([pattern], [{"resourceGroup": "other"}], True),
            ([pattern, spoke()], [{"resourceGroup": "rg-spoke1"}], False),
            ([spoke()], [{"resourceGroup": "other"}], True),
            ([spoke()], [{"resourceGroup": "RG-Spoke1"}], False),
            ([spoke()], [{**topic, "subscriptionId": "another"}], True),
            ([spoke(subscriptionId="another")], [{**topic, "subscriptionId": "Another"}], False),
        ):
            with self.subTest(spokes=spokes, topics=topics):
                if is_refused:
                    with self.assertRaisesRegex(Refused, "No topic carries the events of rg-"):
                        deploy(spokes=spokes, topics=topics)
                else:
                    deploy(spokes=spokes, topics=topics)

    def test_the_zones_of_a_pattern_need_a_resource_group(self):
        topics = [{"resourceGroup": "rg-events", "source": "subscription"}]
        with self.assertRaisesRegex(Refused, "rg-\\* .* zoneResourceGroup"):
            deploy(spokes=[spoke(resourceGroup="rg-*")], topics=topics)

    def test_two_installations_do_not_share_a_deployment(self):
        here, there = ({(name, place.id) for name, place, _ in deploy(HUB, group).modules} for group in ("rg-a", "rg-b"))
        self.assertGreater(len(here), 15)
        self.assertEqual(here & there, set())
        # At a subscription a deployment is found by its name, and has a region.
        at_subscription = [name for name, place, _ in deploy(HUB).modules if place.resource_group is None]
        self.assertGreaterEqual(len(at_subscription), 3)
        for name, place, file in deploy(HUB).modules:
            self.assertLessEqual(len(name), 64, file)

    def test_a_metric_rule_looks_further_back_than_to_its_last_look(self):
        rules = of(deploy(), "Microsoft.Insights/metricAlerts")
        self.assertEqual(len(rules), 2)
        minutes = {"PT5M": 5, "PT15M": 15}
        for rule in rules:
            window, frequency = (rule.properties[name] for name in ("windowSize", "evaluationFrequency"))
            self.assertGreater(minutes[window], minutes[frequency])

    def test_the_right_to_read_container_groups_outlives_a_spoke(self):
        readers = [scope for role, scope in grants(deploy()) if role.startswith("aci-dns container groups")]
        self.assertEqual(readers, [f"/subscriptions/{HOME}"])
        narrow = grants(deploy(HUB, containerGroupScope="resourceGroup"))
        readers = [scope for role, scope in narrow if role.startswith("aci-dns container groups")]
        spoke1, spoke2 = (f"/subscriptions/00000000-0000-0000-0000-00000000000{number}" for number in (2, 3))
        self.assertEqual(sorted(readers), [f"{spoke1}/resourceGroups/rg-spoke1", spoke2])


class Medium(unittest.TestCase):
    def test_only_role_assignments_have_names_that_what_if_does_not_know(self):
        for example in (ONE_SPOKE, HUB):
            unknown = {resource.kind for resource in deploy(example).resources if "<" in resource.id}
            self.assertEqual(unknown, {"Microsoft.Authorization/roleAssignments"})

    def test_what_is_read_of_an_output_is_no_name(self):
        # What the rule what-if-short-circuiting of the compiler counts.
        main = MAIN.read_text()
        self.assertEqual(
            sorted(set(re.findall(r"\b\w+(?:\[\w+\])?\.outputs\.\w+", main))),
            [
                "app.outputs.id",
                "driftRule.outputs.stream",
                "identity.outputs.clientId",
                "identity.outputs.principalId",
                "storage.outputs.id",
                "systemTopics[index].outputs.principalId",
            ],
        )

    def test_the_rights_that_are_shown_are_those_that_are_given(self):
        for example in (ONE_SPOKE, HUB):
            for roles in ("custom", "builtIn"):
                given = {**parameters_of(example), "roles": roles}
                facts = preflight.facts({name: {"value": value} for name, value in given.items()}, HOME, "rg-aci-dns")
                shown = [fact[2:] for fact in facts if fact[0] == "grant"]
                found = []
                for role, scope in grants(deploy(example, roles=roles)):
                    account = "the new storage account in rg-aci-dns"
                    scope = re.sub(r"^.*/storageAccounts/\w+/.*$", f"dead letters in {account}", scope)
                    scope = re.sub(r"^.*/storageAccounts/\w+$", account, scope)
                    scope = re.sub(r"^.*/dataCollectionRules/.*$", "the new data collection rule", scope)
                    scope = re.sub(r"^.*/components/aci-dns-telemetry$", "the new Application Insights in rg-aci-dns", scope)
                    found.append((role, scope))
                self.assertEqual(sorted(shown), sorted(found))

    def test_the_right_to_secrets_is_given_at_a_vault_or_at_one_secret_and_only_where_addresses_are_published(self):
        def found(deployment):
            of_vaults = [(role, scope) for role, scope in grants(deployment) if "/Microsoft.KeyVault/" in scope]
            return [(role, scope.partition("/providers/")[2]) for role, scope in of_vaults]

        vault = "Microsoft.KeyVault/vaults"
        for roles, role in (("custom", "aci-dns secrets (custom)"), ("builtIn", "Key Vault Secrets Officer")):
            self.assertEqual(
                sorted(found(deploy(HUB, roles=roles))),
                [(role, f"{vault}/kv-apps"), (role, f"{vault}/kv-spoke2/secrets/api--ip")],
            )
        self.assertEqual(found(deploy(ONE_SPOKE)), [])
        custom = of(deploy(HUB), "Microsoft.Authorization/roleDefinitions")
        data = [action for role in custom for group in role.properties["permissions"] for action in group.get("dataActions", [])]
        actions = [f"Microsoft.KeyVault/vaults/secrets/{name}/action" for name in ("getSecret", "setSecret")]
        self.assertEqual(data, actions)
        self.assertEqual(len(of(deploy(ONE_SPOKE), "Microsoft.Authorization/roleDefinitions")), 2)

    def test_what_has_to_be_there_first_is_known(self):
        given = {"parameters": {name: {"value": value} for name, value in parameters_of(HUB).items()}}
        facts = preflight.facts(given, HOME, "rg-aci-dns")
        groups = {fact[1:3] for fact in facts if fact[0] == "group"}
        # Every other resource group that something is deployed to.
        expected = {(place.subscription, place.resource_group) for _, place, _ in deploy(HUB).modules}
        expected = {(subscription, group) for subscription, group in expected if group not in (None, "rg-aci-dns")}
        self.assertEqual(groups, expected)

    def test_the_defaults_that_are_assumed_are_those_of_the_template(self):
        main = MAIN.read_text()
        for name, value in preflight.DEFAULTS.items():
            spelled = json.dumps(value).replace('"', "'")
            self.assertRegex(main, rf"(?m)^param {name} \S+ = {re.escape(spelled)}$")

    def test_a_closed_storage_account_needs_a_way_to_it(self):
        with self.assertRaisesRegex(Refused, "integrationSubnetId"):
            deploy(privateEndpointSubnetId=SUBNET)
        deployment = deploy(privateEndpointSubnetId=SUBNET, integrationSubnetId=SUBNET)
        properties = one(deployment, "Microsoft.Storage/storageAccounts").properties
        self.assertEqual((properties["publicNetworkAccess"], properties["networkAcls"]["defaultAction"]), ("Disabled", "Deny"))
        endpoints = of(deployment, "Microsoft.Network/privateEndpoints")
        services = [
            connection["properties"]["groupIds"]
            for endpoint in endpoints
            for connection in endpoint.properties["privateLinkServiceConnections"]
        ]
        self.assertEqual(services, [["blob"], ["queue"], ["table"]])
        closed = {"privateEndpointSubnetId": SUBNET, "integrationSubnetId": SUBNET}
        trusted = one(deploy(**closed, storagePublicAccess="trustedServices"), "Microsoft.Storage/storageAccounts").properties
        self.assertEqual((trusted["publicNetworkAccess"], trusted["networkAcls"]["defaultAction"]), ("Enabled", "Deny"))
        open_ = one(deploy(), "Microsoft.Storage/storageAccounts").properties
        self.assertEqual((open_["publicNetworkAccess"], open_["networkAcls"]["defaultAction"]), ("Enabled", "Allow"))
        zones = {"queue": "/zones/queue"}
        registered = of(deploy(**closed, privateDnsZoneIds=zones), "Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
        self.assertEqual([group.id.split("/")[-3].rpartition("-")[2] for group in registered], ["queue"])

    def test_flex_consumption_has_neither_ftp_nor_a_fixed_memory(self):
        for memory in (512, 4096):
            changes = {} if memory == 512 else {"instanceMemoryMB": memory}
            app = one(deploy(**changes), "Microsoft.Web/sites").properties
            self.assertNotIn("ftpsState", app["siteConfig"])
            self.assertEqual(app["functionAppConfig"]["scaleAndConcurrency"]["instanceMemoryMB"], memory)

    def test_log_alerts_are_made_before_there_are_tables(self):
        rules = of(deploy(), "Microsoft.Insights/scheduledQueryRules")
        self.assertGreater(len(rules), 5)
        self.assertEqual({rule.properties.get("skipQueryValidation") for rule in rules}, {True})

    def test_the_host_may_use_blobs_queues_and_tables_before_the_app_is_there(self):
        deployment = deploy()
        account = one(deployment, "Microsoft.Storage/storageAccounts").id
        roles = {role for role, scope in grants(deployment) if scope == account}
        expected = {"Blob Data Owner", "Queue Data Contributor", "Table Data Contributor"}
        self.assertEqual(roles, {f"Storage {name}" for name in expected})
        app = text(File(MAIN).declared["module"]["app"])
        depends = re.search(r"dependsOn: \[([^\]]*)\]", app)[1].split(", ")
        self.assertLessEqual({"storage", "appAccess", "applicationInsightsAccess"}, set(depends))
        site = one(deployment, "Microsoft.Web/sites").body
        self.assertEqual(site["identity"]["type"], "UserAssigned")
        queues = [queue.name for queue in of(deployment, "Microsoft.Storage/storageAccounts/queueServices/queues")]
        self.assertEqual(queues, ["aci-dns-retry", "aci-dns-retry-poison"])

    def test_tags_of_zones_are_kept(self):
        zone = f"{HOME}/rg-dns/spoke1.contoso.internal"
        deployment = deploy(zoneTags={zone: {"cost": "42", "env": "old"}}, tags={"env": "new"})
        tags = {zone.name: zone.body["tags"] for zone in of(deployment, "Microsoft.Network/privateDnsZones")}
        self.assertEqual(tags, {"spoke1.contoso.internal": {"cost": "42", "env": "new"}, "1.10.in-addr.arpa": {"env": "new"}})

    def test_links_of_a_zone_are_made_one_after_the_other(self):
        self.assertRegex((INFRA / "modules" / "zone.bicep").read_text(), r"(?m)^@batchSize\(1\)\nresource links ")
        zones = (INFRA / "terraform" / "zones.tf").read_text()
        self.assertRegex(zones.partition('"azapi_resource" "link"')[2], r"locks\s+= \[local\.zone_ids\[each\.value\.zone\]\]")

    def test_what_is_built_from_is_pinned(self):
        froms = re.findall(r"^FROM (\S+)", (INFRA / "container" / "Dockerfile").read_text(), re.M)
        for image in froms:
            self.assertTrue(image == "scratch" or re.search(r"@sha256:[0-9a-f]{64}$", image), image)
        for script in (ROOT / ".ci" / "run", INFRA / "build.sh"):
            calls = [line for line in script.read_text().replace("\\\n", " ").splitlines() if " pip " in line and "install" in line]
            self.assertTrue(calls, script)
            for call in calls:
                self.assertIn("--require-hashes", call)
        for lock in (ROOT / ".ci" / "requirements.txt", INFRA / "requirements.txt"):
            pins = re.sub(r" \\\n\s*", " ", lock.read_text()).splitlines()
            pins = [pin for pin in pins if pin and not pin.lstrip().startswith("#")]
            self.assertTrue(pins, lock)
            for pin in pins:
                self.assertRegex(pin, r"^[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}")

    def test_no_file_names_a_path_of_one_machine(self):
        for path in INFRA.rglob("*"):
            if path.is_file() and path.suffix in (".tf", ".bicep", ".bicepparam", ".sh", ".py", ".hcl"):
                self.assertNotRegex(path.read_text(), r'"(file://|/)(home|root|Users|work|tmp)/', path)
        for example in (INFRA / "terraform" / "examples").glob("*/main.tf"):
            sources = re.findall(r'^  source = "([^"]+)"', example.read_text(), re.M)
            self.assertEqual(sources, ["../.."])


class Audit(unittest.TestCase):
    def test_resource_logs_of_topics_app_and_storage(self):
        def categories(deployment):
            found = of(deployment, "Microsoft.Insights/diagnosticSettings")
            return {
                setting.id.partition("/providers/Microsoft.Insights/diagnosticSettings/")[0].split("/")[-2]: [
                    log["category"] for log in setting.properties["logs"]
                ]
                for setting in found
            }

        writes = ["StorageWrite", "StorageDelete"]
        expected = {"blobServices": writes, "queueServices": writes, "systemTopics": ["DeliveryFailures"], "sites": ["FunctionAppLogs"]}
        self.assertEqual(categories(deploy()), expected)
        self.assertEqual(categories(deploy(HUB)), expected)
        self.assertEqual(categories(deploy(diagnosticLogs=False)), {})

    def test_zone_redundancy(self):
        for is_redundant in (False, True):
            deployment = deploy(zoneRedundant=is_redundant)
            sku = one(deployment, "Microsoft.Storage/storageAccounts").body["sku"]["name"]
            self.assertEqual(sku, "Standard_ZRS" if is_redundant else "Standard_LRS")
            self.assertEqual(one(deployment, "Microsoft.Web/serverfarms").properties["zoneRedundant"], is_redundant)

    def test_locks(self):
        def locked(**changes):
            found = of(deploy(**changes), "Microsoft.Authorization/locks")
            self.assertEqual({lock.properties["level"] for lock in found}, {"CanNotDelete"} if found else set())
            return sorted(lock.id.partition("/providers/Microsoft.Authorization/locks/")[0].split("/")[-2] for lock in found)

        resources = ["sites", "storageAccounts", "systemTopics", "userAssignedIdentities", "workspaces"]
        self.assertEqual(locked(), [])
        self.assertEqual(locked(locks="resources"), resources)
        self.assertEqual(locked(locks="resourcesAndZones"), sorted([*resources, "privateDnsZones", "privateDnsZones"]))
        # Resources of other teams are not locked.
        self.assertEqual(locked(example=HUB, locks="resources"), ["sites", "storageAccounts", "systemTopics", "userAssignedIdentities"])

    def test_an_address_gets_the_alerts(self):
        self.assertEqual(of(deploy(), "Microsoft.Insights/actionGroups"), [])
        deployment = deploy(alertEmail="dns@contoso.com", actionGroupIds=["/groups/other"])
        group = one(deployment, "Microsoft.Insights/actionGroups")
        self.assertEqual(group.properties["emailReceivers"][0]["emailAddress"], "dns@contoso.com")
        self.assertLessEqual(len(group.properties["groupShortName"]), 12)
        notified = ["/groups/other", group.id]
        for rule in of(deployment, "Microsoft.Insights/scheduledQueryRules"):
            self.assertEqual(rule.properties["actions"]["actionGroups"], notified)
        for rule in of(deployment, "Microsoft.Insights/metricAlerts"):
            self.assertEqual([action["actionGroupId"] for action in rule.properties["actions"]], notified)

    def test_dead_letters_end_and_can_be_restored(self):
        deployment = deploy(deadLetterDays=14)
        (rule,) = one(deployment, "Microsoft.Storage/storageAccounts/managementPolicies").properties["policy"]["rules"]
        self.assertEqual(rule["definition"]["filters"]["prefixMatch"], ["dead-letters/"])
        self.assertEqual(rule["definition"]["actions"]["baseBlob"]["delete"], {"daysAfterCreationGreaterThan": 14})
        blobs = one(deployment, "Microsoft.Storage/storageAccounts/blobServices").properties
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            self.assertEqual(blobs[policy], {"enabled": True, "days": 7})

    def test_a_release_has_the_compiled_template(self):
        release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
        self.assertIn("bicep build infra/main.bicep --outfile release/azuredeploy.json", release)
        self.assertGreaterEqual(release.count("azuredeploy.json"), 3)
        self.assertIn("portal.azure.com/#create/Microsoft.Template/uri/", release)
        self.assertIn("Deploy to Azure", (ROOT / "docs" / "deploy.md").read_text())

    def test_the_code_has_owners(self):
        lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
        rules = [line.split() for line in lines if line and not line.startswith("#")]
        self.assertTrue(any(rule[0] == "*" and len(rule) > 1 for rule in rules))


class Needs(unittest.TestCase):
    def test_a_sweep_reports_every_fifteen_minutes(self):
        settings = one(deploy(), "Microsoft.Web/sites/config").properties
        self.assertEqual(settings["ACI_DNS_SWEEP_SCHEDULE"], "0 */15 * * * *")
        self.assertEqual(settings["ACI_DNS_SWEEP"], "report")
        self.assertEqual(settings["AzureWebJobs.function_drift_sweep.Disabled"], "false")
        off = one(deploy(sweepSchedule=""), "Microsoft.Web/sites/config").properties
        self.assertEqual(off["AzureWebJobs.function_drift_sweep.Disabled"], "true")
        rules = {rule.name for rule in of(deploy(), "Microsoft.Insights/scheduledQueryRules")}
        self.assertIn("aci-dns-sweep-findings", rules)

    def test_both_functions_hear_every_event(self):
        functions = json.loads((INFRA / "events.json").read_text())["functions"]
        verbs, ends = ("Write", "Delete", "Action"), ("Success", "Failure", "Cancel")
        every = {f"Microsoft.Resources.Resource{verb}{end}" for verb in verbs for end in ends}
        self.assertEqual({name: set(types) for name, types in functions.items()}, dict.fromkeys(functions, every))

    def test_unfinished_work_is_stored_and_read_again(self):
        settings = one(deploy(), "Microsoft.Web/sites/config").properties
        endpoint = "<storage.properties.primaryEndpoints.queue>"
        self.assertEqual(settings["ACI_DNS_RETRY_QUEUE"], f"{endpoint}aci-dns-retry")
        self.assertEqual(settings["AzureWebJobs.function_aci_retry.Disabled"], "false")
        off = one(deploy(retryQueue=False), "Microsoft.Web/sites/config").properties
        self.assertNotIn("ACI_DNS_RETRY_QUEUE", off)
        self.assertEqual(off["AzureWebJobs.function_aci_retry.Disabled"], "true")
        (trigger,) = json.loads((ROOT / "function_aci_retry" / "function.json").read_text())["bindings"]
        queue = {"queueName": "aci-dns-retry", "connection": "AzureWebJobsStorage"}
        self.assertEqual(trigger, {"type": "queueTrigger", "name": "retry", "direction": "in", **queue})
        # The connection that the trigger names, by identity: the host has to know where the queues are.
        self.assertEqual(str(settings["AzureWebJobsStorage__queueServiceUri"]), endpoint)
        self.assertEqual(settings["AzureWebJobsStorage__credential"], "managedidentity")
        # 288 tries, five minutes apart: a day.
        queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
        expected = {"maxDequeueCount": 288, "maxPollingInterval": "00:00:05", "messageEncoding": "base64"}
        self.assertEqual(queues, {**expected, "visibilityTimeout": "00:05:00"})
        rules = {rule.name for rule in of(deploy(), "Microsoft.Insights/scheduledQueryRules")}
        self.assertIn("aci-dns-poison", rules)

    def test_instances_are_kept_warm_where_that_is_asked_for(self):
        def ready(**changes):
            app = one(deploy(**changes), "Microsoft.Web/sites").properties
            return app["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]

        self.assertEqual(ready(), [])
        self.assertEqual(ready(alwaysReadyInstances=2), [{"name": "function:function_aci_reconcile", "instanceCount": 2}])


class Images(unittest.TestCase):
    SPOKE = "00000000-0000-0000-0000-000000000001"
    ROLE, REPLACE = "aci-dns image updates (custom)", "aci-dns image replacements (custom)"

    def settings(self, **changes):
        found = [one for one in of(deploy(IMAGES, **changes), "Microsoft.Web/sites/config") if "/sites/aci-dns-images-" in one.id]
        return found[0].properties

    def updates(self, **changes):
        return {**parameters_of(IMAGES)["imageUpdates"], **changes}

    def test_without_resource_groups_nothing_of_it_is_made(self):
        for example in (ONE_SPOKE, HUB):
            deployment = deploy(example)
            self.assertEqual(len(of(deployment, "Microsoft.Web/sites")), 1)
            self.assertFalse([role for role, _ in grants(deployment) if "image" in role])
        empty = self.updates(resourceGroups=[])
        without = deploy(IMAGES, imageUpdates=empty).resources
        dns_only = {name: value for name, value in parameters_of(IMAGES).items() if name != "imageUpdates"}
        self.assertEqual(
            [resource.id for resource in without],
            [resource.id for resource in Deployment(MAIN, dns_only, Place(HOME, "rg-aci-dns")).resources],
        )

    def test_the_two_apps_share_neither_identity_nor_storage_nor_rights(self):
        deployment = deploy(IMAGES)
        for kind in ("Microsoft.Web/sites", "Microsoft.Web/serverfarms", "Microsoft.Storage/storageAccounts"):
            names = [resource.name for resource in of(deployment, kind)]
            self.assertEqual(len(set(names)), 2, kind)
        identities = of(deployment, "Microsoft.ManagedIdentity/userAssignedIdentities")
        self.assertEqual(len({identity.id for identity in identities}), 2)
        image_app, dns_app = of(deployment, "Microsoft.Web/sites")
        self.assertTrue(image_app.name.startswith("aci-dns-images-"))
        used = [list(app.body["identity"]["userAssignedIdentities"]) for app in (dns_app, image_app)]
        self.assertEqual(sorted(sum(used, [])), sorted(identity.id for identity in identities))
        for app, own in zip((dns_app, image_app), used):
            storage = app.properties["functionAppConfig"]["deployment"]["storage"]
            self.assertEqual(storage["authentication"]["userAssignedIdentityResourceId"], own[0])
        # The modules of the image app pass its own identity alone, and no other module has its roles.
        self.assertNotIn("principalId", text(File(MAIN).declared["module"]["images"]))
        for resource in of(deployment, "Microsoft.Authorization/roleAssignments"):
            self.assertEqual(str(resource.properties["principalId"])[:1], "<")

    def test_the_app_may_restart_and_write_only_where_that_is_asked_for(self):
        found = [(role, scope) for role, scope in grants(deploy(IMAGES)) if "image" in role]
        group = f"/subscriptions/{self.SPOKE}/resourceGroups/rg-spoke1"
        subnet = parameters_of(IMAGES)["imageUpdates"]["resourceGroups"][0]["subnetIds"][0].lower()
        expected = [
            (self.ROLE, f"/subscriptions/{self.SPOKE}"),
            (self.ROLE, group),
            (self.REPLACE, group),
            (self.REPLACE, subnet),
        ]
        self.assertEqual(sorted((role, scope.lower()) for role, scope in found), sorted((role, scope.lower()) for role, scope in expected))
        place = {"resourceGroup": "rg-spoke1", "registries": ["demo.azurecr.io"]}
        restarting = deploy(IMAGES, imageUpdates={"resourceGroups": [place]})
        found = [(role, scope) for role, scope in grants(restarting) if "image" in role]
        self.assertEqual(found, [(self.ROLE, f"/subscriptions/{HOME}/resourceGroups/rg-spoke1")])
        actions = [
            action
            for role in of(restarting, "Microsoft.Authorization/roleDefinitions")
            for action in role.properties["permissions"][0].get("actions", [])
            if "containerGroups" in action
        ]
        groups = "Microsoft.ContainerInstance/containerGroups"
        self.assertEqual(actions, [f"{groups}/read", f"{groups}/read", f"{groups}/restart/action"])

    def test_built_in_roles_are_refused(self):
        with self.assertRaisesRegex(Refused, "custom roles"):
            deploy(IMAGES, roles="builtIn")

    def test_the_settings_are_those_of_the_app(self):
        settings = self.settings()
        expected = {
            f"{self.SPOKE}/rg-spoke1": {"registries": ["demo.azurecr.io", "docker.io/contoso"]},
            f"{self.SPOKE}/rg-jobs-*": {"registries": ["demo.azurecr.io/jobs"]},
        }
        self.assertEqual(json.loads(settings["ACI_DNS_IMAGES"]), expected)
        self.assertEqual(settings["ACI_DNS_SUBSCRIPTIONS"], self.SPOKE)
        self.assertEqual(settings["ACI_DNS_POLICY"], "observe")
        self.assertEqual(settings["ACI_DNS_RETRY_QUEUE"], "<storage.properties.primaryEndpoints.queue>aci-dns-retry")
        self.assertTrue(settings["ACI_DNS_WEBHOOK_SECRET"].startswith("@Microsoft.KeyVault("))
        self.assertEqual(settings["AzureWebJobs.function_image_webhook.Disabled"], "false")
        services = [entry["services"] for entry in json.loads(settings["ACI_DNS_ZONES"]).values()]
        self.assertEqual(services, [{"api": {"groups": ["api-*"]}}])
        silent = self.settings(imageUpdates=self.updates(webhooks=False, webhookSecret=""))
        self.assertNotIn("ACI_DNS_WEBHOOK_SECRET", silent)
        self.assertEqual(silent["AzureWebJobs.function_image_webhook.Disabled"], "true")

    def test_webhooks_reach_the_app_only_where_they_are_asked_for(self):
        def restriction(is_open):
            deployment = deploy(IMAGES, onlyEventGrid=True, imageUpdates=self.updates(webhooks=is_open))
            image_app, dns_app = of(deployment, "Microsoft.Web/sites")
            return [app.properties["siteConfig"]["ipSecurityRestrictionsDefaultAction"] for app in (dns_app, image_app)]

        self.assertEqual(restriction(False), ["Deny", "Deny"])
        self.assertEqual(restriction(True), ["Deny", "Allow"])

    def test_each_registry_has_one_topic_in_its_region(self):
        (topic,) = [one for one in of(deploy(IMAGES), "Microsoft.EventGrid/systemTopics") if "registry-topic" in one.file]
        self.assertIn("/resourceGroups/rg-registry/", topic.id)
        self.assertEqual(topic.properties["topicType"], "Microsoft.ContainerRegistry.Registries")
        self.assertEqual(str(topic.body["location"]), "<registry.location>")
        registry = parameters_of(IMAGES)["imageUpdates"]["registries"][0]
        existing = deploy(IMAGES, imageUpdates=self.updates(registries=[{**registry, "existingTopic": "evgt"}]))
        self.assertEqual([one for one in of(existing, "Microsoft.EventGrid/systemTopics") if "registry-topic" in one.file], [])

    def test_pushes_that_event_grid_gives_up_are_an_alert(self):
        scopes = [rule.properties["scopes"][0] for rule in of(deploy(IMAGES), "Microsoft.Insights/metricAlerts")]
        topics = [topic.id for topic in of(deploy(IMAGES), "Microsoft.EventGrid/systemTopics")]
        self.assertEqual(sorted(set(scope.lower() for scope in scopes)), sorted(topic.lower() for topic in topics))
        self.assertEqual(len(scopes), 2 * len(topics))

    def test_the_subscription_takes_pushes_and_nothing_else(self):
        given = {
            "imageTopics": [{"subscriptionId": self.SPOKE, "resourceGroup": "rg-registry", "name": "aci-dns-images"}],
            "imagesFunctionAppId": "/images",
            "imagesStorageAccountId": "/images-storage",
        }
        deployment = Deployment(INFRA / "image-subscriptions.bicep", given, Place(HOME, "rg-aci-dns"))
        subscription = one(deployment, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
        properties = subscription.properties
        self.assertEqual(properties["destination"]["properties"]["resourceId"], "/images/functions/function_image_pushed")
        self.assertEqual(properties["filter"]["includedEventTypes"], ["Microsoft.ContainerRegistry.ImagePushed"])
        self.assertEqual(
            properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]["resourceId"], "/images-storage"
        )

    def test_the_rights_and_resource_groups_that_are_shown_are_those_of_the_deployment(self):
        given = {name: {"value": value} for name, value in parameters_of(IMAGES).items()}
        facts = preflight.facts(given, HOME, "rg-aci-dns")
        deployment = deploy(IMAGES)
        accounts = [account.id for account in of(deployment, "Microsoft.Storage/storageAccounts")]
        shown_accounts = ["the new storage account in rg-aci-dns", "the new storage account for images in rg-aci-dns"]
        own = one(deploy(ONE_SPOKE), "Microsoft.Storage/storageAccounts").id
        accounts.sort(key=lambda account: account != own)
        found = []
        for role, scope in grants(deployment):
            for account, name in zip(accounts, shown_accounts):
                scope = name if scope == account else f"dead letters in {name}" if scope.startswith(f"{account}/") else scope
            scope = re.sub(r"^.*/dataCollectionRules/.*$", "the new data collection rule", scope)
            scope = re.sub(r"^.*/components/aci-dns-telemetry$", "the new Application Insights in rg-aci-dns", scope)
            found.append((role, scope))
        self.assertEqual(sorted(fact[2:] for fact in facts if fact[0] == "grant"), sorted(found))
        groups = {fact[1:3] for fact in facts if fact[0] == "group"}
        placed = {(place.subscription, place.resource_group) for _, place, _ in deployment.modules}
        expected = {place for place in placed if place[1] not in (None, "rg-aci-dns")}
        self.assertEqual(groups, expected)
        roles = {fact[1] for fact in facts if fact[0] == "role"}
        self.assertEqual(len(roles), len(of(deployment, "Microsoft.Authorization/roleDefinitions")))

    def test_two_installations_do_not_share_a_deployment(self):
        here, there = ({(name, place.id) for name, place, _ in deploy(IMAGES, group).modules} for group in ("rg-a", "rg-b"))
        self.assertEqual(here & there, set())
        for name, place, file in deploy(IMAGES).modules:
            self.assertLessEqual(len(name), 64, file)

    def test_both_apps_have_the_same_host(self):
        folder = ROOT / "apps" / "images"
        self.assertEqual((folder / "host.json").read_text(), (ROOT / "host.json").read_text())
        retry = "function.json"
        self.assertEqual((folder / "function_image_retry" / retry).read_text(), (ROOT / "function_aci_retry" / retry).read_text())
        bindings = {path.parent.name: json.loads(path.read_text())["bindings"] for path in folder.glob("*/function.json")}
        kinds = {name: [binding["type"] for binding in found] for name, found in bindings.items()}
        expected = {
            "function_image_pushed": ["eventGridTrigger"],
            "function_image_webhook": ["httpTrigger", "http"],
            "function_image_retry": ["queueTrigger"],
        }
        self.assertEqual(kinds, expected)
        webhook = bindings["function_image_webhook"][0]
        self.assertEqual((webhook["authLevel"], webhook["methods"]), ("function", ["post"]))
        self.assertEqual(list(json.loads((INFRA / "image-events.json").read_text())["functions"]), ["function_image_pushed"])


class Logs(unittest.TestCase):
    def test_lines_of_the_handler_are_seen_once(self):
        levels = json.loads((ROOT / "host.json").read_text())["logging"]["logLevel"]
        self.assertEqual(levels["Host.Function.Console"], "Information")
        settings = one(deploy(), "Microsoft.Web/sites/config").properties
        # Where Application Insights is on, and in the only spelling that the host knows.
        self.assertIn("APPLICATIONINSIGHTS_CONNECTION_STRING", settings)
        self.assertEqual(settings["AzureFunctionsJobHost__logging__logLevel__Host.Function.Console"], "Warning")


class Pages(unittest.TestCase):
    """The reference tables of docs have what the templates and queries have."""

    def rows(self, page: str, header: str) -> str:
        table = (ROOT / "docs" / page).read_text().partition(f"\n{header}\n")[2].partition("\n\n")[0]
        self.assertTrue(table, header)
        return table

    def test_every_alert_is_in_the_table(self):
        found = set(re.findall(r"^\| `([\w-]+)", self.rows("observe.md", "| alert | means | do |"), re.M))
        deployment = deploy()
        expected = {rule.name.removeprefix("aci-dns-") for rule in of(deployment, "Microsoft.Insights/scheduledQueryRules")}
        # The name of a metric alert ends with that of its topic.
        metrics = {name for name in found if name.endswith("-")}
        self.assertEqual(found - metrics, expected)
        for rule in of(deployment, "Microsoft.Insights/metricAlerts"):
            self.assertEqual([name for name in metrics if rule.name.startswith(f"aci-dns-{name}")][1:], [], rule.name)
            self.assertTrue(any(rule.name.startswith(f"aci-dns-{name}") for name in metrics), rule.name)

    def test_every_query_is_in_the_table(self):
        cells = re.findall(r"\| ([^|]*) \|$", self.rows("observe.md", "| question | file |"), re.M)
        found = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
        self.assertEqual(sorted(found), sorted(path.stem for path in (INFRA / "queries").glob("*.kql")))

    def test_every_parameter_is_in_the_table_with_its_values(self):
        table = self.rows("parameters.md", "| parameter | Terraform | meaning | default |")
        rows = {row.split("`")[1]: row for row in table.splitlines()[1:]}
        source = (INFRA / "main.bicep").read_text()
        found = re.findall(r"((?:^@.*\n|^//.*\n)*)^param (\w+) [\w\[\]]+(?: = (.*))?$", source, re.M)
        self.assertEqual(sorted(rows), sorted(name for _, name, _ in found))
        variables = set(re.findall(r'^variable "(\w+)"', (INFRA / "terraform" / "variables.tf").read_text(), re.M))
        named = set()
        for decorators, name, default in found:
            row = rows[name]
            for limit in re.findall(r"^@(?:min|max)(?:Value|Length)\((\d+)\)", decorators, re.M):
                self.assertTrue(name == "spokes" or re.search(rf"\b{limit}\b", row), f"{row}: {limit}")
            for words in re.findall(r"^@allowed\(\[(.*)\]\)", decorators, re.M):
                for word in words.replace("'", "").split(", "):
                    self.assertIn(f"`{word}`", row)
            # An empty text, or an expression, is described.
            if re.fullmatch(r"'.+'|\d+|true|false|\{\}", default) or name == "actionGroupIds":
                self.assertTrue(row.endswith(f"| `{default.strip(chr(39))}` |"), row)
            terraform = re.findall(r"`(\w+)`", row.split("|")[2])
            self.assertEqual(len(terraform), name != "zoneTags", row)
            named.update(terraform)
        page = (ROOT / "docs" / "parameters.md").read_text()
        self.assertLessEqual(named, variables)
        self.assertEqual([name for name in variables - named if f"`{name}`" not in page.rpartition("Terraform also")[2]], [])

    def test_every_property_of_spokes_topics_and_settings_is_in_the_page(self):
        page = (ROOT / "docs" / "parameters.md").read_text()
        types = (INFRA / "types.bicep").read_text()
        properties = re.findall(r"^  (\w+): ", types, re.M)
        self.assertGreater(len(properties), 30)
        self.assertEqual([name for name in properties if f"`{name}`" not in page], [])


class Workflows(unittest.TestCase):
    def test_the_parameters_of_a_deployment_are_those_of_the_branch(self):
        deploy_workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
        checkouts = re.findall(r"uses: actions/checkout.*?(?=\n      - )", deploy_workflow, re.S)
        self.assertEqual(len(checkouts), 2)
        refs = [re.search(r"ref: (\S.*)", checkout) for checkout in checkouts]
        self.assertEqual([bool(ref) for ref in refs], [False, True])
        self.assertIn("path: release", checkouts[1])
        self.assertIn('bash "release/infra/deploy.sh"', deploy_workflow)
        self.assertIn('cp "$PARAMETERS" "release/infra/parameters/', deploy_workflow)

    def test_the_compiler_is_mandatory_where_it_is_shipped(self):
        self.assertIn("bash infra/check/bicep.sh", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
        gate = (ROOT / ".ci" / "run").read_text()
        self.assertIn("infra/check/bicep.sh", gate)
        self.assertIn("NOT CHECKED: whether Bicep compiles the templates", gate)


if __name__ == "__main__":
    unittest.main()
