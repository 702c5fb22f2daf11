//! What ten thousand tenants and ten thousand rules cost beside ten: `cargo bench -p hookgate-core --bench scale`.
//!
//! Compiling grows with the policy, as it must; deciding must not.
#![allow(missing_docs)]

use divan::{Bencher, black_box};
use hmac::{Hmac, KeyInit, Mac};
use hookgate_core::{Decision, Gate, Head, Header, Request, Secret};
use serde_json::{Value, json};
use sha2::Sha256;

const SIZES: &[usize] = &[10, 10_000];
const EXAMPLE: &str = include_str!("../../../tests/deliveries/received-text.json");
const NUMBER: &str = "123456789012345";
const NOW: u64 = 1_789_395_901;

/// A platform with a phone number, a secret and a rule for each of its tenants.
struct Platform {
    policy: String,
    secrets: Vec<(String, String)>,
    body: String,
    signature: String,
}

impl Platform {
    fn new(tenants: usize) -> Self {
        let number = |tenant: usize| format!("{:015}", 100_000_000_000_000 + tenant);
        let secrets: Vec<_> =
            (0..tenants).map(|tenant| (format!("TENANT_{tenant}"), format!("wh_sec_{tenant:032}"))).collect();
        let table: Value = (0..tenants).map(|tenant| (number(tenant), json!([secrets[tenant].0]))).collect();
        let rules: Vec<_> = (0..tenants)
            .map(|tenant| {
                json!({
                    "name": format!("tenant {tenant}"),
                    "when": {"event": "whatsapp.message.received", "phone_number_id": number(tenant)},
                    "unless": {"origin": "history_sync"},
                    "to": [format!("bot {}", tenant % 10)]
                })
            })
            .collect();
        let targets: Value =
            (0..10).map(|bot| (format!("bot {bot}"), json!({"cluster": format!("bot-{bot}")}))).collect();
        let policy = json!({
            "sources": [{"name": "tenants", "path": "/hook", "secrets_by_phone_number": table}],
            "rules": rules,
            "targets": targets
        });
        let example: Value = serde_json::from_str(EXAMPLE).unwrap();
        let body = example["body"].as_str().unwrap().replace(NUMBER, &number(tenants - 1));
        let mac = Hmac::<Sha256>::new_from_slice(secrets[tenants - 1].1.as_bytes()).unwrap();
        let signature = hex::encode(mac.chain_update(&body).finalize().into_bytes());
        Self { policy: policy.to_string(), secrets, body, signature }
    }

    fn secrets(&self) -> Vec<Secret<'_>> {
        self.secrets.iter().map(|(name, value)| Secret { name, value }).collect()
    }

    fn headers(&self) -> [Header<'_>; 2] {
        [
            Header { name: "x-webhook-event", value: b"whatsapp.message.received" },
            Header { name: "x-webhook-signature", value: self.signature.as_bytes() },
        ]
    }
}

#[divan::bench(args = SIZES, max_time = 2)]
fn compile(bencher: Bencher<'_, '_>, tenants: usize) {
    let platform = Platform::new(tenants);
    let secrets = platform.secrets();
    bencher.bench_local(|| Gate::compile(black_box(&platform.policy), &secrets).unwrap());
}

#[divan::bench(args = SIZES)]
fn decide(bencher: Bencher<'_, '_>, tenants: usize) {
    let platform = Platform::new(tenants);
    let gate = Gate::compile(&platform.policy, &platform.secrets()).unwrap();
    let headers = platform.headers();
    let head = Head { method: "POST", path: "/hook", headers: &headers };
    let request = Request { head, body: platform.body.as_bytes() };
    assert!(matches!(gate.decide(&request, NOW), Decision::Deliver(deliver) if deliver.dispatches.len() == 1));
    bencher.bench_local(|| black_box(gate.decide(black_box(&request), NOW)));
}

#[divan::bench(args = SIZES)]
fn route(bencher: Bencher<'_, '_>, tenants: usize) {
    let platform = Platform::new(tenants);
    let gate = Gate::compile(&platform.policy, &platform.secrets()).unwrap();
    let headers = platform.headers();
    let parsed = gate.parse(&headers, platform.body.as_bytes()).unwrap();
    let event = &parsed.delivery.events[0];
    assert!(gate.route(event, Some("tenants")).rule.is_some());
    bencher.bench_local(|| black_box(gate.route(black_box(event), Some("tenants"))));
}

fn main() {
    divan::main();
}
