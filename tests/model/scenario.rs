//! What may happen in a search.

use aci_dns::{
    config::{Ownership, Policy, Stopped},
    decide::Rules,
};

use super::{
    properties::{Excuse, Property},
    world::{Content, GROUPS, Group, Life, Mark, Places, World, a_set, bit, ptr_set},
};

/// What may happen to a container group, or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// It is created, and runs at once.
    Create,
    /// It moves to another address.
    Move,
    /// It is created or updated, and its address is assigned later.
    Provision,
    /// It is stopped.
    Stop,
    /// It is started.
    Start,
    /// It is deleted.
    Delete,
    /// A tag gives it another name, or its own again.
    Rename,
    /// An event of it comes that nothing follows from.
    Touch,
    /// A person edits a record set.
    Edit,
    /// A person locks the reverse zone, or unlocks it.
    Lock,
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An answer is lost; a write may have happened.
    Lost,
    /// A read shows what was before the last change.
    Stale,
    /// A process is killed.
    Crash,
    /// The time of an invocation is up.
    TimeOut,
    /// A process is killed, and a write of it arrives later.
    Late,
}

/// How a search begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// What is there.
    pub(crate) world: World,
    /// How many events of each group wait.
    pub(crate) waiting: [u8; GROUPS],
}

/// The bounds of a search.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Resource group and name of the container groups.
    pub(crate) groups: [(&'static str, &'static str); GROUPS],
    /// How it begins.
    pub(crate) starts: Vec<Start>,
    /// How many instances there are.
    pub(crate) instances: usize,
    /// How many events happen.
    pub(crate) events: u8,
    /// Which ones, to which group.
    pub(crate) kinds: Vec<(u8, EventKind)>,
    /// How many faults strike.
    pub(crate) faults: u8,
    /// Which ones.
    pub(crate) fault_kinds: Vec<Fault>,
    /// How many times five minutes pass.
    pub(crate) ages: u8,
    /// What does not hold in it, and need not.
    pub(crate) exceptions: Vec<(Property, Excuse)>,
}

/// The rules under test.
pub(crate) fn rules() -> Rules {
    Rules { ownership: Ownership::Adopt, policy: Policy::Sync, stopped: Stopped::Remove, memory_seconds: 300 }
}

/// Two groups of one resource group.
const NEIGHBOURS: [(&str, &str); GROUPS] = [("rg-spoke1", "web"), ("rg-spoke1", "api")];
/// Two groups that want one name.
const RIVALS: [(&str, &str); GROUPS] = [("rg-spoke1", "web"), ("rg-spoke2", "web")];

const LIFE: [EventKind; 5] =
    [EventKind::Create, EventKind::Move, EventKind::Stop, EventKind::Start, EventKind::Delete];

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As far as the gate has time for.
    Bounded,
    /// As far as one machine has memory for.
    Full,
}

/// One group, and whatever its life brings.
fn lives(name: &'static str, events: u8) -> Scenario {
    Scenario {
        name,
        groups: NEIGHBOURS,
        starts: vec![quiet(World::default()), quiet(running(NEIGHBOURS, [Some(0), None]))],
        instances: 2,
        events,
        kinds: of(0, &LIFE),
        faults: 0,
        fault_kinds: vec![],
        ages: 0,
        exceptions: vec![(Property::NoGap, Excuse::CameBack)],
    }
}

fn with_faults(scenario: Scenario, faults: u8, kinds: &[Fault]) -> Scenario {
    Scenario { faults, fault_kinds: kinds.to_vec(), ..scenario }
}

