//! Each row of the answer table.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hookgate_tests::Delivery;
use hookgate_tests::client::{Raw, head};
use hookgate_tests::hooked::TARGET_SECRET;
use hookgate_tests::spin::Runtime;
use hookgate_tests::upstream::{Reply, Upstream};
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{SECRET, Served, all_to, app};

#[tokio::test(flavor = "multi_thread")]
async fn taken_by_the_target_is_200_and_any_2xx_will_do() {
    for runtime in Runtime::all() {
        for status in [200, 201, 202, 204] {
            let mut upstream = Upstream::answering(Reply::Status(status)).await;
            let served = Served::to(&runtime, &upstream).await;
            let delivery = Delivery::message("wamid.1", SECRET);
            assert_eq!(served.status(&delivery).await, 200);
            let seen = upstream.next().await;
            assert_eq!((seen.body, seen.path.as_str()), (Bytes::from(delivery.body), "/hook"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_path_is_404_another_method_405_and_a_handshake_is_answered() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let url = |path| served.running.url(path);
        let other = served.client.post(&url("/other"), &Delivery::message("wamid.1", SECRET)).await;
        assert_eq!(other.status, 404);
        let put = Request::put(url("/hook")).body(Full::default()).unwrap();
        let put = served.client.send(put).await;
        assert_eq!((put.status, put.headers["allow"].to_str().unwrap()), (405, "GET, POST"));
        let asked = format!("/hook?hub.mode=subscribe&hub.verify_token={TARGET_SECRET}&hub.challenge=1158201444");
        let handshake = served.client.get(&url(&asked)).await;
        assert_eq!((handshake.status, handshake.text()), (200, "1158201444"));
        assert_eq!(served.client.get(&url(&asked.replace(TARGET_SECRET, "guessed"))).await.status, 401);
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_about_a_signature_gets_the_very_same_401() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let good = Delivery::message("wamid.1", SECRET);
        let bad = [
            good.clone().without("X-Webhook-Signature"),
            good.clone().with("X-Webhook-Signature", &"0".repeat(64)),
            good.clone().without("X-Webhook-Signature").with("X-Webhook-Signature", "abc"),
            good.clone().signed("another secret"),
        ];
        let mut answers = Vec::new();
        for delivery in &bad {
            let mut answer = served.post(delivery).await;
            answer.headers.remove("date");
            answers.push((answer.status, answer.headers, answer.body));
        }
        assert_eq!(answers[0].0, 401);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(upstream.rest().is_empty());
        let log = served.running.log();
        for reason in ["missing-signature", "repeated-signature", "malformed-signature", "wrong-signature"] {
            assert!(log.contains(&format!("rejected={reason}")), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_declared_or_not() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let mut policy = all_to(&upstream);
        policy["limits"] = json!({"body_bytes": 100_000});
        let served = Served::start(&runtime, &app(&policy).allow(&upstream.url())).await;
        let delivery = Delivery::new("whatsapp.message.received", vec![b' '; 100_001]).signed(SECRET);
        assert_eq!(served.status(&delivery).await, 413);

        // It is cut where the limit is: the answer comes although the body has no end.
        let mut sender = Raw::connect(served.running.address()).await;
        sender.write(head(&delivery, "/hook", "Transfer-Encoding: chunked\r\n")).await;
        for _ in 0..7 {
            sender.try_write(format!("4000\r\n{}\r\n", " ".repeat(0x4000))).await;
        }
        assert!(sender.until("\r\n").await.starts_with("HTTP/1.1 413"));
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_many_pieces_is_hashed_as_it_comes() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let delivery = Delivery::message("wamid.1", SECRET);
        let mut sender = Raw::connect(served.running.address()).await;
        sender.write(head(&delivery, "/hook", "Transfer-Encoding: chunked\r\nConnection: close\r\n")).await;
        for piece in delivery.body.chunks(7) {
            sender.write(format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap())).await;
        }
        sender.write("0\r\n\r\n").await;
        assert!(sender.rest().await.starts_with("HTTP/1.1 200"));
        assert_eq!(upstream.next().await.body, delivery.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_decides_nothing() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let delivery = Delivery::message("wamid.1", SECRET);
        let mut sender = Raw::connect(served.running.address()).await;
        sender.write(head(&delivery, "/hook", &format!("Content-Length: {}\r\n", delivery.body.len() + 1))).await;
        sender.write(&delivery.body).await;
        sender.finish().await;
        assert!(!sender.rest().await.starts_with("HTTP/1.1 200"));
        assert_eq!(served.status(&Delivery::message("wamid.2", SECRET)).await, 200);
        assert_eq!(upstream.next().await.body, Delivery::message("wamid.2", SECRET).body);
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_408_before_kapso_gives_up() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let delivery = Delivery::message("wamid.1", SECRET);
        let mut shortest = Duration::MAX;
        // What a busy machine adds to it is not the same each time.
        for _ in 0..3 {
            let started = Instant::now();
            let mut sender = Raw::connect(served.running.address()).await;
            sender.write(head(&delivery, "/hook", "Content-Length: 2000\r\n")).await;
            sender.write(&delivery.body).await;
            assert!(sender.until("\r\n").await.starts_with("HTTP/1.1 408"));
            shortest = shortest.min(started.elapsed());
            if shortest < Duration::from_secs(10) {
                break;
            }
        }
        assert!(shortest < Duration::from_secs(10), "{shortest:?}");
        assert!(upstream.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_wants_and_what_cannot_be_read_is_200_and_goes_to_otherwise() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let unwanted = Delivery::new("workflow.execution.failed", "{}").signed(SECRET);
        let unreadable = Delivery::new("whatsapp.message.received", "not JSON").signed(SECRET);
        for delivery in [&unwanted, &unreadable] {
            assert_eq!(served.status(delivery).await, 200);
        }
        assert!(upstream.rest().is_empty());

        let mut policy = all_to(&upstream);
        policy["otherwise"] = json!({"to": ["bot"]});
        let served = Served::start(&runtime, &app(&policy).allow(&upstream.url())).await;
        for delivery in [unwanted, unreadable] {
            assert_eq!(served.status(&delivery).await, 200);
            assert_eq!(upstream.next().await.body, delivery.body);
        }
        assert!(served.running.log().contains("unreadable"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_breaks_off_or_is_not_there_is_502_and_a_retry_reaches_it() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let replies = [Reply::Status(500), Reply::Status(404), Reply::Redirect("/elsewhere".into()), Reply::Close];
        for (number, reply) in replies.into_iter().enumerate() {
            let delivery = Delivery::message(&format!("wamid.{number}"), SECRET);
            upstream.now(reply.clone());
            assert_eq!(served.status(&delivery).await, 502, "{reply:?}");
            upstream.now(Reply::Status(200));
            assert_eq!(served.status(&delivery).await, 200, "{reply:?}");
            assert_eq!(upstream.rest().len(), 2, "{reply:?}");
        }
        let gone = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &gone).await;
        drop(gone);
        assert_eq!(served.status(&Delivery::message("wamid.9", SECRET)).await, 502);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_the_target_gives_up_on_is_200_and_never_sent_again() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(422)).await;
        let mut policy = all_to(&upstream);
        policy["targets"]["bot"]["give_up_on"] = json!([422]);
        let served = Served::start(&runtime, &app(&policy).allow(&upstream.url())).await;
        for _ in 0..2 {
            assert_eq!(served.status(&Delivery::message("wamid.1", SECRET)).await, 200);
        }
        assert_eq!(upstream.rest().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_is_504_within_its_time_and_holds_up_no_other() {
    for runtime in Runtime::all() {
        let hangs = Upstream::answering(Reply::Hang).await;
        let mut answers = Upstream::answering(Reply::Status(200)).await;
        let mut policy = all_to(&answers);
        policy["targets"]["slow"] = json!({"url": hangs.url(), "timeout_ms": 3000});
        policy["rules"][0]["to"] = json!(["slow", "bot"]);
        let served = Served::start(&runtime, &app(&policy).allow(&answers.url()).allow(&hangs.url())).await;
        let delivery = Delivery::message("wamid.1", SECRET);
        let started = Instant::now();
        assert_eq!(served.status(&delivery).await, 504);
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(9), "{took:?}");
        answers.next().await;
        // The retry goes to the one that did not take it.
        hangs.now(Reply::Status(200));
        assert_eq!(served.status(&delivery).await, 200);
        assert!(answers.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_answers_time_is_over_nothing_more_is_sent() {
    for runtime in Runtime::all() {
        let mut hangs = Upstream::answering(Reply::Hang).await;
        let mut policy = all_to(&hangs);
        policy["targets"]["bot"] = json!({"url": hangs.url(), "body": "one-per-event", "timeout_ms": 4500});
        let served = Served::start(&runtime, &app(&policy).allow(&hangs.url())).await;
        let ids: Vec<String> = (0..40).map(|number| format!("wamid.{number}")).collect();
        let messages: Vec<_> = ids.iter().map(|id| (id.as_str(), "text")).collect();
        assert_eq!(served.status(&Delivery::batch(&messages, SECRET)).await, 504);
        // What comes after it shows that nothing is still on its way.
        hangs.now(Reply::Status(200));
        assert_eq!(served.status(&Delivery::message("wamid.after", SECRET)).await, 200);
        assert_eq!(hangs.rest().len(), 2 + 1, "those that there was time for, and the one after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_reads_nothing_is_504_in_time() {
    for runtime in Runtime::all() {
        let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", deaf.local_addr().unwrap());
        let policy = json!({
            "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
            "otherwise": {"to": ["deaf"]},
            "targets": {"deaf": {"url": url, "timeout_ms": 700}},
        });
        let served = Served::start(&runtime, &app(&policy).allow(&url)).await;
        let filler = "x".repeat(3_900_000);
        let delivery = Delivery::new("project.event", json!({"event": "project.event", "filler": filler}).to_string());
        let started = Instant::now();
        assert_eq!(served.status(&delivery.signed(SECRET)).await, 504);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_answers_before_it_has_read_everything_has_answered() {
    for runtime in Runtime::all() {
        let hasty = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", hasty.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = hasty.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 422 Too Long\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            stream
        });
        let policy = json!({
            "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
            "otherwise": {"to": ["hasty"]},
            "targets": {"hasty": {"url": url, "give_up_on": [422]}},
        });
        let served = Served::start(&runtime, &app(&policy).allow(&url)).await;
        let filler = "x".repeat(3_900_000);
        let delivery = Delivery::new("project.event", json!({"event": "project.event", "filler": filler}).to_string());
        assert_eq!(served.status(&delivery.signed(SECRET)).await, 200);
        answering.await.unwrap();
    }
}
