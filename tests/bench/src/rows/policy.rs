//! Policies to decide by.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::delivery::{NUMBER, PATH, SECRET};

/// A policy, and which of its tenants the delivery is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Policy {
    /// A handful of rules, as people write them.
    Usual,
    /// So many rules by phone number; the last matches.
    Rules(usize),
    /// So many tenants on one path, each with a secret of its own; the delivery is the last one's.
    Tenants(usize),
}

impl Policy {
    /// The phone number that the delivery is for.
    pub(crate) fn number(self) -> String {
        match self {
            Self::Usual => String::from(NUMBER),
            Self::Rules(count) | Self::Tenants(count) => number(count - 1),
        }
    }

    pub(crate) fn document(self) -> String {
        let usual = json!([
            {"name": "tests", "when": {"test": true}, "drop": true},
            {"name": "takeover", "when": {"event": "whatsapp.message.sent", "origin": "business_app"}, "to": ["helpdesk"]},
            {"name": "inbound", "when": {"event": "whatsapp.message.received"}, "unless": {"origin": "history_sync"},
                "to": ["bot"]},
            {"name": "lifecycle", "when": {"kind": "project"}, "to": ["helpdesk"]},
        ]);
        let one = json!({"name": "whatsapp", "path": PATH, "secrets": ["SECRET"]});
        let (source, rules) = match self {
            Self::Usual => (one, usual),
            Self::Rules(count) => {
                let rule = |index| json!({"name": format!("rule {index}"), "when": {"phone_number_id": number(index)}, "to": ["bot"]});
                (one, (0..count).map(rule).collect())
            }
            Self::Tenants(count) => {
                let tenants: Map<String, Value> =
                    (0..count).map(|index| (number(index), json!([name(index)]))).collect();
                (json!({"name": "whatsapp", "path": PATH, "secrets_by_phone_number": tenants}), usual)
            }
        };
        let policy = json!({
            "sources": [source],
            "rules": rules,
            "targets": {
                "bot": {"url": "http://127.0.0.1:3000/hook"},
                "helpdesk": {"url": "http://127.0.0.1:3001/hook"},
            },
            // As many events as the largest body holds.
            "limits": {"events": 10_000},
        });
        policy.to_string()
    }

    /// Names and values.
    pub(crate) fn secrets(self) -> Vec<(String, &'static str)> {
        match self {
            Self::Usual | Self::Rules(_) => vec![(String::from("SECRET"), SECRET)],
            Self::Tenants(count) => (0..count).map(|index| (name(index), SECRET)).collect(),
        }
    }
}

fn number(index: usize) -> String {
    (200_000_000_000_000 + index).to_string()
}

fn name(index: usize) -> String {
    format!("TENANT_{index}")
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => f.write_str("usual"),
            Self::Rules(count) => write!(f, "{count} rules"),
            Self::Tenants(count) => write!(f, "{count} tenants"),
        }
    }
}

impl FromStr for Policy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "usual" {
            return Ok(Self::Usual);
        }
        let (count, what) = text.split_once(' ').with_context(|| format!("no policy is called {text:?}"))?;
        match what {
            "rules" => Ok(Self::Rules(count.parse()?)),
            "tenants" => Ok(Self::Tenants(count.parse()?)),
            _ => bail!("no policy is called {text:?}"),
        }
    }
}
