//! What the sender is answered when targets have been tried, and what is sent when only a part is left to send.
#![allow(missing_docs)]

use hmac::{Hmac, KeyInit, Mac};
use hookgate_core::{
    Attempt, BodyOut, Decision, DeliveryResult, Gate, Head, Header, Outcome, Request, Secret, Settlement, Verdict,
};

const POLICY: &str = r#"{
  "sources": [{"name": "hook", "path": "/hook", "secrets": ["S"]}],
  "rules": [{"name": "all", "to": ["whole", "single"]}],
  "targets": {
    "whole": {"url": "http://127.0.0.1/", "give_up_on": [410, 422]},
    "single": {"url": "http://127.0.0.1/", "body": "one-per-event", "sign_with": "S"}
  }
}"#;

fn gate() -> Gate {
    Gate::compile(POLICY, &[Secret { name: "S", value: "secret" }]).unwrap()
}

fn settlement(outcomes: &[Outcome]) -> Settlement {
    let attempts: Vec<_> = outcomes.iter().map(|&outcome| Attempt { target: "whole", outcome }).collect();
    gate().settle(&attempts)
}

fn settle(outcomes: &[Outcome]) -> (u16, Vec<Verdict>) {
    let settlement = settlement(outcomes);
    (settlement.response.status, settlement.verdicts)
}

#[test]
fn nothing_to_send_is_200() {
    assert_eq!(settle(&[]), (200, vec![]));
    assert_eq!(settle(&[Outcome::Duplicate]), (200, vec![Verdict::Untouched]));
}

#[test]
fn any_2xx_is_200() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(settle(&[Outcome::Answered(status)]), (200, vec![Verdict::Delivered]));
    }
}

#[test]
fn given_up_on_is_200_and_committed() {
    assert_eq!(settle(&[Outcome::Answered(410), Outcome::Answered(422)]), (200, vec![Verdict::Rejected; 2]));
    let elsewhere = gate().settle(&[Attempt { target: "single", outcome: Outcome::Answered(410) }]);
    assert_eq!((elsewhere.response.status, elsewhere.verdicts), (502, vec![Verdict::Failed]));
}

#[test]
fn everything_else_is_tried_again() {
    for status in [100, 199, 300, 302, 400, 404, 429, 500, 503] {
        assert_eq!(settle(&[Outcome::Answered(status)]), (502, vec![Verdict::Failed]), "{status}");
    }
    assert_eq!(settle(&[Outcome::Unreachable]), (502, vec![Verdict::Failed]));
    assert_eq!(settle(&[Outcome::TimedOut]), (504, vec![Verdict::Failed]));
    assert_eq!(settle(&[Outcome::InFlight]), (503, vec![Verdict::Untouched]));
    let unknown = gate().settle(&[Attempt { target: "nobody", outcome: Outcome::Answered(200) }]);
    assert_eq!((unknown.response.status, unknown.verdicts), (502, vec![Verdict::Failed]));
}

#[test]
fn a_refusal_outweighs_a_time_out_and_that_what_is_in_flight() {
    use Outcome::{Answered, Duplicate, InFlight, TimedOut, Unreachable};
    assert_eq!(settle(&[TimedOut, Answered(500), Answered(200)]).0, 502);
    assert_eq!(settle(&[Unreachable, TimedOut]).0, 502);
    assert_eq!(settle(&[InFlight, TimedOut, Duplicate]).0, 504);
    assert_eq!(settle(&[InFlight, Answered(200), Duplicate]).0, 503);
}

