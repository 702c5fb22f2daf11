//! The configurations that people copy: Envoy takes them, and their policies are good.

use std::path::{Path, PathBuf};

use hookgate::Secrets;
use hookgate_tests::envoy::{Settings, validate};
use hookgate_tests::hooked::plugin;
use hookgate_tests::{Delivery, Surface, artifact};
use serde_json::{Value, json};

use crate::edge::{Edge, to};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/envoy")
}

fn documents(recipe: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("recipes").join(recipe)).expect("a recipe");
    text.split("\n---\n").map(|text| serde_saphyr::from_str(text).expect("a recipe is YAML")).collect()
}

/// What the patch of the Envoy Gateway recipe at this path does.
fn operation<'a>(documents: &'a [Value], path: &str) -> &'a Value {
    let patches = documents[1]["spec"]["jsonPatches"].as_array().expect("patches");
    &patches.iter().find(|patch| patch["operation"]["path"] == path).expect("a patch")["operation"]
}

fn check_policy(policy: &Value) {
    let secrets = Secrets::from([("KAPSO_SECRET", "a"), ("BOT_SECRET", "b")]);
    if let Err(error) = plugin().compile(&policy.to_string(), &secrets) {
        panic!("{error}");
    }
}

/// Whether Envoy takes `envoy.yaml` with this instead of the filter's configuration.
async fn check_filter(config: &Value) {
    let mut settings = Settings::new(&json!({}), &[], &[]);
    *settings.plugin() = config.clone();
    settings.plugin()["vm_config"]["code"] = json!({"local": {"filename": artifact("hookgate-envoy.wasm")}});
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("envoy.json");
    std::fs::write(&file, settings.config.to_string()).expect("a file");
    let (taken, log) = validate(&file, folder.path(), &[("KAPSO_SECRET", "a"), ("BOT_SECRET", "b")]).await;
    assert!(taken, "{log}");
}

#[tokio::test]
async fn envoy_yaml_runs_as_it_is() {
    let root = folder().join("../..");
    let secrets = [("KAPSO_SECRET", "a"), ("BOT_SECRET", "b")];
    let (taken, log) = validate(Path::new("guest/envoy/envoy.yaml"), &root, &secrets).await;
    assert!(taken, "{log}");
    assert!(!log.contains("eprecated"), "{log}");
    let (taken, log) = validate(Path::new("guest/envoy/envoy.yaml"), &root, &[]).await;
    assert!(!taken, "without secrets it must not start");
    assert!(log.contains("KAPSO_SECRET"), "{log}");
}

/// Each of these lets what the filter was to hold back go on, or trusts machine code that came with the file.
#[test]
fn nothing_that_people_copy_opens_a_door() {
    let recipes = std::fs::read_dir(folder().join("recipes")).expect("recipes");
    let files = recipes.map(|entry| entry.expect("a file").path()).chain([folder().join("envoy.yaml")]);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for door in ["FAIL_OPEN", "fail_open: true", "failOpen: true", "allow_precompiled: true"] {
                assert!(!line.contains(door), "{}: {line}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn the_istio_recipe_holds() {
    let documents = documents("istio.yaml");
    let filter = &documents[0]["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["config"];
    assert_eq!(filter["allow_on_headers_stop_iteration"], true);
    assert_eq!(filter["failure_policy"], "FAIL_RELOAD", "not FAIL_OPEN");
    let policy = &filter["configuration"]["value"];
    check_policy(policy);
    check_filter(filter).await;
    let source = &policy["sources"][0]["path"];
    let route = &documents.last().expect("a VirtualService")["spec"]["http"][0]["match"];
    assert_eq!(*route, json!([{"uri": {"exact": source}}]));
    let patches = documents[0]["spec"]["configPatches"].as_array().expect("patches");
    let route = patches.iter().find(|patch| patch["applyTo"] == "HTTP_ROUTE").expect("a route");
    assert_eq!(route["patch"]["value"]["match"]["path"], *source);
}

#[tokio::test]
async fn the_envoy_gateway_recipe_holds() {
    let documents = documents("envoy-gateway.yaml");
    let wasm = &documents[0]["spec"]["wasm"][0];
    check_policy(&wasm["config"]);
    assert_eq!(wasm["failOpen"], false);
    let switch = operation(&documents, "/allow_on_headers_stop_iteration");
    assert_eq!(switch["value"], true);
    let policy = operation(&documents, "/failure_policy");
    assert_eq!((&policy["value"], &policy["jsonPath"]), (&json!("FAIL_RELOAD"), &switch["jsonPath"]));
    // Envoy Gateway turns a filter off and back on route by route: a route of our own has to name it.
    let filter = "envoy.filters.http.wasm/envoyextensionpolicy/default/hookgate/wasm/0";
    assert!(switch["jsonPath"].as_str().expect("a path").contains(filter));
    let patch = operation(&documents, "/routes/0");
    assert!(patch["jsonPath"].as_str().is_some_and(|path| path.contains("hooks_example_com")));
    let route = &patch["value"];
    let on = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}});
    assert_eq!(route["typed_per_filter_config"], json!({filter: on}));
    // A route for more than the source's path would lead past filters that are on for other paths.
    let source = &wasm["config"]["sources"][0]["path"];
    assert_eq!(route["match"]["path"], *source);
    let webhooks = documents.last().expect("an HTTPRoute");
    assert_eq!(webhooks["spec"]["hostnames"], json!(["hooks.example.com"]));
    assert_eq!(webhooks["spec"]["rules"][0]["matches"], json!([{"path": {"type": "Exact", "value": source}}]));
    let cluster = wasm["config"]["targets"]["bot"]["cluster"].as_str().expect("a cluster");
    assert_eq!(cluster, format!("httproute/default/{}/rule/0", webhooks["metadata"]["name"].as_str().expect("a name")));
}

