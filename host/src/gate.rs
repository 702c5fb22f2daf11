//! A compiled policy.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use crate::bindings::PluginPre;
use crate::bindings::exports::hookgate::kapso::gate::Request as RequestParam;
use crate::error::{CallError, CompileError};
use crate::exports::Exports;
use crate::instance::Instance;
use crate::limiter::Limiter;
use crate::lower;
use crate::options::{Instances, Options};
use crate::plugin::{Plugin, Shared};
use crate::secrets::Secrets;
use crate::settled::Settled;
use crate::types::{
    Admission, Attempt, Decision, Event, Head, Header, MessageOut, ParseError, Parsed, Proof, Refusal, Rejection,
    Request, Route, Settings, Settlement,
};

/// A policy, checked and joined to its secrets. Clones share it; calls may come from any number of threads.
///
/// Calls are short (microseconds for a message, milliseconds for a body of megabytes) and do not wait for anything but a
/// free instance.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Compiled>,
}

struct Compiled {
    plugin: Arc<Shared>,
    origin: Origin,
    settings: Settings,
    settled: Settled,
    idle: Mutex<Vec<Instance>>,
    /// Held by who makes an instance in advance.
    warming: Mutex<()>,
    /// Held by each instance from when it begins to be made, so that they can be counted.
    census: Arc<()>,
}

/// What instances are made from.
enum Origin {
    Policy(String, Secrets),
    Snapshot(PluginPre<Limiter>),
}

impl Gate {
    pub(crate) fn compile(plugin: &Plugin, policy: &str, secrets: &Secrets) -> Result<Self, CompileError> {
        let plugin = &plugin.shared;
        let _slot = plugin.slots.take();
        let census = Arc::new(());
        let (mut instance, component) = Instance::compile(plugin, policy, secrets, &census)?;
        let settings = instance.call(plugin, |gate, store, this| gate.call_settings(store, this))?;
        let (origin, idle) = match &plugin.camera {
            Some(camera) => (Origin::Snapshot(instance.snapshot(component, plugin, camera)?), vec![]),
            None => {
                // Where instances are fresh there is room for those that serve a call, and for none that waits.
                let waits = plugin.options.instances != Instances::Fresh;
                (Origin::Policy(policy.to_owned(), secrets.clone()), waits.then_some(instance).into_iter().collect())
            }
        };
        let (plugin, idle) = (Arc::clone(plugin), Mutex::new(idle));
        let (settled, warming) = (Settled::default(), Mutex::default());
        let compiled = Compiled { plugin, origin, settings, settled, idle, warming, census };
        Ok(Self { shared: Arc::new(compiled) })
    }

