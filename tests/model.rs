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
#[path = "model/members.rs"]
mod members;
#[path = "model/members_broken.rs"]
mod members_broken;
#[path = "model/members_model.rs"]
mod members_model;
#[path = "model/members_scenarios.rs"]
mod members_scenarios;
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
#[path = "model/vault.rs"]
mod vault;
#[path = "model/vault_broken.rs"]
mod vault_broken;
#[path = "model/vault_model.rs"]
mod vault_model;
#[path = "model/vault_scenarios.rs"]
mod vault_scenarios;
#[path = "model/words.rs"]
mod words;
#[path = "model/world.rs"]
mod world;

use std::{env, fmt::Debug, fs, iter, sync::Mutex, thread};

use broken::Broken;
use members_broken::ServiceBroken;
use members_model::ServiceModel;
use members_scenarios::service_scenarios;
use properties::{Excuse, Property};
use scenario::{Extent, all, with_all_kinds};
use search::{Report, Searched, search};
use steps::Model;
use vault_broken::VaultBroken;
use vault_model::VaultModel;
use vault_scenarios::{LAYOUT, vault_scenarios};
use world::Places;

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

/// A search, and the name of its scenario.
struct Job {
    name: &'static str,
    run: Box<dyn FnOnce() -> Option<String> + Send>,
}

/// All searches, those with the most states first.
fn jobs(extent: Extent) -> Vec<Job> {
    let of_records = all(extent).into_iter().map(|scenario| {
        let (name, known) = (scenario.name, scenario.exceptions.clone());
        Job { name, run: Box::new(move || check(name, &known, Model::new(scenario, None))) }
    });
    let of_secrets = vault_scenarios(extent).into_iter().map(|scenario| {
        let (name, known) = (scenario.name, scenario.exceptions.clone());
        let model = || VaultModel::new(scenario, Places::new(LAYOUT), None);
        Job { name, run: Box::new(move || check(name, &known, model())) }
    });
    let of_services = service_scenarios(extent).into_iter().map(|scenario| {
        let (name, known) = (scenario.name, scenario.exceptions.clone());
        Job { name, run: Box::new(move || check(name, &known, ServiceModel::new(scenario, None))) }
    });
    of_records.chain(of_secrets).chain(of_services).collect()
}

/// Searches a scenario, and tells what is wrong. `known` are its exceptions.
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
fn check(name: &str, known: &[(Property, Excuse)], mut model: impl Searched) -> Option<String> {
    let report = search(&mut model, ROOM);
    let Report { states, steps, depth, .. } = report;
    let seconds = report.elapsed.as_secs_f32();
    let memory = peak_memory().map_or(String::new(), |megabytes| format!(", {megabytes} MB so far"));
    println!("{name}: {states} states, {steps} steps, depth {depth}, {seconds:.1} s{memory}");
    for ((property, excuse), (count, story)) in &report.exceptions {
        println!("{name}: {property:?}, excused by {excuse:?}, {count} times; the first:\n{story}");
    }
    let found: Vec<_> = report.exceptions.into_keys().collect();
    if let Some((_, story)) = report.violation {
        Some(format!("{name}:\n{story}"))
    } else if !report.is_complete {
        Some(format!("{name}: there are more than {ROOM} states"))
    } else {
        // A bounded run need not meet all of them.
        let is_known = match extent() {
            Extent::Bounded => found.iter().all(|exception| known.contains(exception)),
            Extent::Full => found == known,
        };
        (!is_known).then(|| format!("{name}: the exceptions are {found:?}, and known are {known:?}"))
    }
}

/// All scenarios, those with the most states first.
#[test]
fn the_rules_hold_in_every_scenario() {
    let only = env::var("ACI_DNS_SCENARIO").ok();
    let mut jobs = jobs(extent());
    if let Some(only) = &only {
        let is_exact = jobs.iter().any(|job| job.name == only);
        jobs.retain(|job| job.name == only || (!is_exact && job.name.contains(only)));
    }
    // The searches of a full run share no memory.
    let threads = if extent() == Extent::Full { 1 } else { 2 };
    let queue = Mutex::new(jobs.into_iter());
    let next = || queue.lock().unwrap().next();
    let work = || iter::from_fn(next).filter_map(|job| (job.run)()).collect::<Vec<_>>();
    let wrong = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_that_is_broken_on_purpose_is_noticed() {
    for broken in Broken::ALL {
        let scenario =
            with_all_kinds(0).into_iter().find(|scenario| scenario.name == broken.scenario()).unwrap();
        let mut model = Model::new(scenario, Some(broken));
        let report = search(&mut model, ROOM_FOR_BROKEN);
        notice(&broken, report);
    }
}

/// Prints how a broken rule is noticed.
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
fn notice(broken: &impl Debug, report: Report) {
    let Some((finding, story)) = report.violation else { panic!("{broken:?} is not noticed") };
    let length = story.lines().take_while(|line| !line.starts_with("  =>")).count();
    println!("{broken:?}: {:?} after {length} steps, {} states\n{story}", finding.property, report.states);
}

#[test]
fn every_rule_about_secrets_that_is_broken_on_purpose_is_noticed() {
    for (broken, name) in VaultBroken::ALL {
        let scenarios = vault_scenarios(Extent::Bounded);
        let scenario = scenarios.into_iter().find(|scenario| scenario.name == name).unwrap();
        let mut model = VaultModel::new(scenario, Places::new(LAYOUT), Some(broken));
        notice(&broken, search(&mut model, ROOM_FOR_BROKEN));
    }
}

#[test]
fn every_rule_about_services_that_is_broken_on_purpose_is_noticed() {
    for (broken, name) in ServiceBroken::ALL {
        let scenarios = service_scenarios(Extent::Bounded);
        let scenario = scenarios.into_iter().find(|scenario| scenario.name == name).unwrap();
        let mut model = ServiceModel::new(scenario, Some(broken));
        notice(&broken, search(&mut model, ROOM_FOR_BROKEN));
    }
}
