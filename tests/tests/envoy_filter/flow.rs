//! Genuine deliveries: what goes where, and what the sender is answered.

use hookgate_tests::proxy_wasm::{End, Fate, Request, Vm};
use hookgate_tests::{Delivery, hmac_sha256};
use serde_json::{Value, json};

use crate::policies::{PATH, SECRET, answered, filter, passed, to_bot};

fn message(id: &str) -> Request {
    Request::post(PATH, &Delivery::message(id, SECRET))
}

/// A source whose messages go to three targets.
fn to_three() -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": PATH, "scheme": "kapso", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["bot", "crm", "log"]},
        "targets": {
            "bot": {"cluster": "bot-cluster", "timeout_ms": 3000},
            "crm": {"cluster": "crm-cluster", "url": "http://crm.test/hook?a=b", "body": "one-per-event"},
            "log": {"cluster": "log-cluster", "sign_with": "TARGET_SECRET"},
        },
    })
}

fn status(vm: &mut Vm, id: u32) -> Option<u16> {
    vm.answer(id).map(|answer| answer.status)
}

/// As the host has it: a map of more than 1,024 fields is refused.
#[test]
fn what_the_host_refuses_to_call_is_tried_again() {
    let mut vm = filter(&to_three());
    let mut request = message("wamid.A1");
    request.headers.extend((0..1100).map(|number| (format!("x-{number}").into_bytes(), b"1".to_vec())));
    let (id, _) = passed(vm.send(&request));
    assert!(vm.world().calls.is_empty());
    vm.target_answers(id, 200, &[b"thanks"]);
    assert_eq!(status(&mut vm, id), Some(502));
    let (again, _) = passed(vm.send(&message("wamid.A1")));
    assert_eq!(vm.world().calls.len(), 1, "the first took it, and the others may");
    vm.delete(again);
}

#[test]
fn the_held_request_becomes_the_message() {
    let mut vm = filter(&to_bot());
    let mut request = message("wamid.A1");
    request.headers.push((b"x-hookgate-source".to_vec(), b"forged".to_vec()));
    request.headers.push((b"x-hookgate-target".to_vec(), b"forged".to_vec()));
    let (id, message) = passed(vm.send(&request));
    assert_eq!(message.header("x-hookgate-target"), Some("bot"));
    assert_eq!(message.header("x-hookgate-source"), Some("whatsapp"));
    assert_eq!(message.header("x-hookgate-event"), Some("whatsapp.message.received"));
    assert_eq!(message.header(":path"), Some(PATH));
    assert!(message.route_cleared);
    assert_eq!(message.body, request.pieces.concat());
    let answer = vm.target_answers(id, 200, &[b"thanks"]).expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok\n"[..]));
    assert_eq!(vm.note(id, "result").as_deref(), Some("delivered"));
    assert_eq!(vm.world().metric("hookgate.requests.source.whatsapp.result.delivered"), 1);
    assert_eq!(vm.world().metric("hookgate.messages.target.bot.result.delivered"), 1);
    assert_eq!(vm.world().metric("hookgate.answer_ms.source.whatsapp"), 1);
}

#[test]
fn a_targets_answer_becomes_ours() {
    let mut policy = to_bot();
    policy["targets"]["bot"]["give_up_on"] = json!([410, 422]);
    for (answered, expected) in
        [(200, 200), (202, 200), (204, 200), (410, 200), (422, 200), (301, 502), (404, 502), (503, 502)]
    {
        let mut vm = filter(&policy);
        for pieces in [&[][..], &[&b"a"[..]], &[b"secret of the target", b"and more"]] {
            let (id, _) = passed(vm.send(&message(&format!("wamid.{}", pieces.len()))));
            let answer = vm.target_answers(id, answered, pieces).expect("an answer");
            assert_eq!(answer.status, expected, "for {answered}");
            let result = match answered {
                410 | 422 => "given-up",
                200..=299 => "delivered",
                _ => "failed",
            };
            assert_eq!(vm.note(id, "result").as_deref(), Some(result), "for {answered}");
            assert!(!answer.body.starts_with(b"a") && !answer.headers.iter().any(|(_, value)| value == b"target"));
            let length = answer.headers.iter().find(|(name, _)| name == b"content-length").expect("a length");
            assert_eq!(length.1, answer.body.len().to_string().into_bytes());
        }
    }
}

