//! Fleets: a sweep at scale, and a fresh deployment ([`large`]).
//!
//! This file: 2,000 container groups over 20 resource groups and 3 subscriptions, 25,000 record sets in the
//! forward zone, and the throttles of Private DNS.

mod large;

use std::time::Duration;

use aci_dns::{
    config::Settings,
    replay::stage::Stage,
    sweep::{Repaired, Stop, SweepOptions, findings::Findings},
};
use azure_simulator::{Azure, RecordSetView, Seed, Throttles};
use serde_json::json;
use tokio::time::Instant;

use crate::world::SUBSCRIPTION;

const GROUPS: usize = 2000;

struct Fleet {
    azure: Azure,
    stage: Stage,
    ids: Vec<String>,
}

impl Fleet {
    fn new() -> Self {
        let azure = Azure::default();
        let seed = Seed {
            groups: GROUPS,
            record_sets: 23_000,
            resource_groups: 20,
            subscriptions: 3,
            with_records: true,
            ..Seed::default()
        };
        let ids = azure.seed(&seed).unwrap();
        azure.configure(|settings| settings.throttles = Some(Throttles::default()));
        let zones = json!({"rg-spoke*": {
            "forwardZone": "spoke1.contoso.internal", "reverseZones": ["1.10.in-addr.arpa"],
            "zoneSubscriptionId": SUBSCRIPTION, "zoneResourceGroup": "rg-dns",
        }});
        let subscriptions = [0, 1, 2].map(|digit| format!("{}{digit}", &SUBSCRIPTION[..35])).join(",");
        let settings = Settings::from_variables(|name| match name {
            "ACI_DNS_ZONES" => Some(zones.to_string()),
            "ACI_DNS_SUBSCRIPTIONS" => Some(subscriptions.clone()),
            _ => None,
        });
        let stage = Stage::new(settings.unwrap(), azure.clone());
        Self { azure, stage, ids }
    }

    /// The foreign record sets, unchanged.
    fn others(&self) -> Vec<RecordSetView> {
        let sets = self.azure.record_sets("spoke1.contoso.internal").into_iter();
        sets.filter(|set| set.metadata.is_empty()).collect()
    }

    async fn look(&self) -> Findings {
        let options = SweepOptions { deadline: Instant::now() + Duration::from_hours(1), is_thorough: false };
        self.stage.functions.sweeper.compare(options).await.unwrap()
    }

    async fn repair(&self, findings: &Findings) -> Repaired {
        let deadline = Instant::now() + Duration::from_hours(12);
        self.stage.functions.sweeper.repair(&findings.found, deadline, &Stop::never(), |_| ()).await
    }
}

/// Requests to list 2,000 groups (7, 7 and 6 pages of 100 in three subscriptions), 25,000 A record sets and 2,000 PTR
/// record sets (pages of 1,000).
const PAGES: u32 = 20 + 25 + 2;

#[tokio::test(start_paused = true)]
async fn a_fleet_costs_one_request_per_page_and_per_group_read_and_ends_without_writes() {
    let fleet = Fleet::new();
    let others = fleet.others();
    for id in &fleet.ids[..15] {
        fleet.azure.move_group(id).unwrap();
    }
    for id in &fleet.ids[1000..1005] {
        fleet.azure.delete_group(id).unwrap();
    }
    let findings = fleet.look().await;
    assert_eq!((findings.found.len(), findings.tally.right, findings.tally.asked), (20, 1980, 20));
    assert_eq!(findings.tally.requests, PAGES + 20);
    let repaired = fleet.repair(&findings).await;
    assert_eq!((repaired.done, repaired.failed, repaired.left), (20, 0, 0), "{repaired:?}");

    fleet.azure.clear_calls();
    let findings = fleet.look().await;
    assert_eq!((findings.found.len(), findings.tally.right, findings.tally.asked), (0, 1995, 0));
    assert_eq!((findings.tally.requests, findings.managed.values().sum::<usize>()), (PAGES, 2 * 1995));
    assert_eq!(fleet.repair(&findings).await.done, 0);
    assert_eq!(fleet.azure.call_counts().into_keys().collect::<Vec<_>>(), ["GET"]);
    assert_eq!(fleet.others(), others);
}
