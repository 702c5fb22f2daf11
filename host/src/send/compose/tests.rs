//! What is composed, read by the component that has to read it.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

use super::super::duplicate::Duplicate;
use super::super::forge::Forgery;
use super::super::sign::{Signer, Signers};
use super::super::written::{Line, Written};
use super::*;
use crate::types::{
    Delivery, Detail, Head, Header, Kind, MessageContent, NameOrigin, Parsed, Proof, Rejection, Request,
};
use crate::{Gate, Options, Plugin, Secrets};

const NOW: u64 = 1_800_000_000;
/// What no two items share, and every item has once or in several places of its own.
const MARK: &str = "-5eed-8";

/// A gate that takes every signature there is.
fn gate() -> &'static Gate {
    static GATE: OnceLock<Gate> = OnceLock::new();
    GATE.get_or_init(|| {
        let policy = r#"{
            "sources": [
                {"name": "one", "path": "/one", "scheme": "any", "secrets": ["ONE", "APP"]},
                {"name": "tenants", "path": "/tenants", "scheme": "any", "secrets": ["PROJECT"],
                 "secrets_by_phone_number": {"100000000000001": ["ONE"], "100000000000002": ["TWO"]}}
            ],
            "targets": {}
        }"#;
        let secrets = Secrets::from([("ONE", "one-1"), ("TWO", "two-2"), ("APP", "app-3"), ("PROJECT", "project-4")]);
        Plugin::new(&Options::default()).unwrap().compile(policy, &secrets).unwrap()
    })
}

fn one() -> Signers {
    Signers::new(vec![Signer::new("one-1")], None, Some(Signer::new("app-3"))).unwrap()
}

fn tenants() -> Signers {
    let numbers = vec![Signer::new("one-1"), Signer::new("two-2")];
    Signers::new(numbers, Some(Signer::new("project-4")), None).unwrap()
}

fn scene(seed: u64, mix: Mix) -> Scene {
    Scene { seed, now: NOW, phone_numbers: 2, conversations: 7, mix }
}

/// So many deliveries of this form.
fn composed(form: Form, count: usize) -> Vec<Composed> {
    let mut composer = Composer::new(scene(5, Mix::just(form)));
    (0..count).map(|_| composer.compose()).collect()
}

fn with<R>(path: &str, written: &Written, ask: impl FnOnce(&Request<'_>) -> R) -> R {
    let headers: Vec<_> =
        written.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    ask(&Request { head: Head { method: "POST", path, headers: &headers }, body: &written.body })
}

fn verify(path: &str, written: &Written) -> Result<Proof, Rejection> {
    with(path, written, |request| gate().verify(request, NOW).unwrap())
}

fn parse(written: &Written) -> Parsed {
    with("/one", written, |request| gate().parse(request.head.headers, request.body).unwrap().unwrap())
}

/// The ids of items that stand in these bytes.
fn marks(bytes: &[u8]) -> BTreeSet<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.match_indices(MARK).map(|(at, _)| text[at - 8..at + 28].to_owned()).collect()
}

