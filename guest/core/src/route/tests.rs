use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::event::Span;
use crate::gate::{Gate, Secret};

fn gate(rules: &Value) -> Gate {
    let policy = json!({
        "sources": [
            {"name": "one", "path": "/one", "secrets": ["S"]},
            {"name": "two", "path": "/two", "secrets": ["S"]}
        ],
        "targets": {"bot": {"cluster": "bot"}, "crm": {"cluster": "crm"}, "rest": {"cluster": "rest"}},
        "otherwise": {"to": ["rest"]},
        "rules": rules
    });
    Gate::compile(&policy.to_string(), &[Secret { name: "S", value: "s" }]).unwrap()
}

fn event() -> Event<'static> {
    Event {
        contact_name: None,
        name: None,
        kind: Kind::Unknown,
        payload_version: None,
        phone_number_id: None,
        business_account_id: None,
        customer_id: None,
        conversation_id: None,
        message_id: None,
        direction: None,
        status: None,
        origin: None,
        message_type: None,
        new_conversation: None,
        test: false,
        text: None,
        timestamp: None,
        item_key: String::new(),
        span: Span::default(),
    }
}

fn some(text: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(text))
}

fn received() -> Event<'static> {
    Event {
        name: some("whatsapp.message.received"),
        kind: Kind::Whatsapp,
        payload_version: some("v2"),
        phone_number_id: some("123"),
        direction: some("inbound"),
        origin: some("cloud_api"),
        message_type: some("text"),
        status: some("received"),
        new_conversation: Some(false),
        text: some("Hello, world"),
        ..event()
    }
}

/// The name of the rule that decides, or `otherwise`.
fn rule_for(rules: Value, event: &Event<'_>) -> String {
    gate(&rules).rules.route(event, Some("one")).rule.unwrap_or("otherwise").to_string()
}

/// Whether a rule with these conditions matches.
fn matches(when: Value, event: &Event<'_>) -> bool {
    rule_for(json!([{"name": "it", "when": when, "to": ["bot"]}]), event) == "it"
}

#[test]
fn the_first_rule_that_matches_wins() {
    let rules = json!([
        {"name": "other number", "when": {"phone_number_id": "9"}, "to": ["bot"]},
        {"name": "first", "when": {"phone_number_id": "123"}, "to": ["bot"]},
        {"name": "second", "when": {"phone_number_id": "123"}, "to": ["crm"]}
    ]);
    assert_eq!(rule_for(rules, &received()), "first");
}

#[test]
fn a_general_rule_wins_over_an_exact_one_after_it() {
    let rules = json!([
        {"name": "general", "when": {"event": "whatsapp.*"}, "to": ["bot"]},
        {"name": "exact", "when": {"phone_number_id": "123"}, "to": ["crm"]}
    ]);
    assert_eq!(rule_for(rules, &received()), "general");
}

#[test]
fn an_exact_rule_wins_over_a_general_one_after_it() {
    let rules = json!([
        {"name": "exact", "when": {"phone_number_id": "123"}, "to": ["crm"]},
        {"name": "general", "to": ["bot"]}
    ]);
    assert_eq!(rule_for(rules, &received()), "exact");
}

#[test]
fn rules_that_stand_under_different_fields_keep_their_order() {
    for (first, second) in [
        (json!({"origin": "cloud_api"}), json!({"phone_number_id": "123"})),
        (json!({"phone_number_id": "123"}), json!({"origin": "cloud_api"})),
        (json!({"kind": "whatsapp"}), json!({"source": "one"})),
    ] {
        let rules = json!([{"name": "1", "when": first, "to": ["bot"]}, {"name": "2", "when": second, "to": ["bot"]}]);
        assert_eq!(rule_for(rules, &received()), "1");
    }
}

#[test]
fn a_rule_that_drops_wins_like_any_other() {
    let rules = json!([
        {"name": "silence", "when": {"event": "whatsapp.message.received"}, "drop": true},
        {"name": "all", "to": ["bot"]}
    ]);
    let gate = gate(&rules);
    let matched = gate.rules.route(&received(), None);
    assert_eq!((matched.rule, matched.targets), (Some("silence"), &[][..]));
}

