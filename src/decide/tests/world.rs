//! A container group and its record sets in memory, written as text, and the driver for them.
//!
//! A row is one text: the world, a line `=>`, and everything that happens. The world holds, one per line:
//!
//! * `group running 10.1.5.4`, or another of the states of [`group`]. Without a line the group is deleted.
//!   `provisioning=`, `state=`, `kind=`, `ip=`, `restart=` and `containers=` replace properties; any other attribute
//!   is a tag, without its prefix `aci-dns-`. `containers=Terminated:0,Running`: states and exit codes.
//! * `event delete`, or another of the words of [`evidence`]: what a 404 proves. The default is `delete`.
//! * `A web 10.1.5.9 owner=us previous=10.1.5.8@900 cost=42`: name, addresses, metadata; `ttl=` where it is not 60;
//!   `auto` where it is registered automatically. `us`, `other` and `third` are container groups.
//! * `PTR 10.1.5.9 web x.org owner=us`: address and targets; a target without a dot is a name in the forward zone.
//!   `PTR 10.1.5.9/10` stands in the reverse zone `10.in-addr.arpa` although a longer one contains the address;
//!   `PTR printer/10` has a name that stands for no address.
//! * `CNAME web x.org`: a CNAME record set and its target.
//! * `A web -`, `PTR 10.1.5.9 -` and `CNAME web -`: no such record set, for use after a `when`.
//! * `owner other deleted`: what the group is that this mark names, in the words of `group`. Without a line it runs at
//!   an address that no row uses.
//! * `rules adopt upsert-only keep`: words of [`World::rule`]. The default is `strict sync remove`.
//! * `zones spoke1.internal 1.10`: the forward zone and the reverse zones, without `in-addr.arpa`. They serve other
//!   groups too, unless a line says it: `map rg-spoke2 spoke2.internal 1.10`, or `map rg-spoke2 -` where none do.
//! * `former old.internal`, `ranges 10.1.0.0/16`, `hostnames shop api-*`: `formerZones`, `addressRanges` and
//!   `hostnames` of our entry. Without a line, any host name is allowed.
//! * `lock spoke1.internal 1.10`: zones whose record sets Azure refuses to delete; `unlock` ends it.
//! * `lookup 10.1.5.9 old`: addresses and names that are known from elsewhere.
//! * `touched 10.1.5.9`: where an earlier pass of the invocation may have written a PTR.
//! * `when write A web: EFFECT`: what happens at the first such request (or `read`, or step: `verify`, `poll`,
//!   `repeat`). Of several lines about the same request each is used once, in order; `always` is used every time. The
//!   second read of a group is `read group again`, that of another group `read owner other again`.
//!   An effect is `ok`, `fails KIND`, `lost` (the write happens, its answer is lost), `lost before` (it does not
//!   happen), `stale LINE` (the answer is that of a world with this line, and the world stays), `stale` (the answer is
//!   the record set of the row's start), or a line of the world, which happens just before the request.
//!
//! What happens is one line per write or group of reads; `&` continues a step. A write shows the whole record set that
//! it leaves. Its precondition is checked against the world. The last lines are the verdict and what was withheld.

mod cost;
mod show;
mod words;

use std::{fmt, fmt::Display, mem, time::Duration};

use serde_json::{Value, json};

pub(super) use self::{cost::Cost, words::owner};
use self::{
    show::show_content,
    words::{entry, evidence, failure_kind, group, zone, zone_name},
};
use super::*;
use crate::{
    config::Zones,
    decide::change::Edit,
    domain::{
        container_group::{Container, ContainerGroup, IpAddress},
        dns::{
            Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrRecordSet, PtrTarget,
            ReverseZone, Zone,
        },
    },
};

/// The start time of every row.
pub(super) const NOW: u64 = 10_000;
const TTL: u32 = 60;
/// More steps than any row needs: a longer decision is a mistake.
pub(super) const MAX_STEPS: usize = 150;
/// How long a driver waits before the second read of a group.
const CONFIRMATION_SECONDS: u64 = 3;
/// The default state of a group in a mark.
const ELSEWHERE: [&str; 2] = ["running", "10.1.9.9"];

