//! Targets that do not do what they should.

use std::time::{Duration, Instant};

use hookgate_tests::Delivery;
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::answers::all_to;

/// What is answered when the target does this, and that the next try delivers.
async fn answered(reply: Reply) -> u16 {
    let hangs = matches!(reply, Reply::Hang);
    let mut upstream = Upstream::scripted(vec![reply], Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    if hangs {
        policy["targets"]["bot"]["timeout_ms"] = json!(2000);
    }
    let hooked = Hooked::with(&policy).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let status = hooked.status(&delivery).await;
    let first = upstream.next().await;
    assert_eq!(hooked.status(&delivery).await, 200, "the retry is delivered");
    assert_eq!(upstream.next().await.body, first.body);
    status
}

#[tokio::test]
async fn an_error_is_502() {
    assert_eq!(answered(Reply::Status(500)).await, 502);
    assert_eq!(answered(Reply::Status(404)).await, 502);
}

#[tokio::test]
async fn silence_is_504() {
    assert_eq!(answered(Reply::Hang).await, 504);
}

#[tokio::test]
async fn a_connection_closed_or_reset_is_502() {
    assert_eq!(answered(Reply::Close).await, 502);
    assert_eq!(answered(Reply::Reset).await, 502);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = Upstream::answering(Reply::Status(200)).await;
    assert_eq!(answered(Reply::Redirect(elsewhere.url())).await, 502);
    assert!(elsewhere.rest().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_502() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let policy = all_to(&upstream);
    drop(upstream);
    let hooked = Hooked::with(&policy).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 502);
}

#[tokio::test]
async fn an_answer_that_never_ends_holds_nothing_up() {
    let mut upstream = Upstream::answering(Reply::Endless).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    upstream.next().await;
}

#[tokio::test]
async fn the_whole_answer_comes_by_its_deadline() {
    let slow = Upstream::answering(Reply::Hang).await;
    let mut policy = all_to(&slow);
    policy["targets"]["bot"]["body"] = json!("one-per-event");
    let mut config = config(&policy);
    config.limits.answer_time = Duration::from_millis(700);
    let hooked = Hooked::start(config).await;
    let started = Instant::now();
    let messages = [("wamid.1", "text"), ("wamid.2", "text"), ("wamid.3", "text")];
    assert_eq!(hooked.status(&Delivery::batch(&messages, SECRET)).await, 504);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn targets_are_tried_at_once_and_one_that_hangs_keeps_nothing_from_the_other() {
    let hanging = Upstream::answering(Reply::Hang).await;
    let mut fine = Upstream::answering(Reply::Status(200)).await;
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "rules": [{"name": "all", "when": {"kind": "whatsapp"}, "to": ["hanging", "fine"]}],
        "targets": {"hanging": {"url": hanging.url(), "timeout_ms": 3000}, "fine": {"url": fine.url()}},
    });
    let hooked = std::sync::Arc::new(Hooked::with(&policy).await);
    let delivery = Delivery::message("wamid.1", SECRET);
    let sender = tokio::spawn({
        let (hooked, delivery) = (hooked.clone(), delivery.clone());
        async move { hooked.status(&delivery).await }
    });
    fine.next().await;
    assert!(!sender.is_finished(), "the other target is still waited for");
    assert_eq!(sender.await.unwrap(), 504);
}

#[tokio::test]
async fn connections_to_a_target_are_kept() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    for number in 0..3 {
        assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 200);
        assert_eq!(upstream.next().await.connection, 0);
    }
}

#[tokio::test]
async fn a_connection_that_the_target_closed_is_not_used_again() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("it is bound"));
    let target = tokio::spawn(async move {
        loop {
            let (mut stream, _) = socket.accept().await.expect("a connection");
            let mut request = Vec::new();
            // The body ends with the item's last brace; it comes in one piece or two.
            while !request.ends_with(b"}") {
                stream.read_buf(&mut request).await.expect("a message");
            }
            // As if the connection could be kept.
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("an open connection");
        }
    });
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "rules": [],
        "otherwise": {"to": ["bot"]},
        "targets": {"bot": {"url": url}},
    });
    let hooked = Hooked::with(&policy).await;
    for number in 0..20 {
        assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 200);
    }
    target.abort();
}

#[tokio::test]
async fn a_target_without_a_url_is_refused_by_name() {
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "targets": {"crm": {"cluster": "crm"}},
    });
    let Err(error) = hookgate::server::Server::start(config(&policy)).await else {
        panic!("it starts");
    };
    let text = error.to_string();
    assert!(text.contains("\"crm\"") && text.contains("`url`"), "{text}");
}
