//! The scenarios with secrets.

use aci_dns::config::Ownership;

use super::{
    properties::{Excuse, Property},
    scenario::{EventKind, Extent, Fault, TENANTS, of, running},
    vault::SecretContent,
    vault_model::VaultScenario,
    world::{ELSEWHERE, Layout, Lock, Mark, World},
};

/// Two groups of two forward zones, whose secret has one name. Without reverse zones, because the other scenarios have
/// them.
pub(crate) const LAYOUT: Layout = Layout {
    entry: r#""reverseZones": [], "secret": {"vault": "https://kv-apps.vault.azure.net/", "name": "{group}--ip"}"#,
    ..TENANTS
};

/// All scenarios with secrets. A full run has one event more.
pub(crate) fn vault_scenarios(extent: Extent) -> Vec<VaultScenario> {
    use EventKind::{Create, Delete, Edit, Move, Start, Stop};
    let more = u8::from(extent == Extent::Full);
    let whole = [Create, Move, Stop, Start, Delete];
    let published = (running(LAYOUT, [Some(0), None]).without_ptr(), Some(of_group(0, 0)), 0);
    let nothing = (World::default(), None, 0);
    let base = |name, events, kinds: Vec<(u8, EventKind)>| VaultScenario {
        name,
        ownership: Ownership::Strict,
        starts: vec![published, nothing],
        events,
        kinds,
        faults: 0,
        fault_kinds: vec![],
        is_vault_failing: false,
        exceptions: vec![],
    };
    let with = |scenario: VaultScenario, fault, exceptions: &[(Property, Excuse)]| VaultScenario {
        faults: 1,
        fault_kinds: vec![fault],
        exceptions: exceptions.to_vec(),
        ..scenario
    };
    let one = |name| base(name, 2 + more, of(0, &whole));
    let rivals = |name| base(name, 2, [of(0, &[Move, Delete, Create]), of(1, &[Create, Delete])].concat());
    let lagged = [(Property::Convergence, Excuse::Stale)];
    let taken = (Property::Evidence, Excuse::CameBack);
    let unmarked = SecretContent { value: ELSEWHERE, mark: Mark::None, is_annotated: true };
    let stranger = SecretContent { mark: Mark::Stranger, ..unmarked };
    let edited = |name, ownership| VaultScenario {
        ownership,
        starts: vec![published, (published.0, Some(unmarked), 1), (published.0, Some(stranger), 1)],
        ..base(name, 2, of(0, &[Edit, Move, Delete]))
    };
    let locked = World { lock: Lock::ReadOnly, ..published.0 };
    vec![
        with(one("secret, a read is stale"), Fault::Stale, &lagged),
        with(one("secret, an answer is lost"), Fault::Lost, &[]),
        with(one("secret, an instance is killed"), Fault::Crash, &[]),
        one("secret, no fault"),
        VaultScenario { exceptions: vec![taken], ..rivals("secret, rivals") },
        with(rivals("secret, rivals, a stale read"), Fault::Stale, &[lagged[0], taken]),
        edited("secret, edits, strict", Ownership::Strict),
        // With two events it has two million states.
        VaultScenario { events: 1 + more, ..edited("secret, edits, adopt", Ownership::Adopt) },
        VaultScenario { is_vault_failing: true, ..one("secret, the vault fails") },
        VaultScenario { starts: vec![(locked, published.1, 0)], ..one("secret, locked zones") },
    ]
}

fn of_group(group: u8, address: u8) -> SecretContent {
    SecretContent { value: address, mark: Mark::Group(group), is_annotated: true }
}
