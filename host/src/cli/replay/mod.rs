//! `hookgate replay`.

mod filter;
mod pace;
mod send;
mod signing;
mod summary;

use std::cell::Cell;
use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures_util::{Stream, StreamExt, future, pin_mut, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Url;
use tokio::signal::ctrl_c;
use tokio::sync::mpsc::{Sender, channel};

use self::filter::Filter;
use self::pace::Pace;
use self::send::{Ready, Sending, is_about_one};
use self::signing::Signing;
use self::summary::Summary;
use super::delivery::{self, Delivery};
use super::positive;
use super::sign::Secret;
use crate::client;
use crate::unrepeated::Unrepeated;

/// Sends recorded deliveries again, to try a change on what really came, or to make up for what went wrong.
///
/// It reads what `hookgate serve --record DIR` keeps, and every other form that `hookgate verify` reads, as it goes: a
/// recording may be larger than memory. Deliveries go out in their order, each when the one before was answered, and none is
/// sent twice. A server that remembers what it delivered answers 200 to a repetition and sends nothing on.
#[derive(Debug, clap::Args)]
#[command(after_help = r#"Examples:
  hookgate replay http://127.0.0.1:8080 got          the recording in the folder got, each to its own path
  hookgate replay http://127.0.0.1:3000/hook got     all of it to one address
  hookgate replay http://127.0.0.1:8080 got --failed --when '{"event": "whatsapp.message.*"}'
                                                     the messages that were not answered 200
  hookgate replay http://127.0.0.1:8080 got --secret NEW_SECRET --speed 60
                                                     signed anew, an hour of it in a minute
  zcat old.jsonl.gz | hookgate replay http://127.0.0.1:8080 - --dry-run
                                                     what would be sent?

Output of --json, one object: read, matched, sent, ok (answered 200), answers
(how many of each status), unanswered (how many timed-out, unreachable), unsent
(how many could not be sent, which standard error says), unsigned (how many had no
signature to send), bytes, seconds, latency_ms (p50, p95, p99, max), interrupted,
dry_run.

Exit status: 0 all that was sent was answered 200, 1 something was not, or the
component failed on a delivery, 2 wrong usage, policy or input. What the component
fails on or what is malformed keeps nothing else from being sent."#)]
pub(super) struct Args {
    /// Where to send. An address without a path gets the path that each delivery was recorded with.
    #[arg(value_parser = Unrepeated::<Url>::new())]
    url: Url,

    /// Files with deliveries, or folders of such; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,

    /// Puts the recorded path behind the address even if that has a path.
    #[arg(long)]
    with_path: bool,

    /// Signs every body anew with this secret: NAME=VALUE, or the NAME of a variable (or of a NAME_FILE) that holds it. Left
    /// out, signatures are sent as recorded.
    #[arg(long, value_name = "NAME[=VALUE]", conflicts_with = "resign", value_parser = Unrepeated::<Secret>::new())]
    secret: Option<Secret>,

    /// Signs every body anew with the secret that the policy has for its source (and phone number), from the environment.
    #[arg(long, requires = "policy")]
    resign: bool,

    /// With --secret or --resign: signs also what was refused, or not decided, when it was recorded. It is left out otherwise, because
    /// a new signature makes a forgery genuine.
    #[arg(long)]
    sign_refused: bool,

    /// The policy whose sources --when, --unless and --resign go by.
    #[arg(long, short, value_name = "FILE", env = "HOOKGATE_POLICY")]
    policy: Option<PathBuf>,

    /// Sends only deliveries with an event that meets these conditions, written as in a rule of a policy, in JSON or YAML:
    /// '{"event": "whatsapp.message.*", "phone_number_id": "123456789012345"}'.
    #[arg(long, value_name = "CONDITIONS")]
    when: Option<String>,

    /// Leaves out events that meet these conditions. A delivery goes out whole if one event of it is left.
    #[arg(long, value_name = "CONDITIONS")]
    unless: Option<String>,

    /// Sends only what was not answered 200 when it was recorded.
    #[arg(long)]
    failed: bool,

    /// Leaves out the first of those that would be sent.
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: usize,

    /// Sends so many and no more.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Begins so many deliveries a second at the most.
    #[arg(long, value_name = "PER SECOND", value_parser = positive, conflicts_with = "speed")]
    rate: Option<f64>,

    /// Keeps the times between deliveries as they were recorded, divided by this: 1 as it was, 60 an hour in a minute.
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    speed: Option<f64>,

    /// Deliveries that may be under way at a time. With more than one their order is not kept.
    #[arg(long, value_name = "N", default_value = "1")]
    concurrency: NonZeroUsize,

    /// Milliseconds to wait for an answer. Kapso gives up after 10,000.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: u64,

    /// A PEM file of authorities that the server's certificate is checked against besides the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Says what would be sent, and sends nothing.
    #[arg(long)]
    dry_run: bool,

    /// Prints the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Deliveries that are read ahead.
const AHEAD: usize = 16;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    super::block_on(args.run())
}

impl Args {
    async fn run(self) -> anyhow::Result<ExitCode> {
        if !matches!(self.url.scheme(), "http" | "https") {
            bail!("an address begins with http:// or https://, not with {}:", self.url.scheme());
        }
        let filter = Filter::new(self.policy.as_deref(), self.when.as_deref(), self.unless.as_deref(), self.failed)?;
        let signing = match (&self.secret, &self.policy) {
            (Some(secret), _) => Signing::With(secret.clone().value()?),
            (None, Some(policy)) if self.resign => Signing::by_policy(policy)?,
            _ => Signing::AsRecorded,
        };
        let mut client = client::builder(self.ca.as_ref())?.timeout(Duration::from_millis(self.timeout_ms));
        if self.url.host_str().is_some_and(client::is_here) {
            client = client.no_proxy();
        }
        let client = client.build()?;
        let base = self.with_path || self.url.path() == "/";
        let sending = Sending { client, url: self.url.clone(), base, signing };
        let files = delivery::expand(&self.files)?.into_iter().map(File::new).collect::<Vec<_>>();
        let bar = progress(&files);

        let (queue, mut read) = channel(AHEAD);
        let counts = Arc::new(Counts::default());
        let reading = Reading {
            files,
            filter,
            takes_unproven: self.sign_refused || matches!(sending.signing, Signing::AsRecorded),
            skip: self.skip,
            limit: self.limit,
            bar: bar.clone(),
            counts: counts.clone(),
        };
        // Not one of the runtime's threads: nobody waits for standard input when it is all over.
        let reader = thread::spawn(move || reading.run(&queue));
        let deliveries = stream::poll_fn(move |context| read.poll_recv(context));

        let mut summary = Summary::new(self.dry_run);
        let result = if self.dry_run {
            show(deliveries, &sending, &mut summary, self.json).await
        } else {
            let pace = Pace::new(self.rate, self.speed);
            send_all(deliveries, &sending, pace, self.concurrency.get(), &mut summary, &bar).await
        };
        bar.finish_and_clear();
        summary.read(counts.read.load(Ordering::Relaxed), counts.chosen.load(Ordering::Relaxed));
        let unproven = counts.unproven.load(Ordering::Relaxed);
        if unproven > 0 {
            delivery::warn(format_args!(
                "{unproven} left out, which were refused or not decided when they were recorded: a new signature would make \
                 them genuine; --sign-refused sends them"
            ));
        }
        super::heard(summary.print(self.json))?;
        result?;
        if !summary.interrupted {
            reader.join().map_err(|_| anyhow!("reading broke off"))?;
        }
        Ok(ExitCode::from(summary.status()))
    }
}

/// Says of each delivery what would be sent.
async fn show(
    deliveries: impl Stream<Item = anyhow::Result<Delivery>>,
    sending: &Sending,
    summary: &mut Summary,
    json: bool,
) -> anyhow::Result<()> {
    pin_mut!(deliveries);
    while let Some(delivery) = deliveries.next().await {
        match delivery.and_then(|delivery| sending.ready(delivery)) {
            Ok(ready) => {
                summary.would_send(&ready);
                if !json {
                    super::heard(writeln!(anstream::stdout(), "{ready}"))?;
                }
            }
            Err(error) if is_about_one(&error) => {
                if let Some(trouble) = summary.unsent(&error) {
                    delivery::warn(trouble);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn send_all(
    deliveries: impl Stream<Item = anyhow::Result<Delivery>>,
    sending: &Sending,
    pace: Pace,
    concurrency: usize,
    summary: &mut Summary,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let paced = stream::unfold((Box::pin(deliveries), pace), |(mut deliveries, mut pace)| async move {
        let delivery = deliveries.next().await?;
        if let Ok(delivery) = &delivery {
            pace.wait(delivery.recorded.received_at).await;
        }
        Some((delivery, (deliveries, pace)))
    });
    let stopped = AtomicBool::new(false);
    let interrupted = async {
        // Without signals nobody interrupts.
        if ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        stopped.store(true, Ordering::Relaxed);
        tokio::spawn(async {
            if ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    };
    // What is under way ends, also when what comes next cannot be sent.
    let broken = Cell::new(None);
    let ready = paced.map(|delivery| sending.ready(delivery?)).take_until(interrupted);
    let ready = ready.scan((), |(), ready| {
        future::ready(match ready {
            Err(error) if !is_about_one(&error) => {
                broken.set(Some(error));
                None
            }
            ready => Some(ready),
        })
    });
    let answers = ready.map(async |ready: anyhow::Result<Ready>| anyhow::Ok(sending.send(ready?).await));
    let answers = answers.buffer_unordered(concurrency);
    pin_mut!(answers);
    while let Some(sent) = answers.next().await {
        let trouble = match sent {
            Ok(sent) => summary.sent(&sent),
            Err(error) => summary.unsent(&error),
        };
        if let Some(trouble) = trouble {
            bar.suspend(|| delivery::warn(trouble));
        }
        bar.set_message(summary.message());
    }
    summary.interrupted = stopped.load(Ordering::Relaxed);
    broken.take().map_or(Ok(()), Err)
}

/// An input, and how long it was when this began: who sends a recording to the server that is recording would never come to its
/// end.
struct File {
    path: PathBuf,
    /// None of what is no file.
    bytes: Option<u64>,
}

impl File {
    fn new(path: PathBuf) -> Self {
        let bytes = fs::metadata(&path).ok().filter(Metadata::is_file).map(|data| data.len());
        File { path, bytes }
    }
}

/// Reads, chooses, and hands on.
struct Reading {
    files: Vec<File>,
    filter: Filter,
    /// Whether what was not recorded as genuine is wanted too.
    takes_unproven: bool,
    skip: usize,
    limit: Option<usize>,
    bar: ProgressBar,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    read: AtomicUsize,
    chosen: AtomicUsize,
    /// Left out because nobody has found them genuine.
    unproven: AtomicUsize,
}

impl Reading {
    fn run(self, queue: &Sender<anyhow::Result<Delivery>>) {
        let mut skipped = 0;
        let mut deliveries = self.files.iter().flat_map(|file| self.deliveries(file));
        while self.limit.is_none_or(|limit| self.counts.chosen.load(Ordering::Relaxed) < limit)
            && let Some(delivery) = deliveries.next()
        {
            self.counts.read.fetch_add(1, Ordering::Relaxed);
            let wanted = delivery.and_then(|delivery| Ok(self.filter.wants(&delivery)?.then_some(delivery)));
            let Some(delivery) = wanted.transpose() else { continue };
            if !self.takes_unproven && delivery.as_ref().is_ok_and(|delivery| delivery.recorded.unproven) {
                self.counts.unproven.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if delivery.is_ok() && skipped < self.skip {
                skipped += 1;
                continue;
            }
            self.counts.chosen.fetch_add(usize::from(delivery.is_ok()), Ordering::Relaxed);
            let ends = delivery.as_ref().is_err_and(|error| !is_about_one(error));
            if queue.blocking_send(delivery).is_err() || ends {
                return;
            }
        }
    }

    fn deliveries(&self, file: &File) -> Box<dyn Iterator<Item = anyhow::Result<Delivery>>> {
        let opened = delivery::open(&file.path).and_then(|(name, input)| {
            let input = input.take(file.bytes.unwrap_or(u64::MAX));
            let input: Box<dyn Read + Send> = Box::new(self.bar.wrap_read(input));
            delivery::Stream::new(&name, input)
        });
        let gone = |error: &io::Error| file.bytes.is_some() && error.kind() == io::ErrorKind::NotFound;
        match opened {
            Ok(stream) => Box::new(stream),
            Err(error) if error.downcast_ref().is_some_and(gone) => {
                let path = file.path.display();
                delivery::warn(format_args!(
                    "warning: {path} has been removed meanwhile, as the oldest of a recording are"
                ));
                Box::new(std::iter::empty())
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

/// A bar on a terminal, by the bytes of the files where they are known; nothing elsewhere.
fn progress(files: &[File]) -> ProgressBar {
    let bytes: Option<u64> = files.iter().map(|file| file.bytes).sum();
    let (bar, template) = match bytes {
        Some(bytes) => {
            (ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr()), "{wide_bar} {msg} {eta}")
        }
        None => (ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
