//! The headings "Ownership" and "Previous addresses" of the design: the owner of a record set, and takeovers.

use super::world::check;

pub(super) const STRICT: &str = "carries no owner mark, and ACI_DNS_OWNERSHIP is strict; \
    to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)";
const OTHERS: &str = "the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web";

#[test]
fn an_unmarked_a_record_set_is_a_conflict_in_strict() {
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9
        =>
        read A web, group
        read PTR 10.1.5.9, PTR 10.1.5.4
        web at 10.1.5.4: failed, the A record set web.spoke1.internal {STRICT}"
    ));
}

#[test]
fn an_unmarked_a_record_set_is_taken_over_in_adopt_with_the_ptrs_that_name_it() {
    check(
        "rules adopt
        group running 10.1.5.4
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
fn an_unmarked_a_record_set_is_not_taken_over_for_a_stopped_group() {
    check(
        "rules adopt
        group stopped 10.1.5.4
        A web 10.1.5.4
        PTR 10.1.5.4 web
        =>
        read A web, group
        web: absent",
    );
}

#[test]
fn a_takeover_writes_the_mark_only_after_all_lists() {
    check(
        "rules adopt
        zones spoke1.internal 1.10 2.10
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
        "rules adopt upsert-only
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
fn a_name_chosen_by_a_tag_takes_over_no_unmarked_a_record_set() {
    check(
        "rules adopt
        group running 10.1.5.4 hostname=shop
        A shop 10.1.5.9
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.9, PTR 10.1.5.4
        shop at 10.1.5.4: failed, the A record set shop.spoke1.internal carries no owner mark, \
        and such a record set is not taken over at a name that a tag chose; \
        to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)",
    );
}

#[test]
fn an_operator_takes_over_an_unmarked_a_record_set_at_a_chosen_name() {
    check(
        "rules adopt-tagged
        group running 10.1.5.4 hostname=shop
        A shop 10.1.5.9
        =>
        read A web, group
        read A shop
        read list 1.10
        ~ A shop 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_auto_registered_a_record_set_is_a_conflict_despite_our_mark() {
    for set in ["A web 10.1.5.9 auto", "A web 10.1.5.9 auto owner=us"] {
        check(&format!(
            "rules adopt
            group running 10.1.5.4
            {set}
            =>
            read A web, group
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, \
            the A record set web.spoke1.internal is registered automatically for a virtual machine"
        ));
    }
}

#[test]
fn an_a_record_set_of_another_controller_is_a_conflict_in_adopt_too() {
    for (key, ownership) in
        [("creator", "adopt"), ("managedBy", "adopt"), ("Managed-By", "adopt"), ("OWNER", "strict")]
    {
        check(&format!(
            "rules {ownership}
            group running 10.1.5.4
            A web 10.1.5.9 {key}=terraform
            =>
            read A web, group
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, the A record set web.spoke1.internal belongs to another controller: \
            its metadata says {key} = \"terraform\""
        ));
    }
}

#[test]
fn our_mark_has_priority_over_the_key_of_another_controller() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us creator=x
        PTR 10.1.5.4 web owner=us managedBy=x
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000 creator=x
        & read PTR 10.1.5.4, PTR 10.1.5.9
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_cname_at_the_name_is_a_conflict_that_is_found_by_one_write_and_not_retried() {
    check(
        "group running 10.1.5.4
        CNAME web x.org
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (clash)
        & read PTR 10.1.5.4
        read CNAME web
        web at 10.1.5.4: failed, \
        a CNAME record at web.spoke1.internal points to x.org; remove it, or choose another name",
    );
}

#[test]
fn a_clash_without_a_cname_is_a_failure() {
    check(
        "group running 10.1.5.4
        CNAME web x.org
        when read CNAME web: CNAME web -
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (clash)
        & read PTR 10.1.5.4
        read CNAME web
        web at 10.1.5.4: failed, A web (clash)",
    );
}

#[test]
fn a_cname_that_cannot_be_read_is_a_failure() {
    check(
        "group running 10.1.5.4
        CNAME web x.org
        when read CNAME web: fails transient
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (clash)
        & read PTR 10.1.5.4
        read CNAME web (transient)
        web at 10.1.5.4: failed, CNAME web (transient)",
    );
}

#[test]
fn a_name_of_a_cname_loses_our_ptr() {
    check(
        "group running 10.1.5.4
        CNAME web x.org
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (clash)
        & read PTR 10.1.5.4
        read CNAME web
        - PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        a CNAME record at web.spoke1.internal points to x.org; remove it, or choose another name",
    );
}

#[test]
fn an_a_record_set_of_an_existing_group_with_this_name_is_a_conflict() {
    for owner in [
        "running 10.1.9.9",
        "running 10.1.5.4",
        "pending",
        "deleting 10.1.9.9",
        "no-address",
        "running ip= provisioning=Failed",
        "public 20.0.0.4",
    ] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=other
            owner other {owner}
            =>
            read A web, group
            read owner other
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, {OTHERS}"
        ));
    }
}

#[test]
fn the_name_of_a_stopped_group_is_not_taken_by_another() {
    for set in ["A web owner=other", "A web owner=other previous=10.1.5.9@1", "A web 10.1.5.9 owner=other"] {
        check(&format!(
            "group running 10.1.5.4
            {set}
            owner other stopped 10.1.5.9
            =>
            read A web, group
            read owner other
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, {OTHERS}"
        ));
    }
}

#[test]
fn a_new_group_fills_the_empty_record_set_that_carries_its_mark() {
    check(
        "group running 10.1.5.4
        A web owner=us previous=10.1.5.9@9900
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@9900
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_a_record_set_of_another_group_that_should_have_another_name_is_free() {
    // The group `third` is `api`; the other one gets another name from a tag or from the map.
    for world in [
        "A web 10.1.5.9 owner=third",
        "A web 10.1.5.9 owner=other
        owner other running 10.1.9.9 hostname=shop",
        "A web 10.1.5.9 owner=other
        map rg-spoke2 spoke2.internal 1.10",
    ] {
        let owner = if world.contains("third") { "third" } else { "other" };
        check(&format!(
            "group running 10.1.5.4
            {world}
            =>
            read A web, group
            read owner {owner}
            read owner {owner} again, PTR 10.1.5.4
            read list 1.10
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10003
            & read PTR 10.1.5.9
            + PTR 10.1.5.4 web owner=us
            verify
            read group, A web
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_group_that_chooses_the_name_by_a_tag_holds_it() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=third
        owner third running 10.1.5.9 hostname=web
        =>
        read A web, group
        read owner third
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, \
        the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/api",
    );
}

#[test]
fn a_group_with_an_unknown_name_keeps_its_marked_record_sets() {
    for owner in [
        "owner other running 10.1.9.9 ignore=true",
        "owner other running 10.1.9.9 ttl=soon",
        "map rg-spoke2 -",
    ] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=other
            {owner}
            =>
            read A web, group
            read owner other
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, {OTHERS}"
        ));
    }
}

#[test]
fn a_name_changes_its_owner_only_after_two_reads_of_the_owner() {
    for first in ["deleted", "running 10.1.9.9 hostname=shop"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=other
            when read owner other: stale owner other {first}
            =>
            read A web, group
            read owner other
            read owner other again, PTR 10.1.5.4
            web at 10.1.5.4: failed, {OTHERS}"
        ));
    }
}

#[test]
fn a_mark_of_no_group_is_foreign_without_a_read() {
    check(
        "rules adopt
        group running 10.1.5.4
        A web 10.1.5.9 owner=no-group
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: failed, the A record set web.spoke1.internal belongs to the container group no-group",
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
            read owner other again, PTR 10.1.5.4
            read list 1.10
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10003
            & read PTR 10.1.5.9
            + PTR 10.1.5.4 web owner=us
            & - PTR 10.1.5.9
            verify
            read group, A web
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_name_chosen_by_a_tag_takes_over_records_of_a_deleted_group() {
    check(
        "group running 10.1.5.4 hostname=shop
        A shop 10.1.5.9 owner=third
        owner third deleted
        =>
        read A web, group
        read A shop
        read owner third
        read owner third again, PTR 10.1.5.4
        read list 1.10
        ~ A shop 10.1.5.4 owner=us previous=10.1.5.9@10003
        & read PTR 10.1.5.9
        + PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_name_of_another_group_loses_only_our_ptr() {
    check(&format!(
        "rules adopt
        group running 10.1.5.4
        A web 10.1.5.9 owner=other
        PTR 10.1.5.4 web x.org owner=us
        PTR 10.1.5.7 web owner=us
        PTR 10.1.5.8 web
        touched 10.1.5.7 10.1.5.8
        =>
        read A web, group
        read owner other
        read PTR 10.1.5.7, PTR 10.1.5.8, PTR 10.1.5.4
        ~ PTR 10.1.5.4 x.org
        & - PTR 10.1.5.7
        web at 10.1.5.4: failed, {OTHERS}"
    ));
}

#[test]
fn after_another_program_dropped_the_mark_the_ptr_stays_with_a_message() {
    let lost = "has lost its owner mark: another program wrote it, and the PTR record set at its address still \
        carries the mark; to restore it, run: aci-dns sync --adopt-only";
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.4 10.1.5.9
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: failed, the A record set web.spoke1.internal {lost}"
    ));
    check(&format!(
        "rules adopt
        group running 10.1.5.4 hostname=shop
        A shop 10.1.5.4
        PTR 10.1.5.4 shop owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4
        shop at 10.1.5.4: failed, the A record set shop.spoke1.internal {lost}"
    ));
}

#[test]
fn without_our_mark_on_the_ptr_no_mark_was_lost() {
    for ptr in ["web", "web owner=third", "x.org owner=us"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.4
            PTR 10.1.5.4 {ptr}
            =>
            read A web, group
            read PTR 10.1.5.4
            web at 10.1.5.4: failed, the A record set web.spoke1.internal {STRICT}"
        ));
    }
}

#[test]
fn with_a_lost_mark_and_a_wrong_address_our_ptr_is_removed() {
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.9, PTR 10.1.5.4
        - PTR 10.1.5.4
        web at 10.1.5.4: failed, the A record set web.spoke1.internal {STRICT}"
    ));
}

#[test]
fn with_a_lost_mark_our_ptr_at_an_address_of_the_record_set_is_removed() {
    check(&format!(
        "group running 10.1.5.4
        A web 10.1.5.9 previous=10.1.5.8@1
        PTR 10.1.5.8 web owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.9, PTR 10.1.5.8, PTR 10.1.5.4
        - PTR 10.1.5.8
        & - PTR 10.1.5.9
        web at 10.1.5.4: failed, the A record set web.spoke1.internal {STRICT}"
    ));
}

#[test]
fn a_foreign_name_of_a_stopped_group_needs_no_read_of_its_owner() {
    for set in ["10.1.5.4", "10.1.5.4 owner=other", "10.1.5.4 creator=x", "10.1.5.4 auto"] {
        check(&format!(
            "rules adopt
            group stopped 10.1.5.4
            A web {set}
            =>
            read A web, group
            web: absent"
        ));
    }
}
