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
//! * `touched 10.1.5.9`: where an earlier invocation may have written a PTR.
//! * `when write A web: EFFECT`: what happens at the first such request (or `read`, or step: `verify`, `poll`,
//!   `repeat`). Of several lines about the same request each is used once, in order; `always` is used every time. The
//!   second read of a group is `read group again`, that of another group `read owner other again`.
//!   An effect is `ok`, `fails KIND`, `lost` (the write happens, its answer is lost), `lost before` (it does not
//!   happen), `stale LINE` (the answer is that of a world with this line, and the world stays), `stale` (the answer is
//!   the record set of the row's start), or a line of the world, which happens just before the request.
//!
//! What happens is one line per write or group of reads; `&` continues a step. A write shows the whole record set that
//! it leaves. Its precondition is checked against the world. The last lines are the verdict and what was withheld.

use std::{fmt, fmt::Display, mem, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    change::Edit,
    config::Zones,
    container_group::{Container, ContainerGroup, IpAddress},
    dns::{
        Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrRecordSet, PtrTarget, ReverseZone,
        Zone,
    },
};

/// The time at which every row starts.
pub(super) const NOW: u64 = 10_000;
const TTL: u32 = 60;
/// More steps than any row takes: a decision that goes on is a mistake.
pub(super) const MAX_STEPS: usize = 150;
/// How long a driver waits before it reads a group once more.
const CONFIRMATION_SECONDS: u64 = 3;
/// The state of a group that a mark names, where no line says it.
const ELSEWHERE: [&str; 2] = ["running", "10.1.9.9"];

/// The owner marks that rows abbreviate.
const OWNERS: [(&str, &str); 3] =
    [("us", "s1/rg-spoke1/web"), ("other", "s1/rg-spoke2/web"), ("third", "s1/rg-spoke2/api")];

/// Azure, as far as one container group and its record sets are concerned, and what an operator decided.
#[derive(Clone)]
pub(super) struct World {
    pub(super) rules: Rules,
    /// The entry of our group in the map, and those of other resource groups that have one of their own.
    entry: Value,
    other_entries: BTreeMap<String, Option<Value>>,
    map: Arc<ZoneMap>,
    pub(super) zones: Zones,
    pub(super) lookups: ExtraLookups,
    pub(super) purpose: Purpose,
    pub(super) evidence: Evidence,
    /// Whether writes are only assumed to happen.
    pub(super) is_dry: bool,
    pub(super) wait: Duration,
    pub(super) touched_addresses: BTreeSet<Ipv4Addr>,
    pub(super) now: u64,
    pub(super) group: Option<ContainerGroup>,
    pub(super) a: BTreeMap<RelativeName, ARecordSet>,
    pub(super) ptr: BTreeMap<PtrKey, PtrRecordSet>,
    pub(super) cnames: BTreeMap<RelativeName, String>,
    owners: BTreeMap<Owner, Option<ContainerGroup>>,
    /// The names of the zones whose record sets cannot be deleted.
    locked: BTreeSet<DomainName>,
    whens: Vec<When>,
    version: u32,
    /// The record sets of the row's start, for stale answers.
    start: (BTreeMap<RelativeName, ARecordSet>, BTreeMap<PtrKey, PtrRecordSet>),
}

#[derive(Clone, Debug)]
struct When {
    request: String,
    effect: String,
    is_always: bool,
    is_used: bool,
}

/// What a failed property shows: much like a row.
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

/// The requests of an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    gets: usize,
    lists: usize,
    puts: usize,
    deletes: usize,
    /// How many times requests were waited for.
    trips: usize,
}

impl Cost {
    /// Reads a text such as `5 GET, 2 PUT, 4 trips`.
    pub(super) fn parse(text: &str) -> Self {
        let mut cost = Self::default();
        for part in text.split(", ") {
            let (count, kind) = part.split_once(' ').expect("a number and what it counts");
            let place = match kind {
                "GET" => &mut cost.gets,
                "LIST" => &mut cost.lists,
                "PUT" => &mut cost.puts,
                "DELETE" => &mut cost.deletes,
                "trips" => &mut cost.trips,
                _ => panic!("{kind:?} is no cost"),
            };
            *place = count.parse().unwrap();
        }
        cost
    }

    pub(super) fn is_within(&self, most: &Self) -> bool {
        self.gets <= most.gets
            && self.lists <= most.lists
            && self.puts <= most.puts
            && self.deletes <= most.deletes
            && self.trips <= most.trips
    }

    fn add(&mut self, step: &Step) {
        let Step::Act { read, write } = step else { return };
        let is_list = |key: &&Key| matches!(key, Key::PtrList(_) | Key::AList);
        let lists = read.iter().filter(is_list).count();
        let deletes = write.iter().filter(|change| change.is_deletion()).count();
        self.lists += lists;
        self.gets += read.len() - lists;
        self.deletes += deletes;
        self.puts += write.len() - deletes;
        self.trips += 1;
    }
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

    /// Makes the map out of its entries.
    fn read_map(&mut self) {
        let mut entries = BTreeMap::from([("rg-spoke1", &self.entry), ("rg-spoke2", &self.entry)]);
        for (resource_group, entry) in &self.other_entries {
            match entry {
                Some(entry) => _ = entries.insert(resource_group, entry),
                None => _ = entries.remove(resource_group.as_str()),
            }
        }
        self.map = Arc::new(ZoneMap::parse(&json!(entries).to_string()).unwrap());
        self.zones = self.map.serving(&owner("us").container_group().unwrap()).unwrap();
    }

