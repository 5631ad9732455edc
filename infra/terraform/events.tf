# Event Grid: a system topic for each source of events, and a subscription of each function to each topic. A source has
# one topic at most: where there is one already, that one is used, and has to have a system-assigned identity.

locals {
  events = jsondecode(file("${path.module}/../events.json"))

  topics = {
    for topic in(
      length(var.topics) == 0
      ? [for spoke in local.spokes : {
        subscription_id = spoke.subscription_id
        resource_group  = spoke.resource_group
        source          = "resourceGroup"
        existing_name   = null
      }]
      : var.topics
      ) : lower("${coalesce(topic.subscription_id, local.home_subscription_id)}/${topic.resource_group}/${topic.source}") => {
      resource_group_id = format(
        "/subscriptions/%s/resourceGroups/%s",
        lower(coalesce(topic.subscription_id, local.home_subscription_id)),
        topic.resource_group,
      )
      source_id = (
        topic.source == "subscription"
        ? "/subscriptions/${lower(coalesce(topic.subscription_id, local.home_subscription_id))}"
        : format(
          "/subscriptions/%s/resourceGroups/%s",
          lower(coalesce(topic.subscription_id, local.home_subscription_id)),
          topic.resource_group,
        )
      )
      type          = topic.source == "subscription" ? "Microsoft.Resources.Subscriptions" : "Microsoft.Resources.ResourceGroups"
      existing_name = topic.existing_name
    }
  }
  topic_ids = {
    for key, topic in local.topics : key => (
      topic.existing_name == null ? azapi_resource.topic[key].id : data.azapi_resource.topic[key].id
    )
  }
  topic_principal_ids = {
    for key, topic in local.topics : key => (
      topic.existing_name == null
      ? azapi_resource.topic[key].identity[0].principal_id
      : data.azapi_resource.topic[key].output.principal_id
    )
  }

  # Event Grid refuses a subscription to a function that does not exist.
  subscriptions = var.package == null && !var.functions_published ? {} : merge([
    for key, topic in local.topics : {
      for function, event_types in local.events.functions :
      "${key}/${function}" => { topic = key, function = function, event_types = event_types }
    }
  ]...)
}

resource "azapi_resource" "topic" {
  for_each = { for key, topic in local.topics : key => topic if topic.existing_name == null }

  type      = "Microsoft.EventGrid/systemTopics@2022-06-15"
  parent_id = each.value.resource_group_id
  name      = "${var.name_prefix}-events"
  location  = "global"
  tags      = var.tags

  identity {
    type = "SystemAssigned"
  }

  body = { properties = { source = each.value.source_id, topicType = each.value.type } }
}

resource "azurerm_monitor_diagnostic_setting" "topic" {
  for_each = { for key, topic in local.topics : key => topic if topic.existing_name == null && var.diagnostic_logs }

  name                       = "aci-dns"
  target_resource_id         = azapi_resource.topic[each.key].id
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "DeliveryFailures"
  }
}

data "azapi_resource" "topic" {
  for_each = { for key, topic in local.topics : key => topic if topic.existing_name != null }

  type                   = "Microsoft.EventGrid/systemTopics@2022-06-15"
  parent_id              = each.value.resource_group_id
  name                   = each.value.existing_name
  response_export_values = { principal_id = "identity.principalId" }
}

resource "azapi_resource" "subscription" {
  for_each = local.subscriptions

  type      = "Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15"
  parent_id = local.topic_ids[each.value.topic]
  name      = "${var.name_prefix}-${replace(each.value.function, "_", "-")}"

  body = {
    properties = {
      eventDeliverySchema = "EventGridSchema"
      destination = {
        endpointType = "AzureFunction"
        properties = {
          resourceId                    = "${azapi_resource.app.id}/functions/${each.value.function}"
          maxEventsPerBatch             = 1
          preferredBatchSizeInKilobytes = 64
        }
      }
      filter = {
        includedEventTypes = each.value.event_types
        # Event Grid compares without regard to case.
        advancedFilters = [
          { operatorType = "StringContains", key = "subject", values = [local.events.subjectContains] }
        ]
      }
      retryPolicy = { maxDeliveryAttempts = 30, eventTimeToLiveInMinutes = 1440 }
      deadLetterWithResourceIdentity = {
        identity = { type = "SystemAssigned" }
        deadLetterDestination = {
          endpointType = "StorageBlob"
          properties   = { resourceId = azurerm_storage_account.this.id, blobContainerName = "dead-letters" }
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

  depends_on = [azurerm_role_assignment.dead_letters, terraform_data.package, terraform_data.probe]
}
