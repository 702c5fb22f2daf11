//! `hookgate webhooks`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::super::block_on;
use super::settings::{SecretFile, SettingsArgs, keep};
use super::{ApiArgs, KEY_HELP, ScopeArgs, YesArgs, note, print_json, print_table, refuse};
use crate::kapso::catalogue::{self, EVENTS};
use crate::kapso::{Api, Client, Error, Kind, Scope, SecretKey, Settings, Webhook};
use crate::printable::clean_to;

/// Registers webhooks with Kapso: which events it sends to which address.
///
/// Kapso (kapso.ai) runs WhatsApp numbers for applications, and tells them by webhooks what happens there. A webhook belongs to one phone number, and then gets its messages, conversations and contacts; or to the project, and then
/// gets connections, enforcement, workflows and agents. Kapso signs what it sends with the webhook's secret.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  hookgate webhooks list                        all of the project, its numbers' too
  hookgate webhooks create --phone-number-id 123456789012345 \\
    --url https://hooks.example.com/webhooks/whatsapp \\
    --event whatsapp.message.received > secret  the new secret goes to the file
  hookgate webhooks test 9e8d7c6b-…             has Kapso send a test delivery
  hookgate webhooks resume --all                all that are paused, whoever paused them
  hookgate webhooks sync --policy hookgate.yaml --url https://hooks.example.com
                                                what the policy needs";

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Create(Create),
    Update(Update),
    Delete(Delete),
    Test(Test),
    Resume(Resume),
    Sync(Box<super::sync::Args>),
    Events(Events),
}

/// Lists webhooks: all of the project with its numbers', or those of one number.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct List {
    #[command(flatten)]
    scope: ScopeArgs,

    /// Only those whose URL contains this.
    #[arg(long, value_name = "TEXT")]
    url_contains: Option<String>,

    /// Only those of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,

    /// Only those that are sent nothing: paused by Kapso after too many failures, or by somebody.
    #[arg(long, conflicts_with = "active")]
    paused: bool,

    /// Only those that are sent deliveries.
    #[arg(long)]
    active: bool,

    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    api: ApiArgs,
}

/// Shows one webhook with all its fields.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Show {
    /// The webhook's id.
    id: String,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, clap::Args)]
struct Shown {
    /// Prints one JSON object a line, with every field that Kapso has, known or not.
    #[arg(long)]
    json: bool,

    /// Shows secrets, and the values of custom headers, which are often tokens.
    #[arg(long)]
    show_secrets: bool,
}

/// Registers a webhook.
///
/// Everything is checked before anything is sent. Unless --secret names one, a secret is made; it is all that is written to
/// standard output, so that it can go where it belongs, and what was done is said on standard error. With --json, standard output
/// has the webhook as Kapso has it, with its secret_key if that was made here.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Create {
    #[command(flatten)]
    scope: ScopeArgs,

    /// What is sent: the events asked for, or everything that Meta sends for the number, as Meta sends it. Cannot be changed
    /// later.
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Prints the webhook as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: ApiArgs,
}

/// Changes a webhook. What is not given stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Update {
    /// The webhook's id.
    id: String,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Makes a new secret, as at creation. Deliveries are signed with it at once: a policy that lists the old secret after the
    /// new one loses none.
    #[arg(long, conflicts_with = "secret")]
    new_secret: bool,

    /// Takes the custom headers away.
    #[arg(long, conflicts_with_all = ["header", "header_from"])]
    no_headers: bool,

    /// Prints the webhook as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: ApiArgs,
}

/// Removes webhooks. Deliveries to them end at once.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Delete {
    /// The webhooks' ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    api: ApiArgs,
}

/// Has Kapso send a test delivery to a webhook.
///
/// It is marked as a test ("test": true in its body), and signed like any other.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Test {
    /// The webhook's id.
    id: String,

    /// The event to send, one that the webhook asks for. Left out: Kapso chooses.
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// Calls the API before the Platform API.
    #[arg(long)]
    legacy: bool,

    #[command(flatten)]
    api: ApiArgs,
}

/// Resumes webhooks that are paused.
///
/// Kapso pauses a webhook when most deliveries of a quarter of an hour fail (85 %), and it stays paused until somebody resumes it.
/// What was not delivered meanwhile is lost.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Resume {
    /// The webhooks' ids.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,

    /// All that are paused: of the project and its numbers, or of the number that is given.
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    api: ApiArgs,
}

/// Lists the events that a webhook can ask for. Calls nobody.
#[derive(Debug, clap::Args)]
struct Events {
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => block_on(list(args)),
        Command::Show(args) => block_on(show(args)),
        Command::Create(args) => block_on(create(args)),
        Command::Update(args) => block_on(update(args)),
        Command::Delete(args) => block_on(delete(args)),
        Command::Test(args) => block_on(test(args)),
        Command::Resume(args) => block_on(resume(args)),
        Command::Sync(args) => super::sync::run(*args),
        Command::Events(args) => events(&args),
    }
}

