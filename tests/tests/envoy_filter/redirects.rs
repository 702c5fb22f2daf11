//! Browsers that come back from setup links.

use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{End, Request};
use serde_json::{Value, json};

use crate::policies::{answered, filter, passed, to_bot};

const PATH: &str = "/connected?setup_link_id=7f8a9b1c&status=completed&phone_number_id=123";

fn policy(onward: (&str, &str)) -> Value {
    let (name, value) = onward;
    let mut policy = to_bot();
    policy["setup_links"] =
        json!([{"name": "onboarding", "success_path": "/connected", "failure_path": "/not-connected", name: value}]);
    policy["targets"]["bot"]["timeout_ms"] = json!(3000);
    policy
}

fn get(path: &str) -> Request {
    let mut request = Request::post(path, &Delivery { headers: Vec::new(), body: Vec::new() }).ending(End::Headers);
    request.headers.retain(|(name, _)| name != b"content-length");
    request.headers[0].1 = b"GET".to_vec();
    request
}

#[test]
fn a_page_is_answered_at_once() {
    let mut vm = filter(&policy(("page", "https://app.test/")));
    let given = vm.send(&get(PATH));
    assert_eq!(vm.note(given.id, "redirect").as_deref(), Some("completed"));
    assert_eq!(vm.note(given.id, "result").as_deref(), Some("redirected"));
    let answer = answered(given);
    assert_eq!((answer.status, answer.details.as_str()), (303, "hookgate_redirected"));
    let location = answer.headers.iter().find(|(name, _)| name == b"location").expect("a location");
    assert_eq!(
        String::from_utf8_lossy(&location.1),
        "https://app.test/?setup_link_id=7f8a9b1c&status=completed&phone_number_id=123"
    );
    assert_eq!(vm.world().metric("hookgate.requests.source.onboarding.result.redirected"), 1);
}

#[test]
fn a_query_that_is_no_text_is_nothing_that_kapso_sends() {
    let mut vm = filter(&policy(("page", "https://app.test/")));
    let mut request = get(PATH);
    request.headers.iter_mut().find(|(name, _)| name == b":path").expect("a path").1.push(0xff);
    assert_eq!(answered(vm.send(&request)).status, 400);
}

#[test]
fn a_targets_answer_is_the_browsers_whatever_it_is() {
    for (status, pieces) in [(200, &[&b"a page"[..]][..]), (302, &[]), (404, &[b"no", b"thing"]), (500, &[b"x"])] {
        let mut vm = filter(&policy(("to", "bot")));
        let (id, message) = passed(vm.send(&get(PATH)));
        assert_eq!(message.header("x-hookgate-target"), Some("bot"));
        assert_eq!(message.header("x-hookgate-signed"), Some("false"));
        assert_eq!(message.header(":path"), Some(PATH));
        assert!(message.route_cleared);
        let answer = vm.target_answers(id, status, pieces).expect("an answer");
        assert_eq!((answer.status, answer.body), (status, pieces.concat()));
        for (name, value) in [("server", "target"), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
            let found = answer.headers.iter().find(|(found, _)| found == name.as_bytes());
            assert_eq!(found.map(|(_, value)| value.as_slice()), Some(value.as_bytes()), "{name}");
        }
    }
}

#[test]
fn envoys_own_answers_are_502_or_504() {
    for (given, details, expected) in
        [(503, "no_healthy_upstream", 502), (404, "route_not_found", 502), (504, "upstream_response_timeout", 504)]
    {
        let mut vm = filter(&policy(("to", "bot")));
        let (id, _) = passed(vm.send(&get(PATH)));
        let answer = vm.envoy_answers(id, given, details).expect("an answer");
        assert_eq!(answer.status, expected, "{details}");
        assert!(!answer.body.starts_with(b"upstream"), "{details}");
    }
}

#[test]
fn waiting_ends_with_the_targets_time() {
    let mut vm = filter(&policy(("to", "bot")));
    let (id, _) = passed(vm.send(&get(PATH)));
    vm.pass(2900);
    assert_eq!(vm.answer(id), None);
    vm.pass(200);
    assert_eq!(vm.answer(id).expect("bot had 3 s").status, 504);
    assert_eq!(vm.world().metric("hookgate.requests.source.onboarding.result.timed-out"), 1);
    vm.pass(10_000);
}

#[test]
fn a_body_that_was_not_announced_is_left_out() {
    let mut vm = filter(&policy(("to", "bot")));
    for end in [End::Body, End::EmptyPiece, End::Trailers(vec![(b"x-hookgate-signed".to_vec(), b"true".to_vec())])] {
        let mut request = get(PATH).ending(end);
        request.pieces = vec![b"a body".to_vec()];
        let (id, message) = passed(vm.send(&request));
        assert_eq!((message.body, message.trailers), (Vec::new(), Vec::new()));
        assert_eq!(vm.target_answers(id, 200, &[b"x"]).expect("an answer").status, 200);
    }
}

#[test]
fn what_is_no_redirect_is_400_and_another_method_405() {
    let mut vm = filter(&policy(("to", "bot")));
    for path in ["/connected", "/connected?setup_link_id=a", "/not-connected?setup_link_id=a&status=completed"] {
        assert_eq!(answered(vm.send(&get(path))).status, 400, "{path}");
    }
    let given = vm.send(&Request::post(PATH, &Delivery::new("x", "{}")));
    assert_eq!(answered(given).status, 405);
    assert_eq!(vm.world().metric("hookgate.requests.source.onboarding.result.bad-redirect"), 3);
}

#[test]
fn the_filter_keeps_nothing_of_what_is_over() {
    let mut vm = filter(&policy(("to", "bot")));
    let mut after_warm_up = 0;
    for round in 0..2000 {
        let (id, _) = passed(vm.send(&get(PATH)));
        vm.target_answers(id, 200, &[]);
        vm.delete(id);
        if round == 200 {
            after_warm_up = vm.memory();
        }
    }
    assert_eq!(vm.memory(), after_warm_up);
}
