//! A server of ours within the test.

use std::sync::OnceLock;

use hookgate::server::{Config, Policy, Server};
use hookgate::{Options, Plugin, Secrets, Sha256};
use serde_json::{Value, json};

use crate::Delivery;
use crate::client::{Answer, Client};
use crate::upstream::Upstream;

/// The secret of every source, by the name `SECRET`.
pub const SECRET: &str = "whsec_test_1f0e";
/// What targets are signed for with, by the name `TARGET_SECRET`.
pub const TARGET_SECRET: &str = "target_test_77ab";

/// A policy that sends every message event to one target, for a server or for Spin.
pub fn all_to(upstream: &Upstream) -> Value {
    json!({
        "sources": [{"name": "whatsapp", "path": "/hook", "secrets": ["SECRET"], "verify_token": "TARGET_SECRET"}],
        "rules": [{"name": "messages", "when": {"event": "whatsapp.message.*"}, "to": ["bot"]}],
        "targets": {"bot": {"url": upstream.url()}},
    })
}

/// The plugin as it is by default.
pub fn plugin() -> Plugin {
    plugin_on(Sha256::default())
}

/// The plugin, compiled once for all tests of a program.
pub fn plugin_on(sha256: Sha256) -> Plugin {
    static PLUGINS: [OnceLock<Plugin>; 2] = [OnceLock::new(), OnceLock::new()];
    let plugin = &PLUGINS[usize::from(sha256 == Sha256::Host)];
    plugin.get_or_init(|| Plugin::new(&Options { sha256, ..Options::default() }).expect("the built component")).clone()
}

/// A configuration on free ports for a policy.
pub fn config(policy: &Value) -> Config {
    let secrets = Secrets::from([("SECRET", SECRET), ("TARGET_SECRET", TARGET_SECRET)]);
    free_ports(Config::new(plugin(), Policy::json(policy.to_string()).with_secrets(secrets)))
}

/// The same on free ports, with an admin address.
pub fn free_ports(mut config: Config) -> Config {
    config.listen.set_port(0);
    config.admin = Some(config.listen);
    config
}

/// A running server with a client.
pub struct Hooked {
    /// The server.
    pub server: Server,
    client: Client,
}

impl Hooked {
    /// A server with this policy.
    pub async fn with(policy: &Value) -> Self {
        Self::start(config(policy)).await
    }

    /// A server.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(config: Config) -> Self {
        let server = Server::start(config).await.unwrap_or_else(|error| panic!("the server starts: {error}"));
        Hooked { server, client: Client::new() }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Posts a delivery to `/hook`.
    pub async fn post(&self, delivery: &Delivery) -> Answer {
        self.client.post(&self.url("/hook"), delivery).await
    }

    /// Posts a delivery to `/hook`; the status.
    pub async fn status(&self, delivery: &Delivery) -> u16 {
        self.post(delivery).await.status
    }

    /// A page of the admin address.
    ///
    /// # Panics
    /// When there is no admin address.
    pub async fn admin(&self, path: &str) -> Answer {
        let address = self.server.admin_address().expect("an admin address");
        self.client.get(&format!("http://{address}{path}")).await
    }

    /// The number of a metric with these labels, in the order that they are written; 0 if it is not there.
    ///
    /// # Panics
    /// When it is no number.
    pub async fn metric(&self, name_and_labels: &str) -> f64 {
        let metrics = self.admin("/metrics").await;
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse().expect("a number"))
    }
}
