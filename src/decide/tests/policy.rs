//! Design, settings and answers: what each policy writes, plans and withholds.

use super::world::check;

#[test]
fn upsert_only_creates_and_replaces_and_remembers_nothing() {
    check(
        "rules upsert-only
        group running 10.1.5.4
        A web 10.1.5.9 owner=us previous=10.1.5.8@9000
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.8@9000
        & read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.9",
    );
}

#[test]
fn upsert_only_forgets_nothing() {
    check(
        "rules upsert-only
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn upsert_only_keeps_an_old_name_and_the_values_that_say_it() {
    check(
        "rules upsert-only
        group running 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4
        withheld ~ PTR 10.1.5.4 shop owner=us
        withheld - A web",
    );
}

#[test]
fn upsert_only_withholds_a_deletion() {
    check(
        "rules upsert-only
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read list 1.10
        web: absent
        withheld - PTR 10.1.5.4
        withheld - A web",
    );
}

#[test]
fn adopt_only_writes_marks_and_memory_and_nothing_else() {
    check(
        "rules adopt-only
        group running 10.1.5.4
        A web 10.1.5.9 ttl=300 cost=42
        PTR 10.1.5.4 web x.org
        PTR 10.1.5.8 web
        =>
        read A web, group
        read list 1.10
        ~ A web 10.1.5.9 ttl=300 owner=us previous=10.1.5.8@10000 cost=42
        & read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        ~ PTR 10.1.5.4 web x.org owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.8",
    );
}

#[test]
fn adopt_only_creates_nothing() {
    check(
        "rules adopt-only
        group running 10.1.5.4
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn observe_plans_what_sync_would_write_and_verifies_nothing() {
    check(
        "rules observe
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
    check(
        "rules observe
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web
        web: absent",
    );
}

#[test]
fn a_dry_run_of_another_policy_plans_and_withholds_what_that_policy_would() {
    check(
        "rules upsert-only dry
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.9",
    );
}
