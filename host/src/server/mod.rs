//! The server: takes deliveries over HTTP, has the [`Gate`](crate::Gate) decide them, and carries the decisions out.
//!
//! The server has no opinion about webhooks. It reads requests under limits, claims events in a [`Store`] so that
//! each reaches each target once, forwards them, and answers what the gate says.
//!
//! ```no_run
//! use hookgate::server::{Config, Policy, Server};
//! use hookgate::{Options, Plugin};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let plugin = Plugin::new(&Options::default())?;
//! let server = Server::start(Config::new(plugin, Policy::file("hookgate.yaml"))).await?;
//! println!("listening on {}", server.address());
//! tokio::signal::ctrl_c().await?;
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod active;
mod admin;
mod args;
mod body;
mod claims;
mod deliver;
mod descriptors;
pub(crate) mod forward;
mod listen;
pub mod log;
mod metrics;
pub(crate) mod pause;
mod receive;
mod received;
mod record;
mod redirect;
mod reload;
mod report;
pub(crate) mod resolve;
pub(crate) mod run;
mod stamped;
mod state;
pub mod store;
pub(crate) mod tls;
pub(crate) mod tryit;
mod workers;

use std::future::ready;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::active::Active;
use self::forward::Forwarder;
use self::listen::Listener;
use self::metrics::Metrics;
use self::reload::Reloader;
use self::report::Report;
use self::resolve::Resolver;
use self::stamped::Stamped;
use self::state::State;
use self::store::memory::MemoryStore;
use self::store::{Store, StoreError};
use self::tls::Certificate;
use self::workers::{Worker, Workers};
use crate::policy::ReadError;
use crate::secrets::SecretError;
use crate::{CallError, Plugin};

pub use self::active::Policy;
pub use self::args::Args;
pub use self::record::Recording;
pub use self::run::run;
pub use self::tls::Tls;

/// What a server is made of.
pub struct Config {
    /// The plugin that decides.
    pub plugin: Plugin,
    /// Where the policy comes from.
    pub policy: Policy,
    /// Where deliveries are taken. Port 0 is any free one.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are answered; nowhere if none.
    pub admin: Option<SocketAddr>,
    /// Answers HTTPS if there, HTTP otherwise.
    pub tls: Option<Tls>,
    /// A PEM file of authorities that targets' certificates are checked against besides the system's.
    pub target_ca: Option<PathBuf>,
    /// What is allowed before any work is done.
    pub limits: Limits,
    /// Threads that serve. A connection stays with the thread that has it, and each thread has connections of its own to the
    /// targets. The plugin should have been loaded with [`Options::for_workers`](crate::Options::for_workers) of as many, so that no
    /// delivery waits for another's call.
    pub workers: NonZeroUsize,
    /// Where delivered events are remembered.
    pub store: Arc<dyn Store>,
    /// Keeps deliveries, if there.
    pub recording: Option<Recording>,
    show: Option<fn(&Report<'_>)>,
}

impl Config {
    /// A server on 127.0.0.1:8080 without an admin address and TLS, with the default limits, a
    /// worker for each processor core and its memory in this process.
    #[must_use]
    pub fn new(plugin: Plugin, policy: Policy) -> Self {
        Config {
            plugin,
            policy,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: None,
            tls: None,
            target_ca: None,
            limits: Limits::default(),
            workers: cores(),
            store: Arc::new(MemoryStore::new()),
            recording: None,
            show: None,
        }
    }
}

/// What is allowed before any work is done. How large a body may be is the policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the end of one request to the end of the next one's head. Load balancers keep idle connections for 60 s and take it
    /// badly when the other side closes first. A connection's first head must come within 10 s in any case.
    pub head_time: Duration,
    /// The bytes of a request's head, at least 8192, and over HTTP/2 at most 16,384; more is answered 431, and so are more than 100
    /// header fields.
    pub head_bytes: usize,
    /// From the end of the head to the end of the body; later is answered 408.
    pub body_time: Duration,
    /// From the end of the head to the answer, targets included. Kapso waits for 10 s. A [`RedisStore`](store::redis::RedisStore)
    /// holds what is under way for 30 s: with more than that here, another delivery of the same event may be sent as well.
    pub answer_time: Duration,
    /// Requests in flight whose body is whole; more are answered 503. Browsers back from setup links have an eighth of it for
    /// themselves.
    pub requests: usize,
    /// Bytes of heads that are whole and of bodies as received, held at a time; what goes beyond is answered 503. What comes to other
    /// paths than the sources' has an eighth of it for itself; so have answers to browsers, and room for one of the largest size at
    /// least. On top come the bodies that a policy composes anew for targets, until they are sent, and heads that are still arriving:
    /// up to `head_bytes` for each of the connections.
    pub bytes: usize,
    /// Open connections; more wait to be taken.
    pub connections: usize,
    /// How long a stop waits for what is under way.
    pub stop_time: Duration,
}

