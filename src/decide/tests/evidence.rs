//! The heading "Evidence and confirmation" of the design.

use super::world::check;

/// The record sets of a group, and the first reads of a group that is deleted.
const MARKED: &str = "A web 10.1.5.4 owner=us
    PTR 10.1.5.4 web owner=us";

#[test]
fn without_evidence_a_404_is_not_visible_yet_and_nothing_is_searched() {
    for records in [MARKED, ""] {
        check(&format!(
            "event young
            {records}
            =>
            read A web, group
            web: failed, not visible"
        ));
    }
}

#[test]
fn after_a_failed_event_or_a_recheck_a_404_is_converged_only_without_marked_record_sets() {
    for event in ["failed", "recheck"] {
        check(&format!(
            "event {event}
            A web 10.1.5.4
            PTR 10.1.5.4 web
            =>
            read A web, group
            read list 1.10
            read list A
            web: absent"
        ));
        check(&format!(
            "event {event}
            {MARKED}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            web: failed, not visible"
        ));
        check(&format!(
            "event {event}
            PTR 10.1.5.4 web owner=us
            =>
            read A web, group
            read list 1.10
            read list A
            web: failed, not visible"
        ));
        check(&format!(
            "event {event}
            A old 10.1.5.4 owner=us
            =>
            read A web, group
            read list 1.10
            read list A
            web: failed, not visible"
        ));
    }
}

#[test]
fn after_a_delete_event_or_an_old_event_two_404s_remove_the_records() {
    for event in ["delete", "old"] {
        check(&format!(
            "event {event}
            {MARKED}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            read group again
            - PTR 10.1.5.4
            - A web
            verify
            read group
            web: absent"
        ));
    }
}

#[test]
fn after_a_delete_event_a_single_404_is_converged_without_marked_record_sets() {
    for event in ["delete", "old"] {
        check(&format!(
            "event {event}
            =>
            read A web, group
            read list 1.10
            read list A
            web: absent"
        ));
    }
}

#[test]
fn a_single_stale_404_removes_nothing_of_a_live_group() {
    check(&format!(
        "group running 10.1.5.4
        {MARKED}
        when read group: stale group deleted
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        repeat
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4"
    ));
}

#[test]
fn a_single_stale_answer_empties_no_live_name() {
    check(&format!(
        "group running 10.1.5.4
        {MARKED}
        when read group: stale group stopped 10.1.5.4
        =>
        read A web, group
        read PTR 10.1.5.4, group again
        repeat
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4"
    ));
}

#[test]
fn a_single_stale_public_address_removes_nothing_of_a_live_name() {
    check(&format!(
        "group running 10.1.5.4
        {MARKED}
        when read group: stale group public 20.0.0.4
        =>
        read A web, group
        read PTR 10.1.5.4
        read group again
        repeat
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4"
    ));
}

#[test]
fn a_single_stale_404_does_not_acknowledge_a_new_group() {
    check(
        "event young
        group running 10.1.5.4
        when read group: stale group deleted
        =>
        read A web, group
        web: failed, not visible",
    );
}

#[test]
fn a_confirmation_that_shows_other_tags_starts_the_pass_again() {
    check(
        "group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        when read group again: group stopped 10.1.5.4 ttl=5
        =>
        read A web, group
        read PTR 10.1.5.4, group again
        repeat
        read A web, group
        read PTR 10.1.5.4, group again
        ~ A web ttl=5 owner=us previous=10.1.5.4@10006
        verify
        read group, A web
        web: absent",
    );
}

#[test]
fn a_confirmation_that_fails_removes_nothing() {
    for kind in ["transient", "forbidden", "missing", "refused"] {
        check(&format!(
            "{MARKED}
            when read group again: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            read group again ({kind})
            web: failed, group again ({kind})"
        ));
        check(&format!(
            "group stopped 10.1.5.4
            {MARKED}
            when read group again: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4, group again ({kind})
            web: failed, group again ({kind})"
        ));
    }
}

#[test]
fn five_confirmations_that_differ_are_the_last() {
    let pass = "read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again";
    check(&format!(
        "group running 10.1.5.4
        {MARKED}
        always read group: stale group deleted
        =>
        {}
        web: failed, lost races",
        [pass; 5].join("\nrepeat\n")
    ));
}

#[test]
fn a_group_that_answers_404_at_the_verification_without_evidence_loses_the_ptr_of_this_invocation() {
    // A pass wrote it while the group existed; the A record set may be older.
    check(
        "event young
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when verify: group deleted
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        verify
        read group, A web
        repeat
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        read group again
        - PTR 10.1.5.4
        web: failed, not visible",
    );
}

#[test]
fn a_ptr_of_this_invocation_is_removed_under_a_chosen_name_too() {
    // A 404 has no tags: the name in the PTR record is known from the invocation.
    check(
        "event young
        group running 10.1.5.4 hostname=shop
        when verify: group deleted
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        repeat
        read A web, group
        read PTR 10.1.5.4
        read group again
        - PTR 10.1.5.4
        web: failed, not visible",
    );
}

#[test]
fn a_ptr_of_this_invocation_stays_where_the_confirmation_shows_the_group() {
    check(
        "event young
        group running 10.1.5.4
        when read group: ok
        when read group: stale group deleted
        when read group: stale group deleted
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        read PTR 10.1.5.4
        read group again
        repeat
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_group_that_cannot_be_read_is_never_absent() {
    for kind in ["transient", "forbidden", "missing", "refused"] {
        for event in ["delete", "old", "failed", "young"] {
            check(&format!(
                "event {event}
                {MARKED}
                when read group: fails {kind}
                =>
                read A web, group ({kind})
                failed, group ({kind})"
            ));
        }
    }
}
