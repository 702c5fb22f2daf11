//! The commands that call Kapso's Platform API.

pub(super) mod deliveries;
mod settings;
pub(super) mod setup_links;
mod sync;
pub(super) mod webhooks;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use serde_json::{Map, Value};

use crate::kapso::{Api, ApiKey, Client, Error, Options, Scope};
use crate::printable::{clean_to, json};
use crate::secrets::from_env;

const KEY: &str = "KAPSO_API_KEY";
const NOTE_CHARS: usize = 2000;

/// What stands under the commands' help.
pub(super) const KEY_HELP: &str = "\
The API key comes from the environment: KAPSO_API_KEY, or the file that
KAPSO_API_KEY_FILE names. Kapso's dashboard has it in the project's settings.

Exit status: 0 done, 1 Kapso refused it, failed or could not be reached, or it was
not confirmed, 2 wrong usage.";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kapso's API")]
pub(super) struct ApiArgs {
    /// Where the API is; with a host alone, its path is added. Left out: where Kapso has it.
    #[arg(long, value_name = "URL", env = "KAPSO_API_URL", hide_env_values = true)]
    api_url: Option<String>,

    /// A PEM file of authorities that the API's certificate is checked against besides the system's.
    #[arg(long, value_name = "FILE", env = "KAPSO_API_CA")]
    api_ca: Option<PathBuf>,

    /// Seconds that one try of a call may take.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

impl ApiArgs {
    /// Where the API is, if not where Kapso has it.
    pub(super) fn url(&self) -> Option<&str> {
        self.api_url.as_deref()
    }

    pub(super) fn client(&self, api: Api) -> anyhow::Result<Client> {
        let Some(key) = from_env(KEY)? else {
            bail!(
                "no API key: set {KEY}, or {KEY}_FILE to a file that holds it; Kapso's dashboard has it in the project's settings"
            )
        };
        let options = Options {
            api,
            url: self.api_url.clone(),
            timeout: Duration::from_secs(self.timeout),
            extra_ca: self.api_ca.clone(),
            waiting: say_waiting,
        };
        Ok(Client::new(ApiKey::new(key.as_str())?, &options)?)
    }
}

fn say_waiting(error: &Error, wait: Duration) {
    note(format_args!("{error}; trying again in {} s", wait.as_secs_f32()));
}

/// Whose webhooks a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct ScopeArgs {
    /// The phone number, by the id that Meta gave it. Left out: the project.
    #[arg(long, value_name = "ID", conflicts_with = "legacy")]
    phone_number_id: Option<String>,

    /// Calls the API before the Platform API: app.kapso.ai/api/v1/whatsapp_webhooks.
    #[arg(long)]
    legacy: bool,

    /// The phone number, by the id that the legacy API gave it.
    #[arg(long, value_name = "ID", requires = "legacy")]
    whatsapp_config_id: Option<String>,
}

impl ScopeArgs {
    pub(super) fn api(&self) -> Api {
        if self.legacy { Api::Legacy } else { Api::Platform }
    }

    pub(super) fn scope(&self) -> Scope {
        self.phone_number_id.clone().or_else(|| self.whatsapp_config_id.clone()).into()
    }
}

/// The answer to "really?".
#[derive(Debug, clap::Args)]
pub(super) struct YesArgs {
    /// Does it without asking, as scripts need it.
    #[arg(long, short)]
    yes: bool,
}

impl YesArgs {
    /// Asks, where there is a terminal with somebody at it. Elsewhere it is a no, and said.
    pub(super) fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            note("nothing was done, because nobody is here to be asked; --yes says yes to this:");
            let _ = writeln!(anstream::stderr(), "{}", clean_to(question, usize::MAX));
            return Ok(false);
        }
        // All of it: nobody can say yes to what is not shown.
        write!(anstream::stderr(), "{} [y/N] ", clean_to(question, usize::MAX))?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let confirmed = is_yes(&answer);
        if !confirmed {
            note("nothing was done");
        }
        Ok(confirmed)
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

/// Something to know, beside the output. It may repeat what the other side says.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{}", clean_to(&text.to_string(), NOTE_CHARS));
}

/// Everything that is wrong with what is asked for, if anything is.
pub(super) fn refuse(problems: &[String]) -> anyhow::Result<()> {
    match problems {
        [] => Ok(()),
        [one] => Err(anyhow!("{one}")),
        many => Err(anyhow!("{}", many.iter().map(|problem| format!("\n  {problem}")).collect::<String>())),
    }
}

/// Writes a table that fits the terminal; elsewhere a row is a line.
pub(super) fn print_table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> io::Result<()> {
    let mut table = table(header, rows);
    if io::stdout().is_terminal() {
        fit(&mut table, &header);
    }
    writeln!(anstream::stdout(), "{}", table.trim_fmt())
}

/// Breaks lines where they are too long, but no ids: people copy them.
fn fit(table: &mut Table, header: &[&str]) {
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for (at, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(at).filter(|_| matches!(*name, "ID" | "WEBHOOK")) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS], rows: impl IntoIterator<Item = [String; COLUMNS]>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| clean_to(&cell, 1000)));
    }
    table
}

/// Writes one JSON object on one line.
pub(super) fn print_json(fields: &Map<String, Value>) -> anyhow::Result<()> {
    Ok(writeln!(anstream::stdout(), "{}", json(fields)?)?)
}

/// A field for a table: text as it is, numbers as JSON has them, nothing for what is not there.
pub(super) fn cell(fields: &Map<String, Value>, name: &str) -> String {
    match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y\r\n", "yes\n", " YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "no\n", "yesterday\n"].into_iter().any(is_yes));
    }

    #[test]
    fn a_table_fits_its_width_and_holds_nothing_that_steers_a_terminal() {
        let id = "9e8d7c6b-5a4f-3e2d-1c0b-000000000001";
        let rows = [[id.to_owned(), "https://api.acme.com/\u{1b}[2J".to_owned() + &"x".repeat(200)]];
        let mut table = table(["ID", "URL"], rows);
        fit(&mut table, &["ID", "URL"]);
        table.set_width(60);
        let text = table.trim_fmt();
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains(id) && !text.contains('\u{1b}'), "{text}");
    }
}