#[test]
fn every_form_is_genuine_and_says_what_it_claims() {
    let (mut keys, mut ids) = (HashSet::new(), HashSet::new());
    for form in Form::all() {
        for composed in composed(form, 60) {
            let written = Written::signed(&composed, &one());
            let proof = verify("/one", &written).unwrap_or_else(|error| panic!("{form:?} is {error:?}"));
            assert_eq!(proof.secret == "APP", form == Form::Meta(Signature::Hub), "{form:?}");
            let Parsed { delivery, details } = parse(&written);
            let Delivery { kind, name, batch, events, contradictions, .. } = delivery;
            assert_eq!(contradictions.len(), 0, "{form:?} {contradictions:?}");
            assert_eq!(name.as_deref(), form.name(), "{form:?}");
            assert_eq!(kind, kind_of(composed.webhook), "{form:?}");
            assert_eq!(batch.is_some(), matches!(form, Form::Batch(_)), "{form:?}");
            assert_eq!(delivery.test, matches!(form, Form::Test(_)), "{form:?}");
            assert_eq!(events.len(), composed.items as usize, "{form:?}");
            assert_eq!(delivery.idempotency_key.as_deref(), Some(composed.key.as_str()));
            if let Form::Event(_, version) = form {
                assert_eq!(delivery.payload_version.as_deref(), Some(version.name()), "{form:?}");
            }
            for (event, detail) in events.iter().zip(&details) {
                let untyped = matches!(form, Form::LegacyAgent(_)) || form.family() == "handover";
                assert!(untyped || !matches!(detail, Detail::Other), "{form:?} {detail:?}");
                let marks = marks(event.span.of(&written.body));
                assert_eq!(marks.len(), 1, "{form:?} {marks:?}");
                assert!(marks.into_iter().all(|mark| ids.insert(mark)), "{form:?}: an id is there twice");
                // They were all composed by composers of the same seed, so only those of one form differ.
                assert!(
                    keys.insert((form.name(), form.family(), event.item_key.clone())),
                    "{form:?} {}",
                    event.item_key
                );
            }
        }
        ids.clear();
    }
}

fn kind_of(webhook: Webhook) -> Kind {
    match webhook {
        Webhook::Number(_) => Kind::Whatsapp,
        Webhook::Project => Kind::Project,
        Webhook::Meta(_) => Kind::Meta,
    }
}

#[test]
fn a_whole_mix_has_no_two_events_that_the_gate_takes_for_one() {
    let mix =
        Mix::read("received,batch,sent=5,status=30,conversation,contact,handover,v1,test,project,meta,hub").unwrap();
    let mut composer = Composer::new(scene(8, mix));
    let (mut keys, mut ids, mut items) = (HashSet::new(), HashSet::new(), 0);
    for _ in 0..3_000 {
        let composed = composer.compose();
        items += composed.items as usize;
        ids.extend(marks(&composed.body));
        let events = parse(&Written::signed(&composed, &one())).delivery.events;
        keys.extend(events.into_iter().map(|event| event.item_key));
    }
    assert_eq!((keys.len(), ids.len()), (items, items));
}

#[test]
fn statuses_are_those_of_messages_that_were_sent() {
    let mut composer = Composer::new(scene(4, Mix::read("sent,status").unwrap()));
    let (mut sent, mut known, mut others) = (HashSet::new(), 0, 0);
    for _ in 0..1_000 {
        let event = parse(&Written::signed(&composer.compose(), &one())).delivery.events.remove(0);
        let is_sent = event.status.as_deref() == Some("sent");
        match sent.contains(&event.message_id) {
            true => known += 1,
            false if !is_sent => others += 1,
            false => {}
        }
        sent.extend(is_sent.then_some(event.message_id));
    }
    assert!(others > 10, "some come before, or without, what they belong to: {others}");
    assert!(known > 2 * others, "{known}, and {others} of messages that nobody sent");
}

