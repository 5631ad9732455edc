# Who may do what. The custom roles hold exactly the actions that the code uses, which a test derives from the requests
# that it sends.

locals {
  role_actions = jsondecode(file("${path.module}/../role.json"))
  built_in_role_ids = {
    reader                       = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    private_dns_zone_contributor = "b12aa53e-6015-4669-85d0-8515ebb3ae7f"
    storage_blob_data_owner      = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
    storage_blob_contributor     = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    storage_queue_contributor    = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
    storage_table_contributor    = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
    monitoring_metrics_publisher = "3913510d-42f4-4e42-8a64-420c390055eb"
    key_vault_secrets_officer    = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
  }
  custom_role_ids = {
    for role in concat(
      ["containerGroups", "recordSets"],
      length(local.secret_scopes) > 0 ? ["secrets"] : [],
      local.updates_images ? ["imageUpdates"] : [],
      local.replaces_images ? ["imageReplacements"] : [],
    ) :
    role => uuidv5("url", "${lower(local.resource_group_id)}/${var.name_prefix}/${role}")
  }
  container_group_role_id = (
    var.roles == "custom" ? local.custom_role_ids.containerGroups : local.built_in_role_ids.reader
  )
  record_set_role_id = (
    var.roles == "custom" ? local.custom_role_ids.recordSets : local.built_in_role_ids.private_dns_zone_contributor
  )
  secret_role_id = (
    var.roles == "custom" ? try(local.custom_role_ids.secrets, "") : local.built_in_role_ids.key_vault_secrets_officer
  )
  # A vault, or a secret of it.
  secret_scopes = toset(flatten([
    for spoke in local.spokes : [
      for name in coalescelist(coalesce(spoke.secret.secret_names, []), [""]) :
      name == "" ? lower(spoke.secret.vault_id) : lower("${spoke.secret.vault_id}/secrets/${name}")
    ] if spoke.secret != null
  ]))
  role_definitions = "providers/Microsoft.Authorization/roleDefinitions"

  # A spoke that is named by a pattern is read in its whole subscription.
  reads_subscriptions = var.container_group_scope == "subscription"
  container_group_scopes = merge(
    {
      for spoke in local.spokes : lower("${spoke.subscription_id}/${spoke.resource_group}") => {
        subscription_id = spoke.subscription_id
        scope           = "/subscriptions/${spoke.subscription_id}/resourceGroups/${spoke.resource_group}"
      } if !spoke.is_pattern && !local.reads_subscriptions
    },
    {
      for subscription_id in distinct([
        for spoke in local.spokes : spoke.subscription_id if spoke.is_pattern || local.reads_subscriptions
      ]) : subscription_id => { subscription_id = subscription_id, scope = "/subscriptions/${subscription_id}" }
    },
  )
}

# The name of a role is unique in a tenant, hence the suffix.
resource "azurerm_role_definition" "this" {
  for_each = var.roles == "custom" ? local.custom_role_ids : {}

  role_definition_id = each.value
  name               = "${local.role_actions[each.key].name} ${var.name_prefix} ${local.unique}"
  description        = local.role_actions[each.key].description
  scope              = "/subscriptions/${local.home_subscription_id}"
  assignable_scopes  = [for subscription_id in local.subscription_ids : "/subscriptions/${subscription_id}"]

  permissions {
    actions      = try(local.role_actions[each.key].actions, [])
    data_actions = try(local.role_actions[each.key].dataActions, [])
  }
}

resource "azurerm_role_assignment" "container_groups" {
  for_each = local.container_group_scopes

  scope              = each.value.scope
  role_definition_id = "/subscriptions/${each.value.subscription_id}/${local.role_definitions}/${local.container_group_role_id}"
  principal_id       = local.principal_id
  principal_type     = "ServicePrincipal"

  depends_on = [azurerm_role_definition.this]
}

resource "azurerm_role_assignment" "record_sets" {
  for_each = local.zones

  scope              = local.zone_ids[each.key]
  role_definition_id = "/subscriptions/${each.value.subscription_id}/${local.role_definitions}/${local.record_set_role_id}"
  principal_id       = local.principal_id
  principal_type     = "ServicePrincipal"

  depends_on = [azurerm_role_definition.this]
}

resource "azurerm_role_assignment" "secrets" {
  for_each = local.secret_scopes

  scope              = each.key
  role_definition_id = "/subscriptions/${split("/", each.key)[2]}/${local.role_definitions}/${local.secret_role_id}"
  principal_id       = local.principal_id
  principal_type     = "ServicePrincipal"

  depends_on = [azurerm_role_definition.this]
}

# The storage account of the app's host: package, host state and leases; the retry queue and its poison queue; the
# host's diagnostic events. A queue that answers 403 ends the Functions host, so these rights come before the app.
resource "azurerm_role_assignment" "storage" {
  for_each = toset(["storage_blob_data_owner", "storage_queue_contributor", "storage_table_contributor"])

  scope              = azurerm_storage_account.this.id
  role_definition_id = "/subscriptions/${local.home_subscription_id}/${local.role_definitions}/${local.built_in_role_ids[each.key]}"
  principal_id       = local.principal_id
  principal_type     = "ServicePrincipal"
}

# The way into Log Analytics.
resource "azurerm_role_assignment" "drift_rule" {
  scope              = azapi_resource.drift_rule.id
  role_definition_id = "/subscriptions/${local.home_subscription_id}/${local.role_definitions}/${local.built_in_role_ids.monitoring_metrics_publisher}"
  principal_id       = local.principal_id
  principal_type     = "ServicePrincipal"
}

# Telemetry to Application Insights, which may stand in another subscription.
resource "azurerm_role_assignment" "application_insights" {
  scope = local.application_insights_id
  role_definition_id = format(
    "/subscriptions/%s/%s/%s",
    split("/", local.application_insights_id)[2],
    local.role_definitions,
    local.built_in_role_ids.monitoring_metrics_publisher,
  )
  principal_id   = local.principal_id
  principal_type = "ServicePrincipal"
}

# A topic writes the events that it could not deliver, and nothing else of the account. Event Grid refuses an event
# subscription whose dead letters it may not write.
resource "azurerm_role_assignment" "dead_letters" {
  for_each = local.topics

  scope              = azurerm_storage_container.dead_letters.id
  role_definition_id = "/subscriptions/${local.home_subscription_id}/${local.role_definitions}/${local.built_in_role_ids.storage_blob_contributor}"
  principal_id       = local.topic_principal_ids[each.key]
  principal_type     = "ServicePrincipal"
}

# Locks against deletion. The product works under them: it empties a record set that it may not delete.
resource "azurerm_management_lock" "this" {
  for_each = merge(
    !local.is_locked ? {} : {
      app     = azapi_resource.app.id
      storage = azurerm_storage_account.this.id
    },
    !local.is_locked || var.user_assigned_identity != null ? {} : {
      identity = azurerm_user_assigned_identity.this[0].id
    },
    !local.is_locked || var.existing_workspace != null ? {} : {
      workspace = azurerm_log_analytics_workspace.this[0].id
    },
    !local.is_locked ? {} : { for key, topic in azapi_resource.topic : "topic ${key}" => topic.id },
    local.image_locks,
    var.locks != "resourcesAndZones" ? {} : { for key, id in local.zone_ids : "zone ${key}" => id },
  )

  name       = "aci-dns"
  scope      = each.value
  lock_level = "CanNotDelete"
  notes      = "aci-dns needs it."

  # A lock is the last to come and the first to go.
  depends_on = [azapi_resource.subscription, azapi_resource.link, azapi_resource.image_subscription]
}
