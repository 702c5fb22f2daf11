//! What each published file asks of its host, offers it and weighs. A guest that imports nothing can do nothing but compute.

use std::fs;

use hookgate_tests::{Surface, artifact};

#[test]
fn the_component_imports_nothing_and_exports_the_gate() {
    let component = Surface::read("hookgate.wasm");
    assert_eq!(component.imports, [""; 0]);
    assert_eq!(component.exports, ["hookgate:kapso/gate@0.1.0"]);
}

#[test]
fn the_component_on_the_hosts_sha256_imports_that_and_no_more() {
    let component = Surface::read("hookgate-host-sha256.wasm");
    assert_eq!(component.imports, ["hookgate:kapso/sha256@0.1.0"]);
    assert_eq!(component.exports, ["hookgate:kapso/gate@0.1.0"]);
}

#[test]
fn the_component_is_small() {
    assert_size("hookgate.wasm", 256);
    assert_size("hookgate-host-sha256.wasm", 256);
}

#[test]
fn the_spin_component_asks_for_what_its_readme_says_and_no_more() {
    let mut component = Surface::read("hookgate-spin.wasm");
    component.imports.sort();
    let readme = include_str!("../../guest/spin/README.md");
    let listed = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name);
    let mut listed: Vec<&str> = listed.filter(|name| name.contains('@')).collect();
    listed.sort_unstable();
    assert_eq!(component.imports, listed);
    assert_eq!(component.exports, ["wasi:http/incoming-handler@0.2.0"]);
}

#[test]
fn the_spin_component_is_small() {
    assert_size("hookgate-spin.wasm", 400);
}

#[test]
fn the_filter_asks_envoy_for_these_functions_and_no_more() {
    let mut filter = Surface::read("hookgate-envoy.wasm");
    filter.imports.sort();
    assert_eq!(
        filter.imports,
        [
            "env.proxy_call_foreign_function",
            "env.proxy_close_stream",
            "env.proxy_continue_stream",
            "env.proxy_define_metric",
            "env.proxy_get_buffer_bytes",
            "env.proxy_get_current_time_nanoseconds",
            "env.proxy_get_header_map_pairs",
            "env.proxy_get_header_map_value",
            "env.proxy_get_property",
            "env.proxy_get_shared_data",
            "env.proxy_http_call",
            "env.proxy_increment_metric",
            "env.proxy_log",
            "env.proxy_record_metric",
            "env.proxy_remove_header_map_value",
            "env.proxy_replace_header_map_value",
            "env.proxy_send_local_response",
            "env.proxy_set_buffer_bytes",
            "env.proxy_set_effective_context",
            "env.proxy_set_header_map_pairs",
            "env.proxy_set_property",
            "env.proxy_set_shared_data",
            "env.proxy_set_tick_period_milliseconds",
            "wasi_snapshot_preview1.environ_get",
            "wasi_snapshot_preview1.environ_sizes_get",
        ]
    );
    filter.exports.retain(|export| export.starts_with("proxy_"));
    filter.exports.sort();
    assert_eq!(
        filter.exports,
        [
            "proxy_abi_version_0_2_1",
            "proxy_on_configure",
            "proxy_on_context_create",
            "proxy_on_delete",
            "proxy_on_http_call_response",
            "proxy_on_memory_allocate",
            "proxy_on_request_body",
            "proxy_on_request_headers",
            "proxy_on_request_trailers",
            "proxy_on_response_body",
            "proxy_on_response_headers",
            "proxy_on_response_trailers",
            "proxy_on_tick",
        ]
    );
}

#[test]
fn the_filter_is_small() {
    assert_size("hookgate-envoy.wasm", 256);
}

/// At most `kilobytes` of 1024 bytes.
fn assert_size(file: &str, kilobytes: u64) {
    let size = fs::metadata(artifact(file)).expect("an artifact can be read").len();
    assert!(
        size <= kilobytes * 1024,
        "{file} has {size} bytes, and {kilobytes} KB are allowed (was it built without wasm-opt?)"
    );
}
