//! Design, observe, and plan and apply: what is read and written for a live group, and in which order.

use super::world::check;

#[test]
fn a_new_group_gets_its_a_record_set_while_the_ptr_is_read_and_then_its_ptr() {
    check(
        "group running 10.1.5.4
        =>
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
fn where_nothing_is_to_be_done_the_ptrs_that_matter_are_read_and_nothing_is_verified() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9900,192.168.0.9@9900
        PTR 10.1.5.4 web owner=us
        lookup 10.1.5.7
        written 10.1.5.6
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.6, PTR 10.1.5.7, PTR 10.1.5.8
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_move_replaces_the_a_record_set_first_and_then_both_ptrs_together() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us cost=42
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000 cost=42
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_that_comes_back_is_remembered_no_longer() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us previous=10.1.5.4@9900
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_is_forgotten_five_minutes_after_a_move_when_its_ptr_was_seen_clean() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9701,10.1.5.9@9700
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 x.org
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        ~ A web 10.1.5.4 owner=us previous=10.1.5.8@9701
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_longer_memory_is_waited_for() {
    check(
        "rules memory=600
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@9401
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_in_no_reverse_zone_is_forgotten_without_a_read() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=192.168.0.9@1
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ A web 10.1.5.4 owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_whose_ptr_could_not_be_read_is_not_forgotten() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        when read PTR 10.1.5.9: fails forbidden
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9 (forbidden)
        web at 10.1.5.4: failed, PTR 10.1.5.9 (forbidden)",
    );
}

#[test]
fn an_address_that_no_reverse_zone_contains_fails_and_the_a_record_set_is_repaired() {
    check(
        "group running 192.168.0.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 192.168.0.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.9
        - PTR 10.1.5.9
        web at 192.168.0.4: failed, no reverse zone for 192.168.0.4 of web.spoke1.internal",
    );
}

#[test]
fn without_reverse_zones_there_are_no_ptrs() {
    check(
        "zones spoke1.internal
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_ptr_goes_into_the_longest_reverse_zone() {
    check(
        "zones spoke1.internal 10 5.1.10 1.10
        group running 10.1.5.4
        PTR 10.1.5.4/10 web owner=us
        =>
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
fn a_group_that_wants_no_ptr_loses_the_one_of_its_own() {
    check(
        "group running 10.1.5.4 ptr=false
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        - PTR 10.1.5.4
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
    check(
        "group running 192.168.0.4 ptr=false
        A web 192.168.0.4 owner=us
        =>
        read A web, group
        web at 192.168.0.4: named 192.168.0.4",
    );
}

#[test]
fn the_ttl_of_both_record_sets_is_set() {
    check(
        "group running 10.1.5.4 ttl=5
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 ttl=5 owner=us
        & read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web ttl=5 owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_is_removed_after_what_its_memory_leads_to_and_before_the_ptr_that_led_to_it() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        A old 10.1.5.4 owner=us previous=10.1.5.7@9900
        PTR 10.1.5.4 old owner=us
        PTR 10.1.5.7 old owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        read A old
        read PTR 10.1.5.7
        - PTR 10.1.5.7
        - A old
        ~ PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_own_name_of_a_group_is_an_old_name_once_a_tag_chose_another() {
    check(
        "group running 10.1.5.4 hostname=shop
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        read PTR 10.1.5.9
        - PTR 10.1.5.9
        - A web
        + PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_that_is_known_from_elsewhere_is_removed() {
    check(
        "group running 10.1.5.4
        lookup old
        A web 10.1.5.4 owner=us
        A old 10.1.5.7 owner=us
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.7 old owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        read A old
        read PTR 10.1.5.7
        - PTR 10.1.5.7
        - A old
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_without_our_mark_stays_with_the_ptr_value_that_says_it() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        A alias 10.1.5.4
        PTR 10.1.5.4 alias web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        read A alias
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_stays_while_a_ptr_that_it_leads_to_cannot_be_read() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        A old 10.1.5.7 owner=us
        PTR 10.1.5.4 old owner=us
        PTR 10.1.5.7 old owner=us
        when read PTR 10.1.5.7: fails transient
        =>
        read A web, group
        read PTR 10.1.5.4
        read A old
        read PTR 10.1.5.7 (transient)
        ~ PTR 10.1.5.4 web owner=us
        web at 10.1.5.4: failed, PTR 10.1.5.7 (transient)",
    );
}

#[test]
fn a_full_memory_makes_room_before_the_a_record_set_moves() {
    let memory: Vec<String> = (100..132).map(|last| format!("10.1.5.{last}@1")).collect();
    let reads: Vec<String> = (100..132).map(|last| format!("PTR 10.1.5.{last}")).collect();
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us previous={},192.168.0.1@1
        =>
        read A web, group
        read {}
        ~ A web 10.1.5.9 owner=us
        repeat
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
        memory.join(","),
        reads.join(", "),
    ));
}

#[test]
fn a_memory_that_is_full_of_young_addresses_refuses_the_move() {
    let memory: Vec<String> = (100..132).map(|last| format!("10.1.5.{last}@9999")).collect();
    let reads: Vec<String> = (100..132).map(|last| format!("PTR 10.1.5.{last}")).collect();
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us previous={}
        =>
        read A web, group
        read {}
        web at 10.1.5.4: failed, web.spoke1.internal would have to remember more than 32 previous addresses; \
        they are forgotten five minutes after each move",
        memory.join(","),
        reads.join(", "),
    ));
}
