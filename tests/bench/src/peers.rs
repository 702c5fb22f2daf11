//! Servers to compare with, each a process of its own so that its CPU time is its own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::any;
use bytes::Bytes;
use clap::ValueEnum;
use hmac::{Hmac, KeyInit, Mac};
use hookgate_core::{Decision, Gate, Head, Header, Secret};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::delivery::{NOW, SECRET};
use crate::envoy;

/// As large as bodies get.
const LIMIT: usize = 5 << 20;

/// What a native receiver does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Duty {
    /// Verifies it, for Envoy's ext_authz.
    Check,
    /// Verifies it, reads it and routes it by Hookgate's own code, for Envoy's ext_authz.
    Decide,
    /// Verifies it, reads it as JSON and answers.
    Answer,
    /// Verifies it, reads it as JSON and sends it on.
    Forward,
}

/// What such a receiver is made of.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(value_enum)]
    duty: Duty,
    /// Where deliveries are sent on to.
    target: Option<Uri>,
}

struct Receiver {
    key: Hmac<Sha256>,
    duty: Duty,
    target: Option<Uri>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Runs a receiver written by hand on axum, until the process is ended.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { duty, target } = arguments;
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = if duty == Duty::Decide {
            Router::new().fallback(any(decide)).with_state(Arc::new(gate()?))
        } else {
            let key = Hmac::new_from_slice(SECRET.as_bytes())?;
            let client = Client::builder(TokioExecutor::new()).build_http();
            Router::new().fallback(any(receive)).with_state(Arc::new(Receiver { key, duty, target, client }))
        };
        let app = app.layer(DefaultBodyLimit::max(LIMIT));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}

/// What decides as in Envoy with nobody behind.
fn gate() -> anyhow::Result<Gate> {
    let secret = Secret { name: "SECRET", value: SECRET };
    Gate::compile(&envoy::policy(&[]).to_string(), &[secret]).map_err(|wrong| anyhow!("the policy is wrong: {wrong:?}"))
}

async fn decide(
    State(gate): State<Arc<Gate>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() }).collect();
    let head = Head { method: method.as_str(), path: uri.path(), headers: &headers };
    match gate.decide(&hookgate_core::Request { head, body: &body }, NOW) {
        Decision::Deliver(deliver) if deliver.unreadable.is_none() => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = headers.get("x-webhook-signature").and_then(|value| hex::decode(value).ok()).unwrap_or_default();
    if receiver.key.clone().chain_update(&body).verify_slice(&given).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    if receiver.duty == Duty::Check {
        return StatusCode::OK;
    }
    let Ok(payload) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let items = match payload["data"].as_array() {
        Some(items) => items.as_slice(),
        None => std::slice::from_ref(&payload),
    };
    if !items.iter().all(|item| item["message"]["id"].is_string()) {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    match &receiver.target {
        None => StatusCode::OK,
        Some(target) => receiver.forward(target, &headers, body).await,
    }
}

impl Receiver {
    async fn forward(&self, target: &Uri, headers: &HeaderMap, body: Bytes) -> StatusCode {
        let mut request = Request::post(target.clone());
        for (name, value) in
            headers.iter().filter(|(name, _)| *name == "content-type" || name.as_str().starts_with("x-"))
        {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Full::new(body)) else { return StatusCode::BAD_GATEWAY };
        let Ok(answer) = self.client.request(request).await else { return StatusCode::BAD_GATEWAY };
        let taken = answer.status().is_success();
        let whole = answer.into_body().collect().await.is_ok();
        if taken && whole { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
    }
}

/// A service behind what is measured: takes everything. On the sender's own thread, since two threads on one core make each other
/// wait for milliseconds.
pub(crate) async fn upstream() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().fallback(any(|_: Bytes| async { Body::empty() })).layer(DefaultBodyLimit::max(LIMIT));
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

/// A server in a process of its own, which ends with this value.
pub(crate) struct Peer {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts a program that prints a line `listening on http://ADDRESS`.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let lines = BufReader::new(process.stdout.take().context("its output")?).lines();
        for line in lines {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                return Ok(Peer { process, address: address.parse()? });
            }
        }
        let _ = process.kill();
        bail!("{command:?} ended; what it wrote says why")
    }

    /// Starts a program that listens there without saying so.
    pub(crate) fn start_at(command: &mut Command, address: SocketAddr) -> anyhow::Result<Self> {
        let process = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut peer = Peer { process, address };
        while TcpStream::connect(address).is_err() {
            ensure!(peer.process.try_wait()?.is_none(), "{command:?} ended; what it wrote says why");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(peer)
    }

    /// A receiver written by hand.
    pub(crate) fn receiver(duty: Duty, target: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let duty = duty.to_possible_value().context("it has a name")?;
        command.args(["receiver", duty.get_name()]);
        command.args(target.map(|target| format!("http://{target}/hook")));
        Self::start(&mut command)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
