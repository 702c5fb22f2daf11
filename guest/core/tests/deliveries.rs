//! The example deliveries, decided natively.
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use hookgate_core::{Decision, Gate, Head, Header, Request, Secret};
use serde_json::Value;

const POLICY: &str = r#"{
  "sources": [{"name": "all", "path": "/hook", "scheme": "any", "secrets": ["S"]}],
  "rules": [{"name": "all", "to": ["whole", "single", "normal"]}],
  "targets": {
    "whole": {"url": "http://127.0.0.1/"},
    "single": {"url": "http://127.0.0.1/", "body": "one-per-event", "sign_with": "S"},
    "normal": {"url": "http://127.0.0.1/", "body": "normalized"}
  }
}"#;

fn deliveries() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/deliveries");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(files.len() > 50);
    files
}

#[test]
fn every_example_says_what_it_is() {
    for file in deliveries() {
        let example: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let headers: Vec<_> = example["headers"].as_object().unwrap().iter().collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_str().unwrap().as_bytes() }).collect();
        let secret = text(&example["secret"]).unwrap();
        let gate = Gate::compile(POLICY, &[Secret { name: "S", value: &secret }]).unwrap();
        let body = text(&example["body"]).unwrap();
        let head = Head { method: "POST", path: "/hook?x=y", headers: &headers };
        let request = Request { head, body: body.as_bytes() };
        let Decision::Deliver(deliver) = gate.decide(&request, 1_789_395_901) else { panic!("{name} was refused") };
        let delivery = &deliver.delivery;
        assert_eq!(delivery.name.as_deref().map(str::to_owned), text(&example["expect"]["event"]), "{name}");
        assert_eq!(Some(delivery.kind.as_str()), example["expect"]["kind"].as_str(), "{name}");
        assert_eq!(Some(delivery.batch.is_some()), example["expect"]["batch"].as_bool(), "{name}");
        assert_eq!(Some(delivery.events.len() as u64), example["expect"]["count"].as_u64(), "{name}");
    }
}

#[test]
fn a_header_that_is_no_text_says_nothing_and_does_not_go_on() {
    let gate = Gate::compile(POLICY, &[Secret { name: "S", value: "s" }]).unwrap();
    let body = br#"{"message":{"id":"m1","type":"text","kapso":{"direction":"inbound"}},"phone_number_id":"1"}"#;
    // In Latin-1 that is a blank at the end, and somebody may cut it off.
    let headers = [
        Header { name: "X-Webhook-Event", value: b"whatsapp.message.sent\xa0" },
        Header { name: "X-Webhook-Batch", value: b"true\xa0" },
    ];
    let delivery = gate.delivery(&headers, body).unwrap();
    assert_eq!(delivery.name.as_deref(), Some("whatsapp.message.received"));
    let contradicted: Vec<_> = delivery.contradictions.iter().map(|found| found.header).collect();
    assert_eq!(contradicted, ["x-webhook-event", "x-webhook-batch"]);
    // Nor where the body says nothing of what it should.
    let version = [Header { name: "X-Webhook-Payload-Version", value: b"v2\xa0" }];
    let delivery = gate.delivery(&version, br#"{"conversation":{"id":"c"},"phone_number_id":"1"}"#).unwrap();
    assert_eq!((delivery.payload_version, delivery.contradictions.len()), (None, 1));
}

#[test]
fn what_became_of_a_message_is_told_apart_even_where_no_status_says_it() {
    let gate = Gate::compile(POLICY, &[Secret { name: "S", value: "s" }]).unwrap();
    let key = |event: &str| {
        let body = format!(
            r#"{{"event":"whatsapp.message.{event}","data":{{"message":{{"whatsapp_message_id":"m1","direction":"outbound"}},
                "whatsapp_config":{{"phone_number_id":"1"}}}}}}"#
        );
        gate.delivery(&[], body.as_bytes()).unwrap().events[0].item_key.clone()
    };
    assert_ne!(key("read"), key("failed"));
    assert_eq!(key("read"), key("read"));
}
