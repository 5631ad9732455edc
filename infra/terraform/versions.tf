terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.2"
    }
    # For what stands in other subscriptions than the provider's, and for what azurerm cannot say: a data collection
    # rule of kind Direct, a custom table, an app whose host reaches its storage account with an identity (azurerm 5.2
    # always writes a connection string into AzureWebJobsStorage).
    azapi = {
      source  = "Azure/azapi"
      version = "~> 2.12"
    }
  }
}
