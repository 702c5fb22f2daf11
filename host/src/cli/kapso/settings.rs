//! What a webhook is to be, as arguments.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::super::pair::Pair;
use super::note;
use crate::kapso::catalogue::{EVENTS, PayloadVersion};
use crate::kapso::{Buffer, Error, Names, SecretKey, Settings};
use crate::secrets::from_env;
use crate::unrepeated::Unrepeated;

/// Which names of events are taken.
#[derive(Debug, clap::Args)]
pub(super) struct NamesArgs {
    /// Takes events that this program does not know; Kapso refuses those that it does not know either.
    #[arg(long)]
    unknown_events: bool,
}

impl NamesArgs {
    pub(super) fn names(&self) -> Names {
        if self.unknown_events { Names::Any } else { Names::Known }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// Where deliveries go. HTTPS.
    #[arg(long)]
    url: Option<String>,

    /// An event to send; `hookgate webhooks events` lists them. May be repeated, or be a list with commas. On change they take the
    /// place of all that there are.
    #[arg(long = "event", value_name = "NAME", value_delimiter = ',')]
    events: Vec<String>,

    #[command(flatten)]
    names: NamesArgs,

    /// The secret to sign with: the NAME of a variable, or of a NAME_FILE, that holds it.
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,

    /// Writes a secret that is made to this new file, which only its owner can read, instead of standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub(super) secret_out: Option<PathBuf>,

    /// Whether deliveries are sent.
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,

    /// A header that each delivery has besides Kapso's own; not signed. May be repeated. On change they take the place of all
    /// that there are.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Unrepeated::<Pair>::new())]
    header: Vec<Pair>,

    /// The same with a value that nobody sees: the variable, or VARIABLE_FILE, that holds it.
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = Unrepeated::<Pair>::new())]
    header_from: Vec<Pair>,

    /// Whether received messages are collected into batches, by conversation.
    #[arg(long, value_name = "true|false")]
    buffer: Option<bool>,

    /// How many seconds a batch waits for more: 1 to 60. Turns buffering on.
    #[arg(long, value_name = "SECONDS")]
    buffer_window: Option<u32>,

    /// The most messages in a batch: 1 to 100. Turns buffering on.
    #[arg(long, value_name = "COUNT")]
    buffer_size: Option<u32>,

    /// An event to collect; only whatsapp.message.received can be. Turns buffering on.
    #[arg(long = "buffer-event", value_name = "NAME", value_delimiter = ',')]
    buffer_events: Vec<String>,

    /// After how many minutes of silence whatsapp.conversation.inactive is sent: 1 to 1440.
    #[arg(long, value_name = "MINUTES")]
    inactivity_minutes: Option<u32>,

    /// The shape of bodies.
    #[arg(long, value_enum)]
    payload_version: Option<PayloadVersion>,
}

impl SettingsArgs {
    pub(super) fn names(&self) -> Names {
        self.names.names()
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut headers: BTreeMap<_, _> =
            self.header.iter().map(|Pair { name, value }| (name.clone(), value.to_string())).collect();
        for Pair { name, value: variable } in &self.header_from {
            headers.insert(name.clone(), value_of("--header-from", variable)?.expose().to_owned());
        }
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let given = self.buffer_window.is_some() || self.buffer_size.is_some() || !self.buffer_events.is_empty();
        let enabled = self.buffer.or(given.then_some(true));
        let received = || EVENTS.iter().filter(|event| event.bufferable).map(|event| event.name.to_owned()).collect();
        let buffer = Buffer {
            enabled,
            window_seconds: self.buffer_window,
            max_size: self.buffer_size,
            events: some(&self.buffer_events).or_else(|| (enabled == Some(true)).then(received)),
        };
        Ok(Settings {
            url: self.url.clone(),
            kind: None,
            events: some(&self.events),
            secret_key: self.secret.as_deref().map(|name| value_of("--secret", name)).transpose()?,
            active: self.active,
            headers: (!headers.is_empty()).then_some(headers),
            buffer,
            inactivity_minutes: self.inactivity_minutes,
            payload_version: self.payload_version,
        })
    }

    /// The file for the secret that was made, with that in it before anything is sent, so that no secret is lost.
    pub(super) fn secret_file(&self, made: Option<&SecretKey>) -> anyhow::Result<Option<SecretFile>> {
        match (&self.secret_out, made) {
            (Some(path), Some(secret)) => SecretFile::new(path, secret).map(Some),
            _ => Ok(None),
        }
    }
}

/// A new file with a secret in it, for nobody but its owner.
pub(super) struct SecretFile {
    path: PathBuf,
    file: File,
}

impl SecretFile {
    fn new(path: &Path, secret: &SecretKey) -> anyhow::Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).with_context(|| format!("cannot make the file {}", path.display()))?;
        let mut this = Self { path: path.to_owned(), file };
        this.hold(secret)?;
        Ok(this)
    }

    /// Puts a secret in the place of the one that it holds.
    pub(super) fn hold(&mut self, secret: &SecretKey) -> anyhow::Result<()> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", secret.expose())
        };
        write(&mut self.file).with_context(|| format!("cannot write the secret to {}", self.path.display()))
    }

    fn remove(&self) {
        // What stays is of no use to anybody, and no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// After a call that failed a secret that was made goes if Kapso surely does not have it. One that it may have is kept, in its file
/// or on standard output.
pub(super) fn keep<T>(
    made: Option<&SecretKey>,
    file: Option<&SecretFile>,
    called: Result<T, Error>,
) -> anyhow::Result<T> {
    match (&called, file, made) {
        (Err(error), Some(file), _) if !error.unsure => file.remove(),
        (Err(error), None, Some(made)) if error.unsure => {
            note("the secret that the webhook may have:");
            // What Kapso said is told in any case.
            let _ = writeln!(anstream::stdout(), "{}", made.expose());
        }
        _ => {}
    }
    Ok(called?)
}

/// The value of `NAME`, or of the file that `NAME_FILE` names.
fn value_of(option: &str, name: &str) -> anyhow::Result<SecretKey> {
    match from_env(name)?.filter(|value| !value.is_empty()) {
        Some(value) => Ok(value.as_str().into()),
        // Not by its name: it may be the value.
        None => bail!(
            "no value for {option}: it takes the NAME of a variable; set that, or NAME_FILE to a file that holds the value"
        ),
    }
}
