//! `hookgate webhooks sync`: what a policy needs, against what is registered.

use std::fs;

use hookgate_tests::Ran;
use hookgate_tests::kapso::{Fault, Kapso};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::with;

const BASE: &str = "https://hooks.example.com";
const SECRETS: [(&str, &str); 4] =
    [("NEW", "new-s3cret"), ("OLD", "old-s3cret"), ("TENANT", "tenant-s3cret"), ("META", "meta-s3cret")];

const POLICY: &str = r#"
sources:
  - {name: whatsapp, path: /webhooks/whatsapp, secrets: [NEW, OLD]}
  - name: tenants
    path: /webhooks/tenants
    secrets_by_phone_number: {"222": [TENANT]}
  - {name: meta, path: /webhooks/meta, scheme: meta, secrets: [META]}
rules:
  - {name: tests, when: {test: true}, drop: true}
  - {name: inbound, when: {event: whatsapp.message.received}, to: [bot]}
  - {name: failures, when: {source: whatsapp, status: failed}, to: [bot]}
  - {name: lifecycle, when: {source: whatsapp, event: "whatsapp.phone_number.*"}, to: [bot]}
targets:
  bot: {url: "http://127.0.0.1:3000/hook"}
"#;

/// A folder with the policy in it.
struct Policy {
    folder: TempDir,
}

