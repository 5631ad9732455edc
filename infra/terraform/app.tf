# The app's identity, the function app on Flex Consumption, its settings, and its package. It holds no secret: storage,
# Application Insights, Log Analytics, container groups and zones are all reached with its managed identity, whose
# rights are assigned before the app exists.

resource "azurerm_user_assigned_identity" "this" {
  count = var.user_assigned_identity == null ? 1 : 0

  name                = "${var.name_prefix}-identity"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

data "azapi_resource" "identity" {
  count = var.user_assigned_identity == null ? 0 : 1

  type        = "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31"
  resource_id = var.user_assigned_identity.id
  response_export_values = {
    client_id    = "properties.clientId"
    principal_id = "properties.principalId"
  }
}

locals {
  identity_id = (
    var.user_assigned_identity == null ? azurerm_user_assigned_identity.this[0].id : var.user_assigned_identity.id
  )
  client_id = (
    var.user_assigned_identity == null
    ? azurerm_user_assigned_identity.this[0].client_id
    : data.azapi_resource.identity[0].output.client_id
  )
  principal_id = (
    var.user_assigned_identity == null
    ? azurerm_user_assigned_identity.this[0].principal_id
    : data.azapi_resource.identity[0].output.principal_id
  )

  vault_suffixes = {
    public       = ".vault.azure.net"
    usgovernment = ".vault.usgovcloudapi.net"
    china        = ".vault.azure.cn"
  }

  app_settings = merge(
    var.settings,
    {
      ACI_DNS_CLOUD = var.cloud
      ACI_DNS_ZONES = jsonencode({
        # What is left out has the default of aci-dns, which refuses null.
        for spoke in local.spokes : "${spoke.subscription_id}/${spoke.resource_group}" => { for key, value in {
          forwardZone        = spoke.forward_zone
          reverseZones       = spoke.reverse_zones
          zoneSubscriptionId = spoke.zone_subscription_id
          zoneResourceGroup  = spoke.zone_resource_group
          ttl                = spoke.ttl
          policy             = spoke.policy
          ownership          = spoke.ownership
          groups             = spoke.groups
          addressRanges      = spoke.address_ranges
          hostnames          = spoke.hostnames
          formerZones        = spoke.former_zones
          secret = spoke.secret == null ? null : { for key, value in {
            vault = "https://${reverse(split("/", spoke.secret.vault_id))[0]}${local.vault_suffixes[var.cloud]}/"
            name  = spoke.secret.name
          } : key => value if value != null }
          services = spoke.services == null ? null : { for label, service in spoke.services : label => {
            for key, value in { groups = service.groups, ttl = service.ttl } : key => value if value != null
          } }
        } : key => value if value != null }
      })
      ACI_DNS_SUBSCRIPTIONS = join(",", distinct(local.spokes[*].subscription_id))
      ACI_DNS_SWEEP         = var.sweep_mode
      # The host reads the schedule of a function that is switched off as well, and has to understand it.
      ACI_DNS_SWEEP_SCHEDULE                       = var.sweep_schedule == "" ? "0 0 0 1 1 *" : var.sweep_schedule
      "AzureWebJobs.function_drift_sweep.Disabled" = var.sweep_schedule == "" ? "true" : "false"
      "AzureWebJobs.function_aci_retry.Disabled"   = var.retry_queue ? "false" : "true"

      AZURE_CLIENT_ID                       = local.client_id
      AzureWebJobsStorage__credential       = "managedidentity"
      AzureWebJobsStorage__clientId         = local.client_id
      AzureWebJobsStorage__blobServiceUri   = azurerm_storage_account.this.primary_blob_endpoint
      AzureWebJobsStorage__queueServiceUri  = azurerm_storage_account.this.primary_queue_endpoint
      AzureWebJobsStorage__tableServiceUri  = azurerm_storage_account.this.primary_table_endpoint
      APPLICATIONINSIGHTS_CONNECTION_STRING = local.application_insights_connection_string
      # The handler sends its telemetry itself: lines of stdout would be ingested a second time. Without Application
      # Insights, host.json shows them in the log stream. The host knows no other spelling than this one, with dots.
      "AzureFunctionsJobHost__logging__logLevel__Host.Function.Console" = "Warning"
      ACI_DNS_LOGS_ENDPOINT                                             = azapi_resource.drift_rule.output.endpoint
      ACI_DNS_LOGS_RULE_ID                                              = azapi_resource.drift_rule.output.immutable_id
      ACI_DNS_LOGS_STREAM                                               = local.drift_stream
    },
    !var.retry_queue ? {} : {
      ACI_DNS_RETRY_QUEUE = "${azurerm_storage_account.this.primary_queue_endpoint}aci-dns-retry"
    },
    var.application_insights_local_auth ? {} : {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "Authorization=AAD;ClientId=${local.client_id}"
    },
  )
}

resource "azapi_resource" "plan" {
  type      = "Microsoft.Web/serverfarms@2024-04-01"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-plan"
  location  = var.location
  tags      = var.tags
  body = {
    kind       = "functionapp"
    sku        = { tier = "FlexConsumption", name = "FC1" }
    properties = { reserved = true, zoneRedundant = var.zone_redundant }
  }
}

resource "azapi_resource" "app" {
  type      = "Microsoft.Web/sites@2024-04-01"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-${local.unique}"
  location  = var.location
  tags      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [local.identity_id]
  }

  body = {
    kind = "functionapp,linux"
    properties = {
      serverFarmId           = azapi_resource.plan.id
      httpsOnly              = true
      virtualNetworkSubnetId = var.integration_subnet == null ? null : var.integration_subnet.id
      functionAppConfig = {
        runtime = { name = "custom", version = "1.0" }
        scaleAndConcurrency = {
          maximumInstanceCount = var.maximum_instance_count
          instanceMemoryMB     = var.instance_memory_mb
          alwaysReady = var.always_ready_instances == 0 ? [] : [{
            name          = "function:function_aci_reconcile"
            instanceCount = var.always_ready_instances
          }]
        }
        deployment = {
          storage = {
            type  = "blobContainer"
            value = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.packages.name}"
            authentication = {
              type                           = "UserAssignedIdentity"
              userAssignedIdentityResourceId = local.identity_id
            }
          }
        }
      }
      siteConfig = {
        minTlsVersion                       = "1.2"
        scmMinTlsVersion                    = "1.2"
        http20Enabled                       = true
        ipSecurityRestrictionsDefaultAction = var.only_event_grid ? "Deny" : "Allow"
        ipSecurityRestrictions = var.only_event_grid ? [{
          name      = "Event Grid"
          action    = "Allow"
          priority  = 100
          tag       = "ServiceTag"
          ipAddress = "AzureEventGrid"
        }] : []
        # The package is published through the other site.
        scmIpSecurityRestrictionsUseMain = false
        appSettings                      = [for name, value in local.app_settings : { name = name, value = value }]
      }
    }
  }

  # Azure answers a GET of the app with null where the settings and most of the site's configuration are.
  ignore_null_property = true

  # Without its rights, a host that reads its queue ends.
  depends_on = [
    azurerm_role_assignment.storage,
    azurerm_role_assignment.drift_rule,
    azurerm_role_assignment.application_insights,
    azurerm_private_endpoint.storage,
    azapi_resource.queue,
  ]
}

