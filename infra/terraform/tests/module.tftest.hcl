# What the module makes of its variables. The providers are mocked: no Azure is asked, and nothing is made; but they
# check each resource against their schemas, and azapi each body against the API's.

mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { subscription_id = "00000000-0000-0000-0000-00000000000A" }
  }
  mock_resource "azurerm_storage_account" {
    defaults = {
      id                     = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Storage/storageAccounts/acidns"
      primary_blob_endpoint  = "https://acidns.blob.core.windows.net/"
      primary_queue_endpoint = "https://acidns.queue.core.windows.net/"
      primary_table_endpoint = "https://acidns.table.core.windows.net/"
    }
  }
  mock_resource "azurerm_storage_container" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Storage/storageAccounts/acidns/blobServices/default/containers/dead-letters"
    }
  }
  mock_resource "azurerm_log_analytics_workspace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.OperationalInsights/workspaces/aci-dns-logs"
    }
  }
  mock_resource "azurerm_application_insights" {
    defaults = {
      id                = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Insights/components/aci-dns-telemetry"
      connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000009"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.ManagedIdentity/userAssignedIdentities/aci-dns-identity"
      client_id    = "00000000-0000-0000-0000-0000000000c0"
      principal_id = "00000000-0000-0000-0000-0000000000a1"
    }
  }
  mock_resource "azurerm_monitor_action_group" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Insights/actionGroups/aci-dns-alerts"
    }
  }
}

mock_provider "azapi" {
  mock_data "azapi_resource" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/evgt-subscription"
      output = {
        connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000008"
        client_id         = "00000000-0000-0000-0000-0000000000c1"
        principal_id      = "00000000-0000-0000-0000-0000000000b1"
      }
    }
  }
}

override_data {
  target = data.azapi_resource.topic
  values = {
    id     = "/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/evgt-subscription"
    output = { principal_id = "00000000-0000-0000-0000-0000000000e2" }
  }
}

override_data {
  target = data.azapi_resource.registry
  values = { output = { location = "northeurope" } }
}

override_resource {
  target = azapi_resource.images_app
  values = {
    id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/images"
  }
}

override_resource {
  target = azapi_resource.registry_topic
  values = {
    id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-registry/providers/Microsoft.EventGrid/systemTopics/aci-dns-images"
    identity = { principal_id = "00000000-0000-0000-0000-0000000000e3" }
  }
}

override_resource {
  target = azapi_resource.drift_rule
  values = {
    id     = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Insights/dataCollectionRules/aci-dns-drift"
    output = { endpoint = "https://drift.ingest.monitor.azure.com", immutable_id = "dcr-1" }
  }
}

override_resource {
  target = azapi_resource.app
  values = {
    id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/app"
  }
}

override_resource {
  target = azapi_resource.plan
  values = {
    id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Web/serverfarms/aci-dns-plan"
  }
}

override_resource {
  target = azapi_resource.topic
  values = {
    id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-spoke1/providers/Microsoft.EventGrid/systemTopics/aci-dns-events"
    identity = { principal_id = "00000000-0000-0000-0000-0000000000e1" }
  }
}

override_resource {
  target = azapi_resource.zone
  values = {
    id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/mock.internal"
  }
}

variables {
  resource_group_name = "rg-aci-dns"
  location            = "westeurope"
  spokes = [{
    resource_group      = "rg-Spoke1"
    forward_zone        = "spoke1.contoso.internal"
    reverse_zones       = ["1.10.in-addr.arpa"]
    zone_resource_group = "rg-dns"
    network_ids         = ["/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1"]
  }]
}