#[test]
fn otherwise_decides_where_no_rule_matches() {
    let gate = gate(&json!([{"name": "no", "when": {"phone_number_id": "9"}, "to": ["bot"]}]));
    let matched = gate.rules.route(&received(), None);
    assert_eq!((matched.rule, matched.targets), (None, &[2][..]));
}

#[test]
fn a_policy_without_rules_and_otherwise_drops() {
    let policy = json!({"sources": [{"name": "one", "path": "/one", "secrets": ["S"]}]}).to_string();
    let gate = Gate::compile(&policy, &[Secret { name: "S", value: "s" }]).unwrap();
    let matched = gate.rules.route(&received(), None);
    assert_eq!((matched.rule, matched.targets), (None, &[][..]));
}

#[test]
fn one_rule_names_several_targets_in_its_own_order() {
    let gate = gate(&json!([{"name": "both", "to": ["crm", "bot"]}]));
    assert_eq!(gate.rules.route(&received(), None).targets, [1, 0]);
}

#[test]
fn unless_takes_events_out_of_a_rule() {
    let rules = json!([
        {"name": "live", "when": {"event": "whatsapp.message.received"}, "unless": {"origin": "history_sync"}, "to": ["bot"]},
        {"name": "rest", "to": ["crm"]}
    ]);
    assert_eq!(rule_for(rules.clone(), &received()), "live");
    assert_eq!(rule_for(rules.clone(), &Event { origin: some("history_sync"), ..received() }), "rest");
    assert_eq!(rule_for(rules, &Event { origin: None, ..received() }), "live");
}

#[test]
fn unless_needs_all_of_its_fields_too() {
    let rules = json!([{"name": "it", "unless": {"origin": "cloud_api", "direction": "outbound"}, "to": ["bot"]}]);
    assert_eq!(rule_for(rules.clone(), &received()), "it");
    assert_eq!(rule_for(rules, &Event { direction: some("outbound"), ..received() }), "otherwise");
}

#[test]
fn several_fields_mean_all_of_them() {
    assert!(matches(json!({"phone_number_id": "123", "direction": "inbound"}), &received()));
    assert!(!matches(json!({"phone_number_id": "123", "direction": "outbound"}), &received()));
}

#[test]
fn a_list_means_any_of_it() {
    assert!(matches(json!({"message_type": ["image", "text"]}), &received()));
    assert!(!matches(json!({"message_type": ["image", "video"]}), &received()));
}

#[test]
fn a_field_that_the_event_lacks_matches_nothing() {
    for field in [
        "phone_number_id",
        "business_account_id",
        "customer_id",
        "conversation_id",
        "direction",
        "origin",
        "message_type",
    ] {
        assert!(!matches(json!({field: "x"}), &event()), "{field}");
    }
    for when in [json!({"event": "a.*"}), json!({"text": {"contains": "a"}}), json!({"new_conversation": false})] {
        assert!(!matches(when.clone(), &event()), "{when}");
    }
}

#[test]
fn every_field_is_compared_with_its_own_value() {
    let event = Event {
        business_account_id: some("waba"),
        customer_id: some("customer"),
        conversation_id: some("conversation"),
        ..received()
    };
    for (field, value, other) in [
        ("event", json!("whatsapp.message.received"), json!("whatsapp.message.sent")),
        ("kind", json!("whatsapp"), json!("meta")),
        ("source", json!("one"), json!("two")),
        ("phone_number_id", json!("123"), json!("1234")),
        ("business_account_id", json!("waba"), json!("123")),
        ("customer_id", json!("customer"), json!("waba")),
        ("conversation_id", json!("conversation"), json!("customer")),
        ("direction", json!("inbound"), json!("outbound")),
        ("origin", json!("cloud_api"), json!("business_app")),
        ("message_type", json!("text"), json!("image")),
        ("status", json!("received"), json!("read")),
        ("new_conversation", json!(false), json!(true)),
        ("test", json!(false), json!(true)),
        ("payload_version", json!("v2"), json!("v1")),
        ("text", json!({"prefix": "Hello"}), json!({"prefix": "world"})),
    ] {
        assert!(matches(json!({field: value}), &event), "{field}");
        assert!(!matches(json!({field: other}), &event), "{field}");
    }
}

