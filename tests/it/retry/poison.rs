//! The poison queue, and the commands that show it and move its messages back.

use std::time::Duration;

use aci_dns::{
    azure::{http_transport::HttpTransport, tokens::Tokens},
    reconcile::retry::poison::{PoisonQueue, line},
};
use azure_simulator::FaultAnswer;
use http::Method;
use serde_json::json;

use super::{GET, count, message, outcomes, start, world};
use crate::world::{POISON, QUEUE, World, a, pass, ptr};

fn poison_queue(world: &World) -> PoisonQueue {
    let url = world.azure.queue_url("http://127.0.0.1:8181", QUEUE).parse().unwrap();
    PoisonQueue::new(&url, &HttpTransport::embedded(world.azure.router()), &Tokens::fixed("token")).unwrap()
}

async fn lines(world: &World) -> Vec<String> {
    poison_queue(world).list().await.unwrap().messages.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_poison_queue_that_does_not_exist_yet_is_empty() {
    let world = world();
    let poisoned = poison_queue(&world).list().await.unwrap();
    assert_eq!((poisoned.count, poisoned.messages.len()), (0, 0));
    assert_eq!(poison_queue(&world).redrive().await.unwrap(), 0);
    assert_eq!(world.azure.queues(), [QUEUE]);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_given_up_is_shown_and_moved_back_and_done() {
    let world = world();
    world.create_at("web", 4);
    world.fail_times(Method::PUT, "/A/web", u64::MAX, FaultAnswer::new(403, "AuthorizationFailed"));
    world.reconcile("web").await.is(200, "deferred", &[]);
    let (_, _running) = start(&world);
    pass(26 * 3600).await;
    let expected = format!(
        "2026-01-01T00:00:00Z attempt 1 Microsoft.Resources.ResourceWriteSuccess {}",
        crate::world::id("web")
    );
    assert_eq!(lines(&world).await, [expected]);
    // A person repairs it.
    world.azure.clear_faults();
    drop(world.take_lines());
    assert_eq!(poison_queue(&world).redrive().await.unwrap(), 1);
    pass(10).await;
    assert_eq!(outcomes(&world.take_lines()), ["changed"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!((count(&world, QUEUE), count(&world, POISON)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_not_base64_are_shown_and_moved_as_they_are() {
    let world = world();
    world.azure.create_queue(POISON);
    for text in ["hello \u{1b}[31mworld", "aGVsbG8=", "<&>"] {
        world.azure.put_message(POISON, text, Duration::ZERO).unwrap();
    }
    let expected = ["not readable: hello \\u{1b}[31mworld", "not readable: aGVsbG8=", "not readable: <&>"];
    assert_eq!(lines(&world).await, expected);
    assert_eq!(poison_queue(&world).redrive().await.unwrap(), 3);
    let texts: Vec<_> =
        world.azure.messages(QUEUE).unwrap().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["hello \u{1b}[31mworld", "aGVsbG8=", "<&>"]);
    assert_eq!(count(&world, POISON), 0);
}

#[tokio::test(start_paused = true)]
async fn all_messages_are_moved_and_32_are_shown() {
    let world = world();
    world.azure.create_queue(POISON);
    for _ in 0..70 {
        world.azure.put_message(POISON, "text", Duration::ZERO).unwrap();
    }
    let poisoned = poison_queue(&world).list().await.unwrap();
    assert_eq!((poisoned.count, poisoned.messages.len()), (70, 32));
    assert_eq!(poison_queue(&world).redrive().await.unwrap(), 70);
    assert_eq!((count(&world, QUEUE), count(&world, POISON)), (70, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_copied_is_not_deleted() {
    let world = world();
    world.azure.create_queue(POISON);
    let text = message(&world, "web", &json!({})).to_string();
    world.azure.put_message(POISON, &text, Duration::ZERO).unwrap();
    world.fail(super::POST, "/messages", 403, "AuthorizationPermissionMismatch");
    assert!(poison_queue(&world).redrive().await.is_err());
    assert_eq!(count(&world, POISON), 1);
    world.fail(GET, "/messages", 403, "AuthorizationPermissionMismatch");
    let error = poison_queue(&world).list().await.unwrap_err().to_string();
    assert!(error.contains("Storage Queue Data"), "{error}");
}
