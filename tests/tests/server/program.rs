//! The program itself: its output, its log, its signals.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use hookgate_tests::Delivery;
use hookgate_tests::browser;
use hookgate_tests::client::Client;
use hookgate_tests::hooked::{SECRET, TARGET_SECRET};
use hookgate_tests::running::{Running, Signal};
use hookgate_tests::upstream::{Reply, Upstream};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::answers::all_to;

fn with_policy(folder: &TempDir, policy: &Value, more: &[&str]) -> Running {
    with_policy_by(Running::start, folder, policy, more)
}

fn with_policy_by(
    start: impl FnOnce(&str, &[&str], &[(&str, &str)]) -> Running,
    folder: &TempDir,
    policy: &Value,
    more: &[&str],
) -> Running {
    let file = folder.path().join("policy.json");
    std::fs::write(&file, policy.to_string()).expect("a file");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("a file");
    let mut args = vec!["--policy", file.to_str().expect("a path of text")];
    args.extend(more);
    let path = |path: &Path| path.to_str().expect("a path of text").to_owned();
    start("serve", &args, &[("SECRET_FILE", &path(&secret)), ("TARGET_SECRET", TARGET_SECRET)])
}

async fn run(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().await.expect("a shell")
}

#[tokio::test]
async fn try_it_mode_takes_the_line_that_it_prints() {
    for env in [&[][..], &[("KAPSO_WEBHOOK_SECRET", "it's \"mine\"")]] {
        let running = Running::start("serve", &[], env);
        let line = running.out.with("curl ").await;
        let answer = run(&line).await;
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        running.out.with("genuine: whatsapp.message.received").await;
        let forged = run(&line.replace("Hello", "Hallo")).await;
        assert!(String::from_utf8_lossy(&forged.stdout).starts_with("HTTP/1.1 401"));
        running.out.with("rejected: wrong-signature").await;
        assert!(!running.log.all().contains("Hello"));
        assert!(!running.out.all().contains("mine"), "a given secret is not shown");
    }
}

#[tokio::test]
async fn one_line_a_delivery_and_nothing_private_in_it() {
    let upstream = Upstream::scripted(vec![Reply::Status(500)], Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let running = with_policy(&folder, &all_to(&upstream), &["--log-format", "json", "--log", "debug"]);
    let url = running.url("/hook").await;
    let client = Client::new();
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "image")], SECRET);
    for expected in [502, 200] {
        assert_eq!(client.post(&url, &batch).await.status, expected);
    }
    assert_eq!(client.post(&url, &Delivery::message("wamid.3", "another secret")).await.status, 401);
    let lying = Delivery::message("wamid.4", SECRET)
        .without("X-Webhook-Event")
        .with("X-Webhook-Event", "whatsapp.message.sent");
    assert_eq!(client.post(&url, &lying).await.status, 200);
    let hostile = r#"{"event":"order\u001b[2J","project":{"id":"p"}}"#;
    assert_eq!(client.post(&url, &Delivery::new("", hostile).signed(SECRET)).await.status, 200);
    running.log.with("order").await;

    let log = running.log.all();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |message: &str| -> Vec<&Value> { lines.iter().filter(|line| line["message"] == message).collect() };
    let deliveries = of("delivery");
    assert_eq!(deliveries.len(), 4, "{log}");
    assert_eq!(deliveries[0]["result"], "failed");
    assert_eq!(deliveries[0]["status"], 502);
    for (field, expected) in [
        ("source", json!("whatsapp")),
        ("secret", json!("SECRET")),
        ("event", json!("whatsapp.message.received")),
        ("kind", json!("whatsapp")),
        ("events", json!(2)),
        ("number", json!("…2345")),
        ("rules", json!("messages")),
        ("result", json!("delivered")),
        ("status", json!(200)),
    ] {
        assert_eq!(deliveries[1][field], expected, "{field}");
    }
    assert!(deliveries[1]["targets"].as_str().is_some_and(|targets| targets.starts_with("bot=200/2(")), "{log}");
    assert!(deliveries[1]["took_ms"].as_f64().is_some_and(|took| took > 0.0));
    assert!(deliveries[2]["contradictions"].as_str().is_some_and(|found| found.contains("whatsapp.message.sent")));
    assert_eq!(deliveries[3]["event"], "order\u{fffd}[2J", "what steers a terminal does not get there");
    assert_eq!(of("rejected").len(), 1);
    assert_eq!(of("rejected")[0]["rejection"], "wrong-signature");

    let signature = &batch.headers.last().expect("it is signed").1;
    let everything = format!("{log}{}", running.out.all());
    for private in [SECRET, TARGET_SECRET, signature, "Hello", "16315551181", "123456789012345"] {
        assert!(!everything.contains(private), "{private} in\n{everything}");
    }
}

