//! The Azure of the model: two container groups, three names and three addresses, each with the version before the
//! last change.
//!
//! Values are a few bytes, so that a state can be copied and hashed. [`Places`] turns them into the types of the
//! crate and back.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    net::Ipv4Addr,
    sync::Arc,
};

use aci_dns::{
    config::ZoneMap,
    decide::{Evidence, Goal, PtrKey, Purpose, desired::HOSTNAME_TAG},
    domain::{
        container_group::{Container, ContainerGroup, IpAddress},
        dns::{
            Content as RecordContent, DomainName, ETag, Metadata, OWNER_KEY, Owner, PREVIOUS_KEY,
            PreviousAddresses, PtrTarget, RecordSet, RelativeName,
        },
        resource_id::ContainerGroupId,
    },
};

/// How many container groups there are.
pub(crate) const GROUPS: usize = 2;
/// How many names of the forward zone there are.
pub(crate) const NAMES: usize = 3;
/// How many addresses there are.
pub(crate) const ADDRESSES: usize = 3;
/// How many record sets there can be: an A record set for each name, a PTR record set for each address.
pub(crate) const SETS: usize = NAMES + ADDRESSES;

/// The name that only a tag chooses.
pub(crate) const SHOP: u8 = 2;
/// The value of a record that is none of ours: a PTR target outside of the forward zone, an address outside of the
/// reverse zone.
pub(crate) const ELSEWHERE: u8 = 3;

/// The time, in unix seconds. It stands still: when time passes, what is remembered becomes old.
pub(crate) const NOW: u64 = 1_000_000;
/// When an address was left that need not be remembered any longer.
const LONG_AGO: u64 = NOW - 100_000;

/// The TTL of all record sets.
const TTL: u32 = 60;
/// Metadata that another program wrote.
const FOREIGN_KEY: &str = "team";

/// A set of small numbers, one bit each.
pub(crate) type Mask = u8;

/// The set that holds one number.
pub(crate) fn bit(member: u8) -> Mask {
    1 << member
}

/// The members of a set.
pub(crate) fn members(mask: Mask) -> impl Iterator<Item = u8> {
    (0..8).filter(move |member| mask & bit(*member) != 0)
}

/// Whether the first set holds all of the second.
pub(crate) fn contains(mask: Mask, other: Mask) -> bool {
    mask & other == other
}

/// Whose a record set is, as its mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// It has none.
    #[default]
    None,
    /// A group of the model.
    Group(u8),
    /// A group that lives elsewhere.
    Stranger,
}

/// What a record set says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    /// The addresses of an A record set, or the names of a PTR record set.
    pub(crate) values: Mask,
    /// Whose it is.
    pub(crate) mark: Mark,
    /// The addresses that it remembers, and that were left a moment ago.
    pub(crate) fresh: Mask,
    /// The addresses that it remembers, and that were left long ago.
    pub(crate) old: Mask,
    /// Whether it holds metadata of another program.
    pub(crate) is_annotated: bool,
}

impl Content {
    /// All of it in 15 bits.
    fn code(self) -> u16 {
        let mark = match self.mark {
            Mark::None => 0,
            Mark::Group(group) => 1 + group,
            Mark::Stranger => 3,
        };
        let [first, last] = [self.values | mark << 5, self.fresh | self.old << 4];
        u16::from(first) | u16::from(self.is_annotated) << 4 | u16::from(last) << 7
    }

    /// The addresses that it remembers.
    pub(crate) fn memory(self) -> Mask {
        self.fresh | self.old
    }
}

/// One record set: its type and what it is called by. The A record sets first.
pub(crate) type SetId = u8;

/// The A record set of a name.
pub(crate) fn a_set(name: u8) -> SetId {
    name
}

/// The PTR record set of an address.
pub(crate) fn ptr_set(address: u8) -> SetId {
    address + u8::try_from(NAMES).unwrap()
}

/// The name of an A record set, or the address of a PTR record set.
pub(crate) fn subject(set: SetId) -> Subject {
    let names = u8::try_from(NAMES).unwrap();
    if set < names { Subject::A(set) } else { Subject::Ptr(set - names) }
}

/// What a record set is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A name.
    A(u8),
    /// An address.
    Ptr(u8),
}

/// The life of a container group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Life {
    /// There is no such group.
    #[default]
    Absent,
    /// It runs at an address.
    Running(u8),
    /// It is being provisioned: it was asked for or updated, and its address is not assigned yet.
    Provisioning,
    /// It is stopped.
    Stopped,
}