impl Limits {
    /// With times that can be added to the present one.
    fn in_range(self) -> Self {
        let time = |time: Duration| time.min(FOREVER);
        Limits {
            head_time: time(self.head_time),
            body_time: time(self.body_time),
            answer_time: time(self.answer_time),
            stop_time: time(self.stop_time),
            ..self
        }
    }
}

/// Open connections to the admin address. Their descriptors are a part of those that are kept for all but deliveries.
const ADMIN_CONNECTIONS: usize = 256;

/// As good as no limit.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_time: Duration::from_secs(75),
            head_bytes: 64 * 1024,
            body_time: Duration::from_secs(5),
            answer_time: Duration::from_secs(9),
            requests: 512,
            bytes: 256 << 20,
            connections: 8192,
            stop_time: Duration::from_secs(15),
        }
    }
}

/// Why a server did not start, or a policy was not replaced.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A thread that serves cannot be started.
    #[error("cannot start a thread that serves: {0}")]
    Workers(std::io::Error),
    /// A certificate or key cannot be used.
    #[error("cannot use {}: {message}", file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
    /// The policy's file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The policy is wrong.
    #[error("the policy is wrong:{}", .0.iter().map(|wrong| format!("\n  {wrong}")).collect::<String>())]
    Policy(
        /// Everything that is wrong, each with its place: `hookgate.yaml:12: /rules/0/to: …`.
        Vec<String>,
    ),
    /// The plugin failed to compile the policy.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A secret's value could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Nothing can be sent to a target of the policy.
    #[error("the target {target:?} cannot be used: {message}")]
    Target {
        /// The target's name.
        target: String,
        /// Why.
        message: String,
    },
    /// The store of event keys cannot be opened.
    #[error("cannot open the store: {0}")]
    Store(#[from] StoreError),
    /// Deliveries cannot be recorded there.
    #[error("cannot record to {}: {message}", folder.display())]
    Recording {
        /// The folder.
        folder: PathBuf,
        /// Why.
        message: String,
    },
    /// Reading the policy broke off.
    #[error("reading the policy broke off: {0}")]
    Load(String),
}

/// How long a stop waits for what is still to be recorded, and as long for the store of event keys.
const WRITE_TIME: Duration = Duration::from_secs(2);

/// A server that runs. Dropping it closes its connections at once, while messages under way to targets still end in their
/// own time; [`Server::stop`] lets everything finish.
pub struct Server {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    state: Arc<State>,
    reloader: Arc<Reloader>,
    deliveries: JoinHandle<()>,
    /// Of the admin address and the watch over the files, which stay until the end.
    others: Vec<JoinHandle<()>>,
}

