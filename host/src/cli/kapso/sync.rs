//! `hookgate webhooks sync`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::super::gate::GateArgs;
use super::super::text::{BAD, DIM, GOOD, NAME};
use super::super::{block_on, is_broken_pipe};
use super::settings::NamesArgs;
use super::{ApiArgs, YesArgs, note, print_json, refuse};
use crate::kapso::catalogue;
use crate::kapso::sync::{Action, Change, Choices, Expected, Plan, Wanted, Why};
use crate::kapso::{Api, Names, Scope, Settings, Webhook};
use crate::printable::clean_to;

const CHANGED: Style = AnsiColor::Yellow.on_default().bold();

/// Registers with Kapso what a policy needs: compares, shows the difference, and mends it after a yes.
///
/// Each source of the policy is one address: --url with the source's path. It needs a webhook for each phone number that it is for,
/// and one for the project if it gets the project's events. Webhooks are known by their address, and by whose they are.
///
/// The policy determines the kind (scheme "meta": kind meta), the events (those that rules match, by name or through
/// other conditions), the secret (the first of "secrets", or of the number's entry in "secrets_by_phone_number"; it is
/// compared, sent to Kapso if it differs, and never shown) and, where it names them, the phone numbers. Webhooks
/// already registered at a source's address supply its numbers too. If something is still undetermined, the error names
/// the option to give, such as --number.
///
/// What is registered and paused is resumed. What the policy knows nothing of stays, unless --prune is given; other addresses are
/// never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    gate: GateArgs,

    /// The public address of the gate, without the sources' paths: https://HOST, or with the path that a proxy takes away.
    #[arg(long, value_name = "URL")]
    url: String,

    /// Only this source. May be repeated.
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<String>,

    /// A phone number that a source is for, by the id that Meta gave it. May be repeated.
    #[arg(long = "number", value_name = "SOURCE=ID[,ID]")]
    numbers: Vec<Of>,

    /// The source that gets the project's events: connections, enforcement, workflows, agents.
    #[arg(long = "project", value_name = "SOURCE")]
    projects: Vec<String>,

    /// An event that a source gets besides those that rules name. May be repeated.
    #[arg(long = "event", value_name = "SOURCE=NAME[,NAME]")]
    events: Vec<Of>,

    #[command(flatten)]
    names: NamesArgs,

    /// Deletes what is registered behind --url and belongs to no source, or is a second one for the same. What is of another kind than
    /// a source needs stays.
    #[arg(long)]
    prune: bool,

    /// Shows the difference and does nothing. Exit status 1 if there is one, or if a secret's value is missing to tell, or
    /// if rules name an event that nobody knows.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// Prints the plan as one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    api: ApiArgs,
}

const HELP: &str = "\
Examples:
  hookgate webhooks sync -p hookgate.yaml --url https://hooks.example.com \\
    --number whatsapp=123456789012345 --project whatsapp --dry-run
  hookgate webhooks sync -p hookgate.yaml --url https://hooks.example.com --yes

The API key comes from KAPSO_API_KEY, or the file that KAPSO_API_KEY_FILE names;
secrets come from the environment, as for `hookgate serve`.

Exit status: 0 everything is as the policy needs it, now or before; 1 it is not,
because it was not confirmed, or Kapso refused it, failed or could not be reached,
or nobody read the plan, or rules name an event that is not registered because this
program does not know it, or, with --dry-run, nobody can say, because a secret's
value is not here; 2 wrong usage or policy, something is left open, or, without
--dry-run, a secret's value is not here.";

/// `SOURCE=VALUE,VALUE`.
#[derive(Clone, Debug)]
struct Of(String, Vec<String>);

