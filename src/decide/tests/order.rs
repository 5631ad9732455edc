//! The heading "Order of writes" of the design: the reads and writes for a live group, and their order.

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
fn without_changes_the_relevant_ptrs_are_read_and_nothing_is_verified() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9900,192.168.0.9@9900
        PTR 10.1.5.4 web owner=us
        lookup 10.1.5.7
        touched 10.1.5.6
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
fn an_address_that_is_live_again_is_no_previous_address() {
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
fn a_longer_memory_time_delays_forgetting() {
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
fn an_address_that_no_reverse_zone_contains_fails_and_the_a_record_set_is_corrected() {
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
fn a_group_without_a_ptr_loses_its_own() {
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
fn at_most_nine_addresses_are_kept_and_the_oldest_is_dropped() {
    let memory: Vec<String> = (1..=9).map(|last| format!("10.1.6.{last}@990{last}")).collect();
    let kept: Vec<String> = memory.iter().skip(1).cloned().collect();
    let reads: Vec<String> = (1..=9).map(|last| format!("PTR 10.1.6.{last}")).collect();
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us previous={}
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000,{}
        & read PTR 10.1.5.4, PTR 10.1.5.9, {}
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
        memory.join(","),
        kept.join(","),
        reads.join(", "),
    ));
}

#[test]
fn an_older_version_s_memory_of_32_addresses_is_read_and_blocks_no_move() {
    let memory: Vec<String> = (100..140).map(|last| format!("10.1.5.{last}@{}", 9_800 + last)).collect();
    let kept: Vec<String> = memory.iter().take(32).skip(24).cloned().collect();
    let reads: Vec<String> = (100..132).map(|last| format!("PTR 10.1.5.{last}")).collect();
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us previous={}
        PTR 10.1.5.100 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000,{}
        & read PTR 10.1.5.4, PTR 10.1.5.9, {}
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.100
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
        memory.join(","),
        kept.join(","),
        reads.join(", "),
    ));
}

#[test]
fn a_time_in_the_future_counts_as_now() {
    // A time beyond any difference of clocks is corrected at once, so that the entry becomes old.
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@10200,10.1.5.9@99999
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        ~ A web 10.1.5.4 owner=us previous=10.1.5.8@10200,10.1.5.9@10000
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_address_whose_ptr_was_cleaned_in_this_pass_is_not_forgotten_in_it() {
    // A slow writer may still write for it: its PTR record named the group.
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_previous_addresses_of_a_stopped_group_are_cleaned_and_forgotten() {
    check(
        "group stopped 10.1.5.4
        A web owner=us previous=10.1.5.8@1,10.1.5.9@9900
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.8, PTR 10.1.5.9
        - PTR 10.1.5.9
        & ~ A web owner=us previous=10.1.5.9@9900
        verify
        read group, A web
        web: absent",
    );
}

#[test]
fn a_stopped_group_that_never_had_records_gets_none() {
    check(
        "group stopped 10.1.5.4
        =>
        read A web, group
        web: absent",
    );
}

#[test]
fn a_stopped_group_whose_name_is_reserved_is_right() {
    check(
        "group stopped 10.1.5.4
        A web owner=us
        =>
        read A web, group
        web: absent",
    );
}

#[test]
fn the_name_of_a_stopped_group_is_emptied_despite_a_broken_reverse_zone() {
    check(
        "group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when read PTR 10.1.5.4: fails missing
        =>
        read A web, group
        read PTR 10.1.5.4 (missing), group again
        ~ A web owner=us previous=10.1.5.4@10003
        web: failed, PTR 10.1.5.4 (missing)",
    );
}
