//! Browsers that come back from setup links.

use hookgate_tests::browser::{self, BROUGHT, COMPLETED, completed, failed};
use hookgate_tests::client::Answer;
use hookgate_tests::spin::Runtime;
use hookgate_tests::upstream::{Reply, Upstream};
use http::Method;
use serde_json::{Value, json};

use crate::{Served, app};

fn policy(onward: (&str, &str), upstream: &Upstream) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "setup_links": browser::setup_links(onward),
        "targets": {"backoffice": {"url": format!("{}?own=1", upstream.url()), "timeout_ms": 700, "sign_with": "TARGET_SECRET"}},
    })
}

async fn served(runtime: &Runtime, onward: (&str, &str), upstream: &Upstream) -> Served {
    Served::start(runtime, &app(&policy(onward, upstream)).allow(&upstream.url())).await
}

async fn send(served: &Served, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    browser::ask(method, &served.running.url(path), headers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_gets_what_kapso_said_and_nothing_else() {
    for runtime in Runtime::all() {
        let upstream = Upstream::answering(Reply::Status(200)).await;
        let served = served(&runtime, ("page", "https://app.test/welcome"), &upstream).await;
        browser::sent_on(&send(&served, Method::GET, &completed(), &[]).await, "https://app.test/welcome?");
        let log = served.running.log();
        assert!(log.contains("303 setup_link=onboarding unsigned redirect=completed"), "{log}");
        assert!(!log.contains("1555"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_gets_the_request_and_the_browser_its_answer() {
    for runtime in Runtime::all() {
        let page =
            Reply::Page(201, vec![("content-type", "text/html"), ("set-cookie", "a=1"), ("cache-control", "private")]);
        let mut upstream = Upstream::answering(page).await;
        let served = served(&runtime, ("to", "backoffice"), &upstream).await;
        let answer = send(&served, Method::GET, &completed(), &BROUGHT).await;
        assert_eq!((answer.status, answer.text()), (201, "thanks"));
        assert_eq!(answer.headers["content-type"], "text/html");
        assert_eq!(answer.headers["set-cookie"], "a=1");
        assert_eq!(answer.headers["cache-control"], "private", "the target has its own");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        let seen = upstream.next().await;
        assert_eq!(seen.path, format!("/hook?own=1&{COMPLETED}"));
        browser::told(&seen);
        upstream.now(Reply::Redirect("/done".into()));
        let answer = send(&served, Method::GET, &failed(), &[]).await;
        assert_eq!((answer.status, &answer.headers["location"]), (302, &"/done".parse().unwrap()));
        assert_eq!(upstream.next().await.header("x-hookgate-error-code"), Some("link_expired"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_asked_with_head() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = served(&runtime, ("to", "backoffice"), &upstream).await;
        assert_eq!(send(&served, Method::HEAD, &completed(), &[]).await.status, 200);
        assert_eq!(upstream.next().await.method, Method::HEAD);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_without_an_answer_is_502_or_504() {
    for runtime in Runtime::all() {
        for (reply, status) in [(Reply::Hang, 504), (Reply::Close, 502)] {
            let upstream = Upstream::answering(reply.clone()).await;
            let served = served(&runtime, ("to", "backoffice"), &upstream).await;
            let answer = send(&served, Method::GET, &completed(), &[]).await;
            assert_eq!(answer.status, status, "{reply:?}");
        }
    }
}

/// Which of its limits ends it, size or time, is the machine's affair.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_ended() {
    for runtime in Runtime::all() {
        let upstream = Upstream::answering(Reply::Endless).await;
        let served = served(&runtime, ("to", "backoffice"), &upstream).await;
        let answer = send(&served, Method::GET, &completed(), &[]).await;
        assert!(matches!(answer.status, 502 | 504), "{}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kapso_does_not_send_is_a_plain_400_and_another_method_405() {
    for runtime in Runtime::all() {
        let mut upstream = Upstream::answering(Reply::Status(200)).await;
        let served = served(&runtime, ("to", "backoffice"), &upstream).await;
        for path in browser::odd() {
            let answer = send(&served, Method::GET, &path, &[]).await;
            assert_eq!((answer.status, answer.text()), (400, "bad request\n"), "{path}");
        }
        let answer = send(&served, Method::POST, &completed(), &[]).await;
        assert_eq!((answer.status, &answer.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
        assert!(upstream.rest().is_empty());
        assert!(
            served.running.log().contains("400 source=onboarding rejected=bad-redirect"),
            "{}",
            served.running.log()
        );
    }
}
