//! The plugin's configuration as JSON text, however Envoy hands it over.

use std::borrow::Cow;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::{Map, Number};

/// The policy document in a plugin's configuration: the text itself (`google.protobuf.StringValue`), or the protobuf bytes
/// of a `google.protobuf.Struct`, which is what plain YAML comes as. None for what is neither.
///
/// Envoy does not say which of the two it is. A Struct's bytes begin with a line feed, as a text may; but a text of JSON
/// never reads as a Struct to its last byte.
pub(crate) fn document(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(document) = Struct::decode(bytes)
        && !document.fields.is_empty()
    {
        return serde_json::to_string(&object(document)).ok().map(Cow::Owned);
    }
    std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
}

fn object(document: Struct) -> serde_json::Value {
    serde_json::Value::Object(
        document.fields.into_iter().map(|(name, field)| (name, value(field))).collect::<Map<_, _>>(),
    )
}

fn value(value: Value) -> serde_json::Value {
    match value.kind {
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(truth)) => truth.into(),
        Some(Kind::NumberValue(number)) => self::number(number),
        Some(Kind::StructValue(inner)) => object(inner),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(self::value).collect(),
        Some(Kind::NullValue(_)) | None => serde_json::Value::Null,
    }
}

/// A Struct has no integers: one that is whole is written as one, since the policy's numbers are counts.
fn number(number: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return serde_json::Value::from(number as i64);
    }
    Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: Kind) -> Vec<u8> {
        Struct { fields: [("a".to_owned(), Value { kind: Some(kind) })].into() }.encode_to_vec()
    }

    #[test]
    fn a_struct_becomes_the_json_it_was_written_as() {
        let list = prost_types::ListValue {
            values: [1.0, 4_194_304.0, 0.5].map(|number| Value { kind: Some(Kind::NumberValue(number)) }).into(),
        };
        assert_eq!(document(&encoded(Kind::ListValue(list))).unwrap(), r#"{"a":[1,4194304,0.5]}"#);
        assert_eq!(document(&encoded(Kind::NullValue(0))).unwrap(), r#"{"a":null}"#);
        assert_eq!(document(&encoded(Kind::BoolValue(true))).unwrap(), r#"{"a":true}"#);
        let inner =
            Struct { fields: [("b\n".to_owned(), Value { kind: Some(Kind::StringValue("é\"".into())) })].into() };
        assert_eq!(document(&encoded(Kind::StructValue(inner))).unwrap(), r#"{"a":{"b\n":"é\""}}"#);
    }

    #[test]
    fn text_stays_text_even_where_it_begins_as_a_struct_does() {
        for text in ["{}", "\n{\n \"sources\": []\n}\n", "", "not json"] {
            assert_eq!(document(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn a_struct_cut_short_is_no_document() {
        let whole = encoded(Kind::StringValue("\u{e9}".repeat(100)));
        assert_eq!(document(&whole[..whole.len() - 1]), None);
        assert_eq!(document(&[0xff, 0xfe]), None);
    }
}