run "one_spoke" {
  command = apply

  assert {
    condition = jsondecode(local.app_settings.ACI_DNS_ZONES) == {
      "00000000-0000-0000-0000-00000000000a/rg-Spoke1" = {
        forwardZone        = "spoke1.contoso.internal"
        reverseZones       = ["1.10.in-addr.arpa"]
        zoneSubscriptionId = "00000000-0000-0000-0000-00000000000a"
        zoneResourceGroup  = "rg-dns"
        ttl                = 60
      }
    }
    error_message = "The map of the app is another one: ${local.app_settings.ACI_DNS_ZONES}"
  }
  assert {
    condition = { for key, zone in azapi_resource.zone : key => "${zone.parent_id}/${zone.name}" } == {
      "00000000-0000-0000-0000-00000000000a/rg-dns/spoke1.contoso.internal" = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-dns/spoke1.contoso.internal"
      "00000000-0000-0000-0000-00000000000a/rg-dns/1.10.in-addr.arpa"       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-dns/1.10.in-addr.arpa"
    }
    error_message = "Not the forward and the reverse zone, each once."
  }
  assert {
    condition     = length(azapi_resource.images_app) == 0 && length(azurerm_role_assignment.image_updates) == 0 && length(azurerm_role_assignment.secrets) == 0 && keys(azurerm_role_definition.this) == ["containerGroups", "recordSets"]
    error_message = "Without secrets there is no right to any."
  }
  assert {
    condition     = length(azapi_resource.link) == 2
    error_message = "Each zone has to be linked to the network that queries it: reverse zones too."
  }
  assert {
    condition     = [for grant in azurerm_role_assignment.container_groups : grant.scope] == ["/subscriptions/00000000-0000-0000-0000-00000000000a"]
    error_message = "A right to read container groups that is assigned in a spoke is deleted with it."
  }
  assert {
    condition     = alltrue([for grant in concat(values(azurerm_role_assignment.record_sets), values(azurerm_role_assignment.container_groups), values(azurerm_role_assignment.storage), [azurerm_role_assignment.drift_rule, azurerm_role_assignment.application_insights]) : grant.principal_id == "00000000-0000-0000-0000-0000000000a1"])
    error_message = "A right of the app is given to somebody else."
  }
  assert {
    condition     = azapi_resource.topic["00000000-0000-0000-0000-00000000000a/rg-spoke1/resourcegroup"].body.properties.source == "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-Spoke1"
    error_message = "The topic is not that of the spoke's resource group."
  }
  assert {
    condition     = length(azapi_resource.subscription) == 0
    error_message = "Event Grid refuses subscriptions to functions that do not exist."
  }
  assert {
    condition     = local.app_settings["AzureWebJobs.function_drift_sweep.Disabled"] == "false" && local.app_settings.ACI_DNS_SWEEP == "report"
    error_message = "A move by the platform raises no event: a sweep has to find it."
  }
  assert {
    condition     = local.app_settings.APPLICATIONINSIGHTS_AUTHENTICATION_STRING == "Authorization=AAD;ClientId=00000000-0000-0000-0000-0000000000c0"
    error_message = "A component without local authentication needs the app to show its identity."
  }
  assert {
    condition     = !contains(keys(local.app_settings), "AzureWebJobsStorage") && local.app_settings.AZURE_CLIENT_ID == "00000000-0000-0000-0000-0000000000c0"
    error_message = "The app reaches its storage with its new identity, not with a connection string."
  }
  assert {
    condition     = length(azurerm_monitor_metric_alert.given_up) == 2 && length(azurerm_monitor_scheduled_query_rules_alert_v2.this) == 10
    error_message = "Alert rules are missing."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_metric_alert.given_up : alert.window_size == "PT15M" && alert.frequency == "PT5M"])
    error_message = "A metric rule whose window is its frequency can miss the first value."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : alert.skip_query_validation])
    error_message = "A first deployment has no tables that a query could be validated against."
  }
  assert {
    condition     = keys(azurerm_role_assignment.storage) == ["storage_blob_data_owner", "storage_queue_contributor", "storage_table_contributor"] && length(azapi_resource.queue) == 2
    error_message = "The host needs blobs, queues and tables, the retry queue and its poison queue."
  }
  assert {
    condition     = local.app_settings.ACI_DNS_RETRY_QUEUE == "https://acidns.queue.core.windows.net/aci-dns-retry" && local.app_settings["AzureWebJobs.function_aci_retry.Disabled"] == "false"
    error_message = "Unfinished work is stored, and read again."
  }
  assert {
    condition     = azurerm_storage_account.this.public_network_access_enabled && azurerm_storage_account.this.account_replication_type == "LRS" && length(azurerm_management_lock.this) == 0 && length(azurerm_monitor_action_group.this) == 0
    error_message = "Without being asked for, nothing is closed, redundant, locked or sent by mail."
  }
  assert {
    condition     = azapi_resource.app.body.properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB == 512 && !contains(keys(azapi_resource.app.body.properties.siteConfig), "ftpsState")
    error_message = "An instance has 512 MB, and Flex Consumption has no FTP."
  }
  assert {
    condition     = [for key in ["app", "topic", "storage"] : length({ app = azurerm_monitor_diagnostic_setting.app, topic = azurerm_monitor_diagnostic_setting.topic, storage = azurerm_monitor_diagnostic_setting.storage }[key])] == [1, 1, 2]
    error_message = "Resource logs are missing."
  }
}