async fn list(args: List) -> anyhow::Result<ExitCode> {
    let client = args.api.client(args.scope.api())?;
    let mut webhooks = client.webhooks(&args.scope.scope()).await?;
    webhooks.retain(|webhook| {
        args.url_contains.as_ref().is_none_or(|text| webhook.url().contains(text))
            && args.kind.is_none_or(|kind| webhook.kind() == kind.name())
            && (!args.paused || !webhook.is_active())
            && (!args.active || webhook.is_active())
    });
    if webhooks.is_empty() && !args.shown.json {
        note("there is no such webhook");
    }
    print_all(&webhooks, &args.shown)?;
    Ok(ExitCode::SUCCESS)
}

fn print_all(webhooks: &[Webhook], shown: &Shown) -> anyhow::Result<()> {
    if shown.json {
        return webhooks.iter().try_for_each(|webhook| print_one(webhook, shown.show_secrets));
    }
    if webhooks.is_empty() {
        return Ok(());
    }
    let columns = |webhook: &Webhook| {
        let owner = webhook.scope().number().unwrap_or("project").to_owned();
        let state = if webhook.is_active() { "active" } else { "paused" };
        let events = webhook.events().join(" ");
        [webhook.id().to_owned(), state.into(), owner, webhook.kind().to_owned(), webhook.url().to_owned(), events]
    };
    if shown.show_secrets {
        let secret = |webhook: &Webhook| webhook.text("secret_key").unwrap_or_default().to_owned();
        let rows = webhooks.iter().map(|webhook| {
            let [id, state, owner, kind, url, events] = columns(webhook);
            [id, state, owner, kind, url, secret(webhook), events]
        });
        print_table(["ID", "STATE", "NUMBER", "KIND", "URL", "SECRET", "EVENTS"], rows)?;
    } else {
        print_table(["ID", "STATE", "NUMBER", "KIND", "URL", "EVENTS"], webhooks.iter().map(columns))?;
    }
    Ok(())
}

fn print_one(webhook: &Webhook, show_secrets: bool) -> anyhow::Result<()> {
    if show_secrets { print_json(webhook.fields()) } else { print_json(&webhook.without_secrets()) }
}

