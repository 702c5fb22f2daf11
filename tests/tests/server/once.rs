//! Each event once to each target.

use std::sync::Arc;

use hookgate_tests::Delivery;
use hookgate_tests::client::{Raw, head};
use hookgate_tests::hooked::{Hooked, SECRET};
use hookgate_tests::upstream::{Reply, Upstream};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::answers::all_to;

#[tokio::test]
async fn a_retry_reaches_only_the_target_that_failed() {
    let mut fine = Upstream::answering(Reply::Status(200)).await;
    let mut failing = Upstream::scripted(vec![Reply::Status(503)], Reply::Status(200)).await;
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "rules": [{"name": "all", "when": {"kind": "whatsapp"}, "to": ["fine", "failing"]}],
        "targets": {"fine": {"url": fine.url()}, "failing": {"url": failing.url()}},
    });
    let hooked = Hooked::with(&policy).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&delivery).await, 502);
    assert_eq!(hooked.status(&delivery).await, 200);
    assert_eq!(hooked.status(&delivery).await, 200);
    assert_eq!((fine.rest().len(), failing.rest().len()), (1, 2));
}

#[tokio::test]
async fn two_at_once_are_delivered_once_and_the_second_is_told_to_come_back() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let hooked = Arc::new(Hooked::with(&all_to(&upstream)).await);
    let delivery = Delivery::message("wamid.1", SECRET);
    let first = tokio::spawn({
        let (hooked, delivery) = (hooked.clone(), delivery.clone());
        async move { hooked.status(&delivery).await }
    });
    upstream.next().await;
    assert_eq!(hooked.status(&delivery).await, 503);
    permits.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(hooked.status(&delivery).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_delivered_once() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Arc::new(Hooked::with(&all_to(&upstream)).await);
    for round in 0..20 {
        let delivery = Delivery::message(&format!("wamid.{round}"), SECRET);
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (hooked, delivery) = (hooked.clone(), delivery.clone());
                tokio::spawn(async move { hooked.status(&delivery).await })
            })
            .collect();
        let mut taken = 0;
        for racer in racers {
            let status = racer.await.unwrap();
            assert!(status == 200 || status == 503, "{status}");
            taken += usize::from(status == 200);
        }
        assert!(taken >= 1);
        assert_eq!(upstream.rest().len(), 1);
    }
}

#[tokio::test]
async fn of_a_batch_that_was_partly_delivered_only_the_rest_is_sent() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.2", SECRET)).await, 200);
    upstream.next().await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text"), ("wamid.3", "text")], SECRET);
    assert_eq!(hooked.status(&batch).await, 200);
    let seen = upstream.next().await;
    let items = seen.json()["data"].as_array().cloned().unwrap_or_default();
    let ids: Vec<_> = items.iter().map(|item| item["message"]["id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["wamid.1", "wamid.3"]);
    assert_eq!(seen.header("x-batch-size"), Some("2"));
    for id in ["wamid.1", "wamid.3"] {
        assert_eq!(hooked.status(&Delivery::message(id, SECRET)).await, 200);
    }
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn an_event_that_stands_twice_in_a_batch_is_sent_as_it_came() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.1", "text")], SECRET);
    assert_eq!(hooked.status(&batch).await, 200);
    assert_eq!(upstream.next().await.body, batch.body);
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn when_the_sender_hangs_up_the_delivery_is_finished_all_the_same() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let length = format!("Content-Length: {}\r\n", delivery.body.len());
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length)).await;
    sender.write(&delivery.body).await;
    upstream.next().await;
    drop(sender);
    // The request is under way for as long as its delivery is, whether the server has seen yet that nobody waits, or not.
    for _ in 0..50 {
        assert_eq!(hooked.metric("hookgate_requests_in_flight").await, 1.0);
    }
    permits.add_permits(1);
    while hooked.metric("hookgate_keys_remembered").await < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hooked.status(&delivery).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn what_was_delivered_is_forgotten_beyond_the_number_of_keys() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["dedupe"] = json!({"max_keys": 1});
    let hooked = Hooked::with(&policy).await;
    for id in ["wamid.1", "wamid.2", "wamid.1", "wamid.1"] {
        assert_eq!(hooked.status(&Delivery::message(id, SECRET)).await, 200);
    }
    assert_eq!(upstream.rest().len(), 3);
    assert_eq!(hooked.metric("hookgate_keys_remembered").await, 1.0);
}
