//! The heading "Names" of the design: the tag `aci-dns-hostname`, and the old name after a change of the tag.

use super::world::check;

#[test]
fn a_name_chosen_by_a_tag_costs_one_more_read() {
    check(
        "group running 10.1.5.4 hostname=shop
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_tag_chooses_only_what_the_map_allows() {
    check(
        r#"group running 10.1.5.4 hostname=portal
        hostnames shop api-*
        A portal 10.1.5.9
        A web 10.1.5.9 owner=us
        =>
        read A web, group
        failed, the tag aci-dns-hostname is "portal", but must be a name that `hostnames` of the entry in ACI_DNS_ZONES allows"#,
    );
    check(
        "group running 10.1.5.4 hostname=API-2
        hostnames shop api-*
        =>
        read A web, group
        read A api-2
        + A api-2 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 api-2 owner=us
        verify
        read group, A api-2
        api-2 at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_own_name_becomes_an_old_name_and_the_new_set_takes_its_addresses() {
    check(
        "group running 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us previous=10.1.5.7@9900
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, PTR 10.1.5.7, group again
        + A shop 10.1.5.4 owner=us previous=10.1.5.7@9900
        - A web
        ~ PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_address_at_the_old_name_of_a_moved_group_becomes_a_previous_address() {
    check(
        "group running 10.1.5.4 hostname=shop
        A web 10.1.5.9 owner=us previous=10.1.5.7@9900
        PTR 10.1.5.9 web owner=us
        PTR 10.1.5.7 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, PTR 10.1.5.7, PTR 10.1.5.9, group again
        + A shop 10.1.5.4 owner=us previous=10.1.5.7@9900,10.1.5.9@10003
        - A web
        + PTR 10.1.5.4 shop owner=us
        & - PTR 10.1.5.7
        & - PTR 10.1.5.9
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_name_of_a_removed_tag_is_an_old_name_found_by_a_ptr_of_ours() {
    check(
        "group running 10.1.5.4
        A shop 10.1.5.4 owner=us previous=10.1.5.7@9900
        PTR 10.1.5.4 shop owner=us
        PTR 10.1.5.7 shop owner=us
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        read A shop
        read PTR 10.1.5.7, group again
        ~ A web 10.1.5.4 owner=us previous=10.1.5.7@9900
        - A shop
        ~ PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.7
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_tag_that_changes_makes_its_name_an_old_name() {
    check(
        "group running 10.1.5.4 hostname=store
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us
        =>
        read A web, group
        read A store
        + A store 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        read A shop
        read group again
        - A shop
        ~ PTR 10.1.5.4 store owner=us
        verify
        read group, A store
        store at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_that_this_invocation_wrote_is_found_without_a_ptr() {
    check(
        "group running 10.1.5.4 hostname=shop
        when write A shop: lost
        when read group: ok
        when read group: group running 10.1.5.4 hostname=store
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 owner=us (uncertain)
        & read PTR 10.1.5.4
        repeat
        read A web, group
        read A store, A shop
        read PTR 10.1.5.4, group again
        + A store 10.1.5.4 owner=us
        - A shop
        + PTR 10.1.5.4 store owner=us
        verify
        read group, A store
        store at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_single_read_that_shows_another_tag_removes_no_name() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when read group: stale group running 10.1.5.4 hostname=shop
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, group again
        repeat
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_old_name_of_an_extra_lookup_is_removed_after_a_confirmation() {
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
        read PTR 10.1.5.7, group again
        ~ A web 10.1.5.4 owner=us previous=10.1.5.7@10003
        - A old
        - PTR 10.1.5.7
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_name_without_our_mark_stays_together_with_its_ptr_value() {
    for set in ["10.1.5.4", "10.1.5.4 owner=other", "10.1.5.4 creator=endpoint", "10.1.5.4 auto"] {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.4 owner=us
            A alias {set}
            PTR 10.1.5.4 alias web owner=us
            =>
            read A web, group
            read PTR 10.1.5.4
            read A alias
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn an_old_name_is_removed_despite_a_failed_ptr_read_because_the_new_set_remembers() {
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
        read PTR 10.1.5.7 (transient), group again
        ~ A web 10.1.5.4 owner=us previous=10.1.5.7@10003
        - A old
        ~ PTR 10.1.5.4 web owner=us
        web at 10.1.5.4: failed, PTR 10.1.5.7 (transient)",
    );
}

#[test]
fn the_old_name_of_a_stopped_group_is_given_up_and_the_new_one_reserved() {
    check(
        "group stopped 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, group again
        + A shop owner=us previous=10.1.5.4@10003
        - A web
        - PTR 10.1.5.4
        verify
        read group, A shop
        shop: absent",
    );
}

#[test]
fn an_unmarked_record_set_at_the_own_name_stays_when_a_tag_chooses_another() {
    for ownership in ["strict", "adopt"] {
        check(&format!(
            "rules {ownership}
            group running 10.1.5.4 hostname=shop
            A web 10.1.5.9
            PTR 10.1.5.9 web
            =>
            read A web, group
            read A shop
            + A shop 10.1.5.4 owner=us
            & read PTR 10.1.5.4
            + PTR 10.1.5.4 shop owner=us
            verify
            read group, A shop
            shop at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn a_group_that_moved_while_its_tag_changed_leaves_its_old_name_to_the_sweep() {
    let world = "group running 10.1.5.4 hostname=store
        A shop 10.1.5.9 owner=us
        PTR 10.1.5.9 shop owner=us";
    check(&format!(
        "{world}
        =>
        read A web, group
        read A store
        + A store 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 store owner=us
        verify
        read group, A store
        store at 10.1.5.4: named 10.1.5.4"
    ));
    // The sweep knows the extra lookups from its lists.
    check(&format!(
        "{world}
        lookup 10.1.5.9 shop
        =>
        read A web, group
        read A store
        + A store 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.9
        read A shop
        read group again
        ~ A store 10.1.5.4 owner=us previous=10.1.5.9@10003
        - A shop
        + PTR 10.1.5.4 store owner=us
        & - PTR 10.1.5.9
        verify
        read group, A store
        store at 10.1.5.4: named 10.1.5.4"
    ));
}

#[test]
fn an_old_name_stays_while_the_new_one_is_foreign() {
    // Nothing is written for the group, so its own name still leads to it.
    check(
        "group running 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us
        A shop 10.1.5.9
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.9, PTR 10.1.5.4
        shop at 10.1.5.4: failed, the A record set shop.spoke1.internal carries no owner mark, \
        and ACI_DNS_OWNERSHIP is strict; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)",
    );
}

#[test]
fn a_ptr_of_ours_loses_the_groups_own_name_once_another_group_has_it() {
    check(
        "group running 10.1.5.4 hostname=shop
        A web 10.1.5.5 owner=other
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4
        ~ PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_name_that_this_invocation_wrote_is_absent_only_if_two_reads_say_so() {
    const RENAMED_AND_BACK: &str = "group running 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        when write A web: group running 10.1.5.4
        when read A shop: ok
        when read A shop: ok";
    // A stale read.
    check(&format!(
        "{RENAMED_AND_BACK}
        when read A shop: stale A shop -
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, group again
        + A shop 10.1.5.4 owner=us
        - A web
        ~ PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        repeat
        read A web, group
        read A shop
        repeat
        read A web, group
        read A shop
        read PTR 10.1.5.4, group again
        + A web 10.1.5.4 owner=us
        - A shop
        ~ PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4"
    ));
    // Another instance removed it.
    check(&format!(
        "{RENAMED_AND_BACK}
        when read A shop: A shop -
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, group again
        + A shop 10.1.5.4 owner=us
        - A web
        ~ PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        repeat
        read A web, group
        read A shop
        repeat
        read A web, group
        read A shop
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4"
    ));
}
