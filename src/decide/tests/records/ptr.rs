//! The rules for single PTR record sets, one test each.

use super::*;

#[test]
fn the_ptr_at_our_address_is_created_with_our_mark() {
    check_point(rules(), &absent(4), &["+ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"]);
}

#[test]
fn a_correct_ptr_does_not_change_whatever_its_spelling() {
    check_point(rules(), &ptr(4, &["Web.Spoke1.Internal."], &[(OWNER_KEY, OWN)]), &[]);
}

#[test]
fn of_a_ptr_of_ours_only_our_own_values_change() {
    check_point(
        rules(),
        &ptr(
            4,
            &["alias.spoke1.internal", "Gone.Spoke1.internal", "any.former.internal", "x.org"],
            &[(OWNER_KEY, OWN)],
        ),
        &["~ PTR 4.5.1.10.in-addr.arpa \
           alias.spoke1.internal Gone.Spoke1.internal any.former.internal x.org -> \
           alias.spoke1.internal x.org web.spoke1.internal"],
    );
}

#[test]
fn at_our_address_values_of_another_group_inside_every_forward_zone_of_the_map_are_replaced() {
    check_point(
        rules(),
        &ptr(
            4,
            &["api.spoke1.internal", "api.spoke2.internal", "api.old.internal", "api.internal"],
            &[(OWNER_KEY, OTHER), ("cost", "42")],
        ),
        &["~ PTR 4.5.1.10.in-addr.arpa \
           api.spoke1.internal api.spoke2.internal api.old.internal api.internal -> \
           api.internal web.spoke1.internal (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)"],
    );
}

#[test]
fn at_our_address_a_ptr_of_another_group_stays_while_that_group_has_the_address() {
    let taken = ptr(4, &["api.spoke1.internal"], &[(OWNER_KEY, OTHER)]);
    let shared = "the PTR record set 4.5.1.10.in-addr.arpa belongs to the container group s1/rg-spoke2/web, \
                  which has the same address";
    for holder in [None, Some(&OtherHolder::Claims), Some(&OtherHolder::Pending)] {
        assert_eq!(show(&point(rules(), &taken, holder)), [shared], "{holder:?}");
    }
    // An empty record set counts as absent, whatever its mark.
    let empty = ptr(4, &[], &[(OWNER_KEY, OTHER)]);
    assert_eq!(point(rules(), &empty, Some(&OtherHolder::Claims)).conflicts, []);
}

#[test]
fn at_our_address_unmarked_values_inside_the_forward_zones_are_replaced_in_adopt() {
    check_point(
        rules(),
        &ptr(4, &["api.spoke1.internal", "x.org"], &[]),
        &["~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
           (owner none -> s1/rg-spoke1/web)"],
    );
}

#[test]
fn at_our_address_an_unmarked_ptr_is_a_conflict_in_strict() {
    for targets in [&["web.spoke1.internal"][..], &[]] {
        check_point(
            strict(),
            &ptr(4, targets, &[]),
            &[&format!("the PTR record set 4.5.1.10.in-addr.arpa {STRICT}")],
        );
    }
}

#[test]
fn a_ptr_of_the_platform_or_another_controller_is_never_touched() {
    let mut auto = ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]);
    auto.record_set.as_mut().unwrap().is_auto_registered = true;
    check_point(
        rules(),
        &auto,
        &["the PTR record set 4.5.1.10.in-addr.arpa is registered automatically for a virtual machine"],
    );
    let controlled = ptr(4, &["web.spoke1.internal"], &[("managedBy", "x")]);
    check_point(
        rules(),
        &controlled,
        &[
            "the PTR record set 4.5.1.10.in-addr.arpa belongs to another controller: its metadata says managedBy = \"x\"",
        ],
    );
    for ptr in [auto, controlled] {
        check_elsewhere(rules(), &Ptr { record_set: ptr.record_set, ..absent(9) }, &[]);
    }
}

#[test]
fn with_adopt_only_only_a_ptr_with_our_name_gets_our_mark() {
    let adopt_only = Rules { policy: Policy::AdoptOnly, ..rules() };
    let check = |ptr: &Ptr, expected: &[&str]| check_point(adopt_only, ptr, expected);
    check(
        &ptr(4, &["web.spoke1.internal", "x.org"], &[]),
        &["~ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal x.org (owner none -> s1/rg-spoke1/web)"],
    );
    check(&ptr(4, &["x.org"], &[]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn elsewhere_our_value_is_removed_with_an_empty_record_set() {
    let removed = &["- PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"];
    check_elsewhere(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), removed);
    check_elsewhere(rules(), &ptr(9, &["web.spoke1.internal"], &[]), removed);
    check_elsewhere(strict(), &ptr(9, &["web.spoke1.internal"], &[]), &[]);
    check_elsewhere(rules(), &absent(9), &[]);
}

#[test]
fn elsewhere_our_mark_is_removed_if_only_foreign_values_remain() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)"],
    );
    check_elsewhere(
        rules(),
        &ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa x.org (owner s1/rg-spoke1/web -> none)"],
    );
}

