//! Which deliveries are sent: the gate says so, as it says which rule an event meets.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::cli::delivery::Delivery;
use crate::cli::gate;
use crate::policy::{Document, Format};
use crate::types::PolicyError;
use crate::{CallError, CompileError, Gate};

const TARGET: &str = "replay";

pub(super) struct Filter {
    /// A policy with one rule.
    conditions: Option<Gate>,
    /// Whether deliveries are sent whose body cannot be read. They meet no condition, so `when` leaves them out and `unless` alone
    /// does not.
    takes_unreadable: bool,
    failed: bool,
}

impl Filter {
    pub(super) fn new(
        policy: Option<&Path>,
        when: Option<&str>,
        unless: Option<&str>,
        failed: bool,
    ) -> anyhow::Result<Self> {
        let conditions = match (when, unless) {
            (None, None) => None,
            _ => Some(compile(policy, when, unless)?),
        };
        Ok(Self { conditions, takes_unreadable: when.is_none(), failed })
    }

    pub(super) fn wants(&self, delivery: &Delivery) -> anyhow::Result<bool> {
        if self.failed && delivery.recorded.status.is_none_or(|status| status == 200) {
            return Ok(false);
        }
        match &self.conditions {
            Some(gate) => {
                let met = is_met(gate, delivery).with_context(|| delivery.found.clone())?;
                Ok(met.unwrap_or(self.takes_unreadable))
            }
            None => Ok(true),
        }
    }
}

fn compile(policy: Option<&Path>, when: Option<&str>, unless: Option<&str>) -> anyhow::Result<Gate> {
    let policy: Value = serde_json::from_str(gate::document(policy)?.json())?;
    let mut rule = json!({"name": TARGET, "to": [TARGET]});
    for (name, conditions) in [("when", when), ("unless", unless)] {
        if let Some(conditions) = conditions {
            // JSON is YAML.
            let conditions = Document::parse(conditions, Format::Yaml).map_err(|error| anyhow!("--{name}:{error}"))?;
            rule[name] = serde_json::from_str(conditions.json()).with_context(|| format!("--{name}"))?;
        }
    }
    let mut document = json!({
        "sources": policy.get("sources"),
        "rules": [rule],
        "otherwise": {"drop": true},
        "targets": {TARGET: {"url": "http://replay.invalid/"}},
    });
    if let Some(limits) = policy.get("limits") {
        document["limits"] = limits.clone();
    }
    let (gate, ..) = gate::compile(&document.to_string(), crate::Secrets::new()).map_err(|error| match error {
        gate::Error::Refused(CompileError::Policy(errors)) => {
            anyhow!("{}", errors.iter().map(explain).collect::<Vec<_>>().join("\n"))
        }
        error => error.into(),
    })?;
    Ok(gate)
}

/// Whether one event meets the conditions. None if the body cannot be read.
fn is_met(gate: &Gate, delivery: &Delivery) -> Result<Option<bool>, CallError> {
    delivery.lend(|request| {
        let Ok(parsed) = gate.parse(request.head.headers, request.body)? else { return Ok(None) };
        let source = delivery.source(gate);
        for event in &parsed.delivery.events {
            if !gate.route(event, source)?.targets.is_empty() {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    })
}

/// Says of an error in which option it is: `--when: /event: expected …`.
fn explain(error: &PolicyError) -> String {
    for name in ["when", "unless"] {
        if let Some(within) = error.pointer.strip_prefix(&format!("/rules/0/{name}")) {
            let error = PolicyError { pointer: within.to_owned(), message: error.message.clone() };
            return format!("--{name}: {error}");
        }
    }
    format!("the policy is wrong: {error}")
}
