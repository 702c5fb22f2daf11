//! What is refused, and how: the sender learns nothing, the log learns why.

use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{End, Fate, ROOT, Request, Stop, Vm};
use serde_json::json;

use crate::policies::{PATH, SECRET, answered, filter, passed, to_bot};

fn genuine() -> Delivery {
    Delivery::message("wamid.A1", SECRET)
}

#[test]
fn nobody_learns_why_but_the_log() {
    let mut vm = filter(&to_bot());
    let signature = "X-Webhook-Signature";
    let forged = [
        (genuine().without(signature), "missing-signature"),
        (genuine().with(signature, &"0".repeat(64)), "repeated-signature"),
        (genuine().without(signature).with(signature, "abc"), "malformed-signature"),
        (genuine().without(signature).with(signature, &"0".repeat(64)), "wrong-signature"),
        (genuine().signed("another secret"), "wrong-signature"),
    ];
    let mut answers = Vec::new();
    for (delivery, reason) in forged {
        let given = vm.send(&Request::post(PATH, &delivery));
        assert_eq!(vm.note(given.id, "result").as_deref(), Some(reason));
        assert_eq!(vm.note(given.id, "source").as_deref(), Some("whatsapp"));
        let answer = answered(given);
        assert_eq!(answer.details, format!("hookgate_{reason}"));
        let line = format!("hookgate: refused source=whatsapp reason={reason} status=401");
        assert!(vm.world().log().contains(&line), "{}", vm.world().log());
        answers.push((answer.status, answer.headers, answer.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(answers[0].0, 401);
    assert_eq!(vm.world().metric("hookgate.requests.source.whatsapp.result.wrong-signature"), 2);
    let log = vm.world().log();
    assert!(!log.contains(SECRET) && !log.contains("Hello") && !log.contains("16315551181"), "{log}");
}

#[test]
fn nobody_fills_the_log() {
    let mut vm = filter(&to_bot());
    let forged = genuine().without("X-Webhook-Signature");
    let lines = |vm: &mut Vm| {
        let log = vm.world().log();
        log.lines().filter(|line| line.contains("refused")).map(str::to_owned).collect::<Vec<_>>()
    };
    let line = "hookgate: refused source=whatsapp reason=missing-signature status=401";
    for _ in 0..100 {
        assert_eq!(answered(vm.send(&Request::post(PATH, &forged))).status, 401);
    }
    assert!(matches!(&lines(&mut vm)[..], [first] if first.ends_with(line)), "{:?}", lines(&mut vm));
    answered(vm.send(&Request::post(PATH, &genuine().signed("another secret"))));
    assert_eq!(lines(&mut vm).len(), 2, "another reason is told at once");
    vm.pass(1000);
    assert_eq!(lines(&mut vm).len(), 3);
    assert!(lines(&mut vm)[2].ends_with(&format!("{line} times=99")), "{:?}", lines(&mut vm));
    vm.pass(1000);
    assert_eq!(lines(&mut vm).len(), 3, "nothing has come since");
    answered(vm.send(&Request::post(PATH, &forged)));
    assert!(lines(&mut vm)[3].ends_with(line), "{:?}", lines(&mut vm));
    assert_eq!(vm.world().metric("hookgate.requests.source.whatsapp.result.missing-signature"), 101);
}

#[test]
fn what_was_not_yet_told_is_told_when_the_policy_goes() {
    let mut vm = filter(&to_bot());
    let forged = genuine().without("X-Webhook-Signature");
    for _ in 0..3 {
        let refused = vm.send(&Request::post(PATH, &forged)).id;
        vm.delete(refused);
    }
    vm.delete(ROOT);
    let told = "hookgate: refused source=whatsapp reason=missing-signature status=401 times=2";
    assert!(vm.world().log().contains(told), "{}", vm.world().log());
}

#[test]
fn a_sender_cannot_make_metrics() {
    let mut vm = filter(&to_bot());
    let send = |vm: &mut Vm, word: &str| {
        let named = genuine().without("X-Webhook-Event").with("X-Webhook-Event", word);
        let version = named.clone().with("X-Webhook-Payload-Version", word);
        let forged = genuine().without("X-Webhook-Signature").with("X-Webhook-Signature", word);
        for delivery in [named, version, forged, Delivery::message(word, SECRET)] {
            for path in [PATH.to_owned(), format!("{PATH}?{word}"), format!("/{word}")] {
                let given = vm.send(&Request::post(&path, &delivery));
                if let Fate::Passed(_) = given.fate {
                    vm.target_answers(given.id, 200, &[]);
                }
            }
        }
        vm.world().metrics().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = send(&mut vm, "whatsapp.message.read");
    for word in ["whatsapp.message.sent", "unheard.of", "17"] {
        assert_eq!(send(&mut vm, word), before);
    }
}

#[test]
fn bad_signatures_are_refused_before_the_body_comes() {
    let mut vm = filter(&to_bot());
    let delivery = genuine().without("X-Webhook-Signature");
    assert_eq!(answered(vm.send(&Request::post(PATH, &delivery).ending(End::Never))).status, 401);
}

#[test]
fn bodies_over_the_limit_are_refused_as_soon_as_that_is_known() {
    let mut policy = to_bot();
    policy["limits"] = json!({"body_bytes": 1024});
    let mut vm = filter(&policy);
    let large = Delivery::new("x", vec![b' '; 1025]).signed(SECRET);
    let declared = vm.send(&Request::post(PATH, &large).ending(End::Never));
    assert_eq!(answered(declared).status, 413);
    let mut undeclared = Request::post(PATH, &large).cut(&[1024]).ending(End::Never);
    undeclared.headers.retain(|(name, _)| name != b"content-length");
    assert_eq!(answered(vm.send(&undeclared)).status, 413);
    let mut lying = undeclared.clone();
    lying.headers.push((b"content-length".to_vec(), b"1".to_vec()));
    assert_eq!(answered(vm.send(&lying)).status, 413);
    let just = Delivery::new("x", vec![b' '; 1024]).signed(SECRET);
    passed(vm.send(&Request::post(PATH, &just)));
}

#[test]
fn a_413_of_envoys_own_passes_and_is_counted() {
    let mut vm = filter(&to_bot());
    let given = vm.send(&Request::post(PATH, &genuine()).ending(End::Never));
    let answer = vm.envoy_answers(given.id, 413, "request_payload_too_large").expect("an answer");
    assert_eq!((answer.status, answer.body), (413, b"upstream connect error".to_vec()));
    assert_eq!(vm.world().metric("hookgate.requests.source.whatsapp.result.too-large"), 1);
}

#[test]
fn wrong_methods_get_405_and_the_handshake_its_challenge() {
    let mut policy = to_bot();
    policy["sources"][0]["verify_token"] = json!("TARGET_SECRET");
    let mut vm = filter(&policy);
    let get = |path: &str| {
        let mut request = Request::post(path, &Delivery::new("x", "")).ending(End::Headers);
        request.headers[0].1 = b"GET".to_vec();
        request
    };
    let right = format!("{PATH}?hub.mode=subscribe&hub.challenge=4711&hub.verify_token=target_test_77ab");
    let answer = answered(vm.send(&get(&right)));
    assert_eq!((answer.status, answer.body), (200, b"4711".to_vec()));
    let wrong = format!("{PATH}?hub.mode=subscribe&hub.challenge=4711&hub.verify_token=x");
    assert_eq!(answered(vm.send(&get(&wrong))).status, 401);
    let mut put = get(PATH);
    put.headers[0].1 = b"PUT".to_vec();
    let answer = answered(vm.send(&put));
    assert_eq!(answer.status, 405);
    assert!(answer.headers.contains(&(b"allow".to_vec(), b"GET, POST".to_vec())));
}

#[test]
fn other_paths_pass_untouched_but_for_what_only_hookgate_may_say() {
    let mut vm = filter(&to_bot());
    for path in ["/", "/webhooks", "/webhooks/whatsapp/", "/webhooks/whatsapp%20", "/other?x=/webhooks/whatsapp"] {
        let mut request = Request::post(path, &genuine()).cut(&[10, 20]);
        let (id, message) = passed(vm.send(&request));
        assert_eq!(message.headers, request.headers);
        assert_eq!(message.body, genuine().body);
        assert!(!message.route_cleared);
        let answer = vm.target_answers(id, 204, &[]).expect("an answer");
        assert_eq!((answer.status, answer.headers.len()), (204, 2));
        request.headers.push((b"x-hookgate-target".to_vec(), b"bot".to_vec()));
        let (_, message) = passed(vm.send(&request));
        assert_eq!(message.header("x-hookgate-target"), None);
        assert!(message.route_cleared, "the route may have been chosen by the forged header");
    }
}

#[test]
fn a_query_that_is_no_text_does_not_hide_the_path() {
    let mut vm = filter(&to_bot());
    let at = |path: &[u8], delivery: &Delivery| {
        let mut request = Request::post(PATH, delivery);
        request.headers.iter_mut().find(|(name, _)| name == b":path").expect("a path").1 = path.to_vec();
        request
    };
    for path in [&b"/webhooks/whatsapp?\xff"[..], b"/webhooks/whatsapp?a=\xe2\x82&b=c"] {
        let forged = Delivery::message("wamid.1", "another secret");
        assert_eq!(answered(vm.send(&at(path, &forged))).status, 401);
    }
    let other = at(b"/webhooks/whatsapp\xff", &genuine());
    let (_, message) = passed(vm.send(&other));
    assert_eq!(message.headers, other.headers);
}

#[test]
fn without_the_switch_a_delivery_is_refused_after_three_seconds() {
    let mut vm = filter(&to_bot());
    vm.stop(Stop::All);
    let given = vm.send(&Request::post(PATH, &genuine()));
    assert_eq!(given.fate, Fate::Held);
    vm.pass(3200);
    assert_eq!(vm.answer(given.id).expect("an answer").status, 503);
    let log = vm.world().log();
    assert!(log.contains("allow_on_headers_stop_iteration: true"), "{log}");
    // And again, since nothing has changed.
    let given = vm.send(&Request::post(PATH, &genuine()));
    vm.pass(3200);
    assert_eq!(vm.answer(given.id).expect("an answer").status, 503);
    assert_eq!(vm.note(given.id, "result").as_deref(), Some("missing-switch"));
    assert_eq!(vm.world().metric("hookgate.requests.source.whatsapp.result.missing-switch"), 2);
    // Of many at once the log tells as of other refusals.
    for _ in 0..10 {
        vm.send(&Request::post(PATH, &genuine()));
    }
    vm.pass(5000);
    let log = vm.world().log();
    assert!(log.contains("reason=missing-switch status=503 times="), "{log}");
    assert!(log.matches("allow_on_headers_stop_iteration").count() <= 3, "{log}");
}

#[test]
fn a_sender_may_take_two_seconds_before_anybody_knows_of_the_switch() {
    let mut vm = filter(&to_bot());
    let mut slow = Request::post(PATH, &genuine()).ending(End::Never);
    slow.pieces.clear();
    let given = vm.send(&slow);
    vm.pass(2000);
    assert_eq!(vm.answer(given.id), None);
}

#[test]
fn with_the_switch_a_slow_sender_has_time() {
    let mut vm = filter(&to_bot());
    passed(vm.send(&Request::post(PATH, &genuine())));
    let mut slow = Request::post(PATH, &genuine()).ending(End::Never);
    slow.pieces.clear();
    let given = vm.send(&slow);
    vm.pass(5000);
    assert_eq!(vm.answer(given.id), None);
}