#[test]
fn elsewhere_values_in_a_former_zone_are_removed_from_our_record_sets_only() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.former.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.former.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)"],
    );
    check_elsewhere(rules(), &ptr(9, &["web.former.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check_elsewhere(rules(), &ptr(9, &["web.former.internal"], &[]), &[]);
}

#[test]
fn elsewhere_only_our_value_is_removed_from_another_groups_record_set() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.spoke1.internal", "api.spoke2.internal"], &[(OWNER_KEY, OTHER)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal api.spoke2.internal -> api.spoke2.internal"],
    );
    check_elsewhere(rules(), &ptr(9, &["gone.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
}

#[test]
fn with_upsert_only_a_removal_is_withheld() {
    check_elsewhere(
        upsert_only(),
        &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &["withheld - PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"],
    );
    check_point(
        upsert_only(),
        &ptr(4, &["gone.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &[
            "~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> gone.spoke1.internal web.spoke1.internal",
            "withheld ~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> web.spoke1.internal",
        ],
    );
}

#[test]
fn the_scope_of_a_removal_selects_the_marks() {
    use RemovalScope::{All, Ours, OursAndUnmarked};
    let fqdn = "web.spoke1.internal";
    let is_removed = |rules, ptr: &Ptr, scope| !remove(rules, ptr, scope).edits.is_empty();
    let (ours, unmarked) = (ptr(9, &[fqdn], &[(OWNER_KEY, OWN)]), ptr(9, &[fqdn], &[]));
    let other = ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]);
    for (scope, expected) in
        [(Ours, [true, false, false]), (OursAndUnmarked, [true, true, false]), (All, [true, true, true])]
    {
        let removed = [&ours, &unmarked, &other].map(|ptr| is_removed(rules(), ptr, scope));
        assert_eq!(removed, expected, "{scope:?}");
        assert!(!is_removed(strict(), &unmarked, scope), "strict touches what is marked");
        assert!(!is_removed(rules(), &ptr(9, &["x.org"], &[]), scope));
    }
}

#[test]
fn only_a_ptr_of_ours_leads_to_names_that_we_had() {
    let check = |ptr: &Ptr, expected: &[&str]| {
        let names: Vec<_> = ptr.observed().other_names(&desired()).map(|name| name.to_string()).collect();
        assert_eq!(names, expected);
    };
    let said = ["web.spoke1.internal", "Old.spoke1.internal", "spoke1.internal", "x.org"];
    check(&ptr(4, &said, &[(OWNER_KEY, OWN)]), &["old"]);
    check(&ptr(4, &said, &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(4, &said, &[]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn the_holder_of_a_ptr_matters_only_at_our_address_and_only_if_not_empty() {
    let check = |ptr: &Ptr, expected: &[&str]| {
        let observed = [ptr.observed()];
        let holders: Vec<_> = other_holders(&observed, &desired().owner, address(4)).collect();
        assert_eq!(holders.iter().map(Owner::as_str).collect::<Vec<_>>(), expected);
    };
    check(&ptr(4, &["x.org"], &[(OWNER_KEY, OTHER)]), &[OTHER]);
    check(&ptr(4, &[], &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn an_address_is_clean_only_when_its_ptr_neither_names_us_nor_carries_our_mark() {
    let check = |rules: Rules, ptr: &Ptr, is_clean: bool| {
        let plan = remove(rules, ptr, RemovalScope::All);
        assert_eq!(plan.clean.contains(&ptr.address), is_clean, "{ptr:?}");
    };
    check(rules(), &absent(9), true);
    check(rules(), &ptr(9, &["x.org"], &[]), true);
    check(rules(), &ptr(9, &["x.org"], &[(OWNER_KEY, OTHER)]), true);
    check(rules(), &ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), false);
    // A record set that may not be changed still names the group.
    check(strict(), &ptr(9, &["web.spoke1.internal"], &[]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[("creator", "x")]), false);
    // Azure refused to delete it.
    check(rules(), &ptr(9, &[], &[(OWNER_KEY, OWN)]), true);
}