    fn set_entry(&mut self, key: &str, values: &[&str]) {
        self.entry[key] = json!(values);
        self.read_map();
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

    fn rule(&mut self, word: &str) {
        match word {
            "adopt" => self.rules.ownership = Ownership::Adopt,
            "adopt-tagged" => {
                (self.rules.ownership, self.rules.adopts_tagged) = (Ownership::Adopt, true);
            }
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

    /// `10.1.5.9`; `10.1.5.9/10` in a reverse zone that is not the longest; `printer/10` for a name that is no address.
    fn ptr_key(&self, word: &str) -> PtrKey {
        let Some((name, zone)) = word.split_once('/') else {
            return self.goal().ptr_key(word.parse().unwrap()).expect("a reverse zone contains it");
        };
        let is_meant = |known: &ReverseZone| known.zone().name == zone_name(zone);
        let zone = self.zones.reverse.iter().position(is_meant).unwrap();
        let reverse = &self.zones.reverse[zone];
        let name = match name.parse() {
            Ok(address) => reverse.relative_name(address).unwrap(),
            Err(_) => name.parse().unwrap(),
        };
        PtrKey { address: reverse.address(&name), zone, name }
    }

    /// All record sets, without what they remember and without versions.
    fn records(&self) -> (Vec<String>, Vec<String>) {
        let a = self.a.iter().map(|(name, set)| {
            let mut content = set.content.clone();
            content.metadata.remove(PREVIOUS_KEY);
            format!("{name}{}", show_content(&content, ToString::to_string))
        });
        let ptr = self
            .ptr
            .iter()
            .map(|(key, set)| format!("{key:?}{}", show_content(&set.content, ToString::to_string)));
        (a.collect(), ptr.collect())
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
        Facts::new(RunState::new(self.wait, self.touched_addresses.clone()))
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
            return OwnerObservation { state: AddressState::Pending, name: None };
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
            Key::Cname(name) => format!("CNAME {name}"),
            Key::Group => "group".to_owned(),
            Key::Confirmation => "group again".to_owned(),
            Key::Owner(owner) => format!("owner {}", show_owner(owner.as_str())),
            Key::OwnerConfirmation(owner) => format!("owner {} again", show_owner(owner.as_str())),
            Key::Ptr(key) => match key.address {
                Some(address) if self.goal().ptr_key(address).as_ref() == Some(key) => {
                    format!("PTR {address}")
                }
                Some(address) => format!("PTR {address}/{}", zone(key.zone)),
                None => format!("PTR {}/{}", key.name, zone(key.zone)),
            },
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
            PlanError::Conflict(conflict) | PlanError::PtrConflict(conflict) => conflict.to_string(),
            PlanError::HolderPending(conflict) => format!("for now, {conflict}"),
            PlanError::AddressRefused { address, .. } => format!("{address} is outside of the ranges"),
            PlanError::NoReverseZone { address, fqdn } => format!("no reverse zone for {address} of {fqdn}"),
            PlanError::AddressPending => "address pending".to_owned(),
            PlanError::Deleting => "deleting".to_owned(),
            PlanError::NotVisible => "not visible".to_owned(),
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
    let Some(content) = edit.after.clone() else {
        sets.remove(name);
        return WriteResult::Written(None);
    };
    let set = RecordSet { etag: etag.clone(), content, is_auto_registered: false };
    sets.insert(name.clone(), set);
    WriteResult::Written(Some(etag))
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
    words.iter().flat_map(|word| [" ", word]).collect()
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
            "containers" => group.containers = value.split(',').map(container).collect(),
            tag => _ = group.tags.insert(format!("aci-dns-{tag}"), value.to_owned()),
        }
    }
    Some(group)
}

/// `Running`, or `Terminated:0` with an exit code.
fn container(word: &str) -> Container {
    let (state, exit_code) = word.split_once(':').map_or((word, None), |(state, code)| (state, Some(code)));
    Container { state: Some(state.to_owned()), exit_code: exit_code.map(|code| code.parse().unwrap()) }
}

/// What a 404 proves after an event of this kind.
fn evidence(word: &str) -> Evidence {
    match word {
        "delete" | "old" => Evidence::Deletion,
        "failed" | "recheck" => Evidence::Absence,
        "young" => Evidence::None,
        _ => panic!("{word:?} is no kind of event"),
    }
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
        "clash" => FailureKind::Clash,
        "refused" => FailureKind::Refused,
        _ => panic!("{word:?} is no kind of failure"),
    }
}

/// An entry of the map: a forward zone, and reverse zones without their `in-addr.arpa`. Any host name is allowed.
fn entry(forward: &str, reverse: &[&str]) -> Value {
    let reverse: Vec<String> = reverse.iter().map(|zone| zone_name(zone).to_string()).collect();
    json!({
        "forwardZone": forward,
        "reverseZones": reverse,
        "zoneResourceGroup": "rg-dns",
        "hostnames": ["*"],
    })
}

/// The name of a forward zone, or of a reverse zone that is written without its `in-addr.arpa`.
fn zone_name(word: &str) -> DomainName {
    let is_reverse = word.split('.').all(|label| label.parse::<u8>().is_ok());
    if is_reverse { format!("{word}.in-addr.arpa").parse().unwrap() } else { word.parse().unwrap() }
}

fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}
