//! What was recorded is sent again.

use std::fs;

use hookgate_tests::hooked::{Hooked, SECRET};
use hookgate_tests::upstream::{Reply, Seen, Upstream};
use hookgate_tests::{Delivery, Ran, hmac_sha256, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::record::{lines, recording, stop};

/// Runs `hookgate replay` while the servers of this test go on.
async fn replay(arguments: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Ran {
    let owned = |text: &&str| (*text).to_owned();
    let arguments: Vec<_> = std::iter::once("replay".to_owned()).chain(arguments.iter().map(owned)).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (owned(name), owned(value))).collect();
    let input = input.to_vec();
    let work = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run(&arguments, &input, &variables)
    });
    work.await.expect("it runs")
}

fn summary(ran: &Ran) -> Value {
    ran.lines().pop().unwrap_or_else(|| panic!("no summary: {}", ran.err))
}

fn path(folder: &TempDir) -> String {
    folder.path().join("got").to_str().expect("text").to_owned()
}

/// Whatever comes, to one target.
fn everything_to(upstream: &Upstream) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["bot"]},
        "targets": {"bot": {"url": upstream.url()}},
    })
}

/// Some deliveries, all of them different.
fn deliveries() -> Vec<Delivery> {
    let mut deliveries: Vec<_> = (0..30).map(|number| Delivery::message(&format!("wamid.{number}"), SECRET)).collect();
    deliveries.push(Delivery::batch(&[("wamid.b1", "text"), ("wamid.b2", "image")], SECRET));
    deliveries.push(
        Delivery::new("whatsapp.account.disabled", r#"{"id":"wae_1","event":"whatsapp.account.disabled"}"#)
            .signed(SECRET),
    );
    deliveries
}

/// A recording of them, in several files.
async fn recorded(change: impl FnOnce(&mut hookgate::server::Recording)) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let policy = everything_to(&upstream);
    let hooked = recording(&folder, &policy, |recording| {
        recording.bytes = 128 * 1024;
        change(recording);
    });
    let hooked = hooked.await;
    for delivery in deliveries() {
        assert_eq!(hooked.status(&delivery).await, 200);
    }
    stop(hooked).await;
    folder
}

fn bodies(seen: &[Seen]) -> Vec<Vec<u8>> {
    seen.iter().map(|seen| seen.body.to_vec()).collect()
}

fn sent() -> Vec<Vec<u8>> {
    deliveries().into_iter().map(|delivery| delivery.body).collect()
}

#[tokio::test]
async fn a_recording_reaches_the_targets_of_another_server_byte_for_byte() {
    let folder = recorded(|_| {}).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&everything_to(&upstream)).await;
    let ran = replay(&[&hooked.url(""), &path(&folder), "--json"], b"", &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let told = summary(&ran);
    let count = deliveries().len();
    for field in ["read", "matched", "sent", "ok"] {
        assert_eq!(told[field], json!(count), "{field}");
    }
    assert_eq!(told["answers"], json!({"200": count}));
    assert!(told["latency_ms"]["p99"].as_f64().is_some_and(|p99| p99 > 0.0));
    let seen = upstream.rest();
    assert!(bodies(&seen) == sent(), "all of them, in order");
    for (seen, delivery) in seen.iter().zip(deliveries()) {
        assert_eq!(seen.header("x-webhook-signature"), Some(hmac_sha256(SECRET.as_bytes(), &delivery.body).as_str()));
    }
    assert!(!hooked.admin("/metrics").await.text().contains("hookgate_rejections_total{"), "nothing was rejected");

    let again = replay(&[&hooked.url("/hook"), &path(&folder), "--json", "--concurrency", "4"], b"", &[]).await;
    assert_eq!((again.status, &summary(&again)["ok"]), (0, &json!(count)));
    assert!(upstream.rest().is_empty(), "all of it was delivered before");
}

#[tokio::test]
async fn a_recording_that_grows_is_sent_as_far_as_it_was() {
    let folder = TempDir::new().expect("a folder");
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = recording(&folder, &everything_to(&upstream), |_| {}).await;
    for delivery in deliveries() {
        assert_eq!(hooked.status(&delivery).await, 200);
    }
    while hooked.metric(r#"hookgate_records_total{result="written"}"#).await < deliveries().len() as f64 {}
    // To the server that is recording.
    let ran = replay(&[&hooked.url(""), &path(&folder), "--json", "--limit", "500"], b"", &[]).await;
    assert_eq!((ran.status, &summary(&ran)["sent"]), (0, &json!(deliveries().len())), "{}", ran.err);
}

#[tokio::test]
async fn what_is_under_way_ends_when_something_cannot_be_sent() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let line = |path: &str| json!({"path": path, "headers": {}, "body": "x"}).to_string();
    let mut input: Vec<String> = (0..7).map(|_| line("/hook")).collect();
    input.push(json!({"headers": {}, "body": "it does not say its path"}).to_string());
    let base = upstream.url().replace("/hook", "");
    let ran = replay(&[&base, "-", "--json", "--concurrency", "8"], input.join("\n").as_bytes(), &[]).await;
    assert_eq!((ran.status, &summary(&ran)["answers"]), (2, &json!({"200": 7})), "{}", ran.err);
    assert!(ran.err.contains("it does not say its path"), "{}", ran.err);
    assert_eq!(upstream.rest().len(), 7);
}

