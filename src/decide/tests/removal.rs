//! The heading "Order of writes" of the design, a deleted group: what is found, what is removed, and in which
//! order.

use super::world::check;

#[test]
fn without_a_mark_in_the_lists_nothing_is_written() {
    check(
        "PTR 10.1.5.4 x.org
        A alias 10.1.5.4
        =>
        read A web, group
        read list 1.10
        read list A
        web: absent",
    );
}

#[test]
fn only_marked_record_sets_are_removed() {
    for ownership in ["strict", "adopt"] {
        check(&format!(
            "rules {ownership}
            A web 10.1.5.4
            PTR 10.1.5.4 web
            PTR 10.1.5.7 web owner=us
            PTR 10.1.5.8 web owner=third
            =>
            read A web, group
            read list 1.10
            read list A
            read group again
            - PTR 10.1.5.7
            verify
            read group
            web: absent"
        ));
    }
}

#[test]
fn an_unmarked_a_record_set_is_never_deleted() {
    for ownership in ["strict", "adopt", "adopt-tagged"] {
        check(&format!(
            "rules {ownership}
            A web 10.1.5.4
            A old 10.1.5.4
            PTR 10.1.5.4 web old
            =>
            read A web, group
            read list 1.10
            read list A
            web: absent"
        ));
    }
}

