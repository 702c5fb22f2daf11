use alloc::format;
use alloc::string::ToString;

use serde_json::{Value, json};

use super::*;
use crate::gate::{Gate, Secret};

const SECRETS: [Secret<'static>; 3] = [
    Secret { name: "S", value: "the value of S" },
    Secret { name: "T", value: "the value of T" },
    Secret { name: "EMPTY", value: "" },
];

/// A policy that is right, to be spoilt in one place or another.
fn good() -> Value {
    json!({
        "sources": [{"name": "one", "path": "/one", "secrets": ["S"]}],
        "rules": [{"name": "inbound", "when": {"event": "whatsapp.message.received"}, "to": ["bot"]}],
        "targets": {"bot": {"url": "http://127.0.0.1:3000/hook"}}
    })
}

/// `good` with the value at a JSON Pointer set, or with `Value::Null` taken out.
fn with(pointer: &str, value: Value) -> Value {
    let mut policy = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match policy.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.to_string(), value)),
        Value::Array(values) => values.insert(name.parse().unwrap(), value),
        _ => panic!("{pointer}"),
    }
    policy
}

fn errors(policy: &str) -> Vec<String> {
    match Gate::compile(policy, &SECRETS) {
        Ok(_) => vec![],
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refused(policy: &Value, expected: &[&str]) {
    assert_eq!(errors(&policy.to_string()), expected, "{policy:#}");
}

#[track_caller]
fn taken(policy: &Value) {
    refused(policy, &[]);
}

#[test]
fn the_smallest_policy() {
    let policy = json!({"sources": [{"name": "one", "path": "/", "secrets": ["S"]}]}).to_string();
    let gate = Gate::compile(&policy, &SECRETS).unwrap();
    assert_eq!((gate.dedupe().window_s, gate.dedupe().max_keys), (900, 100_000));
    assert_eq!((gate.limits().body_bytes, gate.limits().events), (4_194_304, 1_000));
    assert!(gate.targets().is_empty());
}

#[test]
fn the_policy_of_the_documentation() {
    let policy = r#"{
        "sources": [
            {"name": "whatsapp", "path": "/webhooks/whatsapp", "scheme": "kapso", "secrets": ["KAPSO_SECRET", "KAPSO_SECRET_OLD"]},
            {"name": "tenants",  "path": "/webhooks/tenants",  "scheme": "kapso", "secrets_by_phone_number": {"123456789012345": ["TENANT_A"]}},
            {"name": "meta",     "path": "/webhooks/meta",     "scheme": "meta",  "secrets": ["META_APP_SECRET"], "verify_token": "META_VERIFY_TOKEN"}
        ],
        "rules": [
            {"name": "takeover",  "when": {"event": "whatsapp.message.sent", "origin": "business_app"}, "to": ["helpdesk"]},
            {"name": "inbound",   "when": {"event": "whatsapp.message.received"}, "unless": {"origin": "history_sync"}, "to": ["bot", "crm"]},
            {"name": "lifecycle", "when": {"kind": "project"}, "to": ["backoffice"]},
            {"name": "tests",     "when": {"test": true}, "drop": true}
        ],
        "otherwise": {"drop": true},
        "targets": {
            "bot": {"url": "http://127.0.0.1:3000/hook", "cluster": "bot", "timeout_ms": 8000, "sign_with": "BOT_SECRET",
                    "body": "as-received", "give_up_on": [410, 422]},
            "crm": {"url": "http://127.0.0.1:3001/hook", "cluster": "crm", "body": "one-per-event"},
            "helpdesk": {"cluster": "helpdesk"}, "backoffice": {"cluster": "backoffice"}
        },
        "dedupe": {"window_s": 900, "max_keys": 100000},
        "limits": {"body_bytes": 4194304, "events": 1000}
    }"#;
    let names = Gate::secret_names(policy).unwrap();
    assert_eq!(
        names,
        ["KAPSO_SECRET", "KAPSO_SECRET_OLD", "TENANT_A", "META_APP_SECRET", "META_VERIFY_TOKEN", "BOT_SECRET"]
    );
    let secrets: Vec<_> = names.iter().map(|name| Secret { name, value: "x" }).collect();
    let gate = Gate::compile(policy, &secrets).unwrap();
    assert_eq!((gate.sources().len(), gate.targets().len()), (3, 4));
}

#[test]
fn all_that_a_policy_says_is_kept() {
    let policy = json!({
        "$schema": "policy.schema.json",
        "sources": [{
            "name": "tenants", "path": "/t", "scheme": "any", "secrets": ["S"], "verify_token": "T", "max_age_s": 600,
            "accept_x_kapso_signature": true, "secrets_by_phone_number": {"123": ["T", "S"], "é": ["T"]}
        }],
        "rules": [],
        "otherwise": {"to": ["zebra", "ant"]},
        "targets": {
            "zebra": {"url": "https://example.org:8443/a?b=c", "timeout_ms": 9000, "give_up_on": [410, 422]},
            "ant": {"cluster": "outbound|80||ant.ns", "sign_with": "T", "body": "one-per-event"}
        },
        "dedupe": {"window_s": 180, "max_keys": 1},
        "limits": {"body_bytes": 1024, "events": 1}
    });
    let gate = Gate::compile(&policy.to_string(), &SECRETS).unwrap();
    let [source] = gate.sources() else { panic!() };
    assert_eq!((source.name(), source.path(), source.scheme), ("tenants", "/t", Scheme::Any));
    assert_eq!((source.max_age_s, source.accept_x_kapso_signature), (Some(600), true));
    assert!(source.keys.by_phone_number());
    assert!(source.verify_token.as_ref().unwrap().is(b"the value of T"));
    assert_eq!((gate.dedupe().window_s, gate.dedupe().max_keys), (180, 1));
    assert_eq!((gate.limits().body_bytes, gate.limits().events), (1024, 1));
}

#[test]
fn targets_stand_in_the_order_of_the_document() {
    let text = r#"{
        "sources": [{"name": "one", "path": "/", "secrets": ["S"]}],
        "targets": {
            "zebra": {"url": "https://example.org:8443/a?b=c", "timeout_ms": 9000, "give_up_on": [410, 422]},
            "ant": {"cluster": "ant", "sign_with": "T", "body": "one-per-event"}
        }
    }"#;
    let gate = Gate::compile(text, &SECRETS).unwrap();
    let [zebra, ant] = gate.targets() else { panic!() };
    assert_eq!((zebra.name(), zebra.url(), zebra.cluster()), ("zebra", Some("https://example.org:8443/a?b=c"), None));
    assert_eq!((zebra.timeout_ms(), &*zebra.give_up_on, zebra.body), (9_000, &[410, 422][..], BodyForm::AsReceived));
    assert!(zebra.sign_with.is_none());
    assert_eq!((ant.name(), ant.url(), ant.cluster()), ("ant", None, Some("ant")));
    assert_eq!((ant.timeout_ms(), &*ant.give_up_on, ant.body), (8_000, &[][..], BodyForm::OnePerEvent));
    assert!(ant.sign_with.is_some());
}

