//! Against `hookgate serve`.

use std::process::Stdio;

use hookgate_tests::program;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::rounds::{self, SECRETS, Targets};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_100_000_deliveries_reaches_its_target_once() {
    let targets = Targets::start().await;
    let folder = TempDir::new().expect("a folder");
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, targets.policy().to_string()).expect("a file");
    let mut server = Command::new(program())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--log", "error", "--policy"])
        .arg(&policy)
        .envs(SECRETS)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let root = loop {
        let line = lines.next_line().await.expect("text").expect("the server says where it listens");
        if let Some(root) = line.strip_prefix("listening on ") {
            break root.to_owned();
        }
    };
    rounds::all(&root, &targets).await;
}
