//! Model checking: every interleaving of the instances, of what happens to container groups and zones, and of faults,
//! within bounds, on the real [`decide`](aci_dns::decide::decide).
//!
//! `cargo test --test model` is the bounded run of the gate. The full run needs more time and memory:
//!
//! ```sh
//! ACI_DNS_MODEL=full cargo test --config 'profile.dev.package.aci-dns.opt-level=3' --test model -- --nocapture
//! ```
//!
//! A property that does not hold fails the test with a story: one line for each step. `docs/model-checking.md` has the
//! figures.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "model/actions.rs"]
mod actions;
#[path = "model/broken.rs"]
mod broken;
#[path = "model/ends.rs"]
mod ends;
#[path = "model/hash.rs"]
mod hash;
#[path = "model/knowledge.rs"]
mod knowledge;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/queue.rs"]
mod queue;
#[path = "model/requests.rs"]
mod requests;
#[path = "model/scenario.rs"]
mod scenario;
#[path = "model/search.rs"]
mod search;
#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/words.rs"]
mod words;
#[path = "model/world.rs"]
mod world;

use std::{env, fs, iter, sync::Mutex, thread};

use broken::Broken;
use scenario::{Extent, Scenario, all, with_all_kinds};
use search::{Report, search};
use steps::Model;

/// How many states a search may have: what 8 GB of memory hold.
const ROOM: usize = 100_000_000;

/// How many states a search for a broken rule may have.
const ROOM_FOR_BROKEN: usize = 2_000_000;

fn extent() -> Extent {
    match env::var("ACI_DNS_MODEL") {
        Ok(value) if value == "full" => Extent::Full,
        Ok(other) => panic!("ACI_DNS_MODEL is {other:?}, but must be full or unset"),
        Err(_) => Extent::Bounded,
    }
}

/// The most memory that this process had, in MB.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}

/// Searches a scenario, and tells what is wrong.
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
fn check(scenario: Scenario) -> Option<String> {
    let mut model = Model::new(scenario, None);
    let report = search(&mut model, ROOM);
    let Report { states, steps, depth, .. } = report;
    let (name, seconds) = (model.scenario.name, report.elapsed.as_secs_f32());
    let memory = peak_memory().map_or(String::new(), |megabytes| format!(", {megabytes} MB so far"));
    println!("{name}: {states} states, {steps} steps, depth {depth}, {seconds:.1} s{memory}");
    for ((property, excuse), (count, story)) in &report.exceptions {
        println!("{name}: {property:?}, excused by {excuse:?}, {count} times; the first:\n{story}");
    }
    let found: Vec<_> = report.exceptions.into_keys().collect();
    let known = &model.scenario.exceptions;
    if let Some((_, story)) = report.violation {
        Some(format!("{name}:\n{story}"))
    } else if !report.is_complete {
        Some(format!("{name}: there are more than {ROOM} states"))
    } else {
        // A bounded run need not meet all of them.
        let is_known = match extent() {
            Extent::Bounded => found.iter().all(|exception| known.contains(exception)),
            Extent::Full => found == *known,
        };
        (!is_known).then(|| format!("{name}: the exceptions are {found:?}, and known are {known:?}"))
    }
}

/// All scenarios, those with the most states first.
#[test]
fn the_rules_hold_in_every_scenario() {
    let only = env::var("ACI_DNS_SCENARIO").ok();
    let mut scenarios = all(extent());
    if let Some(only) = &only {
        let is_exact = scenarios.iter().any(|scenario| scenario.name == only);
        scenarios.retain(|scenario| scenario.name == only || (!is_exact && scenario.name.contains(only)));
    }
    // The searches of a full run share no memory.
    let threads = if extent() == Extent::Full { 1 } else { 2 };
    let queue = Mutex::new(scenarios.into_iter());
    let next = || queue.lock().unwrap().next();
    let work = || iter::from_fn(next).filter_map(check).collect::<Vec<_>>();
    let wrong = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
fn every_rule_that_is_broken_on_purpose_is_noticed() {
    for broken in Broken::ALL {
        let scenario =
            with_all_kinds(0).into_iter().find(|scenario| scenario.name == broken.scenario()).unwrap();
        let mut model = Model::new(scenario, Some(broken));
        let report = search(&mut model, ROOM_FOR_BROKEN);
        let Some((finding, story)) = report.violation else { panic!("{broken:?} is not noticed") };
        let length = story.lines().take_while(|line| !line.starts_with("  =>")).count();
        println!(
            "{broken:?}: {:?} after {length} steps, {} states\n{story}",
            finding.property, report.states
        );
    }
}
