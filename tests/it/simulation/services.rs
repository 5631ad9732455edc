//! The same lives with services: while a member runs, the record set of a service is neither absent nor empty, and at the
//! end it holds exactly the addresses of the members.
//!
//! `rg-a` declares two services, one of them by pattern and by tag, one by tag alone; `rg-b` declares one, whose only
//! member comes and goes. Groups are drained and undrained, join and leave by tag, and get tags that are invalid: these
//! fail the invocations of their own group, and of no other.

use super::*;

/// The map. All record sets have one TTL.
pub(super) const ZONES: &str = r#"{
    "rg-a": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns",
        "services": {"site": {"groups": ["web", "ap*"], "ttl": 60}, "jobs": {"ttl": 60}}},
    "rg-b": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns",
        "services": {"store": {"groups": ["db"], "ttl": 60}}}}"#;

/// Resource group, name, and the groups that are members by pattern.
const SERVICES: [(&str, &str, &[&str]); 3] =
    [("rg-a", "site", &["web", "api"]), ("rg-a", "jobs", &[]), ("rg-b", "store", &["db"])];

const DRAIN: &str = "aci-dns-drain";
const MEMBER: &str = "aci-dns-service";

/// The tags of a group that is created: `job` has no other way to be a member.
pub(super) fn tags(group: (&str, &str)) -> BTreeMap<String, String> {
    let tag = (group.1 == "job").then(|| (MEMBER.to_owned(), "jobs, site".to_owned()));
    tag.into_iter().collect()
}

fn labels(group: &GroupView) -> impl Iterator<Item = &str> {
    group.tags.get(MEMBER).into_iter().flat_map(|value| value.split(',')).map(str::trim)
}

fn is_member((resource_group, name, patterns): &(&str, &str, &[&str]), group: &GroupView) -> bool {
    group.resource_group == *resource_group
        && (patterns.contains(&group.name.as_str()) || labels(group).any(|label| label == *name))
}

/// Whether a tag is invalid, so that the invocations of this group fail.
fn is_troubled(group: &GroupView) -> bool {
    let declared = |label: &str| SERVICES.iter().any(|it| it.0 == group.resource_group && it.1 == label);
    labels(group).any(|label| !declared(label)) || group.tags.get(DRAIN).is_some_and(|value| value == "maybe")
}

fn runs(group: &GroupView) -> Option<Ipv4Addr> {
    group.address.filter(|_| group.state == "Running")
}

/// The services whose record set has an address, and since when groups are running members.
#[derive(Default)]
pub(super) struct ServiceWatch {
    member_since: BTreeMap<(String, &'static str), Duration>,
    names: BTreeSet<String>,
}

impl ServiceWatch {
    /// Names the services that lost their record set while a member ran for so long.
    pub(super) fn gaps(
        &mut self,
        now: Duration,
        groups: &[GroupView],
        sets: &[RecordSetView],
        settled: Duration,
    ) -> Vec<String> {
        let members = SERVICES.iter().flat_map(|service| {
            let members = groups.iter().filter(|group| runs(group).is_some() && is_member(service, group));
            members.map(|group| (group.id.clone(), service.1))
        });
        let members: BTreeSet<_> = members.collect();
        self.member_since.retain(|member, _| members.contains(member));
        for member in members {
            self.member_since.entry(member).or_insert(now);
        }
        let is_held = |set: &&RecordSetView| set.record_type == "A" && !set.values.is_empty();
        let names: BTreeSet<String> = sets.iter().filter(is_held).map(|set| set.name.clone()).collect();
        let lost: Vec<String> = self.names.difference(&names).cloned().collect();
        self.names = names;
        let has_member = |lost: &&String| {
            self.member_since
                .iter()
                .any(|((_, name), since)| lost == name && now.saturating_sub(*since) > settled)
        };
        let lost = lost.iter().filter(has_member);
        lost.map(|lost| format!("the service {lost} lost its addresses at {now:?} while a member ran"))
            .collect()
    }
}

impl Simulation {
    /// Changes the tags of a group, where the weather has services. Returns whether it did.
    pub(super) fn retag(&self, rng: &mut Rng, group: (&str, &str)) -> bool {
        let id = group_id(group);
        let Some(before) = self.azure.read(|view| view.group(&id)) else { return false };
        if !self.weather.has_services || rng.u8(..3) > 0 {
            return false;
        }
        let mut tags = before.tags;
        match rng.u8(..if self.weather.has_bad_tags { 7 } else { 5 }) {
            0 | 1 => _ = tags.insert(DRAIN.into(), "true".into()),
            2 => _ = tags.remove(DRAIN),
            3 => _ = tags.insert(MEMBER.into(), if group.0 == "rg-a" { "jobs" } else { "store" }.into()),
            4 => _ = tags.remove(MEMBER),
            5 => _ = tags.insert(DRAIN.into(), "maybe".into()),
            _ => _ = tags.insert(MEMBER.into(), "nope".into()),
        }
        self.azure.set_tags(&id, tags.clone()).unwrap();
        self.say(&format!("tags of {}/{} are {tags:?}", group.0, group.1));
        true
    }

    /// The record sets of services: exactly the members that count, and while all drain, all of them.
    pub(super) fn expected_services(&self, groups: &[GroupView]) -> BTreeSet<[String; 4]> {
        let mut expected = BTreeSet::new();
        for service in SERVICES.iter().filter(|_| self.weather.has_services) {
            let members = groups.iter().filter(|group| is_member(service, group));
            let running = members.filter_map(|group| Some((runs(group)?, group.tags.get(DRAIN))));
            let (draining, counting): (Vec<_>, Vec<_>) =
                running.partition(|(_, drain)| drain.is_some_and(|drain| drain == "true"));
            let members = if counting.is_empty() { draining } else { counting };
            let addresses: BTreeSet<Ipv4Addr> = members.into_iter().map(|(address, _)| address).collect();
            if !addresses.is_empty() {
                let values: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let owner = format!("service:{SUBSCRIPTION}/{}/{}", service.0, service.1);
                expected.insert([FORWARD.to_owned(), service.1.to_owned(), values.join(" "), owner]);
            }
        }
        expected
    }

    /// Whether the events of a group fail because of its own tags.
    pub(super) fn has_bad_tags(&self, id: &str, groups: &[GroupView]) -> bool {
        self.weather.has_services
            && groups.iter().any(|group| group.id.eq_ignore_ascii_case(id) && is_troubled(group))
    }
}

/// An invocation sends more requests than without services, so these lives are shorter.
const SERVED: Weather = Weather { steps: 15, has_services: true, has_bad_tags: true, ..CALM };

#[test]
fn without_faults_services_hold_exactly_their_members() {
    check("services", 40, SERVED);
}

#[test]
fn services_converge_after_failed_requests_lost_answers_and_killed_instances() {
    check("services and kills", 40, Weather { fault_every: 6, kill_every: 3, is_slow: true, ..SERVED });
}

#[test]
fn services_converge_after_stale_reads_and_lists_and_late_visibility() {
    let lag = Duration::from_secs(2);
    check(
        "services and stale reads",
        40,
        Weather { lag, invisible: Duration::from_mins(1), is_moved: true, ..SERVED },
    );
}

#[test]
fn services_converge_after_all_faults() {
    let storm = Weather { has_services: true, has_bad_tags: true, has_two_zones: false, ..STORM };
    check("services in a storm", 40, Weather { steps: 15, kill_every: 4, ..storm });
}
