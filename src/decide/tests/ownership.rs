//! Design, ownership and memory: whose a record set is, and what is taken over.

use super::world::check;

#[test]
fn an_unmarked_a_record_set_is_taken_over_in_adopt_with_the_ptrs_that_name_it() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 cost=42
        PTR 10.1.5.7 web
        PTR 10.1.5.8 x.org
        =>
        read A web, group
        read list 1.10
        ~ A web 10.1.5.4 owner=us previous=10.1.5.7@10000,10.1.5.9@10000 cost=42
        & read PTR 10.1.5.4, PTR 10.1.5.7, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.7
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_a_record_set_that_is_taken_over_waits_for_its_mark_until_all_lists_are_read() {
    check(
        "zones spoke1.internal 1.10 2.10
        group running 10.1.5.4
        A web 10.1.5.9
        PTR 10.2.0.7 web
        when read list 1.10: fails transient
        =>
        read A web, group
        read list 1.10 (transient), list 2.10
        ~ A web 10.1.5.4 previous=10.1.5.9@10000,10.2.0.7@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9, PTR 10.2.0.7
        web at 10.1.5.4: failed, list 1.10 (transient)",
    );
}

#[test]
fn upsert_only_takes_over_without_lists_because_it_remembers_nothing() {
    check(
        "rules upsert-only
        group running 10.1.5.4
        A web 10.1.5.9
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_unmarked_a_record_set_is_a_conflict_in_strict() {
    check(
        "rules strict
        group running 10.1.5.4
        A web 10.1.5.9
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        the A record set web.spoke1.internal carries no owner mark, and ACI_DNS_OWNERSHIP is strict",
    );
}

#[test]
fn a_name_chosen_by_a_tag_takes_over_no_unmarked_a_record_set() {
    check(
        "group running 10.1.5.4 hostname=shop
        A shop 10.1.5.9
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4
        shop at 10.1.5.4: failed, the A record set shop.spoke1.internal carries no owner mark, \
        and a name chosen by a tag takes over no such record set",
    );
}

#[test]
fn an_auto_registered_a_record_set_is_a_conflict() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 auto
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        the A record set web.spoke1.internal is registered automatically for a virtual machine",
    );
}

#[test]
fn an_a_record_set_of_a_living_group_is_a_conflict() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other
        =>
        read A web, group
        read owner other
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web",
    );
}

#[test]
fn an_owner_mark_that_names_no_group_is_honoured_without_a_read() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=nobody
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, the A record set web.spoke1.internal belongs to the container group nobody",
    );
}

#[test]
fn an_a_record_set_of_a_deleted_group_is_taken_over_in_strict_too() {
    for ownership in ["adopt", "strict"] {
        check(&format!(
            "rules {ownership}
            group running 10.1.5.4
            A web 10.1.5.9 owner=other
            owner other deleted
            PTR 10.1.5.9 web owner=other
            =>
            read A web, group
            read owner other
            read list 1.10
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
            & read PTR 10.1.5.4, PTR 10.1.5.9
            + PTR 10.1.5.4 web owner=us
            & - PTR 10.1.5.9
            verify
            read group, A web
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_name_of_another_group_loses_the_ptr_of_ours_that_says_it_and_nothing_else_is_written() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other
        PTR 10.1.5.4 web x.org owner=us
        PTR 10.1.5.7 web owner=us
        PTR 10.1.5.8 web
        written 10.1.5.7 10.1.5.8
        =>
        read A web, group
        read owner other
        read PTR 10.1.5.7, PTR 10.1.5.8, PTR 10.1.5.4
        ~ PTR 10.1.5.4 x.org
        & - PTR 10.1.5.7
        web at 10.1.5.4: failed, \
        the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web",
    );
}

#[test]
fn a_ptr_of_another_group_at_the_live_address_is_taken() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api x.org owner=third cost=42
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 x.org web owner=us cost=42
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_unmarked_ptr_at_the_live_address_is_taken_in_adopt() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api x.org
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 x.org web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_unmarked_ptr_at_the_live_address_is_a_conflict_in_strict_and_the_a_record_set_is_written() {
    check(
        "rules strict
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.4 api
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: failed, \
        the PTR record set 4.5.1.10.in-addr.arpa carries no owner mark, and ACI_DNS_OWNERSHIP is strict",
    );
}

#[test]
fn an_auto_registered_ptr_at_the_live_address_is_a_conflict() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 vm.x.org auto
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        the PTR record set 4.5.1.10.in-addr.arpa is registered automatically for a virtual machine",
    );
}

#[test]
fn elsewhere_a_value_that_says_our_name_goes_from_any_marked_record_set() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.7@9900,10.1.5.8@9900,10.1.5.9@9900
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.7 web api owner=third
        PTR 10.1.5.8 web x.org owner=us
        PTR 10.1.5.9 web
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.7, PTR 10.1.5.8, PTR 10.1.5.9
        ~ PTR 10.1.5.7 api owner=third
        & ~ PTR 10.1.5.8 x.org
        & - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn elsewhere_an_unmarked_value_that_says_our_name_stays_in_strict() {
    check(
        "rules strict
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 web
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn names_compare_without_case_and_trailing_dot() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 Web.Spoke1.Internal. owner=S1/RG-Spoke1/Web
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 Web.Spoke1.Internal. owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}
