//! What may happen in a search.

use aci_dns::{
    config::{Ownership, Policy, Stopped},
    decide::Rules,
    domain::dns::MEMORY_SECONDS,
};

use super::{
    properties::{Excuse, Property},
    world::{Content, GROUPS, Group, Layout, Life, Mark, Places, World, a_set, bit, ptr_set},
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
    /// An event of it comes that nothing follows from: a recheck, or an update that failed.
    Touch,
    /// A person edits a record set.
    Edit,
    /// A person locks the zones, or unlocks them.
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
    /// A new group answers 404 for some time.
    Unseen,
    /// A message is not stored, or its answer is lost.
    Store,
    /// A message is delivered once more.
    Twice,
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
    /// Which container groups and names there are.
    pub(crate) layout: Layout,
    /// What happens to record sets without a mark.
    pub(crate) ownership: Ownership,
    /// Whether unfinished work and rechecks are stored in the retry queue; else Event Grid delivers again.
    pub(crate) has_queue: bool,
    /// Whether a lock is on the forward zone, too.
    pub(crate) locks_forward_zone: bool,
    /// Whether events may be old whenever they are delivered; else only once the group is deleted.
    pub(crate) has_delays: bool,
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

impl Scenario {
    /// The rules under test.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            ownership: self.ownership,
            adopts_tagged: false,
            policy: Policy::Sync,
            stopped: Stopped::Remove,
            memory_seconds: MEMORY_SECONDS,
        }
    }
}

const ZONE: &str = "contoso.internal";
const OTHER_ZONE: &str = "fabrikam.internal";

const REVERSED: &str = r#""reverseZones": ["1.10.in-addr.arpa"]"#;

/// Two groups of one resource group.
const NEIGHBOURS: Layout = Layout {
    groups: [("rg-spoke1", "web"), ("rg-spoke1", "api")],
    zones: [ZONE, ZONE],
    names: [("web", ZONE), ("api", ZONE), ("shop", ZONE)],
    entry: REVERSED,
};
/// Two groups that want one name.
const RIVALS: Layout = Layout { groups: [("rg-spoke1", "web"), ("rg-spoke2", "web")], ..NEIGHBOURS };
/// Two groups whose forward zones differ, and whose reverse zone is the same.
pub(crate) const TENANTS: Layout = Layout {
    groups: [("rg-spoke1", "web"), ("rg-spoke2", "web")],
    zones: [ZONE, OTHER_ZONE],
    names: [("web", ZONE), ("web", OTHER_ZONE), ("shop", ZONE)],
    entry: REVERSED,
};

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
        layout: NEIGHBOURS,
        ownership: Ownership::Strict,
        has_queue: false,
        locks_forward_zone: false,
        has_delays: false,
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

/// All scenarios, those with the most states first.
pub(crate) fn all(extent: Extent) -> Vec<Scenario> {
    match extent {
        Extent::Bounded => {
            let mut all = with_all_kinds(0);
            all.iter_mut().for_each(bound);
            all
        }
        Extent::Full => with_all_kinds(1),
    }
}

/// All scenarios with all kinds of events. In a full run `more` events happen.
pub(crate) fn with_all_kinds(more: u8) -> Vec<Scenario> {
    [of_one_group(more), of_the_queue(usize::from(more)), of_two_groups(), of_people()].concat()
}

/// Leaves away what the gate has no time for: all starts but the one with records, and some kinds of events.
fn bound(scenario: &mut Scenario) {
    use EventKind::{Create, Delete, Move, Rename, Stop};
    scenario.starts.retain(|start| start.world.set(a_set(0)).is_some());
    let kinds: &[EventKind] = match scenario.name {
        "three events" | "a new group answers 404" => &[Create, Delete],
        "a read is stale" => &[Move, Stop],
        "rivals for a name" => &[Create, Delete, Rename],
        "rivals for a name, a stale read" => &[Create, Rename],
        _ if scenario.has_queue
            || scenario.instances == 1
            || (scenario.faults == 0 && scenario.kinds.iter().all(|(group, _)| *group == 0)) =>
        {
            return;
        }
        _ => &[Delete, Move],
    };
    scenario.kinds.retain(|(_, kind)| kinds.contains(kind));
}

