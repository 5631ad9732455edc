# The private zones, forward and reverse, new or existing ones, and their links. A network that a zone is not linked to
# is answered NXDOMAIN, for reverse names as well.

locals {
  spoke_zones = flatten([for spoke in local.spokes : [
    for zone in concat([spoke.forward_zone], spoke.reverse_zones) : {
      key             = lower("${spoke.zone_subscription_id}/${spoke.zone_resource_group}/${zone}")
      subscription_id = spoke.zone_subscription_id
      resource_group  = spoke.zone_resource_group
      name            = lower(zone)
      network_ids     = spoke.network_ids
    }
  ]])

  # A zone that serves several spokes is one zone.
  zones = {
    for key, uses in { for zone in local.spoke_zones : zone.key => zone... } : key => merge(uses[0], {
      network_ids = distinct(flatten(uses[*].network_ids))
    })
  }
  zone_ids = {
    for key, zone in local.zones : key => (
      var.create_zones
      ? azapi_resource.zone[key].id
      : "/subscriptions/${zone.subscription_id}/resourceGroups/${zone.resource_group}/providers/Microsoft.Network/privateDnsZones/${zone.name}"
    )
  }

  links = merge([for key, zone in local.zones : {
    for network_id in zone.network_ids : lower("${key}${network_id}") => { zone = key, network_id = network_id }
  }]...)
}

resource "azapi_resource" "zone" {
  for_each = var.create_zones ? local.zones : {}

  type      = "Microsoft.Network/privateDnsZones@2020-06-01"
  parent_id = "/subscriptions/${each.value.subscription_id}/resourceGroups/${each.value.resource_group}"
  name      = each.value.name
  location  = "global"
  tags      = var.tags
  body      = {}
}

resource "azapi_resource" "link" {
  for_each = local.links

  type      = "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01"
  parent_id = local.zone_ids[each.value.zone]
  # One after the other: Private DNS refuses a write while another one of the zone is pending.
  locks    = [local.zone_ids[each.value.zone]]
  name     = "${basename(each.value.network_id)}-${substr(sha256(lower(each.value.network_id)), 0, 13)}"
  location = "global"
  tags     = var.tags
  body = {
    properties = {
      registrationEnabled = false
      virtualNetwork      = { id = each.value.network_id }
    }
  }
}
