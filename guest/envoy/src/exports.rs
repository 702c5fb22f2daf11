//! What the host calls. Callbacks that the filter does not need are not here: each costs a request a crossing into the VM.
#![allow(unsafe_code)] // Only to give functions the names that proxy-wasm prescribes.

use crate::global::global;
use crate::host;
use crate::plugin::Plugin;

global! {
    static PLUGIN: Plugin = Plugin::new();
}

/// What a callback tells the host to do with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go on.
    Continue,
    /// Hold it.
    Pause,
}

/// Asks the plugin; `otherwise` is for a host that calls it while it is being called.
fn plugin<T>(otherwise: T, ask: impl FnOnce(&mut Plugin) -> T) -> T {
    PLUGIN.with(|plugin| match plugin.try_borrow_mut() {
        Ok(mut plugin) => ask(&mut plugin),
        Err(_) => otherwise,
    })
}

fn act(ask: impl FnOnce(&mut Plugin) -> Action) -> u32 {
    match plugin(Action::Pause, ask) {
        Action::Continue => 0,
        Action::Pause => 1,
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    plugin((), |plugin| plugin.create(context, root));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, _size: usize) -> u32 {
    plugin(false, |plugin| plugin.configure(root)).into()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    plugin((), |plugin| plugin.tick(root));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: u32, end: u32) -> u32 {
    act(|plugin| plugin.request_headers(context, end != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    act(|plugin| plugin.request_body(context, size, end != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: u32) -> u32 {
    act(|plugin| plugin.request_trailers(context))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: u32, end: u32) -> u32 {
    act(|plugin| plugin.response_headers(context, end != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, _size: usize, _end: u32) -> u32 {
    act(|plugin| plugin.response_body(context))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, _count: u32) -> u32 {
    act(|plugin| plugin.response_trailers(context))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(_context: u32, token: u32, headers: u32, _body: usize, _trailers: u32) {
    plugin((), |plugin| plugin.call_answered(token, headers != 0));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    plugin((), |plugin| plugin.delete(context));
}
