//! An Envoy with targets behind it.

use hookgate_tests::Delivery;
use hookgate_tests::client::{Answer, Client};
use hookgate_tests::envoy::{Envoy, Settings};
use hookgate_tests::upstream::{Reply, Upstream};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "whsec_test_1f0e";
pub(crate) const TARGET_SECRET: &str = "target_test_77ab";
pub(crate) const PATH: &str = "/webhooks/whatsapp";

/// An Envoy with two targets.
pub(crate) struct Edge {
    pub(crate) envoy: Envoy,
    pub(crate) bot: Upstream,
    pub(crate) crm: Upstream,
    client: Client,
}

/// A policy that sends everything to these targets.
pub(crate) fn to(targets: &[&str]) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": PATH, "scheme": "kapso", "secrets": ["SECRET"],
                     "verify_token": "TARGET_SECRET"}],
        "otherwise": {"to": targets},
        "targets": {"bot": {"cluster": "bot"}, "crm": {"cluster": "crm"}},
    })
}

impl Edge {
    /// One worker, targets that take everything.
    pub(crate) async fn new(policy: &Value) -> Self {
        Self::with(policy, |settings| settings).await
    }

    pub(crate) async fn with(policy: &Value, change: impl FnOnce(Settings) -> Settings) -> Self {
        let bot = Upstream::answering(Reply::Status(200)).await;
        let crm = Upstream::answering(Reply::Status(200)).await;
        let envoy = Envoy::start(change(Self::settings(policy, &bot, &crm))).await;
        Edge { envoy, bot, crm, client: Client::new() }
    }

    /// Its listeners are in a file.
    pub(crate) async fn with_listener_file(policy: &Value) -> Self {
        let bot = Upstream::answering(Reply::Status(200)).await;
        let crm = Upstream::answering(Reply::Status(200)).await;
        let envoy = Envoy::start_with_listener_file(Self::settings(policy, &bot, &crm)).await;
        Edge { envoy, bot, crm, client: Client::new() }
    }

    pub(crate) fn settings(policy: &Value, bot: &Upstream, crm: &Upstream) -> Settings {
        let clusters = [("bot", bot.address()), ("crm", crm.address())];
        Settings::new(policy, &[("SECRET", SECRET), ("TARGET_SECRET", TARGET_SECRET)], &clusters)
    }

    pub(crate) async fn post(&self, delivery: &Delivery) -> Answer {
        self.client.post(&self.envoy.url(PATH), delivery).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.get(&self.envoy.url(path)).await
    }

    /// Waits until one of Envoy's counters says this.
    pub(crate) async fn counted(&self, stat: &str, value: u64) {
        for _ in 0..500 {
            if self.envoy.stat(stat).await >= value {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{stat} is {}, not {value}", self.envoy.stat(stat).await);
    }
}

pub(crate) fn message(id: &str) -> Delivery {
    Delivery::message(id, SECRET)
}
