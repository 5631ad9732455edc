//! Small cases, exhaustively: after any fault at any request of a change, one clean redelivery makes the
//! zones exact, and the pass after it writes nothing. The cases end at the first request that is not reached,
//! so no request is omitted.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aci_dns::replay::stage::RECONCILE;
use azure_simulator::{Effect, FaultAnswer, Staleness, When};
use tokio::{task::yield_now, time::advance};

use super::world::{World, pass};

/// The fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Azure fails before the effect.
    Fail,
    /// Azure fails after the effect.
    FailAfter,
    /// The answer is lost, without an effect.
    LoseBefore,
    /// The answer is lost, after the effect.
    LoseAfter,
    /// Another writer was first.
    Race,
    /// The identity has no permission.
    Forbid,
    /// A lock forbids it.
    Lock,
    /// A replica that is one version old answers.
    Stale,
    /// A gateway answers with HTML.
    Garble,
    /// The process is killed before the request arrives.
    KillBefore,
    /// The process is killed before the answer arrives.
    KillAfter,
}

const FAULTS: [Fault; 11] = [
    Fault::Fail,
    Fault::FailAfter,
    Fault::LoseBefore,
    Fault::LoseAfter,
    Fault::Race,
    Fault::Forbid,
    Fault::Lock,
    Fault::Stale,
    Fault::Garble,
    Fault::KillBefore,
    Fault::KillAfter,
];

impl Fault {
    fn effect(self) -> Effect {
        let answer = |when, status, code| Effect::Answer(when, FaultAnswer::new(status, code));
        // A killed process neither sends nor receives: its request takes longer than the process exists.
        let forever = Duration::from_hours(1);
        match self {
            Self::Fail => answer(When::Before, 500, "InternalServerError"),
            Self::FailAfter => answer(When::After, 500, "InternalServerError"),
            Self::LoseBefore => Effect::Drop(When::Before),
            Self::LoseAfter => Effect::Drop(When::After),
            Self::Race => answer(When::Before, 412, "PreconditionFailed"),
            Self::Forbid => answer(When::Before, 403, "AuthorizationFailed"),
            Self::Lock => answer(When::Before, 409, "ScopeLocked"),
            Self::Stale => Effect::Stale(Staleness::Versions(1)),
            Self::Garble => Effect::ReplaceBody("<html>".into()),
            Self::KillBefore => {
                Effect::All(vec![Effect::Delay(When::Before, forever), Effect::Drop(When::Before)])
            }
            Self::KillAfter => Effect::Delay(When::After, forever),
        }
    }

