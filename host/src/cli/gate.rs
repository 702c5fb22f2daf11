//! The policy and the secrets that a command works with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;

use super::pair::Pair;
use crate::policy::{Document, Format, TRY_IT};
use crate::secrets::SecretError;
use crate::unrepeated::Unrepeated;
use crate::{CompileError, Gate, LoadError, Options, Plugin, Secrets};

#[derive(Debug, clap::Args)]
pub(super) struct GateArgs {
    /// The policy, in JSON, TOML or YAML.
    ///
    /// Without one: a source "whatsapp" at /webhooks/whatsapp that takes Kapso's and Meta's signatures, with the secret
    /// KAPSO_WEBHOOK_SECRET or those that --secret gives, and no targets.
    #[arg(long, short, value_name = "FILE", env = "HOOKGATE_POLICY")]
    policy: Option<PathBuf>,

    /// A secret's value, for trying things out: others see your command lines. May be repeated.
    ///
    /// Other secrets come from the environment: NAME, or the file that NAME_FILE names.
    #[arg(long = "secret", value_name = "NAME=VALUE", value_parser = Unrepeated::<Pair>::new())]
    secrets: Vec<Pair>,
}

/// A compiled policy.
pub(super) struct Loaded {
    pub(super) gate: Gate,
    /// Its document.
    pub(super) policy: Value,
    /// The secrets that the policy names.
    pub(super) secrets: Vec<String>,
    /// Those of them that have no value. Nothing can be verified unless this is empty.
    pub(super) missing: BTreeSet<String>,
}

/// What the policy says of a setup link.
#[derive(Deserialize)]
pub(super) struct SetupLink {
    pub(super) name: String,
    pub(super) success_path: String,
    pub(super) failure_path: String,
    pub(super) to: Option<String>,
    pub(super) page: Option<String>,
}

impl Loaded {
    /// The setup links, as the policy has them.
    pub(super) fn setup_links(&self) -> Vec<SetupLink> {
        let links = self.policy.get("setup_links").and_then(Value::as_array).into_iter().flatten();
        links.filter_map(|link| SetupLink::deserialize(link).ok()).collect()
    }

    /// The names of the secrets that have no value, for people.
    pub(super) fn missing(&self) -> String {
        self.missing.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl GateArgs {
    /// Loads the policy with all its secrets.
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        let loaded = self.load_without_secrets()?;
        if loaded.missing.is_empty() {
            return Ok(loaded);
        }
        bail!(
            "no value for {}: set the variable, or NAME_FILE to a file that holds it, or give --secret NAME=VALUE",
            loaded.missing()
        )
    }

    /// Loads the policy even if secrets are missing.
    pub(super) fn load_without_secrets(&self) -> anyhow::Result<Loaded> {
        let document = self.document()?;
        let (gate, secrets, missing) =
            compile(document.json(), self.given()).map_err(|error| error.explained(&document))?;
        Ok(Loaded { gate, policy: serde_json::from_str(document.json())?, secrets, missing })
    }

    /// The values of these secrets, those that have one.
    pub(super) fn values(&self, names: &[String]) -> anyhow::Result<Secrets> {
        let mut secrets = self.given();
        secrets.add_from_env(names)?;
        Ok(secrets)
    }

    /// The secrets of the command line.
    fn given(&self) -> Secrets {
        self.secrets.iter().map(|secret| (secret.name.as_str(), secret.value.as_str())).collect()
    }

    fn document(&self) -> anyhow::Result<Document> {
        match &self.policy {
            Some(path) => Ok(Document::read(path)?),
            None => Ok(Document::parse(self.try_it()?, Format::Json)?),
        }
    }

    /// The policy to begin with, with the secrets of the command line if there are any.
    fn try_it(&self) -> anyhow::Result<String> {
        let mut policy: Value = serde_json::from_str(TRY_IT)?;
        if !self.secrets.is_empty() {
            let names: Vec<_> = self.secrets.iter().map(|secret| secret.name.as_str()).collect();
            let secrets = policy.pointer_mut("/sources/0/secrets").context("the policy to begin with has a source")?;
            *secrets = names.into();
        }
        Ok(policy.to_string())
    }
}

/// The policy of this file, or else the one to begin with.
pub(super) fn document(policy: Option<&Path>) -> anyhow::Result<Document> {
    match policy {
        Some(file) => Ok(Document::read(file)?),
        None => Ok(Document::parse(TRY_IT, Format::Json)?),
    }
}

/// The name of the first secret that a source of a policy has: for this phone number, or else for all.
pub(super) fn secret_of<'s>(source: &'s Value, phone_number_id: Option<&str>) -> Option<&'s str> {
    let first = |secrets: &'s Value| secrets.get(0)?.as_str();
    let tenant =
        source.get("secrets_by_phone_number").and_then(|tenants| tenants.get(phone_number_id?)).and_then(first);
    tenant.or_else(|| source.get("secrets").and_then(first))
}

/// Compiles a policy, in JSON, with these secrets and those of the environment. Also gives the names of all secrets that it
/// needs, and of those that have no value: nothing can be verified unless there are none.
pub(super) fn compile(policy: &str, mut secrets: Secrets) -> Result<(Gate, Vec<String>, BTreeSet<String>), Error> {
    let plugin = Plugin::new(&Options::default())?;
    let names = plugin.secret_names(policy)?;
    secrets.add_from_env(&names)?;
    let missing: BTreeSet<_> = names.iter().filter(|name| !secrets.contains(name)).cloned().collect();
    for name in &missing {
        // Stands for the value in a gate that is not asked to verify.
        secrets.insert(name, "missing");
    }
    Ok((plugin.compile(policy, &secrets)?, names, missing))
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Refused(#[from] CompileError),
}

impl Error {
    /// Says where in a document an error is.
    pub(super) fn explained(self, document: &Document) -> anyhow::Error {
        match self {
            Self::Refused(CompileError::Policy(errors)) => {
                let lines: String = document.explain_all(&errors).iter().map(|line| format!("\n  {line}")).collect();
                anyhow!("the policy is wrong:{lines}")
            }
            error => error.into(),
        }
    }
}
