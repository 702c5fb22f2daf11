//! Browsers that come back from setup links.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookgate_tests::Delivery;
use hookgate_tests::browser::{self, BROUGHT, COMPLETED, FAILED, completed, failed};
use hookgate_tests::client::Answer;
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

fn policy(onward: (&str, &str), upstream: &Upstream) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "setup_links": browser::setup_links(onward),
        "targets": {"backoffice": {"url": format!("{}?own=1", upstream.url()), "sign_with": "TARGET_SECRET"}},
    })
}

async fn to_target(reply: Reply) -> (Hooked, Upstream) {
    let ends = !matches!(reply, Reply::Hang | Reply::Endless);
    let upstream = Upstream::answering(reply).await;
    let mut policy = policy(("to", "backoffice"), &upstream);
    if !ends {
        policy["targets"]["backoffice"]["timeout_ms"] = json!(500);
    }
    (Hooked::with(&policy).await, upstream)
}

async fn send(hooked: &Hooked, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    browser::ask(method, &hooked.url(path), headers).await
}

async fn get(hooked: &Hooked, path: &str) -> Answer {
    send(hooked, Method::GET, path, &[]).await
}

#[tokio::test]
async fn a_page_gets_what_kapso_said_and_nothing_else() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = Hooked::with(&policy(("page", "https://app.test/welcome?tab=1"), &upstream)).await;
    for method in [Method::GET, Method::HEAD] {
        browser::sent_on(&send(&hooked, method, &completed(), &[]).await, "https://app.test/welcome?tab=1&");
    }
    let answer = get(&hooked, &failed()).await;
    assert_eq!(answer.headers["location"], format!("https://app.test/welcome?tab=1&{FAILED}"));
    let counted = r#"hookgate_redirects_total{setup_link="onboarding",outcome="completed",result="redirected"}"#;
    assert_eq!(hooked.metric(counted).await, 2.0);
    let counted = r#"hookgate_redirects_total{setup_link="onboarding",outcome="link_expired",result="redirected"}"#;
    assert_eq!(hooked.metric(counted).await, 1.0);
}