run "published" {
  command = apply

  variables {
    functions_published = true
  }

  assert {
    condition = { for subscription in azapi_resource.subscription : subscription.name => subscription.body.properties.destination.properties.resourceId } == {
      aci-dns-function-aci-reconcile = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/app/functions/function_aci_reconcile"
      aci-dns-function-drift-tracker = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/app/functions/function_drift_tracker"
    }
    error_message = "Each function needs one subscription for each topic."
  }
  assert {
    condition     = alltrue([for subscription in azapi_resource.subscription : subscription.body.properties.filter.advancedFilters[0].values == ["/providers/Microsoft.ContainerInstance/containerGroups/"]])
    error_message = "A subscription takes more than the events of container groups."
  }
}

run "hub_and_spoke" {
  command = apply

  variables {
    functions_published     = true
    create_zones            = false
    sweep_schedule          = ""
    only_event_grid         = true
    always_ready_instances  = 1
    zone_redundant          = true
    locks                   = "resourcesAndZones"
    alert_email             = "dns@contoso.com"
    integration_subnet      = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-aci-dns" }
    private_endpoint_subnet = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-private-endpoints" }
    private_dns_zone_ids    = { blob = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net" }
    user_assigned_identity  = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-identity/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-aci-dns" }

    existing_workspace            = { id = "/subscriptions/00000000-0000-0000-0000-00000000000d/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/law-central" }
    existing_application_insights = { id = "/subscriptions/00000000-0000-0000-0000-00000000000d/resourceGroups/rg-logs/providers/Microsoft.Insights/components/appi-central" }
    action_group_ids              = ["/subscriptions/00000000-0000-0000-0000-00000000000d/resourceGroups/rg-logs/providers/Microsoft.Insights/actionGroups/ag-network"]

    spokes = [
      {
        subscription_id      = "00000000-0000-0000-0000-00000000000B"
        resource_group       = "rg-spoke1"
        forward_zone         = "spoke1.contoso.internal"
        reverse_zones        = ["10.in-addr.arpa"]
        zone_subscription_id = "00000000-0000-0000-0000-00000000000a"
        zone_resource_group  = "rg-dns"
        secret = {
          vault_id = "/subscriptions/00000000-0000-0000-0000-00000000000D/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-apps"
          name     = "{group}--ip"
        }
        network_ids = [
          "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub",
          "/subscriptions/00000000-0000-0000-0000-00000000000b/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1",
        ]
      },
      {
        subscription_id      = "00000000-0000-0000-0000-00000000000c"
        resource_group       = "rg-spoke2-*"
        forward_zone         = "spoke2.contoso.internal"
        reverse_zones        = ["10.IN-ADDR.ARPA"]
        zone_subscription_id = "00000000-0000-0000-0000-00000000000A"
        zone_resource_group  = "RG-dns"
        policy               = "observe"
        groups               = ["web-*"]
        former_zones         = ["old.contoso.internal"]
        services             = { api = { groups = ["api-v*"] }, jobs = { ttl = 20 } }
        secret = {
          vault_id     = "/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-spoke2"
          secret_names = ["api--ip"]
        }
        network_ids = ["/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub"]
      },
    ]
    topics = [
      { subscription_id = "00000000-0000-0000-0000-00000000000b", resource_group = "rg-spoke1" },
      {
        subscription_id = "00000000-0000-0000-0000-00000000000c"
        resource_group  = "rg-events"
        source          = "subscription"
        existing_name   = "evgt-subscription"
      },
    ]
  }

  assert {
    condition = keys(local.zones) == [
      "00000000-0000-0000-0000-00000000000a/rg-dns/10.in-addr.arpa",
      "00000000-0000-0000-0000-00000000000a/rg-dns/spoke1.contoso.internal",
      "00000000-0000-0000-0000-00000000000a/rg-dns/spoke2.contoso.internal",
    ]
    error_message = "A zone that serves two spokes is one zone."
  }
  assert {
    condition     = length(azapi_resource.zone) == 0 && length(azapi_resource.link) == 2 + 2 + 1
    error_message = "Zones that exist are linked, each to each of its networks once, and not made."
  }
  assert {
    condition = { for key, grant in azurerm_role_assignment.container_groups : key => grant.scope } == {
      "00000000-0000-0000-0000-00000000000b" = "/subscriptions/00000000-0000-0000-0000-00000000000b"
      "00000000-0000-0000-0000-00000000000c" = "/subscriptions/00000000-0000-0000-0000-00000000000c"
    }
    error_message = "The container groups of a spoke are read in its subscription."
  }
  assert {
    condition = azurerm_role_definition.this["recordSets"].assignable_scopes == tolist([
      "/subscriptions/00000000-0000-0000-0000-00000000000a",
      "/subscriptions/00000000-0000-0000-0000-00000000000b",
      "/subscriptions/00000000-0000-0000-0000-00000000000c",
      "/subscriptions/00000000-0000-0000-0000-00000000000d",
    ])
    error_message = "The custom roles have to be assignable wherever they are assigned."
  }
  assert {
    condition = keys(azurerm_role_assignment.secrets) == [
      "/subscriptions/00000000-0000-0000-0000-00000000000c/resourcegroups/rg-apps/providers/microsoft.keyvault/vaults/kv-spoke2/secrets/api--ip",
      "/subscriptions/00000000-0000-0000-0000-00000000000d/resourcegroups/rg-apps/providers/microsoft.keyvault/vaults/kv-apps",
    ]
    error_message = "The right to secrets is given at a vault, or at one secret."
  }
  assert {
    condition     = length(azurerm_role_definition.this["secrets"].permissions[0].actions) == 0 && length(azurerm_role_definition.this["secrets"].permissions[0].data_actions) == 2
    error_message = "The role for secrets has two data actions and nothing else."
  }
  assert {
    condition = [for entry in values(jsondecode(local.app_settings.ACI_DNS_ZONES)) : entry.secret] == [
      { name = "{group}--ip", vault = "https://kv-apps.vault.azure.net/" },
      { vault = "https://kv-spoke2.vault.azure.net/" },
    ]
    error_message = "The map names other vaults: ${local.app_settings.ACI_DNS_ZONES}"
  }
  assert {
    condition     = length(azapi_resource.topic) == 1 && length(azapi_resource.subscription) == 4
    error_message = "One topic is made and one exists, and both functions listen to both."
  }
  assert {
    condition     = azurerm_role_assignment.dead_letters["00000000-0000-0000-0000-00000000000c/rg-events/subscription"].principal_id == "00000000-0000-0000-0000-0000000000e2"
    error_message = "The topic that exists writes its dead letters with its own identity."
  }
  assert {
    condition     = alltrue([for grant in azurerm_role_assignment.storage : grant.principal_id == "00000000-0000-0000-0000-0000000000b1"])
    error_message = "The rights are those of the user-assigned identity."
  }
  assert {
    condition     = local.app_settings.APPLICATIONINSIGHTS_AUTHENTICATION_STRING == "Authorization=AAD;ClientId=00000000-0000-0000-0000-0000000000c1" && local.app_settings.AZURE_CLIENT_ID == "00000000-0000-0000-0000-0000000000c1" && local.app_settings.AzureWebJobsStorage__clientId == "00000000-0000-0000-0000-0000000000c1"
    error_message = "App, telemetry and host storage have to name the user-assigned identity."
  }
  assert {
    condition     = azurerm_storage_account.this.network_rules[0].default_action == "Deny" && !azurerm_storage_account.this.public_network_access_enabled && keys(azurerm_private_endpoint.storage) == ["blob", "queue", "table"]
    error_message = "With private endpoints the account is closed, and the host reaches blobs, queues and tables."
  }
  assert {
    condition     = [for key, endpoint in azurerm_private_endpoint.storage : length(endpoint.private_dns_zone_group)] == [1, 0, 0]
    error_message = "An endpoint registers in the zone that is given for it."
  }
  assert {
    condition     = keys(azurerm_management_lock.this) == ["app", "storage", "topic 00000000-0000-0000-0000-00000000000b/rg-spoke1/resourcegroup", "zone 00000000-0000-0000-0000-00000000000a/rg-dns/10.in-addr.arpa", "zone 00000000-0000-0000-0000-00000000000a/rg-dns/spoke1.contoso.internal", "zone 00000000-0000-0000-0000-00000000000a/rg-dns/spoke2.contoso.internal"]
    error_message = "What is made here and the zones are locked, and nothing of other teams."
  }
  assert {
    condition     = azurerm_storage_account.this.account_replication_type == "ZRS" && azapi_resource.plan.body.properties.zoneRedundant
    error_message = "Plan and storage account are spread over zones."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : length(alert.action[0].action_groups) == 2])
    error_message = "Alerts go to the groups that are given and to the address."
  }
  assert {
    condition     = local.app_settings["AzureWebJobs.function_drift_sweep.Disabled"] == "true"
    error_message = "Without a schedule there is no sweep."
  }
  assert {
    condition = [for entry in values(jsondecode(local.app_settings.ACI_DNS_ZONES)) : join(" ", keys(entry))] == [
      "forwardZone reverseZones secret ttl zoneResourceGroup zoneSubscriptionId",
      "formerZones forwardZone groups policy reverseZones secret services ttl zoneResourceGroup zoneSubscriptionId",
    ]
    error_message = "The map names what is given, and leaves out what is not."
  }
  assert {
    condition = jsonencode(values(jsondecode(local.app_settings.ACI_DNS_ZONES))[1].services) == jsonencode({
      api  = { groups = ["api-v*"], ttl = 30 }
      jobs = { ttl = 20 }
    })
    error_message = "A service has the groups that are given, and a time to live."
  }
  assert {
    condition     = local.app_settings.ACI_DNS_SUBSCRIPTIONS == "00000000-0000-0000-0000-00000000000b,00000000-0000-0000-0000-00000000000c"
    error_message = "Events of other subscriptions are not for this app."
  }
  assert {
    condition     = length(azurerm_log_analytics_workspace.this) == 0 && length(azurerm_application_insights.this) == 0
    error_message = "What exists is not made again."
  }
  assert {
    condition     = length(distinct([for alert in azurerm_monitor_metric_alert.given_up : alert.name])) == 4
    error_message = "Two topics need rules of different names."
  }
}

