//! A host may fail in any call, in any way. The filter does not trap, and lets nothing pass that it has not verified.

use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{End, Fate, Fault, Flaw, Request, Vm, World};
use serde_json::{Value, json};

use crate::policies::{PATH, SECRET};

const FLAWS: [Flaw; 9] = [
    Flaw::Status(1),
    Flaw::Status(2),
    Flaw::Status(6),
    Flaw::Status(8),
    Flaw::Status(10),
    Flaw::Status(12),
    Flaw::Status(u32::MAX),
    Flaw::Nothing,
    Flaw::WildPointer,
];

fn policy() -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": PATH, "scheme": "kapso", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["bot", "crm"]},
        "targets": {"bot": {"cluster": "bot", "sign_with": "SECRET", "body": "normalized"},
                    "crm": {"cluster": "crm", "body": "one-per-event"}},
    })
}

fn vm() -> Vm {
    let world = World::new([("SECRET", SECRET)]);
    Vm::configured(world, policy().to_string().as_bytes()).expect("a good policy")
}

/// Everything that can happen to a request, one after the other. Gives what went on.
fn play(vm: &mut Vm, request: &Request) -> Vec<Fate> {
    play_counting(vm, request).0
}

/// The same, with the number of calls that a target took.
fn play_counting(vm: &mut Vm, request: &Request) -> (Vec<Fate>, usize) {
    let given = vm.send(request);
    let mut fates = vec![given.fate.clone()];
    let mut taken = 0;
    while !vm.world().calls.is_empty() {
        vm.call_answers(Some(200));
        taken += 1;
    }
    if matches!(given.fate, Fate::Passed(_)) && vm.answer(given.id).is_none() {
        vm.target_answers(given.id, 200, &[b"a", b"b"]);
    }
    vm.pass(9_500);
    while !vm.world().calls.is_empty() {
        vm.call_answers(None);
    }
    fates.extend(vm.answer(given.id).map(Fate::Answered));
    vm.delete(given.id);
    (fates, taken)
}

/// How many host calls playing a request takes.
fn calls(request: &Request) -> usize {
    let mut vm = vm();
    let before = vm.world().called;
    play(&mut vm, request);
    vm.world().called - before
}

fn requests(delivery: &Delivery) -> [Request; 3] {
    let trailers = End::Trailers(vec![(b"x-hookgate-source".to_vec(), b"x".to_vec())]);
    [
        Request::post(PATH, delivery),
        Request::post(PATH, delivery).cut(&[5, 100]).ending(trailers),
        Request::post(PATH, delivery).cut(&[7]).ending(End::EmptyPiece),
    ]
}

#[test]
fn no_failure_of_the_host_lets_a_forgery_pass_or_traps() {
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], "forged");
    for request in requests(&batch) {
        for nth in 0..calls(&request) {
            for flaw in FLAWS {
                let mut vm = vm();
                let nth = vm.world().called + nth;
                vm.world().fault = Some(Fault::Nth(nth, flaw));
                let fates = play(&mut vm, &request);
                assert!(!fates.iter().any(|fate| matches!(fate, Fate::Passed(_))), "call {nth}, {flaw:?}: {fates:?}");
            }
        }
    }
}

#[test]
fn no_failure_of_the_host_traps_on_a_genuine_delivery_or_says_200_for_nothing() {
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], SECRET);
    for request in requests(&batch) {
        let faultless = play(&mut vm(), &request);
        let [Fate::Passed(expected), ..] = &faultless[..] else { panic!("{faultless:?}") };
        for nth in 0..calls(&request) {
            for flaw in FLAWS {
                let mut vm = vm();
                let nth = vm.world().called + nth;
                vm.world().fault = Some(Fault::Nth(nth, flaw));
                let (fates, taken) = play_counting(&mut vm, &request);
                let ok = fates.iter().any(|fate| matches!(fate, Fate::Answered(answer) if answer.status == 200));
                if !ok {
                    continue;
                }
                let Fate::Passed(message) = &fates[0] else { panic!("call {nth}, {flaw:?}: {fates:?}") };
                // A host that says it did what it did not is believed.
                let is_believed = matches!(flaw, Flaw::Nothing | Flaw::WildPointer);
                assert!(is_believed || message.body == expected.body, "call {nth}, {flaw:?}: {fates:?}");
                assert_eq!(taken, 2, "call {nth}, {flaw:?}: {fates:?}");
            }
        }
    }
}

