//! Deliveries to send: made up here, or one of the examples.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A request that Kapso might send.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Delivery {
    /// An unsigned v2 delivery with this event name and body.
    pub fn new(event: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers =
            [("Content-Type", "application/json"), ("X-Webhook-Event", event), ("X-Webhook-Payload-Version", "v2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Delivery { headers: headers.into(), body: body.into() }
    }

    /// A received text message, signed.
    pub fn message(id: &str, secret: &str) -> Self {
        Delivery::new(RECEIVED, item(id, "text").to_string()).signed(secret)
    }

    /// A batch of received messages, each an id and a type, signed.
    pub fn batch(messages: &[(&str, &str)], secret: &str) -> Self {
        let data: Vec<Value> = messages.iter().map(|(id, kind)| item(id, kind)).collect();
        let info = json!({"size": data.len(), "window_ms": 5000, "first_sequence": 1, "last_sequence": data.len()});
        let body = json!({"type": RECEIVED, "batch": true, "data": data, "batch_info": info}).to_string();
        Delivery::new(RECEIVED, body)
            .with("X-Webhook-Batch", "true")
            .with("X-Batch-Size", &messages.len().to_string())
            .signed(secret)
    }

    /// One of the example deliveries, such as `received-text`, with the secret that it is signed with.
    ///
    /// # Panics
    /// When there is no such example.
    pub fn example(name: &str) -> (Self, String) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deliveries").join(name).with_extension("json");
        let text = std::fs::read_to_string(&file).expect("an example of this name");
        let example: Value = serde_json::from_str(&text).expect("an example is JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let headers = example["headers"].as_object().expect("an example has headers");
        let headers = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        (Delivery { headers, body: text(&example["body"]).into() }, text(&example["secret"]))
    }

    /// All example deliveries in the order of their names, each with its name and the secret that it is signed with.
    ///
    /// # Panics
    /// When they are not there.
    pub fn examples() -> Vec<(String, Self, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deliveries");
        let files = std::fs::read_dir(folder).expect("the examples").map(|file| file.expect("a file").file_name());
        let name = |file: OsString| file.to_str().expect("a name of text").strip_suffix(".json").map(str::to_owned);
        let mut names: Vec<_> = files.filter_map(name).collect();
        assert!(names.len() > 50, "only {} examples", names.len());
        names.sort();
        let with_name = |name: String| {
            let (delivery, secret) = Self::example(&name);
            (name, delivery, secret)
        };
        names.into_iter().map(with_name).collect()
    }

    /// With one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without the header fields of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        self
    }

    /// With Kapso's signature of its body.
    #[must_use]
    pub fn signed(self, secret: &str) -> Self {
        let signature = hmac_sha256(secret.as_bytes(), &self.body);
        self.without("X-Webhook-Signature").with("X-Webhook-Signature", &signature)
    }
}

const RECEIVED: &str = "whatsapp.message.received";

/// A v2 message event.
pub fn item(id: &str, kind: &str) -> Value {
    let content = if kind == "text" { json!({"body": format!("Hello {id}")}) } else { json!({"id": "1"}) };
    let kapso =
        json!({"direction": "inbound", "status": "received", "origin": "cloud_api", "has_media": kind != "text"});
    json!({
        "message": {"id": id, "timestamp": "1789395901", "type": kind, "from": "16315551181", kind: content, "kapso": kapso},
        "conversation": {"id": "5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4", "phone_number": "16315551181"},
        "is_new_conversation": false,
        "phone_number_id": "123456789012345",
    })
}

/// RFC 2104 over SHA-256 as lower-case hex: written out, so that nothing is checked against itself.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    hex::encode(outer)
}