#[tokio::test]
async fn what_is_too_much_on_a_setup_links_path_is_not_somebody_elses() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&policy(("to", "backoffice"), &upstream));
    config.limits.requests = 0;
    let hooked = Hooked::start(config).await;
    assert_eq!(get(&hooked, &completed()).await.status, 503);
    assert_eq!(hooked.metric(r#"hookgate_undecided_total{source="",reason="overloaded"}"#).await, 1.0);
    assert_eq!(hooked.metric("hookgate_not_ours_total").await, 0.0);
}

#[tokio::test]
async fn a_target_gets_the_request_and_the_browser_its_answer() {
    let page = Reply::Page(
        201,
        vec![("content-type", "text/html"), ("set-cookie", "a=1"), ("connection", "x-hop"), ("x-hop", "1")],
    );
    let (hooked, mut upstream) = to_target(page).await;
    let answer = send(&hooked, Method::GET, &completed(), &BROUGHT).await;
    assert_eq!((answer.status, answer.text()), (201, "thanks"));
    assert_eq!(answer.headers["content-type"], "text/html");
    assert_eq!(answer.headers["set-cookie"], "a=1");
    assert!(!answer.headers.contains_key("x-hop"), "{:?}", answer.headers);
    browser::kept_nowhere(&answer);
    let seen = upstream.next().await;
    assert_eq!(seen.path, format!("/hook?own=1&{COMPLETED}"));
    browser::told(&seen);
    let counted = r#"hookgate_redirects_total{setup_link="onboarding",outcome="completed",result="relayed"}"#;
    assert_eq!(hooked.metric(counted).await, 1.0);
    assert_eq!(hooked.metric(r#"hookgate_target_messages_total{target="backoffice",outcome="2xx"}"#).await, 1.0);
}

#[tokio::test]
async fn whatever_status_a_target_has_is_the_browsers_and_its_redirects_are_not_followed() {
    let (hooked, mut upstream) = to_target(Reply::Status(404)).await;
    assert_eq!(get(&hooked, &failed()).await.status, 404);
    let seen = upstream.next().await;
    assert_eq!((seen.header("x-hookgate-error-code"), seen.header("x-hookgate-status")), (Some("link_expired"), None));
    upstream.now(Reply::Redirect("/done".into()));
    let answer = get(&hooked, &failed()).await;
    assert_eq!((answer.status, &answer.headers["location"]), (302, &"/done".parse().unwrap()));
    upstream.now(Reply::Status(500));
    assert_eq!(get(&hooked, &failed()).await.status, 500);
}

#[tokio::test]
async fn head_is_asked_with_head() {
    let (hooked, mut upstream) = to_target(Reply::Status(200)).await;
    let answer = send(&hooked, Method::HEAD, &completed(), &[]).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(upstream.next().await.method, Method::HEAD);
}

#[tokio::test]
async fn nothing_is_remembered_of_a_redirect() {
    let (hooked, mut upstream) = to_target(Reply::Status(200)).await;
    for _ in 0..2 {
        assert_eq!(get(&hooked, &completed()).await.status, 200);
        upstream.next().await;
    }
    assert_eq!(hooked.metric("hookgate_keys_remembered").await, 0.0);
}

#[tokio::test]
async fn a_target_without_an_answer_is_502_or_504() {
    for (reply, status, result) in
        [(Reply::Hang, 504, "timed-out"), (Reply::Close, 502, "failed"), (Reply::Reset, 502, "failed")]
    {
        let (hooked, _upstream) = to_target(reply.clone()).await;
        let started = Instant::now();
        let answer = get(&hooked, &completed()).await;
        assert_eq!(answer.status, status, "{reply:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{reply:?}: {:?}", started.elapsed());
        let counted =
            format!(r#"hookgate_redirects_total{{setup_link="onboarding",outcome="completed",result="{result}"}}"#);
        assert_eq!(hooked.metric(&counted).await, 1.0, "{reply:?}");
    }
}

/// Which of its limits ends it, size or time, is the machine's affair.
#[tokio::test]
async fn an_answer_without_end_is_ended() {
    let (hooked, _upstream) = to_target(Reply::Endless).await;
    let started = Instant::now();
    let answer = get(&hooked, &completed()).await;
    assert!(matches!(answer.status, 502 | 504), "{}", answer.status);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_kapso_does_not_send_is_a_plain_400_that_tells_nothing() {
    let (hooked, mut upstream) = to_target(Reply::Status(200)).await;
    let mut answers = Vec::new();
    for path in browser::odd() {
        let mut answer = get(&hooked, &path).await;
        answer.headers.remove("date");
        answers.push((answer.status, answer.headers, answer.body));
    }
    assert_eq!((answers[0].0, &answers[0].2), (400, &Bytes::from("bad request\n")));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(upstream.rest().is_empty());
    let counted = r#"hookgate_rejections_total{source="onboarding",reason="bad-redirect"}"#;
    assert_eq!(hooked.metric(counted).await, answers.len() as f64);
    assert_eq!(hooked.metric(r#"hookgate_failure_share{source="onboarding"}"#).await, 0.0, "browsers pause no webhook");
}

#[tokio::test]
async fn another_method_is_405() {
    let (hooked, mut upstream) = to_target(Reply::Status(200)).await;
    for method in [Method::POST, Method::PUT, Method::OPTIONS] {
        let answer = send(&hooked, method, &completed(), &[]).await;
        assert_eq!((answer.status, &answer.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
    }
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn browsers_take_no_bytes_of_deliveries() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let mut config = config(&policy(("to", "backoffice"), &upstream));
    // Of which browsers have an eighth.
    config.limits.bytes = 80_000;
    let hooked = Arc::new(Hooked::start(config).await);
    let large = |hooked: Arc<Hooked>| async move {
        send(&hooked, Method::GET, &completed(), &[("x-padding", &"a".repeat(8_000))]).await.status
    };
    let first = tokio::spawn(large(hooked.clone()));
    upstream.next().await;
    assert_eq!(large(hooked.clone()).await, 503);
    let body = json!({"event": "project.event", "filler": "x".repeat(60_000)});
    assert_eq!(hooked.status(&Delivery::new("project.event", body.to_string()).signed(SECRET)).await, 200);
    permits.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
}

#[tokio::test]
async fn browsers_take_no_places_of_deliveries() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let mut config = config(&policy(("to", "backoffice"), &upstream));
    // Of which browsers have one.
    config.limits.requests = 8;
    let hooked = Arc::new(Hooked::start(config).await);
    let first = tokio::spawn({
        let hooked = hooked.clone();
        async move { get(&hooked, &completed()).await.status }
    });
    upstream.next().await;
    assert_eq!(get(&hooked, &completed()).await.status, 503);
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    permits.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    permits.add_permits(1);
    assert_eq!(get(&hooked, &completed()).await.status, 200, "its place is given back");
}
