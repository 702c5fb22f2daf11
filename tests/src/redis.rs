//! A Redis server.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server;

const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis server that runs until dropped and keeps nothing.
pub struct Redis {
    port: u16,
    _folder: TempDir,
    _server: Child,
}

impl Redis {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        for _ in 0..5 {
            if let Some(redis) = Self::try_start().await {
                return redis;
            }
        }
        panic!("redis-server ended five times");
    }

    /// None if it ended: another may have taken the port meanwhile.
    async fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let mut server = Command::new(server("redis-server"))
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string(), "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server runs");
        let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("its output is text") {
                if line.contains("Ready to accept connections") {
                    return true;
                }
            }
            false
        };
        if !timeout(PATIENCE, ready).await.expect("redis-server starts") {
            return None;
        }
        // What it still writes goes nowhere, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Redis { port, _folder: folder, _server: server })
    }

    /// The first line of its answer to a command.
    ///
    /// # Panics
    /// When there is none.
    pub async fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it is there");
        stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("it reads");
        let mut lines = BufReader::new(stream).lines();
        timeout(PATIENCE, lines.next_line()).await.expect("it answers").expect("it answers").expect("it answers")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
