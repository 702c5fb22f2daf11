//! One message to one target.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower::BoxError;
use tower::util::MapFuture;

use super::received::{Peer, Received};
use super::resolve::Resolver;
use crate::types::{HeaderOut, MessageOut, Outcome, Relay};

/// Node and uvicorn close an idle connection after 5 s; one that is given up before is never found closed.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(3);
/// The same with the name's look-up before it and TLS after it. No message waits so long; but what another connection has become
/// free for meanwhile goes on without one.
const CONNECTED: Duration = Duration::from_secs(10);
/// How often an HTTP/2 connection is asked whether anybody is still there, and how long that may take to answer. One that is in use
/// never becomes idle, and TCP would hold on to it for a quarter of an hour.
const PING: Duration = Duration::from_secs(2);
/// What is read of an answer's body, so that its connection can be used again. Nobody looks at it.
const ANSWER_BYTES: usize = 64 * 1024;
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// RFC 9110, section 7.6.1; `host` and `content-length` are the client's.
static ONE_HOP: [HeaderName; 13] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Where the messages of one target go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) uri: Uri,
    pub(crate) timeout: Duration,
}

/// The connections to the targets. They outlive the policy.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    client: Client<Connector, Full<Bytes>>,
}

type Connector = MapFuture<HttpsConnector<HttpConnector<Resolver>>, fn(Connecting) -> Connecting>;
type Connecting = BoxFuture<'static, Result<MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>>;

fn in_time(connecting: Connecting) -> Connecting {
    timeout(CONNECTED, connecting).map(|connected| connected.unwrap_or_else(|late| Err(late.into()))).boxed()
}

impl Forwarder {
    pub(crate) fn new(tls: rustls::ClientConfig, resolver: Resolver) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_keepalive(Some(Duration::from_secs(30)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .build(MapFuture::new(connector, in_time as fn(Connecting) -> Connecting));
        Forwarder { client }
    }

    /// Sends one message, and waits for the status as long as the target may take and the deadline allows. Redirects are
    /// answers like any other.
    pub(crate) async fn send(&self, target: &Target, headers: HeaderMap, body: Bytes, deadline: Instant) -> Outcome {
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.uri.clone();
        *request.headers_mut() = headers;
        match self.ask(request, deadline.min(Instant::now() + target.timeout)).await {
            Err(outcome) => outcome,
            Ok(answer) => {
                let status = answer.status().as_u16();
                if !answer.body().is_end_stream() {
                    tokio::spawn(timeout(ANSWER_TIME, drain(answer.into_body())));
                }
                Outcome::Answered(status)
            }
        }
    }

    /// Sends a request, and waits for the head of its answer until the deadline.
    pub(crate) async fn ask(
        &self,
        request: http::Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<http::Response<Incoming>, Outcome> {
        if deadline <= Instant::now() {
            return Err(Outcome::TimedOut);
        }
        let answer = timeout_at(deadline, self.client.request(request)).await.map_err(|_| Outcome::TimedOut)?;
        answer.map_err(|error| {
            // With what lies below it: the error itself only says that a connection failed.
            tracing::debug!(error = format!("{:#}", anyhow::Error::from(error)), "a target could not be reached");
            Outcome::Unreachable
        })
    }
}

async fn drain(body: Incoming) {
    let mut body = Limited::new(body, ANSWER_BYTES);
    while let Some(Ok(_)) = body.frame().await {}
}

/// The headers of a message: as received, without those for one hop and those to drop, with those to set.
pub(crate) fn headers(received: &Received, message: &MessageOut) -> Result<HeaderMap, http::Error> {
    changed(received, &message.drop_headers, &message.set_headers)
}

/// A browser's request as a target gets it: to the target's URL, the received query behind its own.
pub(crate) fn relayed(
    target: &Target,
    received: &Received,
    relay: &Relay,
) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let own = target.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let separator = if own.contains('?') { "&" } else { "?" };
    let mut uri = target.uri.clone().into_parts();
    uri.path_and_query = Some([own, separator, received.query()].concat().parse()?);
    let mut request = http::Request::new(Full::default());
    *request.method_mut() = received.method.clone();
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.headers_mut() = changed(received, &relay.drop_headers, &relay.set_headers)?;
    Ok(request)
}

fn changed(received: &Received, drop: &[String], set: &[HeaderOut]) -> Result<HeaderMap, http::Error> {
    let mut headers = received.headers.clone();
    let host = headers.get(HOST).cloned();
    // First, so that a sender that lists what is set here takes away its own alone.
    strip_one_hop(&mut headers);
    forwarded(&mut headers, received.peer, host);
    for name in drop {
        headers.remove(name.as_str());
    }
    for header in set {
        headers.insert(HeaderName::try_from(&header.name)?, HeaderValue::try_from(header.value.as_slice())?);
    }
    Ok(headers)
}

pub(crate) fn strip_one_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&ONE_HOP) {
        headers.remove(name);
    }
}

