//! The component as it is when it has compiled a policy. An instance made from that has nothing left to compile.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{Component, Instance, Lift, TypedFunc, WasmList};
use wasmtime::{Engine, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};
use zeroize::Zeroizing;

use crate::bindings::PluginPre;
use crate::engine::engine;
use crate::error::LoadError;
use crate::exports;
use crate::limiter::Limiter;
use crate::options::{Cache, Options};
use crate::sha256::linker;

/// Takes snapshots of instances of one component.
pub(crate) struct Camera {
    component: Vec<u8>,
    /// Not the one that the component came from: it keeps nothing on disk, because a snapshot holds secrets.
    engine: Engine,
}

impl Camera {
    /// For instances of `component`, with the component to make them from: the same, but its state can be read. None where it
    /// has state that cannot: nested components, tables that change.
    pub(crate) fn new(component: &[u8], options: &Options) -> Result<Option<(Self, Vec<u8>)>, LoadError> {
        let Ok((_, readable)) = Wizer::new().instrument_component(component) else { return Ok(None) };
        let engine = engine(&Options { cache: Cache::Off, ..options.clone() })?;
        Ok(Some((Self { component: component.to_owned(), engine }, readable)))
    }

    /// What `instance` is now. The instance must not be used again.
    pub(crate) fn take(&self, store: &mut Store<Limiter>, instance: Instance) -> wasmtime::Result<PluginPre<Limiter>> {
        let wizer = Wizer::new();
        let (context, _) = wizer.instrument_component(&self.component)?;
        let mut subject = Subject { store, instance, memories: HashMap::new(), failure: None };
        let component = now(wizer.snapshot_component(&context, &mut subject))?.map(Zeroizing::new)?;
        if let Some(failure) = subject.failure {
            return Err(failure);
        }
        let component = Component::from_binary(&self.engine, &component)?;
        PluginPre::new(linker(&self.engine)?.instantiate_pre(&component)?)
    }
}

/// An instance whose state is read.
struct Subject<'a> {
    store: &'a mut Store<Limiter>,
    instance: Instance,
    /// What was read first, by the function that gives it, empty where that failed. Wizer asks twice, and the function makes the
    /// memory a page larger each time.
    memories: HashMap<String, Zeroizing<Vec<u8>>>,
    failure: Option<wasmtime::Error>,
}

impl Subject<'_> {
    fn read<R: Lift + 'static, T: Default>(
        &mut self,
        interface: &str,
        function: &str,
        see: impl FnOnce(&Store<Limiter>, R) -> T,
    ) -> T {
        match self.call(interface, function) {
            Ok(result) => see(self.store, result),
            Err(error) => {
                self.failure.get_or_insert(error);
                T::default()
            }
        }
    }

    fn call<R: Lift + 'static>(&mut self, interface: &str, function: &str) -> wasmtime::Result<R> {
        let function: TypedFunc<(), (R,)> = exports::function(self.store, self.instance, interface, function)?;
        function.call(&mut *self.store, ()).map(|(result,)| result)
    }
}

impl ComponentInstanceState for Subject<'_> {
    async fn call_func_ret_list_u8(&mut self, interface: &str, function: &str, see: impl FnOnce(&[u8]) + Send) {
        let memory = self.memories.remove(function).unwrap_or_else(|| {
            self.read(interface, function, |store, list: WasmList<u8>| Zeroizing::new(list.as_le_slice(store).to_vec()))
        });
        see(&memory);
        self.memories.insert(function.to_owned(), memory);
    }

    async fn call_func_ret_s32(&mut self, interface: &str, function: &str) -> i32 {
        self.read(interface, function, |_, value| value)
    }

    async fn call_func_ret_s64(&mut self, interface: &str, function: &str) -> i64 {
        self.read(interface, function, |_, value| value)
    }

    async fn call_func_ret_f32(&mut self, interface: &str, function: &str) -> u32 {
        self.read(interface, function, |_, value: f32| value.to_bits())
    }

    async fn call_func_ret_f64(&mut self, interface: &str, function: &str) -> u64 {
        self.read(interface, function, |_, value: f64| value.to_bits())
    }
}

/// The result of a future that waits for nothing.
fn now<F: Future>(future: F) -> wasmtime::Result<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(wasmtime::Error::msg("reading the instance waits for something")),
    }
}
