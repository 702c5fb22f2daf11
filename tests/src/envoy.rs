//! A real Envoy with the built filter, configured by the `envoy.yaml` that people get: only addresses, clusters, the policy and
//! its secrets are changed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::Client;
use crate::{artifact, server};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an Envoy is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The whole configuration.
    pub config: Value,
    /// How many threads take requests.
    pub workers: u16,
}

impl Settings {
    /// The `envoy.yaml` that people get, on free ports, with this policy, these secrets and these clusters.
    ///
    /// # Panics
    /// When `envoy.yaml` is not what it was.
    pub fn new(policy: &Value, secrets: &[(&str, &str)], clusters: &[(&str, SocketAddr)]) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/envoy/envoy.yaml");
        let text = std::fs::read_to_string(file).expect("envoy.yaml");
        let config = serde_saphyr::from_str(&text).expect("envoy.yaml is YAML");
        let mut settings = Settings { config, workers: 1 };
        let any = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        *settings.at("/admin/address") = any.clone();
        *settings.at("/static_resources/listeners/0/address") = any;
        *settings.at("/static_resources/clusters") = clusters.iter().map(|(name, at)| cluster(name, *at)).collect();
        let plugin = settings.plugin();
        plugin["configuration"]["value"] = policy.clone();
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        plugin["vm_config"]["environment_variables"] = json!({"key_values": Value::Object(secrets.collect())});
        plugin["vm_config"]["code"]["local"]["filename"] = json!(artifact("hookgate-envoy.wasm"));
        settings
    }

    /// With this many threads that take requests.
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Self {
        self.workers = workers;
        self
    }

    /// The filter's `config`.
    pub fn plugin(&mut self) -> &mut Value {
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        self.at(&format!("{manager}/http_filters/0/typed_config/config"))
    }

    /// The HTTP connection manager's configuration.
    pub fn manager(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
    }

    /// A part of the configuration.
    ///
    /// # Panics
    /// When there is no such part.
    pub fn at(&mut self, pointer: &str) -> &mut Value {
        self.config.pointer_mut(pointer).unwrap_or_else(|| panic!("envoy.yaml has {pointer}"))
    }
}