/// A container group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// Whether and how it lives.
    pub(crate) life: Life,
    /// Whether a tag gives it the name [`SHOP`].
    pub(crate) is_renamed: bool,
}

impl Group {
    /// All of it in 4 bits.
    pub(crate) fn code(self) -> u8 {
        let life = match self.life {
            Life::Absent => 0,
            Life::Provisioning => 1,
            Life::Stopped => 2,
            Life::Running(address) => 3 + address,
        };
        life | u8::from(self.is_renamed) << 3
    }
}

impl Hash for Group {
    fn hash<State: Hasher>(&self, state: &mut State) {
        state.write_u8(self.code());
    }
}

impl Hash for Content {
    fn hash<State: Hasher>(&self, state: &mut State) {
        state.write_u16(self.code());
    }
}

/// A value with the one before, which a stale read still shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Versions<Value> {
    /// What it is.
    pub(crate) current: Value,
    /// What it was before the last change; nothing where no read is stale.
    pub(crate) previous: Option<Value>,
}

impl<Value: Copy> Versions<Value> {
    /// Changes the value.
    pub(crate) fn replace(&mut self, value: Value) {
        self.previous = Some(self.current);
        self.current = value;
    }
}

/// What a lock on zones refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lock {
    /// Nothing: there is none.
    #[default]
    None,
    /// Deletions.
    CanNotDelete,
    /// All writes.
    ReadOnly,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct World {
    /// The container groups.
    pub(crate) groups: [Versions<Group>; GROUPS],
    /// The record sets.
    pub(crate) sets: [Versions<Option<Content>>; SETS],
    /// The groups that exist and answer 404 nevertheless, because they are new.
    pub(crate) hidden: Mask,
    /// The lock on the zones.
    pub(crate) lock: Lock,
}

impl Hash for World {
    fn hash<State: Hasher>(&self, state: &mut State) {
        let code = |group: Option<Group>| group.map_or(0, |group| 1 + group.code());
        let [first, second] =
            self.groups.map(|group| u16::from_le_bytes([group.current.code(), code(group.previous)]));
        let lock = match self.lock {
            Lock::None => 0,
            Lock::CanNotDelete => 1,
            Lock::ReadOnly => 2,
        };
        let rest = u32::from(self.hidden) << 8 | lock;
        state.write_u64(u64::from(first) | u64::from(second) << 16 | u64::from(rest) << 32);
        for set in &self.sets {
            let code =
                |content: Option<Content>| content.map_or(0, |content| 1 << 15 | u32::from(content.code()));
            let previous = set.previous.map_or(0, |previous| 1 << 16 | code(previous));
            state.write_u64(u64::from(code(set.current)) | u64::from(previous) << 32);
        }
    }
}

impl World {
    /// A container group as it is.
    pub(crate) fn group(&self, group: u8) -> Group {
        self.groups[usize::from(group)].current
    }

    /// A record set as it is.
    pub(crate) fn set(&self, set: SetId) -> Option<Content> {
        self.sets[usize::from(set)].current
    }

    /// Changes a record set, without those who know it.
    pub(crate) fn put(&mut self, set: SetId, content: Option<Content>) {
        self.sets[usize::from(set)].replace(content);
    }

    /// The addresses that groups hold.
    pub(crate) fn held_addresses(&self) -> Mask {
        let held = |group: &Versions<Group>| match group.current.life {
            Life::Running(address) => bit(address),
            Life::Absent | Life::Provisioning | Life::Stopped => 0,
        };
        self.groups.iter().map(held).fold(0, |all, one| all | one)
    }

    /// The same, as if it had been so for long.
    pub(crate) fn settled(mut self) -> Self {
        self.groups.iter_mut().for_each(|group| group.previous = None);
        self.sets.iter_mut().for_each(|set| set.previous = None);
        self
    }

    /// The same without PTR record sets.
    pub(crate) fn without_ptr(mut self) -> Self {
        self.sets[NAMES..].iter_mut().for_each(|set| *set = Versions::default());
        self
    }

    /// What is remembered becomes old.
    pub(crate) fn age(&mut self) {
        let age = |content: &mut Content| {
            content.old |= content.fresh;
            content.fresh = 0;
        };
        for set in &mut self.sets {
            set.current.iter_mut().for_each(age);
            set.previous.iter_mut().flatten().for_each(age);
        }
    }
}