#[test]
fn secrets_are_named_once_and_in_the_order_of_the_document() {
    let text = r#"{
        "targets": {"b": {"cluster": "b", "sign_with": "Z"}, "a": {"cluster": "a", "sign_with": "Y"}},
        "sources": [
            {"verify_token": "X", "name": "1", "path": "/1", "secrets": ["Y", "W"]},
            {"name": "2", "path": "/2", "secrets_by_phone_number": {"9": ["V"], "1": ["U", "W"]}}
        ]
    }"#;
    assert_eq!(Gate::secret_names(text).unwrap(), ["Z", "Y", "X", "W", "V", "U"]);
}

#[test]
fn secret_names_finds_everything_but_missing_secrets() {
    let policy = with("/rules/0/to", json!(["bott"])).to_string();
    assert_eq!(Gate::secret_names(&policy).unwrap_err().len(), 1);
    let policy = with("/sources/0/secrets", json!(["ELSEWHERE"])).to_string();
    assert_eq!(Gate::secret_names(&policy).unwrap(), ["ELSEWHERE"]);
}

#[test]
fn everything_wrong_is_found_in_one_go() {
    let policy = r#"{
        "sources": [
            {"name": "one", "path": "/one", "scheme": "kapsoo", "secrets": ["S", "GONE", "EMPTY"], "secret": 1},
            {"path": "two?", "secrets": []},
            {"name": "one", "path": "/one", "secrets_by_phone_number": {"": ["S"], "2": [], "3": ["GONE"]}}
        ],
        "rules": [
            {"name": "a", "when": {"evnt": "x", "kind": "whatsap", "test": "yes"}, "unless": {}, "to": ["bott", "bot", "bot"]},
            {"name": "a", "drop": false},
            {"name": " b", "to": ["bot"], "drop": true, "when": {"event": "*", "text": {}, "source": "oen", "origin": []}}
        ],
        "otherwise": {},
        "targets": {
            "bot": {"url": "ftp://x", "timeout_ms": 0, "body": "raw", "give_up_on": [200, 410, "x"]},
            "bot": {"cluster": ""},
            "nowhere": {"sign_with": "GONE"}
        },
        "dedupe": {"window_s": 60, "max_keys": 1.5},
        "limits": {"body_bytes": null, "evnts": 1},
        "otherwse": 1
    }"#;
    let expected = [
        "/sources/0/scheme: expected `kapso`, `meta` or `any`, found \"kapsoo\"; did you mean `kapso`?",
        "/sources/0/secrets/1: the secret \"GONE\" is missing",
        "/sources/0/secrets/2: the secret \"EMPTY\" is empty",
        "/sources/0/secret: unknown field; did you mean `secrets`?",
        "/sources/1/path: expected a path that begins with `/`, of visible ASCII characters without `?`, `#` and `\\`, with no `//`, `.`, `..` and \
         encoded letters, found \"two?\"",
        "/sources/1: expected at least one secret, in `secrets` or `secrets_by_phone_number`",
        "/sources/1: `name` is missing",
        "/sources/2/name: \"one\" is taken by /sources/0/name",
        "/sources/2/path: \"/one\" is taken by /sources/0/path",
        "/sources/2/secrets_by_phone_number/: expected a phone number id of 1 to 64 characters as the name",
        "/sources/2/secrets_by_phone_number/2: expected a list of at least one, found an empty list",
        "/sources/2/secrets_by_phone_number/3/0: the secret \"GONE\" is missing",
        "/rules/0/when/evnt: unknown field; did you mean `event`?",
        "/rules/0/when/kind: expected `whatsapp`, `project`, `meta` or `unknown`, found \"whatsap\"; did you mean `whatsapp`?",
        "/rules/0/when/test: expected true or false, found \"yes\"",
        "/rules/0/to/0: there is no target \"bott\"; did you mean `bot`?",
        "/rules/0/to/2: the target is named more than once",
        "/rules/0/unless: expected at least one field, found none",
        "/rules/1/name: \"a\" is taken by /rules/0/name",
        "/rules/1/drop: expected true, found false",
        "/rules/2/name: expected a name of 1 to 128 visible ASCII characters, blanks only between them, found \" b\"",
        "/rules/2/when/event: expected an event's name, such as `whatsapp.message.received`, or the beginning of names, such \
         as `whatsapp.message.*`, found \"*\"",
        "/rules/2/when/text: expected at least one field, found none",
        "/rules/2/when/source: there is no source \"oen\"; did you mean `one`?",
        "/rules/2/when/origin: expected a list of at least one, found an empty list",
        "/rules/2: expected only one of `to` and `drop`, found both",
        "/otherwise: expected `to` with the names of targets, or `drop`: true",
        "/targets/bot: the name is there more than once",
        "/targets/bot/url: expected an absolute http or https URL without user information and fragment, found \"ftp://x\"",
        "/targets/bot/timeout_ms: expected a whole number from 1 to 9000, found 0",
        "/targets/bot/body: expected `as-received`, `one-per-event` or `normalized`, found \"raw\"",
        "/targets/bot/give_up_on/0: expected a whole number from 300 to 599, found 200",
        "/targets/bot/give_up_on/2: expected a whole number from 300 to 599, found \"x\"",
        "/targets/bot/cluster: expected the name of an Envoy cluster (visible ASCII characters without blanks), found an empty string",
        "/targets/nowhere/sign_with: the secret \"GONE\" is missing",
        "/targets/nowhere: expected `url`, `cluster` or both",
        "/dedupe/window_s: expected a whole number from 180 to 2592000, found 60",
        "/dedupe/max_keys: expected a whole number from 1 to 100000000, found 1.5",
        "/limits/body_bytes: expected a whole number from 1 to 67108864, found null",
        "/limits/evnts: unknown field; did you mean `events`?",
        "/otherwse: unknown field; did you mean `otherwise`?",
    ];
    let found = errors(policy);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn text_that_is_not_json_is_refused_with_line_and_column() {
    for (text, place) in
        [("", "line 1 column 1"), ("{\n \"sources\": [,]}", "line 2 column 14"), ("{} x", "line 1 column 4")]
    {
        let errors = Gate::compile(text, &SECRETS).unwrap_err();
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(error.pointer, "");
        assert!(error.message.contains(place), "{}", error.message);
    }
    let deep = "[".repeat(100_000);
    assert_eq!(Gate::compile(&deep, &SECRETS).unwrap_err().len(), 1);
}

