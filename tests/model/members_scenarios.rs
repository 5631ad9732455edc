//! The scenarios with services.

use super::{
    members::{MEMBERS, Member, MemberLife, ServiceSet},
    members_model::{MemberEvent, ServiceScenario},
    properties::{Excuse, Property},
    scenario::{Extent, Fault},
    world::{Mark, Mask, bit},
};

/// All scenarios with services. A full run has one event more.
pub(crate) fn service_scenarios(extent: Extent) -> Vec<ServiceScenario> {
    use MemberEvent::{Create, CreateSlowly, Delete, Drain, Move, Start, Stop, Update};
    let more = u8::from(extent == Extent::Full);
    let runs = |address| Member { life: MemberLife::Running(address), is_draining: false };
    let none = Member::default();
    let one = ([runs(0), none], Some(ours(bit(0))), 0);
    let two = ([runs(0), runs(1)], Some(ours(bit(0) | bit(1))), 0);
    let base = |name, kinds: &[(Mask, MemberEvent)]| ServiceScenario {
        name,
        starts: vec![one, two],
        events: 2 + more,
        kinds: kinds
            .iter()
            .flat_map(|(of, kind)| {
                let these = [0, 1].into_iter().filter(|member| of & bit(*member) != 0);
                these.map(|member| (member, *kind)).collect::<Vec<_>>()
            })
            .collect(),
        faults: 0,
        fault_kinds: vec![],
        unreadable: 0,
        exceptions: vec![(Property::NoGap, Excuse::CameBack)],
    };
    let with = |scenario: ServiceScenario, fault| {
        let mut scenario = ServiceScenario { faults: 1, fault_kinds: vec![fault], events: 2, ..scenario };
        if fault == Fault::Stale {
            let lagged = [(Property::NoGap, Excuse::Stale), (Property::Convergence, Excuse::Stale)];
            scenario.exceptions.extend(lagged);
        }
        scenario
    };
    // The first group has a whole life, and the second one comes, moves and is deleted.
    let lives =
        [(1, Move), (1, Stop), (1, Start), (1, Delete), (1, Create), (2, Create), (2, Delete), (2, Move)];
    let ends = [(1, Move), (1, Stop), (1, Delete), (2, Create), (2, Delete)];
    let slow = [(1, Update), (3, CreateSlowly), (1, Stop), (1, Delete)];
    let drains = [(3, Drain), (1, Stop), (2, Create)];
    let foreign = |mark| ([runs(0), none], Some(ServiceSet { mark, ..ours(bit(2)) }), 1);
    let calm = |scenario: ServiceScenario| ServiceScenario { exceptions: vec![], ..scenario };
    vec![
        with(base("service, a read is stale", &ends), Fault::Stale),
        with(base("service, an answer is lost", &ends), Fault::Lost),
        with(base("service, an instance is killed", &ends), Fault::Crash),
        base("service, no fault", &lives),
        base("service, slow provisioning", &slow),
        ServiceScenario {
            exceptions: vec![(Property::NoGap, Excuse::CameBack), (Property::Convergence, Excuse::Drained)],
            ..base("service, drain", &drains)
        },
        ServiceScenario { unreadable: bit(1), ..base("service, a member cannot be read", &ends) },
        ServiceScenario {
            starts: vec![foreign(Mark::None), foreign(Mark::Stranger)],
            ..calm(base("service, a record set of others", &ends))
        },
    ]
}

fn ours(values: Mask) -> ServiceSet {
    const { assert!(MEMBERS == 2) };
    ServiceSet { values, mark: Mark::Group(0), is_annotated: true }
}
