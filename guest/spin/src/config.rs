//! The policy and its secrets, from Spin variables.

use std::sync::OnceLock;

use hookgate_core::{Gate, PolicyError, Secret};

use crate::bindings::fermyon::spin::variables::{self, Error};
use crate::log;
use crate::url::Url;

/// The variable that holds the policy document.
const POLICY: &str = "policy";

/// The gate of this instance, compiled at its first request; none when the configuration is wrong, which the log
/// explains.
pub(crate) fn gate() -> Option<&'static Gate> {
    static GATE: OnceLock<Gate> = OnceLock::new();
    match GATE.get() {
        Some(gate) => Some(gate),
        None => compile().map(|gate| GATE.get_or_init(|| gate)),
    }
}

fn compile() -> Option<Gate> {
    let policy = variable(POLICY)?;
    let names = Gate::secret_names(&policy).map_err(|errors| explain(&errors)).ok()?;
    let values: Vec<(&str, String)> = names.iter().filter_map(|name| Some((name.as_str(), variable(name)?))).collect();
    let secrets: Vec<Secret<'_>> = values.iter().map(|(name, value)| Secret { name, value }).collect();
    let gate = Gate::compile(&policy, &secrets).map_err(|errors| explain(&errors)).ok()?;
    every_target_has_a_url(&gate).then_some(gate)
}

/// The value of the variable for a name of the policy. A provider's own words may hold addresses or tokens, so they stay out of the log.
fn variable(written: &str) -> Option<String> {
    let name = &written.to_ascii_lowercase();
    let error = match variables::get(name) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let reason = match error {
        Error::InvalidName(_) => "is not a name that Spin allows (lower case, digits, single underscores)",
        Error::Undefined(_) => "is not among the component's variables in spin.toml",
        Error::Provider(_) | Error::Other(_) => "could not be read from its provider",
    };
    let shown = if Secret::is_like_a_value(written) { "(not shown, it looks like a secret's value)" } else { name };
    log::line(&format!("variable {shown:?} {reason}"));
    None
}

fn every_target_has_a_url(gate: &Gate) -> bool {
    let mut all = true;
    for target in gate.targets() {
        if target.url().and_then(Url::parse).is_none() {
            log::line(&format!("policy: {}/url: an http or https URL is needed here", target.pointer()));
            all = false;
        }
    }
    all
}

fn explain(errors: &[PolicyError]) {
    for error in errors {
        log::line(&format!("policy: {error}"));
    }
}