    /// What of the policy is needed to carry decisions out.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Creates one more instance in advance and returns whether it did. It never creates more than the maximum number
    /// of concurrent calls, and none if instances are fresh. A call that finds no free instance must first compile the
    /// policy in a new one, which takes tenths of a second with ten thousand tenants; `while gate.warm()? {}` avoids
    /// that for all calls.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn warm(&self) -> Result<bool, CallError> {
        let shared = &self.shared;
        let Options { instances, max_concurrency, .. } = shared.plugin.options;
        if instances == Instances::Fresh || self.instances() >= max_concurrency.get() {
            return Ok(false);
        }
        let _turn = shared.warming.lock().unwrap_or_else(PoisonError::into_inner);
        let _slot = shared.plugin.slots.take();
        // A call or another thread may have made one meanwhile.
        if self.instances() >= max_concurrency.get() {
            return Ok(false);
        }
        shared.give_back(shared.new_instance()?);
        Ok(true)
    }

    /// How many instances there are now, idle, serving a call or being made.
    pub fn instances(&self) -> usize {
        Arc::strong_count(&self.shared.census) - 1
    }

    /// What can be said before the body is read. May be left out by who reads bodies under a limit of their own:
    /// [`Gate::decide`] says it again.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn admit(&self, head: &Head<'_>) -> Result<Admission, CallError> {
        let headers = lower::headers(head.headers);
        let head = lower::head(head, &headers);
        self.shared.call(|gate, store, this| gate.call_admit(store, this, head))
    }

    /// The answer for a body that is longer than [`Gate::admit`] allowed.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn too_large(&self, head: &Head<'_>) -> Result<Refusal, CallError> {
        let headers = lower::headers(head.headers);
        let head = lower::head(head, &headers);
        self.shared.call(|gate, store, this| gate.call_too_large(store, this, head))
    }

    /// Is this request genuine, as of `now` (Unix seconds)? Says which source and which secret, by name.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn verify(&self, request: &Request<'_>, now: u64) -> Result<Result<Proof, Rejection>, CallError> {
        self.request(request, |gate, store, this, request| gate.call_verify(store, this, request, now))
    }

    /// What does it say? Answers for forged requests too: [`Gate::verify`] first.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn parse(&self, headers: &[Header<'_>], body: &[u8]) -> Result<Result<Parsed, ParseError>, CallError> {
        let headers = lower::headers(headers);
        self.shared.call(|gate, store, this| gate.call_parse(store, this, &headers, body))
    }

    /// Which targets get this event, and which rule said so? `source` is the name of the source it came by, if any.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn route(&self, event: &Event, source: Option<&str>) -> Result<Route, CallError> {
        let event = lower::event(event);
        self.shared.call(|gate, store, this| gate.call_route(store, this, event, source))
    }

    /// The three as one answer, as of `now` (Unix seconds), in one pass over the body. Never delivers what
    /// [`Gate::verify`] rejects.
    ///
    /// # Errors
    /// The plugin failed: answer 500 and forward nothing.
    pub fn decide(&self, request: &Request<'_>, now: u64) -> Result<Decision, CallError> {
        self.request(request, |gate, store, this, request| gate.call_decide(store, this, request, now))
    }

    /// The messages for a target when only some of its events are still to be delivered. `events` is a part of what
    /// [`Gate::decide`] said for that target and this request; indices that the delivery does not have are left out.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn narrow(&self, request: &Request<'_>, target: &str, events: &[u32]) -> Result<Vec<MessageOut>, CallError> {
        self.request(request, |gate, store, this, request| gate.call_narrow(store, this, request, target, events))
    }

    /// What to answer the sender when every message has been tried. The plugin is asked once, and what it said is given again
    /// for the same attempts.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn settle(&self, attempts: &[Attempt<'_>]) -> Result<Settlement, CallError> {
        if let Some(settlement) = self.shared.settled.get(attempts) {
            return Ok(settlement);
        }
        let settlement = self.shared.call(|gate, store, this| gate.call_settle(store, this, attempts))?;
        self.shared.settled.keep(attempts, &settlement);
        Ok(settlement)
    }

    fn request<R>(
        &self,
        request: &Request<'_>,
        call: impl FnOnce(&Exports, &mut Store<Limiter>, ResourceAny, RequestParam<'_>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let headers = lower::headers(request.head.headers);
        let request = RequestParam { head: lower::head(&request.head, &headers), body: request.body };
        self.shared.call(|gate, store, this| call(gate, store, this, request))
    }
}

impl Compiled {
    fn call<R>(
        &self,
        call: impl FnOnce(&Exports, &mut Store<Limiter>, ResourceAny) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let _slot = self.plugin.slots.take();
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            None => self.new_instance()?,
        };
        let result = instance.call(&self.plugin, call)?;
        self.give_back(instance);
        Ok(result)
    }

    fn take_idle(&self) -> Option<Instance> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn new_instance(&self) -> Result<Instance, CallError> {
        let compiled = match &self.origin {
            Origin::Snapshot(snapshot) => return Instance::of(&self.plugin, snapshot, &self.census),
            Origin::Policy(policy, secrets) => Instance::compile(&self.plugin, policy, secrets, &self.census),
        };
        compiled.map(|(instance, _)| instance).map_err(|error| match error {
            CompileError::Call(error) => error,
            CompileError::Policy(_) => CallError::Trapped("it refuses a policy that it took before".into()),
        })
    }

    fn give_back(&self, instance: Instance) {
        match self.plugin.options.instances {
            Instances::Reuse { max_calls } if instance.calls() < max_calls.get() => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
            }
            _ => drop(instance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Outcome, Verdict};

    #[test]
    fn the_plugin_is_asked_once_about_the_same_attempts() {
        let policy = r#"{
            "sources": [{"name": "one", "path": "/one", "secrets": ["ONE"]}],
            "targets": {"bot": {"url": "http://127.0.0.1:3000/"}}
        }"#;
        let gate = Plugin::new(&Options::default()).unwrap().compile(policy, &Secrets::from([("ONE", "1")])).unwrap();
        let refused = [Attempt { target: "bot", outcome: Outcome::Answered(500) }];
        let said = gate.settle(&refused).unwrap();
        assert_eq!((said.response.status, said.verdicts.as_slice()), (502, &[Verdict::Failed][..]));
        assert_eq!(gate.shared.settled.get(&refused).as_ref(), Some(&said));
        // What the plugin would never say of these shows that it was not asked.
        let taken = [Attempt { target: "bot", outcome: Outcome::Answered(200) }];
        gate.shared.settled.keep(&taken, &said);
        assert_eq!(gate.settle(&taken).unwrap(), said);
    }
}
