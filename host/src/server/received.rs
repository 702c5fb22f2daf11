//! A request as this server holds it, lent to the gate.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use crate::types::{Head, Header, Request};

/// Who sent a request, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) tls: bool,
}

/// A request with the part of its body that was read: none of it at first.
pub(crate) struct Received {
    pub(crate) peer: Peer,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) method: Method,
    target: String,
}

impl Received {
    pub(crate) fn new(mut parts: Parts, peer: Peer) -> Self {
        // HTTP/2 has the host there alone (RFC 9113, section 8.3.1), and HTTP/1.1 counts what stands there (RFC 9112, section 3.2.2).
        if let Some(host) = parts.uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
            parts.headers.insert(HOST, host);
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Received { peer, headers: parts.headers, body: Bytes::new(), method: parts.method, target }
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, without its question mark; empty when there is none.
    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// About how many bytes the head takes here: a field of a head can be far shorter on the wire.
    pub(crate) fn head_len(&self) -> usize {
        /// What the map has for each.
        const FIELD: usize = 96;
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
        self.target.len() + fields.sum::<usize>()
    }

    /// Lends the request to `call`.
    pub(crate) fn lend<R>(&self, call: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers = Header::of(&self.headers);
        let head = Head { method: self.method.as_str(), path: &self.target, headers: &headers };
        call(&Request { head, body: &self.body })
    }
}
