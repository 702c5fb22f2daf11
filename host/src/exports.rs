//! What an instance of the plugin exports.

use wasmtime::component::{ComponentNamedList, Instance, Lift, Lower, ResourceAny, TypedFunc};
use wasmtime::{Error, Store};

use crate::bindings::Plugin as Bindings;
use crate::bindings::exports::hookgate::kapso::gate as wit;
use crate::limiter::Limiter;
use crate::types::{
    Admission, Attempt, Decision, MessageOut, ParseError, Parsed, Proof, Refusal, Rejection, Route, Settings,
    Settlement,
};

const GATE: &str = "hookgate:kapso/gate@0.1.0";

/// The functions of a gate. Before they are called, wasmtime compares their types with the contract's.
pub(crate) enum Exports {
    /// All of them were compared when the instance was made.
    Compared(Box<Bindings>),
    /// Each is compared when it is called: of an instance for one call, the others need not be.
    Comparing(Instance),
}

macro_rules! functions {
    ($($name:literal: $call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => { $(
        pub(crate) fn $call(
            &self,
            store: &mut Store<Limiter>,
            gate: ResourceAny,
            $($argument: $type),*
        ) -> wasmtime::Result<$answer> {
            match self {
                Self::Compared(bindings) => bindings.hookgate_kapso_gate().gate().$call(store, gate, $($argument),*),
                Self::Comparing(instance) => {
                    let function: TypedFunc<(ResourceAny, $($type),*), ($answer,)> = function(store, *instance, GATE, $name)?;
                    function.call(store, (gate, $($argument),*)).map(|(answer,)| answer)
                }
            }
        }
    )* };
}

impl Exports {
    functions! {
        "[method]gate.settings": call_settings() -> Settings;
        "[method]gate.admit": call_admit(head: wit::Head<'_>) -> Admission;
        "[method]gate.too-large": call_too_large(head: wit::Head<'_>) -> Refusal;
        "[method]gate.verify": call_verify(request: wit::Request<'_>, now: u64) -> Result<Proof, Rejection>;
        "[method]gate.parse": call_parse(headers: &[wit::HeaderParam<'_>], body: &[u8]) -> Result<Parsed, ParseError>;
        "[method]gate.route": call_route(event: wit::EventParam<'_>, source: Option<&str>) -> Route;
        "[method]gate.decide": call_decide(request: wit::Request<'_>, now: u64) -> Decision;
        "[method]gate.narrow": call_narrow(request: wit::Request<'_>, target: &str, events: &[u32]) -> Vec<MessageOut>;
        "[method]gate.settle": call_settle(attempts: &[Attempt<'_>]) -> Settlement;
    }

    /// The gate that a snapshot of an instance holds.
    pub(crate) fn call_compiled(&self, store: &mut Store<Limiter>) -> wasmtime::Result<Option<ResourceAny>> {
        match self {
            Self::Compared(bindings) => bindings.hookgate_kapso_gate().gate().call_compiled(store),
            Self::Comparing(instance) => {
                let function: TypedFunc<(), (Option<ResourceAny>,)> =
                    function(store, *instance, GATE, "[static]gate.compiled")?;
                function.call(store, ()).map(|(gate,)| gate)
            }
        }
    }
}

/// A function of one of an instance's interfaces, its type compared.
pub(crate) fn function<P, R>(
    store: &mut Store<Limiter>,
    instance: Instance,
    interface: &str,
    name: &str,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let missing = || Error::msg(format!("the instance has no {interface}#{name}"));
    let (_, interface) = instance.get_export(&mut *store, None, interface).ok_or_else(missing)?;
    let (_, function) = instance.get_export(&mut *store, Some(&interface), name).ok_or_else(missing)?;
    instance.get_typed_func(store, function)
}
