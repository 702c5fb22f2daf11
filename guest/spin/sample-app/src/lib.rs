//! An inbox: a Spin app of somebody else's, with no service beside it, that asks the gate by itself.
//!
//! It takes Kapso's webhooks directly, or from a Hookgate component of the same app as
//! `http://inbox.spin.internal/inbox`: what is sent on as received can be verified again. It answers one line for each
//! event.

mod bindings {
    #![allow(missing_docs)]
    wit_bindgen::generate!({
        path: [
            "../../../wit",
            "../wit/deps/wasi-io",
            "../wit/deps/wasi-clocks",
            "../wit/deps/wasi-http",
            "../wit/deps/fermyon-spin",
            "wit",
        ],
        world: "hookgate:sample-app/app",
        generate_all,
    });
    use super::Inbox;
    export!(Inbox with_types_in self);
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::fermyon::spin::variables;
use bindings::hookgate::kapso::gate::{Decision, Gate, Head, Header, Request, Response, Secret};
use bindings::wasi::clocks::wall_clock;
use bindings::wasi::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

const POLICY: &str = r#"{
    "sources": [{"name": "inbox", "path": "/inbox", "scheme": "kapso", "secrets": ["KAPSO_SECRET"]}],
    "otherwise": {"to": ["here"]},
    "targets": {"here": {"url": "http://inbox.spin.internal/inbox"}}
}"#;

/// The longest body that is read, in bytes.
const LONGEST: usize = 4 << 20;

struct Inbox;

impl Guest for Inbox {
    fn handle(incoming: IncomingRequest, response_out: ResponseOutparam) {
        // What is wrong may name addresses and tokens of whoever keeps the secret, and is nobody's business who sends.
        let response = read(&incoming).and_then(|request| answer(&request));
        let response = response.unwrap_or_else(|_| text(500, "internal server error\n"));
        respond(response_out, &response);
    }
}

/// The one question that matters: is it genuine, and what does it say?
fn answer(request: &Request) -> Result<Response, String> {
    let secret = variables::get("kapso_secret").map_err(|error| format!("{error:?}"))?;
    let secrets = [Secret { name: "KAPSO_SECRET".into(), value: secret }];
    let gate = Gate::compile(POLICY, &secrets).map_err(|errors| format!("{errors:?}"))?;
    Ok(match gate.decide(request, wall_clock::now().seconds) {
        Decision::NotOurs | Decision::Redirect(_) => text(404, "not found\n"),
        Decision::Respond(refusal) => refusal.response,
        Decision::Deliver(deliver) => {
            let events = deliver.delivery.events.iter();
            let lines = events.map(|event| {
                let name = event.name.as_deref().unwrap_or("an event");
                format!("{name}: {}\n", event.text.as_deref().unwrap_or("-"))
            });
            text(200, &lines.collect::<String>())
        }
    })
}

fn read(incoming: &IncomingRequest) -> Result<Request, String> {
    let method = match incoming.method() {
        Method::Post => "POST",
        Method::Get => "GET",
        _ => "OTHER",
    };
    let fields = incoming.headers().entries();
    let head = Head {
        method: method.to_owned(),
        path: incoming.path_with_query().unwrap_or_default(),
        headers: fields.into_iter().map(|(name, value)| Header { name, value }).collect(),
    };
    let body = incoming.consume().map_err(|()| "the body is gone")?;
    let stream = body.stream().map_err(|()| "the body is gone")?;
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(64 * 1024) {
        bytes.extend(chunk);
        if bytes.len() > LONGEST {
            return Err("the body is too long".into());
        }
    }
    Ok(Request { head, body: bytes })
}

fn text(status: u16, text: &str) -> Response {
    Response { status, headers: Vec::new(), body: text.into() }
}

fn respond(response_out: ResponseOutparam, response: &Response) {
    let fields = Fields::new();
    for header in &response.headers {
        let _ = fields.append(&header.name, &header.value);
    }
    let outgoing = OutgoingResponse::new(fields);
    let _ = outgoing.set_status_code(response.status);
    let body = outgoing.body();
    ResponseOutparam::set(response_out, Ok(outgoing));
    let Ok(body) = body else { return };
    if let Ok(stream) = body.write() {
        for piece in response.body.chunks(4096) {
            let _ = stream.blocking_write_and_flush(piece);
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
