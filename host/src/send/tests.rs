//! Delivering, with a clock and a receiver that the tests control.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::compose::Webhook;
use super::transport::Answer;
use super::*;

const SECRET: &str = "whsec_1";

/// A request that arrived.
#[derive(Clone)]
struct Seen {
    /// Milliseconds since the start.
    at: u128,
    webhook: Webhook,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn key(&self) -> &str {
        self.header("x-idempotency-key").unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver that answers by script; `None` is never.
struct Receiver<F> {
    start: Instant,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: F,
}

impl<F: Fn(&Seen) -> Option<u16> + Send + Sync + 'static> Transport for Receiver<F> {
    async fn post(&self, webhook: Webhook, headers: HeaderMap, body: Bytes) -> Answer {
        let seen = Seen { at: self.start.elapsed().as_millis(), webhook, headers, body };
        self.seen.lock().unwrap().push(seen.clone());
        match (self.script)(&seen) {
            Some(0) => Answer::Unreachable,
            Some(status) => Answer::Status(status),
            None => std::future::pending().await,
        }
    }
}

fn plan(mix: &str, count: u64) -> Plan {
    Plan {
        scene: Scene {
            seed: 1,
            now: 1_800_000_000,
            phone_numbers: 1,
            conversations: 1000,
            mix: Mix::read(mix).unwrap(),
        },
        shares: Shares { forged: 0.0, duplicate: 0.0 },
        manner: Manner { ladder: "documented".parse().unwrap(), speed: 1.0, pause_from: 20, stop_when_paused: false },
        count,
        rate: None,
        concurrency: 16,
        backlog: 1000,
    }
}

fn signers() -> Signers {
    Signers::new(vec![Signer::new(SECRET)], None, None).unwrap()
}

/// Sends all of a plan to a receiver with this script.
async fn sent(plan: Plan, script: impl Fn(&Seen) -> Option<u16> + Send + Sync + 'static) -> (Vec<Seen>, Report) {
    sent_until(plan, CancellationToken::new(), script).await
}

async fn sent_until(
    plan: Plan,
    stop: CancellationToken,
    script: impl Fn(&Seen) -> Option<u16> + Send + Sync + 'static,
) -> (Vec<Seen>, Report) {
    let seen = Arc::default();
    let receiver = Receiver { start: Instant::now(), seen: Arc::clone(&seen), script };
    let report = run(plan, signers(), receiver, stop, ProgressBar::hidden()).await;
    let seen = seen.lock().unwrap().clone();
    (seen, report)
}

fn times(seen: &[Seen]) -> Vec<u128> {
    seen.iter().map(|seen| seen.at).collect()
}

#[tokio::test(start_paused = true)]
async fn each_ladder_is_climbed_to_its_end() {
    for (ladder, expected) in [
        ("documented", &[0, 10_000, 50_000, 140_000][..]),
        ("newer", &[0, 10_000, 50_000]),
        ("oldest", &[10_000, 50_000, 140_000]),
        ("legacy", &[0, 60_000, 120_000]),
        ("none", &[0]),
        ("0,1,2", &[0, 1_000, 3_000]),
    ] {
        let mut plan = plan("received", 1);
        plan.manner.ladder = ladder.parse().unwrap();
        let (seen, report) = sent(plan, |_| Some(500)).await;
        assert_eq!(times(&seen), expected, "{ladder}");
        let keys: HashSet<_> = seen.iter().map(Seen::key).collect();
        assert_eq!(keys.len(), 1, "all attempts bear the same key");
        assert!(seen.iter().all(|attempt| attempt.body == seen[0].body && attempt.headers == seen[0].headers));
        assert_eq!((report.stats.given_up, report.stats.retries), (1, expected.len() as u64 - 1));
        assert!(!report.is_good());
    }
}

#[tokio::test(start_paused = true)]
async fn speed_divides_every_wait() {
    let mut plan = plan("received", 1);
    plan.manner.speed = 100.0;
    let (seen, _) = sent(plan, |_| Some(503)).await;
    assert_eq!(times(&seen), [0, 100, 500, 1_400]);
}

#[tokio::test(start_paused = true)]
async fn only_200_is_success() {
    for status in [0, 201, 202, 204, 301, 302, 401, 404, 429, 500, 503] {
        let (seen, report) = sent(plan("received", 1), move |seen| Some(if seen.at == 0 { status } else { 200 })).await;
        assert_eq!(times(&seen), [0, 10_000], "{status}");
        assert_eq!((report.stats.accepted, report.stats.retries), (1, 1));
        assert!(report.is_good(), "it came through");
    }
    let (seen, report) = sent(plan("received", 1), |_| Some(200)).await;
    assert_eq!((seen.len(), report.stats.accepted, report.is_good()), (1, 1, true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_come_within_10_s() {
    let (seen, report) = sent(plan("received", 1), |seen| (seen.at > 0).then_some(200)).await;
    assert_eq!(times(&seen), [0, 20_000], "10 s for the answer, 10 s on the ladder");
    assert_eq!(report.stats.answers[&Answer::TimedOut], 1);
    assert!((9_900.0..10_100.0).contains(&report.stats.within_ms(1.0)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_given_up_is_sent_item_by_item_under_new_keys() {
    let is_batch = |seen: &Seen| seen.header("x-webhook-batch").is_some();
    let (seen, report) = sent(plan("batch", 6), move |seen| Some(if is_batch(seen) { 500 } else { 200 })).await;
    let (batches, singles): (Vec<_>, Vec<_>) = seen.iter().cloned().partition(is_batch);
    assert_eq!(batches.len(), 6 * 4);
    let keys: HashSet<_> = batches.iter().map(Seen::key).collect();
    assert_eq!(keys.len(), 6, "one key for a batch and its retries");
    let single_keys: HashSet<_> = singles.iter().map(Seen::key).collect();
    assert_eq!(single_keys.len(), singles.len());
    assert!(keys.is_disjoint(&single_keys));
    // Each item once, in the order it had, as it stood.
    let mut by_conversation = BTreeMap::<_, Vec<_>>::new();
    for single in &singles {
        assert!(single.at >= 140_000, "not before the batch is given up");
        assert_eq!(single.header("x-webhook-event"), Some("whatsapp.message.received"));
        assert_eq!(single.header("x-webhook-payload-version"), Some("v2"));
        assert_eq!(single.header("x-batch-size"), None);
        assert_eq!(single.header("x-webhook-signature"), Some(crate::sign(SECRET, &single.body).as_str()));
        let item = single.json();
        by_conversation.entry(item["conversation"]["id"].to_string()).or_default().push(item);
    }
    let first_attempts = batches.iter().filter(|batch| batch.at == 0).map(Seen::json);
    for batch in first_attempts {
        let items = batch["data"].as_array().unwrap().clone();
        assert_eq!(by_conversation.remove(&items[0]["conversation"]["id"].to_string()), Some(items));
    }
    let stats = &report.stats;
    assert_eq!((stats.batches_given_up, stats.given_up), (6, 0));
    assert_eq!((stats.fall_backs, stats.fall_backs_accepted), (stats.items, stats.items));
    assert_eq!(stats.items_accepted, stats.items);
    assert!(report.is_good(), "nothing was lost");
}

#[tokio::test(start_paused = true)]
async fn an_item_of_a_batch_that_fails_by_itself_too_is_lost() {
    let (seen, report) = sent(plan("batch", 1), |_| Some(500)).await;
    let items = report.stats.items;
    assert_eq!(report.stats.given_up, items);
    assert_eq!(seen.len() as u64, 4 + 4 * items);
    assert!(!report.is_good());
}

#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_its_order_for_30_s() {
    let mut plan = plan("received", 3);
    plan.scene.conversations = 1;
    // The first is not taken before 40 s have passed.
    let (seen, report) = sent(plan, |seen| Some(if seen.at < 40_000 { 500 } else { 200 })).await;
    let mut first_attempts = Vec::<(String, u128)>::new();
    for attempt in &seen {
        if !first_attempts.iter().any(|(key, _)| key == attempt.key()) {
            first_attempts.push((attempt.key().to_owned(), attempt.at));
        }
    }
    let at: Vec<_> = first_attempts.iter().map(|(_, at)| *at).collect();
    // The second waits 30 s for the first; the third waits 30 s for the second, or until that is done with.
    assert_eq!(at, [0, 30_000, 30_000], "both wait from the beginning");
    assert_eq!(report.stats.out_of_order, 2);
    assert!(report.is_good());
}

#[tokio::test(start_paused = true)]
async fn in_order_means_one_after_the_other() {
    let mut plan = plan("received,sent,handover", 40);
    plan.scene.conversations = 1;
    let (seen, report) = sent(plan, |_| Some(200)).await;
    let stamps: Vec<_> = seen.iter().map(|seen| seen.json()["conversation"]["metadata"]["item"].to_string()).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    assert_eq!((seen.len(), report.stats.out_of_order), (40, 0));
}

#[tokio::test(start_paused = true)]
async fn statuses_do_not_wait_for_each_other() {
    let mut plan = plan("status", 8);
    plan.scene.conversations = 1;
    let (seen, report) = sent(plan, |seen| Some(if seen.at < 5_000 { 500 } else { 200 })).await;
    assert_eq!(seen.iter().filter(|seen| seen.at == 0).count(), 8);
    assert_eq!(report.stats.out_of_order, 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_said_when_kapso_would_have_paused_the_webhook() {
    for from in [20, 40] {
        let mut plan = plan("status", 30);
        plan.manner.pause_from = from;
        let (seen, report) = sent(plan, |_| Some(500)).await;
        assert_eq!(seen.len(), 30 * 4, "it goes on all the same");
        let [(webhook, paused)] = report.paused.as_slice() else { panic!("{:?}", report.paused) };
        assert_eq!((*webhook, paused.answers, paused.failures), (Webhook::Number(0), from, from));
        assert_eq!(paused.after.as_secs(), if from == 20 { 0 } else { 10 });
    }
    let (_, report) = sent(plan("status", 30), |_| Some(200)).await;
    assert_eq!(report.paused, []);
}

#[tokio::test(start_paused = true)]
async fn a_paused_webhook_really_stops_if_asked() {
    let mut plan = plan("status", 500);
    plan.manner.stop_when_paused = true;
    plan.concurrency = 1;
    plan.backlog = 30;
    let (seen, report) = sent(plan, |_| Some(500)).await;
    assert_eq!(seen.len(), 20, "the twentieth failure is the last thing that is sent");
    let stats = &report.stats;
    assert_eq!(stats.held_back, stats.deliveries);
    assert!(stats.deliveries <= 30 + 1, "nothing more is composed: {}", stats.deliveries);
    assert!(!report.is_good());
}

/// The window is 15 minutes of Kapso's time: at 100 times the speed, 9 s of ours.
#[tokio::test(start_paused = true)]
async fn the_window_goes_at_kapsos_speed() {
    let slow = |speed| {
        let mut plan = plan("status", 40);
        plan.manner.ladder = "none".parse().unwrap();
        plan.manner.speed = speed;
        plan.rate = Some(1.0);
        plan
    };
    let (_, report) = sent(slow(1.0), |_| Some(500)).await;
    assert_eq!(report.paused.len(), 1, "40 failures in 40 s");
    let (_, report) = sent(slow(100.0), |_| Some(500)).await;
    assert_eq!(report.paused, [], "9 failures in 15 minutes of Kapso's time");
}

#[tokio::test(start_paused = true)]
async fn forged_ones_are_sent_once_and_only_401_refuses_them() {
    let forged = |count| {
        let mut plan = plan("received", count);
        plan.shares.forged = 1.0;
        plan
    };
    let (seen, report) = sent(forged(200), |_| Some(401)).await;
    assert_eq!((seen.len(), report.stats.forged, report.stats.forged_refused), (200, 200, 200));
    assert!(report.is_good());
    assert_eq!(report.paused, [], "Kapso sends nothing forged");
    for status in [200, 204, 403, 500, 503] {
        let (seen, report) = sent(forged(1), move |_| Some(status)).await;
        assert_eq!((seen.len(), report.is_good()), (1, false), "{status}");
        assert_eq!(report.stats.forged_accepted.values().sum::<u64>(), 1);
    }
    let (_, report) = sent(forged(1), |_| None).await;
    assert_eq!((report.stats.forged_unanswered, report.is_good()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_the_same_bytes_and_count_apart() {
    let mut plan = plan("received,batch,status,project,meta", 300);
    plan.shares.duplicate = 1.0;
    let (seen, report) = sent(plan, |_| Some(200)).await;
    let stats = &report.stats;
    assert_eq!((seen.len(), stats.duplicates, stats.duplicates_accepted), (600, 300, 300));
    assert_eq!((stats.deliveries, stats.accepted), (300, 300));
    assert_eq!(stats.items_accepted, stats.items);
    let mut bodies = BTreeMap::<_, Vec<_>>::new();
    seen.iter().for_each(|seen| bodies.entry(seen.body.clone()).or_default().push(seen));
    assert_eq!(bodies.len(), 300);
    let same_key = |copies: &[&Seen]| copies[0].headers == copies[1].headers;
    let pairs: Vec<_> = bodies.values().collect();
    assert!(pairs.iter().any(|copies| same_key(copies)) && pairs.iter().any(|copies| !same_key(copies)));
    assert!(pairs.iter().any(|copies| copies[1].header("x-webhook-event") != copies[0].header("x-webhook-event")));
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_does_not_wait_for_answers() {
    let mut plan = plan("status", 20);
    plan.rate = Some(10.0);
    plan.concurrency = 100;
    let (seen, report) = sent(plan, |seen| (seen.at > 10_000).then_some(200)).await;
    let first: Vec<_> = seen.iter().take(20).map(|seen| seen.at).collect();
    assert!(first.iter().zip(0..).all(|(at, number)| at.abs_diff(number * 100) <= 1), "{first:?}");
    assert_eq!(report.late, 0);
}

/// Nobody answers: what is held does not grow with what is still to come.
#[tokio::test(start_paused = true)]
async fn no_more_is_composed_than_the_backlog_holds() {
    let mut plan = plan("status", 1_000_000);
    (plan.concurrency, plan.backlog) = (8, 50);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stopping.cancel();
    });
    let (seen, report) = sent_until(plan, stop, |_| None).await;
    assert_eq!(report.stats.deliveries, 50);
    assert!(seen.len() <= 50);
    assert_eq!(seen.iter().filter(|seen| seen.at == 0).count(), 8, "no more requests at a time than asked for");
    assert!(!report.is_good());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_ends_at_once_and_says_so() {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stopping.cancel();
    });
    let start = Instant::now();
    let (_, report) = sent_until(plan("status", 10), stop, |_| Some(500)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!((report.stats.interrupted, report.is_good()), (10, false));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_not_answered_is_tried_by_each_webhook_apart() {
    let mut plan = plan("status,project,meta", 300);
    plan.scene.phone_numbers = 2;
    let (seen, report) = sent(plan, |seen| Some(if seen.webhook == Webhook::Project { 500 } else { 200 })).await;
    let webhooks: HashSet<_> = seen.iter().map(|seen| seen.webhook).collect();
    assert_eq!(webhooks.len(), 5, "two numbers, their Meta forwards, and the project");
    let paused: Vec<_> = report.paused.iter().map(|(webhook, _)| *webhook).collect();
    assert_eq!(paused, [Webhook::Project]);
}

#[test]
fn what_is_printed_is_what_would_be_sent() {
    let mut plan = plan("received,status", 100);
    (plan.shares.forged, plan.shares.duplicate) = (0.2, 0.2);
    let mut out = Vec::new();
    print(plan, &signers(), |_| Some("/hook"), &mut out).unwrap();
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 100, "duplicates are there");
    assert!(
        lines.iter().all(|line| line["path"] == "/hook" && line["headers"].is_object() && line["body"].is_string())
    );
}
