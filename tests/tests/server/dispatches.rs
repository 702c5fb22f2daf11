//! What each target gets.

use hookgate_tests::hooked::{Hooked, SECRET, TARGET_SECRET};
use hookgate_tests::upstream::{Reply, Seen, Upstream};
use hookgate_tests::{Delivery, hmac_sha256};
use serde_json::{Value, json};

fn ids(seen: &Seen) -> Vec<String> {
    let body = seen.json();
    let items = body["data"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    items.iter().map(|item| item["message"]["id"].as_str().expect("an id").to_owned()).collect()
}

/// Texts to the bot, images to the archive.
fn split(bot: &Upstream, archive: &Upstream, target: &Value) -> Value {
    let to = |upstream: &Upstream| {
        let mut settings = target.clone();
        settings["url"] = json!(upstream.url());
        settings
    };
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "rules": [
            {"name": "texts", "when": {"message_type": "text"}, "to": ["bot"]},
            {"name": "images", "when": {"message_type": "image"}, "to": ["archive"]},
        ],
        "targets": {"bot": to(bot), "archive": to(archive)},
    })
}

const MIXED: [(&str, &str); 3] = [("wamid.1", "text"), ("wamid.2", "image"), ("wamid.3", "text")];

#[tokio::test]
async fn a_batch_for_one_target_goes_on_byte_for_byte() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({}))).await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], SECRET);
    assert_eq!(hooked.status(&batch).await, 200);
    let seen = bot.next().await;
    assert_eq!(seen.body, batch.body);
    let signature = hmac_sha256(SECRET.as_bytes(), &batch.body);
    assert_eq!(seen.header("x-webhook-signature"), Some(signature.as_str()));
}

#[tokio::test]
async fn a_batch_for_two_targets_is_split() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let mut archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({}))).await;
    assert_eq!(hooked.status(&Delivery::batch(&MIXED, SECRET)).await, 200);
    for (upstream, expected) in [(&mut bot, vec!["wamid.1", "wamid.3"]), (&mut archive, vec!["wamid.2"])] {
        let seen = upstream.next().await;
        assert_eq!(ids(&seen), expected);
        assert_eq!(seen.json()["batch_info"]["size"], expected.len());
        assert_eq!(seen.header("x-batch-size"), Some(expected.len().to_string().as_str()));
        assert!(!seen.headers.contains_key("x-webhook-signature"), "Kapso's signature is not of this body");
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test]
async fn what_is_signed_on_verifies_with_the_targets_own_secret() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let mut archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({"sign_with": "TARGET_SECRET"}))).await;
    assert_eq!(hooked.status(&Delivery::batch(&MIXED, SECRET)).await, 200);
    assert_eq!(hooked.status(&Delivery::message("wamid.4", SECRET)).await, 200);
    for seen in [bot.next().await, archive.next().await, bot.next().await] {
        let signature = hmac_sha256(TARGET_SECRET.as_bytes(), &seen.body);
        assert_eq!(seen.header("x-webhook-signature"), Some(signature.as_str()));
    }
}

#[tokio::test]
async fn one_per_event_comes_in_order_with_the_items_bytes() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({"body": "one-per-event"}))).await;
    let batch = Delivery::batch(&MIXED, SECRET);
    let text = String::from_utf8(batch.body.clone()).unwrap();
    assert_eq!(hooked.status(&batch).await, 200);
    for expected in ["wamid.1", "wamid.3"] {
        let seen = bot.next().await;
        assert_eq!(ids(&seen), [expected]);
        assert!(text.contains(std::str::from_utf8(&seen.body).unwrap()));
    }
}

#[tokio::test]
async fn every_message_is_sent_even_when_one_before_it_fails() {
    let mut bot = Upstream::scripted(vec![Reply::Status(500)], Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({"body": "one-per-event"}))).await;
    let batch = Delivery::batch(&MIXED, SECRET);
    assert_eq!(hooked.status(&batch).await, 502);
    assert_eq!([ids(&bot.next().await), ids(&bot.next().await)], [["wamid.1"], ["wamid.3"]]);
    assert_eq!(hooked.status(&batch).await, 200);
    assert_eq!(ids(&bot.next().await), ["wamid.1"]);
    assert!(bot.rest().is_empty(), "the other was delivered");
}

#[tokio::test]
async fn a_batch_of_hundreds_is_split_like_one_of_three() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let mut archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({}))).await;
    let all: Vec<String> = (0..600).map(|number| format!("wamid.{number}")).collect();
    let messages: Vec<(&str, &str)> =
        all.iter().zip(["text", "text", "image"].into_iter().cycle()).map(|(id, kind)| (id.as_str(), kind)).collect();
    let batch = Delivery::batch(&messages, SECRET);
    assert!(batch.body.len() > 200_000);
    for _ in 0..2 {
        assert_eq!(hooked.status(&batch).await, 200);
    }
    let (texts, images) = (ids(&bot.next().await), ids(&archive.next().await));
    assert_eq!((texts.len(), images.len()), (400, 200));
    assert_eq!(texts[..3], ["wamid.0", "wamid.1", "wamid.3"]);
    assert!(bot.rest().is_empty() && archive.rest().is_empty());
}

#[tokio::test]
async fn normalized_is_one_shape() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({"body": "normalized"}))).await;
    assert_eq!(hooked.status(&Delivery::batch(&MIXED, SECRET)).await, 200);
    assert_eq!(bot.next().await.json()["events"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn nobody_forges_our_headers_and_nothing_for_one_hop_goes_on() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({}))).await;
    let delivery = Delivery::message("wamid.1", SECRET)
        .with("X-Hookgate-Source", "forged")
        .with("X-Hookgate-Anything", "forged")
        .with("Connection", "X-Hookgate-Source, X-Private")
        .with("X-Private", "for this hop")
        .with("X-Tenant", "kept");
    assert_eq!(hooked.status(&delivery).await, 200);
    let seen = bot.next().await;
    assert_eq!(seen.header("x-hookgate-source"), Some("whatsapp"));
    assert_eq!(seen.header("x-hookgate-rule"), Some("texts"));
    assert_eq!(seen.header("x-tenant"), Some("kept"));
    for name in ["x-hookgate-anything", "x-private", "connection"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn http2_is_taken_too() {
    let mut bot = Upstream::answering(Reply::Status(200)).await;
    let archive = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&split(&bot, &archive, &json!({}))).await;
    let client = hookgate_tests::client::Client::http2();
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(client.post(&hooked.url("/hook"), &delivery).await.status, 200);
    let seen = bot.next().await;
    assert_eq!(seen.body, delivery.body);
    assert_eq!(seen.header("x-forwarded-host"), Some(hooked.server.address().to_string().as_str()));
    let forged = Delivery::message("wamid.2", "another secret");
    assert_eq!(client.post(&hooked.url("/hook"), &forged).await.status, 401);
}
