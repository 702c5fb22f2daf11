//! A target to send to: records what arrives and answers by script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a target does with a message.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers this status.
    Status(u16),
    /// Answers this status with these header fields.
    Page(u16, Vec<(&'static str, &'static str)>),
    /// Answers 200 with this body, and trailers behind it.
    Trailers(&'static str),
    /// Answers this status with `location`.
    Redirect(String),
    /// Answers this status when the test adds a permit.
    Held(Arc<Semaphore>, u16),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer, in order.
    Close,
    /// Closes it with a reset.
    Reset,
    /// Answers 200 with so many bytes.
    Large(usize),
    /// Answers 200 with a body that never ends.
    Endless,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// HTTP's version.
    pub version: Version,
    /// The number of the connection it came on, from 0.
    pub connection: usize,
}

impl Seen {
    /// A header's value, if it is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// A target that runs until dropped.
pub struct Upstream {
    address: SocketAddr,
    tls: bool,
    script: Arc<Mutex<Script>>,
    arrivals: mpsc::UnboundedReceiver<Seen>,
    work: JoinHandle<()>,
}

struct Script {
    next: VecDeque<Reply>,
    then: Reply,
}

impl Upstream {
    /// Answers every message in the same way.
    pub async fn answering(reply: Reply) -> Self {
        Self::start(None, Vec::new(), reply).await
    }

    /// Answers with one of `replies` after the other, and with `then` from there on.
    pub async fn scripted(replies: Vec<Reply>, then: Reply) -> Self {
        Self::start(None, replies, then).await
    }

    /// Answers 200 over TLS.
    pub async fn with_tls(config: Arc<ServerConfig>) -> Self {
        Self::start(Some(config), Vec::new(), Reply::Status(200)).await
    }

    async fn start(tls: Option<Arc<ServerConfig>>, replies: Vec<Reply>, then: Reply) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let script = Arc::new(Mutex::new(Script { next: replies.into(), then }));
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let target = Target { script: script.clone(), arrived };
        let secure = tls.is_some();
        let work = tokio::spawn(async move {
            let connections = AtomicUsize::new(0);
            while let Ok((stream, _)) = socket.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let (target, tls) = (target.clone(), tls.clone());
                tokio::spawn(async move { target.serve(stream, tls, number).await });
            }
        });
        Upstream { address, tls: secure, script, arrivals, work }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.tls { "localhost" } else { "127.0.0.1" };
        format!("{scheme}://{host}:{}/hook", self.address.port())
    }

    /// Answers every further message in this way.
    pub fn now(&self, reply: Reply) {
        let mut script = self.script.lock().expect("nobody panicked");
        script.next.clear();
        script.then = reply;
    }

    /// The next message, whether it was answered or not.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Seen {
        let next = tokio::time::timeout(PATIENCE, self.arrivals.recv()).await;
        next.expect("a message should have come").expect("it runs")
    }

    /// The messages that have come and that nobody has looked at.
    pub fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.work.abort();
    }
}

#[derive(Clone)]
struct Target {
    script: Arc<Mutex<Script>>,
    arrived: mpsc::UnboundedSender<Seen>,
}

impl Target {
    async fn serve(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>, connection: usize) {
        if matches!(self.script.lock().expect("nobody panicked").peek(), Reply::Reset) {
            stream.set_zero_linger().expect("a socket that is open");
        }
        let service = service_fn(move |request| self.clone().answer(request, connection));
        let builder = auto::Builder::new(TokioExecutor::new());
        // A connection that breaks is part of the script.
        match tls {
            None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
            Some(tls) => {
                if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                    drop(builder.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        }
    }

    /// An error makes hyper drop the connection.
    async fn answer(self, request: Request<Incoming>, connection: usize) -> Result<Response<Body>, &'static str> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the message broke off")?.to_bytes();
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let seen =
            Seen { method: parts.method, path, headers: parts.headers, body, version: parts.version, connection };
        let reply = self.script.lock().expect("nobody panicked").take();
        // The test may have ended.
        let _ = self.arrived.send(seen);
        let response = Response::builder();
        let full = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes())).boxed();
        let response = match reply {
            Reply::Status(status) => response.status(status).body(full("thanks")),
            Reply::Page(status, fields) => {
                let fields = fields.into_iter();
                let response =
                    fields.fold(response.status(status), |response, (name, value)| response.header(name, value));
                response.body(full("thanks"))
            }
            Reply::Trailers(text) => {
                let trailers =
                    HeaderMap::from_iter([(HeaderName::from_static("x-checksum"), HeaderValue::from_static("1"))]);
                let body = Full::new(Bytes::from_static(text.as_bytes()));
                response.body(body.with_trailers(async { Some(Ok(trailers)) }).boxed())
            }
            Reply::Redirect(to) => response.status(302).header("location", to).body(full("")),
            Reply::Held(permits, status) => {
                permits.acquire().await.expect("never closed").forget();
                response.status(status).body(full(""))
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close | Reply::Reset => return Err("as the script says"),
            Reply::Large(bytes) => response.body(Full::new(Bytes::from(vec![b'x'; bytes])).boxed()),
            Reply::Endless => response.body(Endless.boxed()),
        };
        response.map_err(|_| "a status that HTTP does not have")
    }
}

impl Script {
    fn peek(&self) -> &Reply {
        self.next.front().unwrap_or(&self.then)
    }

    fn take(&mut self) -> Reply {
        self.next.pop_front().unwrap_or_else(|| self.then.clone())
    }
}

type Body = BoxBody<Bytes, Infallible>;

struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))))
    }
}