/// The owner marks that rows abbreviate.
const OWNERS: [(&str, &str); 3] =
    [("us", "s1/rg-spoke1/web"), ("other", "s1/rg-spoke2/web"), ("third", "s1/rg-spoke2/api")];

/// The part of Azure that concerns one container group and its record sets, and the settings.
#[derive(Clone)]
pub(super) struct World {
    pub(super) rules: Rules,
    /// The entry of our group in the map, and entries of other resource groups.
    entry: Value,
    other_entries: BTreeMap<String, Option<Value>>,
    map: Arc<ZoneMap>,
    pub(super) zones: Zones,
    pub(super) lookups: ExtraLookups,
    pub(super) purpose: Purpose,
    pub(super) evidence: Evidence,
    /// Whether writes are only simulated.
    pub(super) is_dry: bool,
    pub(super) wait: Duration,
    pub(super) touched_addresses: BTreeSet<Ipv4Addr>,
    pub(super) now: u64,
    pub(super) group: Option<ContainerGroup>,
    pub(super) a: BTreeMap<RelativeName, ARecordSet>,
    pub(super) ptr: BTreeMap<PtrKey, PtrRecordSet>,
    pub(super) cnames: BTreeMap<RelativeName, String>,
    owners: BTreeMap<Owner, Option<ContainerGroup>>,
    /// The zones whose record sets cannot be deleted.
    locked: BTreeSet<DomainName>,
    whens: Vec<When>,
    version: u32,
    /// The record sets at the start of the row, for stale answers.
    start: (BTreeMap<RelativeName, ARecordSet>, BTreeMap<PtrKey, PtrRecordSet>),
}

#[derive(Clone, Debug)]
struct When {
    request: String,
    effect: String,
    is_always: bool,
    is_used: bool,
}

/// The output of a failed property: similar to a row.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:?}, {:?}, dry: {}", self.rules, self.purpose, self.is_dry)?;
        writeln!(formatter, "{:?}, wait {:?}, {:?}", self.evidence, self.wait, self.lookups)?;
        writeln!(formatter, "entry {}, others {:?}", self.entry, self.other_entries)?;
        writeln!(formatter, "touched {:?}, locked {:?}", self.touched_addresses, self.locked)?;
        writeln!(formatter, "group {:?}", self.group)?;
        for (owner, group) in &self.owners {
            writeln!(formatter, "owner {owner} {group:?}")?;
        }
        for (name, target) in &self.cnames {
            writeln!(formatter, "CNAME {name} {target}")?;
        }
        for (name, set) in &self.a {
            let content = show_content(&set.content, ToString::to_string);
            writeln!(formatter, "A {name}{content}{}", if set.is_auto_registered { " auto" } else { "" })?;
        }
        for (key, set) in &self.ptr {
            let content = show_content(&set.content, |target| self.show_target(target));
            let auto = if set.is_auto_registered { " auto" } else { "" };
            writeln!(formatter, "{}{content}{auto}", self.show_key(&Key::Ptr(key.clone())))?;
        }
        for when in &self.whens {
            writeln!(formatter, "when {}: {}", when.request, when.effect)?;
        }
        Ok(())
    }
}

/// What happened in one invocation.
struct Played {
    lines: Vec<String>,
    /// Whether the verdict is no failure.
    is_good: bool,
    cost: Cost,
}

/// How a request failed, by what it was about.
pub(super) type Failures = BTreeMap<Key, FailureKind>;

