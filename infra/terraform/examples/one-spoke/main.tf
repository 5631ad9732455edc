# One resource group with container groups, its zones in another one, and one virtual network that queries them.

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

variable "subscription_id" {
  description = "Subscription of everything."
  type        = string
  default     = "00000000-0000-0000-0000-000000000001"
}

# The resource providers that the deployment needs; azurerm registers none by default. Without the right to register,
# leave the list out and ask an owner of the subscription to do it.
provider "azurerm" {
  features {}
  subscription_id = var.subscription_id
  resource_providers_to_register = [
    "Microsoft.App",
    "Microsoft.ContainerInstance",
    "Microsoft.EventGrid",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
  ]
}

provider "azapi" {
  subscription_id = var.subscription_id
}

resource "azurerm_resource_group" "this" {
  name     = "rg-aci-dns"
  location = "westeurope"
}

module "aci_dns" {
  source = "../.."

  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location

  spokes = [{
    resource_group      = "rg-spoke1"
    forward_zone        = "spoke1.contoso.internal"
    reverse_zones       = ["1.10.in-addr.arpa"]
    zone_resource_group = "rg-dns"
    network_ids = [
      "/subscriptions/${var.subscription_id}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1",
    ]
  }]

  # `bash infra/package.sh` builds it; the apply publishes it, and then subscribes to events.
  # package = "aci-dns.zip"
}

output "function_app_name" {
  description = "Name of the function app."
  value       = module.aci_dns.function_app_name
}