/// Scenarios in which one group lives, and requests fail. In a full run `more` events happen.
fn of_one_group(more: u8) -> Vec<Scenario> {
    use EventKind::{Create, Delete, Move, Provision, Touch};
    let came_back = (Property::NoGap, Excuse::CameBack);
    let lagged = (Property::NoGap, Excuse::Stale);
    let before_recheck = (Property::Convergence, Excuse::Stale);
    let everything = [Fault::Crash, Fault::TimeOut, Fault::Lost, Fault::Stale];
    vec![
        lives("three events", 3),
        Scenario { kinds: of(0, &[Touch, Move, Delete, Create]), ..lives("events come twice", 2) },
        Scenario {
            kinds: of(0, &[Create, Move, Delete]),
            has_delays: true,
            ..lives("events are delayed", 2)
        },
        with_faults(lives("an invocation is cut off", 2), 1, &[Fault::Crash, Fault::TimeOut]),
        with_faults(lives("an answer is lost", 2), 1, &[Fault::Lost]),
        Scenario {
            exceptions: vec![came_back, before_recheck],
            ..with_faults(lives("a read is stale", 2), 1, &[Fault::Stale])
        },
        Scenario {
            kinds: of(0, &[Create, Delete]),
            exceptions: vec![came_back, lagged, before_recheck],
            ..with_faults(lives("a new group answers 404", 2), 1, &[Fault::Unseen])
        },
        Scenario {
            exceptions: vec![came_back, (Property::Convergence, Excuse::Late)],
            ..with_faults(lives("a write arrives late", 2), 1, &[Fault::Late])
        },
        Scenario { ages: 1, ..with_faults(lives("five minutes pass", 2), 1, &[Fault::Crash]) },
        Scenario {
            instances: 1,
            exceptions: vec![
                came_back,
                lagged,
                before_recheck,
                (Property::ConvergenceAfterRecheck, Excuse::Stale),
                (Property::ConvergenceAfterRecheck, Excuse::Late),
            ],
            ..with_faults(lives("two faults, one instance", 2 + more), 2, &everything)
        },
        Scenario {
            kinds: of(0, &[Provision, Move, Delete]),
            instances: 1 + usize::from(more),
            ..lives("slow provisioning", 2)
        },
    ]
}

/// Scenarios with the retry queue. In a full run `more` instances work.
fn of_the_queue(more: usize) -> Vec<Scenario> {
    use EventKind::{Create, Delete, Lock, Move, Provision, Rename, Stop};
    let came_back = (Property::NoGap, Excuse::CameBack);
    let lagged = (Property::NoGap, Excuse::Stale);
    let lagged_for_long = (Property::Convergence, Excuse::Stale);
    let queued = |name, kinds: &[EventKind]| Scenario {
        has_queue: true,
        kinds: of(0, kinds),
        exceptions: vec![],
        ..lives(name, 2)
    };
    let failing = [Fault::Store, Fault::Crash, Fault::TimeOut, Fault::Lost];
    let everything = [Fault::Store, Fault::Crash, Fault::Stale, Fault::Twice];
    let all = [Create, Move, Stop, Delete];
    vec![
        Scenario {
            instances: 1 + more,
            ..with_faults(queued("retry queue, a read is stale", &[Move, Delete]), 1, &[Fault::Stale])
        },
        Scenario {
            instances: 1 + more,
            ..with_faults(queued("retry queue, a request fails", &[Move, Delete]), 1, &failing)
        },
        Scenario {
            instances: 1,
            exceptions: vec![came_back],
            ..with_faults(queued("retry queue, slow provisioning", &[Provision, Move, Delete]), 1, &failing)
        },
        Scenario {
            instances: 1,
            exceptions: vec![came_back, lagged],
            ..with_faults(queued("retry queue, whole lives", &all), 1, &[Fault::Stale, Fault::Store])
        },
        with_faults(queued("retry queue, a message comes twice", &[Move, Delete]), 1, &[Fault::Twice]),
        Scenario { exceptions: vec![came_back], ..queued("retry queue, no fault", &all) },
        queued("retry queue, locked zones", &[Lock, Move, Delete]),
        Scenario {
            starts: vec![quiet(running(NEIGHBOURS, [Some(0), Some(1)]))],
            kinds: [of(0, &[Move, Delete]), of(1, &[Move])].concat(),
            ..queued("retry queue, hand-over of an address", &[])
        },
        Scenario {
            instances: 1,
            exceptions: vec![came_back, lagged, lagged_for_long],
            ..with_faults(queued("retry queue, two faults, one instance", &all), 2, &everything)
        },
        Scenario {
            exceptions: vec![came_back, lagged, lagged_for_long],
            ..with_faults(
                queued("retry queue, a new group answers 404", &[Create, Delete]),
                1,
                &[Fault::Unseen],
            )
        },
        Scenario {
            layout: RIVALS,
            starts: vec![
                quiet(running(RIVALS, [Some(0), None])),
                Start { world: without_records(RIVALS, 0), waiting: [1, 0] },
            ],
            kinds: [of(0, &[Rename, Delete]), of(1, &[Create, Delete])].concat(),
            exceptions: vec![
                came_back,
                (Property::ConvergenceAfterRecheck, Excuse::Renamed),
                (Property::Idempotence, Excuse::Renamed),
            ],
            ..queued("retry queue, rivals for a name", &[])
        },
    ]
}

