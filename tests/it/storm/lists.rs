//! When lists stand for single reads, and when they do not.
//!
//! Azure refuses every single read of a record set here, so what is read at all is read from lists.

use std::{net::Ipv4Addr, time::Duration};

use azure_simulator::{Azure, GroupSpec, RecordSetSpec, Throttles};
use futures::future::join_all;
use tokio::time::Instant;

use super::{FORWARD, Instance, QUEUE, REVERSE, SUBSCRIPTION, Wiretap, ZONES, event_of};

const NO_SINGLE_READS: Throttles = Throttles { creates: 60, updates: 60, deletes: 60, gets: 0, lists: 100 };

struct Stage {
    azure: Azure,
    wiretap: Wiretap,
    instance: Instance,
}

impl Stage {
    fn new(throttles: Throttles) -> Self {
        let azure = Azure::default();
        azure.configure(|settings| {
            settings.require_token = false;
            settings.latency = Duration::from_millis(20);
            settings.throttles = Some(throttles);
        });
        azure.create_resource_group(SUBSCRIPTION, "rg");
        assert!(azure.set_address_range(SUBSCRIPTION, "rg", "10.1.0.0/24"));
        for zone in [FORWARD, REVERSE] {
            azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
        }
        azure.create_queue(QUEUE);
        let wiretap = Wiretap::default();
        let instance = Instance::start(0, &azure, &wiretap, &[("ACI_DNS_ZONES", ZONES)]);
        Self { azure, wiretap, instance }
    }

    /// Creates groups, serves their events at once, and says how long that took.
    async fn serve(&self, groups: usize) -> Duration {
        let started = Instant::now();
        let events = (0..groups).map(|number| {
            let id = self.azure.create_group(GroupSpec::new("rg", &format!("g{number}")));
            event_of(&id, &number.to_string(), "Write")
        });
        let events: Vec<_> = events.collect();
        let statuses = join_all(events.iter().map(|event| self.instance.invoke(event))).await;
        assert_eq!(statuses, vec![200; groups]);
        started.elapsed()
    }

    /// The requests that Azure answered, as method or `LIST`, with the kind of what they are about.
    fn answered(&self, what: &str) -> usize {
        let sent = self.wiretap.sent.lock().unwrap();
        let label = |sent: &super::Sent| match (sent.zone(), sent.is_list()) {
            (None, _) => "container group",
            (_, true) => "list",
            (_, false) if sent.method == "GET" => "record set",
            _ => "write",
        };
        sent.iter().filter(|sent| sent.status != 429 && label(sent) == what).count()
    }

    fn right(&self) -> usize {
        self.azure.record_sets(FORWARD).iter().filter(|set| set.record_type == "A").count()
    }
}

#[tokio::test(start_paused = true)]
async fn few_groups_that_wait_for_a_throttled_zone_list_nothing() {
    let stage = Stage::new(NO_SINGLE_READS);
    stage.serve(4).await;
    assert_eq!((stage.answered("list"), stage.answered("write"), stage.right()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn more_than_a_few_groups_are_observed_by_lists_that_they_share() {
    let stage = Stage::new(NO_SINGLE_READS);
    let time = stage.serve(50).await;
    assert_eq!((stage.right(), stage.answered("record set")), (50, 0));
    // A record sets before and after the writes, and PTR record sets; each group itself is read before and after.
    let lists = stage.answered("list");
    assert!((3..=8).contains(&lists), "{lists} lists");
    assert_eq!((stage.answered("container group"), stage.answered("write")), (100, 100));
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn where_lists_are_throttled_too_the_work_is_stored() {
    let stage = Stage::new(Throttles { lists: 0, ..NO_SINGLE_READS });
    stage.serve(50).await;
    assert_eq!((stage.right(), stage.answered("list"), stage.answered("write")), (0, 0, 0));
    assert_eq!(stage.azure.messages(QUEUE).map(|messages| messages.len()), Some(50));
}

/// A list leaves such a record set out. It exists all the same, so nothing is created in its place.
#[tokio::test(start_paused = true)]
async fn a_record_set_that_cannot_be_represented_is_not_absent_from_a_list() {
    let stage = Stage::new(NO_SINGLE_READS);
    let odd = RecordSetSpec { ttl: u64::from(u32::MAX) + 1, ..RecordSetSpec::new("A", "g0", &["10.9.9.9"]) };
    stage.azure.put_record_set(FORWARD, &odd).unwrap();
    stage.serve(10).await;
    let sent = stage.wiretap.sent.lock().unwrap();
    assert_eq!(sent.iter().filter(|sent| sent.path.ends_with("/A/g0") && sent.method != "GET").count(), 0);
    drop(sent);
    assert_eq!(stage.right(), 10);
    assert_eq!(
        stage.azure.record_set(FORWARD, "A", "g0").unwrap().values,
        [Ipv4Addr::new(10, 9, 9, 9).to_string()]
    );
}
