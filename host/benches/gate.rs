//! What the choices in `Options` cost: instances reused or fresh, ten or ten thousand rules and tenants, with and without
//! the cache of machine code.

use std::fmt;
use std::num::NonZeroU64;

use divan::Bencher;
use hookgate::types::{Decision, Head, Header, Request};
use hookgate::{Cache, Gate, Instances, Options, Plugin, Secrets, sign};
use serde_json::{Map, Value, json};

fn main() {
    divan::main();
}

const SECRET: &str = "whsec_bench";
const REUSE: Instances = Instances::Reuse { max_calls: NonZeroU64::MAX };

/// A policy with so many rules by phone number, and so many tenants with a secret each, that the delivery meets the last.
#[derive(Clone, Copy)]
struct Size(usize);

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules and tenants", self.0)
    }
}

const SIZES: [Size; 2] = [Size(10), Size(10_000)];

impl Size {
    fn number(index: usize) -> String {
        format!("{}", 100_000_000_000_000 + index)
    }

    fn policy(self) -> String {
        let name = |index| format!("SECRET_{index}");
        let tenants: Map<_, _> = (0..self.0).map(|index| (Self::number(index), json!([name(index)]))).collect();
        let rules: Vec<_> = (0..self.0)
            .map(|index| {
                json!({"name": format!("rule {index}"), "when": {"phone_number_id": Self::number(index)}, "to": ["bot"]})
            })
            .collect();
        let policy = json!({
            "sources": [{"name": "tenants", "path": "/webhooks", "secrets_by_phone_number": tenants}],
            "rules": rules,
            "targets": {"bot": {"url": "http://127.0.0.1:3000/hook"}},
        });
        policy.to_string()
    }

    fn secrets(self) -> Secrets {
        (0..self.0).map(|index| (format!("SECRET_{index}"), SECRET)).collect()
    }

    fn gate(self, instances: Instances) -> Gate {
        let options = Options { instances, ..Options::default() };
        Plugin::new(&options).unwrap().compile(&self.policy(), &self.secrets()).unwrap()
    }
}

/// A message for the last tenant, or a batch of them.
fn body(size: Size, messages: usize) -> Vec<u8> {
    let number = Size::number(size.0 - 1);
    let message = |index: usize| -> Value {
        json!({
            "message": {
                "id": format!("wamid.{index}"), "timestamp": "1789395901", "type": "text", "from": "16315551181",
                "text": {"body": "Hola ".repeat(80)},
                "kapso": {"direction": "inbound", "status": "received", "origin": "cloud_api", "has_media": false},
            },
            "conversation": {"id": "5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4", "phone_number_id": number, "status": "active",
                "last_active_at": "2026-09-14T11:25:01-03:00", "created_at": "2026-09-14T10:40:00-03:00"},
            "is_new_conversation": true,
            "phone_number_id": number,
        })
    };
    match messages {
        1 => message(0).to_string().into_bytes(),
        _ => {
            let data: Vec<_> = (0..messages).map(message).collect();
            json!({"type": "whatsapp.message.received", "batch": true, "data": data}).to_string().into_bytes()
        }
    }
}

fn decide(bencher: Bencher<'_, '_>, instances: Instances, size: Size, messages: usize) {
    let gate = size.gate(instances);
    let body = body(size, messages);
    let signature = sign(SECRET, &body);
    let headers = [
        Header { name: "content-type", value: b"application/json" },
        Header { name: "x-webhook-event", value: b"whatsapp.message.received" },
        Header { name: "x-webhook-signature", value: signature.as_bytes() },
        Header { name: "x-idempotency-key", value: b"e5539bc4-2a2e-5f39-b28f-a96230852e9b" },
        Header { name: "x-webhook-payload-version", value: b"v2" },
    ];
    let head = Head { method: "POST", path: "/webhooks", headers: &headers };
    let request = Request { head, body: &body };
    bencher.counter(divan::counter::BytesCount::new(body.len())).bench(|| {
        let decision = gate.decide(&request, 1_789_395_902).unwrap();
        assert!(matches!(decision, Decision::Deliver(_)));
        decision
    });
}

#[divan::bench(args = SIZES)]
fn decide_one_reused(bencher: Bencher<'_, '_>, size: &Size) {
    decide(bencher, REUSE, *size, 1);
}

#[divan::bench(args = SIZES)]
fn decide_one_fresh(bencher: Bencher<'_, '_>, size: &Size) {
    decide(bencher, Instances::Fresh, *size, 1);
}

#[divan::bench(args = SIZES)]
fn decide_batch_of_50_reused(bencher: Bencher<'_, '_>, size: &Size) {
    decide(bencher, REUSE, *size, 50);
}

#[divan::bench(args = SIZES)]
fn decide_batch_of_50_fresh(bencher: Bencher<'_, '_>, size: &Size) {
    decide(bencher, Instances::Fresh, *size, 50);
}

#[divan::bench(args = SIZES)]
fn compile_policy(bencher: Bencher<'_, '_>, size: &Size) {
    let plugin = Plugin::new(&Options::default()).unwrap();
    let (policy, secrets) = (size.policy(), size.secrets());
    bencher.bench(|| plugin.compile(&policy, &secrets).unwrap());
}

#[divan::bench(sample_count = 10)]
fn start_without_cache() -> Plugin {
    Plugin::new(&Options { cache: Cache::Off, ..Options::default() }).unwrap()
}

#[divan::bench(sample_count = 50)]
fn start_from_cache(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { cache: Cache::Directory(directory.path().to_owned()), ..Options::default() };
    let _filled = Plugin::new(&options).unwrap();
    bencher.bench(|| Plugin::new(&options).unwrap());
}
