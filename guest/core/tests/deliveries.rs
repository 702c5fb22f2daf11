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
        if std::env::var_os("SHOW").is_some() {
            println!("{name}: {:?} {:?}", delivery.name_origin, delivery.contradictions);
            for event in &delivery.events {
                println!("   {event:?}");
            }
            println!("   {:?}", gate.parse(&headers, body.as_bytes()).unwrap().details);
            for dispatch in &deliver.dispatches {
                for message in &dispatch.messages {
                    println!("   {} {:?}", dispatch.target, message.set_headers);
                    println!("      {}", String::from_utf8_lossy(message.body.bytes(body.as_bytes())));
                }
            }
        }
    }
}
