//! A container group and its record sets in memory, written as text, and the driver for them.
//!
//! A row is one text: the world, a line `=>`, and everything that happens. The world holds, one per line:
//!
//! * `group running 10.1.5.4`, or another of the states of [`group`]. Without a line the group is deleted.
//!   `provisioning=`, `state=`, `kind=`, `ip=`, `restart=` and `containers=` replace properties; any other attribute
//!   is a tag, without its prefix `aci-dns-`.
//! * `A web 10.1.5.9 owner=us previous=10.1.5.8@900 cost=42`: name, addresses, metadata; `ttl=` where it is not 60;
//!   `auto` where it is registered automatically. `us` and `other` are container groups.
//! * `PTR 10.1.5.9 web x.org owner=us`: address and targets; a target without a dot is a name in the forward zone.
//!   `PTR 10.1.5.9/10` stands in the reverse zone `10.in-addr.arpa` although a longer one contains the address.
//! * `A web -` and `PTR 10.1.5.9 -`: no such record set, for use after a `when`.
//! * `owner other deleted`: the group that this mark names is deleted. Without a line it lives.
//! * `rules strict upsert-only keep`: words of [`World::rule`]. The default is `adopt sync remove`.
//! * `zones spoke1.internal 1.10`: the forward zone and the reverse zones, without `in-addr.arpa`.
//! * `lookup 10.1.5.9 old`: addresses and names that are known from elsewhere.
//! * `written 10.1.5.9`: where an earlier invocation may have written a PTR.
//! * `when write A web: EFFECT`: what happens at the first such request (or `read`, or step: `verify`, `poll`,
//!   `repeat`). Of several lines about the same request each is used once, in order; `always` is used every time.
//!   An effect is `ok`, `fails KIND`, `lost` (the write happens, its answer is lost), `lost before` (it does not
//!   happen), or a line of the world, which happens just before the request.
//!
//! What happens is one line per write or group of reads; `&` continues a step. A write shows the whole record set that
//! it leaves. Its precondition is checked against the world. The last lines are the verdict and what was withheld.

use std::{fmt::Display, mem, time::Duration};

use super::*;
use crate::{
    change::Edit,
    container_group::{ContainerGroup, IpAddress},
    dns::{
        Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrRecordSet, PtrTarget, ReverseZone,
        Zone,
    },
};

/// The time at which every row starts.
pub(super) const NOW: u64 = 10_000;
const TTL: u32 = 60;
/// More steps than any row takes: a decision that goes on is a mistake.
pub(super) const MAX_STEPS: usize = 100;

/// The owner marks that rows abbreviate.
const OWNERS: [(&str, &str); 3] =
    [("us", "s1/rg-spoke1/web"), ("other", "s1/rg-spoke2/web"), ("third", "s1/rg-spoke2/api")];

/// Azure, as far as one container group and its record sets are concerned, and what an operator decided.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) zones: Zones,
    pub(super) lookups: ExtraLookups,
    pub(super) purpose: Purpose,
    /// Whether writes are only assumed to happen.
    pub(super) is_dry: bool,
    pub(super) wait: Duration,
    pub(super) written_ptrs: BTreeSet<Ipv4Addr>,
    pub(super) now: u64,
    pub(super) group: Option<ContainerGroup>,
    pub(super) a: BTreeMap<RelativeName, ARecordSet>,
    pub(super) ptr: BTreeMap<PtrKey, PtrRecordSet>,
    pub(super) deleted_owners: BTreeSet<Owner>,
    whens: Vec<When>,
    version: u32,
}

#[derive(Clone, Debug)]
struct When {
    request: String,
    effect: String,
    is_always: bool,
    is_used: bool,
}

/// How a request failed, by what it was about.
pub(super) type Failures = BTreeMap<Key, FailureKind>;

