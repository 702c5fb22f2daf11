//! What is around a filter: time, memory that VMs share, statistics, calls, and the streams that go through it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// A header field.
pub type Header = (Vec<u8>, Vec<u8>);

/// A value and its version, by key.
type Cells = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// proxy-wasm-cpp-host's `SharedData`, to be given to several VMs.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<(Cells, u32)>>);

impl Shared {
    pub(super) fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.0.lock().expect("nobody panicked").0.get(key).cloned()
    }

    /// Whether it was set: a number other than 0 must be the value's, if there is a value.
    pub(super) fn set(&self, key: &[u8], value: &[u8], cas: u32) -> bool {
        let mut data = self.0.lock().expect("nobody panicked");
        if data.0.get(key).is_some_and(|(_, number)| cas != 0 && cas != *number) {
            return false;
        }
        data.1 += 1;
        let number = data.1;
        data.0.insert(key.to_vec(), (value.to_vec(), number));
        true
    }

    /// How many keys there are, and how many bytes their values have. There is no way to remove one.
    ///
    /// # Panics
    /// When a VM panicked.
    pub fn size(&self) -> (usize, usize) {
        let data = self.0.lock().expect("nobody panicked");
        (data.0.len(), data.0.values().map(|(value, _)| value.len()).sum())
    }
}

/// A call of the filter's that has not been answered.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) token: u32,
    /// The cluster.
    pub cluster: String,
    /// Its header fields, pseudo-headers among them.
    pub headers: Vec<Header>,
    /// Its body.
    pub body: Vec<u8>,
    /// In milliseconds.
    pub timeout: u32,
}

impl Call {
    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.iter().find(|(other, _)| other == name.as_bytes()).map(|(_, value)| value)?;
        std::str::from_utf8(value).ok()
    }
}

/// Something that a host function does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It returns this status and does nothing.
    Status(u32),
    /// It returns "ok" and does nothing.
    Nothing,
    /// It returns "ok" and gives a pointer and a size that nobody asked memory for.
    WildPointer,
}

/// Which host function does something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The nth from here on, counted from 0, whichever it is.
    Nth(usize, Flaw),
    /// Each of this name.
    Each(&'static str, Flaw),
}

/// The world around a VM.
#[derive(Default)]
pub struct World {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The VM's environment.
    pub environment: Vec<(String, String)>,
    /// What VMs share.
    pub shared: Shared,
    /// What was logged: level and line.
    pub logs: Vec<(u32, String)>,
    /// Calls that have not been answered, in the order made.
    pub calls: VecDeque<Call>,
    /// Clusters that there are none of.
    pub missing_clusters: Vec<String>,
    /// Something that goes wrong.
    pub fault: Option<Fault>,
    /// How many host functions have been called.
    pub called: usize,
    /// Callbacks have come in an order that no host has.
    pub out_of_turn: bool,
    /// How many bytes of buffers were asked for.
    pub fetched: usize,
    /// In milliseconds; 0 for none.
    pub tick_period: u32,
    pub(super) configuration: Vec<u8>,
    pub(super) metrics: BTreeMap<String, u64>,
    pub(super) metric_names: Vec<String>,
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) answered: Option<(Vec<Header>, Vec<u8>)>,
    pub(super) memory_size: usize,
    next_token: u32,
    context: u32,
    effective: u32,
}

impl World {
    /// In 2026, with these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let environment = secrets.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        World { time: 1_790_000_000_000_000_000, environment, next_token: 1, ..World::default() }
    }

    /// A metric's value: a counter's count, or how often a histogram was recorded.
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics.get(name).copied().unwrap_or_default()
    }

    /// The names of all metrics.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(String::as_str)
    }

    /// Everything logged, in lines.
    pub fn log(&self) -> String {
        self.logs.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// A callback about this context begins.
    pub(super) fn enter(&mut self, context: u32) {
        (self.context, self.effective) = (context, 0);
    }

    pub(super) fn act_for(&mut self, context: u32) -> bool {
        let known = context == super::ROOT || self.streams.contains_key(&context);
        if known {
            self.effective = context;
        }
        known
    }

    /// The stream that host functions are about.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        let context = if self.effective != 0 { self.effective } else { self.context };
        self.streams.get_mut(&context)
    }

    pub(super) fn flaw(&mut self, name: &str) -> Option<Flaw> {
        let number = self.called;
        self.called += 1;
        match self.fault? {
            Fault::Nth(nth, flaw) => (nth == number).then_some(flaw),
            Fault::Each(each, flaw) => (each == name).then_some(flaw),
        }
    }

    pub(super) fn new_call(&mut self, cluster: String, headers: Vec<Header>, body: Vec<u8>, timeout: u32) -> u32 {
        let token = self.next_token;
        self.next_token += 1;
        self.calls.push_back(Call { token, cluster, headers, body, timeout });
        token
    }

    /// How often a metric was defined: Envoy keeps each definition as long as the VM lives, those of one name too.
    pub fn definitions(&self) -> usize {
        self.metric_names.len()
    }

    pub(super) fn define_metric(&mut self, name: String) -> u32 {
        self.metrics.entry(name.clone()).or_default();
        self.metric_names.push(name);
        u32::try_from(self.metric_names.len() - 1).expect("few metrics")
    }

    pub(super) fn count(&mut self, metric: u32) -> bool {
        let name = usize::try_from(metric).ok().and_then(|metric| self.metric_names.get(metric));
        name.and_then(|name| self.metrics.get_mut(name)).map(|value| *value += 1).is_some()
    }
}

/// One request and its response, as far as the host knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// None where the filter may not touch them.
    pub request_headers: Option<Vec<Header>>,
    pub request_body: Option<Vec<u8>>,
    pub request_trailers: Option<Vec<Header>>,
    pub response_headers: Option<Vec<Header>>,
    pub response_body: Option<Vec<u8>>,
    pub response_trailers: Option<Vec<Header>>,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// An answer that the filter gave.
    pub local: Option<Local>,
    pub route_cleared: bool,
    pub resumed_response: bool,
    pub closed: bool,
    /// A response is on its way, or has been sent.
    pub responding: bool,
    /// What has gone out of a response's body.
    pub response_out: Vec<u8>,
    /// What went on.
    pub passed: Option<super::Message>,
    /// What the sender got.
    pub answer: Option<super::Answer>,
}

/// An answer that the filter gave.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub status: u32,
    pub details: Vec<u8>,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}
