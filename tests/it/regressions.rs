//! Orders of events that once left DNS wrong, found by the simulation; each told as the story that it is.

use aci_dns::simulator::When;
use http::Method;

use super::world::{World, address, id};

/// Found by the simulation of failing requests: a pass believed in a name while another group took it over, wrote
/// its PTR record, and then met the conflict, which stopped it before it could take the PTR record back.
#[tokio::test(start_paused = true)]
async fn a_ptr_that_was_written_while_another_group_took_the_name_over_is_taken_back() {
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
        "A web.spoke1.contoso.internal 60 10.1.6.4 owner=rg-spoke2/web previous=10.1.5.4@0",
        "PTR 4.6.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=rg-spoke2/web",
    ]);
}
