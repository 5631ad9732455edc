//! `plan --out` and `sync FILE`: what was reviewed is done, and nothing else.

use std::{fs, path::PathBuf};

use super::*;

fn file(folder: &tempfile::TempDir) -> (PathBuf, String) {
    let path = folder.path().join("plan.json");
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

/// The lines of a diff that are changes.
fn changes(cloud: &Cloud) -> String {
    let plan = cloud.run(&["plan"]).stdout;
    plan.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reviewed_changes_are_made_without_a_question() {
    let cloud = Cloud::with(&["one", "two"]);
    cloud.address("one", [10, 1, 5, 30]);
    let folder = tempfile::tempdir().unwrap();
    let (path, plan) = file(&folder);
    cloud.run(&["plan", "--out", &plan]).ends(3, "Record sets: 1 added, 1 altered, 1 removed");
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&written["version"], &written["takeover"]), (&json!(1), &json!("configured")));
    let group = &written["groups"][0];
    assert_eq!(group["id"], json!(id("one")));
    let etags = group["changes"].as_array().unwrap().iter().filter(|change| change["etag"].is_string());
    assert_eq!(etags.count(), 2, "{written:#}");
    // Work that came later was not reviewed.
    cloud.create("later");
    cloud.azure.clear_calls();
    let ran = cloud.run(&["sync", &plan]);
    ran.ends(0, "1 repaired");
    assert!(cloud.managed().iter().any(|set| set.starts_with("A one.") && set.ends_with("10.1.5.30")));
    assert!(!cloud.managed().iter().any(|set| set.contains("later")), "{}", ran.text());
    cloud.azure.clear_calls();
    cloud.run(&["sync", &plan]).ends(0, "");
    assert_eq!(cloud.writes(), 0);
}

#[test]
fn a_group_whose_record_set_has_another_etag_is_left_as_it_is() {
    let cloud = Cloud::with(&["one", "two"]);
    cloud.address("one", [10, 1, 5, 30]);
    cloud.address("two", [10, 1, 5, 31]);
    let folder = tempfile::tempdir().unwrap();
    let (_, plan) = file(&folder);
    cloud.run(&["plan", "--out", &plan]).ends(3, "");
    let before = changes(&cloud);
    // The content stays, and the ETag changes.
    touch(&cloud, "one", |_| ());
    assert_eq!(changes(&cloud), before);
    let ran = cloud.run(&["sync", &plan]);
    ran.ends(1, "rg-spoke1/one: the group or its record sets changed after the plan");
    ran.ends(1, "1 repaired");
    let managed = cloud.managed();
    assert!(managed.iter().any(|set| set.starts_with("A one.") && !set.ends_with("10.1.5.30")));
    assert!(managed.iter().any(|set| set.starts_with("A two.") && set.ends_with("10.1.5.31")));
}

/// Writes the A record set of a group again.
fn touch(cloud: &Cloud, name: &str, describe: impl FnOnce(&mut RecordSetSpec)) {
    touch_in(&cloud.azure, &cloud.record_sets(), name, describe);
}

fn touch_in(azure: &Azure, sets: &[RecordSetView], name: &str, describe: impl FnOnce(&mut RecordSetSpec)) {
    let set = sets.iter().find(|set| set.record_type == "A" && set.name == name).unwrap();
    let values: Vec<&str> = set.values.iter().map(String::as_str).collect();
    let mut spec = RecordSetSpec::new("A", &set.name, &values);
    spec.ttl = set.ttl;
    spec.metadata.clone_from(&set.metadata);
    describe(&mut spec);
    azure.put_record_set(&set.zone, &spec).unwrap();
}

#[test]
fn a_change_during_the_sync_is_not_overwritten() {
    let cloud = Cloud::with(&["one"]);
    cloud.address("one", [10, 1, 5, 30]);
    let folder = tempfile::tempdir().unwrap();
    let (_, plan) = file(&folder);
    cloud.run(&["plan", "--out", &plan]).ends(3, "");
    let (azure, sets, count) = (cloud.azure.clone(), cloud.record_sets(), AtomicUsize::new(0));
    cloud.azure.set_interceptor(Box::new(move |call| {
        let is_write = call.method == Method::PUT && call.path.ends_with("/A/one");
        if is_write && count.fetch_add(1, Ordering::SeqCst) == 0 {
            touch_in(&azure, &sets, "one", |spec| spec.ttl = 999);
        }
        None
    }));
    let ran = cloud.run(&["sync", &plan]);
    ran.ends(1, "the reviewed plan does not contain this change");
    assert!(cloud.managed().iter().any(|set| set.starts_with("A one.") && set.contains(" 999 ")));
}

#[test]
fn a_file_that_is_no_plan_is_named() {
    let cloud = Cloud::new();
    let folder = tempfile::tempdir().unwrap();
    let (path, plan) = file(&folder);
    cloud.run(&["sync", &plan]).ends(2, "plan.json: No such file");
    fs::write(&path, r#"{"version": 2}"#).unwrap();
    cloud.run(&["sync", &plan]).ends(2, "not a plan of version 1; write one with aci-dns plan --out");
    fs::write(&path, r#"{"version": 1, "takeover": "all"}"#).unwrap();
    cloud.run(&["sync", &plan]).ends(2, "a member is missing");
    assert!(cloud.azure.calls().is_empty());
}

#[test]
fn sync_reports_plan_and_results_as_json() {
    let cloud = Cloud::new();
    cloud.create("web");
    let ran = cloud.run(&["sync", "--yes", "--output", "json"]);
    let json = ran.json();
    assert_eq!((ran.code, &json["left"]), (0, &json!(0)));
    assert_eq!(json["results"][0]["outcome"], "changed");
    assert_eq!(json["plan"]["groups"][0]["plan"].as_array().unwrap().len(), 2);
    let again = cloud.run(&["sync", "--group", &id("web"), "--output", "json"]);
    assert_eq!((again.code, &again.json()["results"][0]["outcome"]), (0, &json!("converged")));
}
