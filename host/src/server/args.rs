//! The arguments of `hookgate serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::TypedValueParser;

use super::log::Format;
use super::store::Choice;
use super::{Config, Error, Limits, Policy, Recording, Tls, cores};
use crate::unrepeated::Unrepeated;
use crate::{Instances, LoadError, Options, Plugin, Sha256};

/// Takes deliveries over HTTP, verifies and routes them, and sends them on.
///
/// Without --policy it starts in try-it mode: one source at /webhooks/whatsapp, its secret from KAPSO_WEBHOOK_SECRET or a
/// generated one that is printed, every decision shown, nothing sent on.
///
/// Secrets that the policy names come from the environment: NAME, or the file that NAME_FILE names. The policy, those
/// files and the certificate are read again when they change and on SIGHUP. SIGTERM finishes what is under way, then
/// leaves, with exit status 1 if there was no time for a delivery that was being sent on, or to write.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookgate serve                                         try it: shows how to send a first delivery
  KAPSO_SECRET=whsec_1 hookgate serve -p hookgate.yaml   verify and route
  hookgate serve -p hookgate.yaml --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
  hookgate serve -p hookgate.yaml --store redis://redis  several servers, one memory
  hookgate serve -p hookgate.yaml --record got           keep deliveries, for hookgate replay")]
pub struct Args {
    /// The policy, in JSON, TOML or YAML.
    #[arg(long, short, value_name = "FILE", env = "HOOKGATE_POLICY")]
    pub policy: Option<PathBuf>,

    /// Where deliveries are taken. Port 0 takes any free one and prints it.
    #[arg(long, value_name = "ADDR", env = "HOOKGATE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where /healthz, /readyz and /metrics are answered, or "off".
    #[arg(long, value_name = "ADDR", env = "HOOKGATE_ADMIN", default_value = "127.0.0.1:9464")]
    pub admin: Admin,

    /// A PEM file with the certificate chain: answers HTTPS.
    #[arg(long, value_name = "FILE", env = "HOOKGATE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// A PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE", env = "HOOKGATE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A PEM file of authorities that targets' certificates are checked against besides the system's.
    #[arg(long, value_name = "FILE", env = "HOOKGATE_TARGET_CA")]
    pub target_ca: Option<PathBuf>,

    /// Where delivered events are remembered: "memory"; "file:PATH", which outlives a restart; or "redis://HOST", which several
    /// servers share.
    #[arg(long, value_name = "STORE", env = "HOOKGATE_STORE", default_value = "memory", hide_env_values = true,
        value_parser = Unrepeated::<Choice>::new())]
    pub store: Choice,

    /// Keeps genuine deliveries in this folder, one JSON object a line, to be read by `hookgate verify` and its like and sent
    /// again by `hookgate replay`. The folder is made if it is not there, and only you can read it.
    ///
    /// Headers that carry credentials (such as Authorization, Cookie, or one with "token" in its name) and those that proxies
    /// add are left out, and so is the query. Recording slows no delivery: what cannot be written is counted.
    #[arg(long, value_name = "DIR", env = "HOOKGATE_RECORD", help_heading = "Recording")]
    pub record: Option<PathBuf>,

    /// The maximum size of all recorded deliveries together, in bytes. The oldest are removed to stay below it.
    #[arg(long, value_name = "BYTES", env = "HOOKGATE_RECORD_BYTES", default_value_t = Recording::new("").bytes,
        help_heading = "Recording", value_parser = clap::value_parser!(u64).range(65_536..))]
    pub record_bytes: u64,

    /// Records deliveries that were refused as well, such as those with a wrong signature.
    #[arg(long, env = "HOOKGATE_RECORD_FORGED", requires = "record", help_heading = "Recording")]
    pub record_forged: bool,

    /// Records no signatures: whoever reads the recording cannot send it to you again as genuine.
    #[arg(long, env = "HOOKGATE_RECORD_WITHOUT_SIGNATURES", requires = "record", help_heading = "Recording")]
    pub record_without_signatures: bool,

    /// Records all headers, those that carry credentials included.
    #[arg(
        long,
        env = "HOOKGATE_RECORD_ALL_HEADERS",
        requires = "record",
        conflicts_with = "redact",
        help_heading = "Recording"
    )]
    pub record_all_headers: bool,

    /// Removes personal data from recorded bodies: texts, names and media URLs are blanked, phone numbers and message
    /// ids replaced with pseudonyms that stay the same until the server restarts. Fields that rules match on are kept,
    /// except the text. Signatures, which would no longer be valid, and headers other than Kapso's are left out.
    #[arg(long, env = "HOOKGATE_REDACT", requires = "record", help_heading = "Recording")]
    pub redact: bool,

    /// Whether the plugin's instances are reused.
    #[arg(long, value_enum, env = "HOOKGATE_INSTANCES", default_value_t)]
    pub instances: Reuse,

    /// Whose SHA-256 signatures are verified with.
    #[arg(long, value_enum, env = "HOOKGATE_SHA256", default_value_t, conflicts_with = "plugin")]
    pub sha256: Sha256,

    /// A component to run in place of the one that comes with this program.
    #[arg(long, value_name = "FILE", env = "HOOKGATE_PLUGIN")]
    pub plugin: Option<PathBuf>,

    /// Threads that serve, up to 1024; by default one for each processor core. A connection stays with the thread that has it, and each
    /// thread has connections of its own to the targets.
    #[arg(long, value_name = "N", env = "HOOKGATE_WORKERS",
        value_parser = clap::value_parser!(u16).range(1..=1024).try_map(|count| NonZeroUsize::try_from(usize::from(count))))]
    pub workers: Option<NonZeroUsize>,

    /// Requests that may be in flight at a time once their body is there; more are answered 503. Browsers back from setup links have
    /// an eighth of it for themselves.
    #[arg(long, value_name = "N", env = "HOOKGATE_MAX_REQUESTS", default_value_t = count(Limits::default().requests))]
    pub max_requests: NonZeroUsize,

    /// Bytes of whole heads and of bodies as received that may be held at a time; what goes beyond is answered 503. At least one body of
    /// the largest size that the policy allows should fit. On top come the bodies that the policy composes anew for targets, and up to
    /// 64 KiB for each of --max-connections whose head is still arriving.
    #[arg(long, value_name = "BYTES", env = "HOOKGATE_MAX_BYTES", default_value_t = count(Limits::default().bytes))]
    pub max_bytes: NonZeroUsize,

    /// Connections that may be open at a time; more wait. Fewer where the system's limit on open files allows no more.
    #[arg(long, value_name = "N", env = "HOOKGATE_MAX_CONNECTIONS", default_value_t = count(Limits::default().connections))]
    pub max_connections: NonZeroUsize,

    /// Milliseconds from a request's head to its answer, targets included. Kapso gives up after 10,000.
    #[arg(long, value_name = "MS", env = "HOOKGATE_ANSWER_MS", default_value_t = millis(Limits::default().answer_time),
        value_parser = clap::value_parser!(u64).range(100..10_000))]
    pub answer_ms: u64,

    /// Keep-alive timeout: milliseconds from the end of one request to the end of the next one's head. Should exceed
    /// the idle timeout of a load balancer in front. The first head of a connection must always arrive within 10,000.
    #[arg(long, value_name = "MS", env = "HOOKGATE_HEAD_MS", default_value_t = millis(Limits::default().head_time),
        value_parser = clap::value_parser!(u64).range(100..))]
    pub head_ms: u64,

    /// Milliseconds for a request's body.
    #[arg(long, value_name = "MS", env = "HOOKGATE_BODY_MS", default_value_t = millis(Limits::default().body_time),
        value_parser = clap::value_parser!(u64).range(100..))]
    pub body_ms: u64,

    /// Milliseconds that a stop waits for what is under way.
    #[arg(long, value_name = "MS", env = "HOOKGATE_STOP_MS", default_value_t = millis(Limits::default().stop_time))]
    pub stop_ms: u64,

    /// What log lines look like.
    #[arg(long, value_enum, env = "HOOKGATE_LOG_FORMAT", default_value_t)]
    pub log_format: Format,

    /// Which log lines are written: a level, or a filter such as "hookgate=debug,hyper=info".
    #[arg(long, value_name = "FILTER", env = "HOOKGATE_LOG", default_value = "info")]
    pub log: String,
}