/// In Envoy as Envoy Gateway configures it: the filter is off but where a route turns it on.
#[tokio::test]
async fn the_route_of_the_envoy_gateway_recipe_cannot_be_asked_for() {
    let documents = documents("envoy-gateway.yaml");
    let on = &operation(&documents, "/routes/0")["value"]["typed_per_filter_config"];
    let (_, on) = on.as_object().and_then(|filters| filters.iter().next()).expect("the filter");
    let edge = Edge::with(&to(&["bot"]), |mut settings| {
        let manager = settings.manager();
        manager["http_filters"][0]["disabled"] = json!(true);
        let name = manager["http_filters"][0]["name"].as_str().expect("a name").to_owned();
        for route in manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes") {
            route["typed_per_filter_config"][&name] = on.clone();
        }
        settings
    })
    .await;
    let forged = Delivery::message("wamid.1", "not the secret").with("x-hookgate-target", "bot");
    assert_eq!(edge.post(&forged).await.status, 401);
    assert_eq!(edge.post(&Delivery::message("wamid.1", crate::edge::SECRET)).await.status, 200);
}

#[test]
fn the_remote_recipe_says_only_where_the_code_is() {
    let documents = documents("remote.yaml");
    let remote = documents[0]["vm_config"].as_object().expect("a VM");
    assert!(remote.keys().all(|key| ["code", "nack_on_code_cache_miss"].contains(&key.as_str())), "{remote:?}");
    assert!(remote["code"]["remote"]["sha256"].is_string());
}

#[tokio::test]
async fn what_is_not_allowed_to_the_filter_is_not_needed() {
    // Each capability that envoy.yaml allows is one that the filter has; the whole suite runs with these and no others.
    let mut settings = Settings::new(&to(&["bot"]), &[], &[]);
    let allowed = settings.plugin()["vm_config"]["capability_restriction_config"]["allowed_capabilities"].clone();
    let Surface { imports, exports } = Surface::read("hookgate-envoy.wasm");
    let imports = imports.iter().filter_map(|import| import.split_once('.')).map(|(_, name)| name.to_owned());
    let exports = exports.into_iter();
    let callbacks = exports.filter(|name| name.starts_with("proxy_on_") && name != "proxy_on_memory_allocate");
    let mut names: Vec<String> = imports.chain(callbacks).collect();
    names.sort();
    let allowed: Vec<_> = allowed.as_object().expect("a map").keys().cloned().collect();
    assert_eq!(allowed, names, "envoy.yaml's allowed_capabilities");
    // And one delivery to show that they are enough.
    let edge = Edge::new(&to(&["bot", "crm"])).await;
    assert_eq!(edge.post(&Delivery::message("wamid.1", crate::edge::SECRET)).await.status, 200);
}
