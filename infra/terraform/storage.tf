# The storage account of the function app: its package, the host's own blobs, and the events that could not be
# delivered. Shared keys are off, so whoever reads or writes it needs a role.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:The host keeps no queue that anybody reads
  #checkov:skip=CKV_AZURE_35:Closed where a private endpoint is asked for; without one, the app itself comes from outside
  #checkov:skip=CKV_AZURE_43:The name is acidns and thirteen hexadecimal digits, which the check does not compute
  #checkov:skip=CKV_AZURE_59:It takes no anonymous reads, and no keys; networks are CKV_AZURE_35
  #checkov:skip=CKV_AZURE_206:It holds a package that is published again, and events that are a day old at most
  #checkov:skip=CKV2_AZURE_1:No personal data and no secret is in it
  name                             = "acidns${local.unique}"
  resource_group_name              = var.resource_group_name
  location                         = var.location
  tags                             = var.tags
  account_kind                     = "StorageV2"
  account_tier                     = "Standard"
  account_replication_type         = "LRS"
  access_tier                      = "Hot"
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  local_user_enabled               = false
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true

  # Event Grid is a trusted service: with its topic's identity it may write dead letters to a closed account.
  network_rules {
    bypass         = ["AzureServices"]
    default_action = var.private_endpoint_subnet_id == "" ? "Allow" : "Deny"
  }

  blob_properties {
    delete_retention_policy {
      days = 7
    }
  }
}

resource "azurerm_storage_container" "packages" {
  #checkov:skip=CKV2_AZURE_21:Who may read is a matter of roles; reads are not audited
  name               = "packages"
  storage_account_id = azurerm_storage_account.this.id
}

resource "azurerm_storage_container" "dead_letters" {
  #checkov:skip=CKV2_AZURE_21:Who may read is a matter of roles; reads are not audited
  name               = "dead-letters"
  storage_account_id = azurerm_storage_account.this.id
}

resource "azurerm_private_endpoint" "blob" {
  count = var.private_endpoint_subnet_id == "" ? 0 : 1

  name                = "${azurerm_storage_account.this.name}-blob"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
  subnet_id           = var.private_endpoint_subnet_id

  private_service_connection {
    name                           = "blob"
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  dynamic "private_dns_zone_group" {
    for_each = var.blob_private_dns_zone_id == "" ? [] : [var.blob_private_dns_zone_id]
    content {
      name                 = "default"
      private_dns_zone_ids = [private_dns_zone_group.value]
    }
  }
}
