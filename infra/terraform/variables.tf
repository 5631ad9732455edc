# The parameters of ../main.bicep by the same names, and five that Bicep has from its deployment or its script:
# resource_group_name, cloud, package, probe_queue, functions_published. What is an id in Bicep, or empty, is an object with an id
# here, or null: Terraform has to know how many resources there are before it knows ids of the same configuration.

variable "resource_group_name" {
  description = "Resource group, in the provider's subscription, for everything that is not a zone or a topic."
  type        = string
}

variable "location" {
  description = "Region of what is made here."
  type        = string
}

variable "spokes" {
  description = <<-EOT
    Resource groups whose container groups are given names, and the zones that serve them.

    subscription_id       subscription of the container groups; default: the provider's
    resource_group        resource group of the container groups; a trailing * matches the rest of the name
    forward_zone          zone of the A record sets, such as spoke1.contoso.internal
    reverse_zones         zones of the PTR record sets, such as 1.10.in-addr.arpa; []: no PTR records
    zone_subscription_id  subscription of the zones; default: that of the container groups
    zone_resource_group   resource group of the zones; default: that of the container groups
    network_ids           ids of the virtual networks that query these zones and are not linked to them yet; they have
                          to be known when planning
    ttl                   time to live of the record sets in seconds
    policy                what aci-dns does here: sync, upsert-only or observe; default: ACI_DNS_POLICY
    ownership             what happens to unmarked record sets at managed names: adopt or strict; default:
                          ACI_DNS_OWNERSHIP
    groups                names of the container groups that are managed, or prefixes with *; default: all
    address_ranges        CIDR ranges in which addresses of container groups are accepted; default: any
    hostnames             labels, or prefixes with *, that the tag aci-dns-hostname may choose; default: none
    former_zones          forward zones that were replaced; PTR values in them count as those of aci-dns
    secret                secrets in Key Vault that hold the addresses; default: none
      vault_id            id of the key vault, which has to use Azure role-based access control
      name                name of the secrets; {group} and {resourceGroup} are replaced; default: only container groups
                          with the tag aci-dns-secret have one
      secret_names        names of the secrets at which the right is assigned; default: at the whole vault, whose
                          secrets the app can then read and set
    services              names for several container groups each, by label: the groups that belong to it by name, and
                          its ttl in seconds; default: none
  EOT
  type = list(object({
    subscription_id      = optional(string)
    resource_group       = string
    forward_zone         = string
    reverse_zones        = list(string)
    zone_subscription_id = optional(string)
    zone_resource_group  = optional(string)
    network_ids          = optional(list(string), [])
    ttl                  = optional(number, 60)
    policy               = optional(string)
    ownership            = optional(string)
    groups               = optional(list(string))
    address_ranges       = optional(list(string))
    hostnames            = optional(list(string))
    former_zones         = optional(list(string))
    secret = optional(object({
      vault_id     = string
      name         = optional(string)
      secret_names = optional(list(string))
    }))
    services = optional(map(object({
      groups = optional(list(string))
      ttl    = optional(number, 30)
    })))
  }))

  validation {
    condition     = length(var.spokes) > 0
    error_message = "At least one spoke is needed."
  }
  validation {
    condition     = alltrue([for spoke in var.spokes : can(regex("^[^*]+[*]?$", spoke.resource_group))])
    error_message = "A resource group may end in *; elsewhere * means nothing."
  }
  validation {
    condition = alltrue([
      for spoke in var.spokes : spoke.zone_resource_group != null || !endswith(spoke.resource_group, "*")
    ])
    error_message = "Where the resource group is a pattern, the zones need a zone_resource_group."
  }
  validation {
    condition = alltrue([for spoke in var.spokes : contains(["sync", "upsert-only", "observe"], coalesce(spoke.policy, "sync"))])

    error_message = "A policy is sync, upsert-only or observe."
  }
  validation {
    condition     = alltrue([for spoke in var.spokes : contains(["adopt", "strict"], coalesce(spoke.ownership, "strict"))])
    error_message = "An ownership is adopt or strict."
  }
  validation {
    condition     = alltrue([for spoke in var.spokes : spoke.ttl >= 1 && spoke.ttl <= 2147483647])
    error_message = "A ttl is 1 to 2147483647."
  }
  validation {
    condition = alltrue([
      for zone in flatten(var.spokes[*].reverse_zones) :
      can(regex("^([0-9]{1,3}[.]){1,3}in-addr[.]arpa$", lower(zone)))
    ])
    error_message = "A reverse zone is one to three octets before in-addr.arpa: Private DNS resolves no classless ones."
  }
}