#[test]
fn a_prefix_ends_at_a_dot() {
    let named = |name| Event { name: some(name), ..received() };
    let when = json!({"event": "whatsapp.message.*"});
    assert!(matches(when.clone(), &named("whatsapp.message.received")));
    assert!(matches(when.clone(), &named("whatsapp.message.deep.er")));
    assert!(!matches(when.clone(), &named("whatsapp.message")));
    assert!(!matches(when.clone(), &named("whatsapp.messages.received")));
    let either = json!({"event": ["project.event", "whatsapp.message.*"]});
    assert!(matches(either.clone(), &named("project.event")));
    assert!(matches(either, &named("whatsapp.message.sent")));
}

#[test]
fn of_a_long_text_only_the_beginning_is_searched() {
    let part = "needle";
    for (before, found) in [(SEARCHED - part.len(), true), (SEARCHED - part.len() + 1, false)] {
        assert_eq!(contains(&format!("{}{part}", "n".repeat(before)), part), found, "behind {before} bytes");
    }
}

#[test]
fn text_is_compared_at_its_beginning_and_anywhere() {
    for (text, expected) in [
        (json!({"prefix": "Hello"}), true),
        (json!({"prefix": "hello"}), false),
        (json!({"prefix": ["Bye", "Hello"]}), true),
        (json!({"contains": "world"}), true),
        (json!({"contains": ["moon", "stars"]}), false),
        (json!({"prefix": "Hello", "contains": "world"}), true),
        (json!({"prefix": "Hello", "contains": "moon"}), false),
    ] {
        assert_eq!(matches(json!({"text": text}), &received()), expected, "{text}");
    }
}

#[test]
fn ten_thousand_rules_ask_an_event_of_a_few_only() {
    let rules: Vec<Value> = (0..10_000)
        .map(|number| {
            json!({
                "name": number.to_string(),
                "when": {"phone_number_id": number.to_string(), "event": "whatsapp.message.received", "customer_id": "all"},
                "to": ["bot"]
            })
        })
        .collect();
    let gate = gate(&json!(rules));
    let longest = gate.rules.indexed.iter().map(|(_, lists)| lists.longest()).max();
    assert_eq!((longest, gate.rules.general.len()), (Some(1), 0));
    let event = Event { phone_number_id: some("7777"), customer_id: some("all"), ..received() };
    assert_eq!(gate.rules.route(&event, None).rule, Some("7777"));
}

/// What the documentation of the policy says, read off the document itself, rule by rule.
fn naive(rules: &Value, event: &Event<'_>, source: &str) -> Option<String> {
    let event = json!({
        "event": event.name, "kind": event.kind.as_str(), "source": source, "phone_number_id": event.phone_number_id,
        "business_account_id": event.business_account_id, "customer_id": event.customer_id,
        "conversation_id": event.conversation_id, "direction": event.direction, "origin": event.origin,
        "message_type": event.message_type, "status": event.status, "new_conversation": event.new_conversation,
        "test": event.test, "payload_version": event.payload_version, "text": event.text
    });
    let any = |wanted: &Value, holds: &dyn Fn(&str) -> bool| match wanted {
        Value::Array(wanted) => wanted.iter().any(|wanted| holds(wanted.as_str().unwrap())),
        wanted => holds(wanted.as_str().unwrap()),
    };
    let all = |conditions: &Value| {
        conditions.as_object().unwrap().iter().all(|(field, wanted)| match (field.as_str(), &event[field], wanted) {
            (_, found, Value::Bool(_)) => found == wanted,
            ("text", Value::String(text), wanted) => wanted.as_object().unwrap().iter().all(|(how, wanted)| {
                any(wanted, &|wanted| if how == "prefix" { text.starts_with(wanted) } else { text.contains(wanted) })
            }),
            ("event", Value::String(name), wanted) => any(wanted, &|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            }),
            (_, Value::String(found), wanted) => any(wanted, &|wanted| found == wanted),
            _ => false,
        })
    };
    rules
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule.get("when").is_none_or(all) && !rule.get("unless").is_some_and(all))
        .map(|rule| rule["name"].as_str().unwrap().to_string())
}

