//! Once per target, over a store that keeps counters as Spin's SQLite does, and over a real Redis.

use std::sync::Arc;

use hookgate_tests::spin::{Runtime, Store};
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, redis::Redis};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{SECRET, Served, all_to, app};

/// Every runtime with every kind of store.
async fn everywhere() -> (Vec<(Runtime, Store)>, Redis) {
    let redis = Redis::start().await;
    let mut everywhere = Vec::new();
    for runtime in Runtime::all() {
        everywhere.push((runtime.clone(), Store::memory()));
        everywhere.push((runtime, Store::Redis(redis.url())));
    }
    (everywhere, redis)
}

/// An id that no other case uses: they share the Redis.
fn id(case: &str, runtime: &Runtime) -> String {
    format!("wamid.{case}.{runtime:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_not_sent_again() {
    let (everywhere, _redis) = everywhere().await;
    for (runtime, store) in everywhere {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let app = app(&all_to(&upstream)).allow(&upstream.url()).store(&store);
        let served = Served::start(&runtime, &app).await;
        let delivery = Delivery::message(&id("again", &runtime), SECRET);
        for _ in 0..3 {
            assert_eq!(served.status(&delivery).await, 200);
        }
        // Another key and another event name in the headers do not make it another event.
        let replay = delivery.clone().with("X-Idempotency-Key", "fresh").without("X-Webhook-Event");
        assert_eq!(served.status(&replay).await, 200);
        assert_eq!(upstream.rest().len(), 1);
        // Another instance of the app with the same store remembers too.
        let another = Served::start(&runtime, &app).await;
        if matches!((&runtime, &store), (Runtime::Wasmtime, _) | (_, Store::Redis(_))) {
            assert_eq!(another.status(&delivery).await, 200);
            assert!(upstream.rest().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_deliveries_one_is_sent_and_the_others_are_told_to_come_again() {
    const AT_ONCE: usize = 16;
    let (everywhere, _redis) = everywhere().await;
    for (runtime, store) in everywhere {
        let permits = Arc::new(Semaphore::new(0));
        let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
        let app = app(&all_to(&upstream)).allow(&upstream.url()).store(&store);
        let served = Arc::new(Served::start(&runtime, &app).await);
        let delivery = Delivery::message(&id("simultaneous", &runtime), SECRET);
        let mut rounds = 0;
        let mut deliveries = loop {
            rounds += 1;
            assert!(rounds <= 3, "nobody is ever sent");
            let mut deliveries = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (served, delivery) = (served.clone(), delivery.clone());
                deliveries.spawn(async move { served.status(&delivery).await });
            }
            // All but the one that the target holds are answered.
            for _ in 1..AT_ONCE {
                assert_eq!(deliveries.join_next().await.unwrap().unwrap(), 503);
            }
            tokio::select! {
                _ = upstream.next() => break deliveries,
                // A lease ended just then.
                last = deliveries.join_next() => assert_eq!(last.unwrap().unwrap(), 503),
            }
        };
        permits.add_permits(1);
        assert_eq!(deliveries.join_next().await.unwrap().unwrap(), 200);
        assert_eq!(served.status(&delivery).await, 200);
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_only_what_is_new_is_sent() {
    let (everywhere, _redis) = everywhere().await;
    for (runtime, store) in everywhere {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let app = app(&all_to(&upstream)).allow(&upstream.url()).store(&store);
        let served = Served::start(&runtime, &app).await;
        let (one, two) = (id("batch.1", &runtime), id("batch.2", &runtime));
        assert_eq!(served.status(&Delivery::message(&one, SECRET)).await, 200);
        upstream.next().await;
        let batch = Delivery::batch(&[(&one, "text"), (&two, "text")], SECRET);
        assert_eq!(served.status(&batch).await, 200);
        let sent = upstream.next().await.json();
        assert_eq!(sent["data"].as_array().unwrap().len(), 1);
        assert_eq!(sent["data"][0]["message"]["id"], json!(two));
        // Kapso's fall-back after a failed batch: one by one.
        assert_eq!(served.status(&Delivery::message(&two, SECRET)).await, 200);
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_stands_twice_in_a_batch_is_sent_as_it_came() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.1", "text")], SECRET);
        assert_eq!(served.status(&batch).await, 200);
        assert_eq!(upstream.next().await.body, batch.body);
        assert_eq!(served.status(&batch).await, 200);
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_may_not_be_used_is_503_and_nothing_is_sent() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let app = app(&all_to(&upstream)).allow(&upstream.url()).without_store();
        let served = Served::start(&runtime, &app).await;
        assert_eq!(served.status(&Delivery::message("wamid.1", SECRET)).await, 503);
        assert!(upstream.rest().is_empty());
        assert!(served.running.log().contains("key_value_stores"));
        // What needs no store is answered as ever.
        assert_eq!(served.status(&Delivery::new("workflow.execution.failed", "{}").signed(SECRET)).await, 200);
    }
}

/// Only where the store is ours to break.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_loses_nothing() {
    let store = Store::memory();
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::scripted(vec![Reply::Held(permits.clone(), 200)], Reply::Status(200)).await;
    let app = app(&all_to(&upstream)).allow(&upstream.url()).store(&store);
    let served = Arc::new(Served::start(&Runtime::Wasmtime, &app).await);

    // Before anything is sent: Kapso is asked to come again, and then it works.
    store.set_broken(true);
    let first = Delivery::message("wamid.1", SECRET);
    assert_eq!(served.status(&first).await, 503);
    assert!(upstream.rest().is_empty());
    store.set_broken(false);

    // After the target took it: it has it, so Kapso need not come again.
    let sending = {
        let (served, first) = (served.clone(), first.clone());
        tokio::spawn(async move { served.status(&first).await })
    };
    upstream.next().await;
    store.set_broken(true);
    permits.add_permits(1);
    assert_eq!(sending.await.unwrap(), 200);
    assert!(served.running.log().contains("not remembered"));
    store.set_broken(false);

    // The claim was not given back, so a copy that comes at once waits for the lease.
    assert_eq!(served.status(&first).await, 503);
    assert_eq!(served.status(&Delivery::message("wamid.2", SECRET)).await, 200);
}

/// Only where the store can be looked into.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_never_grows_beyond_what_the_policy_says() {
    let store = Store::memory();
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["dedupe"] = json!({"window_s": 180, "max_keys": 5});
    let app = app(&policy).allow(&upstream.url()).store(&store);
    let served = Served::start(&Runtime::Wasmtime, &app).await;
    for number in 0..40 {
        assert_eq!(served.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 200);
        // A place and what was done for each key, and two counters.
        assert!(store.keys().len() <= 2 * 5 + 2, "{:?}", store.keys());
    }
    assert!(store.keys().iter().all(|key| key.starts_with("hookgate:")), "{:?}", store.keys());
    let batch: Vec<_> = (100..120).map(|number| format!("wamid.{number}")).collect();
    let batch: Vec<_> = batch.iter().map(|id| (id.as_str(), "text")).collect();
    assert_eq!(served.status(&Delivery::batch(&batch, SECRET)).await, 200);
    assert!(store.keys().len() <= 2 * 5 + 2, "{:?}", store.keys());
}
