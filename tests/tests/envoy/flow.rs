//! Genuine deliveries: what goes where, and what the sender is answered.

use std::time::{Duration, Instant};

use hookgate_tests::client::{Client, Raw};
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, hmac_sha256};
use serde_json::{Value, json};

use crate::edge::{Edge, PATH, SECRET, TARGET_SECRET, message, to};

#[tokio::test]
async fn a_fan_out_reaches_every_target_and_needs_all_of_them() {
    let mut edge = Edge::new(&to(&["bot", "crm"])).await;
    let delivery = message("wamid.A1");
    let answer = edge.post(&delivery).await;
    assert_eq!((answer.status, answer.text()), (200, "ok\n"));
    assert_eq!(answer.headers.get("content-length").expect("a length"), "3");
    for target in [&mut edge.bot, &mut edge.crm] {
        let seen = target.next().await;
        assert_eq!(seen.body, delivery.body);
        assert_eq!((seen.header("x-hookgate-source"), seen.header("x-hookgate-target")), (Some("whatsapp"), None));
        assert_eq!(seen.header("x-webhook-signature"), Some(hmac_sha256(SECRET.as_bytes(), &seen.body).as_str()));
        assert_eq!(seen.header("content-length"), Some(delivery.body.len().to_string().as_str()));
    }
    edge.crm.now(Reply::Status(500));
    let answer = edge.post(&message("wamid.A2")).await;
    assert_eq!((answer.status, answer.text()), (502, "bad gateway\n"));
    edge.envoy.logged("message not taken source=whatsapp target=crm result=refused").await;
}

#[tokio::test]
async fn the_answer_waits_for_the_slowest_target() {
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let mut edge = Edge::new(&to(&["bot", "crm"])).await;
    edge.crm.now(Reply::Held(permits.clone(), 200));
    let (url, delivery) = (edge.envoy.url(PATH), message("wamid.A1"));
    let mut answer = tokio::spawn(async move { Client::new().post(&url, &delivery).await.status });
    edge.bot.next().await;
    edge.crm.next().await;
    // bot's answer has come to Envoy, and is held there.
    edge.counted("cluster.bot.upstream_rq_200", 1).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_err(), "answered while crm had not");
    permits.add_permits(1);
    assert_eq!(answer.await.expect("no panic"), 200);
}

/// An Envoy that speaks HTTP/2 with bot.
async fn over_http2(targets: &[&str]) -> Edge {
    Edge::with(&to(targets), |mut settings| {
        let http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let options = json!({"@type": format!("type.googleapis.com/{http}"),
                             "explicit_http_config": {"http2_protocol_options": {}}});
        settings.at("/static_resources/clusters/0")["typed_extension_protocol_options"] = json!({http: options});
        settings
    })
    .await
}

#[tokio::test]
async fn a_targets_trailers_let_no_answer_go_before_its_time() {
    for (thanks, answered) in [("thanks", "bad gateway\n"), ("", "")] {
        let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let mut edge = over_http2(&["bot", "crm"]).await;
        edge.bot.now(Reply::Trailers(thanks));
        edge.crm.now(Reply::Held(permits.clone(), 500));
        let (url, delivery) = (edge.envoy.url(PATH), message("wamid.A1"));
        let mut answer = tokio::spawn(async move { Client::new().post(&url, &delivery).await });
        edge.crm.next().await;
        edge.counted("cluster.bot.upstream_rq_200", 1).await;
        let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
        assert!(early.is_err(), "answered while crm had not");
        permits.add_permits(1);
        let answer = answer.await.expect("an answer");
        assert_eq!((answer.status, answer.text()), (502, answered));
    }
}

#[tokio::test]
async fn a_targets_trailers_go_to_nobody() {
    let edge = over_http2(&["bot"]).await;
    edge.bot.now(Reply::Trailers("thanks"));
    let answer = edge.post(&message("wamid.A1")).await;
    assert_eq!((answer.status, answer.text()), (200, "ok\n"));
}

/// The headers of the answer have gone, and there is no body any more to put the rest into.
#[tokio::test]
async fn with_trailers_and_no_body_the_retry_is_answered() {
    let mut edge = over_http2(&["bot"]).await;
    edge.bot.now(Reply::Trailers(""));
    let (url, delivery) = (edge.envoy.url(PATH), message("wamid.A1"));
    let first = tokio::spawn(async move { Client::new().post(&url, &delivery).await });
    assert!(first.await.is_err(), "it is broken off");
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    assert_eq!(edge.bot.rest().len(), 1);
}

