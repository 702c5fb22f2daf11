//! What every receiver has to stand.

use std::collections::BTreeMap;
use std::process::Stdio;

use hookgate_tests::counter::Counter;
use hookgate_tests::program;
use serde_json::{Value, json};
use tokio::process::Command;

/// The path of the source.
pub(crate) const PATH: &str = "/hook";

/// Every secret by its name: of each phone number's webhook, of the project's, and of the Meta app.
pub(crate) const SECRETS: [(&str, &str); 5] = [
    ("TENANT_A", "whsec_send_1"),
    ("TENANT_B", "whsec_send_2"),
    ("TENANT_C", "whsec_send_3"),
    ("PROJECT", "whsec_send_project"),
    ("META_APP", "send_app"),
];

/// Everything that `hookgate send` composes, and of each form enough.
const MIX: &str =
    "received=30,batch=6,sent=14,status=24,conversation=4,contact=2,handover=1,v1=4,test=1,project=8,meta=3,hub=3";

/// All that this costs is to be counted, so no memory of delivered events may be too small for it.
const MAX_KEYS: u32 = 2_000_000;

/// Where the receivers send everything.
pub(crate) struct Targets {
    pub(crate) steady: Counter,
    pub(crate) shaky: Counter,
}

impl Targets {
    pub(crate) async fn start() -> Self {
        Targets { steady: Counter::steady().await, shaky: Counter::shaky().await }
    }

    /// Two sources, one for each target, with a tenant for each phone number.
    pub(crate) fn policy(&self) -> Value {
        let source = |name: &str| {
            json!({
                "name": name,
                "path": format!("{PATH}/{name}"),
                "scheme": "any",
                "secrets": ["PROJECT", "META_APP", "TENANT_A", "TENANT_B", "TENANT_C"],
                "secrets_by_phone_number": {
                    "100000000000001": ["TENANT_A", "META_APP"],
                    "100000000000002": ["TENANT_B", "META_APP"],
                    "100000000000003": ["TENANT_C", "META_APP"],
                },
            })
        };
        json!({
            "sources": [source("steady"), source("shaky")],
            "rules": [{"name": "shaky", "when": {"source": "shaky"}, "to": ["shaky"]}],
            "otherwise": {"to": ["steady"]},
            "targets": {
                "steady": {"url": self.steady.url(), "cluster": "steady"},
                "shaky": {"url": self.shaky.url(), "cluster": "shaky"},
            },
            "dedupe": {"window_s": 3600, "max_keys": MAX_KEYS},
        })
    }
}

/// Sends 100,000 deliveries to a receiver with the policy of these targets. `root` is its address without a path.
pub(crate) async fn all(root: &str, targets: &Targets) {
    all_are_taken_once(root, &targets.steady, 80_000).await;
    all_are_taken_once_by_a_target_that_fails_a_third_of_the_time(root, &targets.shaky, 15_000).await;
    what_is_given_up_is_not_taken_and_what_is_taken_was_not_given_up(root, &targets.shaky, 5_000).await;
}

async fn all_are_taken_once(root: &str, steady: &Counter, deliveries: u64) {
    let more = ["--seed", "1", "--mix", MIX, "--forge", "0.05", "--duplicate", "0.05"];
    let sent = send(&format!("{root}{PATH}/steady"), deliveries, &more).await;
    sent.is_good();
    assert_eq!(sent.report["forged"]["sent"], sent.report["forged"]["refused"], "{sent:#?}");
    assert_eq!(sent.report["duplicates"]["sent"], sent.report["duplicates"]["accepted"], "{sent:#?}");
    let share = deliveries / 25;
    assert!(sent.number("/forged/sent") > share && sent.number("/duplicates/sent") > share, "{sent:#?}");
    once(steady, &sent);
}

async fn all_are_taken_once_by_a_target_that_fails_a_third_of_the_time(root: &str, shaky: &Counter, deliveries: u64) {
    // Of the tries of one delivery a third fails, so that with 25 of them none is ever lost.
    let ladder = format!("0{}", ",1".repeat(24));
    let more = ["--seed", "2", "--mix", MIX, "--forge", "0.05", "--duplicate", "0.05", "--ladder", &ladder];
    let sent = send(&format!("{root}{PATH}/shaky"), deliveries, &more).await;
    sent.is_good();
    assert!(sent.number("/retries") > deliveries / 3, "{sent:#?}");
    once(shaky, &sent);
}

async fn what_is_given_up_is_not_taken_and_what_is_taken_was_not_given_up(
    root: &str,
    shaky: &Counter,
    deliveries: u64,
) {
    shaky.forget();
    let more = ["--seed", "3", "--mix", "batch,received,status", "--ladder", "0,1"];
    let sent = send(&format!("{root}{PATH}/shaky"), deliveries, &more).await;
    assert_eq!(sent.status, Some(1), "some are lost: {sent:#?}");
    assert!(sent.number("/fall_back/batches") > 0 && sent.number("/fall_back/accepted") > 0, "{sent:#?}");
    assert!(sent.number("/deliveries/given_up") > 0, "{sent:#?}");
    assert!(sent.number("/events/accepted") < sent.number("/events/sent"), "{sent:#?}");
    assert_eq!(shaky.times(), BTreeMap::from([(1, sent.number("/events/accepted"))]), "{sent:#?}");
}

/// Every genuine event came once, and nothing else did.
fn once(target: &Counter, sent: &Sent) {
    assert_eq!(sent.report["events"]["sent"], sent.report["events"]["accepted"], "{sent:#?}");
    assert_eq!(target.times(), BTreeMap::from([(1, sent.number("/events/sent"))]), "{sent:#?}");
}

/// What `hookgate send` said.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) status: Option<i32>,
    pub(crate) report: Value,
}

impl Sent {
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {self:#?}"))
    }

    pub(crate) fn is_good(&self) {
        assert_eq!((self.status, &self.report["good"]), (Some(0), &json!(true)), "{self:#?}");
    }
}

/// Runs `hookgate send` with all secrets in its environment.
pub(crate) async fn send(url: &str, deliveries: u64, more: &[&str]) -> Sent {
    let mut command = Command::new(program());
    command
        .args(["send", url, "--count", &deliveries.to_string(), "--json", "--speed", "100", "--concurrency", "32"])
        .args(more);
    for name in ["TENANT_A", "TENANT_B", "TENANT_C"] {
        command.args(["--secret", name]);
    }
    command.args(["--project-secret", "PROJECT", "--meta-secret", "META_APP"]).env_clear().envs(SECRETS);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report, but {errors}"));
    let sent = Sent { status: output.status.code(), report };
    println!("{url}: {}\n{errors}", sent.report);
    sent
}