run "without_a_retry_queue" {
  command = plan

  variables {
    retry_queue = false
  }

  assert {
    condition     = !contains(keys(local.app_settings), "ACI_DNS_RETRY_QUEUE") && local.app_settings["AzureWebJobs.function_aci_retry.Disabled"] == "true"
    error_message = "A function that reads no queue is switched off."
  }
}

run "built_in_roles" {
  command = apply

  variables {
    roles = "builtIn"
  }

  assert {
    condition     = length(azurerm_role_definition.this) == 0 && alltrue([for grant in azurerm_role_assignment.record_sets : endswith(grant.role_definition_id, "/b12aa53e-6015-4669-85d0-8515ebb3ae7f")])
    error_message = "Where custom roles are forbidden, the zones get Private DNS Zone Contributor."
  }
}

run "a_pattern_without_topics_is_refused" {
  command = plan

  variables {
    spokes = [{ resource_group = "rg-*", forward_zone = "a.internal", reverse_zones = [], zone_resource_group = "rg-dns" }]
  }

  expect_failures = [var.topics]
}

run "a_spoke_that_no_topic_carries_is_refused" {
  command = plan

  variables {
    topics = [{ resource_group = "rg-other" }]
  }

  expect_failures = [var.topics]
}

run "a_topic_of_the_subscription_carries_a_pattern" {
  command = plan

  variables {
    spokes = [{ subscription_id = "00000000-0000-0000-0000-00000000000A", resource_group = "rg-*", forward_zone = "a.internal", reverse_zones = [], zone_resource_group = "rg-dns" }]
    topics = [{ resource_group = "rg-events", source = "subscription" }]
  }

  assert {
    condition     = length(azapi_resource.topic) == 1
    error_message = "The topic is not made."
  }
}

