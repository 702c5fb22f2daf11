//! Once per target, whoever else delivers and whatever breaks.

use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{ROOT, Request, Shared};
use serde_json::{Value, json};

use crate::policies::{PATH, SECRET, answered, filter, filter_sharing, passed, to_bot};

fn message(id: &str) -> Request {
    Request::post(PATH, &Delivery::message(id, SECRET))
}

fn to_both() -> Value {
    let mut policy = to_bot();
    policy["targets"]["crm"] = json!({"cluster": "crm"});
    policy["otherwise"] = json!({"to": ["bot", "crm"]});
    policy
}

#[test]
fn a_second_delivery_is_answered_200_and_sent_nowhere() {
    let mut vm = filter(&to_bot());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.target_answers(id, 200, &[]);
    let replayed = Delivery::message("wamid.A1", SECRET).with("X-Idempotency-Key", "another");
    let given = vm.send(&Request::post(PATH, &replayed));
    assert_eq!(vm.note(given.id, "result").as_deref(), Some("duplicate"));
    assert_eq!(answered(given).status, 200);
    assert_eq!(vm.world().metric("hookgate.messages.target.bot.result.duplicate"), 1);
}

#[test]
fn one_that_is_on_its_way_elsewhere_is_answered_503() {
    let shared = Shared::default();
    let mut first = filter_sharing(&to_bot(), &shared);
    let mut second = filter_sharing(&to_bot(), &shared);
    let (id, _) = passed(first.send(&message("wamid.A1")));
    assert_eq!(answered(second.send(&message("wamid.A1"))).status, 503);
    first.target_answers(id, 200, &[]);
    assert_eq!(answered(second.send(&message("wamid.A1"))).status, 200);
}

#[test]
fn a_retry_reaches_just_the_target_that_failed() {
    let policy = to_both();
    let mut vm = filter(&policy);
    let (id, first) = passed(vm.send(&message("wamid.A1")));
    assert_eq!(first.header("x-hookgate-target"), Some("bot"));
    vm.call_answers(Some(500));
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 502);
    let (id, retry) = passed(vm.send(&message("wamid.A1")));
    assert_eq!(retry.header("x-hookgate-target"), Some("crm"));
    assert!(vm.world().calls.is_empty());
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 200);
    assert_eq!(answered(vm.send(&message("wamid.A1"))).status, 200);
}

#[test]
fn a_batch_that_holds_something_delivered_goes_on_without_it() {
    let mut vm = filter(&to_bot());
    let (id, _) = passed(vm.send(&message("wamid.2")));
    vm.target_answers(id, 200, &[]);
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text"), ("wamid.3", "text")], SECRET);
    let (_, rest) = passed(vm.send(&Request::post(PATH, &batch)));
    let body: Value = serde_json::from_slice(&rest.body).expect("JSON");
    let ids: Vec<_> =
        body["data"].as_array().expect("items").iter().map(|item| item["message"]["id"].clone()).collect();
    assert_eq!(ids, ["wamid.1", "wamid.3"]);
    assert_eq!(body["batch_info"]["size"], 2);
}

#[test]
fn an_event_that_stands_twice_in_a_batch_is_sent_as_it_came() {
    let mut vm = filter(&to_bot());
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.1", "text")], SECRET);
    let (id, message) = passed(vm.send(&Request::post(PATH, &batch)));
    assert_eq!(message.body, batch.body);
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 200);
    assert_eq!(answered(vm.send(&Request::post(PATH, &batch))).status, 200);
}

#[test]
fn the_window_ends() {
    let mut vm = filter(&to_bot());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.target_answers(id, 200, &[]);
    vm.delete(id);
    vm.pass(898_000);
    assert_eq!(answered(vm.send(&message("wamid.A1"))).status, 200);
    vm.pass(3_000);
    passed(vm.send(&message("wamid.A1")));
}

#[test]
fn a_worker_that_dies_gives_its_events_free() {
    let shared = Shared::default();
    let mut dying = filter_sharing(&to_bot(), &shared);
    passed(dying.send(&message("wamid.A1")));
    drop(dying);
    let mut other = filter_sharing(&to_bot(), &shared);
    assert_eq!(answered(other.send(&message("wamid.A1"))).status, 503);
    other.pass(15_000);
    passed(other.send(&message("wamid.A1")));
}

#[test]
fn a_sender_that_leaves_does_not_make_a_target_get_it_twice() {
    let policy = to_both();
    let mut vm = filter(&policy);
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.delete(id);
    vm.call_answers(Some(200));
    // Nobody knows what became of the proxied request; the call was followed to its end.
    let (id, retry) = passed(vm.send(&message("wamid.A1")));
    assert_eq!(retry.header("x-hookgate-target"), Some("bot"));
    assert!(vm.world().calls.is_empty());
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 200);
}

#[test]
fn a_policy_that_goes_gives_free_what_nobody_follows_any_more() {
    let policy = to_both();
    let mut vm = filter(&policy);
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.delete(id);
    // Envoy breaks off the calls of a plugin that goes, and tells nobody.
    vm.delete(ROOT);
    vm.world().calls.clear();
    assert!(vm.configure(policy.to_string().as_bytes()));
    passed(vm.send(&message("wamid.A1")));
    assert_eq!(vm.world().calls.len(), 1, "crm gets it again");
    assert_eq!(vm.world().metric("hookgate.messages.target.crm.result.unreachable"), 1);
}

#[test]
fn shared_memory_is_bounded_for_ever() {
    let mut policy = to_bot();
    policy["dedupe"] = json!({"window_s": 900, "max_keys": 160});
    let shared = Shared::default();
    let mut vm = filter_sharing(&policy, &shared);
    for round in 0..5000 {
        let (id, _) = passed(vm.send(&message(&format!("wamid.{round}"))));
        vm.target_answers(id, 200, &[]);
        vm.delete(id);
    }
    let (keys, bytes) = shared.size();
    assert_eq!(keys, 10);
    assert!(bytes <= 160 * 24, "{bytes}");
}
