//! Every example delivery, and what can be made of it, is decided as the component `hookgate.wasm` decides it.
//!
//! The targets refuse everything, so nothing is remembered and the same bytes can be sent again and again.

use std::collections::BTreeMap;
use std::fmt;

use hookgate::types::{Attempt, BodyOut, Decision, Head, Header, MessageOut, Outcome, Request, Response};
use hookgate::{Gate, Secrets};
use hookgate_tests::client::Answer;
use hookgate_tests::hooked::{TARGET_SECRET, plugin};
use hookgate_tests::spin::Runtime;
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, hmac_sha256};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{Served, app};

/// Three paths for three schemes, and a target for each form of body.
fn policy(base: &str) -> Value {
    let target = |path: &str, body: &str, sign_with: Option<&str>| {
        let mut target = json!({"url": format!("{base}/{path}"), "body": body});
        if let Some(secret) = sign_with {
            target["sign_with"] = json!(secret);
        }
        target
    };
    json!({
        "sources": [
            {"name": "any", "path": "/any", "scheme": "any", "secrets": ["ONE", "TWO", "THREE"]},
            {"name": "kapso", "path": "/kapso", "scheme": "kapso", "secrets": ["ONE", "TWO", "THREE"]},
            {"name": "tenants", "path": "/tenants", "scheme": "any",
             "secrets_by_phone_number": {"123456789012345": ["ONE", "TWO"], "1": ["THREE"]}},
        ],
        "rules": [
            {"name": "texts", "when": {"message_type": "text"}, "to": ["raw", "each"]},
            {"name": "received", "when": {"event": "whatsapp.message.received"}, "to": ["each", "signed"]},
            {"name": "project", "when": {"kind": "project"}, "to": ["normal"]},
            {"name": "tests", "when": {"test": true}, "drop": true},
        ],
        "otherwise": {"to": ["raw", "normal"]},
        "targets": {
            "raw": target("raw", "as-received", None),
            "each": target("each", "one-per-event", None),
            "normal": target("normal", "normalized", Some("TARGET_SECRET")),
            "signed": target("signed", "as-received", Some("TARGET_SECRET")),
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_and_mutation_is_decided_alike() {
    let examples = Delivery::examples();
    let mut secrets: Vec<&str> = examples.iter().map(|(_, _, secret)| secret.as_str()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let named: Vec<(&str, &str)> = ["ONE", "TWO", "THREE"].into_iter().zip(secrets).collect();
    assert_eq!(named.len(), 3, "the examples have three secrets");
    let mut upstream = Upstream::answering(Reply::Status(500)).await;
    let base = upstream.url().trim_end_matches("/hook").to_owned();
    let policy = policy(&base);
    let all = named.iter().copied().chain([("TARGET_SECRET", TARGET_SECRET)]);
    let gate = plugin().compile(&policy.to_string(), &Secrets::from_iter(all)).expect("the policy is right");
    let app = named.iter().fold(app(&policy).allow(&base), |app, (name, value)| app.secret(name, value));

    for runtime in Runtime::all() {
        let served = Served::start(&runtime, &app).await;
        let mut decided = BTreeMap::new();
        for (name, delivery, secret) in &examples {
            for (mutation, sent) in mutations(delivery, secret) {
                let case = format!("{name}, {mutation}");
                let expected = expect(&gate, &sent, &base);
                let answer = send(&served, &sent).await;
                assert_eq!(answer.status, expected.answer.status, "{case}");
                assert_eq!(answer.body, expected.answer.body, "{case}");
                for header in &expected.answer.headers {
                    let got = answer.headers.get(&header.name).map(|value| value.as_bytes());
                    assert_eq!(got, Some(header.value.as_slice()), "{case}: {}", header.name);
                }
                let mut arrived: BTreeMap<String, Vec<Message>> = BTreeMap::new();
                for seen in upstream.rest() {
                    let headers = seen.headers.iter().filter(|(name, _)| *name != "host");
                    let mut headers: Vec<_> =
                        headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
                    headers.sort();
                    arrived.entry(seen.path).or_default().push(Message { headers, body: seen.body.to_vec() });
                }
                assert_eq!(arrived, expected.messages, "{case}");
                *decided.entry(answer.status).or_insert(0) += 1;
            }
        }
        // That the cases are not all the same one.
        eprintln!("{runtime:?}: {decided:?}");
        assert!(
            [401, 404, 405, 502].iter().all(|status| decided.get(status).is_some_and(|count| *count > 20)),
            "{decided:?}"
        );
    }
}

/// A request as it is sent.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    path: &'static str,
    delivery: Delivery,
}

/// What the component says, carried out by hand.
struct Expected {
    answer: Response,
    messages: BTreeMap<String, Vec<Message>>,
}

#[derive(PartialEq, Eq)]
struct Message {
    /// Sorted, without `host`.
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        write!(f, "{}", String::from_utf8_lossy(&self.body))
    }
}

fn expect(gate: &Gate, sent: &Sent, base: &str) -> Expected {
    let length = sent.delivery.body.len().to_string();
    let mut fields: Vec<(String, Vec<u8>)> =
        sent.delivery.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into())).collect();
    fields.push(("content-length".into(), length.into()));
    let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
    let head = Head { method: sent.method, path: sent.path, headers: &headers };
    let request = Request { head, body: &sent.delivery.body };
    let deliver = match gate.decide(&request, 1_790_000_000).expect("the component decides") {
        Decision::NotOurs | Decision::Redirect(_) => {
            let answer = Response { status: 404, headers: Vec::new(), body: b"not found\n".to_vec() };
            return Expected { answer, messages: BTreeMap::new() };
        }
        Decision::Respond(refusal) => return Expected { answer: refusal.response, messages: BTreeMap::new() },
        Decision::Deliver(deliver) => deliver,
    };
    let mut messages: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    let mut attempts = Vec::new();
    for dispatch in &deliver.dispatches {
        let url =
            gate.settings().targets.iter().find(|target| target.name == dispatch.target).unwrap().url.clone().unwrap();
        for message in &dispatch.messages {
            attempts.push(Attempt { target: &dispatch.target, outcome: Outcome::Answered(500) });
            messages
                .entry(url.strip_prefix(base).unwrap().to_owned())
                .or_default()
                .push(compose(&fields, sent, message));
        }
    }
    Expected { answer: gate.settle(&attempts).expect("it settles").response, messages }
}

fn compose(fields: &[(String, Vec<u8>)], sent: &Sent, message: &MessageOut) -> Message {
    let body = match &message.body {
        BodyOut::AsReceived => sent.delivery.body.clone(),
        BodyOut::Part(span) => sent.delivery.body[span.start as usize..][..span.len as usize].to_vec(),
        BodyOut::Rewritten(body) => body.clone(),
    };
    let set = |name: &String| message.set_headers.iter().any(|header| header.name == *name);
    let mut headers: Vec<_> = fields
        .iter()
        .filter(|(name, _)| !message.drop_headers.contains(name) && !set(name) && name != "content-length")
        .cloned()
        .chain(message.set_headers.iter().map(|header| (header.name.clone(), header.value.clone())))
        .chain([("content-length".to_owned(), body.len().to_string().into_bytes())])
        .collect();
    headers.sort();
    Message { headers, body }
}

async fn send(served: &Served, sent: &Sent) -> Answer {
    let mut request = http::Request::builder().method(sent.method).uri(served.running.url(sent.path));
    for (name, value) in &sent.delivery.headers {
        request = request.header(name, value);
    }
    let length = sent.delivery.body.len();
    let request = request.header("content-length", length).body(Full::new(sent.delivery.body.clone().into()));
    served.client.send(request.expect("a request")).await
}

/// The example itself, and what is wrong with a delivery in the wild.
fn mutations(delivery: &Delivery, secret: &str) -> Vec<(&'static str, Sent)> {
    const SIGNATURE: &str = "X-Webhook-Signature";
    let at = |path, delivery| Sent { method: "POST", path, delivery };
    let body = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut delivery = delivery.clone();
        change(&mut delivery.body);
        delivery
    };
    let resigned = |body: &[u8]| Delivery { body: body.to_vec(), ..delivery.clone() }.signed(secret);
    let signature = hmac_sha256(secret.as_bytes(), &delivery.body);
    let with = |value: &str| at("/any", delivery.clone().without(SIGNATURE).with(SIGNATURE, value));
    vec![
        ("as it is", at("/any", delivery.clone())),
        ("for one scheme", at("/kapso", delivery.clone())),
        ("by tenant", at("/tenants", delivery.clone())),
        ("with a query", at("/any?x=1", delivery.clone())),
        ("elsewhere", at("/nowhere", delivery.clone())),
        ("put", Sent { method: "PUT", path: "/any", delivery: delivery.clone() }),
        ("got", Sent { method: "GET", path: "/any", delivery: delivery.clone() }),
        ("a byte changed", at("/any", body(&|body| body[20] ^= 1))),
        ("cut", at("/any", body(&|body| body.truncate(body.len() - 1)))),
        ("empty", at("/any", body(&Vec::clear))),
        ("a newline more, signed", at("/any", resigned(&[delivery.body.as_slice(), b"\n"].concat()))),
        ("cut, signed", at("/any", resigned(&delivery.body[..delivery.body.len() / 2]))),
        ("a list, signed", at("/any", resigned(b"[]"))),
        ("nothing, signed", at("/any", resigned(b""))),
        ("no text, signed", at("/any", resigned(b"\xff\xfe{}"))),
        ("upper-case signature", with(&signature.to_uppercase())),
        ("prefixed signature", with(&format!("sha256={signature}"))),
        ("short signature", with(&signature[1..])),
        ("no signature", at("/any", delivery.clone().without(SIGNATURE).without("X-Hub-Signature-256"))),
        ("two signatures", at("/any", delivery.clone().signed(secret).with(SIGNATURE, &signature))),
        (
            "another event",
            at("/any", delivery.clone().without("X-Webhook-Event").with("X-Webhook-Event", "whatsapp.message.read")),
        ),
        ("no event", at("/any", delivery.clone().without("X-Webhook-Event"))),
        ("called a batch", at("/any", delivery.clone().with("X-Webhook-Batch", "true").with("X-Batch-Size", "9"))),
        ("forged", at("/any", delivery.clone().with("X-Hookgate-Source", "any").with("x-hookgate-rule", "texts"))),
    ]
}
