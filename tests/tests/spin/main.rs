//! The Spin component: served by wasmtime's own `wasi:http`, and by a real Spin where there is one. Every case is
//! written once.

mod answers;
mod configuration;
mod decisions;
mod forms;
mod once;
mod redirects;
mod targets;

use hookgate_tests::client::{Answer, Client};
pub(crate) use hookgate_tests::hooked::all_to;
use hookgate_tests::spin::{App, Running, Runtime};
use hookgate_tests::upstream::Upstream;
use hookgate_tests::{Delivery, hooked};
use serde_json::Value;

/// The secret of every source here.
pub(crate) const SECRET: &str = hooked::SECRET;

/// What is ignored stands in the runner's summary.
#[test]
#[ignore = "without `spin` on the path, or SPIN naming one, every test here runs on wasmtime alone"]
fn a_real_spin_is_there() {
    assert_eq!(Runtime::all().len(), 2);
}

/// The shipped app with this policy and the secrets `SECRET` and `TARGET_SECRET`.
pub(crate) fn app(policy: &Value) -> App {
    App::shipped()
        .variable("policy", policy.to_string())
        .variable("kapso_secret", "unused")
        .secret("SECRET", SECRET)
        .secret("TARGET_SECRET", hooked::TARGET_SECRET)
}

/// A running app with a client.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) client: Client,
}

impl Served {
    pub(crate) async fn start(runtime: &Runtime, app: &App) -> Self {
        Served { running: runtime.run(app).await, client: Client::new() }
    }

    /// An app that sends everything to this target.
    pub(crate) async fn to(runtime: &Runtime, upstream: &Upstream) -> Self {
        Self::start(runtime, &app(&all_to(upstream)).allow(&upstream.url())).await
    }

    pub(crate) async fn post(&self, delivery: &Delivery) -> Answer {
        self.client.post(&self.running.url("/hook"), delivery).await
    }

    pub(crate) async fn status(&self, delivery: &Delivery) -> u16 {
        self.post(delivery).await.status
    }
}
