//! Counts for Prometheus. Every label has a bounded set of values.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::deliver::Try;
use super::pause::Window;
use super::redirect::Relayed;
use super::report::{Place, Report, Story, Trouble, outcome_class, redirect_result, setup_class};
use super::store::Held;
use crate::kapso::catalogue;
use crate::types::{Deliver, DeliveryResult, NameOrigin, Outcome, Redirect, Rejection};

/// Event names come from outside: so many of them get a label of their own, the others share one.
const EVENTS: usize = 64;
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    source: String,
    kind: &'static str,
    event: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    source: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RedirectLabels {
    setup_link: String,
    outcome: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetOutcomeLabels {
    target: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    result: &'static str,
}

/// What became of deliveries to keep.
#[derive(Clone, Default)]
pub(crate) struct Records {
    counts: Family<RecordLabels, Counter>,
    bytes: Gauge,
}

impl Records {
    pub(crate) fn count(&self, result: &'static str) {
        self.counts.get_or_create(&RecordLabels { result }).inc();
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    deliveries: Family<DeliveryLabels, Counter>,
    events: Family<SourceLabels, Counter>,
    contradictions: Family<SourceLabels, Counter>,
    unreadable: Family<SourceLabels, Counter>,
    rejections: Family<RejectionLabels, Counter>,
    undecided: Family<RejectionLabels, Counter>,
    not_ours: Counter,
    redirects: Family<RedirectLabels, Counter>,
    seconds: Family<SourceLabels, Histogram>,
    target_messages: Family<TargetOutcomeLabels, Counter>,
    target_seconds: Family<TargetLabels, Histogram>,
    duplicates: Family<TargetLabels, Counter>,
    in_flight: Gauge,
    plugin_instances: Gauge,
    keys_in_flight: Gauge,
    keys_remembered: Gauge,
    store_failures: Family<OperationLabels, Counter>,
    pub(crate) records: Records,
    reloads: Family<ReloadLabels, Counter>,
    log_lines_left_out: Counter,
    failure_share: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    would_pause: Family<SourceLabels, Gauge>,
    named_events: RwLock<HashSet<String>>,
    windows: Mutex<HashMap<String, Window>>,
    since: Instant,
}

/// The metric, which the registry shows from now on.
fn shown<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A new metric, shown.
fn new<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    shown(registry, name, help, M::default())
}

/// Counts a request as under way until dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("hookgate");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This program", build);
        let histogram = || Histogram::new(SECONDS);
        let r = &mut registry;
        // In the order in which they are shown.
        Metrics {
            deliveries: new(r, "deliveries", "Genuine deliveries by what they came to"),
            events: new(r, "events", "Events in genuine deliveries"),
            contradictions: new(
                r,
                "contradictions",
                "Genuine deliveries with a header that the signed body contradicts",
            ),
            unreadable: new(r, "unreadable", "Genuine deliveries whose body could not be read"),
            rejections: new(r, "rejections", "Requests that the gate refused, by reason"),
            undecided: new(r, "undecided", "Requests that could not be decided, by reason"),
            not_ours: new(r, "not_ours", "Requests whose path is no source and no setup link's"),
            redirects: new(
                r,
                "redirects",
                "Browsers back from a setup link, by how the setup is said to have ended and by what became of them; unsigned",
            ),
            seconds: shown(
                r,
                "answer_seconds",
                "From the request's head to its answer",
                Family::new_with_constructor(histogram),
            ),
            target_messages: new(r, "target_messages", "Messages by target and outcome"),
            target_seconds: shown(
                r,
                "target_seconds",
                "From a message's begin to the target's status",
                Family::new_with_constructor(histogram),
            ),
            duplicates: new(r, "duplicates", "Events not sent because they were delivered before"),
            in_flight: new(r, "requests_in_flight", "Requests under way"),
            plugin_instances: new(
                r,
                "plugin_instances",
                "Instances of the plugin that have compiled the policy in force, or are about to",
            ),
            keys_in_flight: new(r, "keys_in_flight", "Event keys begun and not finished"),
            keys_remembered: new(r, "keys_remembered", "Event keys of deliveries within the window"),
            store_failures: new(r, "store_failures", "Operations that the store of event keys failed"),
            records: Records {
                counts: new(r, "records", "Deliveries to record by what became of them"),
                bytes: new(r, "record_bytes", "Bytes of recorded deliveries on disk"),
            },
            reloads: new(r, "policy_reloads", "Times the policy was read again"),
            log_lines_left_out: new(r, "log_lines_left_out", "Lines of the log that nobody read in time"),
            failure_share: new(
                r,
                "failure_share",
                "Answers other than 200 among all answers of the last 15 minutes, from 0 to 1",
            ),
            would_pause: new(
                r,
                "would_pause",
                "1 when Kapso's rule for pausing a webhook is met: 85 % failures, 10 failures, 20 deliveries in 15 minutes",
            ),
            named_events: RwLock::default(),
            windows: Mutex::default(),
            since: Instant::now(),
            registry,
        }
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn record(&self, report: &Report<'_>) {
        let Some(place) = report.place else {
            match &report.story {
                // Before anybody was asked whose path it is.
                Story::Trouble(trouble) => self.undecided(String::new(), trouble),
                _ => drop(self.not_ours.inc()),
            }
            return;
        };
        let source = place.name();
        let labels = SourceLabels { source: source.to_owned() };
        self.seconds.get_or_create(&labels).observe(report.took.as_secs_f64());
        match &report.story {
            Story::NotOurs | Story::Refused(None) => return,
            Story::Refused(Some(reason)) => {
                let labels = RejectionLabels { source: source.to_owned(), reason: reason.name() };
                self.rejections.get_or_create(&labels).inc();
                if matches!(reason, Rejection::WrongMethod | Rejection::WrongVerifyToken) {
                    return; // Kapso sends only POST: this was somebody else.
                }
            }
            Story::Trouble(trouble) => self.undecided(source.to_owned(), trouble),
            Story::Genuine { delivery, result, tries } => self.genuine(labels, delivery, *result, tries),
            Story::Redirect { redirect, relayed } => self.redirect(redirect, *relayed),
        }
        if matches!(place, Place::SetupLink(_)) {
            return; // Browsers come here, not Kapso.
        }
        let failed = report.status != http::StatusCode::OK;
        let now = self.since.elapsed();
        self.windows().entry(source.to_owned()).or_default().record(now, failed);
    }

    fn undecided(&self, source: String, trouble: &Trouble) {
        self.undecided.get_or_create(&RejectionLabels { source, reason: trouble.name() }).inc();
    }

    fn genuine(&self, labels: SourceLabels, genuine: &Deliver, result: DeliveryResult, tries: &[Try]) {
        self.events.get_or_create(&labels).inc_by(genuine.delivery.events.len() as u64);
        if !genuine.delivery.contradictions.is_empty() {
            self.contradictions.get_or_create(&labels).inc();
        }
        if genuine.unreadable.is_some() {
            self.unreadable.get_or_create(&labels).inc();
        }
        let delivery = DeliveryLabels {
            source: labels.source,
            kind: genuine.delivery.kind.name(),
            event: self.event_label(genuine.delivery.name.as_deref(), genuine.delivery.name_origin),
            result: result.name(),
        };
        self.deliveries.get_or_create(&delivery).inc();
        for tried in tries {
            self.tried(tried);
        }
    }

    fn redirect(&self, redirect: &Redirect, relayed: Option<&Relayed>) {
        let labels = RedirectLabels {
            setup_link: redirect.setup_link.clone(),
            outcome: setup_class(&redirect.outcome).to_owned(),
            result: redirect_result(relayed),
        };
        self.redirects.get_or_create(&labels).inc();
        if let Some(Relayed { target, outcome, took }) = relayed {
            self.message(target, outcome, *took);
        }
    }

    fn tried(&self, tried: &Try) {
        match tried.outcome {
            Outcome::Duplicate => {
                let target = TargetLabels { target: tried.target.clone() };
                self.duplicates.get_or_create(&target).inc_by(tried.events.len() as u64);
            }
            _ => self.message(&tried.target, &tried.outcome, tried.took),
        }
    }

    fn message(&self, target: &str, outcome: &Outcome, took: Duration) {
        // What was not sent took no time.
        if !took.is_zero() {
            let labels = TargetLabels { target: target.to_owned() };
            self.target_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        }
        let labels = TargetOutcomeLabels { target: target.to_owned(), outcome: outcome_class(outcome) };
        self.target_messages.get_or_create(&labels).inc();
    }

    /// A name that only an unsigned header says has a label if it is one of Kapso's: nobody else makes labels.
    fn event_label(&self, name: Option<&str>, origin: NameOrigin) -> String {
        let Some(name) = name else {
            return "none".to_owned();
        };
        if catalogue::find(name).is_some() {
            return name.to_owned();
        }
        if origin == NameOrigin::Header {
            return "other".to_owned();
        }
        let name = crate::printable::clean(name);
        let named = |events: &HashSet<String>| events.contains(&name);
        if !named(&self.named_events.read().unwrap_or_else(PoisonError::into_inner)) {
            let mut events = self.named_events.write().unwrap_or_else(PoisonError::into_inner);
            if events.len() >= EVENTS && !named(&events) {
                return "other".to_owned();
            }
            events.insert(name.clone());
        }
        name
    }

    pub(crate) fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }

    pub(crate) fn store_failed(&self, operation: &'static str) {
        self.store_failures.get_or_create(&OperationLabels { operation }).inc();
    }

    /// Everything, in Prometheus' text form.
    pub(crate) fn text(&self, held: Held, instances: usize) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.plugin_instances.set(count(instances));
        self.keys_in_flight.set(count(held.in_flight));
        self.keys_remembered.set(count(held.delivered));
        self.log_lines_left_out.inner().store(super::log::left_out(), Ordering::Relaxed);
        self.weigh(self.since.elapsed());
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn weigh(&self, now: Duration) {
        for (source, window) in self.windows().iter_mut() {
            let standing = window.standing(now);
            let labels = SourceLabels { source: source.clone() };
            self.failure_share.get_or_create(&labels).set(standing.share());
            self.would_pause.get_or_create(&labels).set(i64::from(standing.would_pause()));
        }
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, HashMap<String, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_beyond_the_bound_share_a_label() {
        let metrics = Metrics::new();
        for number in 0..EVENTS {
            let name = format!("event.{number}");
            assert_eq!(metrics.event_label(Some(&name), NameOrigin::Body), name);
        }
        assert_eq!(metrics.event_label(Some("one.more"), NameOrigin::Body), "other");
        assert_eq!(metrics.event_label(Some("event.0"), NameOrigin::Body), "event.0");
        let received = "whatsapp.message.received";
        assert_eq!(metrics.event_label(Some(received), NameOrigin::Body), received, "Kapso's own have theirs always");
        assert_eq!(metrics.event_label(None, NameOrigin::None), "none");
    }

    #[test]
    fn a_header_makes_no_label() {
        let metrics = Metrics::new();
        let received = "whatsapp.message.received";
        assert_eq!(metrics.event_label(Some("unheard.of"), NameOrigin::Header), "other");
        assert_eq!(metrics.event_label(Some(received), NameOrigin::Header), received);
    }
}
