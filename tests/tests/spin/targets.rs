//! What reaches a target, and which targets may be reached.

use hookgate_tests::hooked::TARGET_SECRET;
use hookgate_tests::spin::Runtime;
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, hmac_sha256};
use serde_json::json;

use crate::{SECRET, Served, all_to, app};

#[tokio::test(flavor = "multi_thread")]
async fn headers_go_on_without_those_for_one_hop_and_what_spin_added() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let delivery = Delivery::message("wamid.1", SECRET)
            .with("X-Custom", "one")
            .with("X-Custom", "two")
            .with("X-Hookgate-Source", "forged")
            .with("Spin-Client-Addr", "forged")
            .with("Proxy-Authorization", "Basic Zm9v")
            .with("TE", "trailers");
        assert_eq!(served.status(&delivery).await, 200);
        let seen = upstream.next().await;
        let names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("spin-")), "{names:?}");
        assert!(!names.contains(&"proxy-authorization") && !names.contains(&"te"), "{names:?}");
        assert_eq!(seen.headers.get_all("x-custom").iter().count(), 2);
        assert_eq!(seen.header("x-hookgate-source"), Some("whatsapp"));
        assert_eq!(seen.header("x-webhook-event"), Some("whatsapp.message.received"));
        assert_eq!(seen.header("content-length"), Some(delivery.body.len().to_string().as_str()));
        assert_eq!(
            seen.header("x-webhook-signature").map(str::to_owned),
            Some(hmac_sha256(SECRET.as_bytes(), &seen.body))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_gives_up_on_is_done_with_and_the_log_says_so() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(410)).await;
        let mut policy = all_to(&upstream);
        policy["targets"]["bot"]["give_up_on"] = json!([410]);
        let served = Served::start(&runtime, &app(&policy).allow(&upstream.url())).await;
        for _ in 0..2 {
            assert_eq!(served.status(&Delivery::message("wamid.1", SECRET)).await, 200);
        }
        assert_eq!(upstream.rest().len(), 1, "it is not sent again");
        let log = served.running.log();
        assert!(log.contains("rules=messages bot=410(given-up)") && log.contains("bot=duplicate"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_header_says_against_the_body_is_in_the_log() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::to(&runtime, &upstream).await;
        let forged = Delivery::message("wamid.1", SECRET).with("X-Webhook-Event", "whatsapp.message.failed");
        assert_eq!(served.status(&forged).await, 200);
        assert_eq!(
            upstream.next().await.headers.get_all("x-webhook-event").iter().collect::<Vec<_>>(),
            ["whatsapp.message.received"]
        );
        let log = served.running.log();
        assert!(log.contains("contradicts=x-webhook-event"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_shared_out_in_order_and_signed_for_each_target() {
    for runtime in Runtime::all() {
        let (mut texts, mut all) =
            (Upstream::answering(Reply::Status(200)).await, Upstream::answering(Reply::Status(200)).await);
        let mut policy = all_to(&texts);
        policy["targets"] = json!({
            "texts": {"url": texts.url(), "sign_with": "TARGET_SECRET"},
            "all": {"url": all.url(), "body": "one-per-event", "sign_with": "TARGET_SECRET"},
        });
        policy["rules"] = json!([
            {"name": "texts", "when": {"message_type": "text"}, "to": ["texts", "all"]},
            {"name": "others", "when": {"event": "whatsapp.message.*"}, "to": ["all"]},
        ]);
        let served = Served::start(&runtime, &app(&policy).allow(&texts.url()).allow(&all.url())).await;
        let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "image"), ("wamid.3", "text")], SECRET);
        assert_eq!(served.status(&batch).await, 200);
        let part = texts.next().await;
        assert_eq!(part.json()["batch_info"]["size"], 2);
        let mut ids = Vec::new();
        for seen in [all.next().await, all.next().await, all.next().await] {
            assert_eq!(
                seen.header("x-webhook-signature").map(str::to_owned),
                Some(hmac_sha256(TARGET_SECRET.as_bytes(), &seen.body))
            );
            ids.push(seen.json()["message"]["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids, ["wamid.1", "wamid.2", "wamid.3"]);
        assert!(texts.rest().is_empty() && all.rest().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_manifest_does_not_allow_is_502_and_the_log_says_what_to_do() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = Served::start(&runtime, &app(&all_to(&upstream))).await;
        assert_eq!(served.status(&Delivery::message("wamid.1", SECRET)).await, 502);
        assert!(upstream.rest().is_empty());
        assert!(served.running.log().contains("allowed_outbound_hosts"), "{}", served.running.log());
    }
}
