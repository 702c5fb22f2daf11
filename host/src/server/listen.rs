//! Connections: taken, limited, and let go.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::receive::Answer;
use super::received::Peer;
use super::tls::Certificate;
use super::workers::{Seat, Worker, Workers};

/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// From a connection's begin to the end of its first head, whatever is allowed from then on.
const FIRST: Duration = Duration::from_secs(10);
/// How many requests an HTTP/2 connection may have open: as few as RFC 9113, section 6.5.2, recommends.
const STREAMS: u32 = 100;
/// The bytes of a head over HTTP/2, where a few that are sent can stand for many. More is answered 431; four times as many end the
/// connection.
const LISTED: u32 = 16 * 1024;
/// HTTP/2 connections are asked for a sign of life.
const PING: Duration = Duration::from_secs(20);

/// One address that is listened on.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Certificate>,
    pub(crate) limits: Limits,
    pub(crate) workers: Arc<Workers>,
}

impl Listener {
    /// Serves connections until `stop`, then finishes those that are under way, for `limits.stop_time` at the most.
    pub(crate) async fn serve<S, F>(self, stop: CancellationToken, service: S)
    where
        S: Fn(&Arc<Worker>, Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let connections = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        let builder = builder(&self.limits);
        // Dropped with this future, and with them the connections.
        let mut tasks = JoinSet::new();
        loop {
            let (stream, peer, place) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => continue,
                taken = take(&self.socket, &connections) => match taken {
                    Ok(taken) => taken,
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be taken");
                        sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let peer = Peer { address: peer.ip().to_canonical(), tls: self.tls.is_some() };
            let acceptor = self.tls.as_ref().map(Certificate::acceptor);
            let connection = Connection {
                builder: builder.clone(),
                stop: stop.clone(),
                first_time: self.limits.head_time.min(FIRST),
                idle_time: self.limits.head_time,
                peer,
                seat: self.workers.seat(),
                service: service.clone(),
                begun: Instant::now(),
            };
            let runtime = connection.seat.worker.runtime.clone();
            let serve = async move {
                // Its events come to this thread from now on.
                let stream = match TcpStream::from_std(stream) {
                    Ok(stream) => stream,
                    Err(error) => return tracing::warn!(%error, "no connection could be taken"),
                };
                match acceptor {
                    None => connection.serve(stream).await,
                    Some(acceptor) => {
                        let stop = connection.stop.clone();
                        tokio::select! {
                            accepted = timeout_at(connection.begun + connection.first_time, acceptor.accept(stream)) => {
                                if let Ok(Ok(stream)) = accepted {
                                    connection.serve(stream).await;
                                }
                            }
                            () = stop.cancelled() => {}
                        }
                    }
                }
                drop(place);
            };
            tasks.spawn_on(serve, &runtime);
        }
        drop(self.socket);
        while tasks.join_next().await.is_some() {}
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn take(
    socket: &TcpListener,
    connections: &Arc<Semaphore>,
) -> std::io::Result<(std::net::TcpStream, std::net::SocketAddr, Place)> {
    let place = connections.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer, place))
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX).min(LISTED))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

struct Connection<S> {
    builder: auto::Builder<TokioExecutor>,
    stop: CancellationToken,
    first_time: Duration,
    idle_time: Duration,
    peer: Peer,
    seat: Seat,
    service: S,
    begun: Instant,
}

impl<S, F> Connection<S>
where
    S: Fn(&Arc<Worker>, Peer, Request<Incoming>) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    /// Until it ends by itself, is asked to, or nothing has come over it for too long: hyper's own limit on that is for HTTP/1, and
    /// begins with its first line.
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let requests = Arc::new(Requests::default());
        let service = service_fn(|request| {
            let open = Requests::begin(&requests);
            let answer = (self.service)(&self.seat.worker, self.peer, request);
            async move {
                let answer = answer.await;
                drop(open);
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut idle_since = self.begun;
        let mut patience = self.first_time;
        let mut ending = false;
        loop {
            tokio::select! {
                ended = &mut connection => return closed(ended),
                () = self.stop.cancelled(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(idle_since + patience) => match requests.rest_since() {
                    // Nothing has come yet, or it was asked to end, does not, and nothing has come since.
                    None => return,
                    Some(since) if ending && since < idle_since => return,
                    Some(since) if since + self.idle_time <= Instant::now() => {
                        (ending, idle_since, patience) = (true, Instant::now(), FIRST);
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(since) => (idle_since, patience) = (since, self.idle_time),
                },
            }
        }
    }
}

/// The requests of one connection.
#[derive(Default)]
struct Requests(Mutex<Count>);

#[derive(Default)]
struct Count {
    open: usize,
    /// When the last one ended.
    rest: Option<Instant>,
}

struct Open(Arc<Requests>);

impl Requests {
    fn begin(this: &Arc<Self>) -> Open {
        this.count().open += 1;
        Open(this.clone())
    }

    /// Since when there is none; now, if there is one. None before the first.
    fn rest_since(&self) -> Option<Instant> {
        let count = self.count();
        if count.open > 0 { Some(Instant::now()) } else { count.rest }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.open -= 1;
        count.rest = Some(Instant::now());
    }
}

fn closed(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
