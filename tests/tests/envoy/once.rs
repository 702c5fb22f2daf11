//! Once per target, across workers.

use std::sync::Arc;

use hookgate_tests::Delivery;
use hookgate_tests::client::Client;
use hookgate_tests::upstream::Reply;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::edge::{Edge, PATH, SECRET, message, to};

#[tokio::test]
async fn a_second_delivery_is_answered_200_and_goes_nowhere() {
    let mut edge = Edge::new(&to(&["bot"])).await;
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    let replayed = message("wamid.A1").with("X-Idempotency-Key", "another");
    assert_eq!(edge.post(&replayed).await.status, 200);
    edge.bot.next().await;
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_deliveries_over_four_workers_one_goes_on() {
    let permits = Arc::new(Semaphore::new(0));
    let mut edge = Edge::with(&to(&["bot"]), |settings| settings.workers(4)).await;
    edge.bot.now(Reply::Held(permits.clone(), 200));
    let url = edge.envoy.url(PATH);
    for round in 0..100 {
        let mut senders = JoinSet::new();
        for _ in 0..8 {
            let (url, delivery) = (url.clone(), message(&format!("wamid.{round}")));
            // A connection each, so that Envoy spreads them over its workers.
            senders.spawn(async move { Client::new().post(&url, &delivery).await.status });
        }
        // The target answers none of them before all others have heard that it is on its way.
        for _ in 0..7 {
            assert_eq!(senders.join_next().await.expect("there are eight").expect("no panic"), 503, "round {round}");
        }
        permits.add_permits(1);
        assert_eq!(senders.join_all().await, [200], "round {round}");
        edge.bot.next().await;
        assert!(edge.bot.rest().is_empty(), "round {round}");
    }
    let taken = edge.envoy.admin("/stats?filter=worker_[0-9]%2B.downstream_cx_total").await;
    let workers = taken.lines().filter(|line| !line.ends_with(": 0")).count();
    assert!(workers > 1, "nobody raced anybody: {taken}");
}

#[tokio::test]
async fn one_that_is_on_its_way_is_answered_503_never_200() {
    let permits = Arc::new(Semaphore::new(0));
    let mut edge = Edge::with(&to(&["bot"]), |settings| settings.workers(4)).await;
    edge.bot.now(Reply::Held(permits.clone(), 200));
    let (url, delivery) = (edge.envoy.url(PATH), message("wamid.A1"));
    let first = tokio::spawn(async move { Client::new().post(&url, &delivery).await.status });
    edge.bot.next().await;
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 503);
    permits.add_permits(1);
    assert_eq!(first.await.expect("no panic"), 200);
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test]
async fn a_retry_reaches_just_the_target_that_failed() {
    for failing in ["bot", "crm"] {
        let mut edge = Edge::with(&to(&["bot", "crm"]), |settings| settings.workers(4)).await;
        let target = if failing == "bot" { &edge.bot } else { &edge.crm };
        target.now(Reply::Status(500));
        assert_eq!(edge.post(&message("wamid.A1")).await.status, 502);
        let target = if failing == "bot" { &edge.bot } else { &edge.crm };
        target.now(Reply::Status(200));
        assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
        let seen = (edge.bot.rest().len(), edge.crm.rest().len());
        assert_eq!(seen, if failing == "bot" { (2, 1) } else { (1, 2) });
    }
}

#[tokio::test]
async fn a_batch_after_some_of_its_events_holds_only_the_others() {
    let mut edge = Edge::new(&to(&["bot"])).await;
    assert_eq!(edge.post(&message("wamid.2")).await.status, 200);
    edge.bot.next().await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], SECRET);
    assert_eq!(edge.post(&batch).await.status, 200);
    let rest = edge.bot.next().await.json();
    assert_eq!((&rest["batch_info"]["size"], &rest["data"][0]["message"]["id"]), (&json!(1), &json!("wamid.1")));
}
