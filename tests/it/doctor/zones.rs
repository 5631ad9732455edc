//! Zones, links, subnets and addresses.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_missing_zone_is_reported() {
    check(
        |azure| azure.delete_zone(REVERSE).unwrap(),
        &["problem: /rg-dns/privateDnsZones/1.10.in-addr.arpa does not exist"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_no_group_needs_may_be_elsewhere() {
    let azure = azure();
    let everywhere = format!("{SUBSCRIPTION},11111111-0000-0000-0000-000000000000");
    let stage = |map: &Value| {
        let (map, everywhere) = (map.to_string(), everywhere.clone());
        let settings = Settings::from_variables(|name| match name {
            "ACI_DNS_ZONES" => Some(map.clone()),
            "ACI_DNS_SUBSCRIPTIONS" => Some(everywhere.clone()),
            _ => None,
        });
        Stage::new(settings.unwrap(), azure.clone())
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    assert_eq!(reported(&stage(&map()).examine(None, deadline).await.unwrap()), [""; 0]);
    let other = json!({"rg-spoke1": zones(), "rg-spoke3": {"forwardZone": "c.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"}});
    let found = reported(&stage(&other).examine(None, deadline).await.unwrap());
    assert_eq!(found.len(), 3, "{found:#?}");
    assert_eq!(found[0], "warning: /rg-spoke3 does not exist");
    assert!(found[1].ends_with("/rg-dns/privateDnsZones/c.internal does not exist"), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_links_is_reported() {
    check(
        |azure| {
            for (zone, group) in [
                (FORWARD, "rg-spoke1"),
                (FORWARD, "rg-spoke2"),
                (REVERSE, "rg-spoke1"),
                (REVERSE, "rg-spoke2"),
            ] {
                azure.unlink(zone, &network(group)).unwrap();
            }
        },
        &[
            "problem: spoke1.contoso.internal is linked to no virtual network",
            "problem: 1.10.in-addr.arpa is linked to no virtual network",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_resolves_names_must_resolve_addresses() {
    let diagnosis = check(
        |azure| azure.unlink(REVERSE, &network("rg-spoke2")).unwrap(),
        &["problem: 1.10.in-addr.arpa is not linked to /rg-spoke2/virtualNetworks/vnet, as its forward zone is"],
    )
    .await;
    let fix = &diagnosis.checks[7].findings[0].fix;
    assert!(fix.ends_with(&format!("--virtual-network {}", network("rg-spoke2"))), "{fix}");
}

#[tokio::test(start_paused = true)]
async fn a_network_of_groups_that_only_a_hub_may_serve_is_a_warning() {
    check(
        |azure| {
            for zone in [FORWARD, REVERSE] {
                azure.unlink(zone, &network("rg-spoke2")).unwrap();
            }
        },
        &["warning: spoke1.contoso.internal is not linked to /rg-spoke2/virtualNetworks/vnet, in which its groups are"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_link_is_reported() {
    check(
        |azure| azure.set_link_state(REVERSE, "InProgress").unwrap(),
        &[
            "warning: the link of 1.10.in-addr.arpa to /rg-spoke1/virtualNetworks/vnet is InProgress",
            "warning: the link of 1.10.in-addr.arpa to /rg-spoke2/virtualNetworks/vnet is InProgress",
        ],
    )
    .await;
}

fn wide_subnet(azure: &Azure) {
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke2", "10.0.0.0/15"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_a_group_can_have_needs_a_reverse_zone() {
    let diagnosis = check(
        wide_subnet,
        &["problem: no reverse zone covers 10.0.0.0/16 of /rg-spoke2/virtualNetworks/vnet/subnets/default: 1.10.in-addr.arpa"],
    )
    .await;
    let fix = &diagnosis.checks[8].findings[0].fix;
    assert!(fix.contains("--name 0.10.in-addr.arpa"), "{fix}");
}

#[tokio::test(start_paused = true)]
async fn without_a_right_to_read_a_subnet_the_addresses_of_its_groups_are_checked() {
    let hide = |azure: &Azure| {
        azure.set_permissions(
            &format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke2"),
            vec![Permission::new(&["*"], &["Microsoft.Network/virtualNetworks/*"])],
        );
    };
    let hidden = "warning: a read failed: to read subnet /rg-spoke2/virtualNetworks/vnet/subnets/default needs \
                  action Microsoft.Network/virtualNetworks/subnets/read";
    let diagnosis = check(
        |azure| {
            wide_subnet(azure);
            hide(azure);
        },
        &[hidden],
    )
    .await;
    let impact = &diagnosis.checks[8].findings[0].impact;
    assert!(impact.contains("only the 2 addresses that groups have there now"), "{impact}");
    check(
        |azure| {
            wide_subnet(azure);
            hide(azure);
            azure.create_group(GroupSpec::new("rg-spoke2", "far"));
        },
        &[
            hidden,
            "problem: no reverse zone covers 10.0.0.4 of /rg-spoke2/virtualNetworks/vnet/subnets/default: 1.10.in-addr.arpa",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_reverse_zones_on_purpose_need_none() {
    let azure = azure();
    wide_subnet(&azure);
    let bare = json!({"forwardZone": FORWARD, "reverseZones": [], "zoneResourceGroup": "rg-dns"});
    let diagnosis = examine(&azure, &json!({"rg-spoke1": bare, "rg-spoke2": bare}), &[]).await;
    assert_eq!(reported(&diagnosis), [""; 0]);
}
