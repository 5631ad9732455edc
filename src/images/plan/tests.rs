//! One test for each row of the table of tags, and for each rule that holds for all rows.

use serde_json::{Value, json};

use super::*;
use crate::images::push::moment;

const OLD: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
const NEW: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000002";
const NOW: &str = "2026-01-01T12:00:00Z";
/// The pushes are of this time, unless they say otherwise.
const PUSHED: &str = "2026-01-01T11:00:00Z";

/// A running group of one container, which pulled an hour before the push.
fn group(tag: &str, image: &str) -> Value {
    json!({
        "tags": {"aci-dns-image": tag},
        "properties": {
            "provisioningState": "Succeeded",
            "containers": [container(image, Some(("2026-01-01T10:00:00Z", OLD)))],
            "instanceView": {"state": "Running"},
        },
    })
}

fn container(image: &str, pull: Option<(&str, &str)>) -> Value {
    let events: Vec<Value> = pull
        .into_iter()
        .map(|(time, digest)| {
            json!({"name": "Pulling", "lastTimestamp": time, "message": format!("pulling image \"app@{digest}\"")})
        })
        .collect();
    json!({"name": "app", "properties": {"image": image, "instanceView": {
        "currentState": {"state": "Running", "startTime": "2026-01-01T10:00:10Z"}, "events": events,
    }}})
}

fn push(image: &str) -> Push {
    let image: crate::domain::image::ImageReference = image.parse().unwrap();
    Push {
        id: None,
        repository: image.repository,
        tag: image.tag,
        digest: Some(NEW.to_owned()),
        time: moment(PUSHED).unwrap(),
    }
}

fn planned(group: &Value, pushes: &[Push]) -> ImagePlan {
    planned_after(group, pushes, &[])
}

fn planned_after(group: &Value, pushes: &[Push], applied: &[AppliedTag]) -> ImagePlan {
    let id = ContainerGroupId::new("00000000-0000-0000-0000-000000000000", "rg-spoke1", "web").unwrap();
    let pushes: Vec<&Push> = pushes.iter().collect();
    plan(&id, Some(&ImageGroup::of(group)), &pushes, applied, moment(NOW).unwrap())
}

/// The plan of one push, or why there is none.
fn brief(group: &Value, push: Push) -> String {
    let plan = planned(group, &[push]);
    assert_eq!(plan.action.is_some(), plan.verdicts[0] == PushVerdict::Act);
    match &plan.verdicts[0] {
        PushVerdict::Act => plan.lines.join("; "),
        PushVerdict::Nothing { outcome, reason, .. } => format!("{outcome}: {reason}"),
        PushVerdict::Wait(reason) => format!("wait: {reason}"),
        PushVerdict::Failed(reason) => format!("failed: {reason}"),
    }
}

#[track_caller]
fn check(tag: &str, image: &str, pushed: &str, expected: &str) {
    assert_eq!(brief(&group(tag, image), push(pushed)), expected, "{tag} {image} {pushed}");
}

#[test]
fn restart_restarts_a_group_that_uses_the_pushed_tag() {
    check(
        "restart",
        "demo.azurecr.io/app:v1",
        "demo.azurecr.io/app:v1",
        "! restart rg-spoke1/web demo.azurecr.io/app:v1",
    );
    check(
        "Restart",
        "Demo.azurecr.io/App:v1",
        "demo.azurecr.io/app:v1",
        "! restart rg-spoke1/web demo.azurecr.io/app:v1",
    );
    check(
        "restart",
        "nginx",
        "docker.io/library/nginx:latest",
        "! restart rg-spoke1/web docker.io/library/nginx:latest",
    );
    check(
        "restart",
        "demo.azurecr.io/app:v1",
        "demo.azurecr.io/app:v2",
        "converged: it does not use the tag v2",
    );
    check(
        "restart",
        "demo.azurecr.io/app:v1",
        "demo.azurecr.io/app:V1",
        "converged: it does not use the tag V1",
    );
}

#[test]
fn semver_replaces_the_tag_by_a_higher_version_in_the_range() {
    let check = |image: &str, pushed: &str, expected: &str| {
        check(
            "semver:>=1.2, <2",
            &format!("demo.azurecr.io/app:{image}"),
            &format!("demo.azurecr.io/app:{pushed}"),
            expected,
        );
    };
    check("1.2.3", "1.3.0", "~ image rg-spoke1/web demo.azurecr.io/app 1.2.3 -> 1.3.0");
    check("v1.2.3", "v1.10.0", "~ image rg-spoke1/web demo.azurecr.io/app v1.2.3 -> v1.10.0");
    check("1.2.3", "1.2.3", "converged: the version 1.2.3 is not higher than its 1.2.3");
    check("1.2.3", "v1.2.3", "converged: the version v1.2.3 is not higher than its 1.2.3");
    check("1.3.0", "1.2.9", "converged: the version 1.2.9 is not higher than its 1.3.0");
    check("1.2.3", "2.0.0", "converged: the version 2.0.0 is not in the range >=1.2, <2");
    check("1.2.3", "1.4.0-rc.1", "converged: the version 1.4.0-rc.1 is not in the range >=1.2, <2");
    check("1.2.3", "1.3", "converged: the tag 1.3 is no version");
    check("1.2.3", "latest", "converged: the tag latest is no version");
    check("latest", "1.3.0", "converged: its tag latest is no version, so that no version is higher");
}

