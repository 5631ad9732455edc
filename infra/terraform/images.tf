# The app that updates images after registry pushes: its identity, storage account, plan and app, its rights, and the
# topics of the registries. Nothing of it is shared with the app that keeps DNS right, except telemetry. It exists where
# image_updates names resource groups.

locals {
  image_events = jsondecode(file("${path.module}/../image-events.json"))

  image_places = [for place in var.image_updates.resource_groups : merge(place, {
    subscription_id = lower(coalesce(place.subscription_id, local.home_subscription_id))
    is_pattern      = endswith(place.resource_group, "*")
    subnet_ids      = [for id in place.subnet_ids : lower(id)]
  })]
  updates_images         = length(local.image_places) > 0
  replaces_images        = anytrue([for place in local.image_places : place.replace])
  image_subscription_ids = distinct(local.image_places[*].subscription_id)
  image_registries = {
    for registry in local.updates_images ? var.image_updates.registries : [] : lower(registry.id) => registry
  }
  image_topic_ids = {
    for key, registry in local.image_registries : key => (
      registry.existing_topic == null ? azapi_resource.registry_topic[key].id : data.azapi_resource.registry_topic[key].id
    )
  }
  image_topic_principal_ids = {
    for key, registry in local.image_registries : key => (
      registry.existing_topic == null
      ? azapi_resource.registry_topic[key].identity[0].principal_id
      : data.azapi_resource.registry_topic[key].output.principal_id
    )
  }

  # Where the app may read and restart, and where it may write: a resource group, the subscription of a pattern, or a
  # subnet that a container group joins.
  image_scopes = {
    for place in local.image_places : (place.is_pattern ? place.subscription_id : lower("${place.subscription_id}/${place.resource_group}")) => {
      subscription_id = place.subscription_id
      scope = (
        place.is_pattern
        ? "/subscriptions/${place.subscription_id}"
        : "/subscriptions/${place.subscription_id}/resourceGroups/${place.resource_group}"
      )
      replace = place.replace
    }...
  }
  replacement_scopes = merge(
    { for key, uses in local.image_scopes : key => uses[0] if anytrue(uses[*].replace) },
    {
      for id in distinct(flatten([for place in local.image_places : place.subnet_ids if place.replace])) :
      id => { subscription_id = split("/", id)[2], scope = id }
    },
  )

  image_settings = merge(
    {
      ACI_DNS_CLOUD = var.cloud
      ACI_DNS_IMAGES = jsonencode({
        for place in local.image_places : "${place.subscription_id}/${place.resource_group}" => { registries = place.registries }
      })
      ACI_DNS_POLICY        = var.image_updates.policy
      ACI_DNS_SUBSCRIPTIONS = join(",", local.image_subscription_ids)
      # Of it, the services count: their members are updated one after the other.
      ACI_DNS_ZONES = local.app_settings.ACI_DNS_ZONES
    },
    var.image_updates.webhook_secret == null ? {} : {
      ACI_DNS_WEBHOOK_SECRET = var.image_updates.webhook_secret
    },
    !local.updates_images ? {} : {
      AZURE_CLIENT_ID                                                   = azurerm_user_assigned_identity.images[0].client_id
      AzureWebJobsStorage__credential                                   = "managedidentity"
      AzureWebJobsStorage__clientId                                     = azurerm_user_assigned_identity.images[0].client_id
      AzureWebJobsStorage__blobServiceUri                               = azurerm_storage_account.images[0].primary_blob_endpoint
      AzureWebJobsStorage__queueServiceUri                              = azurerm_storage_account.images[0].primary_queue_endpoint
      AzureWebJobsStorage__tableServiceUri                              = azurerm_storage_account.images[0].primary_table_endpoint
      APPLICATIONINSIGHTS_CONNECTION_STRING                             = local.application_insights_connection_string
      "AzureFunctionsJobHost__logging__logLevel__Host.Function.Console" = "Warning"
      ACI_DNS_RETRY_QUEUE                                               = "${azurerm_storage_account.images[0].primary_queue_endpoint}aci-dns-retry"
      "AzureWebJobs.function_image_retry.Disabled"                      = "false"
      "AzureWebJobs.function_image_webhook.Disabled"                    = var.image_updates.webhooks ? "false" : "true"
    },
    !local.updates_images || var.application_insights_local_auth ? {} : {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "Authorization=AAD;ClientId=${azurerm_user_assigned_identity.images[0].client_id}"
    },
  )
  image_locks = !local.is_locked || !local.updates_images ? {} : merge(
    {
      "images app"      = azapi_resource.images_app[0].id
      "images storage"  = azurerm_storage_account.images[0].id
      "images identity" = azurerm_user_assigned_identity.images[0].id
    },
    { for key, topic in azapi_resource.registry_topic : "registry ${key}" => topic.id },
  )
}

