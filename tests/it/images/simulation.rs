//! A deterministic simulation: groups of all kinds, pushes that arrive late, twice and out of order at several
//! instances, requests that fail. At the end every group runs what the rules say, nothing was done twice for one push,
//! and no group without opt-in was touched.

use azure_simulator::{Effect, Fault, FaultAnswer, ImagePush, When};
use http::Method;
use serde_json::Value;

use super::{APP, Images, PUSHED};
use crate::world::{QUEUE, id, pass};

const GROUPS: [(&str, &str, &str); 5] = [
    ("restarted", "restart", "demo.azurecr.io/app:latest"),
    ("versioned", "semver:^1", "demo.azurecr.io/app:1.0.0"),
    ("matched", "glob:b-*", "demo.azurecr.io/app:b-000"),
    ("other", "restart", "demo.azurecr.io/other:latest"),
    ("member-1", "restart", "demo.azurecr.io/app:latest"),
];

/// One life of an app.
async fn life(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let images = Images::with_queue(&[]);
    for (name, tag, image) in GROUPS {
        images.create(name, tag, image).await;
    }
    let service = [("aci-dns-image", "restart"), ("aci-dns-service", "api")];
    images.create_as("member-2", "demo.azurecr.io/app:latest", &service, |_| ()).await;
    images.create_as("member-3", "demo.azurecr.io/app:latest", &service, |_| ()).await;
    images.create_as("plain", "demo.azurecr.io/app:latest", &[], |_| ()).await;
    let before = images.azure.running_images(&id("plain"));
    images.azure.clear_calls();
    // One process, or several.
    let is_alone = seed.is_multiple_of(2);
    let other = if is_alone { images.stage.clone() } else { images.instance() };
    let hosts = [images.stage.start_queue_host().unwrap(), other.start_queue_host().unwrap()];
    let mut deliveries: Vec<(u64, Value)> = Vec::new();
    let (mut latest, mut highest, mut newest): (Option<ImagePush>, (u32, String), String) =
        (None, (0, "1.0.0".to_owned()), "b-000".to_owned());
    let mut now = 0;
    for number in 1..=random.u32(3..8) {
        let tag = match random.u8(0..3) {
            0 => "latest".to_owned(),
            1 => format!("1.{}.0", random.u32(1..9)),
            _ => format!("b-{number:03}"),
        };
        let push = images.push(&format!("{APP}:{tag}"));
        if tag == "latest" {
            latest = Some(push.clone());
        } else if let Some(minor) = tag.strip_prefix("1.").and_then(|rest| rest.strip_suffix(".0")) {
            let minor = minor.parse().unwrap();
            if minor > highest.0 {
                highest = (minor, tag);
            }
        } else {
            newest = tag;
        }
        for _ in 0..random.u32(1..4) {
            deliveries.push((now + random.u64(0..1200), push.event()));
        }
        let gap = random.u64(1..400);
        pass(gap).await;
        now += gap;
        deliver(&images, &mut deliveries, now, (is_alone, &mut random)).await;
    }
    // What is left is delivered at last.
    let late: Vec<Value> = deliveries.drain(..).map(|(_, event)| event).collect();
    for event in late {
        let _ = images.stage.invoke(PUSHED, &event).await;
    }
    images.empty_queue().await;
    for host in &hosts {
        assert!(!host.has_ended(), "{seed}");
        host.stop();
    }
    assert_eq!(images.azure.messages(QUEUE).unwrap().len(), 0, "{seed}");
    if let Some(latest) = &latest {
        for name in ["restarted", "member-1", "member-2", "member-3"] {
            assert!(images.runs(name, latest), "{seed} {name}");
        }
    }
    assert_eq!(images.running("versioned"), [format!("{APP}:{}", highest.1)], "{seed}");
    // Only the process that wrote the current tag knows when that was pushed.
    if is_alone {
        assert_eq!(images.running("matched"), [format!("{APP}:{newest}")], "{seed}");
    }
    assert!(images.running("matched")[0].starts_with("demo.azurecr.io/app:b-"), "{seed}");
    assert_eq!(images.azure.running_images(&id("plain")), before, "{seed}");
    let writes = images.writes();
    assert!(
        !writes.iter().any(|write| write.contains("plain") || write.contains("other")),
        "{seed} {writes:?}"
    );
}

/// Delivers what is due, in any order; some requests fail.
async fn deliver(
    images: &Images,
    deliveries: &mut Vec<(u64, Value)>,
    now: u64,
    (is_alone, random): (bool, &mut fastrand::Rng),
) {
    let due: Vec<usize> = (0..deliveries.len()).filter(|at| deliveries[*at].0 <= now).collect();
    let mut events: Vec<Value> = due.into_iter().rev().map(|at| deliveries.remove(at).1).collect();
    random.shuffle(&mut events);
    for event in events {
        let effect = match random.u8(0..6) {
            0 => Some(Effect::Drop(When::Before)),
            1 => Some(Effect::Drop(When::After)),
            2 => Some(Effect::Answer(When::Before, FaultAnswer::new(503, "ServiceUnavailable"))),
            _ => None,
        };
        if let Some(effect) = effect {
            let method = if random.bool() { Method::GET } else { Method::POST };
            images.azure.inject(Fault::once(method, "Microsoft.ContainerInstance", effect));
        }
        let stage = if is_alone || random.bool() { images.stage.clone() } else { images.instance() };
        assert_eq!(stage.invoke(PUSHED, &event).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_that_arrive_late_twice_and_out_of_order_end_right() {
    let seeds = std::env::var("ACI_DNS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        life(seed).await;
    }
}
