//! Browsers that come back from setup links.

use hookgate_tests::browser::{self, BROUGHT, COMPLETED, completed, failed};
use hookgate_tests::client::{Answer, Client};
use hookgate_tests::upstream::Reply;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::edge::{Edge, to};

fn policy(onward: (&str, &str)) -> Value {
    let mut policy = to(&["crm"]);
    policy["setup_links"] = browser::setup_links(onward);
    policy["targets"]["bot"] = json!({"cluster": "bot", "timeout_ms": 3000, "sign_with": "TARGET_SECRET"});
    policy
}

async fn send(edge: &Edge, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    browser::ask(method, &edge.envoy.url(path), headers).await
}

#[tokio::test]
async fn a_page_gets_what_kapso_said_and_nothing_else() {
    let edge = Edge::new(&policy(("page", "https://app.test/welcome?tab=1"))).await;
    browser::sent_on(&edge.get(&completed()).await, "https://app.test/welcome?tab=1&");
    edge.counted("wasmcustom.hookgate.requests.source.onboarding.result.redirected", 1).await;
    edge.envoy.logged(r#""redirect":"completed""#).await;
    assert!(!edge.envoy.log().contains("1555"), "{}", edge.envoy.log());
}

#[tokio::test]
async fn a_target_gets_the_request_and_the_browser_its_answer() {
    let mut edge = Edge::new(&policy(("to", "bot"))).await;
    edge.bot.now(Reply::Page(201, vec![("content-type", "text/html"), ("set-cookie", "a=1")]));
    let answer = send(&edge, Method::GET, &completed(), &BROUGHT).await;
    assert_eq!((answer.status, answer.text()), (201, "thanks"));
    assert_eq!(answer.headers["content-type"], "text/html");
    assert_eq!(answer.headers["set-cookie"], "a=1");
    browser::kept_nowhere(&answer);
    let seen = edge.bot.next().await;
    assert_eq!(seen.path, completed());
    browser::told(&seen);
    edge.bot.now(Reply::Status(404));
    let answer = edge.get(&failed()).await;
    assert_eq!((answer.status, answer.text()), (404, "thanks"));
    assert_eq!(edge.bot.next().await.header("x-hookgate-error-code"), Some("link_expired"));
    assert!(edge.crm.rest().is_empty());
    edge.counted("wasmcustom.hookgate.requests.source.onboarding.result.relayed", 2).await;
}

#[tokio::test]
async fn a_targets_url_says_path_and_host_and_the_query_follows() {
    let mut policy = policy(("to", "bot"));
    policy["targets"]["bot"]["url"] = json!("http://bot.test:81/setup?own=1");
    let mut edge = Edge::new(&policy).await;
    assert_eq!(edge.get(&completed()).await.status, 200);
    let seen = edge.bot.next().await;
    assert_eq!(
        (seen.path, seen.headers["host"].to_str().unwrap()),
        (format!("/setup?own=1&{COMPLETED}"), "bot.test:81")
    );
}

#[tokio::test]
async fn a_target_without_an_answer_is_502_or_504() {
    let edge = Edge::new(&policy(("to", "bot"))).await;
    for (reply, status, body) in [
        (Reply::Hang, 504, "gateway timeout\n"),
        (Reply::Close, 502, "bad gateway\n"),
        (Reply::Reset, 502, "bad gateway\n"),
    ] {
        edge.bot.now(reply.clone());
        let answer = edge.get(&completed()).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{reply:?}");
    }
    edge.bot.now(Reply::Status(500));
    assert_eq!(edge.get(&completed()).await.status, 500, "what a target says is the browser's");
}

#[tokio::test]
async fn a_body_does_not_reach_the_target() {
    let mut edge = Edge::new(&policy(("to", "bot"))).await;
    let url = edge.envoy.url(&completed());
    let request = Request::get(&url).body(Full::from("a body")).expect("a request");
    assert_eq!(Client::new().send(request).await.status, 400);
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test]
async fn what_kapso_does_not_send_is_a_plain_400_and_another_method_405() {
    let mut edge = Edge::new(&policy(("to", "bot"))).await;
    for path in browser::odd() {
        let answer = edge.get(&path).await;
        assert_eq!((answer.status, answer.text()), (400, "bad request\n"), "{path}");
    }
    let answer = send(&edge, Method::POST, &completed(), &[]).await;
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
    assert!(edge.bot.rest().is_empty());
    edge.counted("wasmcustom.hookgate.requests.source.onboarding.result.bad-redirect", browser::odd().len() as u64)
        .await;
    edge.envoy.logged("hookgate: refused source=onboarding reason=bad-redirect status=400").await;
}