#[tokio::test]
async fn a_batch_is_split_signed_anew_and_normalized() {
    let mut policy = to(&["bot"]);
    policy["rules"] = json!([{"name": "texts", "when": {"message_type": "text"}, "to": ["crm"]}]);
    policy["targets"]["bot"]["sign_with"] = json!("TARGET_SECRET");
    policy["targets"]["crm"]["body"] = json!("normalized");
    let mut edge = Edge::new(&policy).await;
    let batch = Delivery::batch(&[("wamid.1", "image"), ("wamid.2", "text"), ("wamid.3", "image")], SECRET);
    assert_eq!(edge.post(&batch).await.status, 200);
    let images = edge.bot.next().await;
    assert_eq!(images.json()["batch_info"]["size"], 2);
    assert_eq!(images.json()["data"][1]["message"]["id"], "wamid.3");
    assert_eq!(images.header("x-batch-size"), Some("2"));
    assert_eq!(images.header("content-length"), Some(images.body.len().to_string().as_str()));
    let signature = hmac_sha256(TARGET_SECRET.as_bytes(), &images.body);
    assert_eq!(images.header("x-webhook-signature"), Some(signature.as_str()));
    let texts = edge.crm.next().await;
    assert_eq!(texts.json()["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(texts.header("x-webhook-signature"), None);
}

#[tokio::test]
async fn a_body_may_become_longer_on_the_way() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["body"] = json!("normalized");
    let mut edge = Edge::new(&policy).await;
    let delivery = message("wamid.A1");
    assert_eq!(edge.post(&delivery).await.status, 200);
    let seen = edge.bot.next().await;
    assert!(seen.body.len() > delivery.body.len());
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    seen.json();
}

#[tokio::test]
async fn a_body_that_grows_beyond_what_envoy_holds_is_sent_all_the_same() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["body"] = json!("normalized");
    let mut edge = Edge::new(&policy).await;
    let text = "x".repeat(60_000);
    let item = |number: usize| {
        json!({"message": {"id": format!("wamid.{number}"), "type": "text", "text": {"body": text},
               "kapso": {"direction": "inbound", "status": "received", "content": text}}, "phone_number_id": "1"})
    };
    let items: Vec<_> = (0..20).map(item).collect();
    let body = json!({"type": "whatsapp.message.received", "batch": true, "data": items}).to_string();
    let batch = Delivery::new("whatsapp.message.received", body).signed(SECRET);
    assert_eq!(edge.post(&batch).await.status, 200);
    let sent = edge.bot.next().await.body.len();
    assert!(batch.body.len() < 4 << 20 && sent > 5 << 20, "{} became {sent}", batch.body.len());
}

#[tokio::test]
async fn events_go_one_by_one_in_the_bodys_order() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["body"] = json!("one-per-event");
    let mut edge = Edge::new(&policy).await;
    let ids: Vec<_> = (1..=5).map(|number| format!("wamid.{number}")).collect();
    let messages: Vec<_> = ids.iter().map(|id| (id.as_str(), "text")).collect();
    assert_eq!(edge.post(&Delivery::batch(&messages, SECRET)).await.status, 200);
    for id in &ids {
        assert_eq!(edge.bot.next().await.json()["message"]["id"], id.as_str());
    }
}

