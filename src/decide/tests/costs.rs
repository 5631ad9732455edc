//! The invariant "Bounded cost" of the design: the requests of each case, and the sequential round trips.

use std::net::Ipv4Addr;

use super::world::{Cost, World};

/// The address of the group in every row.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 5, 4);

/// Compares the cost of one invocation with the expected one, which is at most the allowed one.
#[track_caller]
fn check(world: &str, expected: &str, allowed: &str) {
    let (cost, lines) = World::parse(world).cost();
    assert_eq!(cost, Cost::parse(expected), "{lines:#?}");
    assert!(cost.is_within(&Cost::parse(allowed)), "{cost:?} is more than {allowed}");
}

#[test]
fn nothing_to_do() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us",
        "3 GET, 2 trips",
        "3 GET, 2 trips",
    );
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9900,10.1.5.9@9900
        PTR 10.1.5.4 web owner=us",
        "5 GET, 2 trips",
        "5 GET, 2 trips",
    );
    // A name chosen by a tag: one more GET.
    check(
        "group running 10.1.5.4 hostname=shop
        A shop 10.1.5.4 owner=us
        PTR 10.1.5.4 shop owner=us",
        "4 GET, 3 trips",
        "4 GET, 3 trips",
    );
}

#[test]
fn a_new_group() {
    check("group running 10.1.5.4", "5 GET, 2 PUT, 4 trips", "5 GET, 2 PUT, 4 trips");
    check("group running 10.1.5.4 hostname=shop", "6 GET, 2 PUT, 5 trips", "6 GET, 2 PUT, 5 trips");
}

#[test]
fn an_address_that_moved() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us",
        "6 GET, 2 PUT, 1 DELETE, 4 trips",
        "6 GET, 2 PUT, 1 DELETE, 4 trips",
    );
}

#[test]
fn forgetting() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.9@9700
        PTR 10.1.5.4 web owner=us",
        "6 GET, 1 PUT, 4 trips",
        "6 GET, 1 PUT, 4 trips",
    );
}

#[test]
fn a_group_that_is_stopped() {
    check(
        "group stopped 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us",
        "6 GET, 1 PUT, 1 DELETE, 5 trips",
        "7 GET, 1 PUT, 1 DELETE, 5 trips",
    );
}

#[test]
fn a_conflict_at_the_name() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4",
        "3 GET, 2 trips",
        "3 GET, 3 trips",
    );
    // One GET for each relevant PTR record set: an unmarked record set may have been ours.
    check(
        "group running 10.1.5.4
        A web 10.1.5.9",
        "4 GET, 2 trips",
        "4 GET, 3 trips",
    );
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other",
        "4 GET, 3 trips",
        "4 GET, 3 trips",
    );
    // The first read of the owner would free the name; the second is a confirmation.
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other
        when read owner other: stale owner other deleted",
        "5 GET, 3 trips",
        "5 GET, 3 trips",
    );
    check(
        "group running 10.1.5.4
        CNAME web x.org",
        "4 GET, 1 PUT, 3 trips",
        "4 GET, 1 PUT, 4 trips",
    );
}

#[test]
fn a_deleted_group_without_records() {
    check("zones spoke1.internal 1.10 2.10", "2 GET, 3 LIST, 3 trips", "2 GET, 3 LIST, 3 trips");
    check("zones spoke1.internal", "2 GET, 1 LIST, 2 trips", "2 GET, 1 LIST, 3 trips");
}

#[test]
fn a_deleted_group() {
    check(
        "A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us",
        "5 GET, 1 LIST, 2 DELETE, 6 trips",
        "5 GET, 2 LIST, 2 DELETE, 6 trips",
    );
    check(
        "A web 10.1.5.4 owner=us previous=10.1.5.8@1
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.8 web owner=us",
        "6 GET, 1 LIST, 3 DELETE, 6 trips",
        "6 GET, 2 LIST, 3 DELETE, 6 trips",
    );
}

#[test]
fn a_ptr_that_is_taken_from_another_group() {
    // Compared with the case without changes: one more GET, two if it answers 404.
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third",
        "6 GET, 1 PUT, 5 trips",
        "6 GET, 1 PUT, 5 trips",
    );
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 api owner=third
        owner third deleted",
        "7 GET, 1 PUT, 6 trips",
        "7 GET, 1 PUT, 6 trips",
    );
}

#[test]
fn the_name_is_correct_after_two_trips_and_the_reverse_name_after_three() {
    for world in [
        "group running 10.1.5.4",
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us",
    ] {
        let world = World::parse(world);
        let trips = world.trips_until(|world| {
            let name = world.a.get(&"web".parse().unwrap());
            name.is_some_and(|set| set.content.records == [ADDRESS])
        });
        assert_eq!(trips, 2);
        let trips = world.trips_until(|world| world.ptr.keys().map(|key| key.address).eq([Some(ADDRESS)]));
        assert_eq!(trips, 3);
    }
}