/// Plays a row, and compares everything that happens. Where the verdict is a good one, two invocations follow. The
/// first writes nothing, unless an address is forgotten; the second writes nothing.
#[track_caller]
pub(super) fn check(row: &str) {
    let (world, expected) = row.split_once("=>").expect("a row has a line `=>`");
    let mut world = World::parse(world);
    let Played { lines: happened, is_good, .. } = world.play();
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
        let records = world.records();
        let again = world.play().lines;
        assert_eq!(world.records(), records, "the next invocation writes more than memory: {again:#?}");
        let again = world.play().lines;
        let is_write = |line: &&String| {
            let line = line.trim_start_matches("& ");
            line.starts_with(['+', '~', '-']) && !is_refused_delete(line)
        };
        assert_eq!(again.iter().find(is_write), None, "a later invocation writes: {again:#?}");
    }
}

/// Whether a line shows a deletion that a lock prevents: it is tried until the lock is removed.
fn is_refused_delete(line: &str) -> bool {
    line.starts_with('-') && line.ends_with("(refused)")
}

impl World {
    /// An empty world: the group is deleted.
    pub(super) fn new() -> Self {
        let entry = entry("spoke1.internal", &["1.10"]);
        let mut world = Self {
            rules: Rules {
                ownership: Ownership::Strict,
                adopts_tagged: false,
                policy: Policy::Sync,
                stopped: Stopped::Remove,
                memory_seconds: 300,
            },
            map: Arc::default(),
            zones: Zones::new(zone("spoke1.internal"), vec![], TTL),
            entry,
            other_entries: BTreeMap::new(),
            lookups: ExtraLookups::default(),
            purpose: Purpose::Reconcile,
            evidence: Evidence::Deletion,
            is_dry: false,
            wait: Duration::ZERO,
            touched_addresses: BTreeSet::new(),
            now: NOW,
            group: None,
            a: BTreeMap::new(),
            ptr: BTreeMap::new(),
            cnames: BTreeMap::new(),
            owners: BTreeMap::new(),
            locked: BTreeSet::new(),
            whens: Vec::new(),
            version: 0,
            start: Default::default(),
        };
        world.read_map();
        world
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut world = Self::new();
        world.apply_lines(text.lines().map(str::trim).filter(|line| !line.is_empty()));
        world.start = (world.a.clone(), world.ptr.clone());
        world
    }