#[tokio::test]
async fn what_was_recorded_without_signatures_is_signed_anew() {
    let folder = recorded(|recording| recording.signatures = false).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&everything_to(&upstream)).await;
    let (url, got) = (hooked.url(""), path(&folder));

    let ran = replay(&[&url, &got], b"", &[]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("32 answered 401") && ran.out.contains("--secret"), "{}", ran.out);
    assert!(ran.err.contains("[1]: answered 401") && ran.err.contains("more failed"), "{}", ran.err);

    let ran = replay(&[&url, &got, "--secret", "S"], b"", &[("S", SECRET)]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bodies(&upstream.rest()), sent());

    let policy = folder.path().join("policy.json");
    fs::write(&policy, everything_to(&upstream).to_string()).expect("a file");
    let policy = policy.to_str().expect("text");
    let elsewhere = Hooked::with(&everything_to(&upstream)).await;
    let by_policy = [&elsewhere.url(""), &got, "--resign", "--policy", policy];
    let ran = replay(&by_policy, b"", &[("SECRET", SECRET)]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bodies(&upstream.rest()), sent());
    let ran = replay(&by_policy, b"", &[]).await;
    assert!(ran.status == 2 && ran.err.contains("SECRET"), "{}", ran.err);
}

#[tokio::test]
async fn what_was_refused_is_not_made_genuine() {
    let folder = TempDir::new().expect("a folder");
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = recording(&folder, &everything_to(&upstream), |recording| recording.forged = true).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.f", "another")).await, 401);
    stop(hooked).await;
    let hooked = Hooked::with(&everything_to(&upstream)).await;
    let (url, got) = (hooked.url(""), path(&folder));
    let anew = [&*url, &got, "--failed", "--secret", "S", "--json"];
    let ran = replay(&anew, b"", &[("S", SECRET)]).await;
    assert_eq!(summary(&ran)["sent"], json!(0), "{}", ran.err);
    assert!(ran.err.contains("1 left out") && upstream.rest().is_empty(), "{}", ran.err);
    let ran = replay(&[&anew[..], &["--sign-refused"]].concat(), b"", &[("S", SECRET)]).await;
    assert_eq!((ran.status, &summary(&ran)["ok"]), (0, &json!(1)), "{}", ran.err);
    assert_eq!(upstream.rest().len(), 1);
}

#[tokio::test]
async fn what_is_for_this_machine_goes_through_no_proxy() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let line = json!({"headers": {}, "body": "x"}).to_string();
    let ran = replay(&[&upstream.url(), "-"], line.as_bytes(), &[("http_proxy", "http://127.0.0.1:1")]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(upstream.rest().len(), 1);
}

#[tokio::test]
async fn a_redacted_recording_can_be_replayed() {
    let folder = recorded(|recording| recording.redact = true).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&everything_to(&upstream)).await;
    let ran = replay(&[&hooked.url(""), &path(&folder), "--secret", "S"], b"", &[("S", SECRET)]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let seen = upstream.rest();
    assert_eq!(seen.len(), deliveries().len(), "each is still another event than the others");
    assert!(seen.iter().all(|seen| !String::from_utf8_lossy(&seen.body).contains("16315551181")));
}

