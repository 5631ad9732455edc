//! Worlds and failures for the laws, written as text.

use super::*;

fn any_state() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => any_address().prop_map(|address| format!("running {address}")),
        3 => Just("deleted".to_owned()),
        1 => Just("deleting 10.1.5.1".to_owned()),
        1 => Just("public 20.0.0.4".to_owned()),
        2 => Just("stopped 10.1.5.1".to_owned()),
        1 => Just("running 10.1.5.1 state=Succeeded restart=Never containers=Terminated:0".to_owned()),
        1 => Just("running 10.1.5.1 state=Succeeded containers=Terminated:0".to_owned()),
        1 => Just("running 10.1.5.1 provisioning=PreProvisioned".to_owned()),
        1 => Just("no-address provisioning=Failed".to_owned()),
        1 => Just("pending".to_owned()),
        1 => Just("no-address".to_owned()),
    ]
}

fn any_group() -> impl Strategy<Value = String> {
    let tags = prop_oneof![
        6 => Just(""),
        2 => Just(" hostname=shop"),
        1 => Just(" ptr=false"),
        1 => Just(" hostname=old ttl=5"),
        1 => Just(" ignore=true"),
        1 => Just(" ttl=soon"),
    ];
    (any_state(), tags)
        .prop_map(|(state, tags)| if state == "deleted" { state } else { format!("{state}{tags}") })
}

fn any_rules() -> impl Strategy<Value = String> {
    let ownership = prop::sample::select(vec!["adopt", "strict", "adopt-tagged"]);
    let policy = prop_oneof![
        6 => Just("sync"),
        2 => Just("upsert-only"),
        1 => Just("adopt-only"),
        1 => Just("observe"),
        1 => Just("sync dry"),
    ];
    let stopped = prop_oneof![3 => Just("remove"), 1 => Just("keep")];
    let purpose = prop_oneof![9 => Just(""), 1 => Just(" compare")];
    let wait = prop_oneof![Just(""), Just(" wait=2")];
    (ownership, policy, stopped, purpose, wait).prop_map(|(ownership, policy, stopped, purpose, wait)| {
        format!("rules {ownership} {policy} {stopped}{purpose}{wait}")
    })
}

/// The settings, and the event.
fn any_settings() -> impl Strategy<Value = Vec<String>> {
    let reverse = vec!["10", "1.10", "5.1.10"];
    let reverse = prop_oneof![
        3 => prop::sample::subsequence(reverse.clone(), 0..=3).prop_shuffle(),
        3 => Just(vec!["10"]),
    ];
    let zones = reverse.prop_map(|reverse| format!("zones spoke1.internal {}", reverse.join(" ")));
    let event = prop::sample::select(vec!["delete", "delete", "old", "failed", "recheck", "young"]);
    let event = event.prop_map(|event| format!("event {event}"));
    let others =
        prop::sample::select(vec!["spoke1.internal 10", "spoke1.internal 10", "spoke2.internal 10", "-"]);
    let others = others.prop_map(|entry| format!("map rg-spoke2 {entry}"));
    let rare = |line: &str| {
        let line = line.to_owned();
        prop_oneof![3 => Just(String::new()), 1 => Just(line)]
    };
    let rare =
        (rare("former former.internal"), rare("ranges 10.1.5.0/24 10.1.6.0/24"), rare("hostnames shop"));
    let rare = rare.prop_map(|(former, ranges, hostnames)| vec![former, ranges, hostnames]);
    (any_rules(), zones, event, others, rare).prop_map(|(rules, zones, event, others, mut rare)| {
        rare.extend([rules, zones, event, others]);
        rare.retain(|line| !line.is_empty());
        rare
    })
}

/// Other groups, CNAME record sets and locks.
fn any_neighbours() -> impl Strategy<Value = Vec<String>> {
    let owner = |mark: &'static str| any_group().prop_map(move |group| format!("owner {mark} {group}"));
    let owners = (prop::option::of(owner("other")), prop::option::of(owner("third")));
    let cname = prop::option::weighted(0.15, any_name().prop_map(|name| format!("CNAME {name} x.org")));
    let locks = vec!["lock spoke1.internal", "lock 10 1.10 5.1.10"];
    let locks = prop_oneof![
        3 => Just(vec![]),
        1 => prop::sample::subsequence(locks, 1..=2),
    ];
    (owners, cname, locks).prop_map(|((other, third), cname, locks)| {
        let locks = locks.into_iter().map(str::to_owned);
        [other, third, cname].into_iter().flatten().chain(locks).collect()
    })
}

