//! The request on its way in, and the answer on its way out.

use std::time::Duration;

use hookgate_core::{Head, Header, Response};

use crate::bindings::wasi::http::types::{Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam};
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::forward::write;
use crate::reactor::{Instant, Ready, before, block_on};

/// How much of a body is asked for at once.
const CHUNK: u64 = 64 * 1024;
/// How long the sender may take to read the answer.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A request's head.
pub(crate) struct Received {
    method: String,
    path: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

impl Received {
    /// Without the fields in which Spin tells a component how the request was routed: nobody sent them.
    pub(crate) fn new(request: &IncomingRequest) -> Self {
        let fields = request.headers().entries().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        Received {
            method: method(request.method()),
            path: request.path_with_query().unwrap_or_else(|| "/".to_owned()),
            fields: fields.filter(|(name, _)| !name.starts_with("spin-")).collect(),
        }
    }

    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        self.fields.iter().map(|(name, value)| Header { name, value }).collect()
    }

    pub(crate) fn head<'a>(&'a self, headers: &'a [Header<'a>]) -> Head<'a> {
        Head { method: &self.method, path: &self.path, headers }
    }
}

/// What the sender gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// Whether its length is the body's: not of an answer to HEAD, nor of one that may have none.
    pub(crate) sized: bool,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let fields = response.headers.into_iter().map(|header| (header.name.to_owned(), header.value.into_bytes()));
        Answer { status: response.status, fields: fields.collect(), body: response.body, sized: true }
    }
}

/// Why no body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It was not all there in time.
    Late,
    /// The connection ended within it.
    Cut,
}

/// The next bytes of a body; none at its end.
pub(crate) async fn chunk(stream: &InputStream, deadline: Instant) -> Result<Option<Vec<u8>>, Broken> {
    loop {
        match stream.read(CHUNK) {
            Ok(bytes) if bytes.is_empty() => {
                before(deadline, Ready::new(stream.subscribe())).await.ok_or(Broken::Late)?;
            }
            Ok(bytes) => return Ok(Some(bytes)),
            Err(StreamError::Closed) => return Ok(None),
            Err(StreamError::LastOperationFailed(_)) => return Err(Broken::Cut),
        }
    }
}

/// Answers. If the sender is gone there is nobody to tell.
pub(crate) fn respond(response_out: ResponseOutparam, answer: &Answer) {
    let fields = Fields::new();
    for (name, value) in &answer.fields {
        let _ = fields.append(name, value);
    }
    if answer.sized {
        let _ = fields.append("content-length", answer.body.len().to_string().as_bytes());
    }
    let outgoing = OutgoingResponse::new(fields);
    let _ = outgoing.set_status_code(answer.status);
    let body = outgoing.body();
    ResponseOutparam::set(response_out, Ok(outgoing));
    let Ok(body) = body else { return };
    // Who does not read in time gets a part of it, and the connection is broken off.
    let _ = block_on(before(Instant::now().after(READ_WITHIN), write(body, &answer.body)));
}

fn method(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}