resource "azurerm_user_assigned_identity" "images" {
  count = local.updates_images ? 1 : 0

  name                = "${var.name_prefix}-images-identity"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_storage_account" "images" {
  #checkov:skip=CKV_AZURE_33:Writes and deletions are logged; the host reads its queue every few seconds
  #checkov:skip=CKV_AZURE_35:Closed where a private endpoint is asked for; without one, the app itself comes from outside
  #checkov:skip=CKV_AZURE_43:The name is acidns and thirteen hexadecimal digits, which the check does not compute
  #checkov:skip=CKV_AZURE_59:It takes no anonymous reads, and no keys; networks are CKV_AZURE_35
  #checkov:skip=CKV_AZURE_206:It holds a package that is published again, and events that are a day old at most
  #checkov:skip=CKV2_AZURE_1:No personal data and no secret is in it
  count = local.updates_images ? 1 : 0

  name                             = "acidns${substr(sha256("${local.unique}/images"), 0, 13)}"
  resource_group_name              = var.resource_group_name
  location                         = var.location
  tags                             = var.tags
  account_kind                     = "StorageV2"
  account_tier                     = "Standard"
  account_replication_type         = var.zone_redundant ? "ZRS" : "LRS"
  access_tier                      = "Hot"
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  local_user_enabled               = false
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true
  public_network_access_enabled    = !(local.is_private && var.storage_public_access == "off")

  network_rules {
    bypass         = ["AzureServices"]
    default_action = local.is_private ? "Deny" : "Allow"
  }

  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
      days = 7
    }
  }
}

resource "azurerm_storage_container" "images" {
  #checkov:skip=CKV2_AZURE_21:Who may read is a matter of roles; reads are not audited
  for_each = toset(local.updates_images ? ["packages", "dead-letters"] : [])

  name               = each.key
  storage_account_id = azurerm_storage_account.images[0].id
}

# The host creates neither: a trigger polls a missing queue, and works once it exists.
resource "azapi_resource" "images_queue" {
  for_each = toset(local.updates_images ? ["aci-dns-retry", "aci-dns-retry-poison"] : [])

  type      = "Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01"
  parent_id = "${azurerm_storage_account.images[0].id}/queueServices/default"
  name      = each.key
  body      = {}
}

resource "azurerm_storage_management_policy" "images" {
  count = local.updates_images ? 1 : 0

  storage_account_id = azurerm_storage_account.images[0].id

  rule {
    name    = "dead-letters"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["dead-letters/"]
    }
    actions {
      base_blob {
        delete_after_days_since_creation_greater_than = var.dead_letter_days
      }
    }
  }
}

