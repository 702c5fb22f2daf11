//! The JSON Schema of a policy, as shipped, as generated, and beside what the gate takes.
#![allow(missing_docs)]

use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

use hookgate_core::{Gate, PolicyError, Secret, policy_schema};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn the_shipped_schema_is_the_generated_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/policy.schema.json");
    let generated = format!("{:#}\n", policy_schema());
    if env::var_os("BLESS").is_some() {
        fs::write(&file, &generated).unwrap();
    }
    let shipped = fs::read_to_string(&file).unwrap_or_default();
    assert!(shipped == generated, "host/policy.schema.json is not what the types say; BLESS=1 rewrites it");
}

#[test]
fn every_field_is_described() {
    let schema = policy_schema();
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, object) in definitions.iter().map(|(name, object)| (name.as_str(), object)).chain([("Policy", &schema)])
    {
        for (field, property) in object["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{field}");
        }
    }
}

/// A policy that is right.
fn good() -> Value {
    json!({
        "$schema": "policy.schema.json",
        "sources": [
            {"name": "whatsapp", "path": "/webhooks/whatsapp", "scheme": "kapso", "secrets": ["NEW", "OLD"]},
            {"name": "tenants", "path": "/webhooks/tenants", "secrets_by_phone_number": {"123456789012345": ["NEW"]}},
            {"name": "meta", "path": "/webhooks/meta", "scheme": "meta", "secrets": ["OLD"], "verify_token": "NEW",
             "max_age_s": 600, "accept_x_kapso_signature": false}
        ],
        "setup_links": [
            {"name": "onboarding", "success_path": "/connected", "failure_path": "/not-connected", "to": "crm"},
            {"name": "partners", "success_path": "/p/ok", "failure_path": "/p/failed", "page": "https://app.example/a?b=c"}
        ],
        "rules": [
            {"name": "takeover", "when": {"event": "whatsapp.message.sent", "origin": "business_app"}, "to": ["bot"]},
            {"name": "inbound", "when": {"event": ["whatsapp.message.*"]}, "unless": {"origin": ["x"]}, "to": ["bot", "crm"]},
            {"name": "stop", "when": {"text": {"prefix": "STOP", "contains": ["a", "b"]}, "source": "meta"}, "drop": true}
        ],
        "otherwise": {"drop": true},
        "targets": {
            "bot": {"url": "http://127.0.0.1:3000/hook", "cluster": "bot", "timeout_ms": 8000, "sign_with": "NEW",
                    "body": "as-received", "give_up_on": [410, 422]},
            "crm": {"cluster": "crm", "body": "one-per-event"}
        },
        "dedupe": {"window_s": 900, "max_keys": 100_000},
        "limits": {"body_bytes": 4_194_304, "events": 1000}
    })
}

/// `good` with one value set; `/-` at the end of a pointer appends to a list.
fn with(pointer: &str, value: Value) -> Value {
    let mut policy = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match policy.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}")) {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(values) if name == "-" => values.push(value),
        Value::Array(values) => values[name.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other}"),
    }
    policy
}

fn without(pointer: &str) -> Value {
    let mut policy = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    policy.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    policy
}

fn compile(policy: &Value) -> Result<Gate, Vec<PolicyError>> {
    Gate::compile(&policy.to_string(), &[Secret { name: "NEW", value: "new" }, Secret { name: "OLD", value: "old" }])
}

fn gate_takes(policy: &Value) -> bool {
    compile(policy).is_ok()
}

/// What schema and gate both take.
fn right() -> Vec<Value> {
    vec![
        good(),
        json!({"sources": [{"name": "a", "path": "/", "secrets": ["NEW"]}]}),
        without("/setup_links"),
        with("/setup_links", json!([])),
        without("/otherwise"),
        without("/dedupe"),
        without("/limits"),
        with("/rules", json!([])),
        with("/otherwise", json!({"to": ["bot"]})),
        with("/sources/0/scheme", json!("any")),
        with("/sources/0/secrets_by_phone_number", json!({})),
        with("/sources/1/secrets", json!([])),
        with("/sources/1/secrets_by_phone_number", json!({"é".repeat(64): ["NEW", "OLD"]})),
        with("/sources/0/name", json!("a b")),
        with("/sources/0/path", json!("/a/~b%20c;d=e!\"$'()*+,@:")),
        with("/rules/0/when", json!({})),
        with("/rules/0/when/event", json!("a.*")),
        with("/rules/0/when/kind", json!(["whatsapp", "project", "meta", "unknown"])),
        with("/rules/0/when/phone_number_id", json!(["1", "2"])),
        with("/rules/0/when/new_conversation", json!(true)),
        with("/rules/0/unless", json!({"test": true})),
        with("/targets/bot/timeout_ms", json!(1)),
        with("/targets/bot/timeout_ms", json!(9000.0)),
        with("/targets/bot/give_up_on", json!([])),
        with("/targets/bot/body", json!("normalized")),
        with("/targets/bot/url", json!("HTTPS://example.org:8443?a=b")),
        with("/dedupe", json!({})),
        with("/dedupe/window_s", json!(180)),
    ]
}

