//! The component, compiled.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, Instance};

use crate::bindings::{Plugin as Bindings, PluginPre};
use crate::engine::{engine, ticks};
use crate::error::{CallError, CompileError, LoadError};
use crate::gate::Gate;
use crate::limiter::Limiter;
use crate::options::{Instances, Options, Sha256};
use crate::secrets::Secrets;
use crate::sha256::linker;
use crate::slots::Slots;
use crate::snapshot::Camera;

/// The component that comes with this crate.
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hookgate.wasm"));
/// The same, on the host's SHA-256.
static EMBEDDED_ON_HOST_SHA256: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hookgate-host-sha256.wasm"));

/// A plugin, ready to run: the engine and the compiled component. Clones share both.
///
/// Nothing is linked to it but this host's SHA-256, if it asks for that: no WASI, no other function. What it can do is compute.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    component: PluginPre<Limiter>,
    /// Where instances are fresh.
    pub(crate) camera: Option<Camera>,
    pub(crate) options: Options,
    pub(crate) slots: Slots,
}

impl Plugin {
    /// The component that comes with this crate.
    ///
    /// # Errors
    /// Where this machine cannot run it, the options leave it too little memory, or they name a cache directory that cannot be
    /// used.
    pub fn new(options: &Options) -> Result<Self, LoadError> {
        let embedded = match options.sha256 {
            Sha256::Host => EMBEDDED_ON_HOST_SHA256,
            Sha256::Plugin => EMBEDDED,
        };
        Self::from_bytes(embedded, options)
    }

    /// A component in a file.
    ///
    /// # Errors
    /// As [`Plugin::from_bytes`], and where the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>, options: &Options) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| LoadError::Unreadable { path: path.to_owned(), error })?;
        Self::from_bytes(&bytes, options)
    }

    /// A component as bytes, in WebAssembly's binary form.
    ///
    /// # Errors
    /// Where the bytes are not a component of this version's contract, or import anything but the contract's `sha256`; and as
    /// [`Plugin::new`].
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self, LoadError> {
        let not_a_plugin = |error: wasmtime::Error| LoadError::NotAPlugin(format!("{error:#}"));
        let (camera, readable) = match options.instances {
            Instances::Fresh => Camera::new(bytes, options)?.unzip(),
            Instances::Reuse { .. } => (None, None),
        };
        let engine = engine(options)?;
        let component = Component::from_binary(&engine, readable.as_deref().unwrap_or(bytes)).map_err(not_a_plugin)?;
        let component = linker(&engine).and_then(|linker| linker.instantiate_pre(&component)).and_then(PluginPre::new);
        let shared = Shared {
            component: component.map_err(not_a_plugin)?,
            camera,
            slots: Slots::new(options.max_concurrency.get()),
            options: options.clone(),
        };
        // Whether the exports have the contract's types shows when an instance is made.
        shared.instantiate().map_err(|error| match error {
            CallError::Unavailable(reason) => LoadError::Engine(reason),
            CallError::OutOfMemory => LoadError::Engine(
                "the component begins with more memory than memory_per_instance, or with a table larger than is allowed".into(),
            ),
            error => LoadError::NotAPlugin(error.to_string()),
        })?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The names of the secrets that a policy needs, without repetition, in the order of the document.
    ///
    /// # Errors
    /// Everything that is wrong with the policy, as far as it can be said without the secrets; or the plugin failed.
    pub fn secret_names(&self, policy: &str) -> Result<Vec<String>, CompileError> {
        let _slot = self.shared.slots.take();
        let (mut store, _, bindings) = self.shared.instantiate()?;
        let names = bindings.hookgate_kapso_gate().gate().call_secret_names(&mut store, policy);
        names.map_err(CallError::of)?.map_err(CompileError::Policy)
    }

    /// Checks a policy, in JSON, and joins it to the secrets it names. Other secrets are ignored.
    ///
    /// # Errors
    /// Everything that is wrong with the policy, a secret that is missing or empty included; or the plugin failed.
    pub fn compile(&self, policy: &str, secrets: &Secrets) -> Result<Gate, CompileError> {
        Gate::compile(self, policy, secrets)
    }
}

impl Shared {
    /// An empty store, with the time it takes to compile a policy in front of it.
    pub(crate) fn store(&self, component: &PluginPre<Limiter>) -> Store<Limiter> {
        let mut store = Store::new(component.engine(), Limiter::new(self.options.memory_per_instance));
        store.limiter(|limiter| limiter);
        store.set_epoch_deadline(ticks(self.options.time_per_compile));
        store
    }

    /// A new instance that has compiled nothing.
    pub(crate) fn instantiate(&self) -> Result<(Store<Limiter>, Instance, Bindings), CallError> {
        let mut store = self.store(&self.component);
        let instance = self.component.instance_pre().instantiate(&mut store).map_err(CallError::of_instantiation)?;
        let bindings = Bindings::new(&mut store, &instance).map_err(CallError::of)?;
        Ok((store, instance, bindings))
    }
}
