# What the module makes of its variables. The providers are mocked: no Azure is asked, and nothing is made; but they
# check each resource against their schemas, azapi each body against the API's.

mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { subscription_id = "00000000-0000-0000-0000-000000000001" }
  }
  mock_resource "azurerm_storage_account" {
    defaults = {
      id                     = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-aci-dns/providers/Microsoft.Storage/storageAccounts/acidns"
      primary_blob_endpoint  = "https://acidns.blob.core.windows.net/"
      primary_queue_endpoint = "https://acidns.queue.core.windows.net/"
      primary_table_endpoint = "https://acidns.table.core.windows.net/"
    }
  }
  mock_resource "azurerm_storage_container" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-aci-dns/providers/Microsoft.Storage/storageAccounts/acidns/blobServices/default/containers/container"
    }
  }
  mock_resource "azurerm_log_analytics_workspace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-aci-dns/providers/Microsoft.OperationalInsights/workspaces/aci-dns-logs"
    }
  }
  mock_resource "azurerm_application_insights" {
    defaults = {
      id                = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-aci-dns/providers/Microsoft.Insights/components/aci-dns-telemetry"
      connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000009"
    }
  }
  mock_resource "azurerm_service_plan" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-aci-dns/providers/Microsoft.Web/serverFarms/aci-dns-plan"
    }
  }
}

mock_provider "azapi" {}

variables {
  resource_group_name = "rg-aci-dns"
  location            = "westeurope"
  spokes = [{
    resource_group      = "rg-Spoke1"
    forward_zone        = "spoke1.contoso.internal"
    reverse_zones       = ["1.10.in-addr.arpa"]
    zone_resource_group = "rg-dns"
    network_ids         = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1"]
  }]
}

run "one_spoke" {
  command = plan

  assert {
    condition     = length(azapi_resource.zone) == 2
    error_message = "zones"
  }
}
