//! Servers: `hookgate serve` beside what one would write by hand.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use hookgate_tests::server;
use serde_json::json;

use crate::chart::{Bar, Panel};
use crate::cpu;
use crate::delivery::{PATH, SECRET, Size};
use crate::effort::Effort;
use crate::goal::Goal;
use crate::load::{Heard, Sender, memory, on_this_thread};
use crate::nginx::{self, Script};
use crate::peers::{Duty, Peer, upstream};
use crate::report::{Findings, Measure, Table, amount, with_spread};
use crate::series::Series;
use crate::side_by_side::{self, Contender, Fared};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// `hookgate serve`, answering or sending on.
    Hookgate { how: How, forward: bool },
    /// Written by hand on axum.
    Native { forward: bool },
    /// As the vendor's documentation has it, on Node.
    Express,
    /// nginx with a script module.
    Nginx { script: Script, forward: bool },
    /// The Spin build on wasmtime.
    Spin,
}

/// How `hookgate serve` runs its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As it does if nobody says otherwise: instances reused, on its own SHA-256.
    Default,
    /// Hashing by itself.
    PluginSha256,
    /// A new instance for each call.
    Fresh,
}

const DEFAULT: Server = Server::Hookgate { how: How::Default, forward: false };
const PLUGIN_SHA256: Server = Server::Hookgate { how: How::PluginSha256, forward: false };
const FRESH: Server = Server::Hookgate { how: How::Fresh, forward: false };
const FORWARDING: Server = Server::Hookgate { how: How::Default, forward: true };
const NATIVE: Server = Server::Native { forward: false };
const NATIVE_FORWARDING: Server = Server::Native { forward: true };

const SERVERS: [Server; 13] = [
    NATIVE,
    DEFAULT,
    PLUGIN_SHA256,
    FRESH,
    Server::Express,
    Server::Nginx { script: Script::Js, forward: false },
    Server::Nginx { script: Script::Lua, forward: false },
    NATIVE_FORWARDING,
    FORWARDING,
    Server::Hookgate { how: How::Fresh, forward: true },
    Server::Nginx { script: Script::Js, forward: true },
    Server::Nginx { script: Script::Lua, forward: true },
    Server::Spin,
];

const SIZES: [Size; 2] = [Size::Message, Size::Batch];

/// The share of the load that a server can bear which it is put under for long.
const SHARE: f64 = 0.8;
/// How often it is tried what a server can bear: on a machine that others use, the worst of them counts.
const TRIALS: usize = 10;

impl Server {
    fn name(self) -> String {
        let (what, forward) = match self {
            Self::Hookgate { how, forward } => (how.name(), forward),
            Self::Native { forward } => ("axum by hand", forward),
            Self::Express => ("Node with Express", false),
            Self::Nginx { script, forward } => (script.name(), forward),
            Self::Spin => ("the Spin build on wasmtime", true),
        };
        format!("{what}, {}", if forward { "sending on" } else { "answering" })
    }

    fn start(self, target: SocketAddr, scratch: &Path) -> anyhow::Result<Peer> {
        match self {
            Self::Hookgate { how, forward } => {
                let file = policy(scratch, forward.then_some(target))?;
                let mut command = Command::new(beside("hookgate")?);
                command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--log", "warn"]);
                command.args(how.arguments()).arg("--policy").arg(file);
                Peer::start(command.env("SECRET", SECRET))
            }
            Self::Native { forward: false } => Peer::receiver(Duty::Answer, None),
            Self::Native { forward: true } => Peer::receiver(Duty::Forward, Some(target)),
            Self::Express => {
                let script = scratch.join("express.js");
                fs::write(&script, include_str!("../peers/express.js"))?;
                let mut command = Command::new(server("node-express"));
                Peer::start(command.arg(script).env("NODE_ENV", "production").env("WEBHOOK_SECRET", SECRET))
            }
            Self::Nginx { script, forward } => nginx::start(script, forward.then_some(target), scratch),
            Self::Spin => {
                let policy = fs::read_to_string(policy(scratch, Some(target))?)?;
                Peer::start(Command::new(beside("hookgate-bench-spin")?).args([
                    &policy,
                    SECRET,
                    &format!("http://{target}"),
                ]))
            }
        }
    }
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "hookgate serve",
            Self::PluginSha256 => "hookgate serve --sha256 plugin",
            Self::Fresh => "hookgate serve --instances fresh",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Default => &[],
            Self::PluginSha256 => &["--sha256", "plugin"],
            Self::Fresh => &["--instances", "fresh"],
        }
    }
}

/// A program that was built with this one.
fn beside(program: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(program))
}