/// What a proxy in front already said stays: the address is added to the list, the other two are only filled in.
fn forwarded(headers: &mut HeaderMap, peer: Peer, host: Option<HeaderValue>) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    if let Ok(address) = HeaderValue::try_from(peer.address.to_string()) {
        headers.append(FOR, address);
    }
    let scheme = HeaderValue::from_static(if peer.tls { "https" } else { "http" });
    headers.entry(PROTO).or_insert(scheme);
    if let Some(host) = host {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;

    use super::*;
    use crate::types::{BodyOut, HeaderOut};

    /// Nobody waits for it: another connection became free first.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_comes_about_is_given_up() {
        let begun = Instant::now();
        assert!(in_time(pending().boxed()).await.is_err());
        assert!(begun.elapsed() >= CONNECTED);
    }

    fn sent(received: &[(&str, &str)], drop: &[&str], set: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request = http::Request::post("/");
        for (name, value) in received {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("all are valid").into_parts();
        let peer = Peer { address: IpAddr::from([192, 0, 2, 7]), tls: true };
        let message = MessageOut {
            events: vec![0],
            body: BodyOut::AsReceived,
            drop_headers: drop.iter().map(|name| (*name).to_owned()).collect(),
            set_headers: set
                .iter()
                .map(|(name, value)| HeaderOut { name: (*name).into(), value: (*value).into() })
                .collect(),
        };
        let headers = headers(&Received::new(parts, peer), &message).expect("all are valid");
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn names(headers: &[(String, String)]) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with("x-forwarded")).collect()
    }

    #[test]
    fn what_is_for_one_hop_stays_here() {
        let received = [
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic xyz"),
            ("proxy-connection", "keep-alive"),
            ("expect", "100-continue"),
            ("host", "hooks.example"),
            ("content-length", "12"),
            ("x-private", "1"),
            ("x-webhook-event", "whatsapp.message.received"),
        ];
        assert_eq!(names(&sent(&received, &[], &[])), ["x-webhook-event"]);
    }

    #[test]
    fn dropped_without_regard_to_case_and_set_over_what_came() {
        let got = sent(&[("X-Batch-Size", "2"), ("a", "1"), ("a", "2")], &["x-batch-size"], &[("a", "3"), ("b", "4")]);
        assert_eq!(names(&got), ["a", "b"]);
        assert!(got.contains(&("a".into(), "3".into())));
    }

    #[test]
    fn a_header_sent_twice_goes_on_twice() {
        assert_eq!(names(&sent(&[("a", "1"), ("a", "2")], &[], &[])), ["a", "a"]);
    }

    #[test]
    fn a_set_header_cannot_be_taken_away_by_the_sender() {
        let got = sent(&[("connection", "x-hookgate-source")], &[], &[("x-hookgate-source", "whatsapp")]);
        assert_eq!(names(&got), ["x-hookgate-source"]);
    }

    #[test]
    fn what_is_said_of_the_sender_cannot_be_taken_away_by_it() {
        let received = [
            ("connection", "x-forwarded-for, x-forwarded-proto, host"),
            ("x-forwarded-for", "198.51.100.1"),
            ("host", "a"),
        ];
        let got = sent(&received, &[], &[]);
        let expected = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a")];
        assert_eq!(got, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn forwarded_headers_extend_what_is_there() {
        let got = sent(&[("x-forwarded-for", "198.51.100.1"), ("host", "hooks.example")], &[], &[]);
        let of = |wanted: &str| -> Vec<&str> {
            got.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(of("x-forwarded-for"), ["198.51.100.1", "192.0.2.7"]);
        assert_eq!(of("x-forwarded-proto"), ["https"]);
        assert_eq!(of("x-forwarded-host"), ["hooks.example"]);
    }
}
