//! A body may come in any pieces, and end in any way: the verdict is the same, and comes once.

use hookgate::types::Decision;
use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{End, Fate, Request, Shared, Vm};

use crate::policies::{PATH, SECRET, answered, component, example_filter, filter, passed, to_bot};

/// Every way for a request with a body to end.
fn ends() -> [End; 3] {
    [End::Body, End::EmptyPiece, End::Trailers(vec![(b"x-checksum".to_vec(), b"1".to_vec())])]
}

/// Sends it as nobody's duplicate, and forgets it.
fn send(vm: &mut Vm, request: &Request) -> Fate {
    vm.world().shared = Shared::default();
    let given = vm.send(request);
    vm.delete(given.id);
    given.fate
}

#[test]
fn every_example_gets_the_components_decision_cut_anywhere_and_ended_anyhow() {
    let mut cuts = 0;
    for (name, delivery, secret) in Delivery::examples() {
        let mut vm = example_filter(&secret);
        let decision = component(&secret, &delivery);
        let Decision::Deliver(deliver) = &decision else { panic!("{name} is genuine, but: {decision:?}") };
        let goes_on = !deliver.dispatches.is_empty();
        for at in 0..=delivery.body.len() {
            let request = Request::post(PATH, &delivery).cut(&[at]).ending(ends()[at % 3].clone());
            match send(&mut vm, &request) {
                Fate::Passed(message) if goes_on => assert_eq!(message.body, delivery.body, "{name} cut at {at}"),
                Fate::Answered(answer) if !goes_on => assert_eq!(answer.status, 200, "{name} cut at {at}"),
                other => panic!("{name} cut at {at}: {other:?}"),
            }
            cuts += 1;
        }
    }
    assert!(cuts > 50_000, "{cuts} cuts are few");
}

#[test]
fn every_forged_example_is_refused_cut_anywhere_and_ended_anyhow() {
    for (name, mut delivery, secret) in Delivery::examples() {
        let mut vm = example_filter(&secret);
        // The last byte: all that comes before is as it was signed.
        *delivery.body.last_mut().expect("a body") ^= 1;
        for at in 0..=delivery.body.len() {
            let request = Request::post(PATH, &delivery).cut(&[at]).ending(ends()[at % 3].clone());
            match send(&mut vm, &request) {
                Fate::Answered(answer) => assert_eq!(answer.status, 401, "{name} cut at {at}"),
                other => panic!("{name} cut at {at} was not refused: {other:?}"),
            }
        }
    }
}

#[test]
fn what_was_begun_and_not_ended_fills_no_memory() {
    let mut vm = filter(&to_bot());
    let forged = Delivery::new("x", "x".repeat(1 << 20)).with("X-Webhook-Signature", &"0".repeat(64));
    for _ in 0..32 {
        let request = Request::post(PATH, &forged).ending(End::Never);
        assert!(matches!(vm.send(&request).fate, Fate::Held));
    }
    assert!(vm.memory() < 8 << 20, "{}", vm.memory());
}

#[test]
fn every_flipped_byte_is_found() {
    let delivery = Delivery::message("wamid.A1", SECRET);
    let mut vm = filter(&to_bot());
    for at in 0..delivery.body.len() {
        let mut forged = delivery.clone();
        forged.body[at] ^= 0x20;
        for end in ends() {
            let fate = send(&mut vm, &Request::post(PATH, &forged).ending(end));
            assert!(matches!(&fate, Fate::Answered(answer) if answer.status == 401), "byte {at}: {fate:?}");
        }
    }
}

#[test]
fn a_body_that_comes_byte_by_byte_is_read_once() {
    let delivery = Delivery::message("wamid.A1", SECRET);
    let mut vm = filter(&to_bot());
    let at: Vec<_> = (1..delivery.body.len()).collect();
    let configured = vm.world().fetched;
    let (_, message) = passed(vm.send(&Request::post(PATH, &delivery).cut(&at)));
    assert_eq!(message.body, delivery.body);
    // Piece by piece, and once more as a whole.
    assert_eq!(vm.world().fetched - configured, 2 * delivery.body.len());
}

#[test]
fn a_request_that_does_not_end_never_goes_on() {
    let delivery = Delivery::message("wamid.A1", SECRET);
    let mut vm = filter(&to_bot());
    for at in 0..delivery.body.len() {
        let request = Request::post(PATH, &delivery).cut(&[at]).ending(End::Never);
        assert_eq!(send(&mut vm, &request), Fate::Held, "cut at {at}");
    }
}

#[test]
fn without_a_body_headers_decide() {
    let mut vm = filter(&to_bot());
    let empty = Delivery::new("whatsapp.message.received", "");
    let forged = empty.clone().with("X-Webhook-Signature", &"0".repeat(64));
    assert_eq!(answered(vm.send(&Request::post(PATH, &forged).ending(End::Headers))).status, 401);
    // A body that says nothing is genuine if it is signed.
    let (_, message) = passed(vm.send(&Request::post(PATH, &empty.signed(SECRET)).ending(End::Headers)));
    assert_eq!((message.header("x-hookgate-target"), message.body.as_slice()), (Some("bot"), &[][..]));
}

#[test]
fn trailers_without_a_body_decide_too() {
    let mut vm = filter(&to_bot());
    let forged = Delivery::new("whatsapp.message.received", "").with("X-Webhook-Signature", &"0".repeat(64));
    let mut request = Request::post(PATH, &forged).ending(End::Trailers(Vec::new()));
    request.pieces.clear();
    assert_eq!(answered(vm.send(&request)).status, 401);
}

#[test]
fn trailers_that_only_hookgate_may_send_are_taken_out() {
    let mut vm = filter(&to_bot());
    let trailers = [("x-hookgate-source", "forged"), ("x-checksum", "1")];
    let trailers = trailers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
    let request = Request::post(PATH, &Delivery::message("wamid.A1", SECRET)).ending(End::Trailers(trailers.clone()));
    let (_, message) = passed(vm.send(&request));
    assert_eq!(message.trailers, [(b"x-checksum".to_vec(), b"1".to_vec())]);
    let request = Request::post("/other", &Delivery::new("x", "{}")).ending(End::Trailers(trailers));
    let (_, message) = passed(vm.send(&request));
    assert_eq!(message.trailers, [(b"x-checksum".to_vec(), b"1".to_vec())]);
}