/// What both refuse.
fn wrong() -> Vec<Value> {
    let mut wrong = vec![
        json!(null),
        json!([]),
        json!({}),
        without("/sources"),
        with("/sources", json!([])),
        with("/sources", json!({})),
        with("/rules", json!({})),
        with("/targets", json!([])),
        with("/otherwise", json!({})),
        with("/otherwise", json!({"to": []})),
        with("/otherwise", json!({"drop": false})),
        with("/otherwise", json!({"drop": true, "to": ["bot"]})),
        with("/sources/0/name", json!("")),
        with("/sources/0/name", json!(" a")),
        with("/sources/0/name", json!("é")),
        with("/sources/0/name", json!("x".repeat(129))),
        with("/sources/0/path", json!("webhooks")),
        with("/sources/0/path", json!("/a?b")),
        with("/sources/0/path", json!("/a#b")),
        with("/sources/0/path", json!("/a b")),
        with("/sources/0/scheme", json!("Kapso")),
        with("/sources/0/secrets", json!([])),
        with("/sources/0/secrets", json!("NEW")),
        with("/sources/0/secrets", json!([""])),
        with("/sources/1/secrets_by_phone_number", json!({})),
        with("/sources/1/secrets_by_phone_number", json!({"": ["NEW"]})),
        with("/sources/1/secrets_by_phone_number", json!({"1".repeat(65): ["NEW"]})),
        with("/sources/1/secrets_by_phone_number", json!({"1": []})),
        with("/sources/1/secrets_by_phone_number", json!({"1": "NEW"})),
        with("/sources/2/max_age_s", json!(0)),
        with("/sources/2/accept_x_kapso_signature", json!("yes")),
        without("/sources/0/name"),
        without("/sources/0/path"),
        without("/sources/0/secrets"),
        with("/setup_links", json!({})),
        without("/setup_links/0/name"),
        without("/setup_links/0/success_path"),
        without("/setup_links/0/failure_path"),
        without("/setup_links/0/to"),
        with("/setup_links/0/page", json!("https://app.example/")),
        with("/setup_links/0/success_path", json!("connected")),
        with("/setup_links/0/failure_path", json!("/failed?a=b")),
        with("/setup_links/0/to", json!(["crm"])),
        with("/setup_links/1/page", json!("/welcome")),
        with("/setup_links/1/page", json!("javascript:alert(1)")),
        with("/setup_links/1/page", json!("https://user:pass@app.example/")),
        with("/setup_links/1/page", json!("https://app.example/#a")),
        without("/rules/0/name"),
        without("/rules/0/to"),
        with("/rules/0/drop", json!(true)),
        with("/rules/0/to", json!([])),
        with("/rules/0/to", json!("bot")),
        with("/rules/0/to", json!(["bot", "bot"])),
        with("/rules/0/unless", json!({})),
        with("/rules/0/when/event", json!("*")),
        with("/rules/0/when/event", json!("a*")),
        with("/rules/0/when/event", json!("*.a")),
        with("/rules/0/when/event", json!([])),
        with("/rules/0/when/event", json!(1)),
        with("/rules/0/when/kind", json!("kapso")),
        with("/rules/0/when/phone_number_id", json!("")),
        with("/rules/0/when/phone_number_id", json!(123)),
        with("/rules/0/when/test", json!("true")),
        with("/rules/0/when/text", json!("STOP")),
        with("/rules/0/when/text", json!({})),
        with("/rules/0/when/text", json!({"prefix": []})),
        with("/targets/nowhere", json!({})),
        with("/targets/bot/url", json!("ftp://example.org/")),
        with("/targets/bot/url", json!("http://user@example.org/")),
        with("/targets/bot/url", json!("http://example.org/#a")),
        with("/targets/bot/url", json!("http:///a")),
        with("/targets/bot/url", json!("http://example.org/a b")),
        with("/targets/bot/cluster", json!("")),
        with("/targets/bot/timeout_ms", json!(0)),
        with("/targets/bot/timeout_ms", json!(9001)),
        with("/targets/bot/timeout_ms", json!(1.5)),
        with("/targets/bot/timeout_ms", json!("8000")),
        with("/targets/bot/body", json!("raw")),
        with("/targets/bot/give_up_on", json!([204])),
        with("/targets/bot/give_up_on", json!([600])),
        with("/dedupe/window_s", json!(179)),
        with("/dedupe/max_keys", json!(0)),
        with("/limits/body_bytes", json!(0)),
        with("/limits/body_bytes", json!(4_294_967_296_u64)),
        with("/limits/events", json!(-1)),
    ];
    // A field that nobody knows, and null for one that is known, in every object.
    for object in [
        "",
        "/sources/0",
        "/sources/2",
        "/setup_links/0",
        "/setup_links/1",
        "/rules/0",
        "/rules/0/when",
        "/rules/1/unless",
        "/rules/2/when/text",
        "/otherwise",
        "/targets/bot",
        "/dedupe",
        "/limits",
    ] {
        wrong.push(with(&format!("{object}/unknown"), json!(1)));
        for name in good().pointer(object).unwrap().as_object().unwrap().keys().filter(|name| *name != "$schema") {
            wrong.push(with(&format!("{object}/{name}"), json!(null)));
        }
    }
    wrong
}

