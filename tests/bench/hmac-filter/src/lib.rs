//! An Envoy filter as one writes it with the SDK: it hashes pieces as they come, compares, tells the upstream, and does nothing
//! else. The secret is its configuration.

use hmac::{Hmac, KeyInit, Mac};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use sha2::Sha256;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root { key: None }));
}}

struct Root {
    key: Option<Hmac<Sha256>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let secret = self.get_plugin_configuration().unwrap_or_default();
        self.key = Hmac::new_from_slice(&secret).ok();
        self.key.is_some() && !secret.is_empty()
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { mac: self.key.clone()?, hashed: 0, signature: Vec::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Request {
    mac: Hmac<Sha256>,
    /// So many bytes of the body.
    hashed: usize,
    signature: Vec<u8>,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let given = self.get_http_request_header("x-webhook-signature").unwrap_or_default();
        self.signature = hex::decode(given).unwrap_or_default();
        if end_of_stream {
            self.refuse();
        }
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        // While it is paused the host keeps what has come, and shows it again with what comes.
        if let Some(piece) = self.get_http_request_body(self.hashed, size.saturating_sub(self.hashed)) {
            self.mac.update(&piece);
            self.hashed += piece.len();
        }
        if !end_of_stream {
            return Action::Pause;
        }
        if self.mac.clone().verify_slice(&self.signature).is_err() {
            self.refuse();
            return Action::Pause;
        }
        self.set_http_request_header("x-verified", Some("true"));
        Action::Continue
    }
}

impl Request {
    fn refuse(&self) {
        self.send_http_response(401, Vec::new(), None);
    }
}
