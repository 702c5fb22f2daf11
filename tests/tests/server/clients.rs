//! Senders that are slow, break off or lie.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hookgate_tests::Delivery;
use hookgate_tests::client::{Raw, head};
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answers::all_to;

/// A server with little patience, which takes 2000 bytes, and the target behind it.
async fn impatient() -> (Hooked, Upstream) {
    waiting_for(Duration::from_secs(1)).await
}

/// One that waits for a slow machine too.
async fn patient() -> (Hooked, Upstream) {
    waiting_for(Duration::from_secs(60)).await
}

async fn waiting_for(time: Duration) -> (Hooked, Upstream) {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["limits"] = json!({"body_bytes": 2000});
    let mut config = config(&policy);
    config.limits.head_time = time;
    config.limits.body_time = time;
    (Hooked::start(config).await, upstream)
}

/// That nothing was sent on, and that the next delivery is served.
async fn unharmed(hooked: &Hooked, upstream: &mut Upstream) {
    assert!(upstream.rest().is_empty());
    assert_eq!(hooked.status(&Delivery::message("wamid.next", SECRET)).await, 200);
    upstream.next().await;
}

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}\r\n")
}

/// HTTP/2 keeps a connection open by signs of life alone.
#[tokio::test]
async fn a_connection_over_which_nothing_comes_is_closed() {
    let (hooked, mut upstream) = impatient().await;
    let stream = TcpStream::connect(hooked.server.address()).await.expect("somebody listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = http::Request::get(hooked.url("/nowhere")).body(String::new()).expect("a request");
    assert_eq!(sender.send_request(request).await.expect("an answer").status(), 404);
    let ended = timeout(Duration::from_secs(10), connection).await.expect("it is closed");
    assert!(ended.expect("no panic").is_ok(), "in order");
    unharmed(&hooked, &mut upstream).await;
}

/// Over HTTP/2 a field that was sent before may be one byte, and a head of such fields is small to send and large to hold.
#[tokio::test]
async fn heads_that_are_larger_than_what_was_sent_take_no_room() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    config.limits.bytes = 1 << 20;
    let hooked = Hooked::start(config).await;
    let stream = TcpStream::connect(hooked.server.address()).await.expect("somebody listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut open = Vec::new();
    for fields in [400, 1000].repeat(20) {
        let mut request = http::Request::post(hooked.url("/hook")).header("x-webhook-signature", "0".repeat(64));
        for _ in 0..fields {
            request = request.header("a", "");
        }
        let body = StreamBody::new(pending::<Result<Frame<Bytes>, Infallible>>().into_stream());
        let request = request.body(body).expect("a request");
        open.push(sender.send_request(request));
    }
    for answer in open {
        assert_eq!(answer.await.expect("an answer").status(), 431);
    }
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
}

#[tokio::test]
async fn a_time_that_never_ends_is_a_time() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    let limits = &mut config.limits;
    for time in [&mut limits.head_time, &mut limits.body_time, &mut limits.answer_time, &mut limits.stop_time] {
        *time = Duration::MAX;
    }
    let hooked = Hooked::start(config).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    hooked.server.stop().await;
}

#[tokio::test]
async fn a_body_shorter_than_declared_decides_nothing() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(delivery.body.len() + 1))).await;
    sender.write(&delivery.body).await;
    sender.finish().await;
    let answer = sender.rest().await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_body_longer_than_declared_is_cut_and_so_refused() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(delivery.body.len() - 1))).await;
    sender.write(&delivery.body).await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &format!("{}Expect: 100-continue\r\n", length(2001)))).await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn chunks_over_the_limit_are_refused() {
    let (hooked, mut upstream) = patient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", "Transfer-Encoding: chunked\r\n")).await;
    for _ in 0..3 {
        sender.try_write(format!("3e8\r\n{}\r\n", "x".repeat(1000))).await;
    }
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn chunks_within_the_limit_are_taken_trailers_and_all() {
    let (hooked, mut upstream) = patient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let (first, second) = delivery.body.split_at(100);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", "Transfer-Encoding: chunked\r\n")).await;
    for part in [first, second] {
        sender.write(format!("{:x}\r\n", part.len())).await;
        sender.write(part).await;
        sender.write("\r\n").await;
    }
    sender.write("0\r\nX-Trailer: 1\r\n\r\n").await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.next().await.body, delivery.body);
}

