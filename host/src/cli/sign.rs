//! `hookgate sign`.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde_json::json;
use zeroize::Zeroizing;

use super::delivery::contents;
use super::pair::Pair;
use crate::printable;
use crate::secrets::from_env;
use crate::unrepeated::Unrepeated;

/// Signs a body as Kapso does, and prints a curl line that sends it.
///
/// The body is the file's bytes, all of them, the line end at its end included.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  echo '{}' | hookgate sign --secret KAPSO=whsec_1
  KAPSO_WEBHOOK_SECRET=whsec_1 hookgate sign body.json --event whatsapp.message.sent | tail -n 1 | sh")]
pub(super) struct Args {
    /// The body; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,

    /// The secret: NAME=VALUE, or the NAME of a variable (or of a NAME_FILE) that holds it.
    #[arg(long, value_name = "NAME[=VALUE]", default_value = "KAPSO_WEBHOOK_SECRET",
        value_parser = Unrepeated::<Secret>::new())]
    secret: Secret,

    /// Where the curl line sends it.
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/whatsapp")]
    url: String,

    /// The event's name, for X-Webhook-Event.
    #[arg(long, value_name = "NAME", default_value = "whatsapp.message.received")]
    event: String,

    /// Whose header: Kapso's X-Webhook-Signature or Meta's X-Hub-Signature-256.
    #[arg(long, value_enum, default_value_t)]
    scheme: Scheme,

    /// Prints one JSON object: signature, header, value (what the header is set to), curl.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Scheme {
    #[default]
    Kapso,
    Meta,
}

/// A secret on the command line, or the name of one in the environment.
#[derive(Clone)]
pub(super) enum Secret {
    Given(Pair),
    Named(String),
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('=') { text.parse().map(Self::Given) } else { Ok(Self::Named(text.into())) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(secret) => secret.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl Secret {
    /// Its value.
    pub(super) fn value(self) -> anyhow::Result<Zeroizing<String>> {
        let name = match self {
            Self::Given(secret) => return Ok(secret.value),
            Self::Named(name) => name,
        };
        match from_env(&name)?.filter(|value| !value.is_empty()) {
            Some(value) => Ok(value),
            // Not by its name: it may be the value, given without a name.
            None => bail!(
                "no value for a secret: set the variable that the option names (KAPSO_WEBHOOK_SECRET if you named none), or \
                 give NAME=VALUE"
            ),
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (_, body) = contents(&args.file)?;
    let signature = crate::sign(&args.secret.value()?, &body);
    let (name, value) = match args.scheme {
        Scheme::Kapso => ("X-Webhook-Signature", signature.clone()),
        Scheme::Meta => ("X-Hub-Signature-256", format!("sha256={signature}")),
    };
    let mut headers = vec![("Content-Type", "application/json".to_owned()), (name, value.clone())];
    if let Scheme::Kapso = args.scheme {
        headers.push(("X-Webhook-Event", args.event));
    }
    let curl = curl(&args.url, &headers, &args.file, &body)?;
    let mut out = anstream::stdout();
    if args.json {
        let signed = json!({"signature": signature, "header": name, "value": value, "curl": curl});
        writeln!(out, "{}", printable::json(&signed)?)?;
    } else {
        writeln!(out, "{signature}\n{curl}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What one argument of a program may have on Linux, with the byte that ends it. A shell's own printf takes more.
const ARGUMENT_BYTES: usize = 128 * 1024;

/// One line for a POSIX shell. A body from standard input stands in it, one from a file is named.
fn curl(url: &str, headers: &[(&str, String)], file: &Path, body: &[u8]) -> anyhow::Result<String> {
    let mut before = String::new();
    let mut words = vec!["curl".to_owned(), "-i".into(), url.into()];
    for (name, value) in headers {
        words.extend(["-H".into(), format!("{name}: {value}")]);
    }
    if file == Path::new("-") {
        let body = std::str::from_utf8(body).context("this body is no text: put it into a file and name that")?;
        if body.len() >= ARGUMENT_BYTES || body.contains(|character: char| character.is_ascii_control()) {
            before = format!("printf %b {} | ", shlex::try_quote(&escaped(body))?);
            words.extend(["--data-binary".into(), "@-".into()]);
        } else {
            words.extend(["--data-raw".into(), body.into()]);
        }
    } else {
        let file = file.to_str().context("the file's name is no text")?;
        words.extend(["--data-binary".into(), format!("@{file}")]);
    }
    Ok(before + &shlex::try_join(words.iter().map(String::as_str))?)
}

/// A text on one line, which `printf %b` makes the same again.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            _ if character.is_ascii_control() => escaped.push_str(&format!("\\0{:03o}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}
