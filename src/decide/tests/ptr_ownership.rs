//! The heading "Ownership" of the design, PTR record sets: the owner of a record set, and takeovers.

use super::{ownership::STRICT, world::check};

#[test]
fn a_ptr_of_another_group_that_has_left_the_live_address_is_taken() {
    for owner in [
        "running 10.1.9.9",
        "stopped 10.1.5.4",
        "public 20.0.0.4",
        "no-address",
        "running ip= provisioning=Failed",
        "running 10.1.5.4 provisioning=PreProvisioned",
    ] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.4 owner=us
            PTR 10.1.5.4 api x.org owner=third cost=42
            owner third {owner}
            =>
            read A web, group
            read PTR 10.1.5.4
            read owner third
            ~ PTR 10.1.5.4 x.org web owner=us cost=42
            verify
            read group, A web
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_ptr_of_a_group_that_two_reads_show_deleted_is_taken() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third
        owner third deleted
        =>
        read A web, group
        read PTR 10.1.5.4
        read owner third
        read owner third again
        ~ PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_ptr_of_another_group_with_the_address_stays_and_a_is_written() {
    let shared = "the PTR record set 4.5.1.10.in-addr.arpa belongs to the container group s1/rg-spoke2/api, \
        which has the same address";
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.4 api owner=third
        PTR 10.1.5.9 web owner=us
        owner third running 10.1.5.4
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        read owner third
        - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: failed, {shared}"
    ));
    // For a group that seems to be deleted, the second read counts.
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third
        owner third running 10.1.5.4
        when read owner third: stale owner third deleted
        =>
        read A web, group
        read PTR 10.1.5.4
        read owner third
        read owner third again
        web at 10.1.5.4: failed, {shared}"
    ));
    for kind in ["forbidden", "missing", "refused"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.4 owner=us
            PTR 10.1.5.4 api owner=third
            when read owner third: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4
            read owner third ({kind})
            web at 10.1.5.4: failed, {shared}"
        ));
    }
}

#[test]
fn a_ptr_of_another_group_that_is_being_provisioned_stays_for_now() {
    for owner in ["pending", "running 10.1.9.9 provisioning=Updating", "deleting 10.1.5.4"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.4 owner=us
            PTR 10.1.5.4 api owner=third
            owner third {owner}
            =>
            read A web, group
            read PTR 10.1.5.4
            read owner third
            web at 10.1.5.4: failed, for now, the PTR record set 4.5.1.10.in-addr.arpa belongs to \
            the container group s1/rg-spoke2/api, which has the same address"
        ));
    }
}

#[test]
fn the_last_read_of_the_other_group_decides_whether_it_is_being_provisioned() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third
        owner third pending
        when read owner third: stale owner third deleted
        =>
        read A web, group
        read PTR 10.1.5.4
        read owner third
        read owner third again
        web at 10.1.5.4: failed, for now, the PTR record set 4.5.1.10.in-addr.arpa belongs to \
        the container group s1/rg-spoke2/api, which has the same address",
    );
}

#[test]
fn a_ptr_with_a_mark_of_no_group_stays() {
    check(
        "rules adopt
        group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=no-group
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, the PTR record set 4.5.1.10.in-addr.arpa belongs to the container group no-group, \
        which has the same address",
    );
}

#[test]
fn an_empty_ptr_record_set_of_another_group_counts_as_absent() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 owner=third
        owner third running 10.1.5.4
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_takeover_of_a_ptr_replaces_values_in_forward_zones_of_the_map_only() {
    check(
        "map rg-spoke2 spoke2.internal 1.10
        former old.internal
        group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api.spoke2.internal api.old.internal api.elsewhere.internal api owner=third
        =>
        read A web, group
        read PTR 10.1.5.4
        read owner third
        ~ PTR 10.1.5.4 api.elsewhere.internal web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
    check(
        "rules adopt
        map rg-spoke2 spoke2.internal 1.10
        former old.internal
        group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api.spoke2.internal api.old.internal api.elsewhere.internal api
        =>
        read A web, group
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 api.elsewhere.internal web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn values_in_a_former_zone_count_as_ours_in_a_ptr_of_ours() {
    check(
        "former old.internal older.internal
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9900,10.1.5.9@9900
        PTR 10.1.5.4 web.old.internal web x.org owner=us
        PTR 10.1.5.8 web.older.internal owner=us
        PTR 10.1.5.9 web.old.internal owner=third
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        ~ PTR 10.1.5.4 web x.org owner=us
        & - PTR 10.1.5.8
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
    check(
        "former old.internal
        PTR 10.1.5.4 web.old.internal x.org owner=us
        PTR 10.1.5.5 web.old.internal
        =>
        read A web, group
        read list 1.10
        read list A
        read group again
        ~ PTR 10.1.5.4 x.org
        verify
        read group
        web: absent",
    );
}

#[test]
fn an_unmarked_ptr_at_the_live_address_is_taken_in_adopt() {
    check(
        "rules adopt
        group running 10.1.5.4
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
    for targets in ["api", "web"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=us
            PTR 10.1.5.4 {targets}
            PTR 10.1.5.9 web owner=us
            =>
            read A web, group
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
            & read PTR 10.1.5.4, PTR 10.1.5.9
            - PTR 10.1.5.9
            verify
            read group, A web
            web at 10.1.5.4: failed, the PTR record set 4.5.1.10.in-addr.arpa {STRICT}"
        ));
    }
}

#[test]
fn a_ptr_of_another_controller_at_the_live_address_is_a_conflict() {
    check(
        "rules adopt
        group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api creator=endpoint
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, the PTR record set 4.5.1.10.in-addr.arpa belongs to another controller: \
        its metadata says creator = \"endpoint\"",
    );
}

#[test]
fn an_auto_registered_ptr_at_the_live_address_is_a_conflict() {
    check(
        "rules adopt
        group running 10.1.5.4
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
fn elsewhere_our_name_is_removed_from_any_marked_record_set() {
    check(
        "rules adopt
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.6@9900,10.1.5.7@9900,10.1.5.8@9900,10.1.5.9@9900
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.6 web creator=x
        PTR 10.1.5.7 web api owner=third
        PTR 10.1.5.8 web x.org owner=us
        PTR 10.1.5.9 web
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.6, PTR 10.1.5.7, PTR 10.1.5.8, PTR 10.1.5.9
        ~ PTR 10.1.5.7 api owner=third
        & ~ PTR 10.1.5.8 x.org
        & - PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn elsewhere_our_name_in_an_unmarked_record_set_stays_in_strict() {
    check(
        "group running 10.1.5.4
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
