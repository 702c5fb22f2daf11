//! One message to one target, by outgoing HTTP.

use std::time::Duration;

use hookgate_core::{Message, Outcome};

use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::log;
use crate::reactor::{Instant, Ready, before, beside};
use crate::url::Url;

/// Fields that HTTP says are for one hop, and those that describe the connection or this very body.
const NOT_PASSED_ON: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request that came in, as far as it goes on.
#[derive(Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) fields: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
}

impl Original<'_> {
    /// Sends a message and waits for the status of the answer, until the deadline.
    pub(crate) async fn send(self, message: &Message, url: &Url, deadline: Instant) -> Outcome {
        let exchange = async {
            let (response, outgoing) = self.open(message, url, deadline)?;
            // A target may answer before it has read everything.
            beside(status(&response), write(outgoing, message.body.bytes(self.body))).await
        };
        match before(deadline, exchange).await {
            Some(Ok(status)) => Outcome::Answered(status),
            Some(Err(error)) => failure(&error, url),
            None => Outcome::TimedOut,
        }
    }

    fn open(
        self,
        message: &Message,
        url: &Url,
        deadline: Instant,
    ) -> Result<(FutureIncomingResponse, OutgoingBody), ErrorCode> {
        let request = OutgoingRequest::new(self.headers(message));
        let scheme = if url.https { Scheme::Https } else { Scheme::Http };
        let body = request
            .set_method(&Method::Post)
            .and_then(|()| request.set_scheme(Some(&scheme)))
            .and_then(|()| request.set_authority(Some(url.authority.as_str())))
            .and_then(|()| request.set_path_with_query(Some(url.path_and_query.as_str())))
            .and_then(|()| request.body())
            .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
        Ok((handle(request, Some(options(deadline.remaining())))?, body))
    }

    fn headers(self, message: &Message) -> Fields {
        let fields = Fields::new();
        let for_this_hop = listed(self.fields);
        for (name, value) in self.fields {
            let dropped = message.drop_headers.contains(name) || message.set_headers.iter().any(|set| set.name == name);
            if !dropped && !NOT_PASSED_ON.contains(&name.as_str()) && !for_this_hop.contains(name) {
                let _ = fields.append(name, value);
            }
        }
        for set in &message.set_headers {
            let _ = fields.append(set.name, set.value.as_bytes());
        }
        let _ = fields.append("content-length", message.body.bytes(self.body).len().to_string().as_bytes());
        fields
    }
}

/// The fields that `Connection` names, where the host shows it.
fn listed(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    let values = fields.iter().filter(|(name, _)| name == "connection");
    values
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// The host gives up when this does.
fn options(remaining: Duration) -> RequestOptions {
    let options = RequestOptions::new();
    let remaining = Some(u64::try_from(remaining.as_nanos()).unwrap_or(u64::MAX));
    let _ = options.set_connect_timeout(remaining);
    let _ = options.set_first_byte_timeout(remaining);
    let _ = options.set_between_bytes_timeout(remaining);
    options
}

async fn write(outgoing: OutgoingBody, mut rest: &[u8]) {
    let Ok(stream) = outgoing.write() else { return };
    while !rest.is_empty() {
        let Ok(room) = stream.check_write() else { return };
        if room == 0 {
            Ready::new(stream.subscribe()).await;
            continue;
        }
        let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        match stream.write(now) {
            Ok(()) => rest = later,
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => return,
        }
    }
    if stream.flush().is_err() {
        return;
    }
    drop(stream);
    let _ = OutgoingBody::finish(outgoing, None);
}

async fn status(response: &FutureIncomingResponse) -> Result<u16, ErrorCode> {
    loop {
        match response.get() {
            Some(Ok(answer)) => return answer.map(|response| response.status()),
            Some(Err(())) => return Err(ErrorCode::InternalError(None)),
            None => Ready::new(response.subscribe()).await,
        }
    }
}

fn failure(error: &ErrorCode, url: &Url) -> Outcome {
    match error {
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Outcome::TimedOut,
        ErrorCode::HttpRequestDenied => {
            log::line(&format!("{} is not among the component's allowed_outbound_hosts in spin.toml", url.authority));
            Outcome::Unreachable
        }
        _ => Outcome::Unreachable,
    }
}