/// Scenarios in which two groups want an address or a name.
fn of_two_groups() -> Vec<Scenario> {
    use EventKind::{Create, Delete, Move, Rename, Stop};
    let handing_over = |name, layout: Layout| Scenario {
        layout,
        starts: vec![
            quiet(running(layout, [Some(0), Some(1)])),
            Start { world: without_records(layout, 0), waiting: [1, 0] },
        ],
        kinds: [of(0, &[Move, Stop, Delete]), of(1, &[Create, Move])].concat(),
        exceptions: vec![],
        ..lives(name, 2)
    };
    let rivals = Scenario {
        starts: vec![
            quiet(running(RIVALS, [Some(0), None])),
            Start { world: without_records(RIVALS, 0), waiting: [1, 0] },
        ],
        kinds: [of(0, &[Rename, Move, Stop, Delete]), of(1, &[Create, Move, Delete])].concat(),
        exceptions: vec![
            (Property::NoGap, Excuse::CameBack),
            (Property::Convergence, Excuse::Renamed),
            (Property::ConvergenceAfterRecheck, Excuse::Renamed),
            (Property::Idempotence, Excuse::Renamed),
        ],
        ..handing_over("rivals for a name", RIVALS)
    };
    vec![
        handing_over("hand-over of an address", NEIGHBOURS),
        handing_over("a shared reverse zone", TENANTS),
        Scenario {
            exceptions: vec![
                (Property::NoGap, Excuse::CameBack),
                (Property::Convergence, Excuse::Stale),
                (Property::ConvergenceAfterRecheck, Excuse::Renamed),
                (Property::Idempotence, Excuse::Renamed),
            ],
            ..with_faults(
                Scenario { name: "rivals for a name, a stale read", ..rivals.clone() },
                1,
                &[Fault::Stale],
            )
        },
        Scenario {
            exceptions: vec![(Property::Convergence, Excuse::Stale)],
            ..with_faults(
                handing_over("hand-over of an address, a stale read", NEIGHBOURS),
                1,
                &[Fault::Stale],
            )
        },
        rivals,
    ]
}

/// Scenarios in which people change a tag, edit record sets, or lock zones.
fn of_people() -> Vec<Scenario> {
    use EventKind::{Delete, Edit, Lock, Move, Rename, Touch};
    let edited = |name, ownership| Scenario {
        ownership,
        kinds: of(0, &[Edit, Move, Delete, Touch]),
        exceptions: vec![
            (Property::Convergence, Excuse::Edited),
            (Property::ConvergenceAfterRecheck, Excuse::Edited),
        ],
        ..lives(name, 2)
    };
    let locked = |name, locks_forward_zone| Scenario {
        locks_forward_zone,
        kinds: of(0, &[Lock, Move, Delete]),
        exceptions: vec![],
        ..lives(name, 2)
    };
    vec![
        Scenario { kinds: of(0, &[Rename, Move, Delete, Touch]), ..lives("another name", 2) },
        edited("manual edits, adopt", Ownership::Adopt),
        edited("manual edits, strict", Ownership::Strict),
        locked("a locked reverse zone", false),
        locked("locked zones", true),
    ]
}

/// These kinds, for one group.
pub(crate) fn of(group: u8, kinds: &[EventKind]) -> Vec<(u8, EventKind)> {
    kinds.iter().map(|kind| (group, *kind)).collect()
}

/// Nothing waits.
fn quiet(world: World) -> Start {
    Start { world, waiting: [0; GROUPS] }
}

/// A world in which these groups run, with their records.
pub(crate) fn running(layout: Layout, addresses: [Option<u8>; GROUPS]) -> World {
    let places = Places::new(layout);
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
fn without_records(layout: Layout, address: u8) -> World {
    World { groups: running(layout, [Some(address), None]).groups, ..World::default() }
}
