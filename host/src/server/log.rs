//! The log: one line a request. Never a body, a secret, a signature, a media address or a whole phone number.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::{BufWriter, IsTerminal, stderr};
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::deliver::Try;
use super::redirect::Relayed;
use super::report::{Place, Report, Story, outcome_class, redirect_result};
use crate::printable::{clean, tail};
use crate::types::{Deliver, Outcome, ParseError, Redirect, RedirectOutcome};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Lines that wait to be written at the most. More are left out and counted: who reads slowly, or not at all, holds up nobody.
const LINES: usize = 8192;

static LEFT_OUT: OnceLock<ErrorCounter> = OnceLock::new();

/// The log of this process. When it is dropped, what still waits is written, for a second at the most, and less where nobody reads.
#[must_use]
pub struct Log {
    _writer: WorkerGuard,
}

/// Sends log lines to standard error. `filter` is in the form of `RUST_LOG`: `info`, or `hookgate=debug,hyper=warn`.
///
/// # Errors
/// The filter cannot be read, or the process has a log already.
pub fn start(format: Format, filter: &str) -> Result<Log, String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let queue = NonBlockingBuilder::default().buffered_lines_limit(LINES).thread_name("hookgate-log");
    let (lines, writer) = queue.finish(BufWriter::new(stderr()));
    let left_out = lines.error_counter();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    // The target that some lines name is one of the policy.
    let builder = builder.with_ansi(stderr().is_terminal()).with_target(false);
    match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| error.to_string())?;
    let _ = LEFT_OUT.set(left_out);
    Ok(Log { _writer: writer })
}

/// How many lines were left out.
pub(crate) fn left_out() -> u64 {
    LEFT_OUT.get().map_or(0, |left_out| left_out.dropped_lines() as u64)
}

pub(crate) fn line(report: &Report<'_>) {
    let took_ms = report.took.as_micros() as f64 / 1000.0;
    let status = report.status.as_u16();
    let source = report.place.map(Place::name);
    match &report.story {
        Story::NotOurs => tracing::debug!(status, took_ms, "the path is no source"),
        Story::Refused(None) => tracing::info!(source, status, took_ms, "handshake"),
        Story::Refused(Some(rejection)) => {
            tracing::warn!(source, rejection = rejection.name(), status, took_ms, "rejected");
        }
        Story::Trouble(trouble) => {
            let error = format!("{trouble:?}");
            tracing::error!(source, reason = trouble.name(), error, status, took_ms, "not decided");
        }
        Story::Redirect { redirect, relayed } => {
            let (outcome, number) = (redirect.outcome.name(), number(redirect));
            let target = relayed.map(answered);
            let result = redirect_result(*relayed);
            let signed = false;
            macro_rules! redirect {
                ($level:ident) => {
                    tracing::$level!(
                        setup_link = source,
                        signed,
                        outcome,
                        number,
                        target,
                        result,
                        status,
                        took_ms,
                        "redirect, unsigned"
                    )
                };
            }
            if matches!(result, "redirected" | "relayed") { redirect!(info) } else { redirect!(warn) }
        }
        Story::Genuine { delivery, result, tries } => {
            let fine = report.status.is_success();
            // Most lines are of this kind, and none is composed that the filter would leave out.
            if fine && !tracing::enabled!(tracing::Level::INFO) {
                return;
            }
            let Shown { event, kind, events, test, number, rules, targets, contradictions, unreadable } =
                Shown::of(delivery, tries);
            let (secret, result) = (delivery.proof.secret.as_str(), result.name());
            macro_rules! delivery {
                ($level:ident) => {
                    tracing::$level!(
                        source,
                        secret,
                        event,
                        kind,
                        events,
                        test,
                        number,
                        rules,
                        targets,
                        contradictions,
                        unreadable,
                        result,
                        status,
                        took_ms,
                        "delivery"
                    )
                };
            }
            if fine { delivery!(info) } else { delivery!(warn) }
        }
    }
}

/// What a line says of a genuine delivery.
struct Shown {
    event: Option<String>,
    kind: &'static str,
    events: usize,
    test: Option<bool>,
    /// The last four digits of the first event's phone number id.
    number: Option<String>,
    rules: String,
    /// None when nothing was to be sent.
    targets: Option<String>,
    contradictions: Option<String>,
    unreadable: Option<&'static str>,
}

impl Shown {
    fn of(genuine: &Deliver, tries: &[Try]) -> Self {
        let delivery = &genuine.delivery;
        let mut rules: Vec<&str> =
            genuine.routes.iter().map(|route| route.rule.as_deref().unwrap_or("otherwise")).collect();
        rules.dedup();
        let contradictions = delivery.contradictions.iter().map(|found| {
            format!("{} says {:?}, the body {:?}", found.header, clean(&found.claimed), clean(&found.actual))
        });
        let contradictions: Vec<String> = contradictions.collect();
        Shown {
            event: delivery.name.as_deref().map(clean),
            kind: delivery.kind.name(),
            events: delivery.events.len(),
            test: delivery.test.then_some(true),
            number: delivery.events.first().and_then(|event| event.phone_number_id.as_deref()).map(tail),
            rules: clean(&rules.join(",")),
            targets: (!tries.is_empty()).then(|| tries.iter().map(tried).collect::<Vec<_>>().join(" ")),
            contradictions: (!contradictions.is_empty()).then(|| contradictions.join("; ")),
            unreadable: genuine.unreadable.as_ref().map(unreadable),
        }
    }
}

/// The last four digits of the phone number id that a redirect names.
fn number(redirect: &Redirect) -> Option<String> {
    match &redirect.outcome {
        RedirectOutcome::Completed(connection) => connection.phone_number_id.as_deref().map(tail),
        RedirectOutcome::Failed(_) => None,
    }
}

/// A browser's request to a target: `backoffice=200(12ms)`.
fn answered(relayed: &Relayed) -> String {
    format!("{}={}({}ms)", relayed.target, outcome(&relayed.outcome), relayed.took.as_millis())
}

/// A message to a target: `bot=200/1(12ms)`, with the number of events that it carried.
fn tried(tried: &Try) -> String {
    let mut text = format!("{}={}/{}", tried.target, outcome(&tried.outcome), tried.events.len());
    if !tried.took.is_zero() {
        let _ = write!(text, "({}ms)", tried.took.as_millis());
    }
    text
}

/// A target's status, or the word for its not having answered.
fn outcome(outcome: &Outcome) -> Cow<'static, str> {
    match outcome {
        Outcome::Answered(status) => status.to_string().into(),
        other => outcome_class(other).into(),
    }
}

pub(crate) fn unreadable(error: &ParseError) -> &'static str {
    match error {
        ParseError::NotJson(_) => "not JSON",
        ParseError::NotAnObject => "not an object",
        ParseError::TooDeep(_) => "nested too deeply",
        ParseError::TooManyEvents(_) => "too many events",
    }
}
