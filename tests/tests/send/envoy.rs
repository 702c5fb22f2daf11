//! Against a real Envoy with the filter.

use hookgate_tests::envoy::{Envoy, Settings};
use serde_json::json;

use crate::rounds::{self, SECRETS, Targets};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_100_000_deliveries_reaches_its_target_once() {
    let targets = Targets::start().await;
    let clusters = [("steady", targets.steady.address()), ("shaky", targets.shaky.address())];
    let mut settings = Settings::new(&targets.policy(), &SECRETS, &clusters).workers(2);
    settings.manager()["access_log"] = json!([]);
    let envoy = Envoy::start(settings).await;
    rounds::all(&format!("http://{}", envoy.address()), &targets).await;
}