#[test]
fn every_type_of_message_is_composed_and_read() {
    for (mix, makers) in [("received", &content::INBOUND[..]), ("sent", &content::OUTBOUND[..])] {
        let mut seen = BTreeSet::new();
        let mut composer = Composer::new(scene(2, Mix::read(mix).unwrap()));
        for _ in 0..1_500 {
            let written = Written::signed(&composer.compose(), &one());
            let Parsed { delivery, details } = parse(&written);
            let Detail::Message(message) = &details[0] else { panic!("{details:?}") };
            let kind = delivery.events[0].message_type.clone().unwrap();
            // A business asks with an interactive message; only answers have a type of their own.
            let asks = mix == "sent" && kind == "interactive";
            assert!(asks || !matches!(message.content, MessageContent::Other(_)), "{kind}");
            seen.insert(kind);
        }
        let mut expected: BTreeSet<_> = makers.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        if mix == "received" {
            expected.insert(content::UNSUPPORTED.0.to_owned());
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn batches_have_1_to_100_items() {
    let Some(form) = Form::all().into_iter().find(|form| form.family() == "batch") else { panic!("a batch") };
    let sizes: BTreeSet<_> = composed(form, 400).iter().map(|batch| batch.items).collect();
    assert_eq!(sizes.first(), Some(&1));
    assert!(sizes.last().is_some_and(|size| (60..=100).contains(size)), "{sizes:?}");
}

#[test]
fn a_number_belongs_to_the_tenant_who_signs() {
    let mix =
        Mix::usual().only(&["whatsapp.message.*".into(), "whatsapp.conversation.*".into(), "project.event".into()]);
    let mut composer = Composer::new(scene(4, mix.unwrap()));
    let mut secrets = BTreeSet::new();
    for _ in 0..500 {
        let composed = composer.compose();
        let proof = verify("/tenants", &Written::signed(&composed, &tenants())).unwrap();
        let expected = match composed.webhook {
            Webhook::Number(0) => "ONE",
            Webhook::Number(_) => "TWO",
            _ => "PROJECT",
        };
        assert_eq!(proof.secret, expected);
        secrets.insert(proof.secret);
    }
    assert_eq!(secrets.len(), 3);
}

#[test]
fn every_forgery_of_every_form_is_rejected() {
    for form in Form::all() {
        for (place, composed) in composed(form, 4).into_iter().enumerate() {
            for forgery in Forgery::ALL {
                let mut dice = Dice::new(1, place as u64, Purpose::Forge);
                for (path, signers) in [("/one", one()), ("/tenants", tenants())] {
                    if path == "/one" && forgery == Forgery::OtherTenant {
                        continue;
                    }
                    let forged = forgery.of(&composed, &signers, &mut dice);
                    let verdict = verify(path, &forged);
                    assert!(verdict.is_err(), "{} of {form:?} at {path}", forgery.name());
                    assert!(std::str::from_utf8(&forged.body).is_ok(), "it can be printed");
                }
            }
        }
    }
}

#[test]
fn a_duplicate_is_the_same_events() {
    for form in Form::all() {
        for composed in composed(form, 8) {
            let written = Written::signed(&composed, &one());
            let keys = |written: &Written| -> Vec<_> {
                parse(written).delivery.events.into_iter().map(|event| event.item_key).collect()
            };
            let mut dice = Dice::new(1, composed.number, Purpose::Duplicate);
            let again = Duplicate::any(&mut dice);
            let copy = again.of(&written, &mut dice);
            assert_eq!(copy.body, written.body);
            assert!(verify("/one", &copy).is_ok(), "{form:?} {again:?}");
            assert_eq!(keys(&copy), keys(&written), "{form:?} {again:?}");
        }
    }
}

/// If this changes, what a seed gives changes for everybody: then say so in the changelog.
#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    let digest_of = |seed| {
        let mix = Mix::read("received=5,batch,sent,status=3,conversation,contact,handover,v1,test,project,meta,hub");
        let mut composer = Composer::new(scene(seed, mix.unwrap()));
        let mut lines = Vec::new();
        for _ in 0..500 {
            let written = Written::signed(&composer.compose(), &one());
            serde_json::to_writer(&mut lines, &Line::new(&written, None).unwrap()).unwrap();
        }
        hex::encode(digest(&SHA256, &lines))
    };
    assert_eq!(digest_of(1), digest_of(1));
    assert_ne!(digest_of(1), digest_of(2));
    assert_eq!(digest_of(1), "4ec011bed42375a16ba5b7938a1205f6748c99de6f374a175c2e7555b0082f03");
}

/// Only headers say the name of these, as in the documentation.
#[test]
fn connections_do_not_say_their_name() {
    let form = Form::all().into_iter().find(|form| form.name() == Some("whatsapp.phone_number.created")).unwrap();
    for composed in composed(form, 5) {
        assert_eq!(parse(&Written::signed(&composed, &one())).delivery.name_origin, NameOrigin::Header);
    }
}
