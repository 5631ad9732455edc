//! Tables of the decision about services: facts in, requests and verdict out.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use super::*;
use crate::{
    config::{Stopped, ZoneMap},
    decide::{Evidence, WriteResult, desired::ServiceTags},
    domain::{
        container_group::AddressState,
        dns::{ETag, Metadata},
        resource_id::Scope,
    },
};

const MAP: &str = r#"{"rg": {"forwardZone": "a.internal", "reverseZones": [], "addressRanges": ["10.0.0.0/8"],
    "zoneSubscriptionId": "00000000-0000-0000-0000-000000000000", "services": {"api": {"groups": ["v*"], "ttl": 20}}}}"#;

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn id(name: &str) -> ContainerGroupId {
    ContainerGroupId::new("s", "rg", name).unwrap()
}

/// A group in words: `4` runs at 10.0.0.4; with `stopped`, `pending`, `deleting`, `drain`, `ignored`, `tag`.
fn seen(words: &str) -> ObservedMember {
    let mut seen = ObservedMember { state: AddressState::Pending, shown: None, tags: ServiceTags::default() };
    for word in words.split(' ') {
        match word {
            "stopped" => seen.state = AddressState::Released,
            "pending" => seen.state = AddressState::Pending,
            "deleting" => seen.state = AddressState::Deleting,
            "standby" => seen.state = AddressState::StandbyPool,
            "deleted" => (seen.state, seen.shown) = (AddressState::Deleted, None),
            "drain" => seen.tags.is_draining = true,
            "ignored" => seen.tags.is_ignored = true,
            "tag" => seen.tags.labels.push("api".to_owned()),
            last => {
                let address: Ipv4Addr =
                    last.parse().unwrap_or_else(|_| at(last.parse().unwrap_or_else(|_| panic!("{last:?}"))));
                (seen.state, seen.shown) = (AddressState::Running(address), Some(address));
            }
        }
    }
    seen
}

/// An Azure in words: what lists and reads say at first, and three seconds later.
#[derive(Clone, Default)]
struct World {
    list: BTreeMap<ContainerGroupId, ObservedMember>,
    list_again: Option<BTreeMap<ContainerGroupId, ObservedMember>>,
    list_after: Option<BTreeMap<ContainerGroupId, ObservedMember>>,
    /// What lists say in the passes after a write.
    list_later: Option<BTreeMap<ContainerGroupId, ObservedMember>>,
    groups: BTreeMap<ContainerGroupId, ObservedMember>,
    groups_again: BTreeMap<ContainerGroupId, ObservedMember>,
    set: Option<ARecordSet>,
    failing: BTreeMap<ServiceKey, FailureKind>,
    is_owner_free: bool,
    causes: BTreeMap<ContainerGroupId, Evidence>,
    write_failure: Option<FailureKind>,
}

struct Run {
    verdict: ServiceVerdict,
    /// Requests, in their order.
    requests: Vec<String>,
    /// The records after each write.
    writes: Vec<String>,
}

impl World {
    /// Groups `name: words`, listed and read alike.
    fn of(groups: &[(&str, &str)]) -> Self {
        let groups: BTreeMap<_, _> = groups.iter().map(|(name, words)| (id(name), seen(words))).collect();
        // A list does not tell that a group is stopped.
        let mut list = groups.clone();
        for seen in list.values_mut().filter(|seen| seen.state == AddressState::Released) {
            seen.state = seen.shown.map_or(AddressState::Pending, AddressState::Running);
        }
        list.retain(|_, seen| seen.state != AddressState::Deleted);
        Self { list, groups, ..Self::default() }
    }

    fn set(mut self, last: &[u8]) -> Self {
        self.set = Some(marked("service:s/rg/api", last));
        self
    }

    fn cause(mut self, name: &str, evidence: Evidence) -> Self {
        self.causes.insert(id(name), evidence);
        self
    }

    fn run(&self) -> Run {
        self.run_with(Purpose::Reconcile)
    }

