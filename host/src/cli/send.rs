//! `hookgate send`.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use http::Uri;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::positive;
use super::sign::Secret;
use crate::send::{self, FAMILIES, GROUPS, Http, Ladder, Manner, Mix, Plan, Scene, Shares, Signer, Signers, Webhook};
use crate::server::unix_time;
use crate::unrepeated::Unrepeated;

/// When the first delivery of a run with a seed happens, unless people say otherwise: the same seed, the same bytes.
const EPOCH: u64 = 1_789_395_901;

/// Sends what Kapso would send, as Kapso would send it, and says what it would make of the answers.
///
/// Composes WhatsApp webhooks of every kind, signs them, and delivers them to your receiver by Kapso's rules: an answer must
/// come within 10 s and be exactly 200; whatever else is tried again after a while; a batch that keeps failing is sent message
/// by message; messages of a conversation keep their order; a webhook that fails too often is paused. With --forge it also
/// sends what an attacker would, and everything of that must be refused with 401.
///
/// The receiver must know the secret: start one with "hookgate serve" and take the secret that it shows.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = long_help())]
pub(super) struct Args {
    /// Your webhook's address, such as http://127.0.0.1:8080/webhooks/whatsapp.
    #[arg(required_unless_present = "dry_run", value_parser = address)]
    url: Option<Uri>,

    /// The webhook's secret: NAME=VALUE, or the NAME of a variable (or of a NAME_FILE) that holds it.
    ///
    /// May be repeated: then every phone number is a tenant with a secret of its own, the first number with the first secret, and
    /// so on in turn.
    #[arg(long = "secret", value_name = "NAME[=VALUE]", default_value = "KAPSO_WEBHOOK_SECRET",
        value_parser = Unrepeated::<Secret>::new())]
    secrets: Vec<Secret>,

    /// How many deliveries.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    count: u64,

    /// How many deliveries begin in a second, whether the ones before are done or not. As fast as answers come if not given.
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,

    /// The most requests under way at a time.
    #[arg(long, value_name = "N", default_value = "16")]
    concurrency: NonZeroU32,

    /// What is sent, and how often: families, or names of events, with weights.
    ///
    /// For example: received=10,status=5,batch=2,project=1,meta=1. The families are listed below.
    #[arg(long, value_name = "NAME=WEIGHT,…", value_parser = Mix::read)]
    mix: Option<Mix>,

    /// Only these events, as if the webhook had asked for no others: names, or beginnings such as whatsapp.message.*
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    events: Vec<String>,

    /// The share of deliveries that are forged, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    forge: f64,

    /// The share of deliveries that are sent again although they were accepted, from 0 to 1: the same bytes under the same key,
    /// under a new key (at the same time, as a second webhook's would come), under another event's name, or without the headers that
    /// nobody signs.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    duplicate: f64,

    /// When Kapso tries again: documented, newer, oldest, legacy, none, or seconds such as 0,5,30.
    ///
    /// Kapso's pages disagree. documented: at once, then after 10, 40 and 90 s. newer: at once, then after 10 and 40 s. oldest:
    /// after 10, 40 and 90 s, three attempts in all. legacy: at once, then twice after 60 s. none: one attempt. Seconds are the
    /// waits before each attempt, the first one included.
    #[arg(long, value_name = "LADDER", default_value = "documented")]
    ladder: Ladder,

    /// Divides every wait by this, for the impatient: with 100, what takes Kapso 10 s takes 0.1 s. The 10 s for an answer stay.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = positive)]
    speed: f64,

    /// From how many answers within 15 minutes on a webhook is paused, if at least 85 % of them, and 10, are failures. One source
    /// says 20, another 40.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pause_from: u64,

    /// Really stops when a webhook would be paused, as Kapso does. Otherwise it is only said.
    #[arg(long)]
    stop_when_paused: bool,

    /// How many phone numbers: 100000000000001 and those that follow.
    #[arg(long, value_name = "N", default_value = "3")]
    phone_numbers: NonZeroU32,

    /// How many conversations, spread over the phone numbers.
    #[arg(long, value_name = "N", default_value = "100")]
    conversations: NonZeroU32,

    /// What chance begins with: the same seed gives the same deliveries, byte for byte. A new one every time if not given.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The Unix second of the first delivery. If not given: now; with --seed, 14 September 2026.
    #[arg(long, value_name = "SECONDS")]
    now: Option<u64>,

    /// Where the project's webhook goes (connections, enforcement, workflows, agents), if not to the same address.
    #[arg(long, value_name = "URL", value_parser = address)]
    project_url: Option<Uri>,

    /// The secret of the project's webhook, if it has one of its own.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Unrepeated::<Secret>::new())]
    project_secret: Option<Secret>,

    /// Where Meta forwards go, if not to the same address.
    #[arg(long, value_name = "URL", value_parser = address)]
    meta_url: Option<Uri>,

    /// The secret of the Meta app, for the family "hub", if it is another one.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Unrepeated::<Secret>::new())]
    meta_secret: Option<Secret>,

    /// A PEM file of authorities that the receiver's certificate is checked against besides the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The most deliveries that are begun and not done with, waiting ones included; memory is bounded by this.
    #[arg(long, value_name = "N", default_value = "2000")]
    backlog: NonZeroU32,

    /// Sends nothing and writes the deliveries, one JSON object a line, as the other commands read them.
    #[arg(long, visible_alias = "print")]
    dry_run: bool,

    /// Prints one JSON object at the end.
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
}