impl FromStr for Of {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected SOURCE=VALUE, or SOURCE=VALUE,VALUE";
        let (source, values) = text.split_once('=').ok_or(EXPECTED)?;
        let values: Vec<_> = values.split(',').map(|value| value.trim().to_owned()).collect();
        let complete = !source.is_empty() && values.iter().all(|value| !value.is_empty());
        if complete { Ok(Self(source.into(), values)) } else { Err(EXPECTED) }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = args.gate.load_without_secrets()?;
    let base = args.base()?;
    let secrets = args.gate.values(&loaded.secrets)?;
    block_on(async {
        let client = args.api.client(Api::Platform)?;
        let registered = client.webhooks(&Scope::Project).await?;
        let wanted = Wanted::of(&loaded.policy, &base, &args.choices(), &registered)?;
        refuse(&wanted.problems)?;
        let unknown = wanted.unknown.clone();
        let plan = Plan::of(wanted, registered, &base, &secrets, args.prune);
        for expected in plan.actions.iter().filter_map(Action::expected) {
            refuse(&problems(expected, args.names.names()))?;
        }
        let shown = if args.json {
            plan.actions.iter().try_for_each(print_line)
        } else {
            print_plan(&plan, &base).map_err(Into::into)
        };
        if shown.as_ref().is_err_and(is_broken_pipe) && !plan.is_done() {
            note("nothing was done, because nobody reads the plan");
            return Ok(ExitCode::FAILURE);
        }
        shown?;
        unknown.iter().for_each(|name| note(not_registered(name)));
        let at_best = if unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if !plan.missing.is_empty() {
            let missing = plan.missing.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            if !args.dry_run {
                bail!("no value for {missing}: set the variable, or NAME_FILE to a file that holds it");
            }
            note(format_args!("not compared, because there is no value for it here: {missing}"));
        }
        if plan.is_done() {
            if !plan.missing.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            let everything = if unknown.is_empty() { "everything" } else { "everything else" };
            note(format_args!("{everything} is registered as the policy needs it"));
            return Ok(at_best);
        }
        if args.dry_run || !args.yes.confirm("Do this?")? {
            return Ok(ExitCode::FAILURE);
        }
        plan.carry_out(&client, &secrets, |action, id| note(format_args!("{} {id}", done(action)))).await?;
        Ok(at_best)
    })
}

/// What to say of an event that a rule names and the catalogue does not have.
fn not_registered(name: &str) -> String {
    let meant = catalogue::suggest(name).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    format!(
        "the event {name} is not registered, because this program does not know it{meant} (with --event SOURCE={name} and \
         --unknown-events it is registered)"
    )
}

/// Of events alone: the rest is the policy's or the gate's.
fn problems(expected: &Expected, names: Names) -> Vec<String> {
    let settings = Settings {
        url: Some(expected.url.clone()),
        events: Some(expected.events.iter().cloned().collect()),
        ..Settings::default()
    };
    let problems = settings.problems_of_change(&expected.scope, expected.kind.name(), names);
    problems.into_iter().map(|problem| format!("{}: {problem}", expected.source)).collect()
}

impl Args {
    fn base(&self) -> anyhow::Result<Url> {
        match Url::parse(&self.url) {
            Ok(url)
                if url.scheme() == "https" && url.has_host() && url.query().is_none() && url.fragment().is_none() =>
            {
                Ok(url)
            }
            _ => bail!(
                "--url {:?} is no public address: https://HOST, with a path at the most",
                clean_to(&self.url, 200)
            ),
        }
    }

    fn choices(&self) -> Choices {
        let by_source = |given: &[Of]| {
            let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for Of(source, values) in given {
                all.entry(source.clone()).or_default().extend(values.iter().cloned());
            }
            all
        };
        Choices {
            sources: self.sources.iter().cloned().collect(),
            numbers: by_source(&self.numbers),
            projects: self.projects.iter().cloned().collect(),
            events: by_source(&self.events),
        }
    }
}

fn done(action: &Action) -> &'static str {
    match action {
        Action::Create(_) => "created",
        Action::Change(..) => "changed",
        Action::Delete(..) => "deleted",
        Action::Keep(..) | Action::Leave(..) => "left",
    }
}

