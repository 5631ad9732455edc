//! `--group`: one container group, by single reads.

use super::*;

#[test]
fn sync_group_corrects_one_group_or_reports_why_not() {
    let cloud = Cloud::with(&["other"]);
    cloud.create("web");
    cloud.put("A taken 10 10.1.7.7", |spec| spec.is_auto_registered = true);
    cloud.create("taken");
    cloud.create_as("never", |spec| spec.provisioning = Duration::from_hours(1));
    cloud.azure.move_group(&id("other")).unwrap();
    let sync = |name: &str, wait: &[&str]| {
        let id = id(name);
        cloud.run(&[&["sync", "--group", &id][..], wait].concat())
    };
    let changed = sync("web", &[]);
    let right = sync("web", &[]);
    assert_eq!(cloud.writes(), 2);
    let never = sync("never", &["--wait", "0"]);
    let taken = sync("taken", &[]);
    let absent = sync("absent", &[]);
    let unmapped = sync("rg-other/web", &[]);
    assert_eq!(cloud.writes(), 2);
    cloud.run(&["sync", "--group", "web"]).ends(2, "--group <ID>");
    cloud.run(&["sync", "--wait", "1"]).ends(2, "--group <ID>");
    cloud.run(&["sync", "--group", &id("web"), "--force"]).ends(2, "--force");
    check(
        "sync-group",
        &[
            ("aci-dns sync --group .../web", changed),
            ("aci-dns sync --group .../web (again)", right),
            ("aci-dns sync --group .../never --wait 0", never),
            ("aci-dns sync --group .../taken", taken),
            ("aci-dns sync --group .../absent", absent),
            ("aci-dns sync --group .../rg-other/.../web", unmapped),
        ],
    );
}

#[test]
fn plan_and_drift_of_one_group_use_single_reads() {
    let cloud = Cloud::with(&["other", "web"]);
    cloud.azure.move_group(&id("web")).unwrap();
    cloud.azure.move_group(&id("other")).unwrap();
    cloud.azure.clear_calls();
    let plan = cloud.run(&["plan", "--group", &id("web")]);
    let is_list = |path: &str| path.ends_with("/containerGroups") || path.ends_with("/PTR");
    assert!(!cloud.azure.calls().iter().any(|call| is_list(&call.path)), "nothing is listed");
    let drift = cloud.run(&["drift", "--group", &id("web")]);
    let absent = cloud.run(&["drift", "--group", &id("absent")]);
    let unmapped = cloud.run(&["plan", "--group", &id("rg-other/web")]);
    assert_eq!(cloud.writes(), 0);
    cloud.run(&["plan", "--group", "web"]).ends(2, "--group <ID>");
    cloud.run(&["drift", "--group", &id("web"), "--thorough"]).ends(2, "--thorough");
    check(
        "one-group",
        &[
            ("aci-dns plan --group .../web", plan),
            ("aci-dns drift --group .../web", drift),
            ("aci-dns drift --group .../absent", absent),
            ("aci-dns plan --group .../rg-other/.../web", unmapped),
        ],
    );
}

#[test]
fn sync_group_waits_for_the_address_until_an_interrupt() {
    let cloud = Cloud::new();
    cloud.create_as("web", |spec| spec.provisioning = Duration::from_hours(1));
    let (azure, looks) = (cloud.azure.clone(), AtomicUsize::new(0));
    cloud.azure.set_interceptor(Box::new(move |call| {
        let is_third = call.path.ends_with("/web")
            && call.path.contains("containerGroups")
            && looks.fetch_add(1, Ordering::SeqCst) == 2;
        if is_third {
            azure.complete_provisioning(&id("web")).unwrap();
        }
        None
    }));
    cloud.run(&["sync", "--group", &id("web")]).ends(0, "changed");
    assert_eq!(cloud.managed().len(), 2);

    cloud.create_as("late", |spec| spec.provisioning = Duration::from_hours(1));
    cloud.azure.clear_calls();
    let child = cloud.command(&["sync", "--group", &id("late")]).spawn().unwrap();
    wait_for("a look", || (!cloud.azure.calls().is_empty()).then_some(()));
    interrupt(&child);
    ran(child).ends(1, "interrupted");
}
