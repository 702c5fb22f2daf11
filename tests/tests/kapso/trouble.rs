//! What goes wrong, and what is said of it.

use std::time::{Duration, Instant};

use hookgate_tests::kapso::{Fault, KEY, Kapso};
use hookgate_tests::run;
use serde_json::json;

use super::hookgate;

const LIST: [&str; 2] = ["webhooks", "list"];

fn error(message: &str) -> String {
    json!({"error": message}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_a_sentence_that_says_what_to_do() {
    let kapso = Kapso::start().await;
    for (status, message, parts) in [
        (401, "Invalid API key", ["Check KAPSO_API_KEY", "Invalid API key"]),
        (402, "Upgrade", ["plan does not include", "Upgrade"]),
        (403, "No", ["may not do this", "No"]),
        (404, "Not found", ["Check the ids", "Not found"]),
        (422, "Url is invalid", ["nothing was saved", "Url is invalid"]),
        (418, "teapot", ["unexpected answer (418)", "teapot"]),
    ] {
        kapso.fails([Fault::Status(status, error(message))]);
        let ran = hookgate(&kapso, &LIST);
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{status}");
        for part in parts {
            assert!(ran.err.contains(part), "{part}\n{}", ran.err);
        }
        assert!(ran.err.contains("GET /whatsapp/webhooks"), "{}", ran.err);
        assert_eq!(kapso.asked().len(), 1, "{status} is not tried again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_apart_and_never_repeated() {
    let kapso = Kapso::start().await;
    let url = kapso.url();
    let ran = run(&LIST, b"", &[("KAPSO_API_URL", &url), ("KAPSO_API_KEY", "wr0ng-key")]);
    assert!(ran.status == 1 && ran.err.contains("(401)") && !ran.err.contains("wr0ng-key"), "{}", ran.err);

    kapso.fails([Fault::Status(401, error(&format!("no such key: {KEY}")))]);
    let ran = hookgate(&kapso, &LIST);
    assert!(ran.err.contains("no such key: (the API key)"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_said() {
    let kapso = Kapso::start().await;
    kapso.fails([Fault::Status(503, error("Busy")), Fault::RetryAfter(429, "0".into())]);
    let ran = hookgate(&kapso, &["webhooks", "list", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(kapso.asked().len(), 3);
    assert!(ran.err.contains("trying again in 0.5 s") && ran.err.contains("too many calls"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_is_left_to_people() {
    let kapso = Kapso::start().await;
    kapso.fails([Fault::RetryAfter(429, "3600".into())]);
    let ran = hookgate(&kapso, &LIST);
    assert!(ran.status == 1 && ran.err.contains("try again in 3600 s"), "{}", ran.err);
    assert_eq!(kapso.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_not_made_twice() {
    let create = [
        "webhooks",
        "create",
        "--phone-number-id",
        "1",
        "--url",
        "https://api.acme.com/x",
        "--event",
        "whatsapp.message.received",
    ];
    let page = Fault::Status(200, "<html>Sign in</html>".into());
    for fault in [Fault::Status(500, error("Oops")), Fault::Silent(201), Fault::BrokenJson, page] {
        let kapso = Kapso::start().await;
        kapso.fails([fault]);
        let ran = hookgate(&kapso, &create);
        assert_eq!(ran.status, 1);
        assert!(ran.err.contains("may have carried it out all the same"), "{}", ran.err);
        assert_eq!(kapso.asked().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever() {
    let kapso = Kapso::start().await;
    kapso.fails([Fault::Hang]);
    let begin = Instant::now();
    let ran = hookgate(&kapso, &["webhooks", "test", "w1", "--timeout", "1"]);
    assert!(ran.status == 1 && ran.err.contains("no answer within 1 s"), "{}", ran.err);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_told_apart() {
    let kapso = Kapso::start().await;
    for (fault, said) in [
        (Fault::BrokenJson, "the answer is not JSON"),
        (Fault::Status(200, "<html>Sign in</html>".into()), "Is --api-url that of Kapso's API?"),
        (Fault::Status(200, r#"{"data": {"id": "1"}}"#.into()), "another shape"),
        (Fault::Status(200, "[]".into()), "another shape"),
        (Fault::Silent(200), "another shape"),
    ] {
        kapso.fails([fault]);
        let ran = hookgate(&kapso, &LIST);
        assert!(ran.status == 1 && ran.err.contains(said), "{said}\n{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_does_not_follow_a_redirect() {
    let (kapso, elsewhere) = (Kapso::start().await, Kapso::start().await);
    kapso.fails([Fault::Redirect(307, format!("{}/platform/v1/whatsapp/webhooks", elsewhere.url()))]);
    let ran = hookgate(&kapso, &LIST);
    assert!(ran.status == 1 && ran.err.contains("redirected (307)"), "{}", ran.err);
    assert_eq!(elsewhere.asked(), []);
}

#[test]
fn what_cannot_be_reached_is_said_and_a_key_goes_over_https_only() {
    let with_url = |url| run(&LIST, b"", &[("KAPSO_API_URL", url), ("KAPSO_API_KEY", KEY)]);
    let ran = with_url("http://127.0.0.1:1");
    assert!(ran.status == 1 && ran.err.contains("cannot reach the API"), "{}", ran.err);
    let ran = with_url("http://api.kapso.ai");
    assert!(ran.status == 2 && ran.err.contains("HTTPS only"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_asks_nothing() {
    let kapso = Kapso::start().await;
    for id in ["..", "a/b", "a?b"] {
        let ran = hookgate(&kapso, &["webhooks", "delete", "--yes", "--", id]);
        assert!(ran.status == 2 && ran.err.contains("is no id"), "{}", ran.err);
    }
    assert_eq!(kapso.asked(), []);
}
