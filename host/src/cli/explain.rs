//! `hookgate verify`, `parse`, `route` and `decide`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;

use super::gate::{GateArgs, Loaded};
use super::report::Report;
use super::text::BAD;
use super::{FAILED, WRONG, delivery, text};
use crate::printable::{clean, json};
use crate::server::unix_time;

pub(super) const HELP: &str = r#"Input: {"headers": {"NAME": "VALUE" or ["VALUE", …]}, "body": "…"}, with
"method" and "path" if known (other keys are ignored), a list or lines of such,
or a raw HTTP/1.1 request. What is no text is base64: "body_base64" in place of
"body", {"base64": "…"} in place of a header's VALUE.

Output of --json, one object a line for each delivery:
  delivery      where it was found
  genuine       true, false, or null where secrets are missing (parse, route)
                and of a redirect
  source        the name of the source that it was sent to, or null
  secret        the name of the secret that matched, or null
  rejection     why it is not genuine: wrong-signature, …; or null
  status        the answer, where no target is needed for it (decide; of a
                redirect to a page also parse and route); left out elsewhere, so
                also where the path is no source: 404, or left alone by Envoy
  unreadable    {reason, at} where the body cannot be read; without at where it
                is not-an-object, with limit in its place where it has
                too-many-events; left out where it can be read
  redirect      a browser back from a setup link, which is never signed:
                setup_link, signed (false), setup_link_id, outcome (completed or
                failed), error_code, phone_number_id, business_account_id,
                provisioned_phone_number_id, display_phone_number,
                whatsapp_config_id, location (of the page) or request {target,
                url, cluster, drop_headers, set_headers} (parse, route, decide);
                left out of all else
and where it was read:
  kind          whatsapp, project, meta or unknown
  event         the event's name, or null
  event_from    what told the name: header, body or none
  batch         whether it is a batch; batch_info is what it says of itself
  test, payload_version, idempotency_key, contradictions
  events        a list; of each event: index, name, kind, payload_version,
                phone_number_id, business_account_id, customer_id,
                conversation_id, message_id, direction, status, origin,
                message_type, new_conversation, test, text, timestamp,
                item_key, span {start, len}; from route and decide also the
                rule (null: otherwise decided) and the targets
  targets       for each target that gets any, the indices of its events
                (route, decide)
  messages      the requests to targets, of each: target, url, cluster,
                events, body {form, len, …}, drop_headers, set_headers (decide)

Exit status: 0 all is well, 1 a delivery is rejected, cannot be read by parse
and route, or is one that the component fails on, 2 wrong usage, policy or input.
Standard error says which deliveries the component fails on, and which are
malformed; the others are judged all the same."#;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Verify,
    Parse,
    Route,
    Decide,
}

impl Verb {
    /// Whether it is about what a body says. A genuine body that says nothing is delivered all the same.
    fn reads(self) -> bool {
        matches!(self, Self::Parse | Self::Route)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files with deliveries, or folders of such, as `hookgate serve --record` makes them; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    gate: GateArgs,

    /// Takes every delivery as sent to this source of the policy.
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    source: Option<String>,

    /// Takes every delivery as sent to this path.
    #[arg(long)]
    path: Option<String>,

    /// The time to decide as of, in Unix seconds; left out, the present.
    #[arg(long, value_name = "SECONDS")]
    now: Option<u64>,

    /// Prints one JSON object a line for each delivery.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: Verb, args: Args) -> anyhow::Result<ExitCode> {
    let loaded = match verb {
        Verb::Verify | Verb::Decide => args.gate.load()?,
        Verb::Parse | Verb::Route => args.gate.load_without_secrets()?,
    };
    let wanted = args.wanted_path(&loaded)?;
    let now = args.now.unwrap_or_else(unix_time);
    let mut out = anstream::stdout().lock();
    let mut status: u8 = 0;
    for delivery in delivery::read(&args.files)? {
        let mut delivery = match delivery {
            Ok(delivery) => delivery,
            Err(malformed) => {
                delivery::warn(format_args!("{BAD}error:{BAD:#} {malformed:#}"));
                status = WRONG;
                continue;
            }
        };
        if let Some(path) = &wanted {
            delivery.path = Some(path.clone());
        }
        if delivery.path.is_none() {
            delivery.path = Some(only_path(&loaded)?);
        }
        let report = match Report::of(verb, &loaded, &delivery, now) {
            Ok(report) => report,
            // The next call has a new instance.
            Err(error) => {
                delivery::warn(format_args!("{BAD}error:{BAD:#} {}: {error}", clean(&delivery.found)));
                status = status.max(FAILED);
                continue;
            }
        };
        if report.is_rejected() || verb.reads() && report.unreadable.is_some() {
            status = status.max(FAILED);
        }
        super::heard(if args.json {
            writeln!(out, "{}", json(&report)?)
        } else {
            text::write(&mut out, &report, &loaded)
        })?;
    }
    Ok(ExitCode::from(status))
}

impl Args {
    /// Where every delivery is to be taken as sent to.
    fn wanted_path(&self, loaded: &Loaded) -> anyhow::Result<Option<String>> {
        let Some(name) = &self.source else { return Ok(self.path.clone()) };
        let sources = &loaded.gate.settings().sources;
        match sources.iter().find(|source| source.name == *name) {
            Some(source) => Ok(Some(source.path.clone())),
            None => Err(anyhow!("the policy has no source {name:?}; it has {}", names(loaded))),
        }
    }
}

fn only_path(loaded: &Loaded) -> anyhow::Result<String> {
    match loaded.gate.settings().sources.as_slice() {
        [source] => Ok(source.path.clone()),
        _ => Err(anyhow!("a delivery does not say its path: give --source with one of {}", names(loaded))),
    }
}

fn names(loaded: &Loaded) -> String {
    let names: Vec<_> = loaded.gate.settings().sources.iter().map(|source| source.name.as_str()).collect();
    names.join(", ")
}
