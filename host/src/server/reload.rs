//! Reading the policy and the certificates again, while requests go on with those they met.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::Error;
use super::active::Policy;
use super::stamped::Stamped;
use super::state::State;
use super::tls::Certificate;
use crate::Plugin;

/// How often the files are looked at. A change counts when two looks agree, so that no half-written file is read. Looking,
/// unlike being notified, also sees what happens behind mounts and links, as with Kubernetes' volumes.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) struct Reloader {
    state: Arc<State>,
    plugin: Plugin,
    policy: Policy,
    certificate: Option<Certificate>,
    /// The files as they were when they were last read, with success or without.
    known: Mutex<Stamped>,
}

impl Reloader {
    /// `read` is all files as they were when they were read.
    pub(crate) fn new(
        state: Arc<State>,
        plugin: Plugin,
        policy: Policy,
        certificate: Option<Certificate>,
        read: Stamped,
    ) -> Self {
        Reloader { state, plugin, policy, certificate, known: Mutex::new(read) }
    }

    /// Replaces the policy and the certificate, or leaves both as they are. It goes on when nobody waits for it any more, so that the
    /// next one begins after it.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), Error> {
        let work = tokio::spawn(self.clone().reload_in_turn());
        work.await.unwrap_or_else(|panic| Err(Error::Load(panic.to_string())))
    }

    async fn reload_in_turn(self: Arc<Self>) -> Result<(), Error> {
        let mut known = self.known.lock().await;
        let before = now(&known).await;
        let this = self.clone();
        let work = spawn_blocking(move || {
            let mut files = Stamped::default();
            let done = this.read_again(&mut files);
            (files, done)
        });
        let (files, done) = work.await.unwrap_or_else(|panic| (before, Err(Error::Load(panic.to_string()))));
        *known = files;
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

    fn read_again(&self, files: &mut Stamped) -> Result<(), Error> {
        let read = self.certificate.as_ref().map(|own| own.read_again(files)).transpose();
        let active = self.policy.load(&self.plugin, files)?;
        if let (Some(own), Some(read)) = (&self.certificate, read?) {
            own.replace(read);
        }
        self.state.store.configure(active.gate.settings().dedupe);
        self.state.active.store(Arc::new(active));
        Ok(())
    }

    /// Makes new instances in the place of those that are worn out or failed, so that no delivery waits for one.
    async fn replace_instances(&self) {
        let active = self.state.active.load_full();
        // Whatever fails here fails again, and is told, when a delivery needs it.
        let _ = spawn_blocking(move || while matches!(active.gate.warm(), Ok(true)) {}).await;
    }

    /// Reloads whenever the files change. Never ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut before = Stamped::default();
        let mut looks = interval(LOOK);
        // Two looks that agree are only worth something with time between them, also after a reload that took long.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let known = {
                // Nobody else makes instances meanwhile.
                let known = self.known.lock().await;
                self.replace_instances().await;
                known.clone()
            };
            let now = now(&known).await;
            if now != known && now == before {
                // Refused or not, this version has been read; what was wrong with it is in the log.
                let _ = self.reload().await;
            }
            before = now;
        }
    }
}

/// The files as they are now. A mount that hangs holds nobody up.
async fn now(files: &Stamped) -> Stamped {
    let known = files.clone();
    spawn_blocking(move || known.now()).await.unwrap_or_else(|_| files.clone())
}
