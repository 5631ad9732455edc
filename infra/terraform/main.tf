# aci-dns in one resource group, and what it reaches outside of it. What will exist:
#
#   storage.tf     storage account: package, host state, retry queue, dead letters; private endpoints if wanted
#   monitoring.tf  Log Analytics workspace, Application Insights, table and rule for drift events
#   app.tf         the app's identity, the function app on Flex Consumption, and its package
#   access.tf      custom roles, or none where the built-in ones are chosen; the app's rights; locks
#   zones.tf       forward and reverse zones, and their links
#   events.tf      Event Grid system topics, and subscriptions to the functions
#   images.tf      where that is asked for: the app that updates images, and all that it has
#   alerts.tf      alert rules, action group and workbook
#
# It is the same deployment as ../main.bicep, from the same role.json, events.json, image-events.json, drift-columns.json
# and queries.

data "azurerm_client_config" "current" {}

locals {
  home_subscription_id = lower(data.azurerm_client_config.current.subscription_id)
  resource_group_id    = "/subscriptions/${local.home_subscription_id}/resourceGroups/${var.resource_group_name}"
  # Names that the whole of Azure shares, and that stay the same from run to run.
  unique = substr(sha256("${lower(local.resource_group_id)}/${var.name_prefix}"), 0, 13)

  spokes = [for spoke in var.spokes : merge(spoke, {
    subscription_id      = lower(coalesce(spoke.subscription_id, local.home_subscription_id))
    is_pattern           = endswith(spoke.resource_group, "*")
    zone_subscription_id = lower(coalesce(spoke.zone_subscription_id, spoke.subscription_id, local.home_subscription_id))
    zone_resource_group  = lower(coalesce(spoke.zone_resource_group, spoke.resource_group))
  })]

  is_locked = var.locks != "none"

  subscription_ids = distinct(concat(
    [local.home_subscription_id],
    local.spokes[*].subscription_id,
    local.spokes[*].zone_subscription_id,
    [for spoke in local.spokes : lower(split("/", spoke.secret.vault_id)[2]) if spoke.secret != null],
    local.image_subscription_ids,
    [for id in flatten(local.image_places[*].subnet_ids) : split("/", id)[2]],
  ))
}
