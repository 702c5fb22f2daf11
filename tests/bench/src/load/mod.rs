//! Sends deliveries: as fast as they are answered, or at a rate of its own.

mod source;
mod usage;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::delivery::{PATH, Size};

pub(crate) use source::Source;
pub(crate) use usage::{Cpu, memory};

/// As many connections as a gateway in front keeps open.
pub(crate) const CONNECTIONS: usize = 8;

/// What is sent where.
pub(crate) struct Sender {
    address: SocketAddr,
    path: &'static str,
    source: Source,
    /// Sent in place of the right one.
    signature: Option<&'static str>,
    expected: u16,
}

/// What came of it.
pub(crate) struct Heard {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// CPU time of the processes that were watched.
    pub(crate) cpu: Duration,
    /// Microseconds from when a request was due to its whole answer.
    pub(crate) latency: Histogram<u64>,
}

impl Heard {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

impl Sender {
    /// Genuine deliveries.
    pub(crate) fn new(address: SocketAddr, size: Size) -> Arc<Self> {
        Arc::new(Self::genuine(address, size))
    }

    fn genuine(address: SocketAddr, size: Size) -> Self {
        Sender { address, path: PATH, source: Source::new(size), signature: None, expected: 200 }
    }

    /// Deliveries whose signature is none.
    pub(crate) fn malformed(address: SocketAddr, size: Size) -> Arc<Self> {
        Arc::new(Sender { signature: Some("not a signature"), expected: 401, ..Self::genuine(address, size) })
    }

    /// Requests for a path that is no source.
    pub(crate) fn elsewhere(address: SocketAddr, size: Size) -> Arc<Self> {
        Arc::new(Sender { path: "/elsewhere", ..Self::genuine(address, size) })
    }

    /// Sends for so long, each connection its next as soon as its last is answered.
    pub(crate) async fn closed(self: &Arc<Self>, watched: &[u32], time: Duration) -> anyhow::Result<Heard> {
        let connections = self.connect().await?;
        let (before, began) = (Cpu::of(watched)?, Instant::now());
        let mut work = JoinSet::new();
        for mut connection in connections {
            let this = self.clone();
            work.spawn(async move {
                let mut latency = histogram();
                while began.elapsed() < time {
                    let at = Instant::now();
                    this.send(&mut connection).await?;
                    latency.saturating_record(micros(at));
                }
                Ok(latency)
            });
        }
        gather(work, began, &before, watched).await
    }

    /// Sends for so long at this many requests a second, at times that do not depend on the answers: a server that stalls finds
    /// all that came meanwhile waiting, and each has waited.
    pub(crate) async fn open(self: &Arc<Self>, watched: &[u32], rate: f64, time: Duration) -> anyhow::Result<Heard> {
        let connections = self.connect().await?;
        let (before, began) = (Cpu::of(watched)?, Instant::now());
        let (due, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut work = JoinSet::new();
        for mut connection in connections {
            let (this, waiting) = (self.clone(), waiting.clone());
            work.spawn(async move {
                let mut latency = histogram();
                loop {
                    let next = waiting.lock().await.recv().await;
                    let Some(at) = next else { return Ok(latency) };
                    this.send(&mut connection).await?;
                    latency.saturating_record(micros(at));
                }
            });
        }
        // On a thread of its own, because the runtime's timer would wake a millisecond late.
        let clock = thread::spawn(move || {
            // A Poisson process, the same in every run.
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let mut at = began;
            while at.duration_since(began) < time {
                at += Duration::from_secs_f64(-random.random::<f64>().max(f64::MIN_POSITIVE).ln() / rate);
                thread::sleep(at.duration_since(Instant::now()));
                if due.send(at).is_err() {
                    break;
                }
            }
        });
        let heard = gather(work, began, &before, watched).await;
        ensure!(clock.join().is_ok(), "the clock stopped");
        heard
    }

    /// Connections that have each had an answer.
    async fn connect(&self) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Connection(None);
            self.send(&mut connection).await?;
            connections.push(connection);
        }
        Ok(connections)
    }

    async fn send(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let (body, signature) = self.source.next();
        let mut request = Request::builder().method(Method::POST).uri(self.path).header(header::HOST, "bench");
        for (name, value) in self.source.headers() {
            request = request.header(*name, value);
        }
        let request = request.header("x-webhook-signature", self.signature.unwrap_or(&signature));
        let answer = connection.to(self.address).await?.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        ensure!(status == self.expected, "{} answered {status} instead of {}", self.address, self.expected);
        Ok(())
    }
}

/// A connection that is opened anew when the server has closed it.
struct Connection(Option<SendRequest<Full<Bytes>>>);

impl Connection {
    async fn to(&mut self, address: SocketAddr) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let is_open = match &mut self.0 {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if let Some(open) = self.0.take_if(|_| is_open) {
            return Ok(self.0.insert(open));
        }
        let stream = TcpStream::connect(address).await.with_context(|| format!("nobody is at {address}"))?;
        stream.set_nodelay(true)?;
        let (open, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows at the next request.
        tokio::spawn(async { drop(connection.await) });
        Ok(self.0.insert(open))
    }
}

async fn gather(
    mut work: JoinSet<anyhow::Result<Histogram<u64>>>,
    began: Instant,
    before: &Cpu,
    watched: &[u32],
) -> anyhow::Result<Heard> {
    let mut latency = histogram();
    while let Some(done) = work.join_next().await {
        latency.add(done??)?;
    }
    let elapsed = began.elapsed();
    Ok(Heard { requests: latency.len(), elapsed, cpu: Cpu::of(watched)?.since(before), latency })
}

/// From a microsecond to a minute, three digits that count.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds that fit")
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Runs one thing after another on this thread alone, so that the other core is the server's.
pub(crate) fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
