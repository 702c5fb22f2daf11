//! `hookgate webhooks delete`, `test` and `resume`.

use hookgate_tests::kapso::{Fault, Kapso};
use serde_json::json;

use super::hookgate;
use super::webhooks::{URL, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_without_a_yes() {
    let kapso = Kapso::start().await;
    let ids = [kapso.has_webhook(webhook(None)), kapso.has_webhook(webhook(Some("1")))];
    let ran = hookgate(&kapso, &["webhooks", "delete", &ids[0]]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("--yes") && ran.err.contains(URL), "{}", ran.err);
    assert_eq!(kapso.webhooks().len(), 2);

    let ran = hookgate(&kapso, &["webhooks", "delete", &ids[0], &ids[1], "--yes"]);
    assert_eq!((ran.status, kapso.webhooks().len()), (0, 0), "{}", ran.err);
    let deleted: Vec<_> =
        kapso.asked().iter().filter(|asked| asked.method == "DELETE").map(|asked| asked.line()).collect();
    assert_eq!(deleted, ids.map(|id| format!("DELETE /platform/v1/whatsapp/webhooks/{id}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_to_be_deleted_is_shown() {
    let kapso = Kapso::start().await;
    let ids: Vec<String> = (0..40).map(|_| kapso.has_webhook(webhook(None))).collect();
    let mut arguments = vec!["webhooks", "delete"];
    arguments.extend(ids.iter().map(String::as_str));
    let ran = hookgate(&kapso, &arguments);
    assert_eq!((ran.status, kapso.webhooks().len()), (1, 40));
    assert!(ran.err.contains("--yes") && ids.iter().all(|id| ran.err.contains(id)), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_resumed_keeps_no_other_paused() {
    let kapso = Kapso::start().await;
    let mut paused = webhook(None);
    paused["active"] = json!(false);
    let ids = [kapso.has_webhook(paused.clone()), kapso.has_webhook(paused)];
    kapso.fails([Fault::Pass, Fault::Status(422, r#"{"error":"Url is not allowed"}"#.into())]);
    let ran = hookgate(&kapso, &["webhooks", "resume", "--all"]);
    assert!(ran.status == 1 && ran.err.contains("Url is not allowed"), "{}", ran.err);
    assert!(ids.iter().all(|id| ran.err.contains(id)), "{}", ran.err);
    assert_eq!(kapso.webhooks().iter().filter(|webhook| webhook["active"] == true).count(), 1);
}

/// "Test project webhook": an empty object, or the event's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_delivery_is_asked_for_as_documented() {
    let kapso = Kapso::start().await;
    let id = kapso.has_webhook(webhook(None));
    assert_eq!(hookgate(&kapso, &["webhooks", "test", &id]).status, 0);
    assert_eq!(hookgate(&kapso, &["webhooks", "test", &id, "--event", "whatsapp.message.received"]).status, 0);
    let asked = kapso.asked();
    assert_eq!(asked[0].line(), format!("POST /platform/v1/whatsapp/webhooks/{id}/test"));
    assert_eq!((&asked[0].body, &asked[1].body), (&json!({}), &json!({"event_type": "whatsapp.message.received"})));

    let ran = hookgate(&kapso, &["webhooks", "test", &id, "--event", "whatsapp.message.sent"]);
    assert!(ran.status == 1 && ran.err.contains("not configured on this webhook"), "{}", ran.err);
    let ran = hookgate(&kapso, &["webhooks", "test", &id, "--event", "message.sent"]);
    assert!(ran.status == 2 && ran.err.contains("Did you mean whatsapp.message.sent?"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kapso_paused_is_resumed() {
    let kapso = Kapso::start().await;
    let mut paused = webhook(Some("1"));
    paused["active"] = json!(false);
    let ids = [kapso.has_webhook(paused.clone()), kapso.has_webhook(webhook(None)), kapso.has_webhook(paused)];
    kapso.with_silent_changes();
    let ran = hookgate(&kapso, &["webhooks", "resume", "--all"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let asked = kapso.asked();
    let changed: Vec<_> = asked.iter().filter(|asked| asked.method == "PATCH").collect();
    assert_eq!(
        changed.iter().map(|asked| asked.line()).collect::<Vec<_>>(),
        [
            format!("PATCH /platform/v1/whatsapp/phone_numbers/1/webhooks/{}", ids[2]),
            format!("PATCH /platform/v1/whatsapp/phone_numbers/1/webhooks/{}", ids[0]),
        ]
    );
    assert!(changed.iter().all(|asked| asked.body == json!({"whatsapp_webhook": {"active": true}})));
    assert!(kapso.webhooks().iter().all(|webhook| webhook["active"] == true));

    let ran = hookgate(&kapso, &["webhooks", "resume", "--all"]);
    assert!(ran.status == 0 && ran.err.contains("no webhook is paused"), "{}", ran.err);
    assert_eq!(hookgate(&kapso, &["webhooks", "resume", &ids[0], "--phone-number-id", "1"]).status, 0);
    assert_eq!(hookgate(&kapso, &["webhooks", "resume"]).status, 2);
}