    fn run_with(&self, purpose: Purpose) -> Run {
        self.run_under(purpose, Policy::Sync, Ownership::Adopt)
    }

    fn run_under(&self, purpose: Purpose, policy: Policy, ownership: Ownership) -> Run {
        let map = Arc::new(ZoneMap::parse(MAP).unwrap());
        let mut goal = ServiceGoal::new(Scope::new("s", Some("rg")), &map, purpose).unwrap();
        goal.causes.clone_from(&self.causes);
        let rules =
            Rules { ownership, adopts_tagged: false, policy, stopped: Stopped::Keep, memory_seconds: 300 };
        let mut world = self.clone();
        let mut facts = ServiceFacts::default();
        let (mut requests, mut writes) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let (step, verdicts) = decide_services(rules, &goal, &facts);
            for verdict in verdicts {
                facts.settle(verdict);
            }
            match step {
                ServicesStep::Done => {
                    let verdict = facts.into_verdicts().pop().unwrap();
                    return Run { verdict, requests, writes };
                }
                ServicesStep::Repeat(outdated) => _ = facts.begin_pass(&outdated),
                ServicesStep::Act { read, write } => {
                    for key in read {
                        requests.push(short(&key));
                        let fact = world.read(&key);
                        facts.learn(key, fact);
                    }
                    for change in write {
                        let result = world.write(&change, &mut writes);
                        facts.learn_write(&change, result);
                    }
                }
            }
        }
        panic!("the decision does not end: {requests:?}");
    }

    fn read(&self, key: &ServiceKey) -> Result<ServiceFact, FailureKind> {
        if let Some(kind) = self.failing.get(key) {
            return Err(*kind);
        }
        let deleted = || seen("deleted");
        let first = |id: &ContainerGroupId| self.groups.get(id).cloned().unwrap_or_else(deleted);
        Ok(match key {
            ServiceKey::Groups => {
                let later = self.list_later.clone().filter(|_| self.set.is_none());
                ServiceFact::Groups(later.unwrap_or_else(|| self.list.clone()))
            }
            ServiceKey::GroupsAgain => {
                ServiceFact::Groups(self.list_again.clone().unwrap_or_else(|| self.list.clone()))
            }
            ServiceKey::GroupsAfter(_) => {
                ServiceFact::Groups(self.list_after.clone().unwrap_or_else(|| self.list.clone()))
            }
            ServiceKey::Set(_) | ServiceKey::SetAfter(_) => ServiceFact::Set(self.set.clone()),
            ServiceKey::Cname(_) => ServiceFact::Cname(Some("elsewhere.internal".to_owned())),
            ServiceKey::Group(id) | ServiceKey::GroupAfter(_, id) => ServiceFact::Group(first(id)),
            ServiceKey::GroupAgain(id) => {
                ServiceFact::Group(self.groups_again.get(id).cloned().unwrap_or_else(|| first(id)))
            }
            ServiceKey::Owner(..) => ServiceFact::Owner { is_free: true },
            ServiceKey::OwnerAgain(..) => ServiceFact::Owner { is_free: self.is_owner_free },
        })
    }

    fn write(&mut self, change: &Change, writes: &mut Vec<String>) -> WriteResult {
        writes.push(change.to_string().replace("10.0.0.", ""));
        if let Some(kind) = self.write_failure {
            return WriteResult::Failed(kind);
        }
        let Change::A(edit) = change else { panic!("{change}") };
        let etag = ETag::from(format!("v{}", writes.len()));
        self.set = edit.after.clone().map(|content| ARecordSet {
            etag: etag.clone(),
            content,
            is_auto_registered: false,
        });
        WriteResult::Written(self.set.as_ref().map(|_| etag))
    }
}