#[test]
fn a_result_says_why_the_sender_is_answered_so() {
    use DeliveryResult as Is;
    use Outcome::{Answered, Duplicate, InFlight, TimedOut, Unreachable};
    let cases: [(&[Outcome], _); 12] = [
        (&[], Is::Dropped),
        (&[Duplicate, Duplicate], Is::Duplicate),
        (&[Duplicate, Answered(204)], Is::Delivered),
        (&[Answered(200), Answered(410), Duplicate], Is::GivenUp),
        (&[Answered(422)], Is::GivenUp),
        (&[InFlight, Answered(200)], Is::InFlight),
        (&[InFlight, Answered(410)], Is::InFlight),
        (&[TimedOut, InFlight, Answered(200)], Is::TimedOut),
        (&[TimedOut, Unreachable], Is::Failed),
        (&[Answered(500), TimedOut], Is::Failed),
        (&[Unreachable], Is::Failed),
        (&[Answered(404), Answered(410)], Is::Failed),
    ];
    for (outcomes, result) in cases {
        assert_eq!(settlement(outcomes).result, result, "{outcomes:?}");
    }
}

#[test]
fn what_cannot_be_read_is_narrowed_to_itself() {
    let policy = r#"{
        "sources": [{"name": "s", "path": "/hook", "secrets": ["S"]}],
        "rules": [{"name": "all", "when": {"kind": "unknown"}, "to": ["rest"]}],
        "otherwise": {"to": ["rest"]},
        "targets": {"rest": {"url": "http://rest.test/", "body": "normalized"}}
    }"#;
    let gate = Gate::compile(policy, &[Secret { name: "S", value: "secret" }]).unwrap();
    let body = b"no JSON";
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    let headers = [Header { name: "X-Webhook-Signature", value: signature.as_bytes() }];
    let request = Request { head: Head { method: "POST", path: "/hook", headers: &headers }, body };
    let Decision::Deliver(deliver) = gate.decide(&request, 0) else { panic!("refused") };
    let [dispatch] = &deliver.dispatches[..] else { panic!("one target") };
    assert_eq!(gate.narrow(&request, &gate.contents(&request), "rest", &[0]), dispatch.messages);
}

#[test]
fn what_is_left_is_narrowed_to_exactly_that() {
    let item =
        |id: &str| format!(r#"{{"message":{{"id":"{id}","kapso":{{"direction":"inbound"}}}},"phone_number_id":"1"}}"#);
    let body =
        format!(r#"{{"batch":true,"data":[{}, {} ,{}],"batch_info":{{"size":3}}}}"#, item("a"), item("b"), item("c"));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let headers = [Header { name: "X-Webhook-Signature", value: signature.as_bytes() }];
    let request = Request { head: Head { method: "POST", path: "/hook", headers: &headers }, body: body.as_bytes() };
    let gate = gate();
    let Decision::Deliver(deliver) = gate.decide(&request, 0) else { panic!("refused") };
    let narrow = |target: &str, events: &[usize]| gate.narrow(&request, &deliver.delivery, target, events);

    for dispatch in &deliver.dispatches {
        assert_eq!(narrow(dispatch.target, &dispatch.events), dispatch.messages, "all of it is what decide said");
        assert!(narrow(dispatch.target, &[]).is_empty());
        assert!(narrow(dispatch.target, &[7]).is_empty());
    }
    assert!(narrow("nobody", &[0]).is_empty());

    let [message] = &narrow("whole", &[0, 2])[..] else { panic!("one message") };
    let expected = format!(r#"{{"batch":true,"data":[{} ,{}],"batch_info":{{"size":2}}}}"#, item("a"), item("c"));
    assert_eq!(message.body, BodyOut::Rewritten(expected.into_bytes()));
    assert_eq!(message.events, [0, 2]);
    let [message] = &narrow("whole", &[1])[..] else { panic!("one message") };
    let expected = format!(r#"{{"batch":true,"data":[{}],"batch_info":{{"size":1}}}}"#, item("b"));
    assert_eq!(message.body, BodyOut::Rewritten(expected.into_bytes()));

    let messages = narrow("single", &[2]);
    let [message] = &messages[..] else { panic!("one message") };
    assert_eq!(message.body.bytes(request.body), item("c").as_bytes());
}
