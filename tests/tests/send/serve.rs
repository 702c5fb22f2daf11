//! Against `hookgate serve`.

use hookgate_tests::running::Running;
use tempfile::TempDir;

use crate::rounds::{self, SECRETS, Targets};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_100_000_deliveries_reaches_its_target_once() {
    let targets = Targets::start().await;
    let folder = TempDir::new().expect("a folder");
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, targets.policy().to_string()).expect("a file");
    let policy = policy.to_str().expect("a path of text");
    let server = Running::start("serve", &["--log", "error", "--policy", policy], &SECRETS);
    rounds::all(&server.url("").await, &targets).await;
}