#[tokio::test]
async fn a_log_of_warnings_has_what_went_wrong_alone() {
    let upstream = Upstream::scripted(vec![Reply::Status(500)], Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let running = with_policy(&folder, &all_to(&upstream), &["--log-format", "json", "--log", "warn"]);
    let url = running.url("/hook").await;
    let client = Client::new();
    let genuine = Delivery::message("wamid.1", SECRET);
    let forged = Delivery::message("wamid.2", "another secret");
    for (delivery, expected) in [(&genuine, 502), (&genuine, 200), (&forged, 401)] {
        assert_eq!(client.post(&url, delivery).await.status, expected);
    }
    running.log.with("wrong-signature").await;
    let log = running.log.all();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let statuses: Vec<Value> = lines.map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [502, 401], "{log}");
}

#[tokio::test]
async fn a_line_about_a_target_has_one_target() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let mut policy = all_to(&upstream);
    policy["setup_links"] = browser::setup_links(("to", "bot"));
    let running = with_policy(&folder, &policy, &["--log-format", "json"]);
    browser::ask(Method::GET, &running.url(&browser::completed()).await, &[]).await;
    let line = running.log.with("redirect, unsigned").await;
    let fields: Value = serde_json::from_str(&line).expect("JSON");
    assert!(fields["target"].as_str().is_some_and(|target| target.starts_with("bot=200(")), "{line}");
    assert_eq!(line.matches("\"target\":").count(), 1, "{line}");
}

#[tokio::test]
async fn so_many_threads_serve_as_were_asked_for_and_none_waits_for_an_instance() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let running = with_policy(&folder, &all_to(&upstream), &["--workers", "3"]);
    let url = running.url("/hook").await;
    assert_eq!(Client::new().post(&url, &Delivery::message("wamid.1", SECRET)).await.status, 200);
    let process = running.child.id().expect("it runs");
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    assert_eq!(names.filter(|name| name == "hookgate-worker\n").count(), 3);
    let metrics = metrics(&running).await;
    assert!(metrics.contains("\nhookgate_plugin_instances 7\n"), "{metrics}");
}

async fn metrics(running: &Running) -> String {
    let admin = running.out.with("admin on ").await;
    Client::new().get(&format!("{}/metrics", admin.trim_start_matches("admin on "))).await.text().to_owned()
}

#[tokio::test]
async fn whose_log_nobody_reads_serves_and_ends_all_the_same() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let unread = |command: &str, args: &[&str], env: &[(&str, &str)]| Running::start_unread("", command, args, env);
    let mut running = with_policy_by(unread, &folder, &all_to(&upstream), &["--log", "trace"]);
    let url = running.url("/hook").await;
    let client = Client::new();
    // More than the pipe holds, and then more than may wait.
    let forged = Delivery::message("wamid.1", "another secret");
    while metrics(&running).await.contains("\nhookgate_log_lines_left_out_total 0\n") {
        for _ in 0..100 {
            assert_eq!(client.post(&url, &forged).await.status, 401);
        }
    }
    assert_eq!(client.post(&url, &Delivery::message("wamid.1", SECRET)).await.status, 200);
    running.signal(Signal::TERM);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test]
async fn as_many_files_may_be_open_as_connections_need() {
    for (hard, expected) in [("4096", "4096"), ("300", "300")] {
        let limits = format!("ulimit -Sn 256; ulimit -Hn {hard}");
        let running = Running::start_after(&limits, "serve", &["--max-connections", "8000", "--workers", "2"], &[]);
        running.url("/").await;
        let process = running.child.id().expect("it runs");
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("its limits");
        let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("one of them");
        assert_eq!(files.split_whitespace().nth(3), Some(expected), "{files}");
        running.log.with("fewer connections are taken than allowed").await;
    }
}

#[tokio::test]
async fn it_ends_also_while_a_policy_is_read_that_never_comes() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let mut running = with_policy(&folder, &all_to(&upstream), &[]);
    running.url("/hook").await;
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().await.expect("mkfifo is there").success());
    std::fs::rename(&pipe, folder.path().join("policy.json")).expect("the same folder");
    running.signal(Signal::HUP);
    // Opened as soon as the server reads it.
    let policy = folder.path().join("policy.json");
    let _pipe = spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(policy)).await.expect("no panic");
    running.signal(Signal::TERM);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test]
