# What wakes a person: rules over the telemetry of aci-dns, and over what Event Grid gave up; and the workbook that
# shows it. A rule asks one of ../queries, word for word but for its knobs (the lines `let name = literal;`), and fires
# when there is an answer, once for each combination of its dimensions.

locals {
  questions = {
    for rule in ["failed-invocations", "wrong-names", "not-converged", "conflicts", "unfinished", "poison", "sweep-findings", "images-not-updated", "silence", "lost-telemetry"] :
    rule => file("${path.module}/../queries/${rule}.kql")
  }
  long_enough   = "let driftMinutes = ${var.drift_minutes};"
  silent_enough = "let silentMinutes = ${var.silent_minutes};"

  # The answers of `recent` questions tell what happened, those of `state` questions what is.
  recent = "PT15M"
  state  = "P2D"
  # Twice the time from sweep to sweep, so that what each of them finds is one alert.
  between_sweeps = "PT30M"

  log_alerts = {
    failed-invocations = {
      display     = "aci-dns: invocations fail, and a person has to act"
      description = "Permissions, a missing zone, no reverse zone for the address, a bad tag, an event that cannot be read, or a handler that did not answer. The error says which."
      severity    = 1
      query       = local.questions["failed-invocations"]
      range       = local.recent
      dimensions  = ["function", "outcome", "containerGroup"]
    }
    wrong-names = {
      display     = "aci-dns: a name has been wrong for too long"
      description = "DNS and the live container group differ, and nothing has put that right in the time allowed."
      severity    = 1
      query = replace(
        replace(local.questions["wrong-names"], "let driftMinutes = 0;", local.long_enough),
        "let onlyStillWrong = false;",
        "let onlyStillWrong = true;",
      )
      range      = local.state
      dimensions = ["fqdn", "containerGroup"]
    }
    not-converged = {
      display     = "aci-dns: a container group has not converged for too long"
      description = "Every attempt since has failed, redeliveries included."
      severity    = 2
      query       = replace(local.questions["not-converged"], "let driftMinutes = 0;", local.long_enough)
      range       = local.state
      dimensions  = ["containerGroup", "outcome"]
    }
    conflicts = {
      display     = "aci-dns: a name has another owner"
      description = "The record set belongs to another live container group, to an auto-registered record, or to an unknown owner. Nothing of it was changed."
      severity    = 2
      query       = local.questions["conflicts"]
      range       = local.recent
      dimensions  = ["fqdn", "owner", "containerGroup"]
    }
    unfinished = {
      display     = "aci-dns: work is unfinished for more than ten minutes"
      description = "Its message is in the retry queue and is tried again and again: Azure throttles or fails, or a container group gets no address."
      severity    = 2
      query       = local.questions["unfinished"]
      range       = local.state
      dimensions  = ["containerGroup", "outcome"]
    }
    poison = {
      display     = "aci-dns: unfinished work was given up"
      description = "A message was tried for a day and is now in the queue aci-dns-retry-poison. See it with aci-dns retry list, repair what it names, then run aci-dns retry redrive."
      severity    = 1
      query       = local.questions["poison"]
      range       = local.recent
      dimensions  = ["cloud_RoleName"]
    }
    sweep-findings = {
      display     = "aci-dns: a sweep found wrong names"
      description = "No event had put them right: the platform moved a container group, a record set was edited, or events do not arrive."
      severity    = 2
      query       = local.questions["sweep-findings"]
      range       = local.between_sweeps
      dimensions  = ["fqdn", "containerGroup"]
    }
    images-not-updated = {
      display     = "aci-dns: an image could not be updated"
      description = "A container group keeps its old image: Azure hides something that an update would lose, a tag cannot be read, a right is missing, or the group does not settle. The error says which."
      severity    = 2
      query       = local.questions["images-not-updated"]
      range       = local.state
      dimensions  = ["containerGroup", "repository", "outcome"]
    }
    silence = {
      display     = "aci-dns: no event has come for a while"
      description = "Either no container group has changed, or events do not arrive: look at the event subscriptions and at the function app."
      severity    = 3
      query       = replace(local.questions["silence"], "let silentMinutes = 1440;", local.silent_enough)
      range       = local.state
      dimensions  = []
    }
    lost-telemetry = {
      display     = "aci-dns: telemetry was lost"
      description = "The answers to all other questions have holes. The handler itself goes on."
      severity    = 3
      query       = local.questions["lost-telemetry"]
      range       = local.recent
      dimensions  = ["cloud_RoleInstance"]
    }
  }

  # Event Grid gives up an event after a day. It is then kept as a blob, or, where that cannot be, dropped.
  given_up = {
    dead-lettered = {
      metric      = "DeadLetteredCount"
      severity    = 1
      description = "Event Grid could not deliver events and keeps them as blobs. The groups that they name may be wrong: see why, then touch the groups or replay the blobs."
    }
    dropped = {
      metric      = "DroppedEventCount"
      severity    = 1
      description = "Event Grid could neither deliver events nor keep them. Nothing tells which groups they named: look for drift."
    }
  }
}

