//! The plugin's configuration: what is taken, what is refused, and what the log says of it.

use hookgate_tests::Delivery;
use hookgate_tests::proxy_wasm::{Fate, ROOT, Request, Vm, World};
use serde_json::json;

use crate::policies::{PATH, SECRET, passed, to_bot};

fn refused(configuration: &[u8], secrets: &[(&str, &str)]) -> String {
    let mut vm = Vm::loaded(World::new(secrets.iter().copied()));
    assert!(!vm.configure(configuration), "it was taken");
    // What is not configured lets nothing pass.
    let given = vm.send(&Request::post("/other", &Delivery::new("x", "{}")));
    assert!(matches!(given.fate, Fate::Answered(answer) if answer.status == 500));
    vm.world().log()
}

#[test]
fn problems_are_logged_with_where_they_are() {
    let secrets = [("SECRET", SECRET)];
    let mut policy = to_bot();
    policy["otherwise"] = json!({"to": ["nobody"]});
    assert!(refused(policy.to_string().as_bytes(), &secrets).contains("hookgate: policy refused: /otherwise/to"));
    assert!(refused(to_bot().to_string().as_bytes(), &[]).contains("SECRET"), "a secret that is missing");
    assert!(refused(to_bot().to_string().as_bytes(), &[("SECRET", "")]).contains("SECRET"), "a secret that is empty");
    assert!(refused(b"", &secrets).contains("policy refused"));
    assert!(refused(b"\xff\xfe", &secrets).contains("neither"));
    let mut policy = to_bot();
    policy["targets"]["bot"] = json!({"url": "http://127.0.0.1/"});
    assert!(refused(policy.to_string().as_bytes(), &secrets).contains("/targets/bot: expected \"cluster\""));
}

/// Envoy makes paths plain before the filter sees them: what it would never see is a door, not a source.
#[test]
fn a_path_that_never_comes_is_refused() {
    for path in ["/webhooks//whatsapp", "/webhooks/../whatsapp", "/./whatsapp", "/%77hatsapp", "/webhooks\\whatsapp"] {
        let mut policy = to_bot();
        policy["sources"][0]["path"] = json!(path);
        assert!(refused(policy.to_string().as_bytes(), &[("SECRET", SECRET)]).contains("/sources/0/path"), "{path}");
    }
    let mut policy = to_bot();
    let link = json!({"name": "a", "success_path": "/a", "failure_path": "/a/..", "page": "https://acme.example/"});
    policy["setup_links"] = json!([link]);
    let log = refused(policy.to_string().as_bytes(), &[("SECRET", SECRET)]);
    assert!(log.contains("/setup_links/0/failure_path") && !log.contains("success_path"), "{log}");
}

#[test]
fn no_secret_is_ever_logged() {
    // Its value where its name belongs.
    let pasted = "whsec_9f2c6d0b7a4e41d3";
    let mut policy = to_bot();
    policy["sources"][0]["secrets"] = json!([pasted]);
    let log = refused(policy.to_string().as_bytes(), &[("SECRET", SECRET)]);
    assert!(log.contains("/sources/0/secrets/0") && !log.contains(pasted), "{log}");
}

#[test]
fn policies_may_change_for_ever() {
    let mut vm = Vm::configured(World::new([("SECRET", SECRET)]), to_bot().to_string().as_bytes()).expect("good");
    let mut after_warm_up = (0, 0);
    for round in 0..500 {
        let (id, _) = passed(vm.send(&Request::post(PATH, &Delivery::message(&format!("wamid.{round}"), SECRET))));
        vm.target_answers(id, 200, &[]);
        vm.delete(id);
        vm.delete(ROOT);
        assert!(vm.configure(to_bot().to_string().as_bytes()));
        if round == 50 {
            after_warm_up = (vm.memory(), vm.world().definitions());
        }
    }
    assert_eq!((vm.memory(), vm.world().definitions()), after_warm_up);
}

#[test]
fn a_plugin_with_a_bad_policy_alone_lets_nothing_pass() {
    let mut vm = Vm::configured(World::new([("SECRET", SECRET)]), to_bot().to_string().as_bytes()).expect("good");
    assert!(!vm.configure(b"{}"));
    // Envoy keeps the old plugin in force, which has a context of its own; this one has no policy.
    let given = vm.send(&Request::post(PATH, &Delivery::message("wamid.A1", SECRET)));
    assert!(!matches!(given.fate, Fate::Passed(_)));
    assert!(vm.configure(to_bot().to_string().as_bytes()));
    passed(vm.send(&Request::post(PATH, &Delivery::message("wamid.A1", SECRET))));
}