fn short(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Groups => "list".to_owned(),
        ServiceKey::GroupsAgain => "list again".to_owned(),
        ServiceKey::Set(_) => "set".to_owned(),
        ServiceKey::Group(id) => id.name().to_owned(),
        ServiceKey::GroupAgain(id) => format!("{} again", id.name()),
        ServiceKey::Owner(..) => "owner".to_owned(),
        ServiceKey::OwnerAgain(..) => "owner again".to_owned(),
        ServiceKey::SetAfter(_) => "set after".to_owned(),
        ServiceKey::GroupsAfter(_) => "list after".to_owned(),
        ServiceKey::GroupAfter(_, id) => format!("{} after", id.name()),
        ServiceKey::Cname(_) => "cname".to_owned(),
    }
}

fn marked(owner: &str, last: &[u8]) -> ARecordSet {
    let metadata = Metadata::from([(OWNER_KEY.to_owned(), owner.to_owned())]);
    let records = last.iter().map(|last| at(*last)).collect();
    let content = Content { ttl: 20, records, metadata };
    ARecordSet { etag: ETag::from("v0".to_owned()), content, is_auto_registered: false }
}

#[track_caller]
fn check(world: &World, writes: &[&str], requests: &str) -> Run {
    let run = world.run();
    assert_eq!((run.writes.join("; "), run.requests.join(", ")), (writes.join("; "), requests.to_owned()));
    run
}

const NAME: &str = "api.a.internal";

#[test]
fn the_set_holds_the_members_that_count_in_numeric_order() {
    let world = World::of(&[("v1", "10"), ("v2", "9"), ("web", "3"), ("x", "7 tag"), ("v3", "8 ignored")]);
    let run = check(
        &world.cause("v1", Evidence::None),
        &[&format!("+ A {NAME} 7 9 10")],
        "list, set, v1, v2, x, set after, v1 after, v2 after, x after",
    );
    assert!(run.verdict.is_different && run.verdict.error.is_none());
}

#[test]
fn a_list_that_agrees_is_enough_for_the_event_of_another_group() {
    let world = World::of(&[("v1", "4"), ("web", "3")]).set(&[4]);
    check(&world.clone().cause("web", Evidence::None), &[], "list, set");
    check(&world.cause("v1", Evidence::None), &[], "list, set, v1");
}

#[test]
fn an_address_leaves_by_the_evidence_of_its_row() {
    // Group at 10.0.0.4, writes, and the reads between the first ones and the verification.
    let keep = format!("~ A {NAME} 4 5 -> 5");
    for (words, evidence) in
        [("4 drain", ""), ("4 ignored", ""), ("4 stopped", ", v1 again"), ("4 deleting", ", v1 again")]
    {
        let world = World::of(&[("v1", words), ("v2", "5")]).set(&[4, 5]).cause("v1", Evidence::None);
        // An address that its group does not keep may be another member's by now.
        let list = if evidence.is_empty() { "" } else { ", list after" };
        let requests = format!("list, set, v1, v2{evidence}, set after, v1 after{list}");
        check(&world, &[&keep], &requests);
    }
    // Nothing shows the address any more: two lists.
    let world = World::of(&[("v1", "deleted"), ("v2", "5")]).set(&[4, 5]).cause("v1", Evidence::Deletion);
    check(&world, &[&keep], "list, set, v1, v2, list again, set after, list after");
    let world = World::of(&[("v1", "6"), ("v2", "5")]).set(&[4, 5]).cause("v1", Evidence::None);
    check(
        &world,
        &[&format!("~ A {NAME} 4 5 -> 5 6")],
        "list, set, v1, v2, list again, set after, v1 after, list after",
    );
}

#[test]
fn one_list_without_a_member_and_a_confirmation_that_differs_take_nothing_away() {
    let world = World::of(&[("v1", "4"), ("v2", "5")]).set(&[4, 5]).cause("v2", Evidence::None);
    let mut hidden = world.clone();
    hidden.list.remove(&id("v1"));
    hidden.list_again = Some(world.list.clone());
    let run = hidden.run();
    assert!(run.writes.is_empty(), "{:?}", run.writes);
    assert_eq!(run.verdict.error, Some(ServiceError::LostRaces), "the first list never agrees here");
    let mut again = World::of(&[("v1", "4 stopped"), ("v2", "5")]).set(&[4, 5]).cause("v1", Evidence::None);
    again.groups_again.insert(id("v1"), seen("4"));
    assert!(again.run().writes.is_empty());
}

