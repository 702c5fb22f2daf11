//! Policies to test with, and filters that have them.

use hookgate::{Secrets, types};
use hookgate_tests::Delivery;
use hookgate_tests::hooked::plugin;
use hookgate_tests::proxy_wasm::{Answer, Fate, Given, Message, Shared, Vm, World};
use serde_json::{Value, json};

/// The secret of deliveries made up here.
pub(crate) const SECRET: &str = "whsec_test_1f0e";

/// Where they go.
pub(crate) const PATH: &str = "/webhooks/whatsapp";

const SECRETS: [(&str, &str); 2] = [("SECRET", SECRET), ("TARGET_SECRET", "target_test_77ab")];

/// One source, everything to `bot`.
pub(crate) fn to_bot() -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": PATH, "scheme": "kapso", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["bot"]},
        "targets": {"bot": {"cluster": "bot"}},
    })
}

/// A filter with this policy.
pub(crate) fn filter(policy: &Value) -> Vm {
    Vm::configured(World::new(SECRETS), policy.to_string().as_bytes()).expect("a good policy")
}

/// A filter with this policy in a process with others.
pub(crate) fn filter_sharing(policy: &Value, shared: &Shared) -> Vm {
    let mut world = World::new(SECRETS);
    world.shared = shared.clone();
    Vm::configured(world, policy.to_string().as_bytes()).expect("a good policy")
}

/// A policy that takes an example, and the world it needs.
pub(crate) fn example_filter(secret: &str) -> Vm {
    Vm::configured(World::new([("SECRET", secret)]), example_policy().to_string().as_bytes()).expect("a good policy")
}

pub(crate) fn example_policy() -> Value {
    json!({
        "sources": [{"name": "any", "path": PATH, "scheme": "any", "secrets": ["SECRET"]}],
        "rules": [
            {"name": "alone", "when": {"event": "whatsapp.message.received"}, "to": ["bot"]},
            {"name": "drop", "when": {"event": "whatsapp.conversation.*"}, "drop": true},
        ],
        "otherwise": {"to": ["bot"]},
        "targets": {"bot": {"cluster": "bot"}},
    })
}

/// What the component decides about a request posted to [`PATH`].
pub(crate) fn component(secret: &str, delivery: &Delivery) -> types::Decision {
    let gate =
        plugin().compile(&example_policy().to_string(), &Secrets::from([("SECRET", secret)])).expect("a good policy");
    let headers: Vec<_> =
        delivery.headers.iter().map(|(name, value)| types::Header { name, value: value.as_bytes() }).collect();
    let head = types::Head { method: "POST", path: PATH, headers: &headers };
    gate.decide(&types::Request { head, body: &delivery.body }, 1_790_000_000).expect("an answer")
}

/// What went on.
#[track_caller]
pub(crate) fn passed(given: Given) -> (u32, Message) {
    match given.fate {
        Fate::Passed(message) => (given.id, message),
        other => panic!("the request did not go on: {other:?}"),
    }
}

/// What was answered at once.
#[track_caller]
pub(crate) fn answered(given: Given) -> Answer {
    match given.fate {
        Fate::Answered(answer) => answer,
        other => panic!("the request was not answered: {other:?}"),
    }
}
