//! One message to one target, by outgoing HTTP.

use std::time::Duration;

use hookgate_core::{HeaderOut, Message, Outcome, Relay, is_one_hop_header};

use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::log;
use crate::reactor::{Instant, Ready, before, beside};
use crate::receive::{Answer, Broken, chunk};
use crate::url::Url;

/// The longest body of a target's answer that a browser gets.
const RELAYED_BYTES: usize = 4 << 20;

/// A request that came in, as far as it goes on.
#[derive(Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) fields: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
}

impl Original<'_> {
    /// Sends a message and waits for the status of the answer, until the deadline.
    pub(crate) async fn send(self, message: &Message, url: &Url, deadline: Instant) -> Outcome {
        if deadline.remaining().is_zero() {
            return Outcome::TimedOut;
        }
        let exchange = async {
            let body = message.body.bytes(self.body);
            let fields = self.headers(&message.drop_headers, &message.set_headers);
            let _ = fields.append("content-length", body.len().to_string().as_bytes());
            let (response, outgoing) = open(fields, &Method::Post, url, url.path_and_query.as_str(), deadline)?;
            // A target may answer before it has read everything.
            beside(answered(&response), write(outgoing, body)).await.map(|response| response.status())
        };
        match before(deadline, exchange).await {
            Some(Ok(status)) => Outcome::Answered(status),
            Some(Err(error)) => failure(&error, url),
            None => Outcome::TimedOut,
        }
    }

    /// Sends a browser's request on, and brings the target's answer back.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn relay(
        self,
        relay: &Relay<'_>,
        head: bool,
        url: &Url,
        query: &str,
        deadline: Instant,
    ) -> Result<Answer, Outcome> {
        let exchange = async {
            let method = if head { Method::Head } else { Method::Get };
            let fields = self.headers(&relay.drop_headers, &relay.set_headers);
            let (response, outgoing) =
                open(fields, &method, url, &Relay::path(url.path_and_query.as_str(), query), deadline)?;
            let response = beside(answered(&response), write(outgoing, b"")).await?;
            let status = response.status();
            if status < 200 {
                return Err(ErrorCode::HttpProtocolError);
            }
            let sized = !head && !matches!(status, 204 | 304);
            let mut answer = Answer { status, fields: end_to_end(&response), body: Vec::new(), sized };
            for HeaderOut { name, value } in &relay.answer_headers {
                if !answer.fields.iter().any(|(there, _)| there == name) {
                    answer.fields.push(((*name).to_owned(), value.as_bytes().to_vec()));
                }
            }
            let body = response.consume().map_err(|()| ErrorCode::InternalError(None))?;
            let stream = body.stream().map_err(|()| ErrorCode::InternalError(None))?;
            let broken = |broken| match broken {
                Broken::Late => ErrorCode::HttpResponseTimeout,
                Broken::Cut => ErrorCode::HttpResponseIncomplete,
            };
            while let Some(bytes) = chunk(&stream, deadline).await.map_err(broken)? {
                answer.body.extend_from_slice(&bytes);
                if answer.body.len() > RELAYED_BYTES {
                    return Err(ErrorCode::HttpResponseBodySize(None));
                }
            }
            Ok(answer)
        };
        match before(deadline, exchange).await {
            Some(answer) => answer.map_err(|error| failure(&error, url)),
            None => Err(Outcome::TimedOut),
        }
    }

    fn headers(self, drop: &[String], set: &[HeaderOut]) -> Fields {
        let fields = Fields::new();
        let for_this_hop = listed(self.fields);
        for (name, value) in self.fields {
            let dropped = drop.contains(name) || set.iter().any(|set| set.name == name);
            if !dropped && !is_one_hop_header(name.as_bytes()) && !for_this_hop.contains(name) {
                let _ = fields.append(name, value);
            }
        }
        for set in set {
            let _ = fields.append(set.name, set.value.as_bytes());
        }
        fields
    }
}

fn open(
    fields: Fields,
    method: &Method,
    url: &Url,
    path_and_query: &str,
    deadline: Instant,
) -> Result<(FutureIncomingResponse, OutgoingBody), ErrorCode> {
    let request = OutgoingRequest::new(fields);
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    let body = request
        .set_method(method)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(url.authority.as_str())))
        .and_then(|()| request.set_path_with_query(Some(path_and_query)))
        .and_then(|()| request.body())
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    Ok((handle(request, Some(options(deadline.remaining())))?, body))
}

/// A response's fields, without those for one hop.
fn end_to_end(response: &IncomingResponse) -> Vec<(String, Vec<u8>)> {
    let fields = response.headers().entries().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut fields: Vec<_> = fields.collect();
    let for_this_hop = listed(&fields);
    fields.retain(|(name, _)| !is_one_hop_header(name.as_bytes()) && !for_this_hop.contains(name));
    fields
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

/// Writes a body to its end, unless the other side will have no more of it.
pub(crate) async fn write(outgoing: OutgoingBody, mut rest: &[u8]) {
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

async fn answered(response: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    loop {
        match response.get() {
            Some(Ok(answer)) => return answer,
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
