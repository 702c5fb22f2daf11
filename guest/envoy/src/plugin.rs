//! The filter in one VM: plugin configurations (root contexts), requests (their children) and calls.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::by_id::ById;
use crate::callout::Calls;
use crate::exports::Action;
use crate::host::{self, Buffer, Fault, Level, Result};
use crate::policy::Policy;
use crate::stats::Stats;
use crate::stream::{Stream, refuse_for_fault};

/// How often time is looked at, in milliseconds: how late a deadline may be noticed.
const TICK_MS: u32 = 100;

/// All that a VM knows.
pub(crate) struct Plugin {
    roots: ById<Root>,
    streams: ById<Stream>,
    calls: Calls,
    /// Those of all policies that there ever were.
    stats: Option<Rc<Stats>>,
    /// The latest time known, in nanoseconds since 1970.
    time: u64,
}

/// One configuration of the plugin.
#[derive(Default)]
struct Root {
    policy: Option<Rc<Policy>>,
    /// A body has come while its headers were held: `allow_on_headers_stop_iteration` is on.
    switched: bool,
}

impl Plugin {
    pub(crate) const fn new() -> Self {
        Self { roots: ById::new(), streams: ById::new(), calls: ById::new(), stats: None, time: 0 }
    }

    pub(crate) fn create(&mut self, context: u32, root: u32) {
        if root == 0 {
            self.roots.insert(context, Root::default());
        } else if let Some(policy) = self.roots.get(root).and_then(|root| root.policy.as_ref()) {
            self.streams.insert(context, Stream::new(context, root, Rc::clone(policy)));
        }
    }

    /// Puts the plugin's configuration in force; says whether that could be done.
    pub(crate) fn configure(&mut self, root: u32) -> bool {
        let stats = Rc::clone(self.stats.get_or_insert_default());
        match configured(stats) {
            Ok(policy) => {
                let (sources, targets) = (policy.gate.sources().len(), policy.endpoints.len());
                host::log(Level::Info, &format!("hookgate: in force with {sources} sources and {targets} targets"));
                self.roots.insert(root, Root { policy: Some(Rc::new(policy)), switched: false });
                true
            }
            Err(problems) => {
                for problem in problems {
                    host::log(Level::Error, &format!("hookgate: policy refused: {problem}"));
                }
                false
            }
        }
    }

    pub(crate) fn tick(&mut self, root: u32) {
        let now = self.now();
        if let Some(policy) = self.roots.get(root).and_then(|root| root.policy.as_ref()) {
            policy.refusals.tick(now);
        }
        let switched = self.roots.get(root).is_some_and(|root| root.switched);
        let calls = &mut self.calls;
        for stream in self.streams.iter_mut().filter(|stream| stream.root == root) {
            stream.tick(now, switched, calls);
        }
        self.streams.retain(|stream| !stream.is_over());
    }

    pub(crate) fn request_headers(&mut self, id: u32, end: bool) -> Action {
        self.request(id, |stream, calls| stream.request_headers(end, calls))
    }

    pub(crate) fn request_body(&mut self, id: u32, size: usize, end: bool) -> Action {
        self.body_came(id);
        self.request(id, |stream, calls| stream.request_body(size, end, calls))
    }

    pub(crate) fn request_trailers(&mut self, id: u32) -> Action {
        self.body_came(id);
        self.request(id, |stream, calls| stream.request_trailers(calls))
    }

    /// What is not known is not let through.
    fn request(&mut self, id: u32, ask: impl FnOnce(&mut Stream, &mut Calls) -> Action) -> Action {
        match self.streams.get_mut(id) {
            Some(stream) => ask(stream, &mut self.calls),
            None => refuse_for_fault(Fault::nonsense("context")),
        }
    }

    fn body_came(&mut self, id: u32) {
        let reading = self.streams.get(id).filter(|stream| stream.is_reading());
        if let Some(root) = reading.and_then(|stream| self.roots.get_mut(stream.root)) {
            root.switched = true;
        }
    }

    pub(crate) fn response_headers(&mut self, id: u32, end: bool) -> Action {
        let now = self.now_for(id);
        let stream = self.streams.get_mut(id);
        stream.map_or(Action::Continue, |stream| stream.response_headers(end, now, &mut self.calls))
    }

    pub(crate) fn response_body(&mut self, id: u32) -> Action {
        self.streams.get_mut(id).map_or(Action::Continue, Stream::response_body)
    }

    pub(crate) fn response_trailers(&mut self, id: u32) -> Action {
        self.streams.get_mut(id).map_or(Action::Continue, Stream::response_trailers)
    }

    pub(crate) fn call_answered(&mut self, token: u32, has_headers: bool) {
        let Some(call) = self.calls.remove(token) else { return };
        let now = self.now();
        let Some(stream) = self.streams.get_mut(call.stream) else { return };
        stream.call_answered(call.lane, token, now, has_headers, &mut self.calls);
        if stream.is_over() {
            self.streams.remove(call.stream);
        }
    }

    pub(crate) fn delete(&mut self, id: u32) {
        if self.roots.remove(id).is_some() {
            return self.break_calls_off(id);
        }
        let now = self.now_for(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.delete(now, &mut self.calls);
        if stream.is_over() {
            self.streams.remove(id);
        }
    }

    /// Envoy breaks off a root's calls with it, and tells nobody: no answer comes to what only they were still followed for.
    fn break_calls_off(&mut self, root: u32) {
        let now = self.now();
        for stream in self.streams.iter_mut().filter(|stream| stream.root == root) {
            stream.break_calls_off(now);
        }
        self.streams.retain(|stream| !stream.is_over());
        let streams = &self.streams;
        self.calls.retain(|call| streams.get(call.stream).is_some());
    }

    /// The time, if the stream needs it: most requests are not ours, and a call to the host costs as much as all else that is
    /// done about them here.
    fn now_for(&mut self, id: u32) -> u64 {
        if self.streams.get(id).is_some_and(Stream::is_delivering) { self.now() } else { self.time }
    }

    /// The time, or the latest that was known where the host does not say.
    fn now(&mut self) -> u64 {
        if let Ok(time) = host::now() {
            self.time = time;
        }
        self.time
    }
}

/// The policy that the host has for the plugin being configured, and a clock that ticks.
fn configured(stats: Rc<Stats>) -> core::result::Result<Policy, Vec<String>> {
    let asked = |answer: Result<Vec<u8>>| answer.map_err(|fault: Fault| vec![fault.to_string()]);
    let configuration = asked(host::buffer(Buffer::PluginConfiguration, 0, i32::MAX as usize))?;
    let environment = asked(host::environment())?;
    let policy = Policy::read(&configuration, &environment, stats)?;
    host::tick_every(TICK_MS).map_err(|fault| vec![fault.to_string()])?;
    Ok(policy)
}
