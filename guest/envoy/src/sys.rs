//! The host functions of proxy-wasm 0.2.1 and WASI that the filter imports, and nothing else.
//!
//! They are declared here rather than taken from the proxy-wasm SDK because the SDK panics on every status it does not
//! expect (and a panic in a filter is an outage), and because a status outside its enum is undefined behaviour there.
//! Here a status is a number, whatever the host returns.
#![allow(unsafe_code)] // Declarations alone; `host` says why each call is sound.

/// What the calls answer in a build for another machine, where there is no host: "unimplemented".
#[cfg(not(target_arch = "wasm32"))]
const NO_HOST: u32 = 12;

macro_rules! imports {
    ($($module:literal: $(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*)*) => {$(
        #[cfg(target_arch = "wasm32")]
        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            $(pub(crate) fn $name($($argument: $type),*) -> u32;)*
        }
        $(
            #[cfg(not(target_arch = "wasm32"))]
            #[allow(unused_variables, clippy::too_many_arguments)]
            pub(crate) unsafe fn $name($($argument: $type),*) -> u32 {
                NO_HOST
            }
        )*
    )*};
}

imports! {
    "env":
    fn proxy_log(level: u32, message: *const u8, message_size: usize);
    fn proxy_get_current_time_nanoseconds(time: *mut u64);
    fn proxy_set_tick_period_milliseconds(period: u32);
    fn proxy_set_effective_context(context: u32);
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize);
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, length: usize, data: *const u8, size: usize);
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize);
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize);
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    );
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    );
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize);
    fn proxy_get_property(path: *const u8, path_size: usize, value: *mut *mut u8, value_size: *mut usize);
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize);
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
        cas: *mut u32,
    );
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32);
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_ms: u32,
        token: *mut u32,
    );
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    );
    fn proxy_continue_stream(stream: u32);
    fn proxy_close_stream(stream: u32);
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, metric: *mut u32);
    fn proxy_increment_metric(metric: u32, offset: i64);
    fn proxy_record_metric(metric: u32, value: u64);
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        results: *mut *mut u8,
        results_size: *mut usize,
    );

    "wasi_snapshot_preview1":
    fn environ_sizes_get(count: *mut usize, size: *mut usize);
    fn environ_get(pointers: *mut *mut u8, buffer: *mut u8);
}
