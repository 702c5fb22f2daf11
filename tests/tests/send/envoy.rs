//! Against a real Envoy with the filter.

use hookgate_tests::envoy::{Envoy, Settings};
use serde_json::json;

use crate::rounds::{self, SECRETS, Targets};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_its_target_once() {
    all(rounds::SOME).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --package hookgate-tests --test send --release -- --ignored --nocapture"]
async fn every_event_of_100_000_deliveries_reaches_its_target_once() {
    all(rounds::MANY).await;
}

async fn all(deliveries: u64) {
    let targets = Targets::start().await;
    let clusters = [("steady", targets.steady.address()), ("shaky", targets.shaky.address())];
    let mut settings = Settings::new(&targets.policy(), &SECRETS, &clusters).workers(2);
    settings.manager()["access_log"] = json!([]);
    let envoy = Envoy::start(settings).await;
    rounds::all(&format!("http://{}", envoy.address()), &targets, deliveries).await;
}