#[tokio::test]
async fn a_targets_answer_becomes_ours_and_nothing_of_it_is_shown() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["give_up_on"] = json!([410, 422]);
    let edge = Edge::new(&policy).await;
    for (status, expected) in [
        (200, 200),
        (201, 200),
        (202, 200),
        (204, 200),
        (410, 200),
        (422, 200),
        (302, 502),
        (401, 502),
        (500, 502),
        (503, 502),
    ] {
        edge.bot.now(Reply::Status(status));
        let answer = edge.post(&message(&format!("wamid.{status}"))).await;
        assert_eq!(answer.status, expected, "for {status}");
        assert!(!answer.text().contains("thanks"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_a_target_refused_for_good_is_not_sent_again() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["give_up_on"] = json!([410]);
    let mut edge = Edge::new(&policy).await;
    edge.bot.now(Reply::Status(410));
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    edge.bot.next().await;
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test]
async fn targets_that_break_off_or_are_not_there_get_502() {
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["give_up_on"] = json!([503]);
    let edge = Edge::new(&policy).await;
    for reply in [Reply::Close, Reply::Reset] {
        edge.bot.now(reply);
        assert_eq!(edge.post(&message("wamid.A1")).await.status, 502);
    }
    let gone = Upstream::answering(Reply::Status(200)).await.address();
    for targets in [&["bot"][..], &["bot", "crm"], &["crm", "bot"]] {
        let edge = Edge::with(&to(targets), |mut settings| {
            settings.at("/static_resources/clusters")[0] = hookgate_tests::envoy::cluster("bot", gone);
            settings
        })
        .await;
        assert_eq!(edge.post(&message("wamid.A1")).await.status, 502, "{targets:?}");
    }
    let mut policy = to(&["crm", "bot"]);
    policy["targets"]["bot"]["cluster"] = json!("unheard-of");
    assert_eq!(Edge::new(&policy).await.post(&message("wamid.A1")).await.status, 502);
    let mut policy = to(&["bot"]);
    policy["targets"]["bot"]["cluster"] = json!("unheard-of");
    assert_eq!(Edge::new(&policy).await.post(&message("wamid.A1")).await.status, 502);
}

#[tokio::test]
async fn targets_that_do_not_answer_in_time_get_504_whatever_the_route_says() {
    for targets in [&["bot"][..], &["crm", "bot"], &["bot", "crm"]] {
        let mut policy = to(targets);
        policy["targets"]["bot"]["timeout_ms"] = json!(1000);
        let edge = Edge::with(&policy, |mut settings| {
            settings.manager()["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = json!("0s");
            settings
        })
        .await;
        edge.bot.now(Reply::Hang);
        let start = Instant::now();
        assert_eq!(edge.post(&message("wamid.A1")).await.status, 504, "{targets:?}");
        assert!((900..8000).contains(&start.elapsed().as_millis()), "{targets:?}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn the_routes_own_timeout_is_a_timeout_too() {
    let edge = Edge::with(&to(&["bot"]), |mut settings| {
        settings.manager()["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = json!("0.3s");
        settings
    })
    .await;
    edge.bot.now(Reply::Hang);
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 504);
}

#[tokio::test]
async fn a_targets_body_that_never_ends_does_not_hold_the_answer() {
    let edge = Edge::new(&to(&["bot"])).await;
    edge.bot.now(Reply::Endless);
    let answer = edge.post(&message("wamid.A1")).await;
    assert_eq!((answer.status, answer.text()), (200, "ok\n"));
}

#[tokio::test]
async fn a_targets_url_says_path_and_host_whether_proxied_or_called() {
    let mut policy = to(&["bot", "crm"]);
    policy["targets"]["bot"]["url"] = json!("http://bot.test:81/hook?x=1");
    policy["targets"]["crm"]["url"] = json!("http://crm.test/hook");
    let mut edge = Edge::new(&policy).await;
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
    let seen = edge.bot.next().await;
    assert_eq!((seen.path.as_str(), seen.header("host")), ("/hook?x=1", Some("bot.test:81")));
    let seen = edge.crm.next().await;
    assert_eq!((seen.path.as_str(), seen.header("host")), ("/hook", Some("crm.test")));
}

#[tokio::test]
async fn other_paths_pass_and_cannot_choose_a_target() {
    let mut edge = Edge::with(&to(&["bot"]), |mut settings| {
        let routes = &mut settings.manager()["route_config"]["virtual_hosts"][0]["routes"];
        routes[1] = json!({"match": {"prefix": "/"}, "route": {"cluster": "crm"}});
        settings
    })
    .await;
    edge.crm.now(Reply::Status(404));
    let forged = Delivery::new("x", "{}").with("X-Hookgate-Target", "bot").with("x-hookgate-source", "whatsapp");
    let client = Client::new();
    let answer = client.post(&edge.envoy.url("/webhooks/whatsapp/"), &forged).await;
    assert_eq!((answer.status, answer.text()), (404, "thanks"));
    let seen = edge.crm.next().await;
    assert_eq!((seen.header("x-hookgate-target"), seen.header("x-hookgate-source")), (None, None));
    assert_eq!(seen.body, "{}");
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test]
async fn paths_that_only_look_different_are_the_source() {
    let mut edge = Edge::with(&to(&["bot"]), |mut settings| {
        let routes = &mut settings.manager()["route_config"]["virtual_hosts"][0]["routes"];
        routes[1] = json!({"match": {"prefix": "/"}, "route": {"cluster": "crm"}});
        settings
    })
    .await;
    let client = Client::new();
    for path in ["//webhooks/whatsapp", "/webhooks/./whatsapp", "/x/../webhooks/whatsapp", "/webhooks/%77hatsapp"] {
        let answer = client.post(&edge.envoy.url(path), &Delivery::message("wamid.A1", "forged")).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    assert!(edge.crm.rest().is_empty());
}

/// Envoy's routes match without the query, and HTTP/2 can bring any byte in it.
#[tokio::test]
async fn a_query_that_is_no_text_does_not_lead_past_the_filter() {
    let mut edge = Edge::with(&to(&["bot"]), |mut settings| {
        let routes = &mut settings.manager()["route_config"]["virtual_hosts"][0]["routes"];
        routes[1] = json!({"match": {"path": PATH}, "route": {"cluster": "crm"}});
        settings
    })
    .await;
    let path = [PATH.as_bytes(), b"?x=\xff"].concat();
    let mut raw = Raw::connect(edge.envoy.address()).await;
    raw.write(http2_post(&path, &Delivery::message("wamid.A1", "forged"))).await;
    edge.counted("wasmcustom.hookgate.requests.source.whatsapp.result.wrong-signature", 1).await;
    assert!(edge.crm.rest().is_empty());
}

/// An HTTP/2 connection's first bytes, with one request: clients refuse to send such a path.
fn http2_post(path: &[u8], delivery: &Delivery) -> Vec<u8> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const DATA: u8 = 0;
    const END_HEADERS: u8 = 4;
    const END_STREAM: u8 = 1;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // Neither indexed nor compressed (RFC 7541, section 6.2.2).
    let short = |text: &[u8]| [&[u8::try_from(text.len()).expect("short")], text].concat();
    let field = |(name, value): (&[u8], &[u8])| [vec![0], short(name), short(value)].concat();
    let pseudo: [(&[u8], &[u8]); 4] =
        [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", path)];
    let names: Vec<_> = delivery.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let values = delivery.headers.iter().map(|(_, value)| value.as_bytes());
    let fields: Vec<_> = pseudo.into_iter().chain(names.iter().map(|name| name.as_bytes()).zip(values)).collect();
    let head: Vec<u8> = fields.into_iter().flat_map(field).collect();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, b""),
        frame(HEADERS, END_HEADERS, 1, &head),
        frame(DATA, END_STREAM, 1, &delivery.body),
    ]
    .concat()
}

#[tokio::test]
async fn metas_handshake_is_answered() {
    let edge = Edge::new(&to(&["bot"])).await;
    let query = "hub.mode=subscribe&hub.challenge=4711&hub.verify_token=";
    let answer = edge.get(&format!("{PATH}?{query}{TARGET_SECRET}")).await;
    assert_eq!((answer.status, answer.text()), (200, "4711"));
    assert_eq!(edge.get(&format!("{PATH}?{query}wrong")).await.status, 401);
}

#[tokio::test]
async fn bodies_over_a_limit_get_413() {
    let mut policy = to(&["bot"]);
    policy["limits"] = json!({"body_bytes": 100_000});
    let mut edge = Edge::with(&policy, |mut settings| {
        settings.at("/static_resources/listeners/0")["per_connection_buffer_limit_bytes"] = json!(200_000);
        settings
    })
    .await;
    let of_size = |size| Delivery::new("x", vec![b' '; size]).signed(SECRET);
    assert_eq!(edge.post(&of_size(100_001)).await.status, 413);
    assert_eq!(edge.post(&of_size(100_000)).await.status, 200);
    edge.bot.next().await;
    // Envoy's own limit comes first.
    let edge = Edge::with(&to(&["bot"]), |mut settings| {
        settings.at("/static_resources/listeners/0")["per_connection_buffer_limit_bytes"] = json!(50_000);
        settings
    })
    .await;
    assert_eq!(edge.post(&of_size(3_000_000)).await.status, 413);
    edge.counted("wasmcustom.hookgate.requests.source.whatsapp.result.too-large", 1).await;
}

#[tokio::test]
async fn the_access_log_and_the_statistics_say_what_became_of_it() {
    let edge = Edge::new(&to(&["bot"])).await;
    edge.post(&message("wamid.A1")).await;
    edge.post(&Delivery::message("wamid.A2", "forged")).await;
    edge.envoy.logged(r#""result":"wrong-signature""#).await;
    edge.envoy.logged(r#""details":"hookgate_wrong-signature""#).await;
    edge.envoy.logged(r#""result":"delivered""#).await;
    edge.envoy.logged("hookgate: refused source=whatsapp reason=wrong-signature status=401").await;
    let log = edge.envoy.log();
    let delivered = log.lines().find(|line| line.contains(r#""result":"delivered""#)).expect("a line");
    let delivered: Value = serde_json::from_str(delivered).expect("JSON");
    assert_eq!((&delivered["source"], &delivered["upstream"]), (&json!("whatsapp"), &json!("bot")));
    assert_eq!(delivered["event"], "whatsapp.message.received");
    assert!(!log.contains(SECRET) && !log.contains("Hello") && !log.contains("16315551181"), "{log}");
    let statistics = edge.envoy.admin("/stats/prometheus").await;
    for line in [
        r#"hookgate_requests{source="whatsapp",result="delivered"} 1"#,
        r#"hookgate_requests{source="whatsapp",result="wrong-signature"} 1"#,
        r#"hookgate_messages{target="bot",result="delivered"} 1"#,
        r#"hookgate_answer_ms_count{source="whatsapp"} "#,
    ] {
        let parts: Vec<_> = line.split(['{', '}', ',']).collect();
        let found = statistics.lines().any(|candidate| parts.iter().all(|part| candidate.contains(part)));
        assert!(
            found,
            "{line} is not in:\n{}",
            statistics.lines().filter(|line| line.contains("hookgate")).collect::<Vec<_>>().join("\n")
        );
    }
}