#[test]
fn glob_replaces_the_tag_by_another_one_that_matches() {
    let check = |image: &str, pushed: &str, expected: &str| {
        check(
            "glob:build-*",
            &format!("demo.azurecr.io/app:{image}"),
            &format!("demo.azurecr.io/app:{pushed}"),
            expected,
        );
    };
    check("build-7", "build-8", "~ image rg-spoke1/web demo.azurecr.io/app build-7 -> build-8");
    check("build-7", "build-7", "converged: it uses the tag build-7 already");
    check("build-7", "main", "converged: the tag main does not match build-*");
}

#[test]
fn a_group_without_the_tag_is_never_touched() {
    for tags in [json!({}), Value::Null, json!({"aci-dns-image": ""}), json!({"other": "restart"})] {
        let mut group = group("restart", "demo.azurecr.io/app:v1");
        group["tags"] = tags;
        assert_eq!(brief(&group, push("demo.azurecr.io/app:v1")), "unmanaged: it has no tag aci-dns-image");
    }
}

#[test]
fn a_bad_value_of_the_tag_names_it() {
    let text = brief(&group("latest", "demo.azurecr.io/app:v1"), push("demo.azurecr.io/app:v1"));
    assert!(text.starts_with("failed: the tag aci-dns-image is \"latest\""), "{text}");
}

#[test]
fn an_image_that_is_pinned_by_a_digest_is_never_touched() {
    for tag in ["restart", "semver:*", "glob:*"] {
        let image = format!("demo.azurecr.io/app:1.0.0@{OLD}");
        check(tag, &image, "demo.azurecr.io/app:1.0.0", "unmanaged: its image is pinned by a digest");
    }
}

#[test]
fn a_stopped_group_is_never_touched() {
    for tag in ["restart", "semver:*", "glob:*"] {
        let mut stopped = group(tag, "demo.azurecr.io/app:1.0.0");
        stopped["properties"]["instanceView"]["state"] = "Stopped".into();
        let read = brief(&stopped, push("demo.azurecr.io/app:1.0.1"));
        assert_eq!(read, "unmanaged: it is stopped; the next start pulls its images");
    }
}

#[test]
fn a_push_of_a_repository_that_no_container_uses_does_nothing() {
    let read = brief(&group("restart", "demo.azurecr.io/app:v1"), push("demo.azurecr.io/other:v1"));
    assert_eq!(read, "unmanaged: no container uses demo.azurecr.io/other");
}

#[test]
fn a_push_without_a_tag_does_nothing() {
    let untagged = Push { tag: None, ..push("demo.azurecr.io/app:v1") };
    assert_eq!(
        brief(&group("restart", "demo.azurecr.io/app:v1"), untagged),
        "converged: the push names no tag"
    );
}

#[test]
fn a_container_that_pulled_the_pushed_digest_has_pulled_since() {
    let same = |push: Push| Push { digest: Some(OLD.to_owned()), ..push };
    for (tag, pushed) in [("restart", "build-7"), ("glob:build-*", "build-8")] {
        let read = brief(
            &group(tag, "demo.azurecr.io/app:build-7"),
            same(push(&format!("demo.azurecr.io/app:{pushed}"))),
        );
        assert!(read.starts_with("converged: "), "{read}");
    }
}

#[test]
fn a_late_push_neither_restarts_a_newer_image_nor_replaces_it_by_an_older_one() {
    for (tag, pushed) in [("restart", "build-7"), ("glob:build-*", "build-6")] {
        for (time, is_late) in [("2026-01-01T09:59:59Z", true), ("2026-01-01T10:00:00Z", false)] {
            let late = Push { time: moment(time).unwrap(), ..push(&format!("demo.azurecr.io/app:{pushed}")) };
            let read = brief(&group(tag, "demo.azurecr.io/app:build-7"), late);
            assert_eq!(read.starts_with("converged: "), is_late, "{tag} {time} {read}");
        }
    }
}

#[test]
fn without_an_event_of_a_pull_the_newest_start_counts() {
    let mut group = group("restart", "demo.azurecr.io/app:v1");
    group["properties"]["containers"][0] = container("demo.azurecr.io/app:v1", None);
    let at = |time| Push { time: moment(time).unwrap(), ..push("demo.azurecr.io/app:v1") };
    assert!(brief(&group, at("2026-01-01T10:00:09Z")).starts_with("converged: "));
    assert!(brief(&group, at("2026-01-01T10:00:10Z")).starts_with("! restart "));
}

#[test]
fn the_newest_of_several_pulls_counts() {
    let mut group = group("restart", "demo.azurecr.io/app:v1");
    let events = &mut group["properties"]["containers"][0]["properties"]["instanceView"]["events"];
    let newer = json!({"name": "Pulling", "lastTimestamp": "2026-01-01T11:30:00Z", "message": "pulling image \"alpine:latest\""});
    events.as_array_mut().unwrap().insert(0, newer);
    assert!(brief(&group, push("demo.azurecr.io/app:v1")).starts_with("converged: it has pulled"));
}

