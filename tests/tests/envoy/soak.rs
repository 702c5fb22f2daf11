//! Memory under deliveries that are all different.

use hookgate_tests::client::Client;
use serde_json::json;
use tokio::task::JoinSet;

use crate::edge::{Edge, PATH, message, to};

/// Sends `count` deliveries with keys of their own, after as many as fill the memory of what was delivered; Envoy's memory may
/// grow by this part of what it was.
async fn memory_stays_flat(max_keys: usize, count: usize) {
    const SENDERS: usize = 16;
    let mut policy = to(&["bot"]);
    policy["dedupe"] = json!({"window_s": 900, "max_keys": max_keys});
    let mut edge = Edge::with(&policy, |mut settings| {
        settings.manager()["access_log"] = json!([]);
        settings.workers(2)
    })
    .await;
    let clients: Vec<_> = (0..SENDERS).map(|_| Client::new()).collect();
    // Twice what is remembered fills every bucket.
    let warm_up = 2 * max_keys;
    let mut before = 0;
    let mut sent = 0;
    let mut most = 0;
    while sent < warm_up + count {
        let mut senders = JoinSet::new();
        for (number, client) in clients.iter().enumerate() {
            let (client, url) = (client.clone(), edge.envoy.url(PATH));
            senders.spawn(async move {
                for turn in 0..250 {
                    let delivery = message(&format!("wamid.{sent}.{number}.{turn}"));
                    assert_eq!(client.post(&url, &delivery).await.status, 200);
                }
            });
        }
        senders.join_all().await;
        sent += SENDERS * 250;
        assert_eq!(edge.bot.rest().len(), SENDERS * 250);
        if before == 0 && sent >= warm_up {
            before = edge.envoy.memory();
        }
        most = most.max(edge.envoy.memory());
    }
    let after = edge.envoy.memory();
    println!(
        "{sent} deliveries: {} KB after {warm_up}, {} KB at the end, at most {} KB",
        before >> 10,
        after >> 10,
        most >> 10
    );
    assert!(after <= before + before / 20, "memory grew from {before} to {after} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_over_20_000_deliveries() {
    memory_stays_flat(4_000, 12_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --package hookgate-tests --test envoy --release -- --ignored 200_000 --nocapture"]
async fn memory_stays_flat_over_200_000_deliveries() {
    memory_stays_flat(20_000, 200_000).await;
}
