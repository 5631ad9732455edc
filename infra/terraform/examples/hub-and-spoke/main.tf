# A hub that holds all zones, and spokes in subscriptions of their own. Hub and spokes query every zone; the reverse
# zone serves both spokes.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.2"
    }
    azapi = {
      source  = "Azure/azapi"
      version = "~> 2.12"
    }
  }
}

locals {
  hub    = "00000000-0000-0000-0000-000000000001"
  spoke1 = "00000000-0000-0000-0000-000000000002"
  spoke2 = "00000000-0000-0000-0000-000000000003"

  network = "/subscriptions/${local.hub}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub"
  network_ids = [
    local.network,
    "/subscriptions/${local.spoke1}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1",
    "/subscriptions/${local.spoke2}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke2",
  ]
}

# The default providers use the hub's subscription; they need rights in every subscription that is named below. Event
# Grid reads the keys of the functions with the registration of the app's subscription, so it is registered there too.
# azurerm registers nothing by default. Without the right to register, leave the lists out and ask an owner to do it.
provider "azurerm" {
  features {}
  subscription_id = local.hub
  resource_providers_to_register = [
    "Microsoft.App",
    "Microsoft.EventGrid",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
  ]
}

provider "azurerm" {
  alias = "spoke1"
  features {}
  subscription_id                = local.spoke1
  resource_providers_to_register = ["Microsoft.ContainerInstance", "Microsoft.EventGrid"]
}

provider "azurerm" {
  alias = "spoke2"
  features {}
  subscription_id                = local.spoke2
  resource_providers_to_register = ["Microsoft.ContainerInstance", "Microsoft.EventGrid"]
}

# Terraform starts only providers that are used, so each registers through a data source.
data "azurerm_client_config" "spoke1" {
  provider = azurerm.spoke1
}

data "azurerm_client_config" "spoke2" {
  provider = azurerm.spoke2
}

provider "azapi" {
  subscription_id = local.hub
}

module "aci_dns" {
  source = "../.."

  resource_group_name = "rg-aci-dns"
  location            = "westeurope"

  spokes = [
    {
      subscription_id      = local.spoke1
      resource_group       = "rg-spoke1"
      forward_zone         = "spoke1.contoso.internal"
      reverse_zones        = ["10.in-addr.arpa"]
      zone_subscription_id = local.hub
      zone_resource_group  = "rg-dns"
      network_ids          = local.network_ids
      # For consumers that read configuration instead of DNS.
      secret = {
        vault_id = "/subscriptions/${local.hub}/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-apps"
        name     = "{group}--ip"
      }
    },
    {
      subscription_id      = local.spoke2
      resource_group       = "rg-spoke2-*"
      forward_zone         = "spoke2.contoso.internal"
      reverse_zones        = ["10.in-addr.arpa"]
      zone_subscription_id = local.hub
      zone_resource_group  = "rg-dns"
      network_ids          = local.network_ids
      ttl                  = 30
      policy               = "observe"
      groups               = ["web-*", "api"]
      address_ranges       = ["10.2.0.0/16"]
      hostnames            = ["portal"]
      former_zones         = ["old.contoso.internal"]
      secret = {
        vault_id     = "/subscriptions/${local.spoke2}/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-spoke2"
        secret_names = ["api--ip"]
      }
    },
  ]

  # The second spoke is many resource groups, so the events of its subscription are taken; another team made its topic.
  topics = [
    { subscription_id = local.spoke1, resource_group = "rg-spoke1" },
    {
      subscription_id = local.spoke2
      resource_group  = "rg-events"
      source          = "subscription"
      existing_name   = "evgt-subscription"
    },
  ]

  # The second spoke is only watched for now: its plans are in the log.
  settings = {
    ACI_DNS_OWNERSHIP       = "strict"
    ACI_DNS_RECHECK_SECONDS = "60"
  }

  only_event_grid         = true
  always_ready_instances  = 1
  locks                   = "resources"
  integration_subnet      = { id = "${local.network}/subnets/snet-aci-dns" }
  private_endpoint_subnet = { id = "${local.network}/subnets/snet-private-endpoints" }
  existing_workspace      = { id = "/subscriptions/${local.hub}/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/law-central" }
  action_group_ids = [
    "/subscriptions/${local.hub}/resourceGroups/rg-logs/providers/Microsoft.Insights/actionGroups/ag-network",
  ]

  depends_on = [data.azurerm_client_config.spoke1, data.azurerm_client_config.spoke2]
}

output "function_app_name" {
  description = "Name of the function app."
  value       = module.aci_dns.function_app_name
}