#[test]
fn anything_but_an_object_is_refused() {
    for text in ["null", "1", "\"x\"", "[]"] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("expected an object, found "), "{found:?}");
    }
    assert_eq!(errors("{}"), ["`sources` is missing"]);
    assert_eq!(errors(r#"{"sources": []}"#), ["/sources: expected a list of at least one, found an empty list"]);
}

#[test]
fn a_pointer_escapes_what_it_must() {
    let policy = with("/targets/a~b~1c", json!({"url": 1}));
    // `a~b~1c` is the name itself here, since only the parent of the pointer is looked up.
    refused(
        &policy,
        &[
            "/targets/a~0b~01c/url: expected an absolute http or https URL without user information and fragment, found 1",
        ],
    );
}

#[test]
fn a_repeated_name_is_refused_wherever_it_stands() {
    for (text, expected) in [
        (r#"{"sources": [{"name": "a", "name": "b", "path": "/", "secrets": ["S"]}]}"#, "/sources/0/name"),
        (
            r#"{"sources": [{"name": "a", "path": "/", "secrets_by_phone_number": {"1": ["S"], "1": ["T"]}}]}"#,
            "/sources/0/secrets_by_phone_number/1",
        ),
    ] {
        assert_eq!(errors(text), [format!("{expected}: the name is there more than once")]);
    }
}

#[test]
fn null_is_not_the_same_as_left_out() {
    let mut policy = good();
    policy["targets"]["bot"]["sign_with"] = Value::Null;
    assert_eq!(errors(&policy.to_string()).len(), 1);
}

#[test]
fn whole_numbers_may_be_written_as_floats() {
    taken(&with("/dedupe", json!({"window_s": 900.0, "max_keys": 1e3})));
    for wrong in [json!(900.5), json!(-900), json!("900"), json!(1e30), json!(true), json!([])] {
        assert_eq!(errors(&with("/dedupe", json!({"window_s": wrong})).to_string()).len(), 1, "{wrong}");
    }
}

#[test]
fn a_source_may_have_an_empty_table_beside_its_secrets_but_not_instead() {
    taken(&with("/sources/0/secrets_by_phone_number", json!({})));
    let mut policy = with("/sources/0/secrets_by_phone_number", json!({}));
    policy["sources"][0]["secrets"] = json!([]);
    refused(&policy, &["/sources/0: expected at least one secret, in `secrets` or `secrets_by_phone_number`"]);
    policy["sources"][0]["secrets_by_phone_number"] = json!({"1": ["S"]});
    taken(&policy);
}

#[test]
fn paths() {
    for good in ["/", "/a", "/a/", "/a.b/..c/d.%20%2F%", "/a:b;c=d&e", "/webhooks/whatsapp"] {
        taken(&with("/sources/0/path", json!(good)));
    }
    for bad in [
        "", "a", "//", "/a//b", "/a/b//", "/./a", "/..", "/a/../b", "/a/.", "/%61", "/a%2e", "/a\\b", "/a?b", "/a#b",
        "/a b",
    ] {
        assert_eq!(errors(&with("/sources/0/path", json!(bad)).to_string()).len(), 1, "{bad}");
    }
}

#[test]
fn urls() {
    for good in [
        "http://localhost",
        "https://example.org/",
        "HTTP://EXAMPLE.ORG:80/a/b?c=d&e",
        "http://127.0.0.1:3000/hook",
        "http://[::1]:8080/",
        "https://example.org?x",
        "http://service.ns.svc.cluster.local/a%20b",
    ] {
        taken(&with("/targets/bot/url", json!(good)));
    }
    for bad in [
        "",
        "example.org",
        "/hook",
        "//example.org/",
        "ftp://example.org/",
        "http:example.org",
        "http://",
        "http:///path",
        "http://user@example.org/",
        "http://user:pw@example.org/",
        "http://example.org/#top",
        "http://exa mple.org/",
        "http://example.org/a b",
        " http://example.org/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://example.org/\n",
        "http://[::1/",
        "http://exämple.org/",
    ] {
        let found = errors(&with("/targets/bot/url", json!(bad)).to_string());
        assert!(found.len() == 1 && !found[0].contains("pw"), "{bad}: {found:?}");
    }
}

#[test]
fn the_value_of_a_secret_is_never_shown() {
    let policy = with("/sources/0/secrets", json!(["the value of S\n", 1, {"S": "the value of S"}]));
    let mut found = errors(&policy.to_string());
    assert_eq!(found.len(), 3);
    // What could be a name as well, where no name stands.
    for (member, value) in [
        ("secrets", json!("the value")),
        ("secrets_by_phone_number", json!("the value")),
        ("secrets_by_phone_number", json!({"1": "the value"})),
    ] {
        found.extend(errors(&with(&format!("/sources/0/{member}"), value).to_string()));
    }
    assert_eq!(found.len(), 6);
    // What could be a name, where a name stands.
    for value in ["whsec_9f2c6d0b7a4e41d3", "9F2C6D0B7A4E41D3A1B59F2C6D0B7A4E", "KAPSO_SECRET=swordfish"] {
        let pasted = errors(&with("/sources/0/secrets", json!([value])).to_string());
        assert!(pasted[0].starts_with("/sources/0/secrets/0: the secret of this name is missing"), "{pasted:?}");
        assert!(!pasted[0].contains(value), "{pasted:?}");
    }
    let missing = errors(&with("/sources/0/secrets", json!(["KAPSO_SECRET_OF_TENANT_12"])).to_string());
    assert!(missing[0].contains("KAPSO_SECRET_OF_TENANT_12"), "{missing:?}");
    let gate = Gate::compile(&good().to_string(), &SECRETS).unwrap();
    found.push(format!("{gate:?} {SECRETS:?}"));
    assert!(!found.iter().any(|shown| shown.contains("the value")), "{found:?}");
}

#[test]
fn a_long_string_is_cut_in_a_message() {
    let found = errors(&with("/sources/0/scheme", json!("x".repeat(10_000))).to_string());
    assert!(found[0].len() < 200, "{found:?}");
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_says_nothing_of_null() {
    assert!(!schema().to_string().contains("null"));
}
