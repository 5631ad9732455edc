//! The heading "Drift" of the design: the reads and the results of a comparison.

use super::world::check;

/// Runs a comparison of a group at 10.1.5.4.
#[track_caller]
fn compare(world: &str, happens: &str) {
    check(&format!("rules compare\ngroup running 10.1.5.4\n{world}\n=>\nread A web, group\n{happens}"));
}

#[test]
fn a_group_without_an_a_record_set_is_first_seen() {
    compare("", "read PTR 10.1.5.4\nweb at 10.1.5.4: first_seen");
    compare("rules adopt\nPTR 10.1.5.4 x.org", "read PTR 10.1.5.4\nweb at 10.1.5.4: first_seen ptr=x.org");
}

#[test]
fn record_sets_that_are_right_are_no_change() {
    compare(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: no_change dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn another_address_is_drift() {
    compare(
        "A web 10.1.5.9 owner=us
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: drift_detected kinds=address dns=10.1.5.9 ptr=web.spoke1.internal",
    );
    compare(
        "A web 10.1.5.4 10.1.5.9 owner=us
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: drift_detected kinds=address dns=10.1.5.4,10.1.5.9 ptr=web.spoke1.internal",
    );
}

#[test]
fn another_ttl_is_drift_of_either_record_set() {
    compare(
        "A web 10.1.5.4 ttl=300 owner=us
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=ttl dns=10.1.5.4 ptr=web.spoke1.internal",
    );
    compare(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web ttl=300 owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=ttl dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn a_missing_ptr_is_drift() {
    compare(
        "A web 10.1.5.4 owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=ptr_missing dns=10.1.5.4",
    );
}

#[test]
fn a_ptr_with_another_name_is_drift() {
    compare(
        "rules adopt
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 x.org",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=ptr_mismatch dns=10.1.5.4 ptr=x.org",
    );
}

#[test]
fn a_ptr_with_our_name_at_a_held_or_previous_address_is_stale() {
    compare(
        "A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 web owner=us",
        "read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: drift_detected kinds=ptr_stale dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn an_unmarked_record_set_is_foreign_in_strict() {
    compare(
        "A web 10.1.5.4
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=foreign dns=10.1.5.4 ptr=web.spoke1.internal",
    );
    compare(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=foreign dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn a_record_set_of_another_group_is_foreign_while_that_group_exists() {
    compare(
        "A web 10.1.5.4 owner=other
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4
        read owner other
        web at 10.1.5.4: drift_detected kinds=foreign dns=10.1.5.4 ptr=web.spoke1.internal",
    );
    compare(
        "owner other deleted
        A web 10.1.5.4 owner=other
        PTR 10.1.5.4 web owner=us",
        "read PTR 10.1.5.4
        read owner other
        read owner other again
        web at 10.1.5.4: no_change dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn a_record_set_of_another_controller_or_the_platform_is_foreign() {
    for set in ["creator=endpoint", "auto"] {
        compare(
            &format!(
                "rules adopt
                A web 10.1.5.4 {set}
                PTR 10.1.5.4 web owner=us"
            ),
            "read PTR 10.1.5.4
            web at 10.1.5.4: drift_detected kinds=foreign dns=10.1.5.4 ptr=web.spoke1.internal",
        );
        compare(
            &format!(
                "rules adopt
                A web 10.1.5.4 owner=us
                PTR 10.1.5.4 web {set}"
            ),
            "read PTR 10.1.5.4
            web at 10.1.5.4: drift_detected kinds=foreign dns=10.1.5.4 ptr=web.spoke1.internal",
        );
    }
}

#[test]
fn a_ptr_of_another_group_is_foreign_while_that_group_shows_the_address() {
    compare(
        "owner third running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third",
        "read PTR 10.1.5.4
        read owner third
        web at 10.1.5.4: drift_detected kinds=ptr_mismatch,foreign dns=10.1.5.4 ptr=api.spoke1.internal",
    );
    compare(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third",
        "read PTR 10.1.5.4
        read owner third
        web at 10.1.5.4: drift_detected kinds=ptr_mismatch dns=10.1.5.4 ptr=api.spoke1.internal",
    );
}

#[test]
fn an_empty_record_set_that_carries_our_mark_counts_as_absent() {
    compare("A web owner=us", "read PTR 10.1.5.4\nweb at 10.1.5.4: first_seen");
    compare(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 owner=us",
        "read PTR 10.1.5.4
        web at 10.1.5.4: drift_detected kinds=ptr_missing dns=10.1.5.4",
    );
    compare(
        "A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 owner=us",
        "read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: no_change dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn addresses_of_extra_lookups_are_compared_too() {
    compare(
        "lookup 10.1.5.7
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.7 web",
        "read PTR 10.1.5.4, PTR 10.1.5.7
        web at 10.1.5.4: drift_detected kinds=ptr_stale dns=10.1.5.4 ptr=web.spoke1.internal",
    );
}

#[test]
fn a_chosen_name_is_compared_at_that_name() {
    check(
        "rules compare
        group running 10.1.5.4 hostname=shop
        A web 10.1.5.9 owner=us
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us
        =>
        read A web, group
        read A shop, PTR 10.1.5.4
        shop at 10.1.5.4: no_change dns=10.1.5.4 ptr=shop.spoke1.internal",
    );
}

#[test]
fn a_group_without_a_ptr_misses_none_and_one_with_its_name_is_stale() {
    for (ptr, found) in [
        ("10.1.5.4 x.org", "no_change dns=10.1.5.4 ptr=x.org"),
        ("10.1.5.4 web", "drift_detected kinds=ptr_stale dns=10.1.5.4 ptr=web.spoke1.internal"),
    ] {
        check(&format!(
            "rules compare
            group running 10.1.5.4 ptr=false
            A web 10.1.5.4 owner=us
            PTR {ptr}
            =>
            read A web, group
            read PTR 10.1.5.4
            web at 10.1.5.4: {found}"
        ));
    }
}

#[test]
fn a_group_without_an_address_is_not_compared() {
    for (group, reason) in [
        ("deleted", "Deleted"),
        ("deleting", "Deleting"),
        ("public 20.0.0.4", "Public"),
        ("no-address", "NoAddress"),
        ("running 10.1.5.4 provisioning=PreProvisioned", "StandbyPool"),
        ("no-address provisioning=Failed", "ProvisioningFailed"),
        ("pending", "Pending"),
        ("stopped 10.1.5.4", "Released"),
        ("running 10.1.5.4 ignore=true", "Ignored"),
    ] {
        check(&format!(
            "rules compare wait=15
            group {group}
            A web 10.1.5.9 owner=us
            =>
            read A web, group
            unmanaged, {reason}"
        ));
    }
}

#[test]
fn a_partial_read_gives_no_verdict() {
    compare(
        "A web 10.1.5.4 owner=us
        when read PTR 10.1.5.4: fails forbidden",
        "read PTR 10.1.5.4 (forbidden)
        failed, PTR 10.1.5.4 (forbidden)",
    );
}
