//! `hookgate check`.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use super::gate::GateArgs;
use crate::kapso::catalogue;

/// Checks a policy and says what it holds.
///
/// Everything that is wrong is said, each with its line and a JSON Pointer. Secrets that have no value here are named, and are
/// an error only with --with-secrets.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    gate: GateArgs,

    /// Takes missing secrets for an error, as `hookgate serve` does.
    #[arg(long)]
    with_secrets: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = if args.with_secrets { args.gate.load()? } else { args.gate.load_without_secrets()? };
    let settings = loaded.gate.settings();
    let rules = loaded.policy.get("rules").and_then(Value::as_array).map_or(0, Vec::len);
    let mut out = anstream::stdout();
    writeln!(out, "The policy is right.")?;
    for source in &settings.sources {
        writeln!(out, "  source {} at {}", source.name, source.path)?;
    }
    for link in loaded.setup_links() {
        let (name, success, failure) = (&link.name, &link.success_path, &link.failure_path);
        let onward = match (&link.to, &link.page) {
            (Some(target), _) => format!("the target {target}"),
            (None, page) => page.clone().unwrap_or_default(),
        };
        writeln!(out, "  setup link {name} at {success} and {failure}: browsers, unsigned, on to {onward}")?;
    }
    writeln!(out, "  {rules} rules")?;
    for (pointer, written, meant) in doubtful_events(&loaded.policy) {
        writeln!(out, "  note {pointer}: Kapso is not known to send {written:?}; did you mean {meant:?}?")?;
    }
    for target in &settings.targets {
        let place = [&target.url, &target.cluster].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
        writeln!(out, "  target {} at {}, {} ms", target.name, place.join(", cluster "), target.timeout_ms)?;
    }
    let dedupe = settings.dedupe;
    writeln!(
        out,
        "  once per target for {} s and {} events; bodies up to {} bytes",
        dedupe.window_s, dedupe.max_keys, settings.body_bytes
    )?;
    for secret in &loaded.secrets {
        let state = if loaded.missing.contains(secret) { "has no value here" } else { "has a value" };
        writeln!(out, "  secret {secret} {state}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Events that rules ask for under a name that is nearly one of Kapso's: where it stands, the name, and what may be meant. Not an
/// error, because Kapso's list grows.
fn doubtful_events(policy: &Value) -> Vec<(String, &str, &'static str)> {
    let mut doubtful = Vec::new();
    for (index, rule) in policy.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
        for part in ["when", "unless"] {
            let asked = rule.get(part).and_then(|conditions| conditions.get("event"));
            let listed = asked.and_then(Value::as_array).into_iter().flatten();
            let names = asked.into_iter().chain(listed).filter_map(Value::as_str);
            for name in names.filter(|name| !name.contains('*') && catalogue::find(name).is_none()) {
                let meant = catalogue::suggest(name);
                doubtful.extend(meant.map(|meant| (format!("/rules/{index}/{part}/event"), name, meant)));
            }
        }
    }
    doubtful
}