#[test]
fn envoys_own_answers_are_not_the_targets() {
    let mut policy = to_bot();
    policy["targets"]["bot"]["give_up_on"] = json!([503, 504]);
    for (given, details, expected) in [
        (503, "no_healthy_upstream", 502),
        (503, "upstream_reset_before_response_started{connection_termination}", 502),
        (404, "route_not_found", 502),
        (200, "direct_response", 502),
        (504, "upstream_response_timeout", 504),
        (504, "response_timeout", 504),
    ] {
        let mut vm = filter(&policy);
        let (id, _) = passed(vm.send(&message("wamid.A1")));
        let answer = vm.envoy_answers(id, given, details).expect("an answer");
        assert_eq!(answer.status, expected, "{details}");
        // It may be tried again.
        passed(vm.send(&message("wamid.A1")));
    }
}

#[test]
fn all_targets_are_served_at_once_and_all_must_take_it() {
    let mut vm = filter(&to_three());
    let (id, first) = passed(vm.send(&message("wamid.A1")));
    assert_eq!((first.header("x-hookgate-target"), first.header(":path")), (Some("bot-cluster"), Some(PATH)));
    let calls: Vec<_> = vm.world().calls.iter().cloned().collect();
    assert_eq!(calls.iter().map(|call| call.cluster.as_str()).collect::<Vec<_>>(), ["crm-cluster", "log-cluster"]);
    assert_eq!((calls[0].header(":authority"), calls[0].header(":path")), (Some("crm.test"), Some("/hook?a=b")));
    assert_eq!(calls[0].timeout, 8000);
    assert_eq!((calls[1].header(":authority"), calls[1].header(":path")), (Some("test"), Some(PATH)));
    let signature = hmac_sha256(b"target_test_77ab", &calls[1].body);
    assert_eq!(calls[1].header("x-webhook-signature"), Some(signature.as_str()));
    assert_eq!(calls[1].header("content-length"), None, "Envoy writes it");
    assert_eq!(vm.target_answers(id, 200, &[b"thanks"]), None, "two have not answered");
    vm.call_answers(Some(204));
    assert_eq!(vm.answer(id), None, "one has not answered");
    vm.call_answers(Some(200));
    let answer = vm.answer(id).expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok\n"[..]));
}

#[test]
fn calls_may_end_before_the_proxied_request_does() {
    let mut vm = filter(&to_three());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.call_answers(Some(200));
    vm.call_answers(Some(200));
    assert_eq!(vm.answer(id), None);
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 200);
}

#[test]
fn one_refusal_makes_the_sender_try_again() {
    for (first, second, expected) in
        [(Some(200), Some(500), 502), (Some(500), Some(200), 502), (None, Some(200), 502), (Some(200), None, 502)]
    {
        let mut vm = filter(&to_three());
        let (id, _) = passed(vm.send(&message("wamid.A1")));
        vm.target_answers(id, 200, &[b"x"]);
        vm.call_answers(first);
        vm.call_answers(second);
        assert_eq!(status(&mut vm, id), Some(expected));
    }
}

#[test]
fn a_call_that_envoy_ends_was_not_answered_by_the_target() {
    let mut policy = to_three();
    policy["targets"]["crm"]["give_up_on"] = json!([503, 504]);
    for (given, expected) in [(504, 504), (503, 502)] {
        let mut vm = filter(&policy);
        let (id, _) = passed(vm.send(&message("wamid.A1")));
        vm.target_answers(id, 200, &[]);
        vm.call_fails(given);
        vm.call_answers(Some(200));
        assert_eq!(status(&mut vm, id), Some(expected));
    }
}

#[test]
fn a_cluster_that_is_not_there_fails_its_message_alone() {
    let mut vm = filter(&to_three());
    vm.world().missing_clusters.push("crm-cluster".into());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    assert_eq!(vm.world().calls.len(), 1);
    vm.call_answers(Some(200));
    assert_eq!(vm.target_answers(id, 200, &[]).expect("an answer").status, 502);
    assert_eq!(vm.world().metric("hookgate.messages.target.crm.result.unreachable"), 1);
}