/// A world without failures.
pub(super) fn any_world() -> impl Strategy<Value = World> {
    let settings = (any_settings(), any_group(), any_neighbours());
    let a = prop::collection::btree_map(any_name(), any_record_set(any_address()), 0..4);
    let rival = prop::sample::select(vec!["other", "third"]);
    let rival = prop::option::weighted(0.3, (any_name(), any_record_set(any_address()), rival));
    // The zone of a record set, among those that contain its address.
    let ptr = prop::collection::vec((any_address(), any::<Index>(), any_record_set(any_target())), 0..7);
    // The zone of a record set whose name is not an address.
    let odd = prop::collection::vec((any::<Index>(), any_record_set(any_target())), 0..2);
    let rare_addresses = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any_address(), 1..3)];
    let rare_names = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any_name(), 1..3)];
    let elsewhere = (rare_addresses.clone(), rare_names, rare_addresses);
    (settings, (a, rival), (ptr, odd), elsewhere).prop_map(
        |((settings, group, neighbours), (mut a, rival), (ptr, odd), elsewhere)| {
            let mut world = World::new();
            world.apply_lines(settings);
            world.apply_line(&format!("group {group}"));
            world.apply_lines(neighbours);
            let (addresses, names, touched) = elsewhere;
            world.lookups = ExtraLookups {
                addresses: addresses.into_iter().collect(),
                names: names.into_iter().collect(),
            };
            world.touched_addresses = touched.into_iter().collect();
            if let Some((name, mut set, mark)) = rival {
                set.content.metadata.insert(OWNER_KEY.to_owned(), owner(mark).as_str().to_owned());
                set.is_auto_registered = false;
                a.insert(name, set);
            }
            for (name, set) in a {
                let etag = world.next_etag();
                // Azure allows no other record set beside a CNAME.
                world.cnames.remove(&name);
                world.a.insert(name, RecordSet { etag, ..set });
            }
            let odd = odd.into_iter().filter_map(|(index, set)| Some((odd_key(&world.zones, index)?, set)));
            let at_addresses = ptr.into_iter().filter_map(|(address, index, set)| {
                let keys = ptr_keys(&world.zones, address);
                Some((keys.get(index.index(keys.len().max(1)))?.clone(), set))
            });
            for (key, set) in at_addresses.chain(odd).collect::<Vec<_>>() {
                let etag = world.next_etag();
                world.ptr.insert(key, RecordSet { etag, ..set });
            }
            world
        },
    )
}

/// The possible PTR record sets of an address: one in each reverse zone that contains it.
fn ptr_keys(zones: &Zones, address: Ipv4Addr) -> Vec<PtrKey> {
    let keys = zones.reverse.iter().enumerate();
    keys.filter_map(|(zone, reverse)| {
        Some(PtrKey { address: Some(address), zone, name: reverse.relative_name(address)? })
    })
    .collect()
}

fn odd_key(zones: &Zones, index: Index) -> Option<PtrKey> {
    let count = zones.reverse.len();
    (count > 0).then(|| PtrKey { address: None, zone: index.index(count), name: "printer".parse().unwrap() })
}

/// Failures and stale answers of single requests, each once.
pub(super) fn any_whens() -> impl Strategy<Value = Vec<String>> {
    let record_set = prop_oneof![
        2 => any_name().prop_map(|name| format!("A {name}")),
        3 => any_address().prop_map(|address| format!("PTR {address}")),
    ];
    let group_read = prop::sample::select(vec!["group", "group again"]);
    let owner_read = prop::sample::select(vec!["owner other", "owner other again", "owner third"]);
    let read = prop_oneof![
        4 => record_set.clone(),
        2 => group_read.clone().prop_map(str::to_owned),
        2 => owner_read.clone().prop_map(str::to_owned),
        1 => any_name().prop_map(|name| format!("CNAME {name}")),
        1 => Just("list 10".to_owned()),
        1 => Just("list A".to_owned()),
    ];
    let kinds = || prop::sample::select(vec!["transient", "forbidden", "missing", "refused"]);
    let read = (read, kinds()).prop_map(|(request, kind)| format!("when read {request}: fails {kind}"));
    let stale_group = (group_read, any_group())
        .prop_map(|(request, group)| format!("when read {request}: stale group {group}"));
    let stale_owner = (owner_read, any_group()).prop_map(|(request, group)| {
        let mark = if request.contains("third") { "third" } else { "other" };
        format!("when read {request}: stale owner {mark} {group}")
    });
    let failure = (record_set.clone(), kinds())
        .prop_map(|(request, kind)| format!("when write {request}: fails {kind}"));
    let clash = any_name().prop_map(|name| format!("when write A {name}: fails clash"));
    let race = record_set.clone().prop_map(|request| format!("when write {request}: fails race"));
    let lost = (record_set, prop::sample::select(vec!["lost", "lost before"]))
        .prop_map(|(request, effect)| format!("when write {request}: {effect}"));
    let group = any_group().prop_map(|group| format!("when verify: group {group}"));
    let any = prop_oneof![
        2 => read,
        2 => stale_group,
        3 => stale_owner,
        2 => failure,
        1 => clash,
        2 => race,
        2 => lost,
        2 => group,
    ];
    prop::collection::vec(any, 0..6)
}