#[test]
fn an_init_container_counts_as_well() {
    let mut group = group("restart", "demo.azurecr.io/app:v1");
    group["properties"]["initContainers"] =
        json!([{"name": "init", "properties": {"image": "demo.azurecr.io/init:v1"}}]);
    let read = brief(&group, push("demo.azurecr.io/init:v1"));
    assert_eq!(read, "! restart rg-spoke1/web demo.azurecr.io/init:v1");
}

#[test]
fn a_group_that_started_less_than_a_minute_ago_waits() {
    for (tag, pushed) in [("restart", "1.0.0"), ("semver:*", "1.0.1"), ("glob:*", "2")] {
        for (start, expected) in [("2026-01-01T11:59:01Z", "wait: it started"), ("2026-01-01T11:59:00Z", "")]
        {
            let mut group = group(tag, "demo.azurecr.io/app:1.0.0");
            group["properties"]["containers"][0]["properties"]["instanceView"]["currentState"]["startTime"] =
                start.into();
            let read = brief(&group, push(&format!("demo.azurecr.io/app:{pushed}")));
            assert_eq!(read.starts_with("wait: "), !expected.is_empty(), "{tag} {start} {read}");
        }
    }
}

#[test]
fn a_group_in_transition_waits_only_where_something_has_to_be_done() {
    let mut group = group("restart", "demo.azurecr.io/app:v1");
    group["properties"]["provisioningState"] = "Pending".into();
    let read = |group: &Value, push| brief(group, push);
    assert_eq!(read(&group, push("demo.azurecr.io/app:v1")), "wait: it is being provisioned or restarted");
    assert!(read(&group, push("demo.azurecr.io/app:v2")).starts_with("converged: "));
}

#[test]
fn a_burst_of_pushes_is_one_action_with_the_highest_version() {
    let pushes =
        ["1.3.0", "1.10.0", "1.4.0", "latest"].map(|tag| push(&format!("demo.azurecr.io/app:{tag}")));
    let plan = planned(&group("semver:1", "demo.azurecr.io/app:1.2.3"), &pushes);
    assert_eq!(plan.lines, ["~ image rg-spoke1/web demo.azurecr.io/app 1.2.3 -> 1.10.0"]);
    let place = ContainerPlace { is_init: false, index: 0 };
    let images = BTreeMap::from([(place, "demo.azurecr.io/app:1.10.0".to_owned())]);
    assert_eq!(plan.action, Some(Action::Replace(images)));
    let acts: Vec<bool> = plan.verdicts.iter().map(|verdict| *verdict == PushVerdict::Act).collect();
    assert_eq!(acts, [true, true, true, false]);
}

#[test]
fn of_several_tags_that_match_a_glob_the_latest_push_wins() {
    let at =
        |tag: &str, time| Push { time: moment(time).unwrap(), ..push(&format!("demo.azurecr.io/app:{tag}")) };
    let pushes = [at("b-2", "2026-01-01T11:00:02Z"), at("b-9", "2026-01-01T11:00:01Z")];
    let plan = planned(&group("glob:b-*", "demo.azurecr.io/app:b-1"), &pushes);
    assert_eq!(plan.lines, ["~ image rg-spoke1/web demo.azurecr.io/app b-1 -> b-2"]);
}

#[test]
fn a_deleted_group_is_never_touched() {
    let id = ContainerGroupId::new("00000000-0000-0000-0000-000000000000", "rg", "web").unwrap();
    let push = push("demo.azurecr.io/app:v1");
    let plan = plan(&id, None, &[&push], &[], moment(NOW).unwrap());
    assert_eq!(plan.action, None);
    assert!(matches!(&plan.verdicts[0], PushVerdict::Nothing { outcome: Outcome::Unmanaged, .. }));
}

#[test]
fn a_newer_push_than_that_of_the_current_tag_replaces_it_although_the_pull_is_later() {
    // The push of build-7 was carried out late, after build-8 had been pushed.
    let mut group = group("glob:build-*", "demo.azurecr.io/app:build-7");
    let pull = container("demo.azurecr.io/app:build-7", Some(("2026-01-01T11:30:00Z", OLD)));
    group["properties"]["containers"][0] = pull;
    let newer = [push("demo.azurecr.io/app:build-8")];
    let applied = |tag: &str, time| AppliedTag {
        place: ContainerPlace { is_init: false, index: 0 },
        tag: tag.to_owned(),
        pushed: moment(time).unwrap(),
    };
    let acts = |applied: &[AppliedTag]| planned_after(&group, &newer, applied).action.is_some();
    assert!(acts(&[applied("build-7", "2026-01-01T10:59:00Z")]));
    assert!(!acts(&[applied("build-7", "2026-01-01T11:01:00Z")]), "it is older than the current tag");
    assert!(!acts(&[applied("build-6", "2026-01-01T10:59:00Z")]), "another program replaced the tag");
    assert!(!acts(&[]));
}
