//! Sends requests as Kapso, or somebody worse, would.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Delivery;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is text")
    }
}

/// A sender with kept connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// Over HTTP/1.1.
    pub fn new() -> Self {
        Client { pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    /// Over HTTP/2 without TLS.
    pub fn http2() -> Self {
        Client { pool: Pool::builder(TokioExecutor::new()).http2_only(true).build_http() }
    }

    /// Posts a delivery.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn post(&self, url: &str, delivery: &Delivery) -> Answer {
        self.send(posted(url, delivery)).await
    }

    /// Posts a delivery; none when the connection breaks before there is an answer.
    ///
    /// # Panics
    /// When no answer comes in time.
    pub async fn try_post(&self, url: &str, delivery: &Delivery) -> Option<Answer> {
        self.try_send(posted(url, delivery)).await.ok()
    }

    /// Gets a page.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(Request::get(url).body(Full::default()).expect("a request")).await
    }

    /// Sends any request.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, hyper_util::client::legacy::Error> {
        let answer = timeout(PATIENCE, self.pool.request(request)).await.expect("an answer in time")?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

fn posted(url: &str, delivery: &Delivery) -> Request<Full<Bytes>> {
    let headers = delivery.headers.iter();
    let request = headers.fold(Request::post(url), |request, (name, value)| request.header(name, value));
    request.body(Full::new(delivery.body.clone().into())).expect("a request")
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// A connection that one can write anything to.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Raw { stream: TcpStream::connect(address).await.expect("somebody listens") }
    }

    /// Writes these bytes.
    ///
    /// # Panics
    /// When the other side has closed.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("an open connection");
    }

    /// Writes these bytes; it does not matter if the other side has closed.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more comes.
    ///
    /// # Panics
    /// When the other side has closed.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    /// Everything that comes until the other side closes.
    ///
    /// # Panics
    /// When it does not close.
    pub async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        // A reset ends it too.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("the server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes until a text does.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        while !String::from_utf8_lossy(&bytes).contains(text) {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await.expect("an answer in time");
            bytes.push(byte.expect("an open connection"));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A delivery as HTTP/1.1 writes it, up to the end of its head, with `extra` lines in it.
pub fn head(delivery: &Delivery, path: &str, extra: &str) -> String {
    let lines = delivery.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    format!("POST {path} HTTP/1.1\r\nHost: test\r\n{lines}{extra}\r\n")
}
