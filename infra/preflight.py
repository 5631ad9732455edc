"""Tells what a deployment of main.bicep needs and grants, from its parameters.

    python3 infra/preflight.py facts SUBSCRIPTION RESOURCE_GROUP < PARAMETERS
    python3 infra/preflight.py tags < FACTS_AND_ZONES

PARAMETERS is a parameter file in JSON, or what `az bicep build-params --stdout` prints. One fact a line, with tabs
between its parts:

    provider  subscription  namespace         a resource provider that has to be registered
    group     subscription  name  purpose     a resource group that has to exist
    zone      subscription  group  name       a zone that is deployed
    role      name                            a custom role that is defined
    grant     who  role  scope                a right that is assigned

What-if shows no role assignment: their names contain the id of an identity, which it does not know yet.

`tags` reads the facts and lines `found  subscription  group  <zones as JSON, each with name and tags>`, and prints the
parameter zoneTags.
"""

import json
import sys

# The defaults of main.bicep that matter here; a test compares them.
DEFAULTS = {
    "topics": [],
    "createZones": True,
    "roles": "custom",
    "containerGroupScope": "subscription",
    "existingWorkspaceId": "",
    "existingApplicationInsightsId": "",
    "namePrefix": "aci-dns",
}
HOME_PROVIDERS = (
    "Microsoft.App",
    "Microsoft.EventGrid",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
)


def parameters(given: dict) -> dict:
    if "parametersJson" in given:
        given = json.loads(given["parametersJson"])
    values = {name: value.get("value") for name, value in given.get("parameters", given).items()}
    return DEFAULTS | {name: value for name, value in values.items() if value is not None}


def group_of(resource_id: str) -> tuple[str, str]:
    parts = resource_id.split("/")
    return parts[2], parts[4]


def unique(values) -> list:
    return list(dict.fromkeys(values))


