//! Design, ownership and previous addresses: whose a record set is, and what is taken over.

use super::world::check;

const STRICT: &str = "carries no owner mark, and ACI_DNS_OWNERSHIP is strict; \
    to take it over, run: aci-dns sync --adopt (or --adopt-only, to write the mark alone)";
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
fn an_a_record_set_that_is_taken_over_waits_for_its_mark_until_all_lists_are_read() {
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
        and a name chosen by a tag takes over no such record set; \
        to take it over, run: aci-dns sync --adopt (or --adopt-only, to write the mark alone)",
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
fn an_auto_registered_a_record_set_is_a_conflict_whatever_its_mark_says() {
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
fn our_mark_counts_more_than_the_key_of_another_controller() {
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
        a CNAME record stands at web.spoke1.internal and points to x.org; remove it, or choose another name",
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
fn a_name_that_a_cname_took_loses_the_ptr_of_ours_that_says_it() {
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
        a CNAME record stands at web.spoke1.internal and points to x.org; remove it, or choose another name",
    );
}

#[test]
fn an_a_record_set_of_a_living_group_that_should_have_the_name_is_a_conflict() {
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
    // The group that rows call `third` is `api`; the other one is given another name by a tag, or by the map.
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
fn a_group_whose_name_is_not_known_keeps_what_carries_its_mark() {
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
fn a_name_is_given_away_only_when_two_reads_of_its_owner_say_so() {
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
fn an_owner_mark_that_names_no_group_is_honoured_without_a_read() {
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
fn a_name_chosen_by_a_tag_takes_over_what_a_deleted_group_left() {
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
fn a_name_of_another_group_loses_the_ptr_of_ours_that_says_it_and_nothing_else_is_written() {
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
fn where_another_program_dropped_the_mark_the_ptr_stays_and_the_message_says_so() {
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
fn where_the_ptr_carries_no_mark_of_ours_either_no_mark_was_lost() {
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
fn where_the_mark_is_lost_and_the_address_is_wrong_the_ptr_of_ours_goes() {
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
fn where_the_mark_is_lost_the_ptr_of_ours_at_an_address_that_the_record_set_holds_goes_too() {
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
fn the_name_of_a_stopped_group_that_is_anothers_is_left_alone_without_a_read_of_its_owner() {
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
fn a_ptr_of_another_group_that_still_shows_the_address_is_left_alone_and_a_is_written() {
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
    // The second read of one that seemed to be deleted counts.
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
fn a_ptr_of_another_group_that_is_being_provisioned_is_left_alone_for_now() {
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
fn a_ptr_whose_mark_names_no_group_is_left_alone() {
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
fn of_a_ptr_that_is_taken_values_in_every_forward_zone_of_the_map_are_replaced_and_others_stay() {
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
fn elsewhere_a_value_that_says_our_name_goes_from_any_marked_record_set() {
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
fn elsewhere_an_unmarked_value_that_says_our_name_stays_in_strict() {
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
