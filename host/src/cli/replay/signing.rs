//! The signatures that deliveries go out with.

use std::path::Path;

use anyhow::{anyhow, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::cli::delivery::Delivery;
use crate::cli::gate;
use crate::policy::Document;
use crate::sign::SIGNATURES;
use crate::{Gate, Secrets};

pub(super) enum Signing {
    AsRecorded,
    With(Zeroizing<String>),
    ByPolicy(Box<Sources>),
}

/// The sources of a policy, with their secrets.
pub(super) struct Sources {
    gate: Gate,
    policy: Value,
    secrets: Secrets,
}

impl Signing {
    /// With the secrets of a policy, whose values come from the environment.
    pub(super) fn by_policy(file: &Path) -> anyhow::Result<Self> {
        let document = Document::read(file)?;
        let (gate, names, missing) =
            gate::compile(document.json(), Secrets::new()).map_err(|error| error.explained(&document))?;
        let mut secrets = Secrets::new();
        secrets.add_from_env(names.iter().filter(|name| !missing.contains(*name)))?;
        Ok(Self::ByPolicy(Box::new(Sources { gate, policy: serde_json::from_str(document.json())?, secrets })))
    }

    /// Signs a body anew, under the headers that it was signed under before. Says whether it goes out without a signature that
    /// it once had.
    pub(super) fn sign(&self, delivery: &Delivery, headers: &mut HeaderMap) -> anyhow::Result<bool> {
        let left_out = delivery.recorded.signatures_left_out.as_deref().unwrap_or_default();
        let secret = match self {
            Self::AsRecorded => return Ok(!left_out.is_empty()),
            Self::With(secret) => secret,
            Self::ByPolicy(sources) => sources.secret(delivery)?,
        };
        let was_signed = |name: &&str| headers.contains_key(*name) || left_out.iter().any(|left| left == name);
        let mut names: Vec<&'static str> = SIGNATURES.into_iter().filter(was_signed).collect();
        if names.is_empty() {
            names.push("x-webhook-signature");
        }
        let signature = crate::sign(secret, &delivery.body);
        for name in names {
            headers.remove(name);
            let value = match name {
                // SHA-1, which nobody checks any more.
                "x-hub-signature" => continue,
                "x-hub-signature-256" => format!("sha256={signature}"),
                _ => signature.clone(),
            };
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        Ok(false)
    }
}

impl Sources {
    /// The secret that a delivery was genuine by; where that is not recorded or is none any more, the first that its source
    /// has for it.
    fn secret(&self, delivery: &Delivery) -> anyhow::Result<&str> {
        if let Some(secret) = delivery.recorded.secret_name.as_ref().and_then(|name| self.secrets.get(name)) {
            return Ok(secret);
        }
        let Some(name) = delivery.source(&self.gate) else {
            bail!("the policy has no source that it came by");
        };
        let mut sources = self.policy.get("sources").and_then(Value::as_array).into_iter().flatten();
        let source = sources.find(|source| source.get("name").and_then(Value::as_str) == Some(name));
        let source = source.ok_or_else(|| anyhow!("the policy has no source {name}"))?;
        let number = self.phone_number_id(delivery)?;
        let name = gate::secret_of(source, number.as_deref());
        let name = name.ok_or_else(|| anyhow!("its source has no secret for it"))?;
        self.secrets.get(name).ok_or_else(|| anyhow!("no value for {name}: set the variable, or {name}_FILE"))
    }

    fn phone_number_id(&self, delivery: &Delivery) -> anyhow::Result<Option<String>> {
        let parsed = delivery.lend(|request| self.gate.parse(request.head.headers, request.body))?;
        Ok(parsed.ok().and_then(|parsed| parsed.delivery.events.into_iter().find_map(|event| event.phone_number_id)))
    }
}
