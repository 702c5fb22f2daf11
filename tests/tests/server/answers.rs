//! Each row of the answer table.

use hookgate_tests::client::Client;
pub(crate) use hookgate_tests::hooked::all_to;
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, item};
use serde_json::json;

#[tokio::test]
async fn taken_by_the_target_is_200() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&delivery).await, 200);
    let seen = upstream.next().await;
    assert_eq!(seen.body, delivery.body);
    assert_eq!(seen.path, "/hook");
    assert_eq!(seen.header("x-webhook-event"), Some("whatsapp.message.received"));
    assert_eq!(seen.header("x-hookgate-source"), Some("whatsapp"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("content-length"), Some(delivery.body.len().to_string().as_str()));
}

#[tokio::test]
async fn any_2xx_of_the_target_is_200() {
    for status in [201, 202, 204] {
        let upstream = Upstream::answering(Reply::Status(status)).await;
        let hooked = Hooked::with(&all_to(&upstream)).await;
        assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200, "{status}");
    }
}

#[tokio::test]
async fn another_path_is_404() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let client = Client::new();
    let answer = client.post(&hooked.url("/other"), &Delivery::message("wamid.1", SECRET)).await;
    assert_eq!(answer.status, 404);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn another_method_is_405_and_says_which_are_allowed() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["sources"][0].as_object_mut().unwrap().remove("verify_token");
    let hooked = Hooked::with(&policy).await;
    let answer = Client::new().get(&hooked.url("/hook")).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn metas_handshake_is_answered() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let client = Client::new();
    let query = |token: &str| format!("/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
    let right = client.get(&hooked.url(&query(hookgate_tests::hooked::TARGET_SECRET))).await;
    assert_eq!((right.status, right.text()), (200, "1158201444"));
    let wrong = client.get(&hooked.url(&query("guess"))).await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn whatever_is_wrong_with_the_signature_is_the_same_401() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let genuine = Delivery::message("wamid.1", SECRET);
    let mut changed = genuine.clone();
    changed.body[20] ^= 1;
    let forged = [
        genuine.clone().without("X-Webhook-Signature"),
        genuine.clone().without("X-Webhook-Signature").with("X-Webhook-Signature", "abc"),
        genuine.clone().with("X-Webhook-Signature", &"0".repeat(64)),
        genuine.clone().signed("another secret"),
        changed,
    ];
    let mut answers = Vec::new();
    for delivery in &forged {
        let answer = hooked.post(delivery).await;
        let mut headers = answer.headers.clone();
        headers.remove("date");
        answers.push((answer.status, headers, answer.body));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn over_the_limit_is_413() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["limits"] = json!({"body_bytes": 2000});
    let hooked = Hooked::with(&policy).await;
    let large = Delivery::new("whatsapp.message.received", " ".repeat(2001)).signed(SECRET);
    assert_eq!(hooked.status(&large).await, 413);
    assert_eq!(Client::new().post(&hooked.url("/elsewhere"), &large).await.status, 404);
    assert!(upstream.rest().is_empty());
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
}

#[tokio::test]
async fn genuine_and_unreadable_goes_to_otherwise() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    let unreadable = Delivery::new("whatsapp.message.received", "not JSON").signed(SECRET);
    let hooked = Hooked::with(&policy).await;
    assert_eq!(hooked.status(&unreadable).await, 200);
    assert!(upstream.rest().is_empty());

    policy["otherwise"] = json!({"to": ["bot"]});
    let hooked = Hooked::with(&policy).await;
    assert_eq!(hooked.status(&unreadable).await, 200);
    assert_eq!(upstream.next().await.body, "not JSON");
}

#[tokio::test]
async fn genuine_without_a_rule_goes_to_otherwise() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    let ended = Delivery::new("whatsapp.conversation.ended", item("wamid.1", "text").to_string()).signed(SECRET);
    policy["rules"] = json!([]);
    let hooked = Hooked::with(&policy).await;
    assert_eq!(hooked.status(&ended).await, 200);
    assert!(upstream.rest().is_empty());

    policy["otherwise"] = json!({"to": ["bot"]});
    let hooked = Hooked::with(&policy).await;
    assert_eq!(hooked.status(&ended).await, 200);
    assert_eq!(upstream.next().await.body, ended.body);
}

#[tokio::test]
async fn delivered_already_is_200_and_nothing_is_sent() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&delivery).await, 200);
    upstream.next().await;
    let again = delivery.with("X-Idempotency-Key", "another");
    assert_eq!(hooked.status(&again).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn given_up_on_is_200_and_never_tried_again() {
    let mut upstream = Upstream::answering(Reply::Status(422)).await;
    let mut policy = all_to(&upstream);
    policy["targets"]["bot"]["give_up_on"] = json!([410, 422]);
    let hooked = Hooked::with(&policy).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&delivery).await, 200);
    upstream.next().await;
    assert_eq!(hooked.status(&delivery).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn over_the_number_of_requests_is_503_with_a_time_to_come_back() {
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let mut config = config(&all_to(&upstream));
    config.limits.requests = 1;
    let hooked = std::sync::Arc::new(Hooked::start(config).await);
    let first = tokio::spawn({
        let hooked = hooked.clone();
        async move { hooked.status(&Delivery::message("wamid.1", SECRET)).await }
    });
    upstream.next().await;
    let second = hooked.post(&Delivery::message("wamid.2", SECRET)).await;
    assert_eq!(second.status, 503);
    assert!(second.headers.contains_key("retry-after"));
    permits.add_permits(2);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(hooked.status(&Delivery::message("wamid.2", SECRET)).await, 200);
}
