//! Reading the policy and the certificates again, while requests go on with those they met.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::sync::Mutex;
use tokio::time::interval;

use super::Error;
use super::active::{Fingerprint, Policy, fingerprint};
use super::state::State;
use super::tls::{self, Tls};
use crate::Plugin;

/// How often the files are looked at. A change counts when two looks agree, so that no half-written file is read. Looking,
/// unlike being notified, also sees what happens behind mounts and links, as with Kubernetes' volumes.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) struct Reloader {
    pub(crate) state: Arc<State>,
    pub(crate) plugin: Plugin,
    pub(crate) policy: Policy,
    pub(crate) tls: Option<(Arc<ArcSwap<ServerConfig>>, Tls)>,
    pub(crate) turn: Mutex<()>,
}

impl Reloader {
    /// Replaces the policy and the certificate, or leaves both as they are.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.read_again()).await;
        let done = done.unwrap_or_else(|panic| Err(Error::Reload(panic.to_string())));
        match &done {
            Ok(()) => {
                self.state.metrics.reloaded("ok");
                super::announce(&self.state.active.load(), "the policy was read again");
            }
            Err(error) => {
                self.state.metrics.reloaded("refused");
                tracing::error!(%error, "the policy was not changed: the new one is refused");
            }
        }
        done
    }

    fn read_again(&self) -> Result<(), Error> {
        let active = self.policy.load(&self.plugin)?;
        if let Some((current, files)) = &self.tls {
            current.store(tls::server(files)?);
        }
        self.state.store.configure(active.gate.settings().dedupe);
        self.state.active.store(Arc::new(active));
        Ok(())
    }

    /// Reloads whenever the files change. Never ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut known = self.look();
        let mut before = known.clone();
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let now = self.look();
            if now != known && now == before {
                // Refused or not, this version has been read; what it was is in the log.
                let _ = self.reload().await;
                known.clone_from(&now);
            }
            before = now;
        }
    }

    fn look(&self) -> Fingerprint {
        let active = self.state.active.load();
        let own = self.tls.iter().flat_map(|(_, files)| [&files.cert, &files.key]);
        fingerprint(active.files.iter().chain(own))
    }
}
