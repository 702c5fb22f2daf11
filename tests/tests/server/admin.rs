//! What the admin address says.

use hookgate_tests::Delivery;
use hookgate_tests::hooked::{Hooked, SECRET};
use hookgate_tests::upstream::{Reply, Upstream};
use serde_json::json;

use crate::answers::all_to;

#[tokio::test]
async fn it_is_alive_and_ready_and_answers_nothing_else() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    assert_eq!(hooked.admin("/healthz").await.status, 200);
    assert_eq!(hooked.admin("/readyz").await.status, 200);
    assert_eq!(hooked.admin("/hook").await.status, 404);
}

#[tokio::test]
async fn deliveries_are_counted_by_what_they_came_to() {
    let upstream = Upstream::scripted(vec![Reply::Status(500)], Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    for status in [502, 200, 200] {
        assert_eq!(hooked.status(&delivery).await, status);
    }
    let ended = Delivery::new("whatsapp.conversation.ended", r#"{"conversation":{"id":"1"}}"#).signed(SECRET);
    assert_eq!(hooked.status(&ended).await, 200);
    assert_eq!(hooked.status(&Delivery::message("wamid.2", "another secret")).await, 401);
    assert_eq!(hooked.status(&Delivery::message("wamid.2", SECRET).without("X-Webhook-Signature")).await, 401);

    let delivered = |event: &str, result: &str| {
        format!(
            r#"hookgate_deliveries_total{{source="whatsapp",kind="whatsapp",event="whatsapp.{event}",result="{result}"}}"#
        )
    };
    for (name, expected) in [
        (delivered("message.received", "failed"), 1.0),
        (delivered("message.received", "delivered"), 1.0),
        (delivered("message.received", "duplicate"), 1.0),
        (delivered("conversation.ended", "dropped"), 1.0),
        (r#"hookgate_rejections_total{source="whatsapp",reason="wrong-signature"}"#.into(), 1.0),
        (r#"hookgate_rejections_total{source="whatsapp",reason="missing-signature"}"#.into(), 1.0),
        (r#"hookgate_target_messages_total{target="bot",outcome="5xx"}"#.into(), 1.0),
        (r#"hookgate_target_messages_total{target="bot",outcome="2xx"}"#.into(), 1.0),
        (r#"hookgate_duplicates_total{target="bot"}"#.into(), 1.0),
        (r#"hookgate_answer_seconds_count{source="whatsapp"}"#.into(), 6.0),
        (r#"hookgate_target_seconds_count{target="bot"}"#.into(), 2.0),
        ("hookgate_keys_remembered".into(), 1.0),
        ("hookgate_keys_in_flight".into(), 0.0),
        ("hookgate_requests_in_flight".into(), 0.0),
        (r#"hookgate_failure_share{source="whatsapp"}"#.into(), 0.5),
        (r#"hookgate_would_pause{source="whatsapp"}"#.into(), 0.0),
    ] {
        assert_eq!(hooked.metric(&name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn kapsos_pause_is_seen_coming() {
    let upstream = Upstream::answering(Reply::Status(500)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    for number in 0..20 {
        assert_eq!(hooked.metric(r#"hookgate_would_pause{source="whatsapp"}"#).await, 0.0);
        assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 502);
    }
    assert_eq!(hooked.metric(r#"hookgate_would_pause{source="whatsapp"}"#).await, 1.0);
    assert_eq!(hooked.metric(r#"hookgate_failure_share{source="whatsapp"}"#).await, 1.0);
}

#[tokio::test]
async fn nothing_private_is_a_label() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["otherwise"] = json!({"to": ["bot"]});
    let hooked = Hooked::with(&policy).await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "image")], SECRET);
    assert_eq!(hooked.status(&batch).await, 200);
    let metrics = hooked.admin("/metrics").await;
    for private in [SECRET, "16315551181", "123456789012345", "wamid.", "Hello"] {
        assert!(!metrics.text().contains(private), "{private}");
    }
    assert!(metrics.text().ends_with("# EOF\n"));
}
