//! One instance of the plugin, holding one compiled policy.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance as Component, ResourceAny};

use crate::bindings::PluginPre;
use crate::bindings::exports::hookgate::kapso::gate::Secret;
use crate::engine::ticks;
use crate::error::{CallError, CompileError};
use crate::exports::Exports;
use crate::limiter::Limiter;
use crate::plugin::Shared;
use crate::secrets::Secrets;
use crate::snapshot::Camera;

pub(crate) struct Instance {
    store: Store<Limiter>,
    exports: Exports,
    gate: ResourceAny,
    calls: u64,
    _census: Arc<()>,
}

impl Instance {
    /// Compiles the policy. Also gives the component's instance, which a snapshot is taken of.
    pub(crate) fn compile(
        plugin: &Shared,
        policy: &str,
        secrets: &Secrets,
        census: &Arc<()>,
    ) -> Result<(Self, Component), CompileError> {
        let census = Arc::clone(census);
        let (mut store, component, bindings) = plugin.instantiate()?;
        let secrets: Vec<_> = secrets.iter().map(|(name, value)| Secret { name, value }).collect();
        let gate = bindings.hookgate_kapso_gate().gate().call_compile(&mut store, policy, &secrets);
        let gate = gate.map_err(CallError::of)?.map_err(CompileError::Policy)?;
        let exports = Exports::Compared(Box::new(bindings));
        Ok((Self { store, exports, gate, calls: 0, _census: census }, component))
    }

    /// Begins where the snapshot was taken, with the policy compiled.
    pub(crate) fn of(plugin: &Shared, snapshot: &PluginPre<Limiter>, census: &Arc<()>) -> Result<Self, CallError> {
        let census = Arc::clone(census);
        let mut store = plugin.store(snapshot);
        let component = snapshot.instance_pre().instantiate(&mut store).map_err(CallError::of_instantiation)?;
        let exports = Exports::Comparing(component);
        let gate = exports.call_compiled(&mut store).map_err(CallError::of)?;
        let gate = gate.ok_or_else(|| CallError::Trapped("it has lost the policy that it compiled".into()))?;
        Ok(Self { store, exports, gate, calls: 0, _census: census })
    }

    /// What to make further instances from that have compiled this policy too. `component` came with this instance.
    pub(crate) fn snapshot(
        mut self,
        component: Component,
        plugin: &Shared,
        camera: &Camera,
    ) -> Result<PluginPre<Limiter>, CallError> {
        self.store.set_epoch_deadline(ticks(plugin.options.time_per_compile));
        // A memory is read whole, and the limiter bounds it.
        self.store.set_hostcall_fuel(usize::MAX);
        camera.take(&mut self.store, component).map_err(CallError::of)
    }

    /// How many calls it has served.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// After an error the instance must not be used again.
    pub(crate) fn call<R>(
        &mut self,
        plugin: &Shared,
        call: impl FnOnce(&Exports, &mut Store<Limiter>, ResourceAny) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        self.calls += 1;
        self.store.set_epoch_deadline(ticks(plugin.options.time_per_call));
        call(&self.exports, &mut self.store, self.gate).map_err(CallError::of)
    }
}
