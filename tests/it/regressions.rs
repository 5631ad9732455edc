//! Orders of events that once left DNS wrong, found by the simulation.

use azure_simulator::{FaultAnswer, When};
use http::Method;

use super::world::{World, address, id};

/// Found by the simulation of failing requests: a pass wrote a PTR record while another group took the name
/// over. It then ended in a conflict before it could remove the PTR record.
#[tokio::test(start_paused = true)]
async fn a_ptr_written_during_a_takeover_by_another_group_is_removed() {
    let world = World::new(&[]);
    world.create("web");
    let held = world.azure.hold(Method::PUT, "/PTR/", When::Before);
    let slow = world.start(&world.instance(&[]), "web");
    held.reached().await;

    world.delete("web");
    world.create("rg-spoke2/web");
    world.reconcile("rg-spoke2/web").await.is(
        200,
        "changed",
        &[
            "~ A web.spoke1.contoso.internal 10.1.5.4 -> 10.1.6.4 (owner 00000000-0000-0000-0000-000000000000/rg-spoke1/web -> 00000000-0000-0000-0000-000000000000/rg-spoke2/web, remember 10.1.5.4)",
            "+ PTR 4.6.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.create("web");
    assert_eq!(world.azure.group_address(&id("web")), Some(address(4)));

    held.release();
    assert_eq!(slow.await.unwrap().status, 409);
    world.has(&[
        "A web.spoke1.contoso.internal 60 10.1.6.4 owner=rg-spoke2/web previous=10.1.5.4@3",
        "PTR 4.6.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=rg-spoke2/web",
    ]);
}

/// Found by the simulation of long throttles: a group took over the name of a deleted one while the reverse
/// zone could not be listed, so the A record set kept the other mark and was deleted with it, including the
/// previous address of the new group's PTR record.
#[tokio::test(start_paused = true)]
async fn no_ptr_is_written_before_we_own_the_a_record_set() {
    let world = World::new(&[]);
    world.create("web");
    world.reconcile("web").await.is(
        200,
        "changed",
        &[
            "+ A web.spoke1.contoso.internal 10.1.5.4",
            "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.delete("web");
    world.create("rg-spoke2/web");
    let refused = FaultAnswer::new(403, "AuthorizationFailed");
    world.fail_times(Method::GET, "1.10.in-addr.arpa/PTR?", 1, refused);
    world.reconcile("rg-spoke2/web").await.is(
        500,
        "failed",
        &["~ A web.spoke1.contoso.internal 10.1.5.4 -> 10.1.6.4 (remember 10.1.5.4)"],
    );
    world.has(&[
        "A web.spoke1.contoso.internal 60 10.1.6.4 owner=web previous=10.1.5.4@3",
        "PTR 4.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=web",
    ]);

    world.azure.move_group(&id("rg-spoke2/web")).unwrap();
    world.reconcile("web").await.is(
        200,
        "changed",
        &[
            "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
            "- A web.spoke1.contoso.internal 10.1.6.4",
        ],
    );
    world.reconcile("rg-spoke2/web").await.is(
        200,
        "changed",
        &[
            "+ A web.spoke1.contoso.internal 10.1.6.5",
            "+ PTR 5.6.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.has(&[
        "A web.spoke1.contoso.internal 60 10.1.6.5 owner=rg-spoke2/web",
        "PTR 5.6.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=rg-spoke2/web",
    ]);
}
