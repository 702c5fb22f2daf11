//! The admin address: is it alive, is it ready, what has it counted.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::receive::Answer;
use super::state::State;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) fn answer(state: &Arc<State>, request: &Request<Incoming>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" if state.stopping.is_cancelled() => {
            text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n".to_owned())
        }
        "/readyz" => text(StatusCode::OK, TEXT, "ready\n".to_owned()),
        "/metrics" => text(
            StatusCode::OK,
            OPEN_METRICS,
            state.metrics.text(state.store.held(), state.active.load().gate.instances()),
        ),
        _ => text(StatusCode::NOT_FOUND, TEXT, "/healthz, /readyz or /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, kind: HeaderValue, text: String) -> Answer {
    let mut answer = http::Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
