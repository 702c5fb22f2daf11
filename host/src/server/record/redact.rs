//! Bodies without what people wrote and who they are.
//!
//! What is known to be harmless stays: types, states, times, and the ids that rules are written over. Ids of people and
//! messages (WhatsApp's message ids hold the phone number) and phone numbers become others, the same ones for the same, so
//! that a conversation stays one and a message that was read stays the one that was sent. Everything else is blanked,
//! fields that nobody has heard of included. The key behind the new ids is made at the start and never leaves memory:
//! numbers are too few for a digest without a key to hide them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

const BLANK: &str = "[redacted]";
const ADDRESS: &str = "https://redacted.invalid/";
/// How deep arrays and objects may stand in each other. Nothing that Kapso or Meta sends comes near.
const DEPTH: usize = 128;

/// Words of Kapso's and Meta's own stand under these keys, and numbers that count or tell errors.
const WORDS: [&str; 41] = [
    "byte_size",
    "category",
    "channel",
    "connection_type",
    "content_type",
    "country_iso",
    "currency",
    "direction",
    "event",
    "field",
    "first_sequence",
    "initiated_by",
    "language",
    "last_message_type",
    "last_sequence",
    "message_type",
    "messages_count",
    "messaging_product",
    "message_template_language",
    "mime_type",
    "minutes",
    "object",
    "origin",
    "payload_version",
    "previous_status",
    "pricing_model",
    "processing_status",
    "provider",
    "quantity",
    "sequence",
    "size",
    "source",
    "source_type",
    "state",
    "status",
    "tool",
    "type",
    "version",
    "whatsapp_setup_error",
    "whatsapp_setup_status",
    "window_ms",
];

/// Ids of numbers, accounts, customers and conversations, which rules and secrets go by.
const ROUTING: [&str; 10] = [
    "business_account_id",
    "conversation_id",
    "customer_id",
    "phone_number_id",
    "project_id",
    "whatsapp_config_id",
    "whatsapp_conversation_id",
    "workflow_execution_id",
    "workflow_id",
    "run_id",
];

/// What has such an id under `id`; the empty one is the body itself.
const OWNERS: [&str; 10] = [
    "",
    "agent",
    "contact",
    "conversation",
    "customer",
    "entry",
    "phone_numbers",
    "project",
    "setup_link",
    "whatsapp_config",
];

/// Where such an id is made of digits alone, as phone numbers are.
const DIGITS: [&str; 4] = ["business_account_id", "phone_number_id", "entry", "phone_numbers"];

pub(super) struct Redactor {
    key: Zeroizing<String>,
}

/// What stands in these objects is whatever somebody's form, flow or agent made up, under keys of their own.
const FREE_FORM: [&str; 9] =
    ["arguments", "flow_response", "input", "metadata", "parameters", "properties", "result", "results", "variables"];

/// Where a value stands: the key that it, or the list that it is in, stands under, and that of the object around.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'a str,
    parent: &'a str,
    /// Inside a free-form object, where no key says what a value is.
    free: bool,
}

impl<'a> Place<'a> {
    /// The body itself.
    const ROOT: Place<'static> = Place { key: "", parent: "", free: false };

    /// The value under `key` of the object that stands here.
    fn member(self, key: &'a str) -> Self {
        // Meta's own `metadata` is that of a change's `value`.
        let free = FREE_FORM.contains(&self.key) && (self.key, self.parent) != ("metadata", "value");
        Place { key, parent: self.key, free: self.free || free }
    }
}