async fn show(args: Show) -> anyhow::Result<ExitCode> {
    let client = args.api.client(args.scope.api())?;
    let webhook = client.webhook(&args.scope.scope(), &args.id).await?;
    if args.shown.json {
        print_one(&webhook, args.shown.show_secrets)?;
    } else {
        let fields = if args.shown.show_secrets { webhook.fields().clone() } else { webhook.without_secrets() };
        print_table(["FIELD", "VALUE"], fields.keys().map(|name| [name.clone(), super::cell(&fields, name)]))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: Create) -> anyhow::Result<ExitCode> {
    let scope = args.scope.scope();
    let mut settings = args.settings.settings()?;
    settings.kind = Some(args.kind);
    let made = settings.secret_key.is_none();
    if made {
        settings.secret_key = Some(SecretKey::generate()?);
    }
    refuse(&settings.problems(&scope, args.settings.names()))?;
    let client = args.api.client(args.scope.api())?;
    let made = settings.secret_key.clone().filter(|_| made);
    let file = args.settings.secret_file(made.as_ref())?;
    let webhook = keep(made.as_ref(), file.as_ref(), client.create_webhook(&scope, &settings).await)?;
    note(format_args!("registered the webhook {} at {}", webhook.id(), webhook.url()));
    report(&webhook, made, file, args.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn update(args: Update) -> anyhow::Result<ExitCode> {
    let scope = args.scope.scope();
    let mut settings = args.settings.settings()?;
    if args.new_secret {
        settings.secret_key = Some(SecretKey::generate()?);
    } else if args.settings.secret_out.is_some() {
        bail!("--secret-out is for a secret that is made: give --new-secret too");
    }
    if args.no_headers {
        settings.headers = Some(BTreeMap::new());
    }
    if settings == Settings::default() {
        bail!("nothing to change: say what, such as --event or --url");
    }
    let client = args.api.client(args.scope.api())?;
    let before = client.webhook(&scope, &args.id).await?;
    refuse(&settings.problems_of_change(&before.scope(), before.kind(), args.settings.names()))?;
    let made = settings.secret_key.clone().filter(|_| args.new_secret);
    let file = args.settings.secret_file(made.as_ref())?;
    let after = keep(made.as_ref(), file.as_ref(), changed(&client, &scope, &args.id, &settings).await)?;
    note(format_args!("changed the webhook {}", args.id));
    report(&after, made, file, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Changes a webhook; what it is then, even if the answer does not say so.
async fn changed(client: &Client, scope: &Scope, id: &str, settings: &Settings) -> Result<Webhook, Error> {
    match client.update_webhook(scope, id, settings).await? {
        Some(webhook) => Ok(webhook),
        None => client.webhook(scope, id).await.map_err(|error| Error { unsure: true, ..error }),
    }
}

/// Writes what was made, and its secret if that is new, this once.
fn report(webhook: &Webhook, made: Option<SecretKey>, file: Option<SecretFile>, json: bool) -> anyhow::Result<()> {
    // What Kapso says is what it signs with.
    let made = made.map(|made| webhook.secret_key().unwrap_or(made));
    let shown = match (&made, file) {
        (Some(secret), Some(mut file)) => {
            file.hold(secret)?;
            None
        }
        _ => made.as_ref(),
    };
    let written = if json {
        let mut fields = webhook.without_secrets();
        if let Some(secret) = shown {
            fields.insert("secret_key".into(), secret.expose().into());
        }
        print_json(&fields)
    } else if let Some(secret) = shown {
        note("its secret, which is not shown again unless asked for with --show-secrets:");
        writeln!(anstream::stdout(), "{}", secret.expose()).map_err(Into::into)
    } else {
        Ok(())
    };
    match written {
        Err(error) if shown.is_some() => {
            let id = webhook.id();
            bail!(
                "the secret could not be written ({error}): `hookgate webhooks show {id} --show-secrets --json` has it"
            )
        }
        written => written,
    }
}

async fn delete(args: Delete) -> anyhow::Result<ExitCode> {
    let client = args.api.client(args.scope.api())?;
    let scope = args.scope.scope();
    let mut urls = Vec::new();
    for id in &args.ids {
        let webhook = client.webhook(&scope, id).await?;
        urls.push(format!("{id} at {}", clean_to(webhook.url(), 200)));
    }
    if !args.yes.confirm(&format!("Delete {}?", urls.join(", ")))? {
        return Ok(ExitCode::FAILURE);
    }
    for id in &args.ids {
        client.delete_webhook(&scope, id).await?;
        note(format_args!("deleted the webhook {id}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(args: Test) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.event
        && catalogue::find(name).is_none()
        && let Some(meant) = catalogue::suggest(name)
    {
        bail!("{name:?} is no event. Did you mean {meant}?");
    }
    let api = if args.legacy { Api::Legacy } else { Api::Platform };
    args.api.client(api)?.test_webhook(&args.id, args.event.as_deref()).await?;
    note(format_args!(
        "Kapso sends a test delivery; `hookgate deliveries --webhook-id {}` shows what becomes of it",
        args.id
    ));
    Ok(ExitCode::SUCCESS)
}

async fn resume(args: Resume) -> anyhow::Result<ExitCode> {
    let client = args.api.client(args.scope.api())?;
    let scope = args.scope.scope();
    let paused: Vec<_> = if args.all {
        let webhooks = client.webhooks(&scope).await?;
        let paused = webhooks.iter().filter(|webhook| !webhook.is_active());
        // The project's list has the numbers' webhooks too.
        let own = matches!((&scope, args.scope.api()), (Scope::Project, Api::Platform));
        let scope_of = |webhook: &Webhook| if own { webhook.scope() } else { scope.clone() };
        paused.map(|webhook| (scope_of(webhook), webhook.id().to_owned())).collect()
    } else {
        args.ids.into_iter().map(|id| (scope.clone(), id)).collect()
    };
    if paused.is_empty() {
        note("no webhook is paused");
    }
    let active = Settings { active: Some(true), ..Settings::default() };
    let mut done = ExitCode::SUCCESS;
    for (scope, id) in paused {
        match client.update_webhook(&scope, &id, &active).await {
            Ok(_) => note(format_args!("resumed the webhook {id}")),
            // The others can be resumed all the same.
            Err(error) if error.reason.is_about_one() => {
                note(format_args!("the webhook {id} stays paused: {error}"));
                done = ExitCode::FAILURE;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

fn events(args: &Events) -> anyhow::Result<ExitCode> {
    let owner = |event: &catalogue::Event| match event.scope {
        catalogue::Scope::PhoneNumber => "phone number",
        catalogue::Scope::Project => "project",
    };
    let versions = |event: &catalogue::Event| event.versions.iter().map(|version| version.name()).collect::<Vec<_>>();
    if args.json {
        for event in &EVENTS {
            let line = json!({
                "name": event.name,
                "scope": owner(event).replace(' ', "_"),
                "bufferable": event.bufferable,
                "payload_versions": versions(event),
                "when": event.when,
            });
            let Value::Object(line) = line else { continue };
            print_json(&line)?;
        }
    } else {
        let rows = EVENTS.iter().map(|event| {
            let buffer = if event.bufferable { "yes" } else { "" };
            [event.name.into(), owner(event).into(), versions(event).join(" "), buffer.into(), event.when.into()]
        });
        print_table(["EVENT", "OF A", "VERSIONS", "BUFFER", "SENT WHEN"], rows)?;
    }
    Ok(ExitCode::SUCCESS)
}