#[tokio::test]
async fn chunks_that_break_off_decide_nothing() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", "Transfer-Encoding: chunked\r\n")).await;
    sender.write(format!("{:x}\r\n", delivery.body.len())).await;
    sender.write(&delivery.body).await;
    sender.write("\r\n").await;
    sender.finish().await;
    let answer = sender.rest().await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn two_lengths_are_not_taken() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    let lengths = format!("{}{}", length(delivery.body.len()), length(3));
    sender.write(head(&delivery, "/hook", &lengths)).await;
    sender.try_write(&delivery.body).await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(delivery.body.len()))).await;
    sender.write(&delivery.body[..10]).await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn who_says_nothing_or_stops_halfway_is_let_go() {
    let (hooked, mut upstream) = impatient().await;
    for begin in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n", "POST /hook HTTP/1.1\r\nHost:"] {
        let mut sender = Raw::connect(hooked.server.address()).await;
        sender.write(begin).await;
        sender.rest().await;
    }
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_connection_that_is_kept_and_not_used_is_let_go() {
    let (hooked, mut upstream) = impatient().await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(delivery.body.len()))).await;
    sender.write(&delivery.body).await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    upstream.next().await;
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let (hooked, mut upstream) = patient().await;
    let delivery = Delivery::message("wamid.1", SECRET).with("X-Large", &"x".repeat(70 * 1024));
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.try_write(head(&delivery, "/hook", &length(delivery.body.len()))).await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn a_missing_signature_is_refused_before_the_body() {
    let (hooked, mut upstream) = patient().await;
    let delivery = Delivery::message("wamid.1", SECRET).without("X-Webhook-Signature");
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(delivery.body.len()))).await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn who_is_refused_while_sending_gets_the_answer_and_keeps_the_connection() {
    let (hooked, mut upstream) = patient().await;
    let genuine = Delivery::message("wamid.1", SECRET);
    let forged = genuine.clone().without("X-Webhook-Signature");
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&forged, "/hook", &length(forged.body.len()))).await;
    let answer = sender.until("unauthorized\n").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    sender.write(&forged.body).await;
    sender.write(head(&genuine, "/hook", &length(genuine.body.len()))).await;
    sender.write(&genuine.body).await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.next().await.body, genuine.body);
}

#[tokio::test]
async fn who_is_refused_and_sends_without_end_is_cut_off() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut policy = all_to(&upstream);
    policy["limits"] = json!({"body_bytes": 2000});
    let mut config = config(&policy);
    // So that nothing but the number of bytes ends it.
    config.limits.body_time = Duration::from_secs(600);
    let hooked = Hooked::start(config).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(hooked.server.address()).await;
    sender.write(head(&delivery, "/hook", &length(1 << 30))).await;
    let answer = sender.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    for _ in 0..64 {
        sender.try_write([b'x'; 1000]).await;
    }
    sender.rest().await;
    unharmed(&hooked, &mut upstream).await;
}

#[tokio::test]
async fn who_sends_slowly_takes_nobodys_place() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    config.limits.requests = 1;
    let hooked = Hooked::start(config).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut sender = Raw::connect(hooked.server.address()).await;
        sender
            .write(head(&delivery, "/hook", &format!("{}Expect: 100-continue\r\n", length(delivery.body.len()))))
            .await;
        sender.until("100 Continue").await;
        slow.push(sender);
    }
    assert_eq!(hooked.status(&Delivery::message("wamid.2", SECRET)).await, 200);
    let mut last = slow.remove(0);
    last.write(&delivery.body).await;
    last.until("200 OK").await;
}

/// A sender that has sent its head and so much of its body, and leaves no room for another delivery. One that the other overtook
/// is refused itself, and begins again.
async fn in_the_way(hooked: &Hooked, delivery: &Delivery, sent: &[u8], other: &Delivery) -> Raw {
    let head = head(delivery, "/hook", &length(delivery.body.len()));
    loop {
        let mut sender = Raw::connect(hooked.server.address()).await;
        sender.write([head.as_bytes(), sent].concat()).await;
        for _ in 0..10 {
            if hooked.status(other).await == 503 {
                return sender;
            }
        }
    }
}

#[tokio::test]
async fn more_bytes_than_may_be_held_are_503() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    let small = Delivery::message("wamid.1", SECRET);
    let large = Delivery::batch(&[("wamid.2", "text"), ("wamid.3", "text")], SECRET);
    // What the large one takes with its head, and not that and a small one.
    config.limits.bytes = large.body.len() + 2048;
    let hooked = Hooked::start(config).await;
    assert_eq!(hooked.status(&large).await, 200, "it fits when nothing else is there");
    let (sent, rest) = small.body.split_at(small.body.len() - 1);
    let mut first = in_the_way(&hooked, &small, sent, &large).await;
    first.write(rest).await;
    first.until("200 OK").await;
    assert_eq!(hooked.status(&large).await, 200, "what was held is given back");
}

#[tokio::test]
async fn heads_are_held_too() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    config.limits.bytes = 20_000;
    let hooked = Hooked::start(config).await;
    let padding = "a".repeat(12_000);
    let delivery = Delivery::message("wamid.1", SECRET).with("x-padding", &padding);
    let mut first = in_the_way(&hooked, &delivery, b"", &delivery).await;
    first.write(&delivery.body).await;
    first.until("200 OK").await;
    assert_eq!(hooked.status(&delivery).await, 200, "what was held is given back");
}