/// All scenarios, those that find most first.
pub(crate) fn all(extent: Extent) -> Vec<Scenario> {
    use EventKind::{Create, Delete, Edit, Lock, Move, Provision, Rename, Start as Starts, Stop, Touch};
    let came_back = (Property::NoGap, Excuse::CameBack);
    // In a full run one more event happens.
    let more = u8::from(extent == Extent::Full);
    let hand_over = Scenario {
        starts: vec![
            quiet(running(NEIGHBOURS, [Some(0), Some(1)])),
            Start { world: without_records(NEIGHBOURS, 0), waiting: [1, 0] },
        ],
        kinds: [of(0, &[Move, Stop, Delete]), of(1, &[Create, Move])].concat(),
        exceptions: vec![],
        ..lives("hand-over of an address", 2 + more)
    };
    let rivals = Scenario {
        groups: RIVALS,
        starts: vec![
            quiet(running(RIVALS, [Some(0), None])),
            Start { world: without_records(RIVALS, 0), waiting: [1, 0] },
        ],
        kinds: [of(0, &[Move, Stop, Delete]), of(1, &[Create, Move, Delete])].concat(),
        exceptions: vec![],
        ..lives("rivals for a name", 2 + more)
    };
    let renamed =
        Scenario { kinds: of(0, &[Rename, Move, Delete, Touch]), ..lives("another name", 2 + more) };
    let edited = Scenario {
        kinds: of(0, &[Edit, Move, Delete, Touch]),
        exceptions: vec![
            (Property::Convergence, Excuse::Edited),
            (Property::ConvergenceAfterRecheck, Excuse::Edited),
        ],
        ..lives("manual edits", 2 + more)
    };
    let locked = Scenario {
        kinds: of(0, &[Lock, Move, Delete]),
        exceptions: vec![],
        ..lives("a locked reverse zone", 2 + more)
    };
    let slow =
        Scenario { kinds: of(0, &[Provision, Move, Delete]), instances: 1, ..lives("slow provisioning", 2) };
    let cut_off = [Fault::Crash, Fault::TimeOut];
    let everything = [Fault::Crash, Fault::TimeOut, Fault::Lost, Fault::Stale];
    let stale = [came_back, (Property::NoGap, Excuse::Stale), (Property::Convergence, Excuse::Stale)];
    let mut all = vec![
        lives("three events", 3),
        with_faults(lives("an invocation is cut off", 2 + more), 1, &cut_off),
        with_faults(lives("an answer is lost", 2 + more), 1, &[Fault::Lost]),
        Scenario {
            exceptions: stale.to_vec(),
            ..with_faults(lives("a read is stale", 2 + more), 1, &[Fault::Stale])
        },
        Scenario {
            exceptions: vec![came_back, (Property::Convergence, Excuse::Late)],
            ..with_faults(lives("a write arrives late", 2), 1, &[Fault::Late])
        },
        Scenario { ages: 1, ..with_faults(lives("five minutes pass", 2), 1, &[Fault::Crash]) },
        Scenario {
            instances: 1,
            exceptions: stale.to_vec(),
            ..with_faults(lives("two faults, one instance", 2 + more), 2, &everything)
        },
        Scenario { kinds: of(0, &[Touch, Move, Delete, Create]), ..lives("events come twice", 3) },
        hand_over,
        rivals,
        renamed,
        edited,
        locked,
        slow,
    ];
    if extent == Extent::Full {
        let provisioned = Scenario {
            kinds: of(0, &[Provision, Delete, Starts]),
            ..lives("slow provisioning, two instances", 2)
        };
        all.push(provisioned);
    }
    all
}

/// These kinds, for one group.
fn of(group: u8, kinds: &[EventKind]) -> Vec<(u8, EventKind)> {
    kinds.iter().map(|kind| (group, *kind)).collect()
}

/// Nothing waits.
fn quiet(world: World) -> Start {
    Start { world, waiting: [0; GROUPS] }
}

/// A world in which these groups run, with their records.
fn running(groups: [(&str, &str); GROUPS], addresses: [Option<u8>; GROUPS]) -> World {
    let places = Places::new(groups);
    let mut world = World::default();
    for (group, address) in (0..).zip(addresses) {
        let Some(address) = address else { continue };
        world.groups[usize::from(group)].current = Group { life: Life::Running(address), is_renamed: false };
        let content = |values| Content { values, mark: Mark::Group(group), ..Content::default() };
        let mut put = |set: u8, values| world.sets[usize::from(set)].current = Some(content(values));
        put(a_set(places.own_name(group)), bit(address));
        put(ptr_set(address), bit(places.own_name(group)));
    }
    world
}

/// A world in which the first group runs at an address, and has no records yet.
fn without_records(groups: [(&str, &str); GROUPS], address: u8) -> World {
    World { groups: running(groups, [Some(address), None]).groups, ..World::default() }
}