resource "azurerm_private_endpoint" "images" {
  for_each = toset(local.is_private && local.updates_images ? ["blob", "queue", "table"] : [])

  name                = "${azurerm_storage_account.images[0].name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
  subnet_id           = var.private_endpoint_subnet.id

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = azurerm_storage_account.images[0].id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  dynamic "private_dns_zone_group" {
    for_each = var.private_dns_zone_ids[each.key] == null ? [] : [var.private_dns_zone_ids[each.key]]
    content {
      name                 = "default"
      private_dns_zone_ids = [private_dns_zone_group.value]
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "images_storage" {
  for_each = toset(var.diagnostic_logs && local.updates_images ? ["blobServices", "queueServices"] : [])

  name                       = "aci-dns"
  target_resource_id         = "${azurerm_storage_account.images[0].id}/${each.key}/default"
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
}

resource "azurerm_role_assignment" "images_storage" {
  for_each = toset(local.updates_images ? ["storage_blob_data_owner", "storage_queue_contributor", "storage_table_contributor"] : [])

  scope              = azurerm_storage_account.images[0].id
  role_definition_id = "/subscriptions/${local.home_subscription_id}/${local.role_definitions}/${local.built_in_role_ids[each.key]}"
  principal_id       = azurerm_user_assigned_identity.images[0].principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "images_application_insights" {
  count = local.updates_images ? 1 : 0

  scope = local.application_insights_id
  role_definition_id = format(
    "/subscriptions/%s/%s/%s",
    split("/", local.application_insights_id)[2],
    local.role_definitions,
    local.built_in_role_ids.monitoring_metrics_publisher,
  )
  principal_id   = azurerm_user_assigned_identity.images[0].principal_id
  principal_type = "ServicePrincipal"
}

resource "azurerm_role_assignment" "image_updates" {
  for_each = { for key, uses in local.image_scopes : key => uses[0] }

  scope              = each.value.scope
  role_definition_id = "/subscriptions/${each.value.subscription_id}/${local.role_definitions}/${local.custom_role_ids.imageUpdates}"
  principal_id       = azurerm_user_assigned_identity.images[0].principal_id
  principal_type     = "ServicePrincipal"

  depends_on = [azurerm_role_definition.this]
}

resource "azurerm_role_assignment" "image_replacements" {
  for_each = local.replacement_scopes

  scope              = each.value.scope
  role_definition_id = "/subscriptions/${each.value.subscription_id}/${local.role_definitions}/${local.custom_role_ids.imageReplacements}"
  principal_id       = azurerm_user_assigned_identity.images[0].principal_id
  principal_type     = "ServicePrincipal"

  depends_on = [azurerm_role_definition.this]
}

resource "azapi_resource" "images_plan" {
  count = local.updates_images ? 1 : 0

  type      = "Microsoft.Web/serverfarms@2024-04-01"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-images-plan"
  location  = var.location
  tags      = var.tags
  body = {
    kind       = "functionapp"
    sku        = { tier = "FlexConsumption", name = "FC1" }
    properties = { reserved = true, zoneRedundant = var.zone_redundant }
  }
}

resource "azapi_resource" "images_app" {
  count = local.updates_images ? 1 : 0

  type      = "Microsoft.Web/sites@2024-04-01"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-images-${local.unique}"
  location  = var.location
  tags      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.images[0].id]
  }

  body = {
    kind = "functionapp,linux"
    properties = {
      serverFarmId = azapi_resource.images_plan[0].id
      httpsOnly    = true
      # Reads the secret of webhooks, where its setting is a reference to Key Vault.
      keyVaultReferenceIdentity = azurerm_user_assigned_identity.images[0].id
      virtualNetworkSubnetId    = var.integration_subnet == null ? null : var.integration_subnet.id
      functionAppConfig = {
        runtime = { name = "custom", version = "1.0" }
        scaleAndConcurrency = {
          maximumInstanceCount = var.maximum_instance_count
          instanceMemoryMB     = var.instance_memory_mb
          alwaysReady          = []
        }
        deployment = {
          storage = {
            type  = "blobContainer"
            value = "${azurerm_storage_account.images[0].primary_blob_endpoint}${azurerm_storage_container.images["packages"].name}"
            authentication = {
              type                           = "UserAssignedIdentity"
              userAssignedIdentityResourceId = azurerm_user_assigned_identity.images[0].id
            }
          }
        }
      }
      siteConfig = {
        minTlsVersion                       = "1.2"
        scmMinTlsVersion                    = "1.2"
        http20Enabled                       = true
        ipSecurityRestrictionsDefaultAction = var.only_event_grid && !var.image_updates.webhooks ? "Deny" : "Allow"
        ipSecurityRestrictions = var.only_event_grid && !var.image_updates.webhooks ? [{
          name      = "Event Grid"
          action    = "Allow"
          priority  = 100
          tag       = "ServiceTag"
          ipAddress = "AzureEventGrid"
        }] : []
        # The package is published through the other site.
        scmIpSecurityRestrictionsUseMain = false
        appSettings                      = [for name, value in local.image_settings : { name = name, value = value }]
      }
    }
  }

  # Azure answers a GET of the app with null where the settings and most of the site's configuration are.
  ignore_null_property = true

  # Without its rights, a host that reads its queue ends.
  depends_on = [
    azurerm_role_assignment.images_storage,
    azurerm_role_assignment.images_application_insights,
    azurerm_private_endpoint.images,
    azapi_resource.images_queue,
  ]
}

resource "azurerm_monitor_diagnostic_setting" "images_app" {
  count = var.diagnostic_logs && local.updates_images ? 1 : 0

  name                       = "aci-dns"
  target_resource_id         = azapi_resource.images_app[0].id
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "FunctionAppLogs"
  }
}

resource "azapi_update_resource" "images_publishing" {
  for_each = toset(local.updates_images ? ["ftp", "scm"] : [])

  type      = "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01"
  parent_id = azapi_resource.images_app[0].id
  name      = each.key
  body      = { properties = { allow = false } }
}

resource "terraform_data" "images_package" {
  count = var.images_package == null || !local.updates_images ? 0 : 1

  triggers_replace = [azapi_resource.images_app[0].id, filesha256(var.images_package)]

  provisioner "local-exec" {
    interpreter = ["bash", "-c"]
    command     = "bash \"$SCRIPT\" \"$SUBSCRIPTION\" \"$RESOURCE_GROUP\" \"$APP\" \"$PACKAGE\""
    environment = {
      SCRIPT         = "${path.module}/../publish.sh"
      SUBSCRIPTION   = local.home_subscription_id
      RESOURCE_GROUP = var.resource_group_name
      APP            = azapi_resource.images_app[0].name
      PACKAGE        = var.images_package
    }
  }

  depends_on = [azurerm_role_assignment.images_storage, azurerm_private_endpoint.images]
}

# A registry has one system topic at most, in its own region: where there is one already, that one is used, and has to have
# a system-assigned identity.
data "azapi_resource" "registry" {
  for_each = { for key, registry in local.image_registries : key => registry if registry.existing_topic == null }

  type                   = "Microsoft.ContainerRegistry/registries@2023-07-01"
  resource_id            = each.value.id
  response_export_values = { location = "location" }
}

resource "azapi_resource" "registry_topic" {
  for_each = { for key, registry in local.image_registries : key => registry if registry.existing_topic == null }

  type      = "Microsoft.EventGrid/systemTopics@2022-06-15"
  parent_id = join("/", slice(split("/", each.value.id), 0, 5))
  name      = "${var.name_prefix}-images"
  location  = data.azapi_resource.registry[each.key].output.location
  tags      = var.tags

  identity {
    type = "SystemAssigned"
  }

  body = { properties = { source = each.value.id, topicType = "Microsoft.ContainerRegistry.Registries" } }
}

data "azapi_resource" "registry_topic" {
  for_each = { for key, registry in local.image_registries : key => registry if registry.existing_topic != null }

  type                   = "Microsoft.EventGrid/systemTopics@2022-06-15"
  parent_id              = join("/", slice(split("/", each.value.id), 0, 5))
  name                   = each.value.existing_topic
  response_export_values = { principal_id = "identity.principalId" }
}

resource "azurerm_monitor_diagnostic_setting" "registry_topic" {
  for_each = { for key, registry in local.image_registries : key => registry if registry.existing_topic == null && var.diagnostic_logs }

  name                       = "aci-dns"
  target_resource_id         = azapi_resource.registry_topic[each.key].id
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "DeliveryFailures"
  }
}

