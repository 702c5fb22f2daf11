//! What a policy makes of deliveries, and what is wrong with it.

use std::fs;

use hookgate_tests::{hmac_sha256, run};
use serde_json::{Value, json};

use super::{SECRET, hookgate, received};
const SPLIT: [&str; 6] = [
    "--policy",
    "policies/split.toml",
    "--secret",
    "ARCHIVE_SECRET=s",
    "--secret",
    "KAPSO_WEBHOOK_SECRET=whsec_9f2c6d0b7a4e41d3a1b5",
];

#[test]
fn a_batch_is_split_by_the_policy() {
    for verb in ["route", "decide"] {
        let mut arguments = vec![verb, "--json", "deliveries/batch-mixed-types-pretty.json"];
        arguments.extend(SPLIT);
        let ran = hookgate(&arguments, b"");
        let line = &ran.lines()[0];
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert_eq!(line["targets"], json!({"bot": [0], "archive": [1]}));
        let rules: Vec<_> = line["events"].as_array().unwrap().iter().map(|event| &event["rule"]).collect();
        assert_eq!(rules, [&Value::Null, &json!("pictures"), &json!("reactions")]);
        if verb == "decide" {
            let messages = line["messages"].as_array().unwrap();
            assert_eq!(messages.iter().map(|message| &message["target"]).collect::<Vec<_>>(), ["bot", "archive"]);
            let archive = &messages[1];
            let body = archive["body"]["text"].as_str().unwrap();
            assert_eq!(archive["set_headers"]["x-webhook-signature"], hmac_sha256(b"s", body.as_bytes()));
            let sent: Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&sent["data"][0]["message"]["id"], &sent["batch_info"]["size"]),
                (&json!("wamid.batch2"), &json!(1))
            );
        }
    }
}

#[test]
fn nobody_is_told_that_a_forgery_is_answered_200() {
    let delivery = "deliveries/received-text.json";
    for (secret, counted) in [("K=wrong", false), ("K=whsec_9f2c6d0b7a4e41d3a1b5", true)] {
        let ran = hookgate(&["decide", "--json", delivery, "--secret", secret], b"");
        assert_eq!(ran.lines()[0]["status"], if counted { 200 } else { 401 });
        let ran = hookgate(&["route", delivery, "--secret", secret], b"");
        assert_eq!((ran.status, ran.out.contains("answered 200")), (u8::from(!counted).into(), counted), "{}", ran.out);
    }
}

#[test]
fn people_are_told_why() {
    let mut arguments = vec!["decide", "deliveries/batch-mixed-types-pretty.json"];
    arguments.extend(SPLIT);
    let ran = hookgate(&arguments, b"");
    for part in [
        "genuine by the secret KAPSO_WEBHOOK_SECRET of the source whatsapp",
        "a batch of 3",
        r#"rule pictures when {"message_type":["image","video"]}: to archive"#,
        "rule reactions when",
        ": dropped",
        "no rule matches, so otherwise decides: to bot",
        "archive (http://127.0.0.1:3001/hook) gets event 1: a new body",
    ] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    let ran = hookgate(&["verify", "deliveries/received-text.json", "--secret", "K=another"], b"");
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("rejected, wrong-signature") && ran.out.contains("Tried: K."), "{}", ran.out);
}