/// A policy that drops what is genuine, or sends it on.
fn policy(folder: &Path, target: Option<SocketAddr>) -> anyhow::Result<PathBuf> {
    let mut inbound = json!({"name": "inbound", "when": {"event": "whatsapp.message.received"},
        "unless": {"origin": "history_sync"}});
    let mut targets = json!({});
    match target {
        None => inbound["drop"] = json!(true),
        Some(target) => {
            inbound["to"] = json!(["service"]);
            targets["service"] = json!({"url": format!("http://{target}/hook")});
        }
    }
    let policy = json!({
        "sources": [{"name": "whatsapp", "path": PATH, "secrets": ["SECRET"]}],
        "rules": [{"name": "tests", "when": {"test": true}, "drop": true}, inbound],
        "targets": targets,
    });
    let file = folder.join(if target.is_some() { "forward.json" } else { "answer.json" });
    fs::write(&file, policy.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Measures.
pub(crate) fn run(effort: &Effort) -> anyhow::Result<Findings> {
    let scratch = tempfile::tempdir()?;
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    let mut sustained = None;
    on_this_thread(async {
        let target = upstream().await?;
        let started = SERVERS.iter().map(|which| which.start(target, scratch.path()));
        let peers = started.collect::<anyhow::Result<Vec<_>>>()?;
        for size in SIZES {
            eprintln!("Servers: {size}, {} rounds.", effort.load_rounds);
            let contenders: Vec<_> = SERVERS
                .iter()
                .zip(&peers)
                .map(|(which, peer)| Contender {
                    name: which.name(),
                    sender: Sender::new(peer.address, size),
                    processes: vec![peer.id()],
                })
                .collect();
            found.push((size, side_by_side::run(effort, &contenders).await?));
        }
        for (which, peer) in SERVERS.iter().zip(&peers) {
            sizes.push((*which, memory(peer.id())?));
        }
        sustained = Some(sustain(effort).await?);
        Ok(())
    })?;
    let sustained = sustained.context("it was sustained")?;
    Ok(Results { found, sizes, sustained }.findings())
}

/// Load that is a share of what the server can bear, for long, at times that do not depend on its answers.
pub(crate) struct Sustained {
    pub(crate) rate: f64,
    pub(crate) heard: Heard,
    /// CPU time of the sender and of the service behind.
    pub(crate) sending: Duration,
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
}

/// Puts `hookgate serve` under such a load.
pub(crate) async fn sustain(effort: &Effort) -> anyhow::Result<Sustained> {
    let scratch = tempfile::tempdir()?;
    let peer = FORWARDING.start(upstream().await?, scratch.path())?;
    let sender = Sender::new(peer.address, Size::Message);
    let watched = [peer.id()];
    let mut borne = f64::INFINITY;
    for _ in 0..TRIALS {
        borne = borne.min(sender.closed(&watched, effort.warming).await?.rate());
        tokio::time::sleep(effort.warming).await;
    }
    let rate = SHARE * borne;
    eprintln!("Sustained: {rate:.0} deliveries a second for {} s.", effort.sustained.as_secs());
    let memory_before = memory(peer.id())?;
    let before = cpu::of_this_process()?;
    let heard = sender.open(&watched, rate, effort.sustained).await?;
    let sending = cpu::of_this_process()? - before;
    Ok(Sustained { rate, heard, sending, memory_before, memory_after: memory(peer.id())? })
}

impl Sustained {
    /// In milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.heard.latency.value_at_quantile(part) as f64 / 1e3
    }

    pub(crate) fn table(&self, title: &str) -> Table {
        let number = |value: f64| amount(value);
        let longest = self.heard.latency.max() as f64 / 1e3;
        let elapsed = self.heard.elapsed.as_secs_f64();
        let busy = |cpu: Duration| number(cpu.as_secs_f64() / elapsed);
        let row = vec![
            self.heard.requests.to_string(),
            number(elapsed),
            number(self.rate),
            busy(self.heard.cpu),
            busy(self.sending),
            number(self.quantile(0.5)),
            number(self.quantile(0.99)),
            number(self.quantile(0.999)),
            number(longest),
            number(self.memory_before as f64 / 1e6),
            number(self.memory_after as f64 / 1e6),
        ];
        let columns = [
            "deliveries",
            "seconds",
            "a second",
            "cores busy, server",
            "sender and service",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "longest ms",
            "MB before",
            "MB after",
        ];
        Table {
            title: title.to_owned(),
            about: format!(
                "`hookgate serve` sending on deliveries of 1.1 KB, at random times that do not depend on its answers, at 80 % of \
                 the rate that it bore in the worst of {TRIALS} trials, sender and service on the same machine. A delivery's time \
                 runs from when it was due."
            ),
            columns: columns.map(str::to_owned).into(),
            rows: vec![row],
        }
    }

    pub(crate) fn goals(&self) -> Vec<Goal> {
        let seconds = format!("{:.0} s", self.heard.elapsed.as_secs_f64());
        vec![
            Goal::at_most("T10", format!("p99 / p50 at 80 % load for {seconds}"), 3.0, 2.0)
                .measured(self.quantile(0.99) / self.quantile(0.5)),
            Goal::at_most("T10", format!("the longest answer at 80 % load in {seconds}"), 50.0, 50.0)
                .unit(" ms")
                .measured(self.heard.latency.max() as f64 / 1e3),
        ]
    }
}

struct Results {
    /// In the order of [`SERVERS`].
    found: Vec<(Size, Vec<Fared>)>,
    /// Resident memory after the rounds.
    sizes: Vec<(Server, u64)>,
    sustained: Sustained,
}

impl Results {
    fn cpu(&self, which: Server, size: Size) -> &Series {
        let place = SERVERS.iter().position(|other| *other == which).unwrap_or_default();
        let found = self.found.iter().find(|found| found.0 == size).unwrap_or(&self.found[0]);
        &found.1[place].cpu
    }

    fn findings(&self) -> Findings {
        let mut findings = Findings { goals: self.goals(), ..Findings::default() };
        for (size, fared) in &self.found {
            for (which, fared) in SERVERS.iter().zip(fared) {
                findings.measures.push(Measure {
                    name: format!("servers: {}, {size}", which.name()),
                    unit: "us",
                    series: fared.cpu.clone(),
                });
            }
            findings.tables.push(self.costs(*size, fared));
            findings.panels.push(Panel {
                title: format!("Servers, {size}"),
                unit: "µs of CPU time a request",
                bars: SERVERS
                    .iter()
                    .zip(fared)
                    .map(|(which, fared)| Bar {
                        label: which.name(),
                        value: fared.cpu.median(),
                        ours: matches!(which, Server::Hookgate { .. } | Server::Spin),
                    })
                    .collect(),
            });
        }
        findings.tables.push(self.sustained.table("Servers: 80 % load"));
        findings
    }

    fn costs(&self, size: Size, fared: &[Fared]) -> Table {
        let native = self.cpu(NATIVE, size);
        let rows = SERVERS.iter().zip(fared).map(|(which, fared)| {
            let quantile = |part| amount(fared.latency.value_at_quantile(part) as f64);
            let memory =
                self.sizes.iter().find(|(other, _)| other == which).map_or(f64::NAN, |(_, size)| *size as f64 / 1e6);
            vec![
                which.name(),
                with_spread(&fared.cpu),
                with_spread(&fared.cpu.over(native)),
                quantile(0.5),
                quantile(0.99),
                amount(memory),
            ]
        });
        Table {
            title: format!("Servers: {size}"),
            about: "Microseconds of CPU time a request, with 8 connections; how many times axum by hand; how long answers took at \
                    full load, in microseconds; megabytes resident in the end."
                .to_owned(),
            columns: ["", "CPU", "x axum", "p50", "p99", "MB"].map(str::to_owned).into(),
            rows: rows.collect(),
        }
    }

    fn goals(&self) -> Vec<Goal> {
        let (message, batch) = (Size::Message, Size::Batch);
        let express = |which, size| self.cpu(Server::Express, size).over(self.cpu(which, size)).median();
        let native = |which, other, size| self.cpu(which, size).over(self.cpu(other, size)).median();
        let mut goals = vec![
            Goal::at_least("T8", "requests a CPU second, 1.1 KB, fresh instances: hookgate serve / Express", 5.0, 8.0)
                .measured(express(FRESH, message)),
            Goal::at_least("T8", "requests a CPU second, 1.1 KB: hookgate serve / Express", 9.0, 12.0)
                .measured(express(DEFAULT, message)),
            Goal::at_least("T8", "requests a CPU second, 57 KB: hookgate serve / Express", 1.7, 3.0)
                .measured(express(DEFAULT, batch)),
            Goal::at_most("T9", "1.1 KB, answering, fresh instances: hookgate serve / axum by hand", 3.0, 2.2)
                .measured(native(FRESH, NATIVE, message)),
            Goal::at_most("T9", "1.1 KB, answering, the plugin's SHA-256: hookgate serve / axum by hand", 1.4, 1.2)
                .measured(native(PLUGIN_SHA256, NATIVE, message)),
            Goal::at_most("T9", "1.1 KB, answering: hookgate serve / axum by hand", 1.3, 1.1)
                .measured(native(DEFAULT, NATIVE, message)),
            Goal::at_most("T9", "1.1 KB, sending on: hookgate serve / axum by hand", 1.3, 1.1).measured(native(
                FORWARDING,
                NATIVE_FORWARDING,
                message,
            )),
        ];
        goals.extend(self.sustained.goals());
        goals
    }
}