#[test]
fn no_host_function_that_always_fails_traps() {
    let functions = [
        "log",
        "get_current_time_nanoseconds",
        "set_effective_context",
        "get_buffer_bytes",
        "set_buffer_bytes",
        "get_header_map_pairs",
        "set_header_map_pairs",
        "get_header_map_value",
        "replace_header_map_value",
        "remove_header_map_value",
        "get_property",
        "set_property",
        "get_shared_data",
        "set_shared_data",
        "http_call",
        "send_local_response",
        "continue_stream",
        "close_stream",
        "define_metric",
        "increment_metric",
        "record_metric",
        "call_foreign_function",
    ];
    for function in functions {
        for flaw in FLAWS {
            for secret in [SECRET, "forged"] {
                for request in requests(&Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], secret)) {
                    let mut vm = vm();
                    vm.world().fault = Some(Fault::Each(function, flaw));
                    let fates = play(&mut vm, &request);
                    let passed = fates.iter().any(|fate| matches!(fate, Fate::Passed(_)));
                    assert!(!passed || secret == SECRET, "{function}, {flaw:?}: {fates:?}");
                }
            }
        }
    }
}

#[test]
fn no_failure_while_configuring_traps_or_leaves_an_open_door() {
    let count = vm().world().called;
    for nth in 0..count {
        for flaw in FLAWS {
            let mut vm = Vm::loaded(World::new([("SECRET", SECRET)]));
            vm.world().fault = Some(Fault::Nth(nth, flaw));
            vm.configure(policy().to_string().as_bytes());
            vm.world().fault = None;
            let given = vm.send(&Request::post(PATH, &Delivery::message("wamid.A1", "forged")));
            assert!(matches!(given.fate, Fate::Answered(_)), "call {nth}, {flaw:?}: {given:?}");
        }
    }
}

#[test]
fn callbacks_out_of_turn_neither_trap_nor_open_a_door() {
    let mut random = 1_u64;
    let mut next = move |below: u64| {
        // xorshift: the same every time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u32::try_from(random % below).expect("small")
    };
    for _ in 0..300 {
        let mut vm = vm();
        let forged = Request::post(PATH, &Delivery::message("wamid.A1", "forged")).ending(End::Never);
        let given = vm.send(&forged);
        assert_eq!(given.fate, Fate::Held);
        for _ in 0..20 {
            let (id, callback, size, end) = (given.id + next(3) - 1, next(7), next(3000), next(2) == 1);
            let went_on = vm.out_of_turn(id, callback, size, end);
            let about_the_request = callback % 7 < 3;
            assert!(!(went_on && about_the_request), "callback {callback} of {id} with {size} bytes opened a door");
        }
    }
}

#[test]
fn maps_that_lack_what_http_has_are_no_open_door() {
    let mut vm = vm();
    let mut request = Request::post(PATH, &Delivery::message("wamid.A1", "forged"));
    request.headers.clear();
    assert!(matches!(vm.send(&request).fate, Fate::Answered(answer) if answer.status == 500));
    let mut request = Request::post(PATH, &Delivery::message("wamid.A1", SECRET));
    request.headers.retain(|(name, _)| name != b":method");
    assert!(!matches!(vm.send(&request).fate, Fate::Passed(_)));
    request.headers.retain(|(name, _)| name != b":authority");
    request.headers.push((b":method".to_vec(), b"POST".to_vec()));
    request.headers.push((b"x-\xff".to_vec(), b"\xff\xfe\0".to_vec()));
    assert!(matches!(vm.send(&request).fate, Fate::Passed(_)));
}