#[tokio::test]
async fn the_gate_says_which_deliveries_meet_the_conditions() {
    let folder = recorded(|_| {}).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let (url, got) = (format!("{}/any", upstream.url()), path(&folder));
    for (conditions, count) in [
        (&["--when", r#"{"event": "whatsapp.account.*"}"#][..], 1),
        (&["--unless", r#"{"event": "whatsapp.message.received"}"#], 1),
        (&["--when", "message_type: image"], 1),
        (&["--when", r#"{"text": {"prefix": "Hello wamid.1"}}"#], 11),
        (&["--when", "{kind: whatsapp}", "--unless", "{message_type: text}"], 1),
        (&["--when", r#"{"phone_number_id": "1"}"#], 0),
        (&["--when", r#"{"source": "whatsapp"}"#], 32),
        (&["--failed"], 0),
    ] {
        let mut arguments = vec![url.as_str(), got.as_str(), "--json"];
        arguments.extend(conditions);
        let ran = replay(&arguments, b"", &[]).await;
        assert_eq!((ran.status, &summary(&ran)["matched"]), (0, &json!(count)), "{conditions:?} {}", ran.err);
        assert_eq!(upstream.rest().len(), count, "{conditions:?}");
    }
    for (option, conditions, part) in [
        ("--when", r#"{"evnt": "x"}"#, "--when: /evnt"),
        ("--unless", r#"{"event": 5}"#, "--unless: /event"),
        ("--when", "{", "--when:"),
    ] {
        let ran = replay(&[&url, &got, option, conditions], b"", &[]).await;
        assert!(ran.status == 2 && ran.err.contains(part), "{}", ran.err);
    }
}

/// A body that cannot be read meets no conditions.
#[tokio::test]
async fn what_cannot_be_read_is_left_out_only_where_something_is_asked_for() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let line = json!({"path": "/hook", "headers": {"x-webhook-event": "order.paid"}, "body": "no JSON"}).to_string();
    for (option, sent) in [("--when", 0), ("--unless", 1)] {
        let ran = replay(&[&upstream.url(), option, "{test: true}", "--json"], line.as_bytes(), &[]).await;
        assert_eq!((ran.status, &summary(&ran)["sent"]), (0, &json!(sent)), "{option}: {}", ran.err);
        assert_eq!(upstream.rest().len(), sent, "{option}");
    }
}

#[tokio::test]
async fn an_address_is_shown_without_its_password_and_token() {
    let line = json!({"path": "/hook", "headers": {}, "body": "{}"}).to_string();
    for url in
        ["https://me:hush@staging.test/hook?token=hush", "ftp://me:hush@staging.test/", "https://me:hush@[staging"]
    {
        let ran = replay(&[url, "--dry-run"], line.as_bytes(), &[]).await;
        assert_eq!(ran.status == 0, url.ends_with("token=hush"), "{}", ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains("hush") && !said.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn a_part_can_be_sent_and_nothing_when_asked_for() {
    let folder = recorded(|_| {}).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let (url, got) = (format!("{}/prefix", upstream.url()), path(&folder));
    let ran = replay(&[&url, &got, "--skip", "3", "--limit", "4", "--with-path", "--json"], b"", &[]).await;
    assert_eq!((ran.status, &summary(&ran)["sent"]), (0, &json!(4)), "{}", ran.err);
    let seen = upstream.rest();
    assert_eq!(bodies(&seen), sent()[3..7]);
    assert!(seen.iter().all(|seen| seen.path == "/hook/prefix/hook"));

    let ran = replay(&[&url, &got, "--dry-run"], b"", &[]).await;
    assert_eq!(ran.status, 0);
    assert_eq!(ran.out.matches(&format!("POST {url} whatsapp.message.received")).count(), 31, "{}", ran.out);
    assert!(ran.out.contains("32 read, 32 chosen, 32 would be sent"), "{}", ran.out);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn standard_input_and_a_cut_last_line_are_read() {
    let folder = recorded(|_| {}).await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let text: String = lines(&folder).iter().map(|line| format!("{line}\n")).collect();
    let ran = replay(&[&upstream.url(), "-"], &text.as_bytes()[..text.len() - 20], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("cut off"), "{}", ran.err);
    assert_eq!(bodies(&upstream.rest()), sent()[..31]);

    let broken = format!("{}\n{{]\n{}\n", lines(&folder)[0], lines(&folder)[1]);
    let ran = replay(&[&upstream.url(), "-"], broken.as_bytes(), &[]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("standard input"), "{}", ran.err);
    assert_eq!(upstream.rest().len(), 1, "what was read before was sent");
}

#[tokio::test]
async fn whatever_is_not_answered_200_is_a_failure_and_is_not_tried_again() {
    let folder = recorded(|_| {}).await;
    let replies = vec![Reply::Status(500), Reply::Status(204), Reply::Close, Reply::Hang];
    let mut upstream = Upstream::scripted(replies, Reply::Status(200)).await;
    let ran = replay(&[&upstream.url(), &path(&folder), "--json", "--timeout-ms", "3000"], b"", &[]).await;
    assert_eq!(ran.status, 1);
    let told = summary(&ran);
    assert_eq!(told["answers"], json!({"200": 28, "204": 1, "500": 1}), "{}", ran.err);
    assert_eq!(told["unanswered"], json!({"timed-out": 1, "unreachable": 1}), "{}", ran.err);
    assert_eq!(upstream.rest().len(), 32);

    drop(upstream);
    assert_eq!(replay(&["http://127.0.0.1:1", &path(&folder)], b"", &[]).await.status, 1);
    assert_eq!(replay(&["ftp://127.0.0.1/", &path(&folder)], b"", &[]).await.status, 2);
    assert_eq!(replay(&["http://127.0.0.1:1", "there-is-none"], b"", &[]).await.status, 2);
}