async fn it_reloads_on_sighup_and_leaves_in_order_on_sigterm() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let folder = TempDir::new().expect("a folder");
    let mut running = with_policy(&folder, &all_to(&upstream), &[]);
    let url = running.url("/hook").await;
    running.signal(Signal::HUP);
    running.log.with("the policy was read again").await;

    let sender =
        tokio::spawn(async move { Client::new().post(&url, &Delivery::message("wamid.1", SECRET)).await.status });
    upstream.next().await;
    running.signal(Signal::TERM);
    running.log.with("stopping").await;
    permits.add_permits(1);
    assert_eq!(sender.await.unwrap(), 200);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test]
async fn its_status_says_when_a_delivery_was_cut_off() {
    let mut upstream = Upstream::answering(Reply::Hang).await;
    let folder = TempDir::new().expect("a folder");
    let mut running = with_policy(&folder, &all_to(&upstream), &["--stop-ms", "200"]);
    let url = running.url("/hook").await;
    let sender = tokio::spawn(async move {
        let delivery = Delivery::message("wamid.1", SECRET);
        Client::new().try_post(&url, &delivery).await.is_none()
    });
    upstream.next().await;
    running.signal(Signal::TERM);
    running.log.with("deliveries were still under way").await;
    assert_eq!(running.end().await, Some(1));
    assert!(sender.await.unwrap(), "there is no answer");
}

#[tokio::test]
async fn a_secret_that_comes_after_the_policy_that_names_it_is_found() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let (file, later) = (folder.path().join("policy.json"), folder.path().join("later"));
    let mut policy = all_to(&upstream);
    std::fs::write(&file, policy.to_string()).expect("a file");
    let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let later_file = text(&later);
    let env = [("SECRET", SECRET), ("TARGET_SECRET", TARGET_SECRET), ("LATER_FILE", &later_file)];
    let running = Running::start("serve", &["--policy", &text(&file)], &env);
    running.log.with("the policy is in force").await;
    policy["sources"][0]["secrets"] = json!(["SECRET", "LATER"]);
    std::fs::write(&file, policy.to_string()).expect("a file");
    running.log.with("the policy was not changed").await;
    std::fs::write(&later, "a later secret").expect("a file");
    running.log.with("the policy was read again").await;
    let url = running.url("/hook").await;
    let delivery = Delivery::message("wamid.1", "a later secret");
    assert_eq!(Client::new().post(&url, &delivery).await.status, 200);
}

#[tokio::test]
async fn what_was_delivered_before_it_was_killed_is_not_sent_again() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let store = format!("file:{}", folder.path().join("delivered").display());
    let delivery = Delivery::message("wamid.1", SECRET);
    for _ in 0..2 {
        let mut running = with_policy(&folder, &all_to(&upstream), &["--store", &store]);
        let url = running.url("/hook").await;
        assert_eq!(Client::new().post(&url, &delivery).await.status, 200);
        running.child.kill().await.expect("it runs");
    }
    assert_eq!(upstream.rest().len(), 1);
}

#[tokio::test]
async fn what_was_under_way_when_it_was_killed_is_sent_again() {
    let mut upstream = Upstream::scripted(vec![Reply::Hang], Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let store = format!("file:{}", folder.path().join("delivered").display());
    let policy = all_to(&upstream);
    let delivery = Delivery::message("wamid.1", SECRET);

    let mut running = with_policy(&folder, &policy, &["--store", &store]);
    let url = running.url("/hook").await;
    let first = delivery.clone();
    let sender = tokio::spawn(async move { Client::new().try_post(&url, &first).await });
    upstream.next().await;
    running.child.kill().await.expect("it runs");
    assert!(sender.await.unwrap().is_none(), "Kapso got no answer");

    let running = with_policy(&folder, &policy, &["--store", &store]);
    let url = running.url("/hook").await;
    assert_eq!(Client::new().post(&url, &delivery).await.status, 200);
    assert_eq!(upstream.next().await.body, delivery.body);
}

#[tokio::test]
async fn a_policy_that_is_wrong_is_explained_with_its_lines() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, "sources:\n  - name: a\n    path: /hook\n    secrets: [SECRET]\n    colour: red\n")
        .expect("a file");
    let mut running = Running::start("serve", &["--policy", file.to_str().expect("text")], &[]);
    let line = running.log.with("policy.yaml:5").await;
    assert!(line.contains("colour"), "{line}");
    assert_eq!(running.end().await, Some(2));
}