/// Which container groups and names there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Resource group and name of the container groups.
    pub(crate) groups: [(&'static str, &'static str); GROUPS],
    /// The forward zone of each of them.
    pub(crate) zones: [&'static str; GROUPS],
    /// Label and forward zone of the names.
    pub(crate) names: [(&'static str, &'static str); NAMES],
    /// Further members of the entries of the map, as JSON: reverse zones, and what is published beside DNS.
    pub(crate) entry: &'static str,
}

/// What the small values stand for.
#[derive(Debug)]
pub(crate) struct Places {
    /// What is to be reached for each group with each evidence.
    goals: Vec<Goal>,
    names: Vec<(RelativeName, DomainName)>,
    own_names: Vec<u8>,
    owners: Vec<Owner>,
}

/// A goal: a group, and how much a 404 of it proves.
pub(crate) type GoalId = u8;

/// How much a 404 may prove, from nothing on.
pub(crate) const EVIDENCE: [Evidence; 3] = [Evidence::None, Evidence::Absence, Evidence::Deletion];

const SUBSCRIPTION: &str = "s1";
pub(crate) const STRANGER: &str = "s1/rg-other/stranger";
const FOREIGN_TARGET: &str = "printer.contoso.com";
const TAG_NAME: &str = "shop";

impl Places {
    /// The places of a model.
    pub(crate) fn new(layout: Layout) -> Self {
        let entry = |(resource_group, zone): (&str, &str)| {
            let members = [
                format!(r#""forwardZone": "{zone}", {}"#, layout.entry),
                format!(r#""zoneResourceGroup": "rg-dns", "ttl": {TTL}, "hostnames": ["{TAG_NAME}"]"#),
            ];
            format!(r#""{resource_group}": {{{}}}"#, members.join(", "))
        };
        let entries: BTreeMap<&str, &str> =
            layout.groups.iter().map(|(resource_group, _)| *resource_group).zip(layout.zones).collect();
        let entries: Vec<String> = entries.into_iter().map(entry).collect();
        let map = Arc::new(ZoneMap::parse(&format!("{{{}}}", entries.join(", "))).unwrap());
        let ids = layout
            .groups
            .map(|(resource_group, name)| ContainerGroupId::new(SUBSCRIPTION, resource_group, name).unwrap());
        let goal = |id| Goal::new(id, &map, Purpose::Reconcile).unwrap();
        let with_evidence = |goal: Goal| EVIDENCE.map(|evidence| Goal { evidence, ..goal.clone() });
        let own_name = |(name, zone)| layout.names.iter().position(|known| *known == (name, zone)).unwrap();
        let own_names =
            layout.groups.iter().zip(layout.zones).map(|((_, name), zone)| own_name((*name, zone)));
        Self {
            goals: ids.iter().map(goal).flat_map(with_evidence).collect(),
            names: layout.names.map(|(label, zone)| (label.parse().unwrap(), zone.parse().unwrap())).into(),
            own_names: own_names.map(|name| u8::try_from(name).unwrap()).collect(),
            owners: ids.iter().map(Owner::from).collect(),
        }
    }

    /// The goal for a group after an event that proves so much.
    pub(crate) fn goal_id(group: u8, evidence: Evidence) -> GoalId {
        group * 3 + index(&EVIDENCE, &evidence).unwrap()
    }

    /// The group that a goal is about.
    pub(crate) fn group_of(goal: GoalId) -> u8 {
        goal / 3
    }

    /// How much a 404 of its group proves.
    pub(crate) fn evidence_of(goal: GoalId) -> Evidence {
        EVIDENCE[usize::from(goal % 3)]
    }

    /// What is to be reached.
    pub(crate) fn goal(&self, goal: GoalId) -> &Goal {
        &self.goals[usize::from(goal)]
    }

    /// The name that a group has without a tag.
    pub(crate) fn own_name(&self, group: u8) -> u8 {
        self.own_names[usize::from(group)]
    }

    /// The name that a group should have.
    pub(crate) fn name_of(&self, id: u8, group: Group) -> u8 {
        if group.is_renamed { SHOP } else { self.own_name(id) }
    }

    /// The names that a group can have.
    pub(crate) fn names_of(&self, group: u8) -> Mask {
        bit(self.own_name(group)) | if self.is_in_zone_of(group, SHOP) { bit(SHOP) } else { 0 }
    }

    /// Whether a name lies in the forward zone of a group.
    pub(crate) fn is_in_zone_of(&self, group: u8, name: u8) -> bool {
        self.names[usize::from(name)].1 == self.names[usize::from(self.own_name(group))].1
    }

    /// A name of a forward zone.
    pub(crate) fn name(&self, name: u8) -> &RelativeName {
        &self.names[usize::from(name)].0
    }

    fn fqdn(&self, name: u8) -> DomainName {
        let (name, zone) = &self.names[usize::from(name)];
        name.within(zone)
    }

    /// An address.
    pub(crate) fn address(index: u8) -> Ipv4Addr {
        if index == ELSEWHERE { Ipv4Addr::new(10, 9, 9, 9) } else { Ipv4Addr::new(10, 1, 5, 4 + index) }
    }

    /// The PTR record set of an address.
    pub(crate) fn ptr_key(&self, address: u8) -> PtrKey {
        let address = Self::address(address);
        let name = self.goals[0].zones.reverse[0].relative_name(address).unwrap();
        PtrKey { address: Some(address), zone: 0, name }
    }

    /// The number of a name in the forward zone of a group.
    pub(crate) fn name_index(&self, group: u8, name: &RelativeName) -> u8 {
        let is_meant = |index: &u8| self.name(*index) == name && self.is_in_zone_of(group, *index);
        (0..u8::try_from(NAMES).unwrap()).find(is_meant).unwrap()
    }

    /// The number of an address.
    pub(crate) fn address_index(address: Ipv4Addr) -> u8 {
        (0..=ELSEWHERE).find(|index| Self::address(*index) == address).unwrap()
    }

    /// The number of a group, or nothing where it lives elsewhere.
    pub(crate) fn owner_index(&self, owner: &Owner) -> Option<u8> {
        index(&self.owners, owner)
    }

    /// The mark of a group.
    pub(crate) fn owner(&self, group: u8) -> &Owner {
        &self.owners[usize::from(group)]
    }

    /// How a group is called.
    pub(crate) fn group_name(&self, group: u8) -> String {
        let id = &self.goal(Self::goal_id(group, Evidence::None)).id;
        format!("{}/{}", id.resource_group(), id.name())
    }

    /// A container group as Resource Manager describes it.
    pub(crate) fn container_group(group: Group) -> Option<ContainerGroup> {
        let (provisioning, state, ip) = match group.life {
            Life::Absent => return None,
            Life::Running(address) => ("Succeeded", "Running", Some(Self::address(address).to_string())),
            Life::Provisioning => ("Creating", "Pending", None),
            Life::Stopped => ("Succeeded", "Stopped", None),
        };
        let tags = group.is_renamed.then(|| (HOSTNAME_TAG.to_owned(), TAG_NAME.to_owned()));
        Some(ContainerGroup {
            tags: tags.into_iter().collect(),
            provisioning_state: Some(provisioning.into()),
            state: Some(state.into()),
            ip_address: Some(IpAddress { kind: Some("Private".into()), ip }),
            containers: vec![Container { state: Some("Running".into()), exit_code: None }],
            ..ContainerGroup::default()
        })
    }

    /// An A record set as it is read.
    pub(crate) fn a_record_set(&self, content: Content, etag: ETag) -> RecordSet<Ipv4Addr> {
        let records = members(content.values).map(Self::address).collect();
        RecordSet { etag, content: self.record_content(content, records), is_auto_registered: false }
    }

    /// A PTR record set as it is read.
    pub(crate) fn ptr_record_set(&self, content: Content, etag: ETag) -> RecordSet<PtrTarget> {
        let target = |name| match name {
            ELSEWHERE => PtrTarget::from(FOREIGN_TARGET.to_owned()),
            name => PtrTarget::from(&self.fqdn(name)),
        };
        let records = members(content.values).map(target).collect();
        RecordSet { etag, content: self.record_content(content, records), is_auto_registered: false }
    }

    fn record_content<Record>(&self, content: Content, records: Vec<Record>) -> RecordContent<Record> {
        let mut metadata = Metadata::new();
        let owner = match content.mark {
            Mark::None => None,
            Mark::Group(group) => Some(self.owners[usize::from(group)].as_str()),
            Mark::Stranger => Some(STRANGER),
        };
        metadata.extend(owner.map(|owner| (OWNER_KEY.to_owned(), owner.to_owned())));
        let mut memory = PreviousAddresses::default();
        members(content.old).for_each(|address| memory.remember(Self::address(address), LONG_AGO));
        members(content.fresh).for_each(|address| memory.remember(Self::address(address), NOW));
        if !memory.is_empty() {
            metadata.insert(PREVIOUS_KEY.to_owned(), memory.to_string());
        }
        if content.is_annotated {
            metadata.insert(FOREIGN_KEY.to_owned(), "x".to_owned());
        }
        RecordContent { ttl: TTL, records, metadata }
    }

    /// What an A record set becomes by a write.
    pub(crate) fn of_a(&self, content: &RecordContent<Ipv4Addr>) -> Content {
        let values = content.records.iter().map(|address| bit(Self::address_index(*address)));
        self.of_content(content, values.fold(0, |all, one| all | one))
    }

    /// What a PTR record set becomes by a write.
    pub(crate) fn of_ptr(&self, content: &RecordContent<PtrTarget>) -> Content {
        let value = |target: &PtrTarget| {
            let name = target.name();
            let known = (0..ELSEWHERE).find(|known| name.as_ref() == Some(&self.fqdn(*known)));
            bit(known.unwrap_or(ELSEWHERE))
        };
        self.of_content(content, content.records.iter().map(value).fold(0, |all, one| all | one))
    }

    fn of_content<Record>(&self, content: &RecordContent<Record>, values: Mask) -> Content {
        assert_eq!(content.ttl, TTL, "no other TTL is asked for");
        let mut metadata: BTreeMap<&str, &str> =
            content.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
        let mark = match metadata.remove(OWNER_KEY) {
            None => Mark::None,
            Some(STRANGER) => Mark::Stranger,
            Some(owner) => {
                let group = self.owners.iter().position(|known| known.as_str() == owner).unwrap();
                Mark::Group(u8::try_from(group).unwrap())
            }
        };
        let memory = PreviousAddresses::parse(metadata.remove(PREVIOUS_KEY).unwrap_or_default());
        let old = memory.old(LONG_AGO, 0);
        let (mut fresh, mut long_ago) = (0, 0);
        for address in memory.addresses() {
            let kept = if old.contains(&address) { &mut long_ago } else { &mut fresh };
            *kept |= bit(Self::address_index(address));
        }
        let is_annotated = metadata.remove(FOREIGN_KEY).is_some();
        assert!(metadata.is_empty(), "no other metadata is written: {metadata:?}");
        Content { values, mark, fresh, old: long_ago, is_annotated }
    }

    /// A record set in one line.
    pub(crate) fn show(&self, set: SetId, content: Option<Content>) -> String {
        let (kind, name, shown) = match subject(set) {
            Subject::A(name) => {
                let shown = |value| Self::address(value).to_string();
                ("A", self.fqdn(name).to_string(), content.map(|content| join(content.values, shown)))
            }
            Subject::Ptr(address) => {
                let shown = |name| match name {
                    ELSEWHERE => FOREIGN_TARGET.to_owned(),
                    name => self.fqdn(name).to_string(),
                };
                let name = self.ptr_key(address).name.within(&self.goals[0].zones.reverse[0].zone().name);
                ("PTR", name.to_string(), content.map(|content| join(content.values, shown)))
            }
        };
        let (Some(content), Some(shown)) = (content, shown) else { return format!("no {kind} {name}") };
        let mut text = format!("{kind} {name} {shown}");
        match content.mark {
            Mark::None => text.push_str(", no owner"),
            Mark::Group(group) => text = format!("{text}, owner {}", self.group_name(group)),
            Mark::Stranger => text.push_str(", owner of another subscription"),
        }
        for (mask, word) in [(content.fresh, "remembers"), (content.old, "remembers since long")] {
            if mask != 0 {
                text = format!("{text}, {word} {}", join(mask, |address| Self::address(address).to_string()));
            }
        }
        if content.is_annotated {
            text.push_str(", with metadata of others");
        }
        text
    }

    /// What a GET of a group shows.
    pub(crate) fn show_group(group: Group) -> String {
        let life = match group.life {
            Life::Absent => "404".to_owned(),
            Life::Running(address) => format!("runs at {}", Self::address(address)),
            Life::Provisioning => "is being provisioned".to_owned(),
            Life::Stopped => "is stopped".to_owned(),
        };
        if group.is_renamed { format!("{life}, tagged {HOSTNAME_TAG}=shop") } else { life }
    }
}

fn index<Value: PartialEq>(values: &[Value], value: &Value) -> Option<u8> {
    values.iter().position(|known| known == value).map(|position| u8::try_from(position).unwrap())
}

fn join(mask: Mask, show: impl Fn(u8) -> String) -> String {
    members(mask).map(show).collect::<Vec<_>>().join(" ")
}