resource "azurerm_monitor_diagnostic_setting" "app" {
  count = var.diagnostic_logs ? 1 : 0

  name                       = "aci-dns"
  target_resource_id         = azapi_resource.app.id
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "FunctionAppLogs"
  }
}

# Publishing with a password is off. The policies exist with the app, so they are updated.
resource "azapi_update_resource" "publishing" {
  for_each = toset(["ftp", "scm"])

  type      = "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01"
  parent_id = azapi_resource.app.id
  name      = each.key
  body      = { properties = { allow = false } }
}

# Publishes the package; ../publish.sh waits for a right that may take minutes to reach the app.
resource "terraform_data" "package" {
  count = var.package == null ? 0 : 1

  triggers_replace = [azapi_resource.app.id, filesha256(var.package)]

  provisioner "local-exec" {
    interpreter = ["bash", "-c"]
    command     = "bash \"$SCRIPT\" \"$SUBSCRIPTION\" \"$RESOURCE_GROUP\" \"$APP\" \"$PACKAGE\""
    environment = {
      SCRIPT         = "${path.module}/../publish.sh"
      SUBSCRIPTION   = local.home_subscription_id
      RESOURCE_GROUP = var.resource_group_name
      APP            = azapi_resource.app.name
      PACKAGE        = var.package
    }
  }

  depends_on = [azurerm_role_assignment.storage, azurerm_private_endpoint.storage]
}

# Before any event is delivered, the app has to read its queue: a queue that answers 403 ends the Functions host.
resource "terraform_data" "probe" {
  count = var.package == null || !var.retry_queue || !var.probe_queue ? 0 : 1

  triggers_replace = [azapi_resource.app.id]

  provisioner "local-exec" {
    interpreter = ["bash", "-c"]
    command     = "bash \"$SCRIPT\" \"$STORAGE\""
    environment = {
      SCRIPT  = "${path.module}/../probe.sh"
      STORAGE = azurerm_storage_account.this.id
    }
  }

  depends_on = [terraform_data.package]
}