#[test]
fn a_batch_is_split_and_a_targets_messages_follow_one_another() {
    let mut policy = to_three();
    policy["rules"] = json!([{"name": "images", "when": {"message_type": "image"}, "to": ["bot"]},
                             {"name": "texts", "when": {"message_type": "text"}, "to": ["crm"]}]);
    let mut vm = filter(&policy);
    let batch = Delivery::batch(
        &[("wamid.1", "image"), ("wamid.2", "text"), ("wamid.3", "image"), ("wamid.4", "text")],
        SECRET,
    );
    let (id, proxied) = passed(vm.send(&Request::post(PATH, &batch)));
    let body: Value = serde_json::from_slice(&proxied.body).expect("JSON");
    assert_eq!(body["batch_info"]["size"], 2);
    assert_eq!(body["data"][1]["message"]["id"], "wamid.3");
    assert_eq!(proxied.header("x-batch-size"), Some("2"));
    assert_eq!(proxied.header("content-length"), Some(proxied.body.len().to_string().as_str()));
    assert_eq!(proxied.header("x-webhook-signature"), None, "it was for another body");
    let ids = |vm: &mut Vm| {
        let calls = vm.world().calls.iter();
        let id = |body: &[u8]| serde_json::from_slice::<Value>(body).expect("JSON")["message"]["id"].clone();
        calls.map(|call| id(&call.body)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&mut vm), ["wamid.2"], "the second waits for the first");
    vm.call_answers(Some(200));
    assert_eq!(ids(&mut vm), ["wamid.4"]);
    assert_eq!(vm.target_answers(id, 200, &[]), None);
    vm.call_answers(Some(200));
    assert_eq!(status(&mut vm, id), Some(200));
}

#[test]
fn what_follows_the_proxied_request_to_its_target_is_called() {
    let mut policy = to_bot();
    policy["targets"]["bot"]["body"] = json!("one-per-event");
    let mut vm = filter(&policy);
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], SECRET);
    let (id, proxied) = passed(vm.send(&Request::post(PATH, &batch)));
    assert_eq!(serde_json::from_slice::<Value>(&proxied.body).expect("JSON")["message"]["id"], "wamid.1");
    assert!(vm.world().calls.is_empty());
    assert_eq!(vm.target_answers(id, 200, &[b"a", b"b"]), None, "held until the second has been taken");
    vm.call_answers(Some(200));
    let answer = vm.answer(id).expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok\n"[..]));
}

#[test]
fn waiting_ends_with_each_targets_time() {
    let mut vm = filter(&to_three());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.call_answers(Some(200));
    vm.call_answers(Some(200));
    vm.pass(2900);
    assert_eq!(vm.answer(id), None);
    vm.pass(200);
    let answer = vm.answer(id).expect("bot had 3 s");
    assert_eq!((answer.status, answer.details.as_str()), (504, "hookgate_settled"));
}

#[test]
fn the_whole_answer_comes_before_kapso_gives_up() {
    let mut policy = to_bot();
    policy["targets"]["bot"] = json!({"cluster": "bot", "timeout_ms": 8000, "body": "one-per-event"});
    let mut vm = filter(&policy);
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text"), ("wamid.3", "text")], SECRET);
    let (id, _) = passed(vm.send(&Request::post(PATH, &batch)));
    vm.pass(6000);
    assert_eq!(vm.target_answers(id, 200, &[b"x"]), None);
    assert_eq!(vm.world().calls[0].timeout, 3000, "what is left of nine seconds");
    vm.pass(3100);
    assert_eq!(status(&mut vm, id), Some(504));
    // What had been taken is not sent again.
    let (_, second) = passed(vm.send(&Request::post(PATH, &batch)));
    assert_eq!(serde_json::from_slice::<Value>(&second.body).expect("JSON")["message"]["id"], "wamid.2");
}

#[test]
fn a_body_that_ends_too_late_is_sent_nowhere() {
    let mut vm = filter(&to_three());
    let late = message("wamid.A1").ending(End::Never);
    let size = u32::try_from(late.pieces.concat().len()).expect("a small body");
    let given = vm.send(&late);
    vm.pass(9100);
    assert!(!vm.out_of_turn(given.id, 1, size, true), "it went on");
    vm.pass(100);
    assert_eq!(status(&mut vm, given.id), Some(504));
    assert!(vm.world().calls.is_empty());
    assert_eq!(vm.world().metric("hookgate.messages.target.bot.result.timed-out"), 1);
}

