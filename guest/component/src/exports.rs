//! The functions of `hookgate:kapso/gate`, flattened as the canonical ABI has them: arguments one by one, the answer as the
//! place where it stands, which stays until the host calls the function's `cabi_post_`.
#![allow(unsafe_code)] // The names that the contract prescribes, and a gate by its address, which the host keeps valid.

use ::core::ptr::null_mut;
use ::core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::answer::{Admission, Handle, Settings};
use crate::core;
use crate::layout::Place;
use crate::lift::{self, Named, Run};
use crate::lower::Lower;
use crate::memory;

/// Functions of the gate, each with what it is called in the contract and what the host calls when it has read the answer.
macro_rules! exports {
    ($(
        #[$function:literal, $post:literal]
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $answer:ty $body:block
    )*) => {
        $(
            #[unsafe(export_name = $function)]
            extern "C" fn $name($($argument: $type),*) -> Place {
                let answer: $answer = $body;
                self::answer(answer)
            }
        )*

        $(
            const _: () = {
                #[unsafe(export_name = $post)]
                extern "C" fn end(_: Place) {
                    memory::end();
                }
            };
        )*

        /// What each function answers, in the contract's words.
        #[cfg(test)]
        pub(crate) fn answers(types: &mut crate::shape::Types) -> Vec<(&'static str, String)> {
            Vec::from([$(($function, <$answer>::shape(types))),*])
        }
    };
}

exports! {
    #[
        "hookgate:kapso/gate@0.1.0#[static]gate.secret-names",
        "cabi_post_hookgate:kapso/gate@0.1.0#[static]gate.secret-names"
    ]
    fn secret_names(policy: *const u8, policy_len: usize) -> Result<Vec<String>, Vec<core::PolicyError>> {
        core::Gate::secret_names(Run::new(policy, policy_len).text())
    }

    #[
        "hookgate:kapso/gate@0.1.0#[static]gate.compile",
        "cabi_post_hookgate:kapso/gate@0.1.0#[static]gate.compile"
    ]
    fn compile(
        policy: *const u8,
        policy_len: usize,
        secrets: *const Named,
        secrets_len: usize,
    ) -> Result<Handle, Vec<core::PolicyError>> {
        memory::wipe_at_end();
        let policy = Run::new(policy, policy_len).text();
        let secrets = lift::secrets(Run::new(secrets, secrets_len));
        let compiled = memory::lasting(|| core::Gate::compile(policy, &secrets).map(Rc::new));
        match compiled {
            Ok(gate) => {
                let gate = Rc::into_raw(gate).cast_mut();
                LAST.store(gate, Relaxed);
                Ok(Handle(new(gate)))
            }
            Err(errors) => {
                let answer = errors.clone();
                memory::lasting(|| drop(errors));
                Err(answer)
            }
        }
    }

    #[
        "hookgate:kapso/gate@0.1.0#[static]gate.compiled",
        "cabi_post_hookgate:kapso/gate@0.1.0#[static]gate.compiled"
    ]
    fn compiled() -> Option<Handle> {
        let gate = LAST.load(Relaxed);
        (!gate.is_null()).then(|| {
            unsafe { Rc::increment_strong_count(gate.cast_const()) };
            Handle(new(gate))
        })
    }

    #[
        "hookgate:kapso/gate@0.1.0#[method]gate.settings",
        "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.settings"
    ]
    fn settings(gate: &'static core::Gate) -> Settings<'static> {
        Settings::of(gate)
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.admit", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.admit"]
    fn admit(
        gate: &'static core::Gate,
        method: *const u8,
        method_len: usize,
        path: *const u8,
        path_len: usize,
        headers: *const Named,
        headers_len: usize,
    ) -> Admission<'static> {
        let headers = lift::headers(Run::new(headers, headers_len));
        match gate.admit(&head(Run::new(method, method_len), Run::new(path, path_len), &headers)) {
            core::Admission::NotOurs => Admission::NotOurs,
            core::Admission::Respond(refusal) => Admission::Respond(refusal),
            core::Admission::Read(_) => Admission::Read(gate.limits().body_bytes.into()),
            core::Admission::Redirect(_) => Admission::Redirect,
        }
    }

    #[
        "hookgate:kapso/gate@0.1.0#[method]gate.too-large",
        "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.too-large"
    ]
    fn too_large(
        gate: &'static core::Gate,
        method: *const u8,
        method_len: usize,
        path: *const u8,
        path_len: usize,
        headers: *const Named,
        headers_len: usize,
    ) -> core::Refusal<'static> {
        let headers = lift::headers(Run::new(headers, headers_len));
        gate.too_large(&head(Run::new(method, method_len), Run::new(path, path_len), &headers))
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.verify", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.verify"]
    fn verify(
        gate: &'static core::Gate,
        method: *const u8,
        method_len: usize,
        path: *const u8,
        path_len: usize,
        headers: *const Named,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        now: u64,
    ) -> Result<core::Proof<'static>, core::Rejection> {
        let headers = lift::headers(Run::new(headers, headers_len)).leak();
        let head = head(Run::new(method, method_len), Run::new(path, path_len), headers);
        gate.verify(&core::Request { head, body: Run::new(body, body_len).list() }, now)
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.parse", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.parse"]
    fn parse(
        gate: &'static core::Gate,
        headers: *const Named,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
    ) -> Result<core::detail::Parsed<'static>, core::ParseError> {
        gate.parse(&lift::headers(Run::new(headers, headers_len)), Run::new(body, body_len).list())
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.route", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.route"]
    fn route(parameters: Place) -> core::Route<'static> {
        let (gate, event, source) = lift::route(parameters);
        gate.route(&event, source)
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.decide", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.decide"]
    fn decide(
        gate: &'static core::Gate,
        method: *const u8,
        method_len: usize,
        path: *const u8,
        path_len: usize,
        headers: *const Named,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        now: u64,
    ) -> core::Decision<'static> {
        let headers = lift::headers(Run::new(headers, headers_len)).leak();
        let head = head(Run::new(method, method_len), Run::new(path, path_len), headers);
        gate.decide(&core::Request { head, body: Run::new(body, body_len).list() }, now)
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.narrow", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.narrow"]
    fn narrow(
        gate: &'static core::Gate,
        method: *const u8,
        method_len: usize,
        path: *const u8,
        path_len: usize,
        headers: *const Named,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        target: *const u8,
        target_len: usize,
        events: *const u32,
        events_len: usize,
    ) -> Vec<core::Message> {
        let headers = lift::headers(Run::new(headers, headers_len));
        let head = head(Run::new(method, method_len), Run::new(path, path_len), &headers);
        let request = core::Request { head, body: Run::new(body, body_len).list() };
        let events = lift::indices(Run::new(events, events_len));
        gate.narrow(&request, &gate.contents(&request), Run::new(target, target_len).text(), &events)
    }

    #["hookgate:kapso/gate@0.1.0#[method]gate.settle", "cabi_post_hookgate:kapso/gate@0.1.0#[method]gate.settle"]
    fn settle(
        gate: &'static core::Gate,
        attempts: *const lift::Attempt,
        attempts_len: usize,
    ) -> core::Settlement {
        gate.settle(&lift::attempts(Run::new(attempts, attempts_len)))
    }
}

