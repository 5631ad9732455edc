# Log Analytics and Application Insights, each new or an existing one; the table of drift events, and the rule that
# they are sent through. The new component takes telemetry from Entra identities only: an instrumentation key that
# leaks is worth nothing.

resource "azurerm_log_analytics_workspace" "this" {
  count = var.existing_workspace == null ? 1 : 0

  name                         = "${var.name_prefix}-logs"
  resource_group_name          = var.resource_group_name
  location                     = var.location
  tags                         = var.tags
  sku                          = "PerGB2018"
  retention_in_days            = var.retention_days
  local_authentication_enabled = var.application_insights_local_auth
}

resource "azurerm_application_insights" "this" {
  count = var.existing_application_insights == null ? 1 : 0

  name                         = "${var.name_prefix}-telemetry"
  resource_group_name          = var.resource_group_name
  location                     = var.location
  tags                         = var.tags
  application_type             = "web"
  workspace_id                 = local.workspace_id
  local_authentication_enabled = var.application_insights_local_auth
}

data "azapi_resource" "application_insights" {
  count = var.existing_application_insights == null ? 0 : 1

  type                   = "Microsoft.Insights/components@2020-02-02"
  resource_id            = var.existing_application_insights.id
  response_export_values = { connection_string = "properties.ConnectionString" }
}

locals {
  drift_table   = "AciDnsDrift_CL"
  drift_stream  = "Custom-AciDnsDrift"
  drift_columns = jsondecode(file("${path.module}/../drift-columns.json"))

  workspace_id = (
    var.existing_workspace == null ? azurerm_log_analytics_workspace.this[0].id : var.existing_workspace.id
  )
  application_insights_id = (
    var.existing_application_insights == null
    ? azurerm_application_insights.this[0].id
    : var.existing_application_insights.id
  )
  # It names the component and where it takes telemetry; it is no secret.
  application_insights_connection_string = (
    var.existing_application_insights == null
    ? nonsensitive(azurerm_application_insights.this[0].connection_string)
    : data.azapi_resource.application_insights[0].output.connection_string
  )
}

# The table has to exist before the rule that fills it.
resource "azapi_resource" "drift_table" {
  type      = "Microsoft.OperationalInsights/workspaces/tables@2023-09-01"
  parent_id = local.workspace_id
  name      = local.drift_table
  body = {
    properties = {
      plan = "Analytics"
      schema = {
        name = local.drift_table
        columns = [for column in local.drift_columns : {
          name = column.name
          type = column.type == "datetime" ? "dateTime" : column.type
        }]
      }
    }
  }
}

# A rule with an ingestion endpoint of its own (Direct). It has to stand in the region of its workspace.
resource "azapi_resource" "drift_rule" {
  type      = "Microsoft.Insights/dataCollectionRules@2023-03-11"
  parent_id = local.resource_group_id
  name      = "${var.name_prefix}-drift"
  location  = coalesce(var.workspace_location, var.location)
  tags      = var.tags
  body = {
    kind = "Direct"
    properties = {
      description        = "Drift events of aci-dns"
      streamDeclarations = { (local.drift_stream) = { columns = local.drift_columns } }
      destinations = {
        logAnalytics = [{ name = "workspace", workspaceResourceId = local.workspace_id }]
      }
      dataFlows = [{
        streams      = [local.drift_stream]
        destinations = ["workspace"]
        transformKql = "source"
        outputStream = "Custom-${local.drift_table}"
      }]
    }
  }
  response_export_values = {
    endpoint     = "properties.endpoints.logsIngestion"
    immutable_id = "properties.immutableId"
  }

  depends_on = [azapi_resource.drift_table]
}