/// Plays a row, and compares everything that happens. Where the verdict is a good one, another invocation follows, and
/// has to find nothing to write.
#[track_caller]
pub(super) fn check(row: &str) {
    let (world, expected) = row.split_once("=>").expect("a row has a line `=>`");
    let mut world = World::parse(world);
    let (happened, is_good) = world.play();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(
        happened == expected,
        "expected:\n        {}\nhappened:\n        {}",
        expected.join("\n        "),
        happened.join("\n        ")
    );
    if let Some(unused) = world.whens.iter().find(|when| !when.is_used) {
        panic!("there was no {}: {happened:#?}", unused.request);
    }
    if is_good && !world.is_dry {
        world.forget_whens();
        let (again, _) = world.play();
        let is_write = |line: &&String| line.trim_start_matches("& ").starts_with(['+', '~', '-']);
        assert_eq!(again.iter().find(is_write), None, "the next invocation writes: {again:#?}");
    }
}

impl World {
    /// An empty world: the group is deleted.
    pub(super) fn new(zones: Zones) -> Self {
        Self {
            rules: Rules {
                ownership: Ownership::Adopt,
                policy: Policy::Sync,
                stopped: Stopped::Remove,
                memory_seconds: 300,
            },
            zones,
            lookups: ExtraLookups::default(),
            purpose: Purpose::Reconcile,
            is_dry: false,
            wait: Duration::ZERO,
            written_ptrs: BTreeSet::new(),
            now: NOW,
            group: None,
            a: BTreeMap::new(),
            ptr: BTreeMap::new(),
            deleted_owners: BTreeSet::new(),
            whens: Vec::new(),
            version: 0,
        }
    }