#[test]
fn what_is_answered_too_late_changes_nothing() {
    let mut vm = filter(&to_three());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.target_answers(id, 200, &[]);
    vm.pass(9100);
    assert_eq!(status(&mut vm, id), Some(504));
    vm.call_answers(Some(200));
    vm.call_answers(Some(200));
    assert_eq!(status(&mut vm, id), Some(504));
    assert_eq!(vm.world().metric("hookgate.messages.target.crm.result.timed-out"), 1);
}

#[test]
fn a_response_that_comes_when_waiting_has_ended_is_not_the_answer() {
    let mut policy = to_three();
    policy["targets"]["bot"]["timeout_ms"] = json!(1000);
    let mut vm = filter(&policy);
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.pass(1500);
    assert_eq!(vm.answer(id), None, "the others may still take it");
    assert_eq!(vm.target_answers(id, 200, &[b"late"]), None);
    vm.call_answers(Some(200));
    vm.call_answers(Some(200));
    assert_eq!(status(&mut vm, id), Some(504));
}

#[test]
fn a_response_that_does_not_end_is_broken_off() {
    let mut vm = filter(&to_bot());
    let (id, _) = passed(vm.send(&message("wamid.A1")));
    vm.target_answers(id, 200, &[b"x"]);
    assert!(!vm.is_closed(id));
    vm.pass(9100);
    assert!(vm.is_closed(id), "nothing forgot the stream: its body is still coming");
}

#[test]
fn what_is_dropped_is_answered_at_once() {
    let mut policy = to_bot();
    policy["otherwise"] = json!({"drop": true});
    let mut vm = filter(&policy);
    let given = vm.send(&message("wamid.A1"));
    assert_eq!(vm.note(given.id, "result").as_deref(), Some("dropped"));
    assert_eq!(answered(given).status, 200);
}

#[test]
fn a_body_that_cannot_be_read_goes_on_as_it_came() {
    let mut vm = filter(&to_bot());
    let delivery = Delivery::new("x", "not JSON").signed(SECRET);
    let (_, message) = passed(vm.send(&Request::post(PATH, &delivery)));
    assert_eq!(message.body, b"not JSON");
    assert_eq!(vm.world().metric("hookgate.notices.source.whatsapp.what.unreadable"), 1);
}

#[test]
fn a_header_that_contradicts_the_body_is_noticed() {
    let mut vm = filter(&to_bot());
    let delivery = Delivery::message("wamid.A1", SECRET)
        .without("X-Webhook-Event")
        .with("X-Webhook-Event", "whatsapp.message.sent");
    passed(vm.send(&Request::post(PATH, &delivery)));
    assert_eq!(vm.world().metric("hookgate.notices.source.whatsapp.what.contradiction"), 1);
    assert!(vm.world().log().contains("contradiction source=whatsapp header=x-webhook-event"));
}

#[test]
fn pipelined_requests_do_not_touch_each_other() {
    let mut vm = filter(&to_bot());
    let held = vm.send(&message("wamid.1").ending(End::Never));
    let (other, _) = passed(vm.send(&message("wamid.2")));
    let forged = vm.send(&Request::post(PATH, &Delivery::message("wamid.3", "x")));
    assert_eq!(answered(forged).status, 401);
    assert_eq!(vm.target_answers(other, 200, &[]).expect("an answer").status, 200);
    assert_eq!(held.fate, Fate::Held);
}

#[test]
fn the_filter_keeps_nothing_of_what_is_over() {
    let mut vm = filter(&to_three());
    let mut after_warm_up = 0;
    for round in 0..2000 {
        let (id, _) = passed(vm.send(&message(&format!("wamid.{round}"))));
        vm.call_answers(Some(200));
        vm.call_answers(Some(200));
        vm.target_answers(id, 200, &[]);
        vm.delete(id);
        if round == 200 {
            after_warm_up = vm.memory();
        }
    }
    assert_eq!(vm.memory(), after_warm_up);
    assert!(vm.memory() <= 3 << 20, "{} bytes", vm.memory());
}