run "a_pattern_without_a_resource_group_for_its_zones_is_refused" {
  command = plan

  variables {
    spokes = [{ resource_group = "rg-*", forward_zone = "a.internal", reverse_zones = [] }]
    topics = [{ resource_group = "rg-events", source = "subscription" }]
  }

  expect_failures = [var.spokes]
}

run "a_closed_storage_account_needs_a_way_to_it" {
  command = plan

  variables {
    private_endpoint_subnet = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-private-endpoints" }
  }

  expect_failures = [var.private_endpoint_subnet]
}

run "resource_groups_are_read_alone_where_that_is_asked_for" {
  command = apply

  variables {
    container_group_scope = "resourceGroup"
  }

  assert {
    condition     = [for grant in azurerm_role_assignment.container_groups : grant.scope] == ["/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-Spoke1"]
    error_message = "The app may read container groups elsewhere than in the spoke."
  }
}

# Ids that are not known before apply: a plan has to get by without them.
run "what_the_same_configuration_makes_is_taken" {
  command = plan

  module {
    source = "./tests/same-configuration"
  }
}

run "a_classless_reverse_zone_is_refused" {
  command = plan

  variables {
    spokes = [{ resource_group = "rg", forward_zone = "a.internal", reverse_zones = ["0-63.5.1.10.in-addr.arpa"] }]
  }

  expect_failures = [var.spokes]
}

