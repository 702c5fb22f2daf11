//! Deliveries that are kept.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hookgate::server::{Config, Policy, Recording, Server};
use hookgate::types::Header;
use hookgate::{Gate, Secrets};
use hookgate_tests::client::{Raw, head};
use hookgate_tests::hooked::{Hooked, SECRET, config, free_ports, plugin};
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, hmac_sha256, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answers::all_to;

/// One source, nothing to send to.
fn dropping() -> Value {
    json!({"sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}], "otherwise": {"drop": true}})
}

/// A server that records into `got` of the folder, as `change` says.
pub(crate) async fn recording(folder: &TempDir, policy: &Value, change: impl FnOnce(&mut Recording)) -> Hooked {
    let mut recording = Recording::new(folder.path().join("got"));
    change(&mut recording);
    let mut config = config(policy);
    config.recording = Some(recording);
    Hooked::start(config).await
}

pub(crate) async fn stop(hooked: Hooked) {
    let Hooked { server, .. } = hooked;
    server.stop().await;
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("got")).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

/// What was recorded.
pub(crate) fn lines(folder: &TempDir) -> Vec<Value> {
    let text: String = files(folder).iter().map(|file| fs::read_to_string(file).expect("text")).collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn binary(bytes: &[u8]) -> Delivery {
    let mut delivery = Delivery::new("whatsapp.message.received", bytes);
    let signature = hmac_sha256(SECRET.as_bytes(), bytes);
    delivery.headers.push(("X-Webhook-Signature".to_owned(), signature));
    delivery
}

#[tokio::test]
async fn a_genuine_delivery_is_kept_to_the_byte_with_its_answer_and_a_forged_one_is_not() {
    let upstream = Upstream::scripted(vec![Reply::Status(500)], Reply::Status(200)).await;
    let folder = TempDir::new().expect("a folder");
    let hooked = recording(&folder, &all_to(&upstream), |_| {}).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    for expected in [502, 200] {
        assert_eq!(hooked.status(&delivery).await, expected);
    }
    assert_eq!(hooked.status(&Delivery::message("wamid.2", "another")).await, 401);
    assert_eq!(hooked.status(&Delivery::message("wamid.3", SECRET).without("X-Webhook-Signature")).await, 401);
    while hooked.metric("hookgate_records_total{result=\"written\"}").await < 2.0 {
        tokio::task::yield_now().await;
    }
    let bytes: u64 = files(&folder).iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
    assert_eq!(hooked.metric("hookgate_record_bytes").await, bytes as f64);
    stop(hooked).await;

    let lines = lines(&folder);
    assert_eq!(lines.iter().map(|line| &line["status"]).collect::<Vec<_>>(), [502, 200]);
    for line in &lines {
        assert_eq!(line["body"].as_str().expect("text").as_bytes(), delivery.body);
        for (field, expected) in [
            ("method", json!("POST")),
            ("path", json!("/hook")),
            ("source", json!("whatsapp")),
            ("secret_name", json!("SECRET")),
            ("genuine", json!(true)),
            ("signatures_left_out", Value::Null),
        ] {
            assert_eq!(line[field], expected, "{field}");
        }
        assert!(
            line["received_at"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
            "{line}"
        );
        for (name, value) in &delivery.headers {
            assert_eq!(line["headers"][name.to_lowercase()], json!(value));
        }
        assert!(!line.to_string().contains(SECRET));
    }
    for file in files(&folder) {
        assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(folder.path().join("got")).expect("it").permissions().mode() & 0o777, 0o700);
    assert_eq!(verify(&files(&folder)[0]).0, 0);
}

/// The exit status and the JSON lines of `hookgate verify`.
fn verify(file: &Path) -> (i32, Vec<Value>) {
    let policy = file.with_file_name(".policy.json");
    fs::write(&policy, dropping().to_string()).expect("a file");
    let policy = policy.to_str().expect("text");
    let ran = run(&["verify", "--json", "--policy", policy, file.to_str().expect("text")], b"", &[("SECRET", SECRET)]);
    (ran.status, ran.lines())
}

#[tokio::test]
async fn what_was_refused_is_kept_by_choice_if_its_body_was_read() {
    let folder = TempDir::new().expect("a folder");
    let hooked = recording(&folder, &dropping(), |recording| recording.forged = true).await;
    let forged = Delivery::message("wamid.2", "another");
    assert_eq!(hooked.status(&forged).await, 401);
    let length = format!("Content-Length: {}\r\n", forged.body.len());
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&forged.clone().without("X-Webhook-Signature"), "/hook", &length)).await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    stop(hooked).await;
    let lines = lines(&folder);
    let of = |field: &str| lines.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("genuine"), [json!(false), json!(true)]);
    assert_eq!(of("rejection"), [json!("wrong-signature"), Value::Null]);
    assert_eq!(lines[0]["body"].as_str().expect("text").as_bytes(), forged.body);
}

#[tokio::test]
async fn credentials_are_left_out_and_signatures_by_choice() {
    let private = [
        ("Authorization", "Bearer t0k3n"),
        ("Cookie", "a=t0k3n"),
        ("X-Tenant-Token", "t0k3n"),
        ("X-Forwarded-For", "t0k3n"),
        ("Proxy-Authorization", "t0k3n"),
    ];
    let mut delivery = Delivery::message("wamid.1", SECRET).with("X-Tenant", "acme").with("X-Tenant", "two");
    for (name, value) in private {
        delivery = delivery.with(name, value);
    }
    for (all_headers, signatures) in [(false, true), (false, false), (true, true)] {
        let folder = TempDir::new().expect("a folder");
        let policy = dropping();
        let hooked = recording(&folder, &policy, |recording| {
            recording.all_headers = all_headers;
            recording.signatures = signatures;
        });
        let hooked = hooked.await;
        assert_eq!(hooked.status(&delivery).await, 200);
        stop(hooked).await;
        let line = lines(&folder).remove(0);
        assert_eq!(line["headers"]["x-tenant"], json!(["acme", "two"]));
        for (name, value) in private {
            let kept = &line["headers"][name.to_lowercase()];
            assert_eq!(*kept, if all_headers { json!(value) } else { Value::Null }, "{name}");
        }
        let signature = &line["headers"]["x-webhook-signature"];
        assert_eq!(signature.is_string(), signatures);
        let left_out = if signatures { Value::Null } else { json!(["x-webhook-signature"]) };
        assert_eq!(line["signatures_left_out"], left_out);
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_is_kept_to_the_byte_and_can_be_read_again() {
    let folder = TempDir::new().expect("a folder");
    let hooked = recording(&folder, &dropping(), |_| {}).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let mut request = http::Request::post(hooked.url("/hook")).header("x-note", &b"caf\xe9"[..]);
    for (name, value) in &binary(&bytes).headers {
        request = request.header(name, value);
    }
    let request = request.body(bytes.into()).expect("a request");
    assert_eq!(hookgate_tests::client::Client::new().send(request).await.status, 200);
    stop(hooked).await;
    let line = lines(&folder).remove(0);
    assert_eq!((&line["body"], &line["headers"]["x-note"]), (&Value::Null, &json!({"base64": "Y2Fm6Q=="})));
    let (status, lines) = verify(&files(&folder)[0]);
    assert_eq!((status, &lines[0]["genuine"]), (0, &json!(true)), "the signature holds over the bytes");
}

#[tokio::test]
async fn the_oldest_go_and_a_restart_goes_on() {
    let folder = TempDir::new().expect("a folder");
    const BYTES: u64 = 16_000;
    for run in 0..3 {
        let hooked = recording(&folder, &dropping(), |recording| recording.bytes = BYTES).await;
        for number in 0..20 {
            assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{run}.{number}"), SECRET)).await, 200);
        }
        stop(hooked).await;
        let bytes: u64 = files(&folder).iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
        assert!(bytes <= BYTES, "{bytes}");
    }
    let ids: Vec<String> = lines(&folder)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line["body"].as_str().expect("text")).expect("JSON"))
        .map(|body| body["message"]["id"].as_str().expect("an id").to_owned())
        .collect();
    let all: Vec<String> = (0..3).flat_map(|run| (0..20).map(move |number| format!("wamid.{run}.{number}"))).collect();
    assert!(ids.len() > 5 && all.ends_with(&ids), "the newest, in order, without a gap: {ids:?}");
}

#[tokio::test]
async fn a_disk_that_hangs_holds_no_delivery_up() {
    let folder = TempDir::new().expect("a folder");
    let got = folder.path().join("got");
    fs::create_dir(&got).expect("a folder");
    let pipe = got.join("deliveries-0000000001.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    let hooked = recording(&folder, &dropping(), |recording| recording.queue_bytes = 64 * 1024).await;
    let mut answered = 0;
    while hooked.metric("hookgate_records_total{result=\"queue-full\"}").await < 5.0 {
        let id = format!("wamid.{answered}{}", "x".repeat(2000));
        assert_eq!(hooked.status(&Delivery::message(&id, SECRET)).await, 200);
        answered += 1;
    }
    assert!(answered > 20, "the pipe and the queue took some");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_said_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("got")).expect("a folder");
    fs::write(folder.path().join("got/notes.txt"), "mine").expect("a file");
    let mut config = config(&dropping());
    config.recording = Some(Recording::new(folder.path().join("got")));
    let error = Server::start(config).await.err().expect("it is refused").to_string();
    assert!(error.contains("notes.txt") && error.contains("got"), "{error}");
}

// ------------------------------------------------------------------------------------------------------- redaction

/// What nobody may find in what is kept, by the keys that it stands under.
const PRIVATE: [&str; 43] = [
    "address",
    "body",
    "business_scoped_user_id",
    "caption",
    "company",
    "contact_name",
    "content",
    "ctwa_clid",
    "date_label",
    "description",
    "display_name",
    "display_number",
    "display_phone_number",
    "display_phone_number_normalized",
    "external_customer_id",
    "external_id",
    "filename",
    "final_message",
    "first_name",
    "formatted_name",
    "from",
    "headline",
    "last_message_id",
    "last_message_text",
    "link",
    "media_url",
    "message",
    "message_id",
    "name",
    "order_text",
    "payload",
    "phone",
    "phone_number",
    "previous",
    "profile_name",
    "recipient_id",
    "response_json",
    "source_url",
    "text",
    "title",
    "to",
    "url",
    "wa_id",
];

/// The private texts of a body, and the digits of its numbers.
fn private(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| private(value, key, found)),
        Value::Array(elements) => elements.iter().for_each(|value| private(value, key, found)),
        Value::String(text) if PRIVATE.contains(&key) || text.starts_with("wamid.") => {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= 7 && text.len() < 24 {
                found.insert(digits);
            }
            if text.chars().count() > 3 {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

/// What rules ask for, but the text.
fn keys(gate: &Gate, headers: &[(String, String)], body: &[u8]) -> Value {
    let headers: Vec<_> = headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let delivery = gate.parse(&headers, body).expect("a call").expect("it can be read").delivery;
    let events = delivery.events.iter().map(|event| {
        json!([
            event.name,
            event.kind.name(),
            event.payload_version,
            event.phone_number_id,
            event.business_account_id,
            event.customer_id,
            event.conversation_id,
            event.direction,
            event.status,
            event.origin,
            event.message_type,
            event.new_conversation,
            event.test,
            event.text.is_some(),
            event.message_id.is_some(),
            event.timestamp,
        ])
    });
    json!([delivery.kind.name(), delivery.name, delivery.batch.is_some(), delivery.test, events.collect::<Vec<_>>()])
}

#[tokio::test]
async fn what_is_redacted_says_the_same_to_the_rules_and_nothing_private() {
    let examples = Delivery::examples();
    let secrets: BTreeSet<_> = examples.iter().map(|(.., secret)| secret.clone()).collect();
    let names: Vec<_> = (0..secrets.len()).map(|number| format!("S{number}")).collect();
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "scheme": "any", "secrets": names}],
        "otherwise": {"drop": true},
    });
    let secrets: Secrets = names.iter().cloned().zip(secrets).collect();
    let gate = plugin().compile(&policy.to_string(), &secrets).expect("a policy");
    let folder = TempDir::new().expect("a folder");
    let mut config: Config = free_ports(Config::new(plugin(), Policy::json(policy.to_string()).with_secrets(secrets)));
    config.limits.stop_time = Duration::from_secs(30);
    let mut recording = Recording::new(folder.path().join("got"));
    recording.redact = true;
    config.recording = Some(recording);
    let hooked = Hooked::start(config).await;
    for (name, delivery, _) in &examples {
        let delivery = delivery.clone().with("X-Tenant-Name", "Ana López");
        assert_eq!(hooked.status(&delivery).await, 200, "{name}");
    }
    stop(hooked).await;

    let lines = lines(&folder);
    assert_eq!(lines.len(), examples.len());
    for ((name, delivery, _), line) in examples.iter().zip(&lines) {
        assert_eq!(line["redacted"], json!(true));
        assert!(line["signatures_left_out"].as_array().is_some_and(|names| !names.is_empty()), "{line}");
        let body = line["body"].as_str().expect("text");
        let mut headers = Vec::new();
        for (name, value) in line["headers"].as_object().expect("headers") {
            headers.push((name.clone(), value.as_str().expect("text").to_owned()));
        }
        assert_eq!(
            keys(&gate, &headers, body.as_bytes()),
            keys(&gate, &delivery.headers, &delivery.body),
            "{name}: {body}"
        );

        let mut found = BTreeSet::new();
        private(&serde_json::from_slice(&delivery.body).expect("JSON"), "", &mut found);
        for private in found {
            let escaped = json!(private).to_string();
            assert!(!body.contains(escaped.trim_matches('"')), "{name}: {private:?} in {body}");
        }
        assert!(!line.to_string().contains("Ana"), "{name}: {line}");
    }
}