/// What only the gate can know: names that are taken or that nothing has, secrets that are not there, what a URL and a normal path is.
fn wrong_beyond_the_schema() -> Vec<Value> {
    vec![
        with("/sources/1/name", json!("whatsapp")),
        with("/sources/1/path", json!("/webhooks/whatsapp")),
        with("/sources/1/path", json!("/webhooks/../meta")),
        with("/sources/1/path", json!("/webhooks/%6deta")),
        with("/setup_links/0/name", json!("whatsapp")),
        with("/setup_links/1/name", json!("onboarding")),
        with("/setup_links/0/success_path", json!("/webhooks/meta")),
        with("/setup_links/0/failure_path", json!("/connected")),
        with("/setup_links/1/success_path", json!("/connected")),
        with("/setup_links/0/to", json!("crmm")),
        with("/rules/1/name", json!("takeover")),
        with("/rules/0/to", json!(["bott"])),
        with("/rules/2/when/source", json!("metta")),
        with("/otherwise", json!({"to": ["bott"]})),
        with("/sources/0/secrets/-", json!("ELSEWHERE")),
        with("/sources/2/verify_token", json!("ELSEWHERE")),
        with("/targets/bot/sign_with", json!("ELSEWHERE")),
        with("/targets/bot/url", json!("http://[::1/")),
    ]
}

#[test]
fn the_schema_and_the_gate_agree() {
    let schema = policy_schema();
    jsonschema::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for policy in right() {
        let errors: Vec<_> = schema.iter_errors(&policy).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{policy:#}");
        assert!(gate_takes(&policy), "{policy:#}");
    }
    for policy in wrong() {
        assert!(!schema.is_valid(&policy), "{policy:#}");
        assert!(!gate_takes(&policy), "{policy:#}");
    }
    for policy in wrong_beyond_the_schema() {
        assert!(schema.is_valid(&policy), "{policy:#}");
        assert!(!gate_takes(&policy), "{policy:#}");
    }
}

/// Every place in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), found))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// A policy that is right but for a few places, which hold what stands elsewhere in it or something odd.
fn spoilt() -> impl Strategy<Value = Value> {
    let mut places = vec![];
    pointers(&good(), "", &mut places);
    let odd = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(200.0),
        json!(410),
        json!(9e3),
        json!(-1),
        json!(0.5),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("a"),
        json!("a.*"),
        json!("*"),
        json!("/"),
        json!("é"),
        json!("a\n"),
        json!([]),
        json!([[]]),
        json!(["a"]),
        json!({}),
        json!({"a": 1}),
        json!({"": {}}),
    ];
    let replacement = prop_oneof![
        prop::sample::select(places.clone()).prop_map(|place| good().pointer(&place).unwrap().clone()),
        prop::sample::select(odd.to_vec()),
    ];
    prop::collection::vec((prop::sample::select(places), replacement), 1..4).prop_map(|changes| {
        let mut policy = good();
        for (place, value) in changes {
            if let Some(place) = policy.pointer_mut(&place) {
                *place = value;
            }
        }
        policy
    })
}

proptest! {
    #[test]
    fn what_the_gate_takes_the_schema_takes(policy in spoilt()) {
        static SCHEMA: LazyLock<jsonschema::Validator> =
            LazyLock::new(|| jsonschema::validator_for(&policy_schema()).unwrap());
        match compile(&policy) {
            Ok(_) => prop_assert!(SCHEMA.is_valid(&policy), "{policy:#}"),
            Err(errors) => {
                prop_assert!(!errors.is_empty(), "{policy:#}");
                for error in errors {
                    prop_assert!(policy.pointer(&error.pointer).is_some(), "{error} points nowhere in {policy:#}");
                }
            }
        }
    }
}
