//! Every example and every forgery over every transport, with one worker and with four: the component's decisions, and no leak.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use hookgate::types::{Decision, Head, Header, Request};
use hookgate::{Gate, Secrets};
use hookgate_tests::client::{Client, Raw, head};
use hookgate_tests::envoy::{Envoy, Settings};
use hookgate_tests::hooked::plugin;
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, hmac_sha256};
use http::HeaderMap;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use crate::edge::{Edge, PATH, message, to};

#[derive(Clone, Copy, Debug)]
enum Transport {
    Http1,
    Chunked,
    Expect,
    Pipelined,
    Http2,
    Http2WithTrailers,
}

use Transport::{Chunked, Expect, Http1, Http2, Http2WithTrailers, Pipelined};

const TRANSPORTS: [Transport; 6] = [Http1, Chunked, Expect, Pipelined, Http2, Http2WithTrailers];

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Http1 => "http1",
            Chunked => "chunked",
            Expect => "expect",
            Pipelined => "pipelined",
            Http2 => "http2",
            Http2WithTrailers => "trailers",
        }
    }

    /// Posts a delivery; the answer's status.
    async fn post(self, to: SocketAddr, path: &str, delivery: &Delivery) -> u16 {
        let length = format!("Content-Length: {}\r\n", delivery.body.len());
        match self {
            Http1 => Client::new().post(&format!("http://{to}{path}"), delivery).await.status,
            Http2 => Client::http2().post(&format!("http://{to}{path}"), delivery).await.status,
            Http2WithTrailers => with_trailers(to, path, delivery).await,
            Chunked => {
                let mut raw = Raw::connect(to).await;
                raw.write(head(delivery, path, "Connection: close\r\nTransfer-Encoding: chunked\r\n")).await;
                for piece in delivery.body.chunks(500) {
                    raw.try_write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
                }
                raw.try_write("0\r\n\r\n").await;
                status(&raw.until("\r\n\r\n").await)
            }
            Expect => {
                let mut raw = Raw::connect(to).await;
                let extra = format!("Connection: close\r\nExpect: 100-continue\r\n{length}");
                raw.write(head(delivery, path, &extra)).await;
                match status(&raw.until("\r\n\r\n").await) {
                    100 => {
                        raw.try_write(&delivery.body).await;
                        status(&raw.until("\r\n\r\n").await)
                    }
                    status => status,
                }
            }
            Pipelined => {
                let mut raw = Raw::connect(to).await;
                let other = "GET /other HTTP/1.1\r\nHost: test\r\n\r\n";
                let head = head(delivery, path, &format!("Connection: close\r\n{length}"));
                raw.write([other.as_bytes(), head.as_bytes(), &delivery.body].concat()).await;
                assert_eq!(status(&raw.until("\r\n\r\n").await), 404);
                status(&raw.until("\r\n\r\n").await)
            }
        }
    }
}

fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|answer| answer.get(..3)?.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The body in two frames, and one trailer: no frame of the body says that it is the last.
async fn with_trailers(to: SocketAddr, path: &str, delivery: &Delivery) -> u16 {
    let stream = TcpStream::connect(to).await.expect("Envoy listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://test{path}"));
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let (first, second) = delivery.body.split_at(delivery.body.len() / 2);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().expect("a value"));
    let frames = [
        Frame::data(Bytes::copy_from_slice(first)),
        Frame::data(Bytes::copy_from_slice(second)),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
    let answer = sender.send_request(request.body(body).expect("a request")).await.expect("an answer");
    connection.abort();
    answer.status().as_u16()
}

/// Every way of forging a delivery.
fn forgeries(delivery: &Delivery) -> Vec<(&'static str, Delivery)> {
    let (name, value) = delivery
        .headers
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().contains("signature"))
        .cloned()
        .expect("examples are signed");
    let unsigned = delivery.clone().without(&name);
    let prefix = if value.starts_with("sha256=") { "sha256=" } else { "" };
    let mut flipped = delivery.clone();
    *flipped.body.last_mut().expect("a body") ^= 1;
    let other = format!("{prefix}{}", hmac_sha256(b"another secret", &delivery.body));
    vec![
        ("a flipped byte", flipped),
        ("a cut signature", unsigned.clone().with(&name, &value[..value.len() - 1])),
        ("no signature", unsigned.clone()),
        ("two signatures", delivery.clone().with(&name, &value)),
        ("another's signature", unsigned.with(&name, &other)),
    ]
}

