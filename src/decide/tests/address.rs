//! Design, the group's address: what each state of the container group leads to.

use super::world::check;

#[test]
fn a_deleted_group_loses_its_record_sets() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_group_that_is_being_deleted_counts_as_deleted() {
    check(
        "group deleting 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_group_with_a_public_address_loses_what_carries_its_mark() {
    check(
        "group public 20.0.0.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.5 web
        PTR 10.1.5.6 web owner=other
        owner other deleted
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: unmanaged, Public",
    );
}

#[test]
fn a_group_with_a_public_address_and_no_mark_in_dns_is_unmanaged() {
    check(
        "group public 20.0.0.4
        A web 10.1.5.4
        PTR 10.1.5.4 web
        =>
        read A web, group
        read list 1.10
        read list A
        web: unmanaged, Public",
    );
}

#[test]
fn a_group_that_is_being_provisioned_is_polled_until_it_has_an_address() {
    check(
        "rules wait=15
        group pending
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when poll: ok
        when poll: group running 10.1.5.4
        =>
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10002
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_that_is_not_assigned_in_time_is_pending_and_dns_stays() {
    check(
        "rules wait=2
        group pending
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        web: failed, address pending",
    );
    check(
        "group pending
        =>
        read A web, group
        web: failed, address pending",
    );
}

#[test]
fn provisioning_that_is_not_terminal_is_pending_whatever_address_there_is() {
    for state in ["Creating", "Updating", "Repairing", "Accepted", "Pending", "PreProvisioned", "Novel"] {
        check(&format!(
            "group running 10.1.5.4 provisioning={state}
            =>
            read A web, group
            web: failed, address pending"
        ));
    }
}

#[test]
fn an_address_that_cannot_be_used_is_pending() {
    for group in ["running", "running 0.0.0.0", "running ip=", "running ip=::1"] {
        check(&format!(
            "group {group}
            A web 10.1.5.9 owner=us
            =>
            read A web, group
            web: failed, address pending"
        ));
    }
}

#[test]
fn what_was_read_before_a_pause_is_read_again_after_it() {
    check(
        "rules wait=15
        group pending
        when poll: ok
        when poll: group running 10.1.5.4
        when read A web: ok
        when read A web: A web 10.1.5.9 owner=us
        =>
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10002
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_records_of_a_stopped_group_are_removed() {
    check(
        "group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_records_of_a_stopped_group_are_kept_where_the_rules_say_so() {
    check(
        "rules keep
        group stopped 10.1.5.4
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        web: kept",
    );
}

#[test]
fn a_group_that_ran_to_its_end_has_released_its_address() {
    for state in ["Succeeded", "Failed"] {
        check(&format!(
            "rules keep
            group running 10.1.5.4 state={state} containers=Terminated,Terminated
            =>
            read A web, group
            web: kept"
        ));
        check(&format!(
            "rules keep
            group running 10.1.5.4 state={state} containers=Terminated,Running
            A web 10.1.5.4 owner=us
            PTR 10.1.5.4 web owner=us
            =>
            read A web, group
            read PTR 10.1.5.4
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_group_that_runs_after_a_failed_deployment_has_its_address() {
    check(
        "group running 10.1.5.4 provisioning=Failed
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_group_that_runs_without_an_address_is_unmanaged_after_the_wait() {
    check(
        "rules wait=1
        group no-address
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        web: unmanaged, NoAddress",
    );
}

#[test]
fn an_ignored_group_is_not_touched() {
    check(
        "group running 10.1.5.4 ignore=true
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        unmanaged, Ignored",
    );
}

#[test]
fn a_tag_that_cannot_be_read_is_a_failure_that_names_it() {
    check(
        r#"group running 10.1.5.4 ttl=soon
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        failed, the tag aci-dns-ttl is "soon", but must be seconds from 1 to 2147483647"#,
    );
}

#[test]
fn tags_choose_name_and_ttl() {
    check(
        "group running 10.1.5.4 hostname=shop ttl=5
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 ttl=5 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 shop ttl=5 owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}
