//! `hookgate setup-links`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;

use super::super::block_on;
use super::{ApiArgs, KEY_HELP, YesArgs, cell, note, print_json, print_table, refuse};
use crate::kapso::{Api, BillingMode, COLORS, ConnectionType, Language, LinkStatus, NewSetupLink};
use crate::printable::clean_to;

/// Makes the links by which customers connect their WhatsApp numbers to your Kapso project.
///
/// A customer is one of yours, known to Kapso by an id. Send it the link; when its number is connected, the project's webhook gets
/// whatsapp.phone_number.created, and the browser goes on to the success URL.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  hookgate setup-links create --customer-id 3f2e1d0c-… \\
    --success-redirect-url https://app.example.com/connected
  hookgate setup-links list --customer-id 3f2e1d0c-… --status active
  hookgate setup-links revoke --customer-id 3f2e1d0c-… 7f8a9b1c-…";

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Create(Box<Create>),
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The customer's id in Kapso.
    #[arg(long, value_name = "ID")]
    customer_id: String,

    /// Calls the API before the Platform API: app.kapso.ai/api/v1.
    #[arg(long)]
    legacy: bool,
}

impl Of {
    fn api(&self) -> Api {
        if self.legacy { Api::Legacy } else { Api::Platform }
    }
}

/// Lists a customer's links.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct List {
    #[command(flatten)]
    of: Of,

    /// Only those with this status.
    #[arg(long, value_enum)]
    status: Option<LinkStatus>,

    /// Prints one JSON object a line, with every field that Kapso has.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: ApiArgs,
}

/// Makes a link for a customer, and prints its URL.
///
/// A customer has one active link: the one before it works no more. A link lives for thirty days. Whoever has the URL can connect a
/// number with it.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Create {
    #[command(flatten)]
    of: Of,

    /// Where the browser goes after success. Parameters are added to it; they are not signed, and prove nothing.
    #[arg(long, value_name = "URL")]
    success_redirect_url: Option<String>,

    /// Where the browser goes after a failure, with an error_code.
    #[arg(long, value_name = "URL")]
    failure_redirect_url: Option<String>,

    /// A way to connect that is offered. One alone is chosen without asking; left out, both are offered. May be repeated.
    #[arg(long = "connection-type", value_name = "TYPE", value_enum, value_delimiter = ',')]
    connection_types: Vec<ConnectionType>,

    /// An origin (https://HOST) of pages that may use the link with @kapso/sdk. May be repeated.
    #[arg(long = "allowed-origin", value_name = "ORIGIN", value_delimiter = ',')]
    allowed_origins: Vec<String>,

    /// The page's language. Left out: the browser's.
    #[arg(long, value_enum)]
    language: Option<Language>,

    /// A colour of the page, such as primary_color=#22c55e. May be repeated.
    #[arg(long = "theme", value_name = "NAME=COLOR", long_help = theme_help())]
    theme: Vec<Color>,

    /// Provides a number for the customer. Outside the United States that needs your own telephony credentials in Kapso.
    #[arg(long)]
    provision_phone_number: bool,

    /// The area code of the number that is provided, in the United States.
    #[arg(long, value_name = "CODE", requires = "provision_phone_number")]
    area_code: Option<String>,

    /// A country that the number may be from, as two capital letters; left out, US. May be repeated.
    #[arg(long = "country", value_name = "ISO", value_delimiter = ',', requires = "provision_phone_number")]
    countries: Vec<String>,

    /// Connects this number of the customer again, instead of another.
    #[arg(long, value_name = "NUMBER", conflicts_with = "provision_phone_number")]
    reconnect_phone_number: Option<String>,

    /// Who pays Meta's fees for messages. Cannot be changed later; left out, the customer.
    #[arg(long, value_enum)]
    billing_mode: Option<BillingMode>,

    /// Prints the link as one JSON object, with its browser token.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: ApiArgs,
}

fn theme_help() -> String {
    format!("A colour of the page, such as primary_color=#22c55e. May be repeated. There are {}.", COLORS.join(", "))
}

/// `NAME=COLOR`.
#[derive(Clone, Debug)]
struct Color(String, String);

impl FromStr for Color {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, color) = text.split_once('=').ok_or("expected NAME=#RRGGBB")?;
        Ok(Self(name.into(), color.into()))
    }
}

/// Revokes a link: it cannot be used any more. Numbers connected with it stay connected.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
struct Revoke {
    /// The link's id.
    id: String,

    #[command(flatten)]
    of: Of,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    api: ApiArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => block_on(list(args)),
        Command::Create(args) => block_on(create(*args)),
        Command::Revoke(args) => block_on(revoke(args)),
    }
}

async fn list(args: List) -> anyhow::Result<ExitCode> {
    let client = args.api.client(args.of.api())?;
    let links = client.setup_links(&args.of.customer_id, args.status).await?;
    if args.json {
        links.iter().try_for_each(print_json)?;
    } else if links.is_empty() {
        note("there is no such link");
    } else {
        let fields = ["id", "status", "whatsapp_setup_status", "expires_at", "url"];
        let rows = links.iter().map(|link| fields.map(|field| cell(link, field)));
        print_table(["ID", "STATUS", "SETUP", "EXPIRES", "URL"], rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: Create) -> anyhow::Result<ExitCode> {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let link = NewSetupLink {
        success_redirect_url: args.success_redirect_url,
        failure_redirect_url: args.failure_redirect_url,
        allowed_connection_types: Some(args.connection_types).filter(|types| !types.is_empty()),
        allowed_origins: some(args.allowed_origins),
        language: args.language,
        theme_config: args.theme.into_iter().map(|Color(name, color)| (name, color)).collect::<BTreeMap<_, _>>(),
        provision_phone_number: args.provision_phone_number.then_some(true),
        phone_number_area_code: args.area_code,
        phone_number_country_isos: some(args.countries),
        reconnect_phone_number: args.reconnect_phone_number,
        meta_billing_mode: args.billing_mode,
    };
    refuse(&link.problems())?;
    let client = args.api.client(args.of.api())?;
    let made = client.create_setup_link(&args.of.customer_id, &link).await?;
    if args.json {
        print_json(&made)?;
    } else {
        note(format_args!("made the link {}, for use until {}:", cell(&made, "id"), cell(&made, "expires_at")));
        writeln!(anstream::stdout(), "{}", clean_to(&cell(&made, "url"), 2000))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: Revoke) -> anyhow::Result<ExitCode> {
    if !args.yes.confirm(&format!("Revoke the link {}?", args.id))? {
        return Ok(ExitCode::FAILURE);
    }
    let client = args.api.client(args.of.api())?;
    client.revoke_setup_link(&args.of.customer_id, &args.id).await?;
    note(format_args!("revoked the link {}", args.id));
    Ok(ExitCode::SUCCESS)
}