#[test]
fn members_that_are_provisioned_keep_what_they_have_and_still_show_and_add_nothing() {
    let mut pending = seen("4");
    pending.state = AddressState::Pending;
    let mut world = World::of(&[("v1", "4"), ("v2", "5")]).set(&[4, 5]).cause("v2", Evidence::None);
    for groups in [&mut world.list, &mut world.groups] {
        groups.insert(id("v1"), pending.clone());
    }
    check(&world, &[], "list, set, v1, v2");
    world.set = Some(marked("service:s/rg/api", &[5]));
    check(&world, &[], "list, set, v1, v2");
}

#[test]
fn drain_never_removes_the_last_address() {
    let world = World::of(&[("v1", "4 drain"), ("v2", "5 drain")]).set(&[4, 5]).cause("v1", Evidence::None);
    let run = check(&world, &[], "list, set, v1, v2");
    assert!(run.verdict.is_failing_open);
    let world = World::of(&[("v1", "4 drain"), ("v2", "5 stopped")]).set(&[5]).cause("v2", Evidence::None);
    let run = world.run();
    assert_eq!(run.writes, [format!("~ A {NAME} 5 -> 4")]);
    assert!(run.verdict.is_failing_open);
}

#[test]
fn without_an_address_the_set_is_deleted_by_two_reads_of_everything() {
    let world = World::of(&[("v1", "4 stopped")]).set(&[4]).cause("v1", Evidence::None);
    check(
        &world,
        &[&format!("- A {NAME} 4")],
        "list, set, v1, list again, v1 again, set after, v1 after, list after",
    );
    let mut late = world;
    late.list_again = Some(World::of(&[("v1", "4"), ("v2", "5")]).list);
    assert!(late.run().writes.is_empty(), "a new member is seen by the second list");
    let none = World::of(&[("v1", "4 stopped")]).cause("v1", Evidence::None);
    check(&none, &[], "list, set, v1");
}

#[test]
fn a_member_that_comes_back_before_the_second_list_keeps_the_set() {
    // Its own read said that it is deleted, and the second list shows it at another address.
    let mut world = World::of(&[("v1", "deleted")]).set(&[4]).cause("v1", Evidence::Deletion);
    world.list_again = Some(World::of(&[("v1", "5")]).list);
    assert!(world.run().writes.is_empty());
    // Likewise a stopped one that was started meanwhile, where the set holds an address that no group shows.
    let mut world = World::of(&[("v1", "6 stopped")]).set(&[4]).cause("v1", Evidence::None);
    world.list_again = Some(World::of(&[("v1", "5")]).list);
    assert!(world.run().writes.is_empty());
    // Likewise one that was created again, and had no address when it was read, or was updated at another address.
    for words in ["pending", "5 pending"] {
        let mut world = World::of(&[("v1", words)]).set(&[4]).cause("v1", Evidence::Deletion);
        world.list_again = Some(World::of(&[("v1", "5")]).list);
        assert!(world.run().writes.is_empty());
    }
}

#[test]
fn a_member_that_cannot_be_read_after_a_write_fails_the_invocation_that_wrote() {
    // The verification finds another member with the address that left, and the next pass cannot read that member.
    let mut world = World::of(&[("v1", "deleted")]).set(&[4]).cause("v1", Evidence::Deletion);
    world.list_after = Some(World::of(&[("v2", "4")]).list);
    world.list_later = world.list_after.clone();
    world.failing.insert(ServiceKey::Group(id("v2")), FailureKind::Transient);
    let run = world.run();
    assert_eq!((run.writes.len(), run.verdict.fails(&id("v1"))), (1, true));
}