fn print_plan(plan: &Plan, base: &Url) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let mut source = None;
    for action in &plan.actions {
        let of = action.expected().map(|expected| expected.source.as_str());
        if source != Some(of) {
            match action.expected() {
                Some(Expected { source, url, .. }) => {
                    writeln!(out, "source {NAME}{}{NAME:#} at {url}", clean_to(source, 128))?
                }
                None => writeln!(out, "others behind {base}")?,
            }
            source = Some(of);
        }
        match action {
            Action::Create(expected) => {
                let events: Vec<_> = expected.events.iter().map(|event| clean_to(event, 128)).collect();
                let secret = expected.secrets.first().map_or("", String::as_str);
                let what = if events.is_empty() { "all that Meta sends".into() } else { events.join(", ") };
                let whose = expected.scope.shown();
                writeln!(out, "  {GOOD}+ create{GOOD:#} for the {whose}: {what}; signed with {secret}")?;
            }
            Action::Change(webhook, expected, change) => {
                let changes = changes(webhook, change);
                writeln!(
                    out,
                    "  {CHANGED}~ change{CHANGED:#} {} for the {}: {changes}",
                    shown(webhook),
                    expected.scope.shown()
                )?;
            }
            Action::Keep(webhook, expected) => {
                writeln!(out, "  {DIM}= right{DIM:#}  {} for the {}", shown(webhook), expected.scope.shown())?;
            }
            Action::Delete(webhook, why) => {
                writeln!(out, "  {BAD}- delete{BAD:#} {}: {}", with_url(webhook), why.as_str())?;
            }
            Action::Leave(webhook, why) => {
                let pruned = if why.is_pruned() { "; --prune deletes it" } else { "" };
                writeln!(out, "  {DIM}? leave{DIM:#}  {}: {}{pruned}", with_url(webhook), why.as_str())?;
            }
        }
    }
    Ok(())
}

fn shown(webhook: &Webhook) -> String {
    clean_to(webhook.id(), 64)
}

fn with_url(webhook: &Webhook) -> String {
    format!("{} at {} for the {}", shown(webhook), clean_to(webhook.url(), 300), clean_to(&webhook.scope().shown(), 64))
}

fn changes(webhook: &Webhook, change: &Change) -> String {
    let added = change.add.iter().map(|event| format!("+ {event}"));
    let removed = change.remove.iter().map(|event| format!("- {}", clean_to(event, 128)));
    let secret = change.secret.iter().map(|name| {
        let before = if webhook.secret_key().is_some() { "another secret" } else { "no secret" };
        format!("sign with {name} (it has {before})")
    });
    let resume = change.resume.then(|| "resume".to_owned());
    added.chain(removed).chain(secret).chain(resume).collect::<Vec<_>>().join(", ")
}

fn print_line(action: &Action) -> anyhow::Result<()> {
    let of = |name: &str, expected: &Expected| {
        json!({
            "action": name,
            "source": expected.source,
            "url": expected.url,
            "phone_number_id": expected.scope.number(),
            "kind": expected.kind.name(),
        })
    };
    let other = |name: &str, webhook: &Webhook, why: Why| {
        json!({
            "action": name,
            "url": webhook.url(),
            "phone_number_id": webhook.scope().number(),
            "kind": webhook.kind(),
            "webhook_id": webhook.id(),
            "why": why.as_str(),
        })
    };
    let (line, more) = match action {
        Action::Create(expected) => {
            (of("create", expected), json!({"add_events": expected.events, "secret": expected.secrets.first()}))
        }
        Action::Change(webhook, expected, change) => {
            let Change { add, remove, secret, resume } = change;
            let more = json!({
                "webhook_id": webhook.id(),
                "add_events": add,
                "remove_events": remove,
                "secret": secret,
                "resume": resume,
            });
            (of("change", expected), more)
        }
        Action::Keep(webhook, expected) => (of("keep", expected), json!({"webhook_id": webhook.id()})),
        Action::Delete(webhook, why) => (other("delete", webhook, *why), json!({})),
        Action::Leave(webhook, why) => (other("leave", webhook, *why), json!({})),
    };
    let mut fields = Map::new();
    for value in [line, more] {
        if let Value::Object(value) = value {
            fields.extend(value);
        }
    }
    print_json(&fields)
}
