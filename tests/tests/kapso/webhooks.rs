//! `hookgate webhooks`, with the bodies and paths of the documentation's own examples.

use hookgate_tests::kapso::{Fault, KEY, Kapso};
use hookgate_tests::run;
use serde_json::{Value, json};

use super::{hookgate, with};

pub(super) const URL: &str = "https://api.acme.com/webhooks/whatsapp";
const SECRET: &str = "wh_sec_3kfj9dmfkg8s2";

pub(super) fn webhook(number: Option<&str>) -> Value {
    json!({"url": URL, "secret_key": SECRET, "events": ["whatsapp.message.received"], "phone_number_id": number})
}

// --------------------------------------------------------------------------------------------------------- create

/// "Create webhook" in the reference of the Platform API.
#[tokio::test(flavor = "multi_thread")]
async fn the_documentations_webhook_of_a_number_is_created() {
    let kapso = Kapso::start().await;
    let arguments = [
        "webhooks",
        "create",
        "--phone-number-id",
        "1234567890",
        "--url",
        URL,
        "--event",
        "whatsapp.message.received,whatsapp.message.sent",
        "--secret",
        "SECRET",
        "--active",
        "true",
        "--json",
    ];
    let ran = with(&kapso, &arguments, &[("SECRET", SECRET)]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let [asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), "POST /platform/v1/whatsapp/phone_numbers/1234567890/webhooks");
    assert_eq!(
        asked.body,
        json!({"whatsapp_webhook": {
            "url": "https://api.acme.com/webhooks/whatsapp",
            "secret_key": "wh_sec_3kfj9dmfkg8s2",
            "events": ["whatsapp.message.received", "whatsapp.message.sent"],
            "active": true,
        }})
    );
    assert!(asked.user_agent.starts_with("hookgate/"), "{}", asked.user_agent);
    let [line] = ran.lines().try_into().unwrap();
    assert_eq!((&line["phone_number_id"], &line["secret_key"]), (&json!("1234567890"), &json!("(hidden)")));
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "a secret that was given is not repeated");
}

/// "Create project webhook". The example's second event is in no catalogue, and Kapso refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn the_documentations_webhook_of_a_project_is_created() {
    let kapso = Kapso::start().await;
    let mut create =
        vec!["webhooks", "create", "--url", URL, "--secret", "SECRET", "--event", "whatsapp.config.created"];
    let ran = with(&kapso, &create, &[("SECRET", SECRET)]);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""), "{}", ran.err);
    create.extend(["--event", "whatsapp.config.deleted", "--unknown-events"]);
    let ran = with(&kapso, &create, &[("SECRET", SECRET)]);
    assert!(ran.status == 1 && ran.err.contains(r#"unsupported events: "whatsapp.config.deleted""#), "{}", ran.err);
    let [_, asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), "POST /platform/v1/whatsapp/webhooks");
    assert_eq!(
        asked.body,
        json!({"whatsapp_webhook": {
            "url": "https://api.acme.com/webhooks/whatsapp",
            "secret_key": "wh_sec_3kfj9dmfkg8s2",
            "events": ["whatsapp.config.created", "whatsapp.config.deleted"],
        }})
    );
}

