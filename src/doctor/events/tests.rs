//! Filters of event subscriptions.

use super::*;

fn condition(operator: &str, key: &str, values: &[&str]) -> Condition {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Condition { operator: operator.to_owned(), key: key.to_owned(), values }
}

/// The events that the reconciler needs and the filter excludes, and the unknown conditions.
fn check(filter: &Filter, kept_out: &[&str], unknown: &[&str]) {
    let function = Subscriber {
        title: RECONCILE,
        name: report::RECONCILE,
        state: Severity::Problem,
        impact: "",
        is_writer: true,
        keeps_stopped: false,
    };
    let blocked = function.blocked(filter, &[Scope::new("s1", Some("rg-spoke1"))]);
    let mut found = blocked.excluded_names();
    found.extend(blocked.excludes_tags.then(|| "tags".to_owned()));
    found.extend(blocked.excludes_spellings.then(|| "spellings".to_owned()));
    let short = |name: &String| name.replace("Microsoft.Resources.Resource", "");
    assert_eq!(found.iter().map(short).collect::<Vec<_>>(), kept_out, "{filter:?}");
    assert_eq!(blocked.unknown.into_iter().collect::<Vec<_>>(), unknown, "{filter:?}");
}

fn with(condition: Condition) -> Filter {
    Filter { advanced: vec![condition], ..Filter::default() }
}

const ALL: [&str; 9] = [
    "ActionCancel",
    "ActionFailure",
    "ActionSuccess",
    "DeleteCancel",
    "DeleteFailure",
    "DeleteSuccess",
    "WriteCancel",
    "WriteFailure",
    "WriteSuccess",
];
fn contains(text: &str) -> Filter {
    with(condition("StringContains", "subject", &[text]))
}

#[test]
fn a_filter_is_judged_by_what_it_lets_through() {
    check(&Filter::default(), &[], &[]);
    check(&contains(CONTAINER_GROUPS), &[], &[]);
    check(&contains(&CONTAINER_GROUPS.to_lowercase()), &[], &[]);
    check(&contains("/providers/Microsoft.Compute/"), &ALL, &[]);
    check(&with(condition("stringnotcontains", "Subject", &["/containerGroups/"])), &ALL, &[]);
    check(
        &with(condition("StringIn", "data.resourceProvider", &["Microsoft.ContainerInstance"])),
        &["tags"],
        &[],
    );
    let writes = ["Microsoft.ContainerInstance/containerGroups/write"];
    let kept_out = [&ALL[..6], &["tags"]].concat();
    check(&with(condition("StringContains", "data.operationName", &writes)), &kept_out, &[]);
    let succeeded = with(condition("StringIn", "data.status", &["Succeeded"]));
    let failed: Vec<_> = ALL.into_iter().filter(|name| !name.ends_with("Success")).collect();
    check(&succeeded, &failed, &[]);
}

#[test]
fn types_and_subjects_are_checked_too() {
    let types = ["Microsoft.Resources.ResourceWriteSuccess".to_owned()].to_vec();
    check(&Filter { event_types: types, ..Filter::default() }, &ALL[..8], &[]);
    let begins = |start: &str, is_case_sensitive| Filter {
        subject_begins_with: start.to_owned(),
        is_case_sensitive,
        ..Filter::default()
    };
    check(&begins("/subscriptions/s1/resourcegroups/RG-SPOKE1/", false), &[], &[]);
    check(&begins("/subscriptions/s1/resourcegroups/RG-SPOKE1/", true), &ALL, &[]);
    check(&begins("/subscriptions/s1/resourceGroups/rg-spoke1/", true), &["spellings"], &[]);
    check(&begins("/subscriptions/s1/resourceGroups/rg-spoke2/", false), &ALL, &[]);
    check(&Filter { subject_ends_with: "/web".to_owned(), ..Filter::default() }, &ALL, &[]);
}

#[test]
fn excluded_operations_are_named() {
    let listed = ["write", "delete", "restart/action", "start/action"]
        .map(|end| format!("Microsoft.ContainerInstance/containerGroups/{end}"));
    let listed: Vec<_> = listed.iter().map(String::as_str).collect();
    let stop = ["stop (ActionCancel)", "stop (ActionFailure)", "stop (ActionSuccess)", "tags"];
    check(&with(condition("StringIn", "data.operationName", &listed)), &stop, &[]);
}

#[test]
fn a_filter_for_names_passes_only_some_groups() {
    let start = format!("/subscriptions/s1/resourceGroups/rg-spoke1{CONTAINER_GROUPS}web");
    let filter = Filter { subject_begins_with: start, ..Filter::default() };
    check(&filter, &ALL, &[]);
    assert_eq!(begins_with(&filter), " of container groups whose names do not begin with \"web\"");
    assert_eq!(begins_with(&contains("web")), "");
}

#[test]
fn conditions_that_cannot_be_evaluated_are_unknown() {
    check(&with(condition("NumberIn", "data.size", &["1"])), &[], &["NumberIn data.size"]);
    check(&with(condition("StringEndsWith", "subject", &["/web"])), &[], &["StringEndsWith subject"]);
}