resource "azurerm_role_assignment" "image_dead_letters" {
  for_each = local.image_registries

  scope              = azurerm_storage_container.images["dead-letters"].id
  role_definition_id = "/subscriptions/${local.home_subscription_id}/${local.role_definitions}/${local.built_in_role_ids.storage_blob_contributor}"
  principal_id       = local.image_topic_principal_ids[each.key]
  principal_type     = "ServicePrincipal"
}

resource "azapi_resource" "image_subscription" {
  # Event Grid refuses a subscription to a function that does not exist.
  for_each = var.images_package == null && !var.functions_published ? {} : merge([
    for key in keys(local.image_registries) : {
      for function, event_types in local.image_events.functions :
      "${key}/${function}" => { topic = key, function = function, event_types = event_types }
    }
  ]...)

  type      = "Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15"
  parent_id = local.image_topic_ids[each.value.topic]
  name      = "${var.name_prefix}-${replace(each.value.function, "_", "-")}"

  body = {
    properties = {
      eventDeliverySchema = "EventGridSchema"
      destination = {
        endpointType = "AzureFunction"
        properties = {
          resourceId                    = "${azapi_resource.images_app[0].id}/functions/${each.value.function}"
          maxEventsPerBatch             = 1
          preferredBatchSizeInKilobytes = 64
        }
      }
      filter      = { includedEventTypes = each.value.event_types }
      retryPolicy = { maxDeliveryAttempts = 30, eventTimeToLiveInMinutes = 1440 }
      deadLetterWithResourceIdentity = {
        identity = { type = "SystemAssigned" }
        deadLetterDestination = {
          endpointType = "StorageBlob"
          properties   = { resourceId = azurerm_storage_account.images[0].id, blobContainerName = "dead-letters" }
        }
      }
    }
  }

  # A function that was published, and a right that was given, a moment ago may not have reached Event Grid yet.
  retry = {
    error_message_regex = ["(?i)endpoint", "(?i)dead.?letter"]
  }
  timeouts {
    create = "15m"
  }

  depends_on = [azurerm_role_assignment.image_dead_letters, terraform_data.images_package]
}
