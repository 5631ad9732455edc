//! The heading "The address" of the design: the effect of each state of the container group.

use super::world::check;

#[test]
fn a_deleted_group_loses_its_record_sets_after_a_confirmation() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_group_with_a_public_address_loses_its_marked_record_sets_after_a_confirmation() {
    for ownership in ["strict", "adopt"] {
        check(&format!(
            "rules {ownership}
            group public 20.0.0.4
            A web 10.1.5.4 owner=us previous=10.1.5.5@1,10.1.5.6@1
            PTR 10.1.5.4 web owner=us
            PTR 10.1.5.5 web
            PTR 10.1.5.6 web owner=other
            owner other deleted
            =>
            read A web, group
            read PTR 10.1.5.4, PTR 10.1.5.5, PTR 10.1.5.6
            read group again
            - PTR 10.1.5.4
            - A web
            verify
            read group
            web: unmanaged, Public"
        ));
    }
}

#[test]
fn a_group_with_a_public_address_loses_its_record_sets_after_any_event() {
    check(
        "event young
        group public 20.0.0.4
        A web 10.1.5.4 owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        read group again
        - A web
        verify
        read group
        web: unmanaged, Public",
    );
}

#[test]
fn a_group_with_a_public_address_loses_the_record_sets_at_a_chosen_name_and_at_its_own() {
    check(
        "group public 20.0.0.4 hostname=shop
        A web 10.1.5.9 owner=us
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read A shop, PTR 10.1.5.9
        read PTR 10.1.5.4
        read group again
        - PTR 10.1.5.4
        & - PTR 10.1.5.9
        - A shop
        & - A web
        verify
        read group
        shop: unmanaged, Public",
    );
}

#[test]
fn a_group_with_a_public_address_and_no_mark_at_its_name_is_unmanaged_and_no_zone_is_listed() {
    for ownership in ["strict", "adopt"] {
        check(&format!(
            "rules {ownership}
            group public 20.0.0.4
            A web 10.1.5.4
            PTR 10.1.5.4 web
            =>
            read A web, group
            web: unmanaged, Public"
        ));
    }
}

#[test]
fn a_group_in_a_standby_pool_is_unmanaged_at_once_and_dns_stays() {
    check(
        "rules wait=15
        group running 10.1.5.4 provisioning=PreProvisioned
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        web: unmanaged, StandbyPool",
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
    for state in ["Creating", "Updating", "Repairing", "Accepted", "Pending", "Novel", ""] {
        check(&format!(
            "group running 10.1.5.4 provisioning={state}
            A web 10.1.5.9 owner=us
            =>
            read A web, group
            web: failed, address pending"
        ));
    }
    check(
        "group stopped 10.1.5.4 provisioning=Updating
        A web 10.1.5.4 owner=us
        =>
        read A web, group
        web: failed, address pending",
    );
}

#[test]
fn a_group_that_is_being_deleted_is_polled_and_dns_stays() {
    check(
        "rules wait=1
        group deleting 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        poll
        read A web, group
        poll
        read A web, group
        web: failed, deleting",
    );
    check(
        "rules wait=15
        group deleting 10.1.5.4
        A web 10.1.5.4 owner=us
        when poll: group deleted
        =>
        read A web, group
        poll
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - A web
        verify
        read group
        web: absent",
    );
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
fn reads_before_a_pause_are_repeated_after_it() {
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
fn the_name_of_a_stopped_group_stays_reserved_by_an_empty_record_set_and_its_ptr_is_removed() {
    for state in ["stopped 10.1.5.4", "running 10.1.5.4 state=Terminated"] {
        check(&format!(
            "group {state}
            A web 10.1.5.4 owner=us cost=42
            PTR 10.1.5.4 web owner=us
            =>
            read A web, group
            read PTR 10.1.5.4, group again
            ~ A web owner=us previous=10.1.5.4@10003 cost=42
            - PTR 10.1.5.4
            verify
            read group, A web
            web: absent"
        ));
    }
}

#[test]
fn the_records_of_a_stopped_group_are_kept_if_the_rules_say_so() {
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
fn an_ended_group_without_a_restart_has_released_its_address() {
    for (restart, containers) in [
        ("Never", "Terminated:0,Terminated:1"),
        ("Never", "Terminated"),
        ("OnFailure", "Terminated:0,Terminated:0"),
    ] {
        for state in ["Succeeded", "Failed"] {
            check(&format!(
                "group running 10.1.5.4 state={state} restart={restart} containers={containers}
                A web 10.1.5.4 owner=us
                =>
                read A web, group
                read PTR 10.1.5.4, group again
                ~ A web owner=us previous=10.1.5.4@10003
                verify
                read group, A web
                web: absent"
            ));
        }
    }
}

#[test]
fn a_group_between_two_restarts_keeps_its_address_and_its_records() {
    // The first is the state of the recording `test_container_create_msi-012`.
    for group in [
        "state=Succeeded restart=Always containers=Terminated:0",
        "state=Succeeded containers=Terminated:0",
        "state=Failed restart=Always containers=Terminated:1",
        "state=Failed restart=OnFailure containers=Terminated:1,Terminated:0",
        "state=Failed restart=OnFailure containers=Terminated",
        "state=Succeeded restart=Never containers=Terminated:0,Running",
        "state=Pending",
        "state=Waiting",
    ] {
        check(&format!(
            "group running 10.1.5.4 {group}
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
fn a_group_between_two_restarts_without_an_address_is_pending() {
    for ip in ["ip=", "ip=0.0.0.0"] {
        check(&format!(
            "group running {ip} state=Succeeded restart=Always containers=Terminated:0
            A web 10.1.5.4 owner=us
            =>
            read A web, group
            web: failed, address pending"
        ));
    }
    check(
        "group no-address state=Succeeded restart=Always containers=Terminated:0
        A web 10.1.5.4 owner=us
        =>
        read A web, group
        web: failed, address pending",
    );
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
fn a_group_whose_deployment_failed_without_an_address_is_unmanaged_after_the_wait_and_dns_stays() {
    for group in ["no-address provisioning=Failed", "running ip= provisioning=Failed"] {
        check(&format!(
            "rules wait=1
            group {group}
            A web 10.1.5.9 owner=us
            =>
            read A web, group
            poll
            read A web, group
            poll
            read A web, group
            web: unmanaged, ProvisioningFailed"
        ));
    }
}

#[test]
fn a_group_that_runs_without_an_address_is_unmanaged_after_the_wait_and_dns_stays() {
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
    check(
        "rules wait=15
        group no-address
        when poll: group running 10.1.5.4
        =>
        read A web, group
        poll
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
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
fn a_deleted_group_that_was_ignored_loses_only_marked_record_sets() {
    // The record sets of an ignored group were written by a person and carry no mark.
    for ownership in ["strict", "adopt"] {
        check(&format!(
            "rules {ownership}
            A web 10.1.5.9
            PTR 10.1.5.9 web
            =>
            read A web, group
            read list 1.10
            read list A
            web: absent"
        ));
    }
}

#[test]
fn an_invalid_tag_is_a_failure_that_names_it() {
    check(
        r#"group running 10.1.5.4 ttl=soon
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        failed, the tag aci-dns-ttl is "soon", but must be seconds from 1 to 86400"#,
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