#[test]
fn only_secrets_of_the_source_are_said_to_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    let text = "
sources:
- {name: a, path: /a, secrets: [NEW, OLD]}
- {name: b, path: /b, secrets: [REST], secrets_by_phone_number: {'1': [TENANT]}}
otherwise: {to: [app]}
targets: {app: {url: 'http://127.0.0.1:3000/hook'}}
";
    fs::write(&policy, text).unwrap();
    let secrets = [("NEW", "1"), ("OLD", "2"), ("REST", "3"), ("TENANT", "4")];
    let tried = [("/a", "Tried: NEW, OLD. "), ("/b", "Tried: those of the body's phone number, or REST. ")];
    for (path, tried) in tried {
        for verb in ["verify", "decide"] {
            let ran =
                run(&[verb, "--policy", policy.to_str().unwrap(), "--path", path], received().as_bytes(), &secrets);
            assert!(ran.status == 1 && ran.out.contains(tried), "{verb} {path}: {}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn a_browser_back_from_a_setup_link_is_shown_as_the_hint_that_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    let text = "
sources: [{name: whatsapp, path: /hook, secrets: [K]}]
setup_links:
- {name: onboarding, success_path: /connected, failure_path: /not-connected, page: 'https://app.example/done'}
- {name: portal, success_path: /ok, failure_path: /nok, to: app}
otherwise: {to: [app]}
targets: {app: {url: 'http://127.0.0.1:3000/hook'}}
";
    fs::write(&policy, text).unwrap();
    let link = "setup_link_id=7f8a9b1c-2d3e-4f5a-6b7c-8d9e0f1a2b3c";
    let ask = |path: &str, more: &[&str]| {
        let arguments = [&["decide", "--secret", "K=1", "-p", policy.to_str().unwrap()], more].concat();
        hookgate(&arguments, format!("GET {path}{link} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    };
    let completed = "/connected?status=completed&phone_number_id=123&display_phone_number=%2B15551234567&";
    let ran = ask(completed, &["--json"]);
    let redirect = &ran.lines()[0]["redirect"];
    assert_eq!((ran.status, &redirect["signed"], &redirect["outcome"]), (0, &json!(false), &json!("completed")));
    assert_eq!((&redirect["phone_number_id"], &redirect["error_code"]), (&json!("123"), &Value::Null));
    assert!(redirect["location"].as_str().unwrap().starts_with("https://app.example/done?"), "{redirect}");
    assert!(ask(completed, &[]).out.contains("never proof"));

    let failed = ask("/nok?error_code=link_expired&", &[]);
    assert_eq!(failed.status, 0, "{}", failed.err);
    for part in ["the setup link portal, unsigned", "error_code link_expired", "app (http://127.0.0.1:3000/hook) gets"]
    {
        assert!(failed.out.contains(part), "{part}\n{}", failed.out);
    }

    let odd = ask("/ok?status=completed&display_phone_number=%2B1&", &[]);
    assert_eq!(odd.status, 1, "{}", odd.out);
    assert!(odd.out.contains("bad-redirect") && odd.out.contains("+15551234567"), "{}", odd.out);
}

#[test]
fn a_source_is_chosen_where_there_are_several() {
    let policy = "policies/example.json";
    let secrets =
        ["KAPSO_SECRET", "KAPSO_SECRET_OLD", "TENANT_A", "META_APP_SECRET", "META_VERIFY_TOKEN", "BOT_SECRET"];
    let secrets: Vec<_> =
        secrets.into_iter().map(|name| (name, if name == "TENANT_A" { SECRET } else { "x" })).collect();
    let verify = |more: &[&str]| {
        let mut arguments = vec!["verify", "--json", "--policy", policy, "deliveries/received-text.json"];
        arguments.extend(more);
        run(&arguments, b"", &secrets)
    };
    let ran = verify(&[]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("--source with one of whatsapp, tenants, meta"), "{}", ran.err);
    assert_eq!(verify(&["--source", "none"]).status, 2);
    for more in [["--source", "tenants"], ["--path", "/webhooks/tenants"]] {
        let ran = verify(&more);
        let line = &ran.lines()[0];
        assert_eq!((ran.status, &line["source"], &line["secret"]), (0, &json!("tenants"), &json!("TENANT_A")));
    }
    assert_eq!(verify(&["--source", "whatsapp"]).lines()[0]["rejection"], "wrong-signature");
    assert_eq!(verify(&["--source", "meta"]).lines()[0]["rejection"], "missing-signature");
    assert_eq!(verify(&["--path", "/elsewhere"]).lines()[0]["rejection"], "unknown-source");
}

#[test]
fn check_says_everything_that_is_wrong_and_where() {
    let ran = hookgate(&["check", "--policy", "policies/wrong.yaml"], b"");
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    for place in [
        "policies/wrong.yaml:4: /sources/0/path: ",
        "policies/wrong.yaml:5: /sources/0/scheme: ",
        "policies/wrong.yaml:10: /rules/0/to/0: ",
        "policies/wrong.yaml:14: /targets/bot/timeout: ",
    ] {
        assert!(ran.err.contains(place), "{place}\n{}", ran.err);
    }
}

#[test]
fn check_doubts_an_event_that_is_nearly_one_of_kapsos() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    let text = "
sources: [{name: whatsapp, path: /hook, secrets: [K]}]
rules:
- {name: a, when: {event: [whatsapp.message.recieved, whatsapp.message.sent, invoice.paid]}, to: [app]}
- {name: b, when: {event: whatsapp.*}, unless: {event: whatsapp.message.raed}, to: [app]}
targets: {app: {url: 'http://127.0.0.1:3000/hook'}}
";
    fs::write(&policy, text).unwrap();
    let ran = hookgate(&["check", "--policy", policy.to_str().unwrap()], b"");
    let notes: Vec<_> = ran.out.lines().filter(|line| line.starts_with("  note ")).collect();
    assert_eq!((ran.status, notes.len()), (0, 2), "{}", ran.out);
    assert!(
        notes[0].contains("/rules/0/when/event") && notes[0].contains("\"whatsapp.message.received\""),
        "{notes:?}"
    );
    assert!(notes[1].contains("/rules/1/unless/event") && notes[1].contains("\"whatsapp.message.read\""), "{notes:?}");
}

#[test]
fn check_says_what_a_policy_holds() {
    let ran = hookgate(&["check", "--policy", "policies/split.toml"], b"");
    assert_eq!(ran.status, 0, "{}", ran.err);
    for part in [
        "source whatsapp at /webhooks/whatsapp",
        "2 rules",
        "target archive",
        "secret ARCHIVE_SECRET has no value here",
    ] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    assert_eq!(hookgate(&["check", "--policy", "policies/split.toml", "--with-secrets"], b"").status, 2);
    for file in ["policies/there-is-none.json", "Cargo.lock"] {
        assert_eq!(hookgate(&["check", "--policy", file], b"").status, 2);
    }
}