fn one_or_some(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(values).prop_map(|value| json!(value)),
        prop::collection::vec(prop::sample::select(values), 1..4).prop_map(|values| json!(values)),
    ]
}

fn condition() -> impl Strategy<Value = (String, Value)> {
    const IDS: &[&str] = &["1", "2", "3"];
    let term = prop::sample::select(
        &[
            "phone_number_id",
            "business_account_id",
            "customer_id",
            "conversation_id",
            "direction",
            "origin",
            "message_type",
            "status",
            "payload_version",
        ][..],
    );
    prop_oneof![
        8 => (term, one_or_some(IDS)).prop_map(|(field, value)| (field.to_string(), value)),
        3 => one_or_some(&["a.b", "a.c", "a.*", "b.*", "a.b.*"]).prop_map(|value| ("event".to_string(), value)),
        1 => one_or_some(&["whatsapp", "meta"]).prop_map(|value| ("kind".to_string(), value)),
        1 => one_or_some(&["one", "two"]).prop_map(|value| ("source".to_string(), value)),
        1 => (prop::sample::select(&["test", "new_conversation"][..]), any::<bool>())
            .prop_map(|(field, value)| (field.to_string(), json!(value))),
        1 => (prop::sample::select(&["prefix", "contains"][..]), one_or_some(&["x", "y", "xy"]))
            .prop_map(|(how, value)| ("text".to_string(), json!({how: value}))),
    ]
}

fn conditions(least: usize) -> impl Strategy<Value = Option<Map<String, Value>>> {
    prop::option::of(prop::collection::vec(condition(), least..4).prop_map(|fields| fields.into_iter().collect()))
}

fn rules() -> impl Strategy<Value = Value> {
    prop::collection::vec((conditions(0), prop::option::weighted(0.3, conditions(1))), 0..20).prop_map(|rules| {
        let rules = rules.into_iter().enumerate().map(|(number, (when, unless))| {
            let mut rule = json!({"name": format!("rule {number}"), "to": ["bot"]});
            for (name, conditions) in [("when", when), ("unless", unless.flatten())] {
                if let Some(conditions) = conditions {
                    rule[name] = Value::Object(conditions);
                }
            }
            rule
        });
        Value::Array(rules.collect())
    })
}

fn an_event() -> impl Strategy<Value = Event<'static>> {
    let id = || prop::option::of(prop::sample::select(vec!["1", "2", "3", "4"]).prop_map(Cow::Borrowed));
    let name =
        prop::option::of(prop::sample::select(vec!["a.b", "a.c", "a.b.c", "b.a", "a", "c"]).prop_map(Cow::Borrowed));
    let text = prop::option::of(prop::sample::select(vec!["x", "yx", "xy", "zxyz", ""]).prop_map(Cow::Borrowed));
    let kind = prop::sample::select(vec![Kind::Whatsapp, Kind::Meta, Kind::Project]);
    let ids = (id(), id(), id(), id(), id(), id(), id(), id(), id());
    (name, kind, text, ids, any::<Option<bool>>(), any::<bool>()).prop_map(
        |(name, kind, text, ids, new_conversation, test)| Event {
            name,
            kind,
            text,
            phone_number_id: ids.0,
            business_account_id: ids.1,
            customer_id: ids.2,
            conversation_id: ids.3,
            direction: ids.4,
            origin: ids.5,
            message_type: ids.6,
            status: ids.7,
            payload_version: ids.8,
            new_conversation,
            test,
            ..event()
        },
    )
}

proptest! {
    #[test]
    fn the_index_says_what_reading_the_rules_one_by_one_says(
        rules in rules(),
        events in prop::collection::vec(an_event(), 1..20),
        source in prop::sample::select(vec!["one", "two"]),
    ) {
        let gate = gate(&rules);
        for event in &events {
            let matched = gate.rules.route(event, Some(source));
            prop_assert_eq!(matched.rule.map(str::to_string), naive(&rules, event, source));
        }
    }
}