impl Redactor {
    /// With a new key.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut())?;
        Ok(Redactor { key: Zeroizing::new(hex::encode(key.as_ref())) })
    }

    /// The body, in the same structure and the same order; none if it is not JSON, and so cannot be told apart.
    pub(super) fn body(&self, body: &[u8]) -> Option<Vec<u8>> {
        let body: &RawValue = serde_json::from_slice(body).ok()?;
        let mut redacted = Vec::new();
        self.value(body, Place::ROOT, DEPTH, &mut redacted)?;
        Some(redacted)
    }

    /// 32 hexadecimal digits that stand for a text and do not tell it.
    pub(super) fn pseudonym(&self, text: &str) -> String {
        let mut digest = crate::sign(&self.key, text.as_bytes());
        digest.truncate(32);
        digest
    }

    fn value(&self, value: &RawValue, place: Place<'_>, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let text = value.get();
        match text.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(text).ok()?;
                let mut between = b'{';
                for (key, value) in &members {
                    out.push(between);
                    between = b',';
                    string(out, &self.member(key));
                    out.push(b':');
                    self.value(value, place.member(key), depth, out)?;
                }
                out.extend_from_slice(if members.is_empty() { b"{}" } else { b"}" });
            }
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let mut between = b'[';
                for value in &elements {
                    out.push(between);
                    between = b',';
                    self.value(value, place, depth, out)?;
                }
                out.extend_from_slice(if elements.is_empty() { b"[]" } else { b"]" });
            }
            b'"' => match serde_json::from_str::<String>(text) {
                Ok(text) => string(out, &self.text(&text, place)),
                Err(_) => string(out, BLANK),
            },
            b't' | b'f' | b'n' => out.extend_from_slice(text.as_bytes()),
            _ => out.extend_from_slice(self.number(text, place).as_bytes()),
        }
        Some(())
    }

    /// A key. In free-form objects people write them too.
    fn member<'a>(&self, key: &'a str) -> Cow<'a, str> {
        let plain = key.len() <= 64 && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if plain && !has_number(key) { Cow::Borrowed(key) } else { Cow::Owned(format!("key_{}", self.pseudonym(key))) }
    }

    fn text<'a>(&self, text: &'a str, place: Place<'_>) -> Cow<'a, str> {
        let Place { key, parent, free } = place;
        let is_id = key == "id" || key.ends_with("_id");
        let harmless = || {
            is_time_key(key) && is_time(text)
                || is_word_place(place) && is_word(text, key)
                || (ROUTING.contains(&key) || key == "id" && OWNERS.contains(&parent))
                    && is_routing_id(text)
                    && (!is_phone(text) || DIGITS.contains(&key) || DIGITS.contains(&parent))
        };
        if text.is_empty() || !free && harmless() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(if text.starts_with("wamid.") {
            format!("wamid.{}", self.pseudonym(text))
        } else if is_phone(text) {
            self.phone(text)
        } else if is_id {
            format!("id_{}", self.pseudonym(text))
        } else if text.starts_with("https://") || text.starts_with("http://") {
            ADDRESS.to_owned()
        } else if key == "response_json" {
            "{}".to_owned()
        } else {
            BLANK.to_owned()
        })
    }

    fn number<'a>(&self, number: &'a str, place: Place<'_>) -> Cow<'a, str> {
        let key = place.key;
        let short = number.len() <= 7 || is_time_key(key) && number.len() <= 13;
        if short && !place.free && (is_time_key(key) || is_word_place(place)) {
            Cow::Borrowed(number)
        } else if (key == "id" || key.ends_with("_id")) && number.bytes().all(|byte| byte.is_ascii_digit()) {
            Cow::Owned(self.digits(number, 15).trim_start_matches('0').to_owned() + "0")
        } else {
            Cow::Borrowed("0")
        }
    }

    /// A number that nobody has: no country's begins with 0. However it is written, it is the same.
    fn phone(&self, text: &str) -> String {
        let number: String = text.chars().filter(char::is_ascii_digit).collect();
        let sign = if text.trim_start().starts_with('+') { "+" } else { "" };
        format!("{sign}00{}", self.digits(&number, 11))
    }

    /// So many digits that stand for a number.
    fn digits(&self, number: &str, count: usize) -> String {
        let digest = self.pseudonym(number);
        digest.bytes().take(count).map(|digit| char::from(b'0' + digit % 10)).collect()
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn is_word_place(Place { key, parent, .. }: Place<'_>) -> bool {
    // Elsewhere a code may be one that somebody was sent.
    if key == "code" { matches!(parent, "error" | "errors" | "language") } else { WORDS.contains(&key) }
}

/// `image/jpeg`, `user_changed_number`, `en_US`: nothing that anybody would say.
fn is_word(text: &str, key: &str) -> bool {
    let in_media_type = |byte| matches!(key, "mime_type" | "content_type") && matches!(byte, b';' | b'=' | b' ');
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'+');
    text.len() <= 64 && text.bytes().all(|byte| in_word(byte) || in_media_type(byte)) && !has_number(text)
}

fn is_routing_id(text: &str) -> bool {
    text.len() <= 128
        && !text.starts_with("wamid.")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn is_time_key(key: &str) -> bool {
    matches!(key, "timestamp" | "time" | "last_message_timestamp" | "expiration_timestamp") || key.ends_with("_at")
}

/// Unix seconds or milliseconds, or ISO 8601.
fn is_time(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let iso =
        text.len() <= 40 && text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b"TZ:+-. ".contains(&b));
    digits && matches!(text.len(), 10 | 13) || iso
}

/// However it is written: `16315551181`, `+1 (555) 123-4567`.
fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (5..=20).contains(&digits) && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-(). ".contains(&byte))
}

/// Whether five digits or more stand together.
fn has_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 5)
}