resource "azurerm_monitor_action_group" "this" {
  count = var.alert_email == "" ? 0 : 1

  name                = "${var.name_prefix}-alerts"
  resource_group_name = var.resource_group_name
  tags                = var.tags
  short_name          = "aci-dns"

  email_receiver {
    name                    = "operator"
    email_address           = var.alert_email
    use_common_alert_schema = true
  }
}

locals {
  notified_group_ids = concat(var.action_group_ids, azurerm_monitor_action_group.this[*].id)
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "this" {
  for_each = local.log_alerts

  name                 = "${var.name_prefix}-${each.key}"
  resource_group_name  = var.resource_group_name
  location             = var.location
  tags                 = var.tags
  display_name         = each.value.display
  description          = each.value.description
  severity             = each.value.severity
  scopes               = [local.application_insights_id]
  evaluation_frequency = "PT5M"
  window_duration      = each.value.range
  # Until the app has sent telemetry, its tables do not exist.
  skip_query_validation   = true
  auto_mitigation_enabled = true

  criteria {
    query                   = each.value.query
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0

    dynamic "dimension" {
      for_each = each.value.dimensions
      content {
        name     = dimension.value
        operator = "Include"
        values   = ["*"]
      }
    }

    failing_periods {
      number_of_evaluation_periods             = 1
      minimum_failing_periods_to_trigger_alert = 1
    }
  }

  dynamic "action" {
    for_each = length(local.notified_group_ids) == 0 ? [] : [local.notified_group_ids]
    content {
      action_groups = action.value
    }
  }
}

# One rule watches one topic: of this kind of resource, Azure Monitor takes no list.
resource "azurerm_monitor_metric_alert" "given_up" {
  for_each = merge([
    for key in concat(keys(local.topics), keys(local.image_registries)) : {
      for name, what in local.given_up : "${key}/${name}" => { topic = key, name = name, what = what }
    }
  ]...)

  # Topics of several resource groups have one name, hence the suffix.
  name                = "${var.name_prefix}-${each.value.name}-${substr(sha256(each.value.topic), 0, 13)}"
  resource_group_name = var.resource_group_name
  tags                = var.tags
  description         = each.value.what.description
  severity            = each.value.what.severity
  scopes              = [merge(local.topic_ids, local.image_topic_ids)[each.value.topic]]
  frequency           = "PT5M"
  # Longer than the time between two looks: a value that comes late still falls into a window.
  window_size   = "PT15M"
  auto_mitigate = true

  criteria {
    metric_namespace = "Microsoft.EventGrid/systemTopics"
    metric_name      = each.value.what.metric
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 0
  }

  dynamic "action" {
    for_each = local.notified_group_ids
    content {
      action_group_id = action.value
    }
  }
}

resource "azurerm_application_insights_workbook" "this" {
  # Azure wants a GUID; this one is the same at each deployment.
  name                = uuidv5("url", "${lower(local.resource_group_id)}/${var.name_prefix}/workbook")
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
  display_name        = var.name_prefix
  source_id           = lower(local.application_insights_id)
  data_json = replace(
    file("${path.module}/../workbook.json"), "{applicationInsightsId}", local.application_insights_id,
  )
}
