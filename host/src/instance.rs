//! One instance of the plugin, holding one compiled policy.

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use crate::bindings::Plugin as Bindings;
use crate::bindings::exports::hookgate::kapso::gate::{GuestGate, Secret};
use crate::engine::ticks;
use crate::error::{CallError, CompileError};
use crate::limiter::Limiter;
use crate::plugin::Shared;
use crate::secrets::Secrets;

pub(crate) struct Instance {
    store: Store<Limiter>,
    bindings: Bindings,
    gate: ResourceAny,
    calls: u64,
}

impl Instance {
    pub(crate) fn new(plugin: &Shared, policy: &str, secrets: &Secrets) -> Result<Self, CompileError> {
        let (mut store, bindings) = plugin.instantiate()?;
        let secrets: Vec<_> = secrets.iter().map(|(name, value)| Secret { name, value }).collect();
        let gate = bindings.hookgate_kapso_gate().gate().call_compile(&mut store, policy, &secrets);
        let gate = gate.map_err(CallError::of)?.map_err(CompileError::Policy)?;
        Ok(Self { store, bindings, gate, calls: 0 })
    }

    /// How many calls it has served.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// After an error the instance must not be used again.
    pub(crate) fn call<R>(
        &mut self,
        plugin: &Shared,
        call: impl FnOnce(GuestGate<'_>, &mut Store<Limiter>, ResourceAny) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        self.calls += 1;
        self.store.set_epoch_deadline(ticks(plugin.options.time_per_call));
        call(self.bindings.hookgate_kapso_gate().gate(), &mut self.store, self.gate).map_err(CallError::of)
    }
}