variable "image_updates" {
  description = <<-EOT
    Image updates after registry pushes, by an app of its own; no resource groups: there is no such app.

    resource_groups    resource groups whose container groups are updated, if they have the tag aci-dns-image
      subscription_id  subscription of the container groups; default: the provider's
      resource_group   resource group of the container groups; a trailing * matches the rest of the name
      registries       registries whose pushes count: hosts, or hosts with a path, such as docker.io/contoso
      replace          whether the app may write container groups, for the tags semver: and glob:
      subnet_ids       ids of the subnets of these container groups, which the app has to join where it may write
    registries         Azure container registries whose pushes come by Event Grid
      id               id of the registry; it has to be known when planning
      existing_topic   name of its topic, if it has one, with a system-assigned identity
    webhooks           whether other registries call the app
    webhook_secret     what webhooks have to prove: a reference to a secret in Key Vault
    policy             sync, or observe: the plan is only logged
  EOT
  type = object({
    resource_groups = optional(list(object({
      subscription_id = optional(string)
      resource_group  = string
      registries      = list(string)
      replace         = optional(bool, false)
      subnet_ids      = optional(list(string), [])
    })), [])
    registries = optional(list(object({
      id             = string
      existing_topic = optional(string)
    })), [])
    webhooks       = optional(bool, false)
    webhook_secret = optional(string)
    policy         = optional(string, "sync")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.roles == "custom" || length(var.image_updates.resource_groups) == 0
    error_message = "Image updates need custom roles: no built-in role only reads and restarts container groups."
  }
  validation {
    condition     = contains(["sync", "observe"], var.image_updates.policy)
    error_message = "The policy of image updates is sync or observe."
  }
  validation {
    condition     = alltrue([for place in var.image_updates.resource_groups : can(regex("^[^*]+[*]?$", place.resource_group))])
    error_message = "A resource group may end in *; elsewhere * means nothing."
  }
}

variable "topics" {
  description = <<-EOT
    Event Grid system topics; none given: a new one for the resource group of each spoke. Azure allows one for each
    source.

    subscription_id  subscription of topic and source; default: the provider's
    resource_group   resource group of the topic; the source too, where that is a resource group
    source           whose events it carries: resourceGroup or subscription
    existing_name    name of the topic, if the source has one; it needs a system-assigned identity, for dead letters
  EOT
  type = list(object({
    subscription_id = optional(string)
    resource_group  = string
    source          = optional(string, "resourceGroup")
    existing_name   = optional(string)
  }))
  default = []

  validation {
    condition     = alltrue([for topic in var.topics : contains(["resourceGroup", "subscription"], topic.source)])
    error_message = "The source of a topic is resourceGroup or subscription."
  }
  validation {
    condition     = length(var.topics) > 0 || !anytrue([for spoke in var.spokes : endswith(spoke.resource_group, "*")])
    error_message = "Where the resource group of a spoke is a pattern, topics have to be given."
  }
  validation {
    condition = length(var.topics) == 0 || alltrue([for spoke in local.spokes : anytrue([
      for topic in var.topics :
      lower(coalesce(topic.subscription_id, local.home_subscription_id)) == spoke.subscription_id && (
        topic.source == "subscription" || lower(topic.resource_group) == lower(spoke.resource_group) || (
          spoke.is_pattern && startswith(lower(topic.resource_group), trimsuffix(lower(spoke.resource_group), "*"))
        )
      )
    ])])
    error_message = "Where topics are given, each spoke needs one that carries its events."
  }
}

variable "create_zones" {
  description = "Whether the zones are made here. If not, they have to exist, and only links and rights are added."
  type        = bool
  default     = true
}

variable "roles" {
  description = "The rights of the app: two custom roles with exactly the actions that it uses (custom), or Reader and Private DNS Zone Contributor (builtIn)."
  type        = string
  default     = "custom"

  validation {
    condition     = contains(["custom", "builtIn"], var.roles)
    error_message = "The roles are custom or builtIn."
  }
}

variable "container_group_scope" {
  description = "Where the app may read container groups: in the subscriptions of the spokes (subscription), or in their resource groups alone (resourceGroup). A right in a resource group is deleted with it; Azure then answers 403 for its container groups, and their records stay."
  type        = string
  default     = "subscription"

  validation {
    condition     = contains(["subscription", "resourceGroup"], var.container_group_scope)
    error_message = "The scope is subscription or resourceGroup."
  }
}

variable "settings" {
  description = "Settings of aci-dns, by the names of the environment variables; what is left out has its default."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "ACI_DNS_ADDRESS_WAIT_SECONDS",
      "ACI_DNS_ARM_ENDPOINT",
      "ACI_DNS_DEADLINE_SECONDS",
      "ACI_DNS_MAX_CONCURRENCY",
      "ACI_DNS_OWNERSHIP",
      "ACI_DNS_POLICY",
      "ACI_DNS_RECHECK_SECONDS",
      "ACI_DNS_STOPPED",
      "RUST_LOG",
    ])) == 0
    error_message = "Not a setting of aci-dns, or one that follows from other variables."
  }
  validation {
    condition = alltrue([for name, bounds in {
      ACI_DNS_ADDRESS_WAIT_SECONDS = [0, 27]
      ACI_DNS_DEADLINE_SECONDS     = [1, 28]
      ACI_DNS_MAX_CONCURRENCY      = [1, 1024]
      ACI_DNS_RECHECK_SECONDS      = [0, 300]
      } : try(
      tonumber(var.settings[name]) >= bounds[0] && tonumber(var.settings[name]) <= bounds[1],
      !contains(keys(var.settings), name),
    )])
    error_message = "ACI_DNS_ADDRESS_WAIT_SECONDS is 0 to 27, ACI_DNS_DEADLINE_SECONDS 1 to 28, ACI_DNS_MAX_CONCURRENCY 1 to 1024, ACI_DNS_RECHECK_SECONDS 0 to 300."
  }
  validation {
    condition = alltrue([for name, words in {
      ACI_DNS_OWNERSHIP = ["adopt", "strict"]
      ACI_DNS_POLICY    = ["sync", "upsert-only", "observe"]
      ACI_DNS_STOPPED   = ["remove", "keep"]
    } : contains(words, lookup(var.settings, name, words[0]))])
    error_message = "ACI_DNS_OWNERSHIP is adopt or strict, ACI_DNS_POLICY sync, upsert-only or observe, ACI_DNS_STOPPED remove or keep."
  }
}

