//! `hookgate deliveries`.

use std::process::Stdio;
use std::time::Duration;

use hookgate_tests::kapso::{Fault, KEY, Kapso};
use hookgate_tests::program;
use hookgate_tests::running::{Signal, send_signal};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::hookgate;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

fn record(id: &str, status: &str) -> Value {
    json!({
        "id": id,
        "webhook_id": "w1",
        "webhook_url": "https://api.acme.com/webhooks/whatsapp",
        "event": "whatsapp.message.received",
        "status": status,
        "attempt_count": 1,
        "response_status": if status == "failed" { 500 } else { 200 },
        "conversation_phone_number": "15551234567",
        "created_at": "2025-07-14T15:00:00Z",
        "added_next_year": true,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_page_by_page() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    for number in 0..5 {
        kapso.has_delivery(record(&format!("d{number}"), if number == 1 { "failed" } else { "delivered" }));
    }
    let ran = hookgate(&kapso, &["deliveries", "--json"]);
    let ids = |lines: &[Value]| lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (ran.status, ids(&ran.lines())),
        (0, ["d4", "d3", "d2", "d1", "d0"].map(str::to_owned).into()),
        "{}",
        ran.err
    );
    assert_eq!(ran.lines()[0]["added_next_year"], true);
    let asked = kapso.asked();
    assert_eq!(asked[0].line(), "GET /platform/v1/webhook_deliveries");
    assert_eq!(
        asked.iter().map(|asked| asked.query.as_str()).collect::<Vec<_>>(),
        ["period=24h&limit=100", "period=24h&limit=100&after=2", "period=24h&limit=100&after=4"]
    );

    let ran = hookgate(&kapso, &["deliveries"]);
    assert_eq!(ran.out.lines().count(), 6, "{}", ran.out);
    assert!(ran.out.contains("failed") && ran.out.contains("500") && !ran.out.contains("15551234567"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_is_passed_on() {
    let kapso = Kapso::start().await;
    kapso.has_delivery(record("d1", "failed"));
    let mut arguments =
        vec!["deliveries", "--period", "7d", "--status", "failed", "--event", "whatsapp.message.received"];
    arguments.extend(["--webhook-id", "w1", "--errors-only", "--limit", "50", "--json"]);
    let ran = hookgate(&kapso, &arguments);
    assert_eq!((ran.status, ran.lines().len()), (0, 1), "{}", ran.err);
    assert_eq!(
        kapso.asked()[0].query,
        "period=7d&status=failed&event=whatsapp.message.received&webhook_id=w1&errors_only=true&limit=50"
    );
    assert_eq!(hookgate(&kapso, &["deliveries", "--limit", "101"]).status, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_stops_and_says_how_to_go_on_in_both_directions() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    for number in 0..6 {
        kapso.has_delivery(record(&format!("d{number}"), "delivered"));
    }
    let ran = hookgate(&kapso, &["deliveries", "--json", "--pages", "1"]);
    assert_eq!(ran.lines().len(), 2);
    assert!(ran.err.contains("go on with --after 2"), "{}", ran.err);
    let ran = hookgate(&kapso, &["deliveries", "--json", "--after", "4"]);
    assert_eq!((ran.lines().len(), &ran.lines()[0]["id"]), (2, &json!("d1")));
    let ran = hookgate(&kapso, &["deliveries", "--json", "--before", "4"]);
    assert_eq!(ran.lines().iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), ["d3", "d2", "d5", "d4"]);
}

/// `hookgate deliveries --follow`, with what it prints.
fn following(kapso: &Kapso) -> Child {
    following_with(kapso, &[])
}

fn following_with(kapso: &Kapso, more: &[&str]) -> Child {
    Command::new(program())
        .args(["deliveries", "--follow", "--interval", "1", "--json"])
        .args(more)
        .env_clear()
        .envs([("KAPSO_API_URL", kapso.url().as_str()), ("KAPSO_API_KEY", KEY)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn next_line(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    timeout(PATIENCE, lines.next_line()).await.expect("a line should have come").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn following_loses_nothing_when_a_page_cannot_be_had() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    (0..5).for_each(|number| kapso.has_delivery(record(&format!("d{number}"), "delivered")));
    // The first page comes, the second not in all tries of one look.
    kapso.fails([Fault::Pass].into_iter().chain((0..4).map(|_| Fault::Status(500, String::new()))));
    let mut child = following(&kapso);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..5 {
        let line: Value = serde_json::from_str(&next_line(&mut lines).await).unwrap();
        assert_eq!(line["id"], format!("d{number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_says_when_a_look_does_not_come_to_the_end_of_the_news() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    (0..6).for_each(|number| kapso.has_delivery(record(&format!("d{number}"), "delivered")));
    let mut child = following_with(&kapso, &["--pages", "2"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = next_line(&mut notes).await;
    assert!(note.contains("older ones, which are not shown: --pages 2"), "{note}");
    // One is no more than a look can bring.
    kapso.has_delivery(record("d6", "delivered"));
    for number in 2..=6 {
        let line: Value = serde_json::from_str(&next_line(&mut lines).await).unwrap();
        assert_eq!(line["id"], format!("d{number}"));
    }
    send_signal(&child, Signal::INT);
    assert_eq!(timeout(PATIENCE, notes.next_line()).await.expect("it ends").unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_sees_what_becomes_of_older_deliveries() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    let young = |id: &str, status: &str| {
        let mut record = record(id, status);
        record["created_at"] = json!(jiff::Timestamp::now().to_string());
        record
    };
    (0..6).for_each(|number| kapso.has_delivery(young(&format!("d{number}"), "pending")));
    let mut child = following(&kapso);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..6 {
        next_line(&mut lines).await;
    }
    kapso.delivery_becomes("d0", young("d0", "failed"));
    let line: Value = serde_json::from_str(&next_line(&mut lines).await).unwrap();
    assert_eq!((&line["id"], &line["status"]), (&json!("d0"), &json!("failed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn following_waits_as_long_as_it_is_asked_to() {
    let kapso = Kapso::start().await;
    // Longer than is waited for within a call.
    kapso.fails([Fault::RetryAfter(429, "61".into())]);
    let mut child = following(&kapso);
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = next_line(&mut notes).await;
    assert!(note.ends_with("looking again in 61 s"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn following_shows_each_delivery_as_it_comes_and_changes() {
    let kapso = Kapso::start().await;
    kapso.has_delivery(record("d1", "delivered"));
    kapso.has_delivery(record("d2", "pending"));
    let mut child = following(&kapso);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let record: Value = serde_json::from_str(&next_line(&mut lines).await).unwrap();
        (record["id"].as_str().unwrap().to_owned(), record["status"].as_str().unwrap().to_owned())
    };
    let said = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    assert_eq!(next().await, said("d1", "delivered"));
    assert_eq!(next().await, said("d2", "pending"));
    kapso.delivery_becomes("d2", record("d2", "failed"));
    assert_eq!(next().await, said("d2", "failed"));
    kapso.has_delivery(record("d3", "delivered"));
    assert_eq!(next().await, said("d3", "delivered"));

    send_signal(&child, Signal::INT);
    let ended = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
}
