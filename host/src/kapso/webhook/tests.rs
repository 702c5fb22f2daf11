use super::*;

fn number() -> Scope {
    Scope::Number("123".into())
}

/// A webhook that nothing is wrong with.
fn right() -> Settings {
    Settings {
        url: Some("https://api.acme.com/webhooks/whatsapp".into()),
        events: Some(vec!["whatsapp.message.received".into()]),
        secret_key: Some("s3cret".into()),
        ..Settings::default()
    }
}

#[track_caller]
fn refused(settings: &Settings, scope: &Scope, why: &str) {
    let problems = settings.problems(scope, Names::Known);
    assert!(matches!(problems.as_slice(), [one] if one.contains(why)), "{problems:?}");
    assert!(!problems[0].contains("u:p"), "{problems:?}");
}

#[test]
fn a_right_one_has_no_problem() {
    assert!(right().problems(&number(), Names::Known).is_empty());
    let buffer = Buffer { enabled: Some(true), window_seconds: Some(60), max_size: Some(100), events: None };
    assert!(Settings { buffer, ..right() }.problems(&number(), Names::Known).is_empty());
    let meta = Settings { kind: Some(Kind::Meta), events: None, ..right() };
    assert!(meta.problems(&number(), Names::Known).is_empty());
}

#[test]
fn what_kapso_would_refuse_is_refused_here() {
    for (url, why) in [
        ("http://api.acme.com/x", "HTTPS"),
        ("api.acme.com", "no URL"),
        ("https://localhost/x", "this machine"),
        ("https://127.0.0.1/x", "this machine"),
        ("https://u:p@api.acme.com/x", "user information"),
        ("https://api.acme.com/#x", "fragment"),
    ] {
        refused(&Settings { url: Some(url.into()), ..right() }, &number(), why);
    }
    let events = |name: &str| Settings { events: Some(vec![name.into()]), ..right() };
    refused(&events("whatsapp.message.recieved"), &number(), "Did you mean whatsapp.message.received?");
    refused(&events("invoice.paid"), &number(), "hookgate webhooks events");
    refused(&events("project.event"), &number(), "of the project");
    refused(&right(), &Scope::Project, "say which number");
    refused(&Settings { events: Some(Vec::new()), ..right() }, &number(), "at least one event");
    refused(&Settings { secret_key: None, ..right() }, &number(), "needs a secret");
    refused(&Settings { secret_key: Some("".into()), ..right() }, &number(), "empty");
    refused(&Settings { inactivity_minutes: Some(0), ..right() }, &number(), "1 to 1440");
    refused(&Settings { inactivity_minutes: Some(1441), ..right() }, &number(), "1 to 1440");
    for (name, value) in [("a b", "c"), ("a", "b\nc"), ("", "c")] {
        let headers = Some(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        refused(&Settings { headers, ..right() }, &number(), "header");
    }
}

#[test]
fn buffering_has_bounds() {
    let buffer = |buffer| Settings { buffer, ..right() };
    for seconds in [0, 61] {
        let window_seconds = Some(seconds);
        refused(&buffer(Buffer { window_seconds, ..Buffer::default() }), &number(), "1 to 60 seconds");
    }
    for size in [0, 101] {
        refused(&buffer(Buffer { max_size: Some(size), ..Buffer::default() }), &number(), "1 to 100 messages");
    }
    let events = Some(vec!["whatsapp.message.sent".into()]);
    refused(&buffer(Buffer { events, ..Buffer::default() }), &number(), "cannot be buffered");
}

#[test]
fn a_meta_webhook_has_a_number_and_nothing_to_choose() {
    let meta = Settings { kind: Some(Kind::Meta), events: None, ..right() };
    refused(&meta, &Scope::Project, "belongs to a phone number");
    refused(&Settings { events: right().events, ..meta.clone() }, &number(), "takes no events");
    let version = Settings { payload_version: Some(PayloadVersion::V2), ..meta.clone() };
    refused(&version, &number(), "no version");
    let buffer = Buffer { enabled: Some(true), ..Buffer::default() };
    refused(&Settings { buffer, ..meta.clone() }, &number(), "cannot buffer");
    let buffer = Buffer { enabled: Some(false), ..Buffer::default() };
    assert!(Settings { buffer, ..meta }.problems(&number(), Names::Known).is_empty());
}

#[test]
fn any_name_is_taken_where_that_is_asked_for() {
    let young = Settings { events: Some(vec!["whatsapp.call.missed".into()]), ..right() };
    assert!(young.problems(&number(), Names::Any).is_empty());
    assert_eq!(young.problems(&number(), Names::Known).len(), 1);
}

#[test]
fn a_webhook_in_any_shape_is_read() {
    let odd = json!({"id": "w1", "events": "none", "active": "yes", "kind": null, "headers": 7, "new": {"a": 1}});
    let Value::Object(fields) = odd else { unreachable!() };
    let webhook = Webhook::new(fields);
    assert_eq!((webhook.id(), webhook.url(), webhook.kind()), ("w1", "", "kapso"));
    assert!(webhook.events().is_empty() && webhook.is_active());
    assert_eq!((webhook.scope(), webhook.secret_key()), (Scope::Project, None));
    assert_eq!(webhook.without_secrets()["new"], json!({"a": 1}));
    assert_eq!(webhook.without_secrets()["headers"], HIDDEN);
}

#[test]
fn no_secret_is_shown_unless_asked_for() {
    let Value::Object(fields) = json!({"secret_key": "s3cret", "headers": {"X-Token": "t0ken"}}) else {
        unreachable!()
    };
    let webhook = Webhook::new(fields);
    let headers = Some(BTreeMap::from([("X-Token".to_owned(), "t0ken".to_owned())]));
    let shown = format!("{webhook:?} {:?} {:?}", webhook.secret_key(), Settings { headers, ..right() });
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    assert_eq!(webhook.without_secrets()["headers"], json!({"X-Token": HIDDEN}));
    assert_eq!(webhook.fields()["secret_key"], "s3cret");
}
