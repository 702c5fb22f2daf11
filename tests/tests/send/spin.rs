//! Against the Spin component.

use hookgate_tests::spin::{App, Runtime};

use crate::rounds::{self, SECRETS, Targets};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_100_000_deliveries_reaches_its_target_once() {
    let targets = Targets::start().await;
    let mut app = App::shipped().variable("policy", targets.policy().to_string()).variable("kapso_secret", "unused");
    for (name, value) in SECRETS {
        app = app.secret(name, value);
    }
    let app = app.allow(&targets.steady.url()).allow(&targets.shaky.url());
    let running = Runtime::Wasmtime.run(&app).await;
    rounds::all(&format!("http://{}", running.address()), &targets).await;
}