fn count(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the plugin's instances are reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Reuse {
    /// An instance serves one call after another.
    #[default]
    Reuse,
    /// A new instance for each call: slower, and nothing that one delivery leaves behind can reach another.
    Fresh,
}

/// An address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin(
    /// The address, if not off.
    pub Option<SocketAddr>,
);

impl FromStr for Admin {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Admin(None)) } else { text.parse().map(|address| Admin(Some(address))) }
    }
}

impl Args {
    fn workers(&self) -> NonZeroUsize {
        self.workers.unwrap_or_else(cores)
    }

    /// Loads the plugin that these arguments ask for. Takes a while, and blocks.
    pub(crate) fn plugin(&self) -> Result<Plugin, LoadError> {
        let instances = match self.instances {
            Reuse::Reuse => Instances::default(),
            Reuse::Fresh => Instances::Fresh,
        };
        let options = Options { instances, sha256: self.sha256, ..Options::for_workers(self.workers()) };
        match &self.plugin {
            Some(file) => Plugin::from_file(file, &options),
            None => Plugin::new(&options),
        }
    }

    /// The server that these arguments ask for, with this policy.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub(crate) async fn config(&self, plugin: Plugin, policy: Policy) -> Result<Config, Error> {
        let mut config = Config::new(plugin, policy);
        config.listen = self.listen;
        config.admin = self.admin.0;
        config.tls = self.tls_cert.clone().zip(self.tls_key.clone()).map(|(cert, key)| Tls { cert, key });
        config.target_ca = self.target_ca.clone();
        config.limits = Limits {
            head_time: Duration::from_millis(self.head_ms),
            body_time: Duration::from_millis(self.body_ms),
            answer_time: Duration::from_millis(self.answer_ms),
            requests: self.max_requests.get(),
            bytes: self.max_bytes.get(),
            connections: self.max_connections.get(),
            stop_time: Duration::from_millis(self.stop_ms),
            ..Limits::default()
        };
        config.workers = self.workers();
        config.store = self.store.open().await?;
        config.recording = self.record.clone().map(|folder| Recording {
            bytes: self.record_bytes,
            forged: self.record_forged,
            signatures: !self.record_without_signatures,
            all_headers: self.record_all_headers,
            redact: self.redact,
            ..Recording::new(folder)
        });
        Ok(config)
    }
}
