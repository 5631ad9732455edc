//! Derives the simulated Azure from the events themselves.
//!
//! Each event describes a change in Azure. The changes happen in the order of the events' own times, independent of the
//! order and number of deliveries. Before an event is delivered, all changes up to the latest event so far have
//! happened, and the clock shows the time of that event. For example, a delete event that arrives after the group was
//! created again finds an existing group, as in Azure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::{
    config::ZoneMap,
    domain::{
        dns::ReverseZone,
        event::{self, Event, EventKind},
        resource_id::ContainerGroupId,
    },
};
use azure_simulator::{Azure, GroupSpec};

/// A change of a container group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LifeEvent {
    Deploy,
    Restart,
    Start,
    Stop,
    Delete,
}

/// A change and its time.
#[derive(Clone, Debug)]
struct TimedChange {
    time: Option<OffsetDateTime>,
    group: ContainerGroupId,
    event: LifeEvent,
}

/// The changes in Azure that a list of events describes.
#[derive(Debug)]
pub struct Story {
    azure: Azure,
    /// The remaining changes, latest first.
    ahead: Vec<TimedChange>,
    now: Option<OffsetDateTime>,
}

impl Story {
    /// Derives the changes from the events. Creates zones and address ranges for every resource group.
    #[must_use]
    pub fn new(azure: Azure, events: &[&Value]) -> Self {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<TimedChange> = Vec::new();
        for value in events {
            for read in event::read(value).into_iter().flatten() {
                let operation =
                    value.pointer("/data/operationName").and_then(Value::as_str).unwrap_or_default();
                if seen.insert(read.id.clone())
                    && let Some(change) = change_of(&read, operation)
                {
                    ahead.push(change);
                }
            }
        }
        // A stable sort keeps the order of events with the same time.
        ahead.sort_by_key(|change| change.time);
        ahead.reverse();
        if let Some(beginning) = moments(events).min() {
            azure.configure(|settings| settings.epoch_seconds = since_1970(beginning).as_secs());
        }
        Self { azure, ahead, now: None }
    }

    /// Applies all changes up to the time of an event, and advances the clock to it.
    pub async fn reach(&mut self, value: &Value) {
        self.now = self.now.max(moments(&[value]).max());
        if let Some(now) = self.now {
            sleep(since_1970(now).saturating_sub(self.azure.unix_time())).await;
        }
        while let Some(change) = self.ahead.pop_if(|change| change.time <= self.now) {
            self.apply(&change);
        }
    }

    fn apply(&self, TimedChange { group, event, .. }: &TimedChange) {
        let id = group.to_string();
        let exists = self.azure.read(|view| view.group(&id).is_some());
        let create = || {
            let spec = GroupSpec::new(group.resource_group(), group.name());
            self.azure.create_group(GroupSpec { subscription: group.subscription().to_owned(), ..spec });
        };
        if !exists && *event != LifeEvent::Delete {
            create();
        }
        let done = match event {
            LifeEvent::Deploy if exists => self.azure.redeploy_group(&id),
            LifeEvent::Restart if exists => self.azure.restart_group(&id),
            LifeEvent::Start if exists => self.azure.start_group(&id),
            LifeEvent::Stop => self.azure.stop_group(&id),
            LifeEvent::Delete if exists => self.azure.delete_group(&id),
            LifeEvent::Deploy | LifeEvent::Restart | LifeEvent::Start | LifeEvent::Delete => Ok(()),
        };
        done.expect("the group exists, or was created just now");
        // The simulator's own events of these changes are not played.
        drop(self.azure.take_events());
    }
}

fn change_of(event: &Event, operation: &str) -> Option<TimedChange> {
    let EventKind::Ours(group) = &event.kind else { return None };
    let is = |text: &str| event.event_type.to_ascii_lowercase().ends_with(&text.to_ascii_lowercase());
    let does = |text: &str| operation.to_ascii_lowercase().ends_with(text);
    let life_event = if event.is_delete() {
        LifeEvent::Delete
    } else if is("ResourceWriteSuccess") && !does("/tags/write") {
        LifeEvent::Deploy
    } else if is("ResourceActionSuccess") && does("/restart/action") {
        LifeEvent::Restart
    } else if is("ResourceActionSuccess") && does("/start/action") {
        LifeEvent::Start
    } else if is("ResourceActionSuccess") && does("/stop/action") {
        LifeEvent::Stop
    } else {
        return None;
    };
    Some(TimedChange { time: event.moment(), group: group.clone(), event: life_event })
}

/// The times of the changes that the events describe.
fn moments(events: &[&Value]) -> impl Iterator<Item = OffsetDateTime> {
    events.iter().flat_map(|value| event::read(value)).filter_map(|read| read.ok()?.moment())
}

fn since_1970(moment: OffsetDateTime) -> Duration {
    (moment - OffsetDateTime::UNIX_EPOCH).try_into().unwrap_or_default()
}

/// A zone map for every resource group that the events name: `rg-spoke1` gets `spoke1.contoso.internal` and the
/// addresses 10.1.5.0/24 with `1.10.in-addr.arpa`, the next one 10.2.5.0/24, and so on.
#[must_use]
pub fn zone_map(events: &[&Value]) -> (String, BTreeMap<(String, String), String>) {
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for value in events {
        for read in event::read(value).into_iter().flatten() {
            if let EventKind::Ours(id) = &read.kind {
                groups
                    .entry(id.resource_group().to_lowercase())
                    .or_insert_with(|| id.subscription().to_owned());
            }
        }
    }
    if groups.is_empty() {
        // A map must have an entry. No event matches this one.
        let map = serde_json::json!({ "*": { "forwardZone": "contoso.internal", "reverseZones": [] } });
        return (map.to_string(), BTreeMap::new());
    }
    let mut map = serde_json::Map::new();
    let mut ranges = BTreeMap::new();
    for (index, (group, subscription)) in (1_u8..=u8::MAX).zip(groups) {
        let label: String = group
            .strip_prefix("rg-")
            .unwrap_or(&group)
            .chars()
            .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
            .collect();
        let label = label.trim_matches('-').to_owned();
        let label = if label.is_empty() { format!("group{index}") } else { label };
        map.insert(
            group.clone(),
            serde_json::json!({
                "forwardZone": format!("{label}.contoso.internal"),
                "reverseZones": [format!("{index}.10.in-addr.arpa")],
            }),
        );
        ranges.insert((subscription, group), format!("10.{index}.5.0/24"));
    }
    (Value::Object(map).to_string(), ranges)
}

/// Creates the zones of a map for the groups that the events name.
pub fn make_zones(azure: &Azure, zones: &ZoneMap, events: &[&Value]) {
    for value in events {
        for read in event::read(value).into_iter().flatten() {
            let EventKind::Ours(id) = &read.kind else { continue };
            azure.create_resource_group(id.subscription(), id.resource_group());
            let Some(zones) = zones.serving(id) else { continue };
            for zone in std::iter::once(&zones.forward).chain(zones.reverse.iter().map(ReverseZone::zone)) {
                azure.create_zone(&zone.subscription, &zone.resource_group, zone.name.as_str());
            }
        }
    }
}