    /// Reads lines of a row.
    pub(super) fn apply_lines<Line: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            self.apply_line(line.as_ref());
        }
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
            ("CNAME", [name, "-"]) => _ = self.cnames.remove(&name.parse().unwrap()),
            ("CNAME", [name, target]) => {
                _ = self.cnames.insert(name.parse().unwrap(), (*target).to_owned());
            }
            ("owner", [mark, words @ ..]) => _ = self.owners.insert(owner(mark), group(words)),
            ("event", [word]) => self.evidence = evidence(word),
            ("rules", words) => words.iter().for_each(|word| self.rule(word)),
            ("zones", [forward, reverse @ ..]) => {
                let zones = entry(forward, reverse);
                self.entry["forwardZone"] = zones["forwardZone"].clone();
                self.entry["reverseZones"] = zones["reverseZones"].clone();
                self.read_map();
            }
            ("map", [resource_group, rest @ ..]) => {
                let entry = rest.split_first().filter(|(first, _)| **first != "-");
                let entry = entry.map(|(forward, reverse)| self::entry(forward, reverse));
                self.other_entries.insert((*resource_group).to_owned(), entry);
                self.read_map();
            }
            ("former", zones) => self.set_entry("formerZones", zones),
            ("ranges", ranges) => self.set_entry("addressRanges", ranges),
            ("hostnames", patterns) => self.set_entry("hostnames", patterns),
            ("lock", zones) => self.locked.extend(zones.iter().map(|zone| zone_name(zone))),
            ("unlock", zones) => zones.iter().for_each(|zone| _ = self.locked.remove(&zone_name(zone))),
            ("lookup", words) => {
                for word in words {
                    match word.parse() {
                        Ok(address) => _ = self.lookups.addresses.insert(address),
                        Err(_) => _ = self.lookups.names.insert(word.parse().unwrap()),
                    }
                }
            }
            ("touched", words) => {
                self.touched_addresses.extend(words.iter().map(|word| word.parse::<Ipv4Addr>().unwrap()));
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

    pub(super) fn next_etag(&mut self) -> ETag {
        self.version += 1;
        ETag::from(self.version.to_string())
    }

    /// From now on every request succeeds, but for what is locked.
    pub(super) fn forget_whens(&mut self) {
        self.whens.clear();
    }

    /// What is decided: the group that rows call `us`.
    pub(super) fn goal(&self) -> Goal {
        let id = owner("us").container_group().unwrap();
        let goal = Goal::new(&id, &self.map, self.purpose).expect("the map serves it");
        Goal { lookups: self.lookups.clone(), evidence: self.evidence, ..goal }
    }

    /// What is known at the start of an invocation.
    pub(super) fn facts(&self) -> Facts {
        let mut run = RunState::new(self.wait);
        run.touched_addresses.clone_from(&self.touched_addresses);
        Facts::new(run)
    }

    /// One invocation.
    fn play(&mut self) -> Played {
        let (goal, mut facts) = (self.goal(), self.facts());
        let (mut lines, mut failures, mut cost) = (vec![], Failures::new(), Cost::default());
        for _ in 0..MAX_STEPS {
            facts.now = self.now;
            let decision = decide(self.rules, &goal, &facts);
            if let Step::Done(verdict) = &decision.step {
                lines.push(self.show_verdict(decision.target.as_ref(), verdict, &failures));
                lines.extend(
                    decision.withheld.iter().map(|change| format!("withheld {}", self.show_change(change))),
                );
                return Played { lines, is_good: !matches!(verdict, Verdict::Failed(_)), cost };
            }
            cost.add(&decision.step);
            let failed = self.carry_out(&goal, &mut facts, &decision.step);
            lines.extend(self.show_step(&goal, &decision.step, &failed));
            failures.extend(failed);
        }
        panic!("there is no verdict after {MAX_STEPS} steps: {lines:#?}");
    }

    /// What one invocation costs, and what happens in it.
    pub(super) fn cost(&mut self) -> (Cost, Vec<String>) {
        let played = self.play();
        (played.cost, played.lines)
    }

    /// After how many round trips of an invocation the world is in a state.
    pub(super) fn trips_until(&self, is_reached: impl Fn(&Self) -> bool) -> usize {
        let mut world = self.clone();
        let (goal, mut facts) = (world.goal(), world.facts());
        let mut cost = Cost::default();
        while !is_reached(&world) {
            facts.now = world.now;
            let decision = decide(world.rules, &goal, &facts);
            assert!(!matches!(decision.step, Step::Done(_)), "the state is never reached");
            cost.add(&decision.step);
            world.carry_out(&goal, &mut facts, &decision.step);
        }
        cost.trips
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
                if read.iter().any(|key| matches!(key, Key::Confirmation | Key::OwnerConfirmation(_))) {
                    self.now += CONFIRMATION_SECONDS;
                }
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
                for fact in answers {
                    facts.learn(fact);
                }
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
        if effect == "ok" || ["fails ", "lost", "stale"].iter().any(|start| effect.starts_with(start)) {
            return Some(effect);
        }
        self.apply_line(&effect);
        None
    }

    /// The answer to a read.
    pub(super) fn read(&mut self, goal: &Goal, key: &Key) -> (Fact, Option<FailureKind>) {
        let effect = self.happen(&format!("read {}", self.show_key(key))).unwrap_or_default();
        if let Some(line) = effect.strip_prefix("stale ") {
            let mut old = self.clone();
            old.apply_line(line);
            return (old.answer(goal, key, None), None);
        }
        if effect == "stale" {
            let (a, ptr) = self.start.clone();
            return (Self { a, ptr, ..self.clone() }.answer(goal, key, None), None);
        }
        let failure = effect.strip_prefix("fails ").map(failure_kind);
        (self.answer(goal, key, failure), failure)
    }

    /// The answer to a read, which may be a failure.
    pub(super) fn answer(&self, goal: &Goal, key: &Key, failure: Option<FailureKind>) -> Fact {
        fn read<Value>(failure: Option<FailureKind>, value: Value) -> Read<Value> {
            failure.map_or(Ok(value), Err)
        }
        match key {
            Key::A(name) => Fact::A(name.clone(), read(failure, self.a.get(name).cloned())),
            Key::Cname(name) => Fact::Cname(name.clone(), read(failure, self.cnames.get(name).cloned())),
            Key::Group => Fact::Group(read(failure, Observation::of(goal, self.group.as_ref()))),
            Key::Confirmation => {
                Fact::Confirmation(read(failure, Observation::of(goal, self.group.as_ref())))
            }
            Key::Owner(owner) => Fact::Owner(owner.clone(), read(failure, self.observe_owner(goal, owner))),
            Key::OwnerConfirmation(owner) => {
                Fact::OwnerConfirmation(owner.clone(), read(failure, self.observe_owner(goal, owner)))
            }
            Key::Ptr(key) => Fact::Ptr(key.clone(), read(failure, self.ptr.get(key).cloned())),
            Key::PtrList(zone) => {
                let sets = self.ptr.iter().filter(|(key, _)| key.zone == *zone);
                let sets = sets.map(|(key, set)| (key.clone(), set.clone())).collect();
                Fact::PtrList(*zone, read(failure, sets))
            }
            Key::AList => {
                let sets = self.a.iter().map(|(name, set)| (name.clone(), set.clone())).collect();
                Fact::AList(read(failure, sets))
            }
        }
    }

    fn observe_owner(&self, goal: &Goal, owner: &Owner) -> OwnerObservation {
        let Some(id) = owner.container_group() else {
            // A decision asks for no such owner.
            return OwnerObservation {
                state: AddressState::Pending,
                name: None,
                secret: OwnerSecret::Unknown,
            };
        };
        match self.owners.get(owner) {
            Some(group) => OwnerObservation::of(goal, &id, group.as_ref()),
            None => OwnerObservation::of(goal, &id, group(&ELSEWHERE).as_ref()),
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
                _ = self.apply(&key, change);
                WriteResult::Failed(FailureKind::Uncertain)
            }
            Some("lost before") => WriteResult::Failed(FailureKind::Uncertain),
            Some(effect) => WriteResult::Failed(failure_kind(effect.strip_prefix("fails ").unwrap())),
        }
    }

    /// Whether Azure refuses to delete the record sets of a zone.
    pub(super) fn is_locked(&self, zone: &DomainName) -> bool {
        self.locked.contains(zone)
    }

    /// Whether Azure refuses a write as long as the world is as it is.
    pub(super) fn refuses(&self, change: &Change) -> bool {
        let is_locked = self.is_locked(&change.zone().name);
        match change {
            Change::A(Edit { before: None, name, .. }) => self.cnames.contains_key(name),
            change => change.is_deletion() && is_locked,
        }
    }

    /// Writes as Azure does: under the precondition, which another writer may have broken.
    fn apply(&mut self, key: &Key, change: &Change) -> WriteResult {
        let etag = self.next_etag();
        let is_created = matches!(change, Change::A(Edit { before: None, .. }));
        match key {
            _ if change.is_deletion() && self.is_locked(&change.zone().name) => {
                return WriteResult::Failed(FailureKind::Refused);
            }
            Key::A(name) if is_created && self.cnames.contains_key(name) => {
                return WriteResult::Failed(FailureKind::Clash);
            }
            _ => {}
        }
        match (key, change) {
            (Key::A(name), Change::A(edit)) => apply(&mut self.a, name, edit, etag),
            (Key::Ptr(key), Change::Ptr(edit)) => apply(&mut self.ptr, key, edit, etag),
            _ => panic!("{change} is not about {key:?}"),
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
    let Some(content) = edit.after.clone() else {
        sets.remove(name);
        return WriteResult::Written(None);
    };
    let set = RecordSet { etag: etag.clone(), content, is_auto_registered: false };
    sets.insert(name.clone(), set);
    WriteResult::Written(Some(etag))
}
