//! A real Spin.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{App, Server, Store};
use crate::running::id;

/// Longer than Spin takes to compile the components.
const PATIENCE: Duration = Duration::from_secs(120);

/// What Spin writes when it serves.
const SERVING: &str = "Available Routes";

/// The `spin` to use: what `SPIN` names, or the one on the path.
pub(super) fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SPIN") {
        let named = PathBuf::from(named);
        assert!(named.exists(), "SPIN names {}, which is not there", named.display());
        return Some(named);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("spin")).find(|file| file.is_file())
}

/// `spin up`.
pub(super) struct Up {
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    child: Child,
}

impl Up {
    pub(super) async fn start(program: &Path, manifest: &Path, app: &App) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let state = manifest.parent().context("a manifest stands in a folder")?;
        let mut command = Command::new(program);
        command.arg("up").arg("--from").arg(manifest).arg("--listen").arg(address.to_string());
        command.arg("--state-dir").arg(state.join("state"));
        if let Store::Redis(url) = &app.store {
            let config = state.join("runtime.toml");
            std::fs::write(&config, format!("[key_value_store.default]\ntype = \"redis\"\nurl = {url:?}\n"))?;
            command.arg("--runtime-config-file").arg(config);
        }
        for (name, value) in &app.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let log = Arc::new(Mutex::new(String::new()));
        let mut up = Up { address, log: log.clone(), child };
        let (serving, mut served) = watch::channel(false);
        let serving = Arc::new(serving);
        follow(up.child.stdout.take().context("its output")?, log.clone(), serving.clone());
        follow(up.child.stderr.take().context("its errors")?, log.clone(), serving);
        let started = timeout(PATIENCE, served.wait_for(|serving| *serving)).await;
        let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(matches!(started, Ok(Ok(_))), "spin up does not serve:\n{said}");
        Ok(up)
    }
}

impl Server for Up {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Up {
    /// Ends Spin with the trigger that it has started: both are in a process group of their own.
    fn drop(&mut self) {
        if let Some(group) = id(&self.child) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// Keeps what Spin writes, until it ends.
fn follow(output: impl AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<String>>, serving: Arc<watch::Sender<bool>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(SERVING) {
                serving.send_replace(true);
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}
