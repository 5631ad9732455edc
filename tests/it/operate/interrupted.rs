//! `sync` that is killed or interrupted: the next run completes it.

use super::*;

/// An Azure in which a sync creates, moves and removes record sets.
fn unsettled() -> Cloud {
    let cloud = Cloud::with(&["gone", "moved", "right", "b1", "b2", "b3"]);
    cloud.create("new");
    cloud.address("moved", [10, 1, 5, 30]);
    cloud.azure.delete_group(&id("gone")).unwrap();
    cloud.put("PTR 88.5 60 printer.example.org", |_| ());
    cloud.put("A printer 3600 10.1.5.88", |spec| _ = spec.metadata.insert("room".to_owned(), "7".to_owned()));
    cloud.azure.clear_calls();
    cloud
}

#[test]
fn a_sync_killed_at_any_write_is_resumed_by_the_next_one() {
    let whole = unsettled();
    whole.run(&["sync", "--yes", "--force"]).ends(0, "3 repaired");
    let (writes, expected) = (whole.writes(), whole.managed());
    assert_eq!(writes, 7);
    for (kill, when) in (0..writes).flat_map(|kill| [(kill, When::Before), (kill, When::After)]) {
        let cloud = unsettled();
        let others = foreign(&cloud);
        let (sender, struck) = mpsc::channel();
        let (count, sender, gate) = (AtomicUsize::new(0), Mutex::new(sender), Gate::new());
        let closed = gate.clone();
        cloud.azure.set_interceptor(Box::new(move |call| {
            let is_struck = call.method != Method::GET && count.fetch_add(1, Ordering::SeqCst) == kill;
            is_struck.then(|| {
                sender.lock().unwrap().send(()).unwrap();
                Effect::Hold(when, closed.clone())
            })
        }));
        let mut child = cloud.command(&["sync", "--yes", "--force"]).spawn().unwrap();
        struck.recv_timeout(Duration::from_mins(1)).unwrap();
        child.kill().unwrap();
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        child.wait().unwrap();
        // Requests that had arrived are still processed.
        gate.release();
        wait_for("the write that was held", || {
            cloud.azure.calls().iter().all(|call| call.status.is_some()).then_some(())
        });
        cloud.run(&["sync", "--yes", "--force"]).ends(0, "");
        assert_eq!(
            (cloud.managed(), foreign(&cloud)),
            (expected.clone(), others),
            "killed at {kill}, {when:?}"
        );
        cloud.azure.clear_calls();
        cloud.run(&["sync", "--yes"]).ends(0, "6 correct");
        assert_eq!(cloud.writes(), 0, "killed at {kill}, {when:?}");
    }
}

#[test]
fn an_interrupted_sync_finishes_the_current_group_and_reports_the_rest() {
    let cloud = Cloud::new();
    for name in ["a", "b", "c"] {
        cloud.create(name);
    }
    let gate = cloud.azure.hold(Method::PUT, "/A/a", When::Before);
    let child = cloud.command(&["sync", "--yes"]).spawn().unwrap();
    wait_for("the first write", || {
        cloud.azure.calls().iter().any(|call| call.method == Method::PUT).then_some(())
    });
    interrupt(&child);
    // Two more groups would take many more round trips than the delivery of a signal.
    gate.release();
    let ran = ran(child);
    ran.ends(1, "left");
    assert_eq!(cloud.managed().len() % 2, 0, "{}", ran.text());
    cloud.run(&["sync", "--yes"]).ends(0, "repaired");
    assert_eq!(cloud.managed().len(), 6);
}
