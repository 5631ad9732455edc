//! The policies and rules of the map: what each policy writes, plans and withholds, and the overrides of an
//! entry.

use super::{world::check, *};

#[test]
fn upsert_only_creates_and_replaces_and_remembers_nothing() {
    check(
        "rules upsert-only
        group running 10.1.5.4
        A web 10.1.5.9 owner=us previous=10.1.5.8@9000
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.8@9000
        & read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.9",
    );
}

#[test]
fn upsert_only_forgets_nothing() {
    check(
        "rules upsert-only
        group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@1
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn upsert_only_keeps_an_old_name_and_its_ptr_values() {
    check(
        "rules upsert-only
        group running 10.1.5.4 hostname=shop
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        + A shop 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4
        withheld - A web
        withheld ~ PTR 10.1.5.4 shop owner=us",
    );
}

#[test]
fn upsert_only_withholds_a_deletion() {
    check(
        "rules upsert-only
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        web: absent
        withheld - PTR 10.1.5.4
        withheld - A web",
    );
}

#[test]
fn upsert_only_empties_no_name_of_a_stopped_group() {
    check(
        "rules upsert-only
        group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        web: absent
        withheld ~ A web owner=us
        withheld - PTR 10.1.5.4",
    );
}

#[test]
fn upsert_only_withholds_the_removals_for_a_public_address() {
    check(
        "rules adopt upsert-only
        group public 20.0.0.4
        A web 10.1.5.4 owner=us previous=10.1.5.5@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.5 web
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.5
        web: unmanaged, Public
        withheld - PTR 10.1.5.4
        withheld - A web",
    );
}

#[test]
fn adopt_only_writes_marks_and_memory_and_nothing_else() {
    check(
        "rules adopt adopt-only
        group running 10.1.5.4
        A web 10.1.5.9 ttl=300 cost=42
        PTR 10.1.5.4 web x.org
        PTR 10.1.5.8 web
        =>
        read A web, group
        read list 1.10
        ~ A web 10.1.5.9 ttl=300 owner=us previous=10.1.5.8@10000 cost=42
        & read PTR 10.1.5.4, PTR 10.1.5.8, PTR 10.1.5.9
        ~ PTR 10.1.5.4 web x.org owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.8",
    );
}

#[test]
fn adopt_only_restores_a_lost_mark_at_a_chosen_name() {
    check(
        "rules adopt-tagged adopt-only
        group running 10.1.5.4 hostname=shop
        A shop 10.1.5.4
        PTR 10.1.5.4 shop owner=us
        =>
        read A web, group
        read A shop
        read list 1.10
        ~ A shop 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn adopt_only_creates_nothing() {
    check(
        "rules adopt adopt-only
        group running 10.1.5.4
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn observe_plans_what_sync_would_write_and_verifies_nothing() {
    check(
        "rules observe
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9
        web at 10.1.5.4: named 10.1.5.4",
    );
    check(
        "rules observe
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web
        web: absent",
    );
    check(
        "rules observe
        group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, group again
        ~ A web owner=us previous=10.1.5.4@10003
        - PTR 10.1.5.4
        web: absent",
    );
}

#[test]
fn a_dry_run_plans_and_withholds_like_its_policy() {
    check(
        "rules upsert-only dry
        group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        web at 10.1.5.4: named 10.1.5.4
        withheld - PTR 10.1.5.9",
    );
}

#[test]
fn an_address_outside_of_the_ranges_fails_and_dns_stays() {
    check(
        "ranges 10.1.0.0/16 10.3.0.0/16
        group running 10.2.0.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        =>
        read A web, group
        web at 10.2.0.4: failed, 10.2.0.4 is outside of the ranges",
    );
    check(
        "ranges 10.2.0.0/16 10.1.5.4/32
        group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn records_with_an_old_address_outside_of_the_ranges_are_removed() {
    check(
        "ranges 10.2.0.0/16
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

/// The rules of `rg-a` and `rg-b`, whose entries differ.
fn rules_of(variables: &[(&str, &str)], takeover: Takeover) -> [Rules; 2] {
    let zones = r#"{
        "rg-a": {"forwardZone": "a.internal", "reverseZones": [], "policy": "observe", "ownership": "adopt"},
        "rg-b": {"forwardZone": "b.internal", "reverseZones": [], "groups": ["web-*", "api"]}
    }"#;
    let variable = |name: &str| {
        let own = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        own.or_else(|| (name == "ACI_DNS_ZONES").then(|| zones.to_owned()))
    };
    let settings = Settings { takeover, ..Settings::from_variables(variable).unwrap() };
    ["rg-a", "rg-b"].map(|resource_group| {
        let id = ContainerGroupId::new("s1", resource_group, "api").unwrap();
        let goal = Goal::new(&id, &settings.zones, Purpose::Reconcile).unwrap();
        Rules::of(&settings, &goal.zones)
    })
}

#[test]
fn an_entry_of_the_map_has_its_own_policy_and_ownership() {
    let [own, default] = rules_of(&[], Takeover::AsConfigured);
    assert_eq!((own.policy, own.ownership), (Policy::Observe, Ownership::Adopt));
    assert_eq!((default.policy, default.ownership), (Policy::Sync, Ownership::Strict));
    assert_eq!((own.is_dry_run(), default.is_dry_run()), (true, false));
    let variables = [("ACI_DNS_POLICY", "upsert-only"), ("ACI_DNS_OWNERSHIP", "adopt")];
    let [own, default] = rules_of(&variables, Takeover::AsConfigured);
    assert_eq!((own.policy, own.ownership), (Policy::Observe, Ownership::Adopt));
    assert_eq!((default.policy, default.ownership), (Policy::UpsertOnly, Ownership::Adopt));
}

#[test]
fn a_takeover_option_overrides_all_entries() {
    for (takeover, ownership, adopts_tagged) in [
        (Takeover::Never, Ownership::Strict, false),
        (Takeover::All, Ownership::Adopt, true),
        (Takeover::MarksOnly, Ownership::Adopt, true),
    ] {
        for rules in rules_of(&[], takeover) {
            assert_eq!((rules.ownership, rules.adopts_tagged), (ownership, adopts_tagged), "{takeover:?}");
            assert_eq!(rules.policy == Policy::AdoptOnly, takeover == Takeover::MarksOnly, "{takeover:?}");
        }
    }
}

#[test]
fn an_address_is_remembered_for_five_minutes_or_the_deadline() {
    for rules in rules_of(&[("ACI_DNS_DEADLINE_SECONDS", "28")], Takeover::AsConfigured) {
        assert_eq!(rules.memory_seconds, 300);
    }
}

#[test]
fn a_group_outside_of_groups_is_not_managed() {
    let map = r#"{"rg": {"forwardZone": "b.internal", "reverseZones": [], "groups": ["web-*", "api"]}}"#;
    let map = Arc::new(ZoneMap::parse(map).unwrap());
    for (resource_group, name, is_managed) in
        [("rg", "web-1", true), ("RG", "API", true), ("rg", "job", false), ("other", "api", false)]
    {
        let id = ContainerGroupId::new("s1", resource_group, name).unwrap();
        let goal = Goal::new(&id, &map, Purpose::Reconcile);
        assert_eq!(goal.is_some(), is_managed, "{resource_group}/{name}");
    }
}