/// "Create a WhatsApp webhook" in the legacy reference; the number is named in the body.
#[tokio::test(flavor = "multi_thread")]
async fn the_legacy_api_is_spoken_by_a_switch() {
    let kapso = Kapso::start().await;
    let arguments = [
        "webhooks",
        "create",
        "--legacy",
        "--whatsapp-config-id",
        "4a5b6c7d",
        "--url",
        URL,
        "--event",
        "whatsapp.message.received",
        "--secret",
        "SECRET",
    ];
    let ran = with(&kapso, &arguments, &[("SECRET", "my-secret-key")]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let [asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), "POST /api/v1/whatsapp_webhooks");
    let body = &asked.body["whatsapp_webhook"];
    assert_eq!((&body["whatsapp_config_id"], &body["secret_key"]), (&json!("4a5b6c7d"), &json!("my-secret-key")));

    let ran = hookgate(&kapso, &["webhooks", "list", "--legacy", "--whatsapp-config-id", "4a5b6c7d"]);
    assert!(ran.status == 0 && ran.out.contains(URL), "{}{}", ran.out, ran.err);
    assert_eq!(kapso.asked()[0].line(), "GET /api/v1/whatsapp_configs/4a5b6c7d/whatsapp_webhooks");
    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--whatsapp-config-id", "1"]).status, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_made_where_none_is_given_and_is_all_that_a_pipe_gets() {
    let kapso = Kapso::start().await;
    let create = ["webhooks", "create", "--phone-number-id", "1", "--url", URL, "--event", "whatsapp.message.received"];
    let secrets = [(); 2].map(|()| {
        let ran = hookgate(&kapso, &create);
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert!(!ran.err.contains(ran.out.trim_end()), "{}", ran.err);
        ran.out
    });
    assert_ne!(secrets[0], secrets[1]);
    for (secret, webhook) in secrets.iter().rev().zip(kapso.webhooks()) {
        assert_eq!(webhook["secret_key"], secret.trim_end());
        assert!(secret.len() > 64 && secret.lines().count() == 1, "{secret}");
    }

    let mut json = create.to_vec();
    json.push("--json");
    let ran = hookgate(&kapso, &json);
    assert_eq!(ran.lines()[0]["secret_key"], kapso.webhooks()[0]["secret_key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_secret_can_go_to_a_new_file_of_ones_own() {
    use std::os::unix::fs::PermissionsExt;
    let kapso = Kapso::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    let mut create = vec!["webhooks", "create", "--phone-number-id", "1", "--url", URL];
    create.extend(["--event", "whatsapp.message.received", "--secret-out", path]);
    let ran = hookgate(&kapso, &create);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert_eq!(kapso.webhooks()[0]["secret_key"], std::fs::read_to_string(&file).unwrap().trim_end());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    kapso.asked();
    assert_eq!(hookgate(&kapso, &create).status, 2, "a file that is there is not written over");
    assert_eq!(kapso.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_secret_stays_where_it_was_put_unless_kapso_surely_does_not_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    let mut create = vec!["webhooks", "create", "--phone-number-id", "1", "--url", URL];
    create.extend(["--event", "whatsapp.message.received", "--secret-out", path]);
    let kapso = Kapso::start().await;
    kapso.fails([Fault::Status(422, "{}".into())]);
    assert_eq!(hookgate(&kapso, &create).status, 1);
    assert!(!file.exists());
    kapso.fails([Fault::Silent(201)]);
    let ran = hookgate(&kapso, &create);
    assert!(ran.status == 1 && ran.err.contains("may have carried it out"), "{}", ran.err);
    assert_eq!(kapso.webhooks()[0]["secret_key"], std::fs::read_to_string(&file).unwrap().trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_told_also_when_nobody_can_say_that_it_is_in_force() {
    let kapso = Kapso::start().await;
    let id = kapso.has_webhook(json!({"url": URL, "phone_number_id": "1", "events": ["whatsapp.message.received"]}));
    kapso.fails([Fault::Pass, Fault::Silent(204)].into_iter().chain((0..4).map(|_| Fault::Status(503, String::new()))));
    let ran = hookgate(&kapso, &["webhooks", "update", &id, "--phone-number-id", "1", "--new-secret"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert_eq!(kapso.webhooks()[0]["secret_key"], ran.out.trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_set_is_sent() {
    let kapso = Kapso::start().await;
    let mut create = vec!["webhooks", "create", "--phone-number-id", "1", "--url", URL, "--secret", "SECRET"];
    create.extend(["--event", "whatsapp.message.received", "--event", "whatsapp.conversation.inactive"]);
    create.extend(["--header", "X-Webhook-Source=kapso", "--header-from", "X-Token=TOKEN"]);
    create.extend(["--buffer-window", "60", "--buffer-size", "100", "--inactivity-minutes", "1440"]);
    create.extend(["--payload-version", "v1", "--active", "false"]);
    let ran = with(&kapso, &create, &[("SECRET", SECRET), ("TOKEN", "t0ken")]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(!ran.err.contains("t0ken") && !ran.out.contains("t0ken"));
    assert_eq!(
        kapso.asked()[0].body["whatsapp_webhook"],
        json!({
            "url": URL,
            "secret_key": SECRET,
            "events": ["whatsapp.message.received", "whatsapp.conversation.inactive"],
            "active": false,
            "headers": {"X-Webhook-Source": "kapso", "X-Token": "t0ken"},
            "buffer_enabled": true,
            "buffer_window_seconds": 60,
            "max_buffer_size": 100,
            "buffer_events": ["whatsapp.message.received"],
            "inactivity_minutes": 1440,
            "payload_version": "v1",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meta_forward_belongs_to_a_number_and_names_no_events() {
    let kapso = Kapso::start().await;
    let create = ["webhooks", "create", "--kind", "meta", "--url", URL, "--secret", "SECRET"];
    let ran = with(&kapso, &create, &[("SECRET", SECRET)]);
    assert!(ran.status == 2 && ran.err.contains("belongs to a phone number"), "{}", ran.err);
    let mut number = create.to_vec();
    number.extend(["--phone-number-id", "1"]);
    let ran = with(&kapso, &number, &[("SECRET", SECRET)]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let [asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.body, json!({"whatsapp_webhook": {"url": URL, "kind": "meta", "secret_key": SECRET}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kapso_would_refuse_is_never_sent() {
    let kapso = Kapso::start().await;
    let refused = |more: &[&str], why: &str| {
        let mut create = vec!["webhooks", "create", "--phone-number-id", "1"];
        create.extend(more);
        let ran = hookgate(&kapso, &create);
        assert!(ran.status == 2 && ran.err.contains(why) && ran.out.is_empty(), "{more:?} {}{}", ran.out, ran.err);
    };
    let received = "whatsapp.message.received";
    refused(&["--url", URL, "--event", "whatsapp.mesage.recieved"], "Did you mean whatsapp.message.received?");
    refused(&["--url", URL, "--event", "invoice.paid"], "hookgate webhooks events");
    refused(&["--url", URL, "--event", "project.event"], "webhooks of the project");
    refused(&["--url", URL], "at least one event");
    refused(&["--url", "http://api.acme.com/x", "--event", received], "HTTPS");
    refused(&["--event", received], "needs a URL");
    refused(&["--url", URL, "--event", received, "--buffer-window", "61"], "1 to 60");
    refused(&["--url", URL, "--event", received, "--buffer-size", "0"], "1 to 100");
    refused(&["--url", URL, "--event", received, "--buffer-event", "whatsapp.message.sent"], "cannot be buffered");
    refused(&["--url", URL, "--event", received, "--inactivity-minutes", "1441"], "1 to 1440");
    refused(&["--url", URL, "--event", received, "--secret", "NOWHERE"], "no value for --secret");
    let pasted = hookgate(
        &kapso,
        &["webhooks", "create", "--project", "--url", URL, "--event", "project.event", "--secret", "K=hush"],
    );
    assert!(pasted.status == 2 && !pasted.err.contains("hush"), "{}", pasted.err);
    refused(&["--url", URL, "--kind", "meta", "--buffer", "true"], "cannot buffer");
    assert_eq!(kapso.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_younger_than_the_program_is_left_to_kapso() {
    let kapso = Kapso::start().await;
    let ran = hookgate(
        &kapso,
        &[
            "webhooks",
            "create",
            "--phone-number-id",
            "1",
            "--url",
            URL,
            "--event",
            "whatsapp.call.missed",
            "--unknown-events",
        ],
    );
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains(r#"Events contains unsupported events: "whatsapp.call.missed""#), "{}", ran.err);
    assert!(ran.err.contains("422") && ran.err.contains("nothing was saved"), "{}", ran.err);
}

// --------------------------------------------------------------------------------------------------- list and show

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_to_its_end_also_where_its_pages_are_not_counted() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    kapso.with_uncounted_pages();
    for number in 0..5 {
        kapso.has_webhook(json!({"url": format!("https://api.acme.com/{number}"), "phone_number_id": "1"}));
    }
    let list = ["webhooks", "list", "--json"];
    let ran = hookgate(&kapso, &list);
    assert_eq!((ran.status, ran.lines().len()), (0, 5), "{}", ran.err);
    assert_eq!(kapso.asked().len(), 4);

    // There are no pages: whichever is asked for, the answer is the whole list, as it is by then.
    let whole = json!({"data": kapso.webhooks()}).to_string();
    let later = whole.replace("2025-07-14", "2025-07-15");
    kapso.fails([whole, later].map(|list| Fault::Status(200, list)));
    let ran = hookgate(&kapso, &list);
    assert_eq!((ran.status, ran.lines().len()), (0, 5), "{}", ran.err);
    assert_eq!(kapso.asked().len(), 2);
}

/// Else `sync --prune` would delete it as a second one for the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_moves_to_the_next_page_meanwhile_is_listed_once() {
    let kapso = Kapso::start().await;
    let page = |ids: [&str; 2]| {
        let data = ids.map(|id| json!({"id": id, "url": "https://api.acme.com/"}));
        Fault::Status(200, json!({"data": data, "meta": {"total_pages": 2}}).to_string())
    };
    kapso.fails([page(["3", "2"]), page(["2", "1"])]);
    let ran = hookgate(&kapso, &["webhooks", "list", "--json"]);
    let ids: Vec<_> = ran.lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!((ran.status, ids), (0, vec![json!("3"), json!("2"), json!("1")]), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_all_pages_and_show_no_secret_unless_asked() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(2);
    for number in 0..5 {
        kapso.has_webhook(json!({
            "url": format!("https://api.acme.com/{number}"),
            "secret_key": SECRET,
            "headers": {"X-Token": "t0ken"},
            "active": number != 3,
            "phone_number_id": if number == 4 { json!("1234567890") } else { Value::Null },
            "added_next_year": {"deep": [1, 2.5]},
        }));
    }
    let ran = hookgate(&kapso, &["webhooks", "list", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let lines = ran.lines();
    let urls: Vec<_> = lines.iter().map(|line| line["url"].as_str().unwrap()).collect();
    assert_eq!(urls, [4, 3, 2, 1, 0].map(|number| format!("https://api.acme.com/{number}")));
    assert_eq!(lines[0]["added_next_year"], json!({"deep": [1, 2.5]}));
    assert_eq!((&lines[0]["secret_key"], &lines[0]["headers"]["X-Token"]), (&json!("(hidden)"), &json!("(hidden)")));
    let asked = kapso.asked();
    assert_eq!(
        asked.iter().map(|asked| asked.query.as_str()).collect::<Vec<_>>(),
        ["page=1&per_page=100", "page=2&per_page=100", "page=3&per_page=100"]
    );

    let table = hookgate(&kapso, &["webhooks", "list"]);
    assert_eq!(table.out.lines().count(), 6, "{}", table.out);
    assert!(table.out.contains("paused") && table.out.contains("1234567890"), "{}", table.out);
    assert!(!table.out.contains(SECRET) && !table.out.contains("t0ken"), "{}", table.out);

    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--json", "--paused"]).lines().len(), 1);
    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--json", "--active"]).lines().len(), 4);
    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--json", "--url-contains", "/2"]).lines().len(), 1);
    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--json", "--kind", "meta"]).lines().len(), 0);
    assert_eq!(hookgate(&kapso, &["webhooks", "list", "--json", "--phone-number-id", "1234567890"]).lines().len(), 1);
    let asked = hookgate(&kapso, &["webhooks", "list", "--json", "--show-secrets"]).lines();
    assert_eq!((&asked[0]["secret_key"], &asked[0]["headers"]["X-Token"]), (&json!(SECRET), &json!("t0ken")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_shown_with_all_its_fields() {
    let kapso = Kapso::start().await;
    let id = kapso.has_webhook(webhook(Some("1")));
    let ran = hookgate(&kapso, &["webhooks", "show", &id]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("inactivity_minutes") && ran.out.contains("(hidden)") && !ran.out.contains(SECRET));
    assert!(hookgate(&kapso, &["webhooks", "show", &id, "--show-secrets"]).out.contains(SECRET));
}

// ---------------------------------------------------------------------------------------------------------- update

/// "Update webhook" in the reference of the Platform API.
#[tokio::test(flavor = "multi_thread")]
async fn the_documentations_change_is_made() {
    let kapso = Kapso::start().await;
    let id = kapso.has_webhook(webhook(Some("1234567890")));
    let arguments = [
        "webhooks",
        "update",
        &id,
        "--phone-number-id",
        "1234567890",
        "--buffer-window",
        "5",
        "--buffer-size",
        "20",
        "--json",
    ];
    let ran = hookgate(&kapso, &arguments);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let [_, asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), format!("PATCH /platform/v1/whatsapp/phone_numbers/1234567890/webhooks/{id}"));
    assert_eq!(
        asked.body,
        json!({"whatsapp_webhook": {
            "buffer_enabled": true,
            "buffer_window_seconds": 5,
            "max_buffer_size": 20,
            "buffer_events": ["whatsapp.message.received"],
        }})
    );
    let line = &ran.lines()[0];
    assert_eq!((&line["max_buffer_size"], &line["secret_key"]), (&json!(20), &json!("(hidden)")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_answered_without_a_body_is_a_change() {
    let kapso = Kapso::start().await;
    kapso.with_silent_changes();
    let id = kapso.has_webhook(webhook(None));
    let ran = hookgate(&kapso, &["webhooks", "update", &id, "--url", "https://api.acme.com/new", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.lines()[0]["url"], "https://api.acme.com/new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_shown_once_and_headers_can_go() {
    let kapso = Kapso::start().await;
    let id = kapso.has_webhook(webhook(None));
    let ran = hookgate(&kapso, &["webhooks", "update", &id, "--new-secret", "--no-headers"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let registered = &kapso.webhooks()[0];
    assert_eq!(registered["secret_key"], ran.out.trim_end());
    assert_ne!(registered["secret_key"], SECRET);
    assert_eq!(registered["headers"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_checked_against_what_the_webhook_is() {
    let kapso = Kapso::start().await;
    let meta = kapso.has_webhook(json!({"url": URL, "kind": "meta", "secret_key": SECRET, "phone_number_id": "1"}));
    let number = kapso.has_webhook(webhook(Some("1")));
    for (id, more, why) in [
        (&meta, ["--buffer", "true"], "cannot buffer"),
        (&meta, ["--event", "whatsapp.message.sent"], "takes no events"),
        (&number, ["--event", "whatsapp.phone_number.created"], "of the project"),
    ] {
        let ran = hookgate(&kapso, &["webhooks", "update", id, more[0], more[1]]);
        assert!(ran.status == 2 && ran.err.contains(why), "{}", ran.err);
    }
    let ran = hookgate(&kapso, &["webhooks", "update", &number]);
    assert!(ran.status == 2 && ran.err.contains("nothing to change"), "{}", ran.err);
    assert!(kapso.asked().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn the_events_are_listed_without_calling_anybody() {
    let ran = run(&["webhooks", "events", "--json"], b"", &[]);
    let lines = ran.lines();
    assert_eq!((ran.status, lines.len()), (0, 28));
    assert_eq!(lines[0]["name"], "whatsapp.message.received");
    assert_eq!((&lines[0]["bufferable"], &lines[0]["scope"]), (&json!(true), &json!("phone_number")));
    assert!(run(&["webhooks", "events"], b"", &[]).out.contains("kapso_agent.run.cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_may_stand_in_a_file() {
    let kapso = Kapso::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let url = kapso.url();
    let variables = [("KAPSO_API_KEY_FILE", file.to_str().unwrap())];
    let ran = run(&["webhooks", "list", "--api-url", &url], b"", &variables);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = run(&["webhooks", "list", "--api-url", &url], b"", &[]);
    assert!(ran.status == 2 && ran.err.contains("KAPSO_API_KEY_FILE"), "{}", ran.err);
}
