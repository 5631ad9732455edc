# The function app on Flex Consumption, its settings, and its package. It holds no secret: storage, Application
# Insights, Log Analytics, container groups and zones are all reached with its managed identity.

data "azapi_resource" "identity" {
  count = local.is_user_assigned ? 1 : 0

  type        = "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31"
  resource_id = var.user_assigned_identity_id
  response_export_values = {
    client_id    = "properties.clientId"
    principal_id = "properties.principalId"
  }
}

locals {
  is_user_assigned = var.user_assigned_identity_id != ""
  client_id        = one(data.azapi_resource.identity[*].output.client_id)
  principal_id = (
    local.is_user_assigned
    ? data.azapi_resource.identity[0].output.principal_id
    : azapi_resource.app.identity[0].principal_id
  )

  app_settings = merge(
    var.settings,
    {
      ACI_DNS_CLOUD = var.cloud
      ACI_DNS_ZONES = jsonencode({
        for spoke in local.spokes : "${spoke.subscription_id}/${spoke.resource_group}" => {
          forwardZone        = spoke.forward_zone
          reverseZones       = spoke.reverse_zones
          zoneSubscriptionId = spoke.zone_subscription_id
          zoneResourceGroup  = spoke.zone_resource_group
          ttl                = spoke.ttl
        }
      })
      ACI_DNS_SWEEP = var.sweep_mode
      # The host reads the schedule of a function that is switched off as well, and has to understand it.
      ACI_DNS_SWEEP_SCHEDULE                       = var.sweep_schedule == "" ? "0 0 0 1 1 *" : var.sweep_schedule
      "AzureWebJobs.function_drift_sweep.Disabled" = var.sweep_schedule == "" ? "true" : "false"

      AzureWebJobsStorage__credential       = "managedidentity"
      AzureWebJobsStorage__blobServiceUri   = azurerm_storage_account.this.primary_blob_endpoint
      AzureWebJobsStorage__queueServiceUri  = azurerm_storage_account.this.primary_queue_endpoint
      AzureWebJobsStorage__tableServiceUri  = azurerm_storage_account.this.primary_table_endpoint
      APPLICATIONINSIGHTS_CONNECTION_STRING = local.application_insights_connection_string
      ACI_DNS_LOGS_ENDPOINT                 = azapi_resource.drift_rule.output.endpoint
      ACI_DNS_LOGS_RULE_ID                  = azapi_resource.drift_rule.output.immutable_id
      ACI_DNS_LOGS_STREAM                   = local.drift_stream
    },
    local.is_user_assigned ? {
      AZURE_CLIENT_ID               = local.client_id
      AzureWebJobsStorage__clientId = local.client_id
    } : {},
    var.application_insights_local_auth ? {} : {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING = (
        local.is_user_assigned ? "Authorization=AAD;ClientId=${local.client_id}" : "Authorization=AAD"
      )
    },
  )
}

resource "azurerm_service_plan" "this" {
  #checkov:skip=CKV_AZURE_212:Flex Consumption scales from none; always_ready_instances keeps some
  #checkov:skip=CKV_AZURE_225:Event Grid delivers again what a failed zone did not answer
  name                = "${var.name_prefix}-plan"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
  os_type             = "Linux"
  sku_name            = "FC1"
}

resource "azapi_resource" "app" {
  type      = "Microsoft.Web/sites@2024-04-01"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-${local.unique}"
  location  = var.location
  tags      = var.tags

  identity {
    type         = local.is_user_assigned ? "UserAssigned" : "SystemAssigned"
    identity_ids = local.is_user_assigned ? [var.user_assigned_identity_id] : []
  }

  body = {
    kind = "functionapp,linux"
    properties = {
      serverFarmId           = azurerm_service_plan.this.id
      httpsOnly              = true
      virtualNetworkSubnetId = var.integration_subnet_id == "" ? null : var.integration_subnet_id
      functionAppConfig = {
        runtime = { name = "custom", version = "1.0" }
        scaleAndConcurrency = {
          maximumInstanceCount = var.maximum_instance_count
          instanceMemoryMB     = 2048
          alwaysReady = var.always_ready_instances == 0 ? [] : [{
            name          = "function:function_aci_reconcile"
            instanceCount = var.always_ready_instances
          }]
        }
        deployment = {
          storage = {
            type  = "blobContainer"
            value = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.packages.name}"
            authentication = merge(
              { type = local.is_user_assigned ? "UserAssignedIdentity" : "SystemAssignedIdentity" },
              local.is_user_assigned ? { userAssignedIdentityResourceId = var.user_assigned_identity_id } : {},
            )
          }
        }
      }
      siteConfig = {
        minTlsVersion                       = "1.2"
        scmMinTlsVersion                    = "1.2"
        ftpsState                           = "Disabled"
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
}

# Nobody publishes with a password. The policies exist with the app, so they are updated.
resource "azapi_update_resource" "publishing" {
  for_each = toset(["ftp", "scm"])

  type      = "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01"
  parent_id = azapi_resource.app.id
  name      = each.key
  body      = { properties = { allow = false } }
}

# The app writes its package into the storage account, with a right that may take minutes to reach it.
resource "terraform_data" "package" {
  count = var.package == null ? 0 : 1

  triggers_replace = [azapi_resource.app.id, filesha256(var.package)]

  provisioner "local-exec" {
    interpreter = ["bash", "-c"]
    command     = <<-EOT
      for pause in 0 30 60 120; do
        sleep "$pause"
        az functionapp deployment source config-zip --only-show-errors --output none \
          --subscription "$SUBSCRIPTION" --resource-group "$RESOURCE_GROUP" --name "$APP" --src "$PACKAGE" && exit 0
      done
      exit 1
    EOT
    environment = {
      SUBSCRIPTION   = local.home_subscription_id
      RESOURCE_GROUP = var.resource_group_name
      APP            = azapi_resource.app.name
      PACKAGE        = var.package
    }
  }

  depends_on = [azurerm_role_assignment.storage, azurerm_private_endpoint.blob]
}
