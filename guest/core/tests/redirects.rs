//! Whatever a browser brings to a setup link's path: no panic, no way out but to the page or the target of the policy, and nothing
//! in a header or a location that could mean something else there.
#![allow(missing_docs)]

use std::sync::LazyLock;

use hookgate_core::{Admission, Decision, Gate, Head, Onward, Redirect, RedirectOutcome, Relay, Request, Secret};
use proptest::prelude::*;

const POLICY: &str = r#"{
    "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["A"]}],
    "setup_links": [
        {"name": "page", "success_path": "/page", "failure_path": "/no-page", "page": "https://app.test/welcome?tab=1"},
        {"name": "target", "success_path": "/target", "failure_path": "/no-target", "to": "backoffice"}
    ],
    "targets": {"backoffice": {"url": "http://127.0.0.1/"}}
}"#;

const PAGE: &str = "https://app.test/welcome?tab=1&";

static GATE: LazyLock<Gate> =
    LazyLock::new(|| Gate::compile(POLICY, &[Secret { name: "A", value: "a" }]).expect("the policy is right"));

fn redirect(path: &str) -> Option<Redirect<'static>> {
    let head = Head { method: "GET", path, headers: &[] };
    let admitted = match GATE.admit(&head) {
        Admission::Redirect(redirect) => Some(redirect),
        Admission::Respond(refusal) => {
            assert_eq!((refusal.response.status, refusal.response.body.as_slice()), (400, &b"bad request\n"[..]));
            None
        }
        Admission::NotOurs | Admission::Read(_) => panic!("the path is a setup link's"),
    };
    match GATE.decide(&Request { head, body: b"" }, 0) {
        Decision::Redirect(decided) => assert_eq!(Some(&decided), admitted.as_ref()),
        Decision::Respond(_) => assert_eq!(admitted, None),
        Decision::NotOurs | Decision::Deliver(_) => panic!("it was admitted as something else"),
    }
    admitted
}

fn check(path: &str) -> Result<(), TestCaseError> {
    let Some(redirect) = redirect(path) else { return Ok(()) };
    prop_assert!(!redirect.setup_link_id.is_empty());
    prop_assert_eq!(matches!(redirect.outcome, RedirectOutcome::Completed(_)), !path.starts_with("/no-"));
    match redirect.onward {
        Onward::Page(page) => {
            prop_assert_eq!(page.status, 303);
            let location = page.headers.iter().find(|header| header.name == "location").expect("a location");
            let rest = location.value.strip_prefix(PAGE);
            prop_assert!(rest.is_some(), "{}", location.value);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'&' | b'%');
            prop_assert!(rest.unwrap_or_default().bytes().all(plain), "{}", location.value);
        }
        Onward::Target(relay) => {
            prop_assert_eq!(relay.target, "backoffice");
            for header in relay.set_headers {
                prop_assert!(header.name.starts_with("x-hookgate-"));
                prop_assert!(header.value.bytes().all(|byte| byte.is_ascii_graphic()), "{}", header.value);
            }
        }
    }
    Ok(())
}

fn place() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/page", "/no-page", "/target", "/no-target"])
}

/// Queries that are nearly right: known names and good values among odd ones, in any order and number.
fn nearly() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => prop::sample::select(vec![
            "setup_link_id", "status", "error_code", "phone_number_id", "business_account_id",
            "provisioned_phone_number_id", "display_phone_number", "whatsapp_config_id",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,8}",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            "completed", "link_expired", "7f8a9b1c-2d3e-4f5a-6b7c-8d9e0f1a2b3c", "123456789012345", "%2B15551234567",
            "+15551234567", "", "https%3A%2F%2Fevil.test", "%0d%0alocation:x", "%ff", "%", "%2", "%zz", "%00", "\u{e9}",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ];
    prop::collection::vec((name, value), 0..6)
        .prop_map(|pairs| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
}

proptest! {
    #[test]
    fn no_query_leads_elsewhere(place in place(), query in any::<String>()) {
        check(&format!("{place}?{query}"))?;
    }

    #[test]
    fn no_query_that_is_nearly_right_leads_elsewhere(place in place(), query in nearly()) {
        check(&format!("{place}?{query}"))?;
    }

    #[test]
    fn what_is_more_than_kapso_sends_changes_nothing(more in "[a-z]{1,4}=[a-z0-9.~*-]{0,9}") {
        let query = "setup_link_id=a&status=completed&phone_number_id=1";
        prop_assert_eq!(redirect(&format!("/page?{query}")), redirect(&format!("/page?{more}&{query}")));
    }
}

#[test]
fn a_number_is_the_same_however_its_plus_is_written() {
    for written in ["%2B15551234567", "+15551234567", "15551234567", "%2B1%20(555)%20123-4567", "+1+555.123.4567"] {
        let path = format!("/page?setup_link_id=a&status=completed&display_phone_number={written}");
        let found = redirect(&path).map(|redirect| redirect.outcome);
        let Some(RedirectOutcome::Completed(connection)) = found else { panic!("{written} is refused") };
        assert_eq!(connection.display_phone_number.as_deref(), Some("+15551234567"), "{written}");
    }
}

#[test]
fn every_documented_error_code_has_a_type_and_others_pass() {
    for code in [
        "facebook_auth_failed",
        "phone_verification_failed",
        "waba_limit_reached",
        "token_exchange_failed",
        "link_expired",
        "already_used",
        "business_not_verified",
    ] {
        let outcome = redirect(&format!("/no-page?setup_link_id=a&error_code={code}")).expect("it is right").outcome;
        assert_eq!(outcome.as_str(), code);
        let RedirectOutcome::Failed(error) = outcome else { panic!("{code} is a failure") };
        assert_eq!(matches!(error, hookgate_core::SetupError::Other(_)), code == "business_not_verified");
    }
}

#[test]
fn a_received_query_stands_behind_a_targets_own() {
    for (own, expected) in [("/hook?a=b", "/hook?a=b&c=d"), ("/hook", "/hook?c=d"), ("/", "/?c=d")] {
        assert_eq!(Relay::path(own, "c=d"), expected);
    }
}
