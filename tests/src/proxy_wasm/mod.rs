//! A host for proxy-wasm filters that does as Envoy does (proxy-wasm-cpp-host and Envoy 1.40), but only what it is told to:
//! time stands still until moved, calls are answered when and as the test says, and any host function can be made to fail.

mod exchange;
mod functions;
mod world;

pub use exchange::{Answer, End, Fate, Given, Message, Request, Stop};
pub use world::{Call, Fault, Flaw, Header, Shared, World};

use std::sync::OnceLock;

use wasmtime::{Engine, Instance, Linker, Module, Store, TypedFunc};

/// The context of the plugin's configuration.
pub const ROOT: u32 = 1;

/// A filter in a VM of its own.
pub struct Vm {
    store: Store<World>,
    callbacks: Callbacks,
    next_context: u32,
    stop: Stop,
}

struct Callbacks {
    context_create: TypedFunc<(u32, u32), ()>,
    configure: TypedFunc<(u32, u32), u32>,
    tick: TypedFunc<u32, ()>,
    request_headers: TypedFunc<(u32, u32, u32), u32>,
    request_body: TypedFunc<(u32, u32, u32), u32>,
    request_trailers: TypedFunc<(u32, u32), u32>,
    response_headers: TypedFunc<(u32, u32, u32), u32>,
    response_body: TypedFunc<(u32, u32, u32), u32>,
    response_trailers: TypedFunc<(u32, u32), u32>,
    call_response: TypedFunc<(u32, u32, u32, u32, u32), ()>,
    delete: TypedFunc<u32, ()>,
}

impl Vm {
    /// Loads the built filter and configures it with these bytes. None if it refuses them.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn configured(world: World, configuration: &[u8]) -> Option<Self> {
        let mut vm = Self::loaded(world);
        vm.configure(configuration).then_some(vm)
    }

    /// Loads the built filter.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn loaded(world: World) -> Self {
        let (engine, linker, module) = filter();
        let mut store = Store::new(engine, world);
        let instance = linker.instantiate(&mut store, module).expect("the filter imports what Envoy has");
        let callbacks = Callbacks::of(&instance, &mut store);
        let initialize = instance.get_typed_func::<(), ()>(&mut store, "_initialize").expect("it is initialized");
        initialize.call(&mut store, ()).expect("it initializes");
        Vm { store, callbacks, next_context: ROOT + 1, stop: Stop::Headers }
    }

    /// Configures the plugin; says whether the filter took it.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn configure(&mut self, configuration: &[u8]) -> bool {
        self.store.data_mut().configuration = configuration.to_vec();
        self.store.data_mut().enter(ROOT);
        self.callbacks.context_create.call(&mut self.store, (ROOT, 0)).expect("no trap");
        let size = u32::try_from(configuration.len()).expect("a small configuration");
        self.callbacks.configure.call(&mut self.store, (ROOT, size)).expect("no trap") != 0
    }

    /// What a pause of request headers stops from here on.
    pub fn stop(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// The world around the filter.
    pub fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// Moves time, ticking on the way as often as the filter asked to.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn pass(&mut self, milliseconds: u64) {
        let mut left = milliseconds;
        while left > 0 {
            let period = u64::from(self.world().tick_period);
            let step = if period == 0 { left } else { period.min(left) };
            self.world().time += step * 1_000_000;
            left -= step;
            if period != 0 {
                self.world().enter(ROOT);
                self.callbacks.tick.call(&mut self.store, ROOT).expect("no trap");
                self.settle();
            }
        }
    }

    /// The memory that the filter has, in bytes.
    pub fn memory(&mut self) -> usize {
        self.store.data().memory_size
    }
}

impl Callbacks {
    fn of(instance: &Instance, store: &mut Store<World>) -> Self {
        macro_rules! callback {
            ($name:literal) => {
                instance.get_typed_func(&mut *store, $name).expect($name)
            };
        }
        Callbacks {
            context_create: callback!("proxy_on_context_create"),
            configure: callback!("proxy_on_configure"),
            tick: callback!("proxy_on_tick"),
            request_headers: callback!("proxy_on_request_headers"),
            request_body: callback!("proxy_on_request_body"),
            request_trailers: callback!("proxy_on_request_trailers"),
            response_headers: callback!("proxy_on_response_headers"),
            response_body: callback!("proxy_on_response_body"),
            response_trailers: callback!("proxy_on_response_trailers"),
            call_response: callback!("proxy_on_http_call_response"),
            delete: callback!("proxy_on_delete"),
        }
    }
}

/// The built filter, compiled once for all tests of a program.
fn filter() -> &'static (Engine, Linker<World>, Module) {
    static FILTER: OnceLock<(Engine, Linker<World>, Module)> = OnceLock::new();
    FILTER.get_or_init(|| {
        let engine = Engine::default();
        let module = Module::from_file(&engine, crate::artifact("hookgate-envoy.wasm")).expect("a module");
        let mut linker = Linker::new(&engine);
        functions::define(&mut linker).expect("each name once");
        (engine, linker, module)
    })
}
