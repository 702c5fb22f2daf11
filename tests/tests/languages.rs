//! The component decides in other languages' hosts as it does in wasmtime: Node by way of jco, Python by wasmtime-py.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookgate_tests::{Delivery, artifact, server};
use serde_json::{Value, json};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages").join(name)
}

/// Runs a program that reads the question and prints the two decisions.
fn check(program: &mut Command) {
    let (delivery, secret) = Delivery::example("batch-two");
    let question = json!({
        "policy": json!({"sources": [{"name": "hook", "path": "/hook", "secrets": ["SECRET"]}]}).to_string(),
        "secret": secret,
        "headers": delivery.headers,
        "body": String::from_utf8_lossy(&delivery.body),
        "now": 1_789_396_000,
    });
    let mut running =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program has to be installed");
    let mut stdin = running.stdin.take().expect("a pipe");
    stdin.write_all(question.to_string().as_bytes()).expect("it reads the question");
    drop(stdin);
    let output = running.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let said: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let keys = ["wamid.batch1", "wamid.batch2"].map(|id| format!("message:123456789012345:{id}:inbound:received"));
    let expected = json!({
        "genuine": ["deliver", "whatsapp.message.received", keys],
        "forged": ["respond", 401, "wrong-signature"],
    });
    assert_eq!(said, expected);
}

#[test]
fn node() {
    let folder = tempfile::tempdir().expect("a folder");
    let transpiled = Command::new(server("jco"))
        .args(["transpile", "--quiet", "--name", "hookgate", "--out-dir"])
        .arg(folder.path())
        .arg(artifact("hookgate.wasm"))
        .status()
        .expect("jco runs");
    assert!(transpiled.success());
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).expect("a file");
    check(Command::new("node").arg(script("decide.mjs")).arg(folder.path().join("hookgate.js")));
}

#[test]
fn python() {
    check(Command::new(server("python-wasmtime")).arg(script("decide.py")).arg(artifact("hookgate.wasm")));
}
