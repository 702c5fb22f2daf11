//! The core, compiled for this machine.

use std::hint::black_box;

use anyhow::{bail, ensure};
use hookgate_core::{Decision, Gate, Secret};

use super::{Ask, Call, Row};
use crate::delivery::{Delivery, NOW};

pub(super) fn prepare(row: Row) -> anyhow::Result<Call> {
    // What a row works on lives as long as the process.
    let policy: &'static str = row.policy.document().leak();
    let values = row.policy.secrets().leak();
    let secrets: &'static [_] = values.iter().map(|(name, value)| Secret { name, value }).collect::<Vec<_>>().leak();
    let compile = || Gate::compile(policy, secrets);
    let gate: &'static Gate = match compile() {
        Ok(gate) => Box::leak(Box::new(gate)),
        Err(wrong) => bail!("the policy is wrong: {wrong:?}"),
    };
    let delivery: &'static Delivery = Box::leak(Box::new(row.size.delivery(&row.policy.number())));
    let headers: &'static [_] = delivery.core_headers().leak();
    let request = delivery.core_request(headers);
    match gate.decide(&request, NOW) {
        Decision::Deliver(deliver) => {
            ensure!(deliver.unreadable.is_none() && deliver.dispatches.len() == 1, "the delivery goes to one target");
        }
        other => bail!("the delivery is not delivered: {other:?}"),
    }
    Ok(match row.ask {
        Ask::Verify => Box::new(move || _ = black_box(gate.verify(black_box(&request), NOW))),
        Ask::Parse => Box::new(move || drop(black_box(gate.parse(headers, black_box(&delivery.body))))),
        Ask::Decide => Box::new(move || drop(black_box(gate.decide(black_box(&request), NOW)))),
        Ask::Compile => Box::new(move || drop(black_box(compile()))),
        Ask::Route => {
            let Ok(parsed) = gate.parse(headers, &delivery.body) else { bail!("the delivery cannot be read") };
            Box::new(move || drop(black_box(gate.route(black_box(&parsed.delivery.events[0]), Some("whatsapp")))))
        }
        Ask::Start | Ask::StartCached => bail!("native code does not start"),
    })
}