impl Server {
    /// Compiles the policy, begins to listen, and returns.
    ///
    /// # Errors
    /// Whatever keeps it from serving: see [`enum@Error`].
    pub async fn start(config: Config) -> Result<Self, Error> {
        let Config { plugin, policy, listen, admin, tls, target_ca, limits, workers, store, recording, show } = config;
        let limits = limits.in_range();
        let (active, mut files, plugin, policy) = load(plugin, policy).await?;
        let (target_tls, resolver) = (tls::client(target_ca.as_ref())?, Resolver::new());
        let certificate = tls.map(|tls| Certificate::read(tls, &mut files)).transpose()?;
        store.configure(active.gate.settings().dedupe);
        let metrics = Metrics::new();
        let recorder = recording.map(|recording| recording.start(metrics.records.clone())).transpose()?;
        let state = Arc::new(State::new(active, store, metrics, recorder, limits.clone(), workers.get(), show));
        let forwarder = || Forwarder::new(target_tls.clone(), resolver.clone());
        let workers = Arc::new(Workers::start(workers, &state.tasks, forwarder).map_err(Error::Workers)?);

        let socket = bind(listen).await?;
        let address = local(&socket, listen)?;
        let listener = Listener { socket, tls: certificate.clone(), limits: limits.clone(), workers: workers.clone() };
        let shared = state.clone();
        let service =
            move |worker: &Arc<Worker>, peer, request| receive::receive(shared.clone(), worker.clone(), peer, request);

        let mut admin_address = None;
        let mut others = Vec::new();
        if let Some(admin) = admin {
            let socket = bind(admin).await?;
            admin_address = Some(local(&socket, admin)?);
            let shared = state.clone();
            let service = move |_: &Arc<Worker>, _, request| ready(admin::answer(&shared, &request));
            let limits = Limits { connections: limits.connections.min(ADMIN_CONNECTIONS), ..limits };
            let listener = Listener { socket, tls: None, limits, workers };
            others.push(tokio::spawn(listener.serve(CancellationToken::new(), service)));
        }
        let deliveries = tokio::spawn(listener.serve(state.stopping.clone(), service));
        let reloader = Arc::new(Reloader::new(state.clone(), plugin, policy, certificate, files));
        others.push(tokio::spawn(reloader.clone().watch()));
        announce(&state.active.load(), "the policy is in force");
        Ok(Server { address, admin_address, state, reloader, deliveries, others })
    }

    /// Where deliveries are taken, with the actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin address is, with the actual port.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The names of the sources in force, each with its path.
    #[must_use]
    pub fn sources(&self) -> Vec<(String, String)> {
        let active = self.state.active.load();
        active.gate.settings().sources.iter().map(|source| (source.name.clone(), source.path.clone())).collect()
    }

    /// Reads the policy, its secrets and the certificate again. Requests under way end with the policy they began with; what
    /// was delivered stays remembered, and connections stay open. On failure everything stays as it was.
    ///
    /// # Errors
    /// What is wrong with the new policy.
    pub async fn reload(&self) -> Result<(), Error> {
        self.reloader.reload().await
    }

    /// Takes no more connections, finishes what is under way, for [`Limits::stop_time`] at the most, writes what is to be recorded
    /// and closes the store, for two seconds each at the most, and ends. Says whether there was time for all deliveries that were being
    /// sent on, all that was to be recorded, and the store.
    pub async fn stop(mut self) -> bool {
        let state = self.state.clone();
        state.stopping.cancel();
        let finish = async {
            let _ = (&mut self.deliveries).await;
            state.tasks.close();
            state.tasks.wait().await;
        };
        let in_time = timeout(state.limits.stop_time, finish).await.is_ok();
        self.deliveries.abort();
        // Whoever only holds a connection open has no say in it.
        let mut finished = state.tasks.is_empty();
        if !finished {
            tracing::warn!("deliveries were still under way at the end of the time for stopping");
        } else if !in_time {
            tracing::warn!("connections were still open at the end of the time for stopping");
        }
        if let Some(recorder) = &state.recorder
            && timeout(WRITE_TIME, recorder.finish()).await.is_err()
        {
            tracing::warn!("deliveries were still to be recorded at the end of the time for that");
            finished = false;
        }
        if timeout(WRITE_TIME, state.store.close()).await.is_err() {
            tracing::warn!("event keys were still to be written at the end of the time for that");
            finished = false;
        }
        finished
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopping.cancel();
        self.deliveries.abort();
        self.others.iter().for_each(JoinHandle::abort);
    }
}

async fn load(plugin: Plugin, policy: Policy) -> Result<(Active, Stamped, Plugin, Policy), Error> {
    let work = tokio::task::spawn_blocking(move || {
        let mut files = Stamped::default();
        policy.load(&plugin, &mut files).map(|active| (active, files, plugin, policy))
    });
    work.await.unwrap_or_else(|panic| Err(Error::Load(panic.to_string())))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })
}

fn local(socket: &TcpListener, address: SocketAddr) -> Result<SocketAddr, Error> {
    socket.local_addr().map_err(|error| Error::Listen { address, error })
}

fn announce(active: &Active, message: &str) {
    let settings = active.gate.settings();
    tracing::info!(sources = settings.sources.len(), targets = settings.targets.len(), "{message}");
}

/// As many as this process may use.
fn cores() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