#[test]
fn a_ptr_in_any_list_is_removed_and_foreign_values_stay() {
    check(
        "zones spoke1.internal 1.10 2.10
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web x.org owner=us
        PTR 10.1.5.7 web api owner=third
        PTR 10.2.0.9 web owner=us
        PTR 10.2.0.8 x.org
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10, list 2.10
        read group again
        ~ PTR 10.1.5.4 x.org
        & - PTR 10.2.0.9
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_ptr_that_the_list_shows_and_the_single_read_missed_goes_before_the_a_record_set() {
    check(
        "A web 10.1.5.4 owner=us
        when read list 1.10: PTR 10.1.5.4 web owner=us
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
fn an_a_record_set_that_the_list_shows_and_the_single_read_missed_is_not_absent() {
    check(
        "A web 10.1.5.4 owner=us
        when read A web: stale A web -
        =>
        read A web, group
        read list 1.10
        read list A
        read PTR 10.1.5.4, group again
        - A web
        verify
        read group
        web: absent",
    );
    // Without enough evidence the work is not done, so a retry follows.
    for event in ["failed", "recheck"] {
        check(&format!(
            "event {event}
            A web 10.1.5.4 owner=us
            when read A web: stale A web -
            =>
            read A web, group
            read list 1.10
            read list A
            web: failed, not visible"
        ));
    }
}

#[test]
fn a_ptr_whose_name_is_no_address_is_removed_too() {
    check(
        "A web 10.1.5.4 owner=us
        PTR printer/1.10 web x.org owner=us
        PTR 4.5.6/1.10 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 4.5.6/1.10
        & ~ PTR printer/1.10 x.org
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn adopt_removes_unmarked_ptr_values_that_name_our_a_record_set() {
    check(
        "rules adopt
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web x.org
        PTR 10.1.5.7 web
        PTR 10.1.5.8 web creator=x
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        ~ PTR 10.1.5.4 x.org
        & - PTR 10.1.5.7
        - A web
        verify
        read group
        web: absent",
    );
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web x.org
        PTR 10.1.5.7 web
        =>
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
fn a_public_group_keeps_unmarked_ptr_values_in_adopt_too() {
    check(
        "rules adopt
        group public 20.0.0.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web
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
fn nothing_of_a_public_group_is_removed_while_a_ptr_cannot_be_read() {
    check(
        "group public 20.0.0.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 web owner=us
        when read PTR 10.1.5.9: fails transient
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9 (transient)
        web: failed, PTR 10.1.5.9 (transient)",
    );
}

#[test]
fn a_ptr_of_another_group_keeps_its_values() {
    for owner in ["deleted", "running 10.1.5.7"] {
        check(&format!(
            "A web 10.1.5.4 owner=us
            PTR 10.1.5.7 web api owner=third
            owner third {owner}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            read group again
            - A web
            verify
            read group
            web: absent"
        ));
    }
}

#[test]
fn a_foreign_a_record_set_stays_and_our_ptr_with_its_name_is_removed() {
    for set in [
        "A web 10.1.5.9 owner=other",
        "A web 10.1.5.9 auto",
        "A web 10.1.5.9 creator=x",
        "A web 10.1.5.9 owner=other
        owner other deleted",
    ] {
        check(&format!(
            "rules adopt
            {set}
            PTR 10.1.5.4 web owner=us
            PTR 10.1.5.9 web
            =>
            read A web, group
            read list 1.10
            read list A
            read group again
            - PTR 10.1.5.4
            verify
            read group
            web: absent"
        ));
    }
}

#[test]
fn an_a_record_set_known_only_from_a_ptr_is_removed_before_that_ptr() {
    check(
        "A web 10.1.5.4 owner=us
        A old 10.1.5.4 owner=us
        PTR 10.1.5.4 old web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read A old
        read group again
        - A old
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_name_in_our_ptr_without_an_a_record_set_counts_as_ours_there() {
    check(
        "rules adopt
        PTR 10.1.5.4 old x.org owner=us
        PTR 10.1.5.7 old
        =>
        read A web, group
        read list 1.10
        read A old
        read list A
        read group again
        ~ PTR 10.1.5.4 x.org
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_forward_zone_is_listed_if_nothing_else_was_found() {
    check(
        "rules adopt
        A old 10.1.5.4 owner=us
        A alias 10.1.5.4
        PTR 10.1.5.4 old
        PTR 10.1.5.5 alias
        =>
        read A web, group
        read list 1.10
        read list A
        read PTR 10.1.5.4, group again
        - PTR 10.1.5.4
        - A old
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_forward_zone_is_listed_without_reverse_zones() {
    check(
        "zones spoke1.internal
        A web 10.1.5.4 owner=us
        A old 10.1.5.9 owner=us
        =>
        read A web, group
        read list A
        read group again
        - A old
        & - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_name_of_an_extra_lookup_is_removed() {
    check(
        "lookup old
        A web 10.1.5.4 owner=us
        A old 10.1.5.9 owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, A old, list 1.10
        read PTR 10.1.5.9
        read group again
        - A old
        & - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_forward_zone_is_listed_if_the_own_record_set_is_empty() {
    check(
        "lock spoke1.internal
        A web owner=us
        A old 10.1.5.9 owner=us
        =>
        read A web, group
        read list 1.10
        read list A
        read PTR 10.1.5.9, group again
        - A old (refused)
        & - A web (refused)
        ~ A old owner=us
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_empty_record_set_of_a_stopped_group_is_removed_with_the_group() {
    check(
        "A web owner=us previous=10.1.5.4@1
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
fn our_ptr_in_a_shorter_reverse_zone_is_removed_too() {
    check(
        "zones spoke1.internal 10 1.10
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.4/10 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 10, list 1.10
        read group again
        - PTR 10.1.5.4
        & - PTR 10.1.5.4/10
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn an_interrupted_removal_removes_the_records_of_the_other_writer() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when write A web: A web 10.1.5.6 owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web (race)
        repeat
        read A web, group
        read PTR 10.1.5.6, PTR 10.1.5.4, list 1.10
        read group again
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_name_whose_deletion_lost_its_answer_still_counts_as_ours() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when write A web: lost
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web (uncertain)
        repeat
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read list A
        web: absent",
    );
}

#[test]
fn a_verification_after_a_removal_covers_held_and_previous_addresses() {
    check(
        "A web 10.1.5.9 owner=us previous=10.1.5.8@1
        when verify: group running 10.1.5.4
        when read A web: ok
        when read A web: PTR 10.1.5.8 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.9, PTR 10.1.5.8, list 1.10
        read group again
        - A web
        verify
        read group
        repeat
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.8
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_version_that_this_invocation_deleted_is_never_read_as_existing() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when verify: group running 10.1.5.4
        when read A web: ok
        when read A web: stale
        when read PTR 10.1.5.4: ok
        when read PTR 10.1.5.4: stale
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web
        verify
        read group
        repeat
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}