    fn parse(text: &str) -> Self {
        let mut world = Self::new(zones("spoke1.internal", &["1.10"]));
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            world.apply_line(line);
        }
        world
    }

    /// Reads one line of a row.
    pub(super) fn apply_line(&mut self, line: &str) {
        let (kind, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no line of a world"));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (kind, words.as_slice()) {
            ("group", words) => self.group = group(words),
            ("A", [name, "-"]) => _ = self.a.remove(&name.parse().unwrap()),
            ("A", [name, rest @ ..]) => {
                let set = self.record_set(rest, |word| word.parse().unwrap());
                self.a.insert(name.parse().unwrap(), set);
            }
            ("PTR", [address, "-"]) => _ = self.ptr.remove(&self.ptr_key(address)),
            ("PTR", [address, rest @ ..]) => {
                let forward = self.zones.forward.name.clone();
                let target = |word: &str| {
                    let is_short = !word.contains('.');
                    PtrTarget::from(if is_short { format!("{word}.{forward}") } else { word.to_owned() })
                };
                let set = self.record_set(rest, target);
                self.ptr.insert(self.ptr_key(address), set);
            }
            ("owner", [mark, "deleted"]) => _ = self.deleted_owners.insert(owner(mark)),
            ("owner", [mark, "lives"]) => _ = self.deleted_owners.remove(&owner(mark)),
            ("rules", words) => words.iter().for_each(|word| self.rule(word)),
            ("zones", [forward, reverse @ ..]) => self.zones = zones(forward, reverse),
            ("lookup", words) => {
                for word in words {
                    match word.parse() {
                        Ok(address) => _ = self.lookups.addresses.insert(address),
                        Err(_) => _ = self.lookups.names.insert(word.parse().unwrap()),
                    }
                }
            }
            ("written", words) => {
                self.written_ptrs.extend(words.iter().map(|word| word.parse::<Ipv4Addr>().unwrap()))
            }
            ("when" | "always", _) => {
                let (request, effect) = rest.split_once(": ").expect("a request, a colon, an effect");
                self.whens.push(When {
                    request: request.to_owned(),
                    effect: effect.to_owned(),
                    is_always: kind == "always",
                    is_used: false,
                });
            }
            _ => panic!("{line:?} is no line of a world"),
        }
    }

    fn rule(&mut self, word: &str) {
        match word {
            "adopt" => self.rules.ownership = Ownership::Adopt,
            "strict" => self.rules.ownership = Ownership::Strict,
            "sync" => self.rules.policy = Policy::Sync,
            "upsert-only" => self.rules.policy = Policy::UpsertOnly,
            "adopt-only" => self.rules.policy = Policy::AdoptOnly,
            "observe" => (self.rules.policy, self.is_dry) = (Policy::Observe, true),
            "dry" => self.is_dry = true,
            "remove" => self.rules.stopped = Stopped::Remove,
            "keep" => self.rules.stopped = Stopped::Keep,
            "compare" => self.purpose = Purpose::Compare,
            _ => match word.split_once('=') {
                Some(("wait", seconds)) => self.wait = Duration::from_secs(seconds.parse().unwrap()),
                Some(("memory", seconds)) => self.rules.memory_seconds = seconds.parse().unwrap(),
                _ => panic!("{word:?} is no rule"),
            },
        }
    }

    fn record_set<Record>(&mut self, words: &[&str], record: impl Fn(&str) -> Record) -> RecordSet<Record> {
        let mut content = Content { ttl: TTL, records: vec![], metadata: Metadata::new() };
        let mut is_auto_registered = false;
        for word in words {
            let (key, value) = match word.split_once('=') {
                None if *word == "auto" => {
                    is_auto_registered = true;
                    continue;
                }
                None => {
                    content.records.push(record(word));
                    continue;
                }
                Some(("ttl", ttl)) => {
                    content.ttl = ttl.parse().unwrap();
                    continue;
                }
                Some(("owner", mark)) => (OWNER_KEY, owner_mark(mark).to_owned()),
                Some(("previous", memory)) => (PREVIOUS_KEY, memory.replace(',', " ")),
                Some((key, value)) => (key, value.to_owned()),
            };
            content.metadata.insert(key.to_owned(), value);
        }
        RecordSet { etag: self.next_etag(), content, is_auto_registered }
    }

    pub(super) fn next_etag(&mut self) -> ETag {
        self.version += 1;
        ETag::from(self.version.to_string())
    }

    /// `10.1.5.9`, or `10.1.5.9/10` in a reverse zone that is not the longest.
    fn ptr_key(&self, word: &str) -> PtrKey {
        let (address, zone) =
            word.split_once('/').map_or((word, None), |(address, zone)| (address, Some(zone)));
        let address: Ipv4Addr = address.parse().unwrap();
        let Some(zone) = zone else {
            return self.goal().ptr_key(address).expect("a reverse zone contains it");
        };
        let zone = self.zones.reverse.iter().position(|known| *known == reverse_zone(zone)).unwrap();
        PtrKey { address, zone, name: self.zones.reverse[zone].relative_name(address).unwrap() }
    }

    /// From now on every request succeeds.
    pub(super) fn forget_whens(&mut self) {
        self.whens.clear();
    }

    /// What is decided: the group that rows call `us`.
    pub(super) fn goal(&self) -> Goal {
        let id = owner("us").container_group().unwrap();
        Goal::new(&id, self.zones.clone(), self.lookups.clone(), self.purpose)
    }

    /// What is known at the start of an invocation.
    pub(super) fn facts(&self) -> Facts {
        Facts::new(RunState::new(self.wait, self.written_ptrs.clone()))
    }

    /// One invocation: everything that happens, and whether the verdict is a good one.
    fn play(&mut self) -> (Vec<String>, bool) {
        let (goal, mut facts) = (self.goal(), self.facts());
        let (mut lines, mut failures) = (vec![], Failures::new());
        for _ in 0..MAX_STEPS {
            facts.now = self.now;
            let decision = decide(self.rules, &goal, &facts);
            if let Step::Done(verdict) = &decision.step {
                lines.push(self.show_verdict(decision.target.as_ref(), verdict, &failures));
                lines.extend(
                    decision.withheld.iter().map(|change| format!("withheld {}", self.show_change(change))),
                );
                return (lines, !matches!(verdict, Verdict::Failed(_)));
            }
            let failed = self.carry_out(&goal, &mut facts, &decision.step);
            lines.extend(self.show_step(&goal, &decision.step, &failed));
            failures.extend(failed);
        }
        panic!("there is no verdict after {MAX_STEPS} steps: {lines:#?}");
    }

    /// Does what the driver does: carries a step out, and lets the facts learn the answers.
    pub(super) fn carry_out(&mut self, goal: &Goal, facts: &mut Facts, step: &Step) -> Failures {
        let mut failures = Failures::new();
        match step {
            Step::Done(_) => {}
            Step::Verify => {
                self.happen("verify");
                facts.begin_verification();
            }
            Step::Poll => {
                self.happen("poll");
                // The clock shows whole seconds.
                self.now += facts.begin_poll(goal).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
            }
            Step::Repeat => {
                self.happen("repeat");
                facts.begin_pass();
            }
            Step::Act { read, write } => {
                facts.expect_writes(goal, write);
                let written: Vec<WriteResult> = write.iter().map(|change| self.write(goal, change)).collect();
                let mut answers = vec![];
                for key in read {
                    let (fact, failure) = self.read(goal, key);
                    failures.extend(failure.map(|kind| (key.clone(), kind)));
                    if failure.is_some() && key.is_required() {
                        answers = vec![fact];
                        break;
                    }
                    answers.push(fact);
                }
                for (change, result) in write.iter().zip(written) {
                    if let WriteResult::Failed(kind) = result {
                        failures.insert(goal.key_of(change).unwrap(), kind);
                    }
                    facts.learn_write(goal, change, result);
                }
                answers.into_iter().for_each(|fact| facts.learn(fact));
            }
        }
        failures
    }

    /// What a `when` says about a request, once what happens before it has happened.
    fn happen(&mut self, request: &str) -> Option<String> {
        let when = self
            .whens
            .iter_mut()
            .find(|when| when.request == request && (when.is_always || !when.is_used))?;
        when.is_used = true;
        let effect = when.effect.clone();
        if effect == "ok" || effect.starts_with("fails ") || effect.starts_with("lost") {
            return Some(effect);
        }
        self.apply_line(&effect);
        None
    }

    /// The answer to a read.
    pub(super) fn read(&mut self, goal: &Goal, key: &Key) -> (Fact, Option<FailureKind>) {
        let effect = self.happen(&format!("read {}", self.show_key(key)));
        let failure = effect.and_then(|effect| effect.strip_prefix("fails ").map(failure_kind));
        (self.answer(goal, key, failure), failure)
    }

    /// The answer to a read, which may be a failure.
    pub(super) fn answer(&self, goal: &Goal, key: &Key, failure: Option<FailureKind>) -> Fact {
        fn read<Value>(failure: Option<FailureKind>, value: Value) -> Read<Value> {
            failure.map_or(Ok(value), Err)
        }
        match key {
            Key::A(name) => Fact::A(name.clone(), read(failure, self.a.get(name).cloned())),
            Key::Group => Fact::Group(read(failure, Observation::of(goal, self.group.as_ref()))),
            Key::Owner(owner) => {
                Fact::Owner(owner.clone(), read(failure, self.deleted_owners.contains(owner)))
            }
            Key::Ptr(key) => Fact::Ptr(key.clone(), read(failure, self.ptr.get(key).cloned())),
            Key::PtrList(zone) => {
                let sets = self.ptr.iter().filter(|(key, _)| key.zone == *zone);
                let sets = sets.map(|(key, set)| (key.clone(), set.clone())).collect();
                Fact::PtrList(*zone, read(failure, sets))
            }
            Key::AList => {
                let sets =
                    self.a.iter().filter(|(_, set)| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours);
                let sets = sets.map(|(name, set)| (name.clone(), set.clone())).collect();
                Fact::AList(read(failure, sets))
            }
        }
    }

    fn write(&mut self, goal: &Goal, change: &Change) -> WriteResult {
        if self.is_dry {
            return WriteResult::Assumed;
        }
        let key = goal.key_of(change).expect("nothing is written outside of the zones");
        let effect = self.happen(&format!("write {}", self.show_key(&key)));
        match effect.as_deref() {
            None | Some("ok") => self.apply(&key, change),
            Some("lost") => {
                self.apply(&key, change);
                WriteResult::Failed(FailureKind::Uncertain)
            }
            Some("lost before") => WriteResult::Failed(FailureKind::Uncertain),
            Some(effect) => WriteResult::Failed(failure_kind(effect.strip_prefix("fails ").unwrap())),
        }
    }

    /// Writes as Azure does: under the precondition, which another writer may have broken.
    fn apply(&mut self, key: &Key, change: &Change) -> WriteResult {
        let etag = self.next_etag();
        match (key, change) {
            (Key::A(name), Change::A(edit)) => apply(&mut self.a, name, edit, etag),
            (Key::Ptr(key), Change::Ptr(edit)) => apply(&mut self.ptr, key, edit, etag),
            _ => panic!("{change} is not about {key:?}"),
        }
    }

    fn show_step(&self, goal: &Goal, step: &Step, failures: &Failures) -> Vec<String> {
        let note = |key: &Key| {
            failures.get(key).map(|kind| format!(" ({kind:?})").to_lowercase()).unwrap_or_default()
        };
        let (read, write) = match step {
            Step::Act { read, write } => (read, write),
            Step::Poll => return vec!["poll".to_owned()],
            Step::Verify => return vec!["verify".to_owned()],
            Step::Repeat => return vec!["repeat".to_owned()],
            Step::Done(_) => return vec![],
        };
        let show_write =
            |change: &Change| format!("{}{}", self.show_change(change), note(&goal.key_of(change).unwrap()));
        let mut lines: Vec<String> = write.iter().map(show_write).collect();
        if !read.is_empty() {
            let reads = read.iter().map(|key| format!("{}{}", self.show_key(key), note(key)));
            lines.push(format!("read {}", reads.collect::<Vec<_>>().join(", ")));
        }
        lines.iter_mut().skip(1).for_each(|line| *line = format!("& {}", mem::take(line)));
        lines
    }

    fn show_change(&self, change: &Change) -> String {
        let key = self.goal().key_of(change).map_or_else(|| "outside".to_owned(), |key| self.show_key(&key));
        let show = |sign: &str, content: Option<String>| match content {
            Some(content) => format!("{sign} {key}{content}"),
            None => format!("{sign} {key}"),
        };
        let sign = |before: bool, after: bool| match (before, after) {
            (false, true) => "+",
            (true, true) => "~",
            (true, false) => "-",
            (false, false) => "nothing",
        };
        match change {
            Change::A(edit) => {
                let content = edit.after.as_ref().map(|content| show_content(content, ToString::to_string));
                show(sign(edit.before.is_some(), edit.after.is_some()), content)
            }
            Change::Ptr(edit) => {
                let target = |target: &PtrTarget| self.show_target(target);
                let content = edit.after.as_ref().map(|content| show_content(content, target));
                show(sign(edit.before.is_some(), edit.after.is_some()), content)
            }
        }
    }

    fn show_target(&self, target: &PtrTarget) -> String {
        let forward = &self.zones.forward.name;
        let short = target.as_str().strip_suffix(forward.as_str()).and_then(|name| name.strip_suffix('.'));
        short.filter(|name| !name.contains('.')).unwrap_or(target.as_str()).to_owned()
    }

    fn show_key(&self, key: &Key) -> String {
        let zone = |index: usize| self.zones.reverse[index].zone().name.as_str().replace(".in-addr.arpa", "");
        match key {
            Key::A(name) => format!("A {name}"),
            Key::Group => "group".to_owned(),
            Key::Owner(owner) => format!("owner {}", show_owner(owner.as_str())),
            Key::Ptr(key) if self.goal().ptr_key(key.address).as_ref() == Some(key) => {
                format!("PTR {}", key.address)
            }
            Key::Ptr(key) => format!("PTR {}/{}", key.address, zone(key.zone)),
            Key::PtrList(index) => format!("list {}", zone(*index)),
            Key::AList => "list A".to_owned(),
        }
    }

    fn show_verdict(&self, target: Option<&Target>, verdict: &Verdict, failures: &Failures) -> String {
        let target = target.map_or_else(String::new, |target| {
            let name = self.show_target(&PtrTarget::from(&target.fqdn));
            target.address.map_or_else(|| format!("{name}: "), |address| format!("{name} at {address}: "))
        });
        let verdict = match verdict {
            Verdict::Right(Right::Named(address)) => format!("named {address}"),
            Verdict::Right(Right::Absent) => "absent".to_owned(),
            Verdict::Right(Right::Kept) => "kept".to_owned(),
            Verdict::Unmanaged(reason) => format!("unmanaged, {reason:?}"),
            Verdict::Compared(drift) => {
                let kinds: Vec<&str> = drift.kinds.iter().map(|kind| kind.as_str()).collect();
                let kinds = list("kinds", &kinds);
                let (dns, ptr) = (list("dns", &drift.dns_addresses), list("ptr", &drift.dns_ptr));
                format!("{}{kinds}{dns}{ptr}", drift.event.as_str())
            }
            Verdict::Failed(error) => format!("failed, {}", self.show_error(error, failures)),
        };
        format!("{target}{verdict}")
    }

    fn show_error(&self, error: &PlanError, failures: &Failures) -> String {
        match error {
            PlanError::Tag(error) => error.to_string(),
            PlanError::Refused(refusal) => refusal.to_string(),
            PlanError::PtrConflict(conflict) => conflict.to_string(),
            PlanError::NoReverseZone { address, fqdn } => format!("no reverse zone for {address} of {fqdn}"),
            PlanError::AddressPending => "address pending".to_owned(),
            PlanError::LostRaces => "lost races".to_owned(),
            PlanError::Request(key) => {
                let kind = failures.get(key).expect("the request that is named failed");
                format!("{} ({kind:?})", self.show_key(key))
                    .replace(&format!("{kind:?}"), &format!("{kind:?}").to_lowercase())
            }
        }
    }
}

