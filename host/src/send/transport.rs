//! How deliveries travel.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use tokio::time::{Duration, Instant};

use super::compose::Webhook;
use crate::server::Error;
use crate::server::forward::{Forwarder, Target};
use crate::server::resolve::Resolver;
use crate::server::tls;
use crate::types::Outcome;

/// Who answers within 10 s is heard.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What came of sending a delivery once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// An answer with this status.
    Status(u16),
    /// None within 10 s.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
}

impl Answer {
    /// Only 200 is success to Kapso.
    pub(crate) fn is_success(self) -> bool {
        self == Self::Status(200)
    }
}

/// Sends a delivery to where a webhook's deliveries go. Never answers later than [`LIMIT`].
pub(crate) trait Transport: Send + Sync + 'static {
    fn post(&self, webhook: Webhook, headers: HeaderMap, body: Bytes) -> impl Future<Output = Answer> + Send;
}

/// Over HTTP, with the server's own client: kept connections, no redirect followed.
pub(crate) struct Http {
    forwarder: Forwarder,
    numbers: Target,
    project: Target,
    meta: Target,
}

impl Http {
    /// Sends to these addresses: of phone numbers' webhooks, of the project's, and of Meta forwards.
    ///
    /// # Errors
    /// The file of authorities cannot be read.
    pub(crate) fn new(numbers: Uri, project: Uri, meta: Uri, authorities: Option<&PathBuf>) -> Result<Self, Error> {
        let target = |uri| Target { uri, timeout: LIMIT };
        let forwarder = Forwarder::new(tls::client(authorities)?, Resolver::new());
        Ok(Self { forwarder, numbers: target(numbers), project: target(project), meta: target(meta) })
    }
}

impl Transport for Http {
    async fn post(&self, webhook: Webhook, headers: HeaderMap, body: Bytes) -> Answer {
        let target = match webhook {
            Webhook::Number(_) => &self.numbers,
            Webhook::Project => &self.project,
            Webhook::Meta(_) => &self.meta,
        };
        match self.forwarder.send(target, headers, body, Instant::now() + LIMIT).await {
            Outcome::Answered(status) => Answer::Status(status),
            Outcome::TimedOut => Answer::TimedOut,
            _ => Answer::Unreachable,
        }
    }
}