run "a_number_out_of_its_bounds_is_refused" {
  command = plan

  variables {
    settings = { ACI_DNS_DEADLINE_SECONDS = "29" }
  }

  expect_failures = [var.settings]
}

run "a_number_that_is_none_is_refused" {
  command = plan

  variables {
    settings = { ACI_DNS_RECHECK_SECONDS = "soon" }
  }

  expect_failures = [var.settings]
}

run "a_word_that_is_none_is_refused" {
  command = plan

  variables {
    settings = { ACI_DNS_POLICY = "dry-run" }
  }

  expect_failures = [var.settings]
}

run "settings_in_their_bounds_are_taken" {
  command = plan

  variables {
    settings = { ACI_DNS_DEADLINE_SECONDS = "28", ACI_DNS_POLICY = "observe" }
  }

  assert {
    condition     = local.app_settings.ACI_DNS_DEADLINE_SECONDS == "28"
    error_message = "The app does not get the setting."
  }
}

run "a_setting_that_does_not_exist_is_refused" {
  command = plan

  variables {
    settings = { ACI_DNS_OWNER = "strict" }
  }

  expect_failures = [var.settings]
}

run "image_updates" {
  command = apply

  variables {
    functions_published = true
    only_event_grid     = true
    locks               = "resources"
    image_updates = {
      resource_groups = [
        {
          resource_group = "rg-Spoke1"
          registries     = ["demo.azurecr.io", "docker.io/contoso"]
          replace        = true
          subnet_ids     = ["/subscriptions/00000000-0000-0000-0000-00000000000D/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1/subnets/snet-containers"]
        },
        {
          subscription_id = "00000000-0000-0000-0000-00000000000B"
          resource_group  = "rg-jobs-*"
          registries      = ["demo.azurecr.io/jobs"]
        },
      ]
      registries = [{ id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-registry/providers/Microsoft.ContainerRegistry/registries/demo" }]
      policy     = "observe"
    }
  }

  assert {
    condition = jsondecode(local.image_settings.ACI_DNS_IMAGES) == {
      "00000000-0000-0000-0000-00000000000a/rg-Spoke1" = { registries = ["demo.azurecr.io", "docker.io/contoso"] }
      "00000000-0000-0000-0000-00000000000b/rg-jobs-*" = { registries = ["demo.azurecr.io/jobs"] }
    }
    error_message = "The map of the app is another one: ${local.image_settings.ACI_DNS_IMAGES}"
  }
  assert {
    condition     = local.image_settings.ACI_DNS_SUBSCRIPTIONS == "00000000-0000-0000-0000-00000000000a,00000000-0000-0000-0000-00000000000b" && local.image_settings.ACI_DNS_POLICY == "observe" && !contains(keys(local.image_settings), "ACI_DNS_WEBHOOK_SECRET")
    error_message = "The settings are not those that were asked for."
  }
  assert {
    condition = { for key, grant in azurerm_role_assignment.image_updates : key => grant.scope } == {
      "00000000-0000-0000-0000-00000000000a/rg-spoke1" = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-Spoke1"
      "00000000-0000-0000-0000-00000000000b"           = "/subscriptions/00000000-0000-0000-0000-00000000000b"
    }
    error_message = "The app restarts elsewhere than it was asked to."
  }
  assert {
    condition = keys(azurerm_role_assignment.image_replacements) == [
      "/subscriptions/00000000-0000-0000-0000-00000000000d/resourcegroups/rg-network/providers/microsoft.network/virtualnetworks/vnet-spoke1/subnets/snet-containers",
      "00000000-0000-0000-0000-00000000000a/rg-spoke1",
    ]
    error_message = "The app writes elsewhere than it was asked to."
  }
  assert {
    condition     = azurerm_role_definition.this["imageUpdates"].permissions[0].actions == tolist(["Microsoft.ContainerInstance/containerGroups/read", "Microsoft.ContainerInstance/containerGroups/restart/action"]) && length(azurerm_role_definition.this) == 4
    error_message = "The role to update images does more than to read and restart."
  }
  assert {
    condition     = azurerm_storage_account.images[0].name != azurerm_storage_account.this.name && azapi_resource.images_app[0].name != azapi_resource.app.name && azurerm_user_assigned_identity.images[0].name != azurerm_user_assigned_identity.this[0].name
    error_message = "The two apps share something."
  }
  assert {
    condition     = azapi_resource.images_app[0].body.properties.siteConfig.ipSecurityRestrictionsDefaultAction == "Deny" && local.image_settings["AzureWebJobs.function_image_webhook.Disabled"] == "true"
    error_message = "Without webhooks, only Event Grid reaches the app."
  }
  assert {
    condition     = [for subscription in azapi_resource.image_subscription : subscription.body.properties.filter.includedEventTypes] == [["Microsoft.ContainerRegistry.ImagePushed"]]
    error_message = "The subscription of the registry takes something else than pushes."
  }
  assert {
    condition     = azapi_resource.registry_topic["/subscriptions/00000000-0000-0000-0000-00000000000a/resourcegroups/rg-registry/providers/microsoft.containerregistry/registries/demo"].location == "northeurope"
    error_message = "The topic is not in the region of its registry."
  }
  assert {
    condition     = length(azurerm_monitor_metric_alert.given_up) == 4
    error_message = "Pushes that Event Grid gives up have to be seen."
  }
  assert {
    condition     = length(azurerm_management_lock.this) == 9
    error_message = "App, identity, storage account and topic of image updates are locked as well: ${length(azurerm_management_lock.this)}"
  }
}

run "image_updates_without_custom_roles" {
  command = plan

  variables {
    roles         = "builtIn"
    image_updates = { resource_groups = [{ resource_group = "rg-spoke1", registries = ["demo.azurecr.io"] }] }
  }

  expect_failures = [var.image_updates]
}
