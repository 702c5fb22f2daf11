//! Browsers that come back from setup links.

use std::time::Duration;

use hookgate_tests::browser::{self, BROUGHT, COMPLETED, completed, failed};
use hookgate_tests::client::Answer;
use hookgate_tests::spin::Runtime;
use hookgate_tests::upstream::{Reply, Upstream};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::{Served, app};

fn policy(onward: (&str, &str), upstream: &Upstream) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}],
        "setup_links": browser::setup_links(onward),
        "targets": {"backoffice": {"url": format!("{}?own=1", upstream.url()), "timeout_ms": 3000, "sign_with": "TARGET_SECRET"}},
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
        let answer = send(&served, Method::HEAD, &completed(), &[]).await;
        assert_eq!((answer.status, answer.headers.get("content-length")), (200, None));
        assert_eq!(upstream.next().await.method, Method::HEAD);
        upstream.now(Reply::Status(204));
        let answer = send(&served, Method::GET, &completed(), &[]).await;
        assert_eq!((answer.status, answer.headers.get("content-length")), (204, None));
    }
}

/// Each connection is an instance of the component, until its answer is read.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_the_answer_is_cut_off() {
    const PAGE: usize = 4 << 20;
    let upstream = Upstream::answering(Reply::Large(PAGE)).await;
    let served = served(&Runtime::Wasmtime, ("to", "backoffice"), &upstream).await;
    // Little room on this side, so that the page does not fit on the way.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut browser = socket.connect(served.running.address()).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", completed());
    browser.write_all(request.as_bytes()).await.unwrap();
    sleep(Duration::from_secs(15)).await;
    let mut got = Vec::new();
    // A reset ends it too.
    let _ = timeout(Duration::from_secs(60), browser.read_to_end(&mut got)).await.expect("the connection ends");
    assert!(got.starts_with(b"HTTP/1.1 200") && got.len() < PAGE, "{} bytes came", got.len());
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
