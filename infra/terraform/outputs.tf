output "function_app_name" {
  description = "Name of the function app, to publish the package to."
  value       = azapi_resource.app.name
}

output "function_app_id" {
  description = "Id of the function app."
  value       = azapi_resource.app.id
}

output "principal_id" {
  description = "Object id of the identity that the app reads container groups and writes record sets with, for `aci-dns doctor --principal`."
  value       = local.principal_id
}

output "storage_account_id" {
  description = "Id of the storage account with package and dead letters."
  value       = azurerm_storage_account.this.id
}

output "topic_ids" {
  description = "Ids of the system topics by subscription, resource group and kind of source."
  value       = local.topic_ids
}

output "images_function_app_name" {
  description = "Name of the function app that updates images, or null."
  value       = local.updates_images ? azapi_resource.images_app[0].name : null
}