variable "sweep_schedule" {
  description = "When the drift sweep runs, as six fields of NCRONTAB; empty: never. The platform moves container groups without an event, and only the sweep finds these."
  type        = string
  default     = "0 */15 * * * *"
}

variable "sweep_mode" {
  description = "What the drift sweep does with drift that it finds: report or repair."
  type        = string
  default     = "report"

  validation {
    condition     = contains(["report", "repair"], var.sweep_mode)
    error_message = "The sweep mode is report or repair."
  }
}

variable "retry_queue" {
  description = "Whether unfinished work is stored in the retry queue. Without it, Event Grid delivers the events again, at intervals that grow to hours."
  type        = bool
  default     = true
}

variable "cloud" {
  description = "Azure cloud of the providers: public, usgovernment or china."
  type        = string
  default     = "public"

  validation {
    condition     = contains(["public", "usgovernment", "china"], var.cloud)
    error_message = "The cloud is public, usgovernment or china."
  }
}

variable "name_prefix" {
  description = "Beginning of the names of what is made here."
  type        = string
  default     = "aci-dns"

  validation {
    condition     = length(var.name_prefix) >= 3 && length(var.name_prefix) <= 20
    error_message = "The prefix has 3 to 20 characters."
  }
}

variable "tags" {
  description = "Tags of what is made here."
  type        = map(string)
  default     = {}
}

variable "user_assigned_identity" {
  description = "A user-assigned managed identity; null: a new one."
  type        = object({ id = string })
  default     = null
}

variable "integration_subnet" {
  description = "The subnet that the app sends from, delegated to Microsoft.App/environments; null: none."
  type        = object({ id = string })
  default     = null
}

variable "private_endpoint_subnet" {
  description = "The subnet for private endpoints of the storage account, which is then closed; null: none. It needs integration_subnet, or the app itself does not reach its storage."
  type        = object({ id = string })
  default     = null

  validation {
    condition     = var.private_endpoint_subnet == null || var.integration_subnet != null
    error_message = "private_endpoint_subnet closes the storage account: the app needs integration_subnet to reach it."
  }
}

variable "storage_public_access" {
  description = "What may reach the closed storage account besides its private endpoints: nothing, since public network access is off (off); or the services that Azure trusts (trustedServices). Event Grid writes dead letters as such a service. Where it refuses the event subscriptions because of them, choose trustedServices."
  type        = string
  default     = "off"

  validation {
    condition     = contains(["off", "trustedServices"], var.storage_public_access)
    error_message = "Public access is off or trustedServices."
  }
}

