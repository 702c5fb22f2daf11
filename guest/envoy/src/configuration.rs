//! The plugin's configuration as JSON text, however Envoy hands it over.

use alloc::borrow::Cow;

use crate::protobuf;

/// The policy document in a plugin's configuration: the text itself (`google.protobuf.StringValue`), or the protobuf bytes
/// of a `google.protobuf.Struct`, which is what plain YAML comes as. None for what is neither.
///
/// Envoy does not say which of the two it is. A Struct's bytes begin with a line feed, as a text may; but a text of JSON
/// never reads as a Struct to its last byte.
pub(crate) fn document(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match protobuf::json(bytes) {
        Some(document) => Some(Cow::Owned(document)),
        None => core::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use super::document;

    #[test]
    fn text_stays_text_even_where_it_begins_as_a_struct_does() {
        for text in ["{}", "\n{\n \"sources\": []\n}\n", "", "not json"] {
            assert_eq!(document(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn a_struct_is_written_as_json() {
        assert_eq!(document(b"\n\x07\n\x01a\x12\x02\x20\x01").unwrap(), r#"{"a":true}"#);
    }

    #[test]
    fn what_is_neither_is_no_document() {
        assert_eq!(document(&[0xff, 0xfe]), None);
    }
}