fn apply<Name: Ord + Clone, Record: Clone>(
    sets: &mut BTreeMap<Name, RecordSet<Record>>,
    name: &Name,
    edit: &Edit<Record>,
    etag: ETag,
) -> WriteResult {
    let is_met = match (edit.precondition(), sets.get(name)) {
        (Precondition::Absent, None) => true,
        (Precondition::Unchanged(expected), Some(set)) => set.etag == expected,
        (Precondition::Absent, Some(_)) | (Precondition::Unchanged(_), None) => false,
    };
    if !is_met {
        return WriteResult::Failed(FailureKind::Race);
    }
    match edit.after.clone() {
        Some(content) => {
            let set = RecordSet { etag: etag.clone(), content, is_auto_registered: false };
            sets.insert(name.clone(), set);
            WriteResult::Written(Some(etag))
        }
        None => {
            sets.remove(name);
            WriteResult::Written(None)
        }
    }
}

fn show_content<Record>(content: &Content<Record>, record: impl Fn(&Record) -> String) -> String {
    let mut words: Vec<String> = content.records.iter().map(record).collect();
    if content.ttl != TTL {
        words.push(format!("ttl={}", content.ttl));
    }
    words.extend(content.metadata.iter().map(|(key, value)| match key.as_str() {
        OWNER_KEY => format!("owner={}", show_owner(value)),
        PREVIOUS_KEY => format!("previous={}", value.replace(' ', ",")),
        _ => format!("{key}={value}"),
    }));
    words.iter().map(|word| format!(" {word}")).collect()
}

