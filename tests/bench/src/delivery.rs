//! What is sent: messages as Kapso writes them, of sizes from a status to the largest body that is taken.

use std::fmt;

use hookgate_core::{Head, Header, Request};
use sha2::{Digest, Sha256};

/// The value of every secret.
pub(crate) const SECRET: &str = "whsec_bench_7f0c2b1e94d84b6f";
/// Where deliveries go.
pub(crate) const PATH: &str = "/webhooks/whatsapp";
/// The phone number of every message, unless said otherwise.
pub(crate) const NUMBER: &str = "123456789012345";
/// When every delivery comes, in Unix seconds: a second after its messages.
pub(crate) const NOW: u64 = 1_789_395_902;

const RECEIVED: &str = "whatsapp.message.received";
/// A message of a batch has so many bytes.
const ITEM: usize = 1140;

/// A body's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Size {
    /// 0.3 KB: the least that a message says.
    Least,
    /// 1.1 KB: a message.
    Message,
    /// 4 KB: a message with a long text.
    Long,
    /// 57 KB: a batch of 50.
    Batch,
    /// 1 MB: a batch of 900.
    Large,
    /// 4 MB: the largest body that is taken by default.
    Largest,
}

impl Size {
    pub(crate) const ALL: [Self; 6] = [Self::Least, Self::Message, Self::Long, Self::Batch, Self::Large, Self::Largest];

    /// In a batch of 57 KB.
    pub(crate) const MESSAGES: usize = 50;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Least => "0.3 KB",
            Self::Message => "1.1 KB",
            Self::Long => "4 KB",
            Self::Batch => "57 KB",
            Self::Large => "1 MB",
            Self::Largest => "4 MB",
        }
    }

    /// A signed delivery of this size, for this phone number.
    pub(crate) fn delivery(self, number: &str) -> Delivery {
        let body = match self {
            Self::Least => least(number),
            Self::Message => message(number, 0, 1100),
            Self::Long => message(number, 0, 4000),
            Self::Batch => batch(number, Self::MESSAGES),
            Self::Large => batch(number, 900),
            Self::Largest => batch(number, 3600),
        };
        Delivery::signed(body, matches!(self, Self::Batch | Self::Large | Self::Largest))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A signed delivery.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) headers: [(&'static str, String); 6],
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    fn signed(body: String, is_batch: bool) -> Self {
        let headers = [
            ("content-type", String::from("application/json")),
            ("x-webhook-event", String::from(RECEIVED)),
            ("x-webhook-signature", Signer::new().sign(body.as_bytes())),
            ("x-idempotency-key", String::from("e5539bc4-2a2e-5f39-b28f-a96230852e9b")),
            ("x-webhook-payload-version", String::from("v2")),
            ("x-webhook-batch", is_batch.to_string()),
        ];
        Delivery { headers, body: body.into_bytes() }
    }

    /// The headers as the core takes them.
    pub(crate) fn core_headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
    }

    /// The whole request as the core takes it.
    pub(crate) fn core_request<'a>(&'a self, headers: &'a [Header<'a>]) -> Request<'a> {
        Request { head: Head { method: "POST", path: PATH, headers }, body: &self.body }
    }
}

/// HMAC-SHA256 as RFC 2104 writes it, both halves of the key hashed beforehand.
#[derive(Clone)]
pub(crate) struct Signer {
    inner: Sha256,
    outer: Sha256,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let mut key = [0; 64];
        key[..SECRET.len()].copy_from_slice(SECRET.as_bytes());
        let half = |pad: u8| Sha256::new().chain_update(key.map(|byte| byte ^ pad));
        Signer { inner: half(0x36), outer: half(0x5c) }
    }

    /// The signature in hexadecimal.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        let inner = self.inner.clone().chain_update(body).finalize();
        hex::encode(self.outer.clone().chain_update(inner).finalize())
    }
}

fn least(number: &str) -> String {
    format!(
        r#"{{"message":{{"id":"{}","timestamp":"1789395901","type":"text","from":"16315551181","text":{{"body":"Hola"}},"kapso":{{"direction":"inbound","status":"received","origin":"cloud_api"}}}},"phone_number_id":"{number}"}}"#,
        id(0)
    )
}

/// A message as Kapso sends it, its text as long as it takes for so many bytes.
fn message(number: &str, index: usize, bytes: usize) -> String {
    let with_text = |text: &str| {
        format!(
            r#"{{"message":{{"id":"{}","timestamp":"1789395901","type":"text","from":"16315551181","text":{{"body":"{text}"}},"kapso":{{"direction":"inbound","status":"received","processing_status":"pending","origin":"cloud_api","has_media":false,"content":"{text}"}}}},"conversation":{{"id":"5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4","contact_name":"Ana López","phone_number":"16315551181","status":"active","last_active_at":"2026-09-14T11:25:01-03:00","created_at":"2026-09-14T10:40:00-03:00","updated_at":"2026-09-14T11:25:01-03:00","metadata":{{}},"phone_number_id":"{number}","kapso":{{"messages_count":3,"last_message_id":"wamid.HBgLMTYzMTU1NTExODEVAgA=","last_message_type":"text","last_message_timestamp":"2026-09-14T14:25:01.000000Z","last_message_text":"Hola","last_inbound_at":"2026-09-14T14:25:01.000000Z","last_outbound_at":null}}}},"is_new_conversation":true,"phone_number_id":"{number}"}}"#,
            id(index)
        )
    };
    // The text stands there twice.
    let room = bytes.saturating_sub(with_text("").len()) / 2;
    let text: String = "Hola, quisiera saber si mi pedido ya salio. ".chars().cycle().take(room).collect();
    with_text(&text)
}

fn batch(number: &str, messages: usize) -> String {
    let data: Vec<_> = (0..messages).map(|index| message(number, index, ITEM)).collect();
    format!(
        r#"{{"type":"{RECEIVED}","batch":true,"data":[{}],"batch_info":{{"size":{messages},"window_ms":5000,"first_sequence":101,"last_sequence":{},"conversation_id":"5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4"}}}}"#,
        data.join(","),
        100 + messages
    )
}

/// What stands before the number in the id of a message.
pub(crate) const BEFORE_NUMBER: &str = "wamid.HBgLMTYzMTU1NTExODEVAgASGBQ";
/// The digits of that number.
pub(crate) const DIGITS: usize = 12;

/// A message id as WhatsApp makes them, always of the same length.
fn id(index: usize) -> String {
    format!("{BEFORE_NUMBER}{index:0DIGITS$}QTA=")
}