variable "private_dns_zone_ids" {
  description = "Ids of the private DNS zones of the blob, queue and table services, where no policy registers private endpoints."
  type = object({
    blob  = optional(string)
    queue = optional(string)
    table = optional(string)
  })
  default = {}
}

variable "only_event_grid" {
  description = "Whether the app refuses what does not come from Event Grid."
  type        = bool
  default     = false
}

variable "maximum_instance_count" {
  description = "Most instances of the app, 1 to 1000."
  type        = number
  default     = 40

  validation {
    condition     = var.maximum_instance_count >= 1 && var.maximum_instance_count <= 1000
    error_message = "The maximum is 1 to 1000."
  }
}

variable "always_ready_instances" {
  description = "Instances that are kept warm for events, and paid for all the time. Without one, the first event after a pause waits for a cold start."
  type        = number
  default     = 0

  validation {
    condition     = var.always_ready_instances >= 0 && var.always_ready_instances <= 20
    error_message = "0 to 20 instances can be kept warm."
  }
}

variable "instance_memory_mb" {
  description = "Memory of an instance in MB: 512, 2048 or 4096."
  type        = number
  default     = 512

  validation {
    condition     = contains([512, 2048, 4096], var.instance_memory_mb)
    error_message = "An instance has 512, 2048 or 4096 MB."
  }
}

variable "zone_redundant" {
  description = "Whether plan and storage account are spread over availability zones. The region has to have them."
  type        = bool
  default     = false
}

variable "existing_workspace" {
  description = "A Log Analytics workspace; null: a new one."
  type        = object({ id = string })
  default     = null
}

variable "workspace_location" {
  description = "Region of the workspace, in which the data collection rule has to stand; empty: location."
  type        = string
  default     = ""
}

variable "existing_application_insights" {
  description = "An Application Insights component; null: a new one."
  type        = object({ id = string })
  default     = null
}

variable "application_insights_local_auth" {
  description = "Whether Application Insights takes telemetry from whoever knows its connection string."
  type        = bool
  default     = false
}

variable "retention_days" {
  description = "Days that a new workspace keeps its logs."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 30 && var.retention_days <= 730
    error_message = "Logs are kept for 30 to 730 days."
  }
}

variable "diagnostic_logs" {
  description = "Whether resource logs go to the workspace: delivery failures of the topics, logs of the app, writes and deletions in the storage account."
  type        = bool
  default     = true
}

variable "locks" {
  description = "Locks against deletion: none; on app, identity, storage account, workspace and topics (resources); or on the zones as well (resourcesAndZones). A lock on a zone holds for its record sets: aci-dns then empties those that it would delete."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "resources", "resourcesAndZones"], var.locks)
    error_message = "Locks are none, resources or resourcesAndZones."
  }
}

variable "dead_letter_days" {
  description = "Days that events which could not be delivered are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.dead_letter_days >= 1 && var.dead_letter_days <= 365
    error_message = "Dead letters are kept for 1 to 365 days."
  }
}

variable "action_group_ids" {
  description = "Ids of the action groups that alerts go to. They have to be in the provider's subscription."
  type        = list(string)
  default     = []
}

variable "alert_email" {
  description = "Address that alerts are sent to, by an action group that is made for it; empty: none."
  type        = string
  default     = ""
}

variable "drift_minutes" {
  description = "Minutes after which a name that stays wrong is an alert."
  type        = number
  default     = 15

  validation {
    condition     = var.drift_minutes >= 5 && var.drift_minutes <= 2820
    error_message = "Drift is an alert after 5 to 2820 minutes: the rules look back two days, no further."
  }
}

variable "silent_minutes" {
  description = "Minutes of silence after which an alert asks whether events still arrive."
  type        = number
  default     = 1440

  validation {
    condition     = var.silent_minutes >= 60 && var.silent_minutes <= 2820
    error_message = "Silence is an alert after 60 to 2820 minutes: the rule looks back two days, no further."
  }
}

variable "package" {
  description = "Path of the package that infra/package.sh builds. With it, apply publishes it by the Azure CLI and then subscribes to events. Null: it is published by other means."
  type        = string
  default     = null
}

variable "images_package" {
  description = "Path of the package of the app that updates images, which is published to it; null: none."
  type        = string
  default     = null
}

variable "probe_queue" {
  description = "Whether the apply proves, with a message of its own, that the app reads its retry queue before it subscribes to events. That needs the role Storage Queue Data Message Sender and, for a closed account, a network that reaches it."
  type        = bool
  default     = true
}

variable "functions_published" {
  description = "Where the package is published by other means: whether that has happened. Event Grid refuses subscriptions to functions that do not exist."
  type        = bool
  default     = false
}