    fn is_kill(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

/// Injects each fault at each request of one delivery in turn. `prepare` creates the world in which the
/// delivery has something to do, and `expected` are the record sets afterwards.
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
async fn check(prepare: impl AsyncFn(&World), expected: &[&str], at_least: usize) {
    let mut cases = 0;
    for fault in FAULTS {
        for index in 1.. {
            let world = World::new(&[]);
            prepare(&world).await;
            let count = std::sync::Arc::new(AtomicUsize::new(0));
            let seen = count.clone();
            world.azure.set_interceptor(Box::new(move |_| {
                (seen.fetch_add(1, Ordering::SeqCst) + 1 == index).then(|| fault.effect())
            }));
            let event = world.event("web");
            // A killed process must not continue when its request times out.
            let deadline = if fault.is_kill() { "4" } else { "20" };
            let instance = world.instance(&[("ACI_DNS_DEADLINE_SECONDS", deadline)]);
            let status = if fault.is_kill() {
                let invocation = tokio::spawn(async move { instance.invoke(RECONCILE, &event).await });
                // The invocation reaches the request that is never answered. The clock moves for the
                // confirmation, and then to the end of the invocation.
                let mut is_finished = false;
                for pause in [3100, 1000] {
                    for _ in 0..20_000 {
                        yield_now().await;
                    }
                    is_finished = invocation.is_finished();
                    advance(Duration::from_millis(pause)).await;
                }
                for _ in 0..20_000 {
                    yield_now().await;
                }
                is_finished.then_some(200)
            } else {
                Some(instance.invoke(RECONCILE, &event).await.status)
            };
            if count.load(Ordering::SeqCst) < index {
                assert!(index > at_least, "{fault:?}: only {} requests", index - 1);
                break;
            }
            cases += 1;
            world.azure.set_interceptor(Box::new(|_| None));
            drop(world.take_lines());
            let case = format!("{fault:?} at request {index}, answered {status:?}");
            if status == Some(200) && fault != Fault::Stale {
                // An acknowledged change is correct without another delivery. After a stale read it is
                // correct once the recheck has run, which the redelivery replaces.
                assert_eq!(kept(&forgetful(&world), fault), kept(&sorted(expected), fault), "{case}");
            }
            let redelivered = world.reconcile("web").await;
            assert_eq!(redelivered.status, 200, "{case}: {:?}", redelivered.body);
            assert_eq!(kept(&forgetful(&world), fault), kept(&sorted(expected), fault), "{case}");
            world.azure.clear_calls();
            world.reconcile("web").await;
            assert!(world.writes().is_empty(), "{case}: the pass after a successful one writes");
        }
    }
    assert!(cases >= at_least * FAULTS.len(), "only {cases} cases");
    println!("{cases} faults before {expected:?}, 0 properties broken");
}

/// The record sets without previous addresses, which depend on the fault.
fn forgetful(world: &World) -> Vec<String> {
    let records = world.records().into_iter();
    records
        .map(|record| {
            let words = record.split(' ').filter(|word| !word.starts_with("previous="));
            words.filter(|word| !word.contains('@')).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// A refused delete leaves an empty record set, which counts as absent.
fn kept(records: &[String], fault: Fault) -> Vec<String> {
    let is_empty = |record: &&String| {
        [" 60  owner=", " 300  owner="].iter().any(|empty| record.contains(empty))
            || record.ends_with(" 300 ")
    };
    let is_refused = matches!(fault, Fault::Forbid | Fault::Lock);
    records.iter().filter(|record| !is_refused || !is_empty(record)).cloned().collect()
}

fn sorted(expected: &[&str]) -> Vec<String> {
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    expected.sort();
    expected
}

#[tokio::test(start_paused = true)]
async fn a_new_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| world.create("web");
    let expected = [
        "A web.spoke1.contoso.internal 60 10.1.5.4 owner=web",
        "PTR 4.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.move_to("web", 9);
    };
    let expected = [
        "A web.spoke1.contoso.internal 60 10.1.5.9 owner=web",
        "PTR 9.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 9).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_moved_twice_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.move_to("web", 9);
        world.reconcile("web").await;
        pass(100).await;
        world.move_to("web", 11);
    };
    let expected = [
        "A web.spoke1.contoso.internal 60 10.1.5.11 owner=web",
        "PTR 11.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 10).await;
}

#[tokio::test(start_paused = true)]
async fn forgetting_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.move_to("web", 9);
        world.reconcile("web").await;
        pass(400).await;
    };
    let expected = [
        "A web.spoke1.contoso.internal 60 10.1.5.9 owner=web",
        "PTR 9.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.azure.stop_group(&super::world::id("web")).unwrap();
    };
    // The empty record set reserves the name.
    check(prepare, &["A web.spoke1.contoso.internal 60  owner=web"], 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.delete("web");
    };
    check(prepare, &[], 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_take_over_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.put("A web 300 10.1.5.77");
        world.put("PTR 77.5 300 web.spoke1.contoso.internal");
        world.create("web");
    };
    let expected = [
        "A web.spoke1.contoso.internal 60 10.1.5.4 owner=web",
        "PTR 4.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 9).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_of_another_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("api");
        world.reconcile("api").await;
        world.delete("api");
        world.create("web");
    };
    let expected = [
        // The other group's own delete event has not been delivered yet.
        "A api.spoke1.contoso.internal 60 10.1.5.4 owner=api",
        "A web.spoke1.contoso.internal 60 10.1.5.4 owner=web",
        "PTR 4.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_group_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create("web");
        world.reconcile("web").await;
        world.tag("web", &[("aci-dns-hostname", "shop")]);
    };
    let expected = [
        "A shop.spoke1.contoso.internal 60 10.1.5.4 owner=web",
        "PTR 4.5.1.10.in-addr.arpa 60 shop.spoke1.contoso.internal owner=web",
    ];
    check(prepare, &expected, 8).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_with_a_name_from_a_tag_survives_a_fault_at_any_request() {
    let prepare = async |world: &World| {
        world.create_tagged("web", &[("aci-dns-hostname", "shop")]);
        world.reconcile("web").await;
        world.delete("web");
    };
    check(prepare, &[], 6).await;
}