fn list<Item: Display>(name: &str, items: &[Item]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { String::new() } else { format!(" {name}={}", items.join(",")) }
}

/// A container group in a state, with replaced properties and tags.
fn group(words: &[&str]) -> Option<ContainerGroup> {
    let (state, rest) = words.split_first().expect("a state");
    let address = |kind: &str, ip: Option<&str>| {
        Some(IpAddress { kind: Some(kind.to_owned()), ip: ip.map(str::to_owned) })
    };
    let running = ContainerGroup {
        provisioning_state: Some("Succeeded".to_owned()),
        state: Some("Running".to_owned()),
        ..ContainerGroup::default()
    };
    let ip = rest.first().copied().filter(|word| !word.contains('='));
    let mut group = match *state {
        "deleted" => return None,
        "running" => ContainerGroup { ip_address: address("Private", ip), ..running },
        "no-address" => running,
        "public" => ContainerGroup { ip_address: address("Public", ip), ..running },
        "stopped" => ContainerGroup {
            state: Some("Stopped".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        "pending" => ContainerGroup {
            provisioning_state: Some("Creating".to_owned()),
            state: Some("Pending".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        "deleting" => ContainerGroup {
            provisioning_state: Some("Deleting".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        _ => panic!("{state:?} is no state of a group"),
    };
    for word in rest.iter().skip(usize::from(ip.is_some())) {
        let (key, value) = word.split_once('=').expect("an attribute of a group");
        let text = Some(value.to_owned());
        match key {
            "provisioning" => group.provisioning_state = text,
            "state" => group.state = text,
            "kind" => group.ip_address.get_or_insert_default().kind = text,
            "ip" => group.ip_address.get_or_insert_default().ip = text,
            "restart" => group.restart_policy = text,
            "containers" => group.containers = value.split(',').map(|state| Some(state.to_owned())).collect(),
            tag => _ = group.tags.insert(format!("aci-dns-{tag}"), value.to_owned()),
        }
    }
    Some(group)
}

/// `us`, `other`, `third`, or a mark as it is written.
pub(super) fn owner(word: &str) -> Owner {
    let mark = owner_mark(word);
    let content = Content {
        ttl: TTL,
        records: Vec::<Ipv4Addr>::new(),
        metadata: Metadata::from([(OWNER_KEY.to_owned(), mark.to_owned())]),
    };
    RecordSet { etag: ETag::from(String::new()), content, is_auto_registered: false }.owner().unwrap()
}

fn owner_mark(word: &str) -> &str {
    OWNERS.iter().find(|(short, _)| *short == word).map_or(word, |(_, mark)| *mark)
}

fn show_owner(mark: &str) -> &str {
    OWNERS.iter().find(|(_, known)| *known == mark).map_or(mark, |(short, _)| *short)
}

fn failure_kind(word: &str) -> FailureKind {
    match word {
        "race" => FailureKind::Race,
        "uncertain" => FailureKind::Uncertain,
        "transient" => FailureKind::Transient,
        "forbidden" => FailureKind::Forbidden,
        "missing" => FailureKind::Missing,
        "refused" => FailureKind::Refused,
        _ => panic!("{word:?} is no kind of failure"),
    }
}

/// A forward zone, and reverse zones without their `in-addr.arpa`.
pub(super) fn zones(forward: &str, reverse: &[&str]) -> Zones {
    let reverse = reverse.iter().map(|name| reverse_zone(name)).collect();
    Zones { forward: zone(forward), reverse, ttl: TTL }
}

fn reverse_zone(name: &str) -> ReverseZone {
    ReverseZone::new(zone(&format!("{name}.in-addr.arpa"))).unwrap()
}

fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}