/// The members of an object in their order, as often as they stand there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(redactor: &Redactor, body: &str) -> String {
        String::from_utf8(redactor.body(body.as_bytes()).expect("it is JSON")).unwrap()
    }

    #[test]
    fn what_people_said_and_who_they_are_goes_and_what_rules_ask_for_stays() {
        let redactor = Redactor::new().unwrap();
        let body = r#"{"message":{"id":"x","timestamp":"1789395901","type":"text","text":{"body":"Hola 123"},"unheard_of":"Ana",
            "kapso":{"direction":"inbound","media_url":"https://app.kapso.ai/a?b","has_media":false}},
            "conversation":{"id":"5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4","created_at":"2026-09-14T11:25:01-03:00"},
            "phone_number_id":"123456789012345","location":{"latitude":37.5}}"#;
        let text = redacted(&redactor, body);
        for kept in [
            r#""timestamp":"1789395901""#,
            r#""type":"text""#,
            r#""body":"[redacted]""#,
            r#""unheard_of":"[redacted]""#,
            r#""direction":"inbound""#,
            r#""media_url":"https://redacted.invalid/""#,
            r#""has_media":false"#,
            r#""id":"5b0c7f1e-2a44-4d0b-9c3e-7f60a1d2e3b4""#,
            r#""created_at":"2026-09-14T11:25:01-03:00""#,
            r#""phone_number_id":"123456789012345""#,
            r#""latitude":0"#,
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn the_same_person_and_message_stay_the_same() {
        let redactor = Redactor::new().unwrap();
        let of = |json: &str| redacted(&redactor, json);
        let digits = |json: &str| of(json).chars().filter(char::is_ascii_digit).collect::<String>();
        assert_eq!(digits(r#"{"a":"+1 (555) 123-4567"}"#), digits(r#"{"a":"15551234567"}"#));
        assert_ne!(of(r#"{"a":"15551234567"}"#), of(r#"{"a":"15551234568"}"#));
        assert!(of(r#"{"from":"15551234567"}"#).starts_with(r#"{"from":"00"#));
        assert_eq!(of(r#"{"id":"wamid.A"}"#), of(r#"{"id":"wamid.A"}"#));
        assert_ne!(of(r#"{"id":"wamid.A"}"#), of(r#"{"id":"wamid.B"}"#));
        assert_ne!(of(r#"{"id":"wamid.A"}"#), redacted(&Redactor::new().unwrap(), r#"{"id":"wamid.A"}"#));
    }

    #[test]
    fn order_repetition_and_emptiness_stay() {
        let redactor = Redactor::new().unwrap();
        for body in [r#"{"z":null,"a":[],"z":{},"b":[true,[false]]}"#, "[]", "{}", "null"] {
            assert_eq!(redacted(&redactor, body), body);
        }
        assert!(redacted(&redactor, r#"{"Ana López":1,"16315551181":2,"score":3}"#).ends_with(r#","score":0}"#));
        assert!(!redacted(&redactor, r#"{"Ana López":1,"16315551181":2}"#).contains("1631555"));
    }

    #[test]
    fn what_is_not_json_or_far_too_deep_cannot_be_told_apart() {
        let redactor = Redactor::new().unwrap();
        for body in [&b"Hola"[..], b"{\"a\":\xff}", b"{", b"", &[b'['; 1000]] {
            assert_eq!(redactor.body(body), None);
        }
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert_eq!(redacted(&redactor, &deep), deep);
    }

    #[test]
    fn in_what_people_made_up_no_key_says_that_a_value_is_harmless() {
        let redactor = Redactor::new().unwrap();
        let body = r#"{"event":"project.event","status":"ended","properties":{"status":"pregnant","born_at":"1990-01-01T00:00:00Z"},
            "kapso":{"flow_response":{"language":"Quechua","children":[{"type":"daughter","minutes":3}]}},
            "value":{"metadata":{"phone_number_id":"123456789012345"}}}"#;
        let text = redacted(&redactor, body);
        for secret in ["pregnant", "1990", "Quechua", "daughter", "3}"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for kept in ["project.event", "ended", "123456789012345"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn a_number_in_place_of_a_word_does_not_stay() {
        let redactor = Redactor::new().unwrap();
        for body in [
            r#"{"type":"16315551181"}"#,
            r#"{"code":16315551181}"#,
            r#"{"timestamp":"16315551181"}"#,
            r#"{"conversation_id":"16315551181"}"#,
            r#"{"status":"I am Ana"}"#,
        ] {
            let text = redacted(&redactor, body);
            assert!(!text.contains("16315551181") && !text.contains("Ana"), "{text}");
        }
    }
}
