//! The program that gives this machine a public address for a while.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use crate::printable::clean_to;

/// Lines of its output that are shown when it fails.
const SHOWN: usize = 8;
/// How long it may take to end when asked to.
const END: Duration = Duration::from_secs(5);
/// How long its last words may take when it has ended.
const REST: Duration = Duration::from_millis(200);
/// How long its connection may take once it has an address.
const CONNECTION: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Choice {
    /// The one that is installed, cloudflared first.
    #[default]
    Auto,
    /// Cloudflare's; it needs no account.
    Cloudflared,
    /// ngrok's; it needs an account.
    Ngrok,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cloudflared,
    Ngrok,
}

/// An installed program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    kind: Kind,
    path: PathBuf,
}

impl Program {
    /// Finds it, or says how to get it.
    pub(super) fn find(choice: Choice, given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            let named_ngrok = path.file_name().is_some_and(|name| name.to_string_lossy().contains("ngrok"));
            let kind = match choice {
                Choice::Ngrok => Kind::Ngrok,
                Choice::Auto if named_ngrok => Kind::Ngrok,
                _ => Kind::Cloudflared,
            };
            if !is_program(path) {
                bail!("{} is no program that can be run.\n{}", path.display(), kind.how_to_get());
            }
            return Ok(Program { kind, path: path.to_owned() });
        }
        let kinds: &[Kind] = match choice {
            Choice::Auto => &[Kind::Cloudflared, Kind::Ngrok],
            Choice::Cloudflared => &[Kind::Cloudflared],
            Choice::Ngrok => &[Kind::Ngrok],
        };
        let found = kinds.iter().find_map(|kind| Some(Program { kind: *kind, path: in_path(kind.name())? }));
        found.ok_or_else(|| {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            let how: Vec<_> = kinds.iter().map(|kind| kind.how_to_get()).collect();
            anyhow!(
                "{} is not installed. Install it, or say where it is with --tunnel-program.\n{}",
                names.join(" or "),
                how.join("\n")
            )
        })
    }

    /// Starts it in front of a server on this machine. It ends when this process does, on Linux even if that is killed.
    pub(super) fn start(&self, server: SocketAddr) -> anyhow::Result<Tunnel> {
        let mut command = self.command();
        let url = format!("http://{server}");
        match self.kind {
            // With a configuration of one's own, cloudflared would not make a tunnel for the moment.
            Kind::Cloudflared => command.args(["tunnel", "--config", "/dev/null", "--no-autoupdate", "--url", &url]),
            Kind::Ngrok => command.args(["http", &url, "--log", "stdout", "--log-format", "json"]),
        };
        // In a group of its own, so that Ctrl-C reaches us alone, and the webhook goes before the tunnel does.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.path.display()))?;
        let (lines, output) = channel(64);
        tokio::spawn(read(child.stdout.take(), lines.clone()));
        tokio::spawn(read(child.stderr.take(), lines));
        Ok(Tunnel { kind: self.kind, child, output, last: VecDeque::new() })
    }

    #[cfg(target_os = "linux")]
    fn command(&self) -> Command {
        // Of util-linux: the kernel ends the program with us.
        match in_path("setpriv").filter(|setpriv| can_end_with_us(setpriv)) {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn command(&self) -> Command {
        Command::new(&self.path)
    }
}

/// `cloudflared`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Cloudflared => "cloudflared",
            Kind::Ngrok => "ngrok",
        }
    }

    fn how_to_get(self) -> &'static str {
        match self {
            Kind::Cloudflared => {
                "  cloudflared: `brew install cloudflared`, or a package from https://github.com/cloudflare/cloudflared/releases; it needs no account"
            }
            Kind::Ngrok => {
                "  ngrok: `brew install ngrok`, `snap install ngrok`, or https://ngrok.com/download; then once `ngrok config add-authtoken TOKEN` with the token of your account"
            }
        }
    }

    /// What a line of its output says.
    fn heard(self, line: &str) -> Option<Heard> {
        match self {
            Kind::Cloudflared if line.to_ascii_lowercase().contains("registered tunnel connection") => {
                Some(Heard::Connected)
            }
            Kind::Cloudflared => line.split(|c: char| c.is_whitespace() || c == '|' || c == '"').find_map(|word| {
                let url = Url::parse(word).ok().filter(|url| url.scheme() == "https")?;
                let name = url.host_str()?.strip_suffix(".trycloudflare.com")?;
                // Where it asks for an address, as a line about a failure says.
                (name != "api").then(|| Heard::Url(origin(&url)))
            }),
            Kind::Ngrok => {
                let said: Value = serde_json::from_str(line).ok()?;
                let started = said.get("msg").and_then(Value::as_str) == Some("started tunnel");
                let url = Url::parse(said.get("url").and_then(Value::as_str).filter(|_| started)?).ok()?;
                (url.scheme() == "https").then(|| Heard::Online(origin(&url)))
            }
        }
    }
}

/// What a program says of its tunnel.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// The address; whether it leads here already is said elsewhere.
    Url(String),
    /// The tunnel is connected.
    Connected,
    /// The address, of a tunnel that is connected.
    Online(String),
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A tunnel that runs until it is dropped.
pub(super) struct Tunnel {
    kind: Kind,
    child: Child,
    /// What it prints.
    output: Receiver<String>,
    last: VecDeque<String>,
}