const HELP: &str = "\
Examples:
  hookgate send http://127.0.0.1:8080/webhooks/whatsapp --secret K=whsec_1
  hookgate send URL -n 10000 --rate 200 --forge 0.05 --duplicate 0.05
  hookgate send URL --mix batch --speed 100        what happens when you answer 500?
  hookgate send --dry-run -n 5 --seed 1 --secret K=whsec_1 > deliveries.jsonl

Exit status: 0 everything genuine was accepted and everything forged refused with 401,
1 something was not, 2 wrong usage.";

/// With the families.
fn long_help() -> String {
    let mut help = String::from("Families for --mix, with the weights that they have if it is not given:\n");
    for family in FAMILIES {
        // Memory takes whatever is written to it.
        let _ = writeln!(help, "  {:<13} {:>2}  {}", family.name, family.weight, family.about);
    }
    for (group, members) in GROUPS {
        let _ = writeln!(help, "  {group:<13}     {}", members.join(", "));
    }
    help.push_str(
        "
Every event bears an id that no other event has: a UUID whose second group is 5eed and
whose last group counts up from 1. It stands in the conversation's or contact's metadata,
or, where there is none, in the event's own id. So whoever takes the events can count them.

",
    );
    help + HELP
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let signers = args.signers()?;
    let plan = args.plan()?;
    if args.dry_run {
        let path = |webhook| Some(args.address(webhook)?.path_and_query()?.as_str());
        send::print(plan, &signers, path, BufWriter::new(io::stdout().lock()))?;
        return Ok(ExitCode::SUCCESS);
    }
    super::block_on(args.send(plan, signers))
}

impl Args {
    /// Where the deliveries of a webhook go.
    fn address(&self, webhook: Webhook) -> Option<&Uri> {
        let own = match webhook {
            Webhook::Number(_) => None,
            Webhook::Project => self.project_url.as_ref(),
            Webhook::Meta(_) => self.meta_url.as_ref(),
        };
        own.or(self.url.as_ref())
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let mix = self.mix.clone().unwrap_or_else(Mix::usual);
        let mix = if self.events.is_empty() { mix } else { mix.only(&self.events).map_err(anyhow::Error::msg)? };
        let (seed, now) = match self.seed {
            Some(seed) => (seed, self.now.unwrap_or(EPOCH)),
            None => (getrandom::u64().context("no randomness: give --seed")?, self.now.unwrap_or_else(unix_time)),
        };
        let (phone_numbers, conversations) = (self.phone_numbers.get(), self.conversations.get());
        Ok(Plan {
            scene: Scene { seed, now, phone_numbers, conversations, mix },
            shares: Shares { forged: self.forge, duplicate: self.duplicate },
            manner: Manner {
                ladder: self.ladder.clone(),
                speed: self.speed,
                pause_from: self.pause_from,
                stop_when_paused: self.stop_when_paused,
            },
            count: self.count,
            rate: self.rate,
            concurrency: self.concurrency.get() as usize,
            backlog: self.backlog.get() as usize,
        })
    }

    fn signers(&self) -> anyhow::Result<Signers> {
        let signer = |secret: &Secret| secret.clone().value().map(|value| Signer::new(&value));
        let numbers = self.secrets.iter().map(signer).collect::<anyhow::Result<_>>()?;
        let project = self.project_secret.as_ref().map(signer).transpose()?;
        let app = self.meta_secret.as_ref().map(signer).transpose()?;
        Signers::new(numbers, project, app).context("no secret to sign with: give --secret")
    }

    async fn send(self, plan: Plan, signers: Signers) -> anyhow::Result<ExitCode> {
        let address = |webhook| self.address(webhook).cloned().context("no address to send to");
        let (number, project, meta) =
            (address(Webhook::Number(0))?, address(Webhook::Project)?, address(Webhook::Meta(0))?);
        let transport = Http::new(number, project, meta, self.ca.as_ref())?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_when_asked(stop.clone()));
        let report = send::run(plan, signers, transport, stop, bar(self.count)).await;
        let mut out = anstream::stdout();
        super::heard(if self.json { writeln!(out, "{}", report.json()) } else { report.write(&mut out) })?;
        Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// The first Ctrl-C ends the run, with a report; the second ends the program.
async fn stop_when_asked(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    }
}

/// Nobody sees it where there is no terminal.
fn bar(count: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    match ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} deliveries, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn address(text: &str) -> Result<Uri, String> {
    let address: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (address.scheme_str(), address.host()) {
        (Some("http" | "https"), Some(_)) => Ok(address),
        _ => Err("expected http://HOST/PATH or https://HOST/PATH".into()),
    }
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or("expected a number from 0 to 1")
}
