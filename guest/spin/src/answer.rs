//! From a request to its answer.

use std::time::Duration;

use hookgate_core::{Admission, Decision, Gate, Head, Intake, Refusal, Request, Response};

use crate::bindings::wasi::clocks::wall_clock;
use crate::bindings::wasi::http::types::IncomingRequest;
use crate::claims::StoreError;
use crate::config;
use crate::deliver::Carrier;
use crate::forward::Original;
use crate::log;
use crate::reactor::Instant;
use crate::receive::{Answer, Broken, Received, chunk};
use crate::redirect;

/// Kapso waits 10 s for an answer; this leaves one for the way.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// Answers a request.
pub(crate) async fn answer(incoming: &IncomingRequest) -> Answer {
    let deadline = Instant::now().after(ANSWER_WITHIN);
    let Some(gate) = config::gate() else { return Response::plain(500).into() };
    let received = Received::new(incoming);
    let headers = received.headers();
    let head = received.head(&headers);
    match gate.admit(&head) {
        Admission::NotOurs => Response::plain(404).into(),
        Admission::Respond(refusal) => refused(refusal).into(),
        Admission::Redirect(redirect) => redirect::send_on(gate, redirect, &head, &received.fields, deadline).await,
        Admission::Read(intake) => deliver(gate, incoming, intake, head, &received.fields, deadline).await.into(),
    }
}

async fn deliver(
    gate: &Gate,
    incoming: &IncomingRequest,
    mut intake: Intake,
    head: Head<'_>,
    fields: &[(String, Vec<u8>)],
    deadline: Instant,
) -> Response {
    let mut body = Vec::new();
    let Ok(consumed) = incoming.consume() else { return Response::plain(400) };
    let Ok(stream) = consumed.stream() else { return Response::plain(400) };
    loop {
        match chunk(&stream, deadline).await {
            Ok(Some(bytes)) => {
                if let Err(refusal) = intake.feed(gate, &bytes) {
                    return refused(refusal);
                }
                body.extend_from_slice(&bytes);
            }
            Ok(None) => break,
            Err(Broken::Cut) => return Response::plain(400),
            Err(Broken::Late) => return Response::plain(408),
        }
    }

    let request = Request { head, body: &body };
    match intake.finish(gate, &request, now()) {
        Decision::NotOurs | Decision::Redirect(_) => Response::plain(404),
        Decision::Respond(refusal) => refused(refusal),
        Decision::Deliver(deliver) => {
            let original = Original { fields, body: &body };
            let carrier = Carrier { gate, request, original, deadline, clock: now };
            carrier.carry(&deliver).await.unwrap_or_else(|StoreError(reason)| {
                log::line(&format!("503 source={} store: {reason}", deliver.proof.source));
                Response::plain(503)
            })
        }
    }
}

fn refused(refusal: Refusal<'_>) -> Response {
    if let Some(rejection) = refusal.rejection {
        let source = refusal.source.unwrap_or("-");
        log::line(&format!("{} source={source} rejected={rejection}", refusal.response.status));
    }
    refusal.response
}

/// Unix seconds.
fn now() -> u64 {
    wall_clock::now().seconds
}