impl Tunnel {
    /// Waits for its address.
    ///
    /// # Errors
    /// It ends, or has none in time: with the last that it said.
    pub(super) async fn url(&mut self, patience: Duration) -> anyhow::Result<String> {
        let found = timeout(patience, self.next_url(false)).await;
        match found {
            Ok(Ok(url)) => Ok(url),
            Ok(Err(ended)) => Err(self.failed(&format!("ended without giving an address ({ended})"))),
            Err(_) => Err(self.failed(&format!("gave no address within {} s", patience.as_secs_f32()))),
        }
    }

    /// Waits for another address in place of `known`.
    ///
    /// # Errors
    /// It ends.
    pub(super) async fn changed(&mut self, known: &str) -> anyhow::Result<String> {
        loop {
            match self.next_url(true).await {
                Ok(url) if url != known => return Ok(url),
                Ok(_) => {}
                Err(ended) => return Err(self.failed(&format!("ended ({ended})"))),
            }
        }
    }

    /// The next address; the error is how it ended. `connected`: it was connected before.
    async fn next_url(&mut self, connected: bool) -> Result<String, String> {
        let mut url = None;
        loop {
            let heard = match url {
                // It has an address and is not connected: after a while one tries all the same.
                Some(ref url) => match timeout(CONNECTION, self.next()).await {
                    Ok(heard) => heard?,
                    Err(_) => return Ok(String::clone(url)),
                },
                None => self.next().await?,
            };
            match (heard, url.take()) {
                (Heard::Online(found), _) => return Ok(found),
                (Heard::Url(found), _) if connected => return Ok(found),
                (Heard::Url(found), _) => url = Some(found),
                (Heard::Connected, Some(found)) => return Ok(found),
                (Heard::Connected, None) => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Heard, String> {
        loop {
            let line = tokio::select! {
                biased;
                Some(line) = self.output.recv() => line,
                ended = self.child.wait() => {
                    // What it said last, and may not have been read yet.
                    while let Ok(Some(line)) = timeout(REST, self.output.recv()).await {
                        self.keep(&line);
                    }
                    return Err(ended.map_or_else(|error| error.to_string(), |status| status.to_string()));
                }
            };
            self.keep(&line);
            if let Some(heard) = self.kind.heard(&line) {
                return Ok(heard);
            }
        }
    }

    fn keep(&mut self, line: &str) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(clean_to(line, 300));
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        let said: String = self.last.iter().map(|line| format!("\n  {line}")).collect();
        let said = if said.is_empty() { "\n  (nothing)".to_owned() } else { said };
        anyhow!("{} {what}. The last that it said:{said}", self.kind.name())
    }

    /// Ends it: asks, and after a while insists.
    pub(super) async fn end(mut self) {
        // Its group, which it is the first of: it may be a script around the program.
        let group = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if group.is_some_and(|group| kill_process_group(group, Signal::TERM).is_ok())
            && timeout(END, self.child.wait()).await.is_ok()
        {
            return;
        }
        // It ended by itself, or now it does.
        let _ = self.child.kill().await;
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, lines: Sender<String>) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = reader.next_segment().await {
        if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).await.is_err() {
            return;
        }
    }
}

/// BusyBox's cannot, and neither can util-linux's before 2.33.
#[cfg(target_os = "linux")]
fn can_end_with_us(setpriv: &Path) -> bool {
    let mut trial = std::process::Command::new(setpriv);
    trial.args(["--pdeathsig", "TERM", "--", "true"]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

fn in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_heard_among_what_cloudflared_says() {
        let heard = |line: &str| Kind::Cloudflared.heard(line);
        for line in [
            "2026-11-24T20:00:00Z INF |  https://seasonal-deck-organisms-sf.trycloudflare.com                               |",
            "https://seasonal-deck-organisms-sf.trycloudflare.com",
            r#"{"level":"info","message":"|  https://seasonal-deck-organisms-sf.trycloudflare.com  |"}"#,
        ] {
            let url = "https://seasonal-deck-organisms-sf.trycloudflare.com".to_owned();
            assert_eq!(heard(line), Some(Heard::Url(url)), "{line}");
        }
        for line in [
            r#"failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp: lookup failed"#,
            "INF Requesting new quick Tunnel on trycloudflare.com...",
            "INF Thank you for trying Cloudflare Tunnel: https://developers.cloudflare.com/cloudflare-one/connections/connect-apps",
            "https://trycloudflare.com.evil.example",
            "",
        ] {
            assert_eq!(heard(line), None, "{line}");
        }
        let connected = "INF Registered tunnel connection connIndex=0 ip=198.41.200.23 location=gru01 protocol=quic";
        assert_eq!(heard(connected), Some(Heard::Connected));
    }

    #[test]
    fn an_address_is_heard_among_what_ngrok_says() {
        let heard = |line: &str| Kind::Ngrok.heard(line);
        let started = r#"{"addr":"http://127.0.0.1:8080","lvl":"info","msg":"started tunnel","name":"command_line","obj":"tunnels","t":"2026-11-24T20:00:00Z","url":"https://1a2b-203-0-113-7.ngrok-free.app"}"#;
        assert_eq!(heard(started), Some(Heard::Online("https://1a2b-203-0-113-7.ngrok-free.app".into())));
        for line in [
            r#"{"lvl":"info","msg":"client session established","obj":"tunnels.session","t":"x"}"#,
            r#"{"addr":"127.0.0.1:4040","lvl":"info","msg":"starting web service","obj":"web","t":"x"}"#,
            r#"{"lvl":"info","msg":"started tunnel","url":"tcp://0.tcp.ngrok.io:1234"}"#,
            "ERROR:  authentication failed: Usage of ngrok requires a verified account and authtoken.",
        ] {
            assert_eq!(heard(line), None, "{line}");
        }
    }
}
