# The storage account of the function app: its package, the host's own blobs, the retry queue, and the events that
# could not be delivered. Shared keys are off, so every reader and writer needs a role.

locals {
  is_private = var.private_endpoint_subnet != null
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:Writes and deletions are logged; the host reads its queue every few seconds
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
  account_replication_type         = var.zone_redundant ? "ZRS" : "LRS"
  access_tier                      = "Hot"
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  local_user_enabled               = false
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true
  public_network_access_enabled    = !(local.is_private && var.storage_public_access == "off")

  # Event Grid is a trusted service: with its topic's identity it may write dead letters to a closed account.
  network_rules {
    bypass         = ["AzureServices"]
    default_action = local.is_private ? "Deny" : "Allow"
  }

  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
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

# The host creates neither: a trigger polls a missing queue, and works once it exists.
resource "azapi_resource" "queue" {
  for_each = toset(["aci-dns-retry", "aci-dns-retry-poison"])

  type      = "Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01"
  parent_id = "${azurerm_storage_account.this.id}/queueServices/default"
  name      = each.key
  body      = {}
}

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "dead-letters"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["dead-letters/"]
    }
    actions {
      base_blob {
        delete_after_days_since_creation_greater_than = var.dead_letter_days
      }
    }
  }
}

resource "azurerm_private_endpoint" "storage" {
  for_each = toset(local.is_private ? ["blob", "queue", "table"] : [])

  name                = "${azurerm_storage_account.this.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
  subnet_id           = var.private_endpoint_subnet.id

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  dynamic "private_dns_zone_group" {
    for_each = var.private_dns_zone_ids[each.key] == null ? [] : [var.private_dns_zone_ids[each.key]]
    content {
      name                 = "default"
      private_dns_zone_ids = [private_dns_zone_group.value]
    }
  }
}

# Reads are not logged: the host polls its queue every few seconds.
resource "azurerm_monitor_diagnostic_setting" "storage" {
  for_each = toset(var.diagnostic_logs ? ["blobServices", "queueServices"] : [])

  name                       = "aci-dns"
  target_resource_id         = "${azurerm_storage_account.this.id}/${each.key}/default"
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
}
