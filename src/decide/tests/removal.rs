//! Design, plan and apply: what is removed of a deleted group, found how, and in which order.

use super::world::check;

#[test]
fn nothing_that_carries_the_mark_is_found_by_lists_and_nothing_is_written() {
    check(
        "PTR 10.1.5.4 x.org
        =>
        read A web, group
        read list 1.10
        read list A
        web: absent",
    );
}

#[test]
fn a_ptr_goes_wherever_a_list_finds_it_and_values_of_others_stay() {
    check(
        "zones spoke1.internal 1.10 2.10
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web x.org owner=us
        PTR 10.1.5.7 web api owner=third
        PTR 10.2.0.9 web
        PTR 10.2.0.8 x.org
        =>
        read A web, group
        read list 1.10, list 2.10
        read owner third
        ~ PTR 10.1.5.4 x.org
        & - PTR 10.2.0.9
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_ptr_of_another_group_loses_our_value_once_that_group_is_deleted_too() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.7 web api owner=third
        owner third deleted
        =>
        read A web, group
        read list 1.10
        read owner third
        ~ PTR 10.1.5.7 api owner=third
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn strict_leaves_unmarked_record_sets_alone() {
    check(
        "rules strict
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web
        PTR 10.1.5.7 web owner=us
        PTR 10.1.5.8 web owner=third
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.7
        - A web
        verify
        read group
        web: absent",
    );
    check(
        "rules strict
        A web 10.1.5.4
        PTR 10.1.5.4 web
        =>
        read A web, group
        read list 1.10
        read list A
        web: absent",
    );
}

#[test]
fn adopt_removes_an_unmarked_a_record_set_at_the_own_name_and_the_ptrs_that_name_it() {
    check(
        "A web 10.1.5.4
        PTR 10.1.5.4 web
        =>
        read A web, group
        read list 1.10
        read list A
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn an_a_record_set_of_another_owner_stays_and_a_ptr_of_ours_that_says_its_name_goes() {
    for set in ["A web 10.1.5.9 owner=other", "A web 10.1.5.9 auto"] {
        check(&format!(
            "{set}
            PTR 10.1.5.4 web owner=us
            PTR 10.1.5.9 web
            =>
            read A web, group
            read list 1.10
            read list A
            - PTR 10.1.5.4
            verify
            read group
            web: absent"
        ));
    }
}

#[test]
fn an_a_record_set_that_is_known_only_from_a_ptr_goes_before_that_ptr() {
    check(
        "A web 10.1.5.4 owner=us
        A old 10.1.5.4 owner=us
        PTR 10.1.5.4 old web owner=us
        =>
        read A web, group
        read list 1.10
        read A old
        - A old
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_name_that_a_ptr_of_ours_says_and_that_has_no_a_record_set_counts_as_ours() {
    check(
        "PTR 10.1.5.4 old x.org owner=us
        PTR 10.1.5.7 old
        =>
        read A web, group
        read list 1.10
        read A old
        read list A
        ~ PTR 10.1.5.4 x.org
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_forward_zone_is_listed_where_nothing_else_was_found() {
    check(
        "A old 10.1.5.4 owner=us
        A alias 10.1.5.4
        PTR 10.1.5.4 old
        =>
        read A web, group
        read list 1.10
        read list A
        - PTR 10.1.5.4
        - A old
        verify
        read group
        web: absent",
    );
}

#[test]
fn the_forward_zone_is_listed_where_there_is_no_reverse_zone() {
    check(
        "zones spoke1.internal
        A web 10.1.5.4 owner=us
        A old 10.1.5.9 owner=us
        =>
        read A web, group
        read list A
        - A old
        & - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_name_that_is_known_from_elsewhere_is_removed() {
    check(
        "lookup old
        A web 10.1.5.4 owner=us
        A old 10.1.5.9 owner=us
        =>
        read A web, group
        read A old, list 1.10
        - A old
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_stopped_group_loses_the_record_sets_at_a_chosen_name_and_at_its_own() {
    check(
        "group stopped 10.1.5.4 hostname=shop
        A web 10.1.5.9 owner=us
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read A shop, list 1.10
        - PTR 10.1.5.4
        & - PTR 10.1.5.9
        - A shop
        & - A web
        verify
        read group
        shop: absent",
    );
}

#[test]
fn an_unmarked_a_record_set_at_a_chosen_name_stays() {
    check(
        "group stopped 10.1.5.4 hostname=shop
        A shop 10.1.5.4
        PTR 10.1.5.4 shop
        =>
        read A web, group
        read A shop, list 1.10
        read list A
        shop: absent",
    );
}

#[test]
fn a_ptr_of_ours_in_a_shorter_reverse_zone_goes_too() {
    check(
        "zones spoke1.internal 10 1.10
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.4/10 web owner=us
        =>
        read A web, group
        read list 10, list 1.10
        - PTR 10.1.5.4/10
        & - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_removal_that_another_writer_interrupts_removes_what_that_writer_wrote() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when write A web: A web 10.1.5.6 owner=us
        =>
        read A web, group
        read list 1.10
        - PTR 10.1.5.4
        - A web (race)
        repeat
        read A web, group
        read list 1.10
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
        read list 1.10
        - PTR 10.1.5.4
        - A web (uncertain)
        repeat
        read A web, group
        read list 1.10
        read list A
        web: absent",
    );
}
