//! `hookgate serve`: a server with signals.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::descriptors::make_room;
use super::report::Report;
use super::tryit::Trial;
use super::{Args, Policy, Server, log, tryit};
use crate::Secrets;

/// What can keep a server from running.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Serves until SIGTERM or SIGINT. Prints where it listens to standard output and logs to standard error.
///
/// # Errors
/// Whatever keeps it from serving.
pub async fn run(args: Args) -> Result<ExitCode, Failed> {
    let _log = log::start(args.log_format, &args.log)?;
    let mut signals = Signals::new()?;
    let running = tokio::select! {
        running = Running::start(&args, Secrets::new()) => running?,
        () = signals.end() => return Ok(ExitCode::SUCCESS),
    };
    running.introduce(true);
    signals.asked(&running).await;
    Ok(running.stop(&mut signals).await)
}

/// The signals that a server listens to.
pub(crate) struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Signals {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until somebody asks for the end; reads the policy again whenever that is asked for.
    pub(crate) async fn asked(&mut self, running: &Running) {
        loop {
            tokio::select! {
                Some(()) = self.reload.recv() => {
                    // What is wrong is in the log, and the old policy stays. Reading may take long, or hang: the end must not.
                    tokio::select! {
                        _ = running.server.reload() => {}
                        _ = self.terminate.recv() => return,
                        _ = self.interrupt.recv() => return,
                    }
                }
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }

    /// Waits until somebody asks for the end, or closes the terminal.
    pub(crate) async fn left(&mut self) {
        tokio::select! {
            Some(()) = self.reload.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A server as arguments ask for it.
pub(crate) struct Running {
    pub(crate) server: Server,
    scheme: &'static str,
    /// There without a policy.
    trial: Option<Trial>,
}

impl Running {
    /// Starts it. Secrets that are given here are not looked up in the environment.
    pub(crate) async fn start(args: &Args, secrets: Secrets) -> Result<Self, Failed> {
        let loading = args.clone();
        let plugin = tokio::task::spawn_blocking(move || loading.plugin()).await??;
        let (policy, trial) = match &args.policy {
            Some(file) => (Policy::file(file).with_secrets(secrets), None),
            None => {
                let trial = Trial::new(secrets)?;
                (trial.policy(), Some(trial))
            }
        };
        let mut config = args.config(plugin, policy).await?;
        config.limits.connections = make_room(config.limits.connections);
        config.show = trial.as_ref().map(|_| tryit::show as fn(&Report<'_>));
        let server = Server::start(config).await?;
        let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
        Ok(Running { server, scheme, trial })
    }

    /// Says where it is; without a policy also, if asked for, how to send it something.
    pub(crate) fn introduce(&self, trial: bool) {
        tryit::print(&format!("listening on {}://{}", self.scheme, self.server.address()));
        if let Some(admin) = self.server.admin_address() {
            tryit::print(&format!("admin on http://{admin}"));
        }
        if let Some(found) = self.trial.as_ref().filter(|_| trial) {
            found.introduce(self.scheme, self.server.address());
        }
    }

    /// Finishes what is under way, unless the end is asked for once more.
    pub(crate) async fn stop(self, signals: &mut Signals) -> ExitCode {
        tracing::info!("stopping: finishing what is under way");
        tokio::select! {
            finished = self.server.stop() => if finished { ExitCode::SUCCESS } else { ExitCode::FAILURE },
            () = signals.end() => {
                tracing::warn!("stopped at once, as asked twice");
                ExitCode::FAILURE
            }
        }
    }
}
