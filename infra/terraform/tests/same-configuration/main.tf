# What the module is given by a configuration that makes it itself: no id is known before apply.

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

variable "resource_group_name" {
  description = "As for the module."
  type        = string
}

variable "location" {
  description = "As for the module."
  type        = string
}

variable "spokes" {
  description = "As for the module."
  type        = any
}

resource "azurerm_user_assigned_identity" "this" {
  name                = "id-aci-dns"
  resource_group_name = var.resource_group_name
  location            = var.location
}

resource "azurerm_subnet" "this" {
  #checkov:skip=CKV2_AZURE_31:No network exists; only that the id is unknown counts
  for_each = toset(["app", "endpoints"])

  name                 = each.key
  resource_group_name  = var.resource_group_name
  virtual_network_name = "vnet-hub"
  address_prefixes     = ["10.0.0.0/24"]
}

resource "azurerm_log_analytics_workspace" "this" {
  name                = "law"
  resource_group_name = var.resource_group_name
  location            = var.location
}

resource "azurerm_application_insights" "this" {
  name                = "appi"
  resource_group_name = var.resource_group_name
  location            = var.location
  application_type    = "web"
  workspace_id        = azurerm_log_analytics_workspace.this.id
}

resource "azurerm_monitor_action_group" "this" {
  name                = "ag"
  resource_group_name = var.resource_group_name
  short_name          = "ag"
}

module "aci_dns" {
  source = "../.."

  resource_group_name           = var.resource_group_name
  location                      = var.location
  spokes                        = var.spokes
  user_assigned_identity        = azurerm_user_assigned_identity.this
  integration_subnet            = azurerm_subnet.this["app"]
  private_endpoint_subnet       = azurerm_subnet.this["endpoints"]
  existing_workspace            = azurerm_log_analytics_workspace.this
  existing_application_insights = azurerm_application_insights.this
  action_group_ids              = [azurerm_monitor_action_group.this.id]
  locks                         = "resourcesAndZones"
}