/// A cluster of one server.
pub fn cluster(name: &str, at: SocketAddr) -> Value {
    let address = json!({"socket_address": {"address": at.ip(), "port_value": at.port()}});
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

/// An Envoy that runs until dropped.
pub struct Envoy {
    process: Child,
    admin: SocketAddr,
    listener: SocketAddr,
    log: watch::Receiver<String>,
    client: Client,
    folder: TempDir,
}

impl Envoy {
    /// Starts an Envoy that takes requests when this returns.
    ///
    /// # Panics
    /// When it does not start; with its log.
    pub async fn start(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("envoy.json");
        std::fs::write(&config, settings.config.to_string()).expect("a file");
        Self::run(&config, settings.workers, folder).await
    }

    /// Starts an Envoy that reads its listeners from a file, and again whenever that is replaced.
    ///
    /// # Panics
    /// When it does not start; with its log.
    pub async fn start_with_listener_file(mut settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_listeners(folder.path(), &mut settings, 0);
        *settings.at("/static_resources/listeners") = json!([]);
        settings.config["node"] = json!({"id": "test", "cluster": "test"});
        settings.config["dynamic_resources"] = json!({"lds_config": {"resource_api_version": "V3", "path_config_source": {
            "path": folder.path().join("listeners.json"),
            "watched_directory": {"path": folder.path()},
        }}});
        let config = folder.path().join("envoy.json");
        std::fs::write(&config, settings.config.to_string()).expect("a file");
        Self::run(&config, settings.workers, folder).await
    }

    /// Replaces the listeners of an Envoy that reads them from a file.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn replace_listener(&self, mut settings: Settings, version: u32) {
        // The same address, or it would be another listener.
        *settings.at("/static_resources/listeners/0/address/socket_address/port_value") = self.listener.port().into();
        write_listeners(self.folder.path(), &mut settings, version);
    }

    async fn run(config: &Path, workers: u16, folder: TempDir) -> Self {
        let admin_file = folder.path().join("admin");
        let mut process = Command::new(server("envoy"))
            .args(["--config-path", path(config), "--admin-address-path", path(&admin_file)])
            .args(["--concurrency", &workers.to_string(), "--disable-hot-restart", "--drain-time-s", "1"])
            .args(["--log-level", "warning", "--component-log-level", "wasm:info,config:info"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Envoy starts");
        let (log, lines) = watch::channel(String::new());
        gather(process.stdout.take().expect("piped"), log.clone());
        gather(process.stderr.take().expect("piped"), log);
        let client = Client::new();
        let started = async {
            let admin = loop {
                if let Some(admin) = std::fs::read_to_string(&admin_file).ok().and_then(|text| text.parse().ok()) {
                    break admin;
                }
                assert!(process.try_wait().expect("a process").is_none(), "Envoy ended:\n{}", *lines.borrow());
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            loop {
                let ready = client.get(&format!("http://{admin}/ready")).await.status == 200;
                if let Some(listener) = listener(&client, admin).await.filter(|_| ready) {
                    return (admin, listener);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, started).await {
            Ok((admin, listener)) => Envoy { process, admin, listener, log: lines, client, folder },
            Err(_) => panic!("Envoy does not get ready:\n{}", *lines.borrow()),
        }
    }

    /// Where deliveries go.
    pub fn address(&self) -> SocketAddr {
        self.listener
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener)
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until it has logged this.
    ///
    /// # Panics
    /// When it does not.
    pub async fn logged(&self, text: &str) {
        let mut log = self.log.clone();
        let found = timeout(PATIENCE, log.wait_for(|log| log.contains(text))).await;
        assert!(found.is_ok(), "it has not logged {text:?}, but:\n{}", self.log());
    }

    /// A page of its admin interface.
    pub async fn admin(&self, path: &str) -> String {
        self.client.get(&format!("http://{}{path}", self.admin)).await.text().to_owned()
    }

    /// A counter or gauge.
    ///
    /// # Panics
    /// When the statistics cannot be read.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats: Value =
            serde_json::from_str(&self.admin(&format!("/stats?format=json&filter=^{name}$")).await).expect("JSON");
        stats["stats"].as_array().and_then(|stats| stats.first()?["value"].as_u64()).unwrap_or_default()
    }

    /// Its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// How much memory it has, in bytes.
    ///
    /// # Panics
    /// When the machine does not say.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().strip_suffix(" kB").and_then(|kilobytes| kilobytes.parse::<usize>().ok()).expect("a size") * 1024
    }
}

/// Whether Envoy takes a configuration, and what it says.
///
/// # Panics
/// When Envoy cannot be run.
pub async fn validate(config: &Path, folder: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(server("envoy"))
        .args(["--mode", "validate", "--config-path", path(config), "--disable-hot-restart"])
        .args(["--log-level", "warning"])
        .current_dir(folder)
        .envs(environment.iter().copied())
        .output()
        .await
        .expect("Envoy starts");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn write_listeners(folder: &Path, settings: &mut Settings, version: u32) {
    let mut listener = settings.at("/static_resources/listeners/0").clone();
    listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    let response = json!({"version_info": version.to_string(), "resources": [listener]});
    let fresh = folder.join("fresh.json");
    std::fs::write(&fresh, response.to_string()).expect("a file");
    // Envoy looks when a file is moved into the folder.
    std::fs::rename(fresh, folder.join("listeners.json")).expect("a file");
}

async fn listener(client: &Client, admin: SocketAddr) -> Option<SocketAddr> {
    let answer = client.get(&format!("http://{admin}/listeners?format=json")).await;
    let listeners: Value = serde_json::from_slice(&answer.body).ok()?;
    let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    format!("{}:{}", address["address"].as_str()?, address["port_value"]).parse().ok()
}

fn gather(stream: impl AsyncRead + Send + Unpin + 'static, log: watch::Sender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            log.send_modify(|log| log.extend([line.as_str(), "\n"]));
        }
    });
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