/// A source and a target for each example over each transport, since some examples are the same message in another dress and
/// no target gets it twice; and a source for tenants.
fn policy(examples: &[(String, Delivery, String)]) -> Value {
    let secrets = ["A", "B", "C"];
    let mut sources =
        vec![json!({"name": "tenants", "path": "/tenants", "scheme": "any", "secrets_by_phone_number": {"1": ["A"]}})];
    let mut rules = Vec::new();
    let mut targets = Map::new();
    for transport in TRANSPORTS {
        for (example, _, _) in examples {
            let name = format!("{}-{example}", transport.name());
            sources.push(json!({"name": name, "path": format!("/{name}"), "scheme": "any", "secrets": secrets}));
            rules.push(json!({"name": name, "when": {"source": name}, "to": [name]}));
            targets.insert(name, json!({"cluster": "bot"}));
        }
    }
    json!({"sources": sources, "rules": rules, "otherwise": {"drop": true}, "targets": targets})
}

fn decides(gate: &Gate, path: &str, delivery: &Delivery) -> Decision {
    let headers = delivery.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() });
    let headers: Vec<_> = headers.collect();
    let head = Head { method: "POST", path, headers: &headers };
    gate.decide(&Request { head, body: &delivery.body }, 1_790_000_000).expect("an answer")
}

async fn every_example_over_every_transport(workers: u16) {
    let examples = Delivery::examples();
    let mut secrets: Vec<_> = examples.iter().map(|(_, _, secret)| secret.as_str()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let secrets: Vec<_> = ["A", "B", "C"].into_iter().zip(secrets).collect();
    let policy = policy(&examples);
    let gate = plugin().compile(&policy.to_string(), &Secrets::from_iter(secrets.clone())).expect("a good policy");
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let settings = Settings::new(&policy, &secrets, &[("bot", upstream.address())]);
    let envoy = Envoy::start(settings.workers(workers)).await;
    let to = envoy.address();
    for transport in TRANSPORTS {
        for (name, delivery, _) in &examples {
            let path = format!("/{}-{name}", transport.name());
            let what = format!("{name} over {transport:?}");
            for (how, forged) in forgeries(delivery) {
                let Decision::Respond(refusal) = decides(&gate, &path, &forged) else {
                    panic!("{what} with {how} passes")
                };
                let status = transport.post(to, &path, &forged).await;
                assert_eq!((status, refusal.response.status), (401, 401), "{what} with {how}");
            }
            assert_eq!(transport.post(to, "/tenants", delivery).await, 401, "{what} of an unknown tenant");
            let leaks = upstream.rest();
            assert!(leaks.is_empty(), "{what}: a forgery reached the upstream: {leaks:?}");

            let Decision::Deliver(deliver) = decides(&gate, &path, delivery) else { panic!("{what} is genuine") };
            assert_eq!(transport.post(to, &path, delivery).await, 200, "{what}");
            assert_eq!(deliver.dispatches.len(), 1, "{what}");
            let expected = &deliver.dispatches[0].messages[0];
            let seen = upstream.next().await;
            assert_eq!(seen.body, delivery.body, "{what}");
            for header in &expected.set_headers {
                assert_eq!(seen.header(&header.name).map(str::as_bytes), Some(header.value.as_slice()), "{what}");
            }
        }
    }
    let stat = "wasmcustom.hookgate.requests.source.trailers-received-text.result";
    assert_eq!(envoy.stat(&format!("{stat}.missing-signature")).await, 1);
    assert_eq!(envoy.stat(&format!("{stat}.delivered")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_over_every_transport_with_one_worker() {
    every_example_over_every_transport(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_over_every_transport_with_four_workers() {
    every_example_over_every_transport(4).await;
}

#[tokio::test]
async fn a_sender_that_closes_early_leaves_nothing_behind() {
    let mut edge = Edge::new(&to(&["bot"])).await;
    let delivery = message("wamid.A1");
    for (number, at) in [0, 1, delivery.body.len() / 2, delivery.body.len() - 1].into_iter().enumerate() {
        let mut raw = Raw::connect(edge.envoy.address()).await;
        raw.write(head(&delivery, PATH, &format!("Content-Length: {}\r\n", delivery.body.len()))).await;
        raw.write(&delivery.body[..at]).await;
        drop(raw);
        edge.counted("http.webhooks.downstream_cx_destroy_remote_active_rq", number as u64 + 1).await;
    }
    assert!(edge.bot.rest().is_empty());
    assert_eq!(edge.post(&delivery).await.status, 200);
    assert_eq!(edge.bot.next().await.body, delivery.body);
}