#[test]
fn a_record_set_that_cannot_be_read_fails_the_event_of_a_deleted_group() {
    let mut world = World::of(&[("v2", "5")]).set(&[4, 5]).cause("gone", Evidence::Deletion);
    world.failing.insert(ServiceKey::Set("api".parse().unwrap()), FailureKind::Transient);
    assert!(world.run().verdict.fails(&id("gone")));
}

#[test]
fn a_member_that_cannot_be_read_keeps_no_record_set_of_dead_addresses_unless_a_retry_may_help() {
    let world = World::of(&[("v1", "4 stopped"), ("v2", "5")]).set(&[4]).cause("v1", Evidence::None);
    let with = |kind| World { failing: [(ServiceKey::Group(id("v2")), kind)].into(), ..world.clone() };
    let run = with(FailureKind::Forbidden).run();
    assert_eq!(run.writes, [format!("- A {NAME} 4")]);
    assert_eq!([run.verdict.fails(&id("v1")), run.verdict.fails(&id("v2"))], [false, true]);
    let run = with(FailureKind::Transient).run();
    assert_eq!((run.writes.len(), run.verdict.fails(&id("v1"))), (0, true));
}

#[test]
fn a_member_that_gets_the_address_before_the_write_is_found_by_its_verification() {
    // The group itself came back at its address, or another member got it: in both cases their own events find the record
    // set right before this write.
    for (name, words) in [("v1", "deleted"), ("v2", "4 stopped")] {
        let mut world = World::of(&[(name, words)]).set(&[4]).cause(name, Evidence::Deletion);
        world.list_after = Some(World::of(&[("v1", "4")]).list);
        let run = world.run();
        assert!(run.requests.iter().filter(|request| *request == "list").count() > 1, "{:?}", run.requests);
    }
}

#[test]
fn of_more_than_twenty_members_the_first_by_name_are_in_the_set() {
    let names: Vec<String> = (10..31).map(|number| format!("v{number}")).collect();
    let words: Vec<String> = (10..31).rev().map(|number| number.to_string()).collect();
    let groups: Vec<_> = names.iter().map(String::as_str).zip(words.iter().map(String::as_str)).collect();
    let run = World::of(&groups).cause("v10", Evidence::None).run();
    assert_eq!(run.verdict.error, Some(ServiceError::TooMany(21)));
    assert_eq!((run.verdict.wanted.len(), run.verdict.wanted.contains(&at(10))), (20, false));
}

#[test]
fn an_address_outside_of_the_ranges_is_not_used() {
    let world = World::of(&[("v1", "192.168.0.4"), ("v2", "5")]).cause("v1", Evidence::None);
    assert_eq!(world.run().writes, [format!("+ A {NAME} 5")]);
}

#[test]
fn a_group_of_a_standby_pool_is_no_member() {
    let world = World::of(&[("v1", "4 standby")]).cause("v1", Evidence::None);
    assert!(world.run().verdict.members.is_empty());
}

#[test]
fn ownership_is_that_of_section_three() {
    let members = World::of(&[("v1", "4")]).cause("v1", Evidence::None);
    let with = |set: ARecordSet| World { set: Some(set), ..members.clone() };
    let mut unmarked = marked("", &[9]);
    unmarked.content.metadata.clear();
    let mut automatic = unmarked.clone();
    automatic.is_auto_registered = true;
    let mut other = unmarked.clone();
    other.content.metadata.insert("managedBy".to_owned(), "x".to_owned());
    let is_conflict = |world: &World, ownership| {
        let run = world.run_under(Purpose::Reconcile, Policy::Sync, ownership);
        assert_eq!(run.writes.is_empty(), run.verdict.error.is_some());
        matches!(run.verdict.error, Some(ServiceError::Conflict(_)))
    };
    for (set, strict, adopt) in [
        (unmarked, true, false),
        (automatic, true, true),
        (other, true, true),
        (marked("s/rg/web", &[9]), true, true),
        (marked("service:s/rg/gone", &[9]), false, false),
    ] {
        let world = with(set);
        assert_eq!(is_conflict(&world, Ownership::Strict), strict, "{:?}", world.set);
        assert_eq!(is_conflict(&world, Ownership::Adopt), adopt, "{:?}", world.set);
    }
    // Two reads say that the other owner gives the name up.
    let free = World { is_owner_free: true, ..with(marked("s/rg/web", &[9])) };
    assert!(!is_conflict(&free, Ownership::Strict));
}