def facts(given: dict, home: str, home_group: str) -> list[tuple]:
    values = parameters(given)
    home = home.lower()
    spokes = []
    for spoke in values["spokes"]:
        subscription = (spoke.get("subscriptionId") or home).lower()
        spokes.append(
            {
                "subscription": subscription,
                "group": spoke["resourceGroup"],
                "is_pattern": spoke["resourceGroup"].endswith("*"),
                "zone_subscription": (spoke.get("zoneSubscriptionId") or subscription).lower(),
                "zone_group": (spoke.get("zoneResourceGroup") or spoke["resourceGroup"]).lower(),
                "zones": [name.lower() for name in (spoke["forwardZone"], *spoke["reverseZones"])],
            }
        )
    zones = unique(
        (spoke["zone_subscription"], spoke["zone_group"], name) for spoke in spokes for name in spoke["zones"]
    )
    topics = [((topic.get("subscriptionId") or home).lower(), topic["resourceGroup"]) for topic in values["topics"]]
    topics = topics or [(spoke["subscription"], spoke["group"]) for spoke in spokes if not spoke["is_pattern"]]

    providers = [(home, namespace) for namespace in HOME_PROVIDERS]
    providers += [(spoke["subscription"], "Microsoft.ContainerInstance") for spoke in spokes]
    providers += [(subscription, "Microsoft.EventGrid") for subscription, _ in topics]
    providers += [(subscription, "Microsoft.Insights") for subscription, _ in topics]
    providers += [(subscription, "Microsoft.Network") for subscription, _, _ in zones]

    # The vaults, and the secrets of them at which the right is assigned.
    secrets = [spoke["secret"] for spoke in values["spokes"] if spoke.get("secret")]
    vaults = [(*(part.lower() for part in group_of(secret["vaultId"])), secret["vaultId"].split("/")[8].lower()) for secret in secrets]
    published = unique(
        (*vault, name.lower()) for vault, secret in zip(vaults, secrets) for name in secret.get("secretNames") or [""]
    )

    # A pattern without a resource group for its zones is refused by the template.
    zone_groups = [(subscription, group) for subscription, group, _ in zones if not group.endswith("*")]
    groups = [(spoke["subscription"], spoke["group"], "spoke") for spoke in spokes if not spoke["is_pattern"]]
    groups += [(*group, "zones") for group in zone_groups] + [(*topic, "topic") for topic in topics]
    groups += [(subscription, group, "key vault") for subscription, group, _ in vaults]
    groups += [(*group_of(values["existingWorkspaceId"]), "workspace")] if values["existingWorkspaceId"] else []

    images = values.get("imageUpdates") or {"resourceGroups": []}
    places = [
        ((place.get("subscriptionId") or home).lower(), place["resourceGroup"], place.get("replace"), place.get("subnetIds") or [])
        for place in images["resourceGroups"]
    ]
    registries = [registry["id"] for registry in images.get("registries") or []] if places else []
    providers += [(place[0], "Microsoft.ContainerInstance") for place in places]
    providers += [(group_of(registry)[0].lower(), name) for registry in registries for name in ("Microsoft.EventGrid", "Microsoft.Insights")]
    subnets = unique(subnet.lower() for _, _, replaces, ids in places if replaces for subnet in ids)
    groups += [(subscription, group, "images") for subscription, group, _, _ in places if not group.endswith("*")]
    groups += [(*group_of(registry), "registry") for registry in registries] + [(*group_of(subnet), "subnet") for subnet in subnets]

    is_custom = values["roles"] == "custom"
    reader = "aci-dns container groups (custom)" if is_custom else "Reader"
    writer = "aci-dns record sets (custom)" if is_custom else "Private DNS Zone Contributor"
    setter = "aci-dns secrets (custom)" if is_custom else "Key Vault Secrets Officer"
    account = f"the new storage account in {home_group}"
    insights = values["existingApplicationInsightsId"] or f"the new Application Insights in {home_group}"
    reads_subscriptions = values["containerGroupScope"] == "subscription"
    scopes = unique(
        f"/subscriptions/{spoke['subscription']}"
        if spoke["is_pattern"] or reads_subscriptions
        else f"/subscriptions/{spoke['subscription']}/resourceGroups/{spoke['group']}"
        for spoke in spokes
    )
    grants = [("app", reader, scope) for scope in scopes]
    grants += [
        ("app", writer, f"/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Network/privateDnsZones/{name}")
        for s, g, name in zones
    ]
    for s, g, vault, name in published:
        scope = f"/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.KeyVault/vaults/{vault}"
        grants.append(("app", setter, f"{scope}/secrets/{name}" if name else scope))
    grants += [("app", f"Storage {kind}", account) for kind in ("Blob Data Owner", "Queue Data Contributor")]
    grants += [("app", "Storage Table Data Contributor", account)]
    grants += [("app", "Monitoring Metrics Publisher", place) for place in ("the new data collection rule", insights)]
    grants += [
        (f"topic in {group} of {subscription}", "Storage Blob Data Contributor", f"dead letters in {account}")
        for subscription, group in topics
    ]

    if places:
        account = f"the new storage account for images in {home_group}"
        updater, replacer = "aci-dns image updates (custom)", "aci-dns image replacements (custom)"

        def scopes_of(some: list) -> list:
            of_groups = [f"/subscriptions/{place[0]}/resourceGroups/{place[1]}" for place in some if not place[1].endswith("*")]
            return unique(f"/subscriptions/{place[0]}" for place in some if place[1].endswith("*")) + of_groups

        replacing = [place for place in places if place[2]]
        grants += [("image app", updater, scope) for scope in scopes_of(places)]
        joined = []
        for subnet in subnets:
            part = subnet.split("/")
            network = f"providers/Microsoft.Network/virtualNetworks/{part[8]}/subnets/{part[10]}"
            joined.append(f"/subscriptions/{part[2]}/resourceGroups/{part[4]}/{network}")
        grants += [("image app", replacer, scope) for scope in [*scopes_of(replacing), *joined]]
        kinds = ("Blob Data Owner", "Queue Data Contributor", "Table Data Contributor")
        grants += [("image app", f"Storage {kind}", account) for kind in kinds]
        grants += [("image app", "Monitoring Metrics Publisher", insights)]
        grants += [
            (f"topic of {registry.split('/')[8]}", "Storage Blob Data Contributor", f"dead letters in {account}")
            for registry in registries
        ]
        custom_roles = [updater, *([replacer] if replacing else [])]
    else:
        custom_roles = []

    lines = [("provider", *provider) for provider in unique(providers)]
    lines += [("group", *group) for group in unique(groups)]
    lines += [("zone", *zone) for zone in zones if values["createZones"]]
    lines += [("role", role) for role in (reader, writer, *([setter] if published else [])) if is_custom]
    lines += [("role", role) for role in custom_roles]
    return lines + [("grant", *grant) for grant in grants]


def zone_tags(lines: list[str]) -> dict:
    parts = [line.rstrip("\n").split("\t") for line in lines]
    wanted = {"/".join(part[1:]) for part in parts if part[0] == "zone"}
    found = {
        f"{subscription}/{group}/{zone['name'].lower()}": zone["tags"]
        for kind, subscription, group, zones in (part for part in parts if part[0] == "found")
        for zone in json.loads(zones)
    }
    return {zone: tags for zone, tags in found.items() if tags and zone in wanted}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["facts", subscription, resource_group]:
            for line in facts(json.load(sys.stdin), subscription, resource_group):
                print(*line, sep="\t")
        case ["tags"]:
            print(json.dumps(zone_tags(sys.stdin.readlines())))
        case _:
            sys.exit(__doc__)
