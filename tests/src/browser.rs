//! A browser that Kapso sends back from a setup link: what it asks for, what a target gets of that, and what it hears.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::upstream::Seen;

/// What a completed setup says, and behind that a parameter of the customer's own.
pub const COMPLETED: &str = "setup_link_id=7f8a9b1c-2d3e&status=completed&phone_number_id=123456789012345\
                             &display_phone_number=%2B15551234567&empresa_id=7";
/// What a failed one says.
pub const FAILED: &str = "setup_link_id=7f8a9b1c-2d3e&error_code=link_expired";

/// Headers of which only the first may reach a target.
pub const BROUGHT: [(&str, &str); 3] =
    [("cookie", "session=1"), ("x-hookgate-signed", "true"), ("x-webhook-signature", "ab")];

/// A policy's setup link: to a `page`, or `to` a target.
pub fn setup_links((name, value): (&str, &str)) -> Value {
    json!([{"name": "onboarding", "success_path": "/connected", "failure_path": "/not-connected", name: value}])
}

/// The path of a browser whose setup is completed.
pub fn completed() -> String {
    format!("/connected?{COMPLETED}")
}

/// The path of one whose setup failed.
pub fn failed() -> String {
    format!("/not-connected?{FAILED}")
}

/// Asks for something without a body.
///
/// # Panics
/// Without an answer.
pub async fn ask(method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::new().send(request.body(Full::default()).expect("a request")).await
}

/// Checks that the browser is sent on to the page with what Kapso documents, and nothing else. `page` ends with `?` or `&`.
///
/// # Panics
/// Where it is not.
pub fn sent_on(answer: &Answer, page: &str) {
    assert_eq!(answer.status, 303);
    let (documented, _) = COMPLETED.split_once("&empresa_id").expect("a parameter of the customer's own");
    assert_eq!(answer.headers["location"], format!("{page}{documented}"));
    kept_nowhere(answer);
}

/// Checks that the answer is to be kept nowhere and its address told to nobody.
///
/// # Panics
/// Where it is not.
pub fn kept_nowhere(answer: &Answer) {
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
}

/// Checks what a target was told by a browser that came with [`BROUGHT`] from a completed setup.
///
/// # Panics
/// Where it was told something else.
pub fn told(seen: &Seen) {
    assert_eq!((&seen.method, &seen.body[..]), (&Method::GET, &b""[..]));
    for (name, value) in [
        ("cookie", Some("session=1")),
        ("x-hookgate-setup-link", Some("onboarding")),
        ("x-hookgate-signed", Some("false")),
        ("x-hookgate-setup-link-id", Some("7f8a9b1c-2d3e")),
        ("x-hookgate-status", Some("completed")),
        ("x-hookgate-phone-number-id", Some("123456789012345")),
        ("x-hookgate-display-phone-number", Some("+15551234567")),
        // Nothing there is signed, by nobody.
        ("x-webhook-signature", None),
        ("x-hookgate-source", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
}

/// Paths that Kapso sends no browser to.
pub fn odd() -> Vec<String> {
    let long = format!("/connected?setup_link_id=a&status=completed&x={}", "a".repeat(4096));
    let long_id = format!("/connected?setup_link_id={}&status=completed", "a".repeat(65));
    let odd = [
        "/connected",
        "/connected?",
        "/connected?status=completed",
        "/connected?setup_link_id=&status=completed",
        "/connected?setup_link_id=a",
        "/connected?setup_link_id=a&status=Completed",
        "/connected?setup_link_id=a&setup_link_id=a&status=completed",
        "/connected?setup_link_id=a&status=completed&status=",
        "/connected?setup_link_id=a%&status=completed",
        "/connected?setup_link_id=a&status=completed&%ff=1",
        "/connected?setup_link_id=a&status=completed&x=%00",
        "/connected?setup_link_id=%3Cscript%3E&status=completed",
        "/connected?setup_link_id=../x&status=completed",
        "/connected?setup_link_id=a&status=completed&display_phone_number=12",
        "/connected?setup_link_id=a&status=completed&display_phone_number=%2B1555x234567",
        "/connected?setup_link_id=a&error_code=link_expired",
        "/not-connected?setup_link_id=a&status=completed",
        "/not-connected?setup_link_id=a",
        "/not-connected?setup_link_id=a%0a&error_code=x",
    ];
    odd.map(String::from).into_iter().chain([long, long_id]).collect()
}