#[test]
fn a_cname_is_a_conflict_and_other_failures_are_their_own() {
    let world = World::of(&[("v1", "4")]).cause("v1", Evidence::None);
    let failing = |kind| World { write_failure: Some(kind), ..world.clone() }.run().verdict.error;
    assert!(matches!(failing(FailureKind::Clash), Some(ServiceError::Conflict(Conflict::Cname { .. }))));
    assert!(matches!(failing(FailureKind::Forbidden), Some(ServiceError::Request(ServiceKey::Set(_)))));
    assert_eq!(failing(FailureKind::Race), Some(ServiceError::LostRaces));
}

#[test]
fn policies_are_those_of_section_three() {
    let stopped = World::of(&[("v1", "4 stopped")]).set(&[4]).cause("v1", Evidence::None);
    let run = stopped.run_under(Purpose::Reconcile, Policy::UpsertOnly, Ownership::Strict);
    assert!(run.writes.is_empty() && run.verdict.withheld.is_some());
    let mut unmarked = marked("", &[9]);
    unmarked.content.metadata.clear();
    let world = World { set: Some(unmarked), ..World::of(&[("v1", "4")]).cause("v1", Evidence::None) };
    let run = world.run_under(Purpose::Reconcile, Policy::AdoptOnly, Ownership::Adopt);
    assert_eq!(run.writes, [format!("~ A {NAME} 9 (owner none -> service:s/rg/api)")]);
}

#[test]
fn a_comparison_reads_each_member_once_and_writes_nothing() {
    let world = World::of(&[("v1", "4 stopped"), ("v2", "5")]).set(&[4]).cause("v1", Evidence::None);
    let run = world.run_with(Purpose::Compare);
    assert_eq!((run.requests.join(", "), run.writes.len()), ("list, set, v1, v2".to_owned(), 0));
    assert!(run.verdict.is_different);
    assert_eq!(run.verdict.difference(), format!("{NAME}: wanted 10.0.0.5, found 10.0.0.4"));
}

#[test]
fn a_member_that_cannot_be_read_keeps_its_address_and_fails_only_its_own_invocation() {
    let mut world = World::of(&[("v1", "4"), ("v2", "5")]).set(&[4]).cause("v2", Evidence::None);
    world.failing.insert(ServiceKey::Group(id("v1")), FailureKind::Transient);
    let run = world.run();
    assert_eq!(run.writes, [format!("~ A {NAME} 4 -> 4 5")]);
    assert_eq!([run.verdict.fails(&id("v1")), run.verdict.fails(&id("v2"))], [true, false]);
}

#[test]
fn a_failure_concerns_members_and_deleted_groups_whose_address_may_be_left() {
    let mut world = World::of(&[("v1", "4"), ("web", "3")]).set(&[4, 9]).cause("gone", Evidence::Deletion);
    world.write_failure = Some(FailureKind::Forbidden);
    let verdict = world.cause("web", Evidence::None).run().verdict;
    let fails = ["v1", "web", "gone"].map(|name| verdict.fails(&id(name)));
    assert_eq!(fails, [true, false, true]);
    // Without the list, the members by name and by their own reads are known.
    let mut world = World::of(&[("v1", "4"), ("x", "5 tag"), ("web", "3")]).set(&[4]);
    world.failing.insert(ServiceKey::Groups, FailureKind::Transient);
    let world = world.cause("v1", Evidence::None).cause("x", Evidence::None).cause("web", Evidence::None);
    let verdict = world.run().verdict;
    assert_eq!(["v1", "x", "web"].map(|name| verdict.fails(&id(name))), [true, true, false]);
}
