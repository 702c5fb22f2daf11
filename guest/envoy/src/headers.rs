//! Header maps of the host: what the gate sees of them, and what goes on.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hookgate_core::{Head, Header, HeaderOut, Message, Relay, Response, is_one_hop_header, is_own_header};

use crate::host::{self, Map, Result};
use crate::pairs::Pairs;

/// The header by which Envoy's `cluster_header` routing finds the target.
pub(crate) const TARGET: &str = "x-hookgate-target";

/// Envoy's own headers are about the received request, not about one that the filter makes.
const ENVOYS: &[u8] = b"x-envoy-";

/// A received header map as the gate sees it.
pub(crate) struct Received<'a> {
    method: &'a str,
    path: Cow<'a, str>,
    fields: Vec<Header<'a>>,
}

impl<'a> Received<'a> {
    pub(crate) fn new(map: &'a Pairs) -> Self {
        let method = map.get(":method").and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
        // No byte in a query may hide the path before it: routes match without the query.
        let path = String::from_utf8_lossy(map.get(":path").unwrap_or_default());
        // A name that is not ASCII is no header of HTTP's.
        let fields = map
            .iter()
            .filter(|(name, _)| !name.starts_with(b":"))
            .filter_map(|(name, value)| Some(Header { name: core::str::from_utf8(name).ok()?, value }));
        Self { method, path, fields: fields.collect() }
    }

    pub(crate) fn head(&self) -> Head<'_> {
        Head { method: self.method, path: &self.path, headers: &self.fields }
    }
}

/// Where a target's `url` leads within its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Address {
    /// Of a URL that the gate has checked: it has no fragment.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let rest = url.split_once(':')?.1.strip_prefix("//")?;
        let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Self { authority: authority.to_owned(), path: format!("{slash}{path}") })
    }

    /// With a received query behind its own.
    pub(crate) fn with(&self, query: &str) -> Self {
        Self { authority: self.authority.clone(), path: Relay::path(&self.path, query) }
    }
}

/// Takes out of the map at the host whatever only Hookgate may say; says whether there was anything.
pub(crate) fn remove_forged(at: Map, map: &Pairs) -> Result<bool> {
    let mut found = false;
    for (name, _) in map.iter().filter(|(name, _)| is_own_header(name)) {
        if let Ok(name) = core::str::from_utf8(name) {
            host::remove_header(at, name)?;
            found = true;
        }
    }
    Ok(found)
}

/// Turns the held request into one for a target: its headers, but not its body.
pub(crate) fn address(
    drop: &[String],
    set: &[HeaderOut],
    cluster: &str,
    address: Option<&Address>,
    body: Option<usize>,
) -> Result<()> {
    let map = Map::RequestHeaders;
    for name in drop {
        host::remove_header(map, name)?;
    }
    for header in set {
        host::set_header(map, header.name, header.value.as_bytes())?;
    }
    if let Some(address) = address {
        host::set_header(map, ":authority", address.authority.as_bytes())?;
        host::set_header(map, ":path", address.path.as_bytes())?;
    }
    if let Some(length) = body {
        host::set_header(map, "content-length", length.to_string().as_bytes())?;
    }
    host::set_header(map, TARGET, cluster.as_bytes())?;
    // The route was chosen before there was a target.
    host::clear_route_cache()
}

/// The headers of a message that is sent as a request of its own.
pub(crate) fn of_call(message: &Message, received: &Pairs, cluster: &str, address: Option<&Address>) -> Pairs {
    let received_or = |name, otherwise| received.get(name).unwrap_or(otherwise);
    let (authority, path) = match address {
        Some(address) => (address.authority.as_bytes(), address.path.as_bytes()),
        None => (received_or(":authority", cluster.as_bytes()), received_or(":path", b"/")),
    };
    let pseudo = [(&b":method"[..], &b"POST"[..]), (b":authority", authority), (b":path", path)];
    let replaced = |name: &[u8]| {
        let dropped = message.drop_headers.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()));
        dropped || message.set_headers.iter().any(|header| name.eq_ignore_ascii_case(header.name.as_bytes()))
    };
    let kept = received.iter().filter(|(name, _)| is_forwarded(name) && !replaced(name));
    let set = message.set_headers.iter().map(|header| (header.name.as_bytes(), header.value.as_bytes()));
    Pairs::of(&pseudo.into_iter().chain(kept).chain(set).collect::<Vec<_>>())
}