impl Policy {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hookgate.yaml"), text).unwrap();
        Policy { folder }
    }

    fn sync(&self, kapso: &Kapso, more: &[&str]) -> Ran {
        self.sync_with(kapso, more, &SECRETS)
    }

    /// No secret is shown, whatever happens.
    fn sync_with(&self, kapso: &Kapso, more: &[&str], secrets: &[(&str, &str)]) -> Ran {
        let file = self.folder.path().join("hookgate.yaml");
        let mut arguments = vec!["webhooks", "sync", "--policy", file.to_str().unwrap(), "--url", BASE];
        arguments.extend(more);
        let ran = with(kapso, &arguments, secrets);
        assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{}{}", ran.out, ran.err);
        ran
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_send_on_stays_registered() {
    let kapso = Kapso::start().await;
    let url = format!("{BASE}/a");
    kapso.has_webhook(json!({"url": url, "phone_number_id": "111", "secret_key": "new-s3cret",
        "events": ["whatsapp.message.received", "whatsapp.message.edited"]}));
    kapso.has_webhook(json!({"url": url, "phone_number_id": null, "secret_key": "new-s3cret",
        "events": ["whatsapp.phone_number.created", "project.event"]}));
    let policy = Policy::new(
        r#"
sources: [{name: a, path: /a, secrets: [NEW]}]
rules:
  - {name: not-them, when: {phone_number_id: "999"}, drop: true}
  - {name: messages, when: {event: "whatsapp.message.*"}, to: [bot]}
  - {name: project, when: {kind: project}, to: [bot]}
targets: {bot: {url: "http://127.0.0.1:3000/hook"}}
"#,
    );
    let ran = policy.sync(&kapso, &["--dry-run"]);
    for lost in ["- whatsapp.message.edited", "- project.event", "999"] {
        assert!(!ran.out.contains(lost) && !ran.err.contains(lost), "{lost}:\n{}{}", ran.out, ran.err);
    }
    assert!(ran.out.contains("+ whatsapp.message.read"), "{}{}", ran.out, ran.err);
}

fn changes(kapso: &Kapso) -> Vec<String> {
    kapso.asked().iter().filter(|asked| asked.method != "GET").map(|asked| asked.line()).collect()
}

const CHOICES: [&str; 4] = ["--number", "whatsapp=111", "--number", "meta=111"];

fn chosen(more: &[&'static str]) -> Vec<&'static str> {
    [&CHOICES, more].concat()
}

fn sorted(events: &Value) -> Vec<&str> {
    let mut events: Vec<_> = events.as_array().unwrap().iter().map(|event| event.as_str().unwrap()).collect();
    events.sort_unstable();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_project_gets_what_the_policy_needs_and_then_nothing_is_left_to_do() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(POLICY);
    let ran = policy.sync(&kapso, &chosen(&["--yes"]));
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(
        changes(&kapso),
        [
            "POST /platform/v1/whatsapp/phone_numbers/111/webhooks",
            "POST /platform/v1/whatsapp/webhooks",
            "POST /platform/v1/whatsapp/phone_numbers/222/webhooks",
            "POST /platform/v1/whatsapp/phone_numbers/111/webhooks",
        ]
    );
    let [meta, tenant, project, number] = kapso.webhooks().try_into().unwrap();
    assert_eq!(number["url"], "https://hooks.example.com/webhooks/whatsapp");
    assert_eq!(sorted(&number["events"]), ["whatsapp.message.failed", "whatsapp.message.received"]);
    assert_eq!((&number["secret_key"], &number["phone_number_id"]), (&json!("new-s3cret"), &json!("111")));
    assert_eq!((&project["phone_number_id"], &project["secret_key"]), (&Value::Null, &json!("new-s3cret")));
    assert_eq!(sorted(&project["events"]).len(), 5);
    assert_eq!(tenant["url"], "https://hooks.example.com/webhooks/tenants");
    assert_eq!(
        (sorted(&tenant["events"]), &tenant["secret_key"]),
        (vec!["whatsapp.message.received"], &json!("tenant-s3cret"))
    );
    assert_eq!(
        (&meta["kind"], &meta["events"], &meta["secret_key"]),
        (&json!("meta"), &json!([]), &json!("meta-s3cret"))
    );

    // What is registered tells the numbers from now on.
    let again = policy.sync(&kapso, &[]);
    assert_eq!(again.status, 0, "{}{}", again.out, again.err);
    assert!(again.err.contains("everything is registered"), "{}", again.err);
    assert!(changes(&kapso).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_yes_the_plan_is_all() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(POLICY);
    let ran = policy.sync(&kapso, &CHOICES);
    assert_eq!(ran.status, 1);
    for part in [
        "source whatsapp at https://hooks.example.com/webhooks/whatsapp",
        "+ create for the number 111: whatsapp.message.failed, whatsapp.message.received; signed with NEW",
        "+ create for the project",
        "+ create for the number 111: all that Meta sends; signed with META",
    ] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    assert!(ran.err.contains("--yes"), "{}", ran.err);
    let dry = policy.sync(&kapso, &chosen(&["--dry-run"]));
    assert_eq!((dry.status, dry.out.as_str()), (1, ran.out.as_str()));
    assert!(changes(&kapso).is_empty());

    let lines = policy.sync(&kapso, &chosen(&["--dry-run", "--json"])).lines();
    let of = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("action"), vec![json!("create"); 4]);
    assert_eq!(of("phone_number_id"), [json!("111"), Value::Null, json!("222"), json!("111")]);
    assert_eq!(of("secret"), ["NEW", "NEW", "TENANT", "META"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_mended_and_what_is_unknown_stays() {
    let kapso = Kapso::start().await;
    kapso.with_silent_changes();
    let url = "https://hooks.example.com/webhooks/tenants";
    let has = |more: Value| {
        let mut webhook = json!({
            "url": url,
            "phone_number_id": "222",
            "secret_key": "tenant-s3cret",
            "events": ["whatsapp.message.received"],
        });
        webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        kapso.has_webhook(webhook)
    };
    let tenant = has(json!({"active": false, "secret_key": "older-s3cret", "events": ["whatsapp.message.read"]}));
    let old = has(json!({"url": "https://hooks.example.com/old"}));
    let elsewhere = has(json!({"url": "https://api.acme.com/webhooks"}));
    let policy = Policy::new(POLICY);
    let only = ["--source", "tenants"];

    let ran = policy.sync(&kapso, &[&only[..], &["--dry-run"]].concat());
    for part in [
        "+ whatsapp.message.received, - whatsapp.message.read, sign with TENANT (it has another secret), resume",
        "others behind https://hooks.example.com",
        "no source has this path; --prune deletes it",
    ] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    assert!(!ran.out.contains("acme"), "{}", ran.out);
    assert!(changes(&kapso).is_empty());

    let ran = policy.sync(&kapso, &[&only[..], &["--yes"]].concat());
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let asked = kapso.asked();
    let change = asked.iter().find(|asked| asked.method == "PATCH").unwrap();
    assert_eq!(change.line(), format!("PATCH /platform/v1/whatsapp/phone_numbers/222/webhooks/{tenant}"));
    assert_eq!(
        change.body,
        json!({"whatsapp_webhook": {"events": ["whatsapp.message.received"], "secret_key": "tenant-s3cret", "active": true}})
    );
    assert_eq!(kapso.webhooks().len(), 3);

    let ran = policy.sync(&kapso, &[&only[..], &["--prune", "--yes"]].concat());
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(changes(&kapso), [format!("DELETE /platform/v1/whatsapp/phone_numbers/222/webhooks/{old}")]);
    let left: Vec<_> = kapso.webhooks().iter().map(|webhook| webhook["id"].clone()).collect();
    assert_eq!(left, [elsewhere, tenant]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_open_is_asked_for_before_anything_is_done() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(POLICY);
    let says = |more: &[&str], what: &str| {
        let ran = policy.sync(&kapso, &[more, &["--yes"]].concat());
        assert!(ran.status == 2 && ran.err.contains(what) && ran.out.is_empty(), "{what}\n{}{}", ran.out, ran.err);
    };
    says(&[], "--number whatsapp=ID");
    says(&[], "--number meta=ID");
    says(&["--number", "nobody=1"], "no source \"nobody\"; it has whatsapp, tenants, meta");
    says(
        &["--source", "tenants", "--event", "tenants=whatsapp.message.recieved"],
        "Did you mean whatsapp.message.received?",
    );
    let ran = policy.sync_with(&kapso, &["--source", "tenants", "--yes"], &[]);
    assert!(ran.status == 2 && ran.err.contains("no value for TENANT"), "{}", ran.err);
    let ran = policy.sync_with(&kapso, &["--source", "tenants", "--dry-run"], &[]);
    assert!(ran.status == 1 && ran.err.contains("not compared"), "{}", ran.err);
    let wrong = Policy::new("sources: [{name: a, path: nowhere}]").sync(&kapso, &["--yes"]);
    assert!(wrong.status == 2 && wrong.err.contains("/sources/0/path"), "{}", wrong.err);
    assert!(changes(&kapso).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_not_called_right() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(POLICY);
    assert_eq!(policy.sync(&kapso, &["--source", "tenants", "--yes"]).status, 0);
    let look = ["--source", "tenants", "--dry-run"];
    let ran = policy.sync_with(&kapso, &look, &[]);
    assert!(ran.status == 1 && ran.err.contains("not compared"), "{}", ran.err);
    assert!(!ran.err.contains("everything is registered"), "{}", ran.err);
    assert_eq!(policy.sync(&kapso, &look).status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_rules_name_and_nobody_knows_is_said_and_registered_when_asked_for() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(
        r#"
sources: [{name: a, path: /a, secrets: [NEW]}]
rules:
  - {name: messages, when: {event: [whatsapp.message.received, whatsapp.message.pinned]}, to: [bot]}
targets: {bot: {url: "http://127.0.0.1:3000/hook"}}
"#,
    );
    let said = "the event whatsapp.message.pinned is not registered";
    let ran = policy.sync(&kapso, &["--number", "a=111", "--yes"]);
    assert!(ran.status == 1 && ran.err.contains("created") && ran.err.contains(said), "{}{}", ran.out, ran.err);
    let again = policy.sync(&kapso, &["--dry-run"]);
    assert!(again.status == 1 && again.err.contains(said), "{}{}", again.out, again.err);
    assert!(again.err.contains("everything else is registered"), "{}", again.err);

    let asked = ["--dry-run", "--event", "a=whatsapp.message.pinned"];
    assert_eq!(policy.sync(&kapso, &asked).status, 2);
    let ran = policy.sync(&kapso, &[&asked[..], &["--unknown-events"]].concat());
    assert!(ran.status == 1 && ran.out.contains("+ whatsapp.message.pinned"), "{}{}", ran.out, ran.err);
    assert!(!ran.err.contains(said), "{}", ran.err);
    // The project's webhook would be refused with it.
    let project = ["--unknown-events", "--project", "a", "--event", "a=project.event"];
    let ran = policy.sync(&kapso, &[&asked[..], &project].concat());
    assert!(ran.out.contains("project.event"), "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.matches("whatsapp.message.pinned").count(), 1, "{}{}", ran.out, ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_the_projects_events_are_is_asked_where_several_sources_could_have_them() {
    let kapso = Kapso::start().await;
    let policy =
        Policy::new(&POLICY.replace(r#"{source: whatsapp, event: "whatsapp.phone_number.*"}"#, "{kind: project}"));
    let ran = policy.sync(&kapso, &chosen(&["--yes"]));
    assert!(ran.status == 2 && ran.err.contains("--project with one of whatsapp, tenants"), "{}", ran.err);
    assert!(changes(&kapso).is_empty());
    assert_eq!(policy.sync(&kapso, &chosen(&["--yes", "--project", "whatsapp"])).status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_the_way_is_said_with_what_was_done_before() {
    let kapso = Kapso::start().await;
    let policy = Policy::new(POLICY);
    let url = "https://hooks.example.com/webhooks/tenants";
    kapso.has_webhook(json!({"url": url, "phone_number_id": "222", "secret_key": "x-s3cret", "events": ["whatsapp.message.received"]}));
    // The list, and the first that is created.
    kapso.fails([Fault::Pass, Fault::Pass, Fault::Status(422, r#"{"error":"Url is not allowed"}"#.into())]);
    let ran = policy.sync(&kapso, &chosen(&["--yes"]));
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("created 9e8d") && ran.err.contains("Url is not allowed"), "{}", ran.err);
    assert_eq!(changes(&kapso).len(), 2);
    let again = policy.sync(&kapso, &chosen(&["--yes"]));
    assert_eq!(again.status, 0, "{}", again.err);
    assert_eq!(kapso.webhooks().len(), 4, "what was done before is not done again");
}
