//! Manifests, policies and secrets.

use std::path::Path;

use hookgate_tests::Delivery;
use hookgate_tests::spin::{App, Runtime, check_manifest};
use serde_json::json;

use crate::{SECRET, Served, app};

#[test]
fn the_manifests_are_what_spin_expects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for path in ["guest/spin/spin.toml", "guest/spin/sample-app/spin.toml"] {
        check_manifest(&root.join(path)).unwrap_or_else(|error| panic!("{path}: {error:#}"));
    }
}

#[test]
fn a_wrong_manifest_is_noticed() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/spin/spin.toml")).unwrap();
    let wrong = [
        ("spin_manifest_version = 2", "spin_manifest_version = 1"),
        ("name = \"hookgate\"", "nmae = \"hookgate\""),
        ("component = \"hookgate\"", "component = \"hookgte\""),
        ("\"{{ target_host }}\"", "\"{{ target_hosts }}\""),
        ("\"http://*.spin.internal\"", "\"*.spin.internal\""),
        ("[variables.kapso_secret]", "[variables.KAPSO_SECRET]"),
        ("required = true", "required = false"),
        ("route = \"/...\"", "route = \"...\""),
        ("command = ", "comand = "),
    ];
    for (right, wrong) in wrong {
        assert!(text.contains(right), "{right}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spin.toml");
        std::fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        assert!(check_manifest(&path).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_policy_is_500_without_a_detail_and_the_log_has_the_pointer() {
    let source = json!({"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]});
    let wrong = [
        ("not JSON", "policy: "),
        (r#"{"sources": [{"name": "a", "path": "/hook", "secrets": ["NOT_THERE"]}]}"#, "/sources/0/secrets/0"),
        (r#"{"sources": [{"name": "a", "path": "/hook", "secrets": ["NOT THERE"]}]}"#, "/sources/0/secrets/0"),
        (
            r#"{"sources": [{"name": "a", "path": "/hook", "secrets": ["KAPSO_SECRET_TENANT_1"]}]}"#,
            r#"variable "kapso_secret_tenant_1" is not among"#,
        ),
        (&json!({"sources": [source], "targets": {"a/b": {"cluster": "c"}}}).to_string(), "/targets/a~1b/url"),
    ];
    for runtime in Runtime::all() {
        for (policy, pointer) in &wrong {
            let served = Served::start(&runtime, &app(&json!({})).variable("policy", *policy)).await;
            let answer = served.post(&Delivery::message("wamid.1", SECRET)).await;
            assert_eq!((answer.status, answer.text()), (500, "internal server error\n"), "{policy}");
            let log = served.running.log();
            assert!(log.contains(pointer), "{pointer} is not in {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_secret_refuses_the_policy() {
    for runtime in Runtime::all() {
        let policy = json!({"sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"]}]});
        let served = Served::start(&runtime, &app(&policy).variable("secret", "")).await;
        assert_eq!(served.status(&Delivery::message("wamid.1", "")).await, 500);
    }
}

/// What the quick start in `guest/spin/README.md` does, with its own words.
#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works() {
    let readme = include_str!("../../../guest/spin/README.md");
    let block = |language: &str| {
        let start = readme.split_once(&format!("```{language}\n")).expect("a block").1;
        start.split_once("```").expect("an end").0
    };
    let commands: Vec<&str> = block("sh").lines().collect();
    let up = commands.iter().find(|command| command.contains("spin up")).expect("spin up");
    assert_eq!(commands[0], "cd guest/spin");
    assert!(commands.contains(&"spin build"));
    let policy = block("json");
    let manifest: toml::Table = toml::from_str(include_str!("../../../guest/spin/spin.toml")).unwrap();
    let default = manifest["variables"]["policy"]["default"].as_str().unwrap();
    let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(policy), json(default), "the README says that spin.toml has the same policy");

    // `--variable name=value`, as the shell splits it.
    let mut target = hookgate_tests::upstream::Upstream::answering(hookgate_tests::upstream::Reply::Status(200)).await;
    let given = up.split_whitespace().skip_while(|word| *word != "up").filter_map(|word| word.split_once('='));
    let mut app = App::shipped();
    let mut secret = String::new();
    for (name, value) in given {
        let value = match value.strip_prefix('@') {
            Some(file) => {
                assert_eq!(file, "policy.json");
                policy.replace("http://127.0.0.1:3000/hook", &target.url())
            }
            None => value.replace("http://127.0.0.1:3000", target.url().strip_suffix("/hook").expect("a path")),
        };
        if name == "kapso_secret" {
            secret.clone_from(&value);
        }
        app = app.variable(name, value);
    }
    for runtime in Runtime::all() {
        let served = Served::start(&runtime, &app).await;
        let delivery = Delivery::message(&format!("wamid.{runtime:?}"), &secret);
        let url = served.running.url("/webhooks/whatsapp");
        assert_eq!(served.client.post(&url, &delivery).await.status, 200);
        assert_eq!(target.next().await.body, delivery.body);
    }
}

/// The manifest as it is needs one secret and a target at its default address.
#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_policy_compiles() {
    for runtime in Runtime::all() {
        let served = Served::start(&runtime, &App::shipped().variable("kapso_secret", SECRET)).await;
        let unwanted = Delivery::new("workflow.execution.failed", "{}").signed(SECRET);
        assert_eq!(served.client.post(&served.running.url("/webhooks/whatsapp"), &unwanted).await.status, 200);
    }
}
