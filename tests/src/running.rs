//! The program `hookgate`, while it runs.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::{cache, program};

pub use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(60);

/// Lines as they come.
#[derive(Clone, Default)]
pub struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

impl Lines {
    fn of(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let this = Lines::default();
        let lines = this.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lines.lock().expect("nobody panicked").push(line);
                lines.more.notify_waiters();
            }
        });
        this
    }

    /// All that came until now.
    ///
    /// # Panics
    /// Never.
    pub fn all(&self) -> String {
        self.lines.lock().expect("nobody panicked").join("\n")
    }

    /// The first line that contains a text.
    ///
    /// # Panics
    /// When none comes.
    pub async fn with(&self, text: &str) -> String {
        let found = async {
            loop {
                let more = self.more.notified();
                let lines = self.lines.lock().expect("nobody panicked").clone();
                if let Some(line) = lines.into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                more.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{text:?} should come in:\n{}", self.all()))
    }
}

/// A run of the program.
pub struct Running {
    /// The process.
    pub child: Child,
    /// Its standard output.
    pub out: Lines,
    /// Its standard error.
    pub log: Lines,
}

impl Running {
    /// Starts a command that serves, on free ports, with nothing in its environment but these variables and what a
    /// shell adds.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(command: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_after("", command, args, env)
    }

    /// The same behind what a shell does first.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_after(first: &str, command: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut running = Self::start_unread(first, command, args, env);
        running.log = Lines::of(running.child.stderr.take().expect("a pipe"));
        running
    }

    /// The same, and nobody reads its log.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_unread(first: &str, command: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{first}\nexec \"$0\" \"$@\"")])
            .arg(program())
            .arg(command)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_CACHE_HOME", cache())
            .envs(env.iter().copied().collect::<HashMap<_, _>>())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        Running { child, out, log: Lines::default() }
    }

    /// Where it takes deliveries.
    pub async fn url(&self, path: &str) -> String {
        let line = self.out.with("listening on ").await;
        format!("{}{path}", line.trim_start_matches("listening on "))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Waits for its end; its status, if it was not killed.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it ran").code()
    }
}

/// Sends a program a signal.
///
/// # Panics
/// When it does not run.
pub fn send_signal(child: &Child, signal: Signal) {
    kill_process(id(child).expect("it runs"), signal).expect("it runs");
}

/// A program's number, while it runs.
pub(crate) fn id(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id()?.try_into().ok()?)
}
