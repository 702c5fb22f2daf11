//! `hookgate serve`: a server with signals.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::report::Report;
use super::tryit::Trial;
use super::{Args, Policy, Server, log, tryit};

/// Serves until SIGTERM or SIGINT. Prints where it listens to standard output and logs to standard error.
///
/// # Errors
/// Whatever keeps it from serving.
pub async fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    log::start(args.log_format, &args.log)?;
    let mut reload = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let loading = args.clone();
    let plugin = tokio::task::spawn_blocking(move || loading.plugin()).await??;
    let (policy, trial) = match &args.policy {
        Some(file) => (Policy::file(file), None),
        None => {
            let trial = Trial::new()?;
            (trial.policy(), Some(trial))
        }
    };
    let mut config = args.config(plugin, policy).await?;
    config.show = trial.as_ref().map(|_| tryit::show as fn(&Report<'_>));
    let server = Server::start(config).await?;
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    tryit::print(&format!("listening on {scheme}://{}", server.address()));
    if let Some(admin) = server.admin_address() {
        tryit::print(&format!("admin on http://{admin}"));
    }
    if let Some(trial) = &trial {
        trial.introduce(scheme, server.address());
    }
    loop {
        tokio::select! {
            Some(()) = reload.recv() => {
                // What is wrong is in the log, and the old policy stays.
                let _ = server.reload().await;
            }
            () = asked(&mut terminate, &mut interrupt) => break,
        }
    }
    tracing::info!("stopping: finishing what is under way");
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        () = asked(&mut terminate, &mut interrupt) => {
            tracing::warn!("stopped at once, as asked twice");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn asked(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