fn is_forwarded(name: &[u8]) -> bool {
    let is_envoys = name.get(..ENVOYS.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENVOYS));
    !name.starts_with(b":") && !is_envoys && !is_one_hop_header(name)
}

/// Answers the sender. `details` go to the access log.
pub(crate) fn answer(response: &Response, details: &str) -> Result<()> {
    host::respond(response.status, details, &Pairs::of(&own(response).collect::<Vec<_>>()), &response.body)
}

/// The headers of an answer that takes the place of a target's, with its status and its length.
pub(crate) fn of_replaced_answer(response: &Response, length: usize) -> Pairs {
    let (status, length) = (response.status.to_string(), length.to_string());
    let about = [(&b":status"[..], status.as_bytes()), (b"content-length", length.as_bytes())];
    Pairs::of(&about.into_iter().chain(own(response)).collect::<Vec<_>>())
}

fn own(response: &Response) -> impl Iterator<Item = (&[u8], &[u8])> {
    response.headers.iter().map(|header| (header.name.as_bytes(), header.value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use hookgate_core::{BodyOut, HeaderOut};

    use super::*;

    fn message() -> Message {
        Message {
            events: vec![0],
            body: BodyOut::AsReceived,
            drop_headers: vec!["x-webhook-signature".into(), "x-hookgate-source".into()],
            set_headers: vec![HeaderOut { name: "x-hookgate-source", value: "whatsapp".into() }],
        }
    }

    fn received() -> Pairs {
        Pairs::of(&[
            (&b":method"[..], &b"POST"[..]),
            (b":path", b"/webhooks/whatsapp?a=b"),
            (b":authority", b"edge.example"),
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
            (b"expect", b"100-continue"),
            (b"x-envoy-expected-rq-timeout-ms", b"15000"),
            (b"x-hookgate-source", b"forged"),
            (b"x-webhook-signature", b"abc"),
            (b"x-bytes", b"\xff"),
        ])
    }

    fn lines(map: &Pairs) -> Vec<String> {
        let line = |(name, value): (&[u8], &[u8])| format!("{}={}", name.escape_ascii(), value.escape_ascii());
        map.iter().map(line).collect()
    }

    #[test]
    fn a_call_carries_the_received_headers_but_those_of_one_hop_and_those_replaced() {
        assert_eq!(
            lines(&of_call(&message(), &received(), "bot", None)),
            [
                ":method=POST",
                ":authority=edge.example",
                ":path=/webhooks/whatsapp?a=b",
                "content-type=application/json",
                "x-bytes=\\xff",
                "x-hookgate-source=whatsapp",
            ]
        );
    }

    #[test]
    fn a_targets_url_says_authority_and_path() {
        for (url, authority, path) in [
            ("http://127.0.0.1:3000/hook", "127.0.0.1:3000", "/hook"),
            ("https://crm.example", "crm.example", "/"),
            ("https://crm.example?x=1", "crm.example", "/?x=1"),
            ("https://crm.example/a?b=/c", "crm.example", "/a?b=/c"),
        ] {
            let address = Address::of(url).unwrap();
            assert_eq!((address.authority.as_str(), address.path.as_str()), (authority, path), "{url}");
            assert!(lines(&of_call(&message(), &received(), "bot", Some(&address))).contains(&format!(":path={path}")));
        }
        assert_eq!(Address::of("nonsense"), None);
    }

    #[test]
    fn what_is_no_text_is_no_method_and_no_header_and_hides_no_path() {
        let map = Pairs::of(&[(&b":path"[..], &b"/a?\xff"[..]), (b":method", b"\xff"), (b"\xff", b"x")]);
        let received = Received::new(&map);
        assert_eq!((received.head().method, received.head().path_only(), received.head().headers.len()), ("", "/a", 0));
    }
}