/// The gate that was compiled last, as long as the host holds it.
static LAST: AtomicPtr<core::Gate> = AtomicPtr::new(null_mut());

fn head<'a>(method: Run<u8>, path: Run<u8>, headers: &'a [core::Header<'a>]) -> core::Head<'a> {
    core::Head { method: method.text(), path: path.text(), headers }
}

/// Puts an answer where the host will read it. It is never dropped: it ends with the call.
fn answer<A: Lower>(answer: A) -> Place {
    let place = Place::new(memory::room(A::LAYOUT.size, A::LAYOUT.align));
    answer.lower(place);
    ::core::mem::forget(answer);
    place
}

/// The host's number for a new gate.
fn new(gate: *mut core::Gate) -> u32 {
    #[cfg(target_family = "wasm")]
    #[link(wasm_import_module = "[export]hookgate:kapso/gate@0.1.0")]
    unsafe extern "C" {
        #[link_name = "[resource-new]gate"]
        fn resource_new(gate: usize) -> u32;
    }
    #[cfg(not(target_family = "wasm"))]
    unsafe extern "C" fn resource_new(_: usize) -> u32 {
        0
    }
    unsafe { resource_new(gate.expose_provenance()) }
}

#[unsafe(export_name = "hookgate:kapso/gate@0.1.0#[dtor]gate")]
extern "C" fn drop_gate(gate: *mut core::Gate) {
    let held = unsafe { Rc::from_raw(gate.cast_const()) };
    if Rc::strong_count(&held) == 1 && LAST.load(Relaxed) == gate {
        LAST.store(null_mut(), Relaxed);
    }
    memory::lasting(|| drop(held));
}

#[unsafe(export_name = "cabi_realloc")]
extern "C" fn realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    memory::grow(old, old_size, align, size)
}
