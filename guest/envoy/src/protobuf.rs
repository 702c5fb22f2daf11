//! `google.protobuf.Struct`, read just far enough to write it as the JSON that it means. A protobuf library would be a tenth of
//! the filter.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

use hookgate_core::Quoted;

/// Structs within structs that are still read. No policy comes near.
const MAX_DEPTH: u32 = 64;

/// The JSON of a Struct's bytes; none if they are no Struct with at least one field, to the last byte.
pub(crate) fn json(bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    object(bytes, &mut out, 0)?;
    (!bytes.is_empty()).then_some(out)
}

/// A field's value as it stands on the wire.
enum Wire<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// A Struct: a map from names to values, each entry a field 1.
fn object(bytes: &[u8], out: &mut String, depth: u32) -> Option<()> {
    let mut separator = '{';
    let mut rest = bytes;
    while !rest.is_empty() {
        let (1, Wire::Bytes(mut entry)) = field(&mut rest)? else { return None };
        let (mut name, mut value) = (&[][..], &[][..]);
        while !entry.is_empty() {
            match field(&mut entry)? {
                (1, Wire::Bytes(bytes)) => name = bytes,
                (2, Wire::Bytes(bytes)) => value = bytes,
                _ => return None,
            }
        }
        out.push(separator);
        text(name, out)?;
        out.push(':');
        self::value(value, out, depth)?;
        separator = ',';
    }
    out.push_str(if separator == '{' { "{}" } else { "}" });
    Some(())
}

/// A ListValue: each value a field 1.
fn list(bytes: &[u8], out: &mut String, depth: u32) -> Option<()> {
    let mut separator = '[';
    let mut rest = bytes;
    while !rest.is_empty() {
        let (1, Wire::Bytes(value)) = field(&mut rest)? else { return None };
        out.push(separator);
        self::value(value, out, depth)?;
        separator = ',';
    }
    out.push_str(if separator == '[' { "[]" } else { "]" });
    Some(())
}

/// A Value: one field, whose number says what it is.
fn value(bytes: &[u8], out: &mut String, depth: u32) -> Option<()> {
    if depth == MAX_DEPTH {
        return None;
    }
    let mut rest = bytes;
    if rest.is_empty() {
        out.push_str("null");
        return Some(());
    }
    match field(&mut rest)? {
        (1, Wire::Varint(_)) => out.push_str("null"),
        (2, Wire::Fixed(bits)) => number(f64::from_bits(bits), out),
        (3, Wire::Bytes(bytes)) => text(bytes, out)?,
        (4, Wire::Varint(truth)) => out.push_str(if truth == 0 { "false" } else { "true" }),
        (5, Wire::Bytes(bytes)) => object(bytes, out, depth + 1)?,
        (6, Wire::Bytes(bytes)) => list(bytes, out, depth + 1)?,
        _ => return None,
    }
    rest.is_empty().then_some(())
}

/// A Struct has no integers: one that is whole is written as one, since the policy's numbers are counts. Of any other, which no
/// policy may hold, thousandths are enough to tell what was there.
fn number(number: f64, out: &mut String) {
    if !number.is_finite() {
        return out.push_str("null");
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let (size, whole) = (number.abs(), number.abs() as u64);
    out.push_str(sign);
    out.push_str(&whole.to_string());
    let beyond = size - whole as f64;
    if beyond != 0.0 {
        let thousandths = (beyond * 1000.0).min(999.0) as u64;
        out.push_str(&format!(".{thousandths:03}"));
    }
}

fn text(bytes: &[u8], out: &mut String) -> Option<()> {
    write!(out, "{}", Quoted(core::str::from_utf8(bytes).ok()?)).ok()
}

/// The next field's number and value.
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Wire::Varint(varint(rest)?),
        1 => {
            let (bytes, behind) = rest.split_first_chunk()?;
            *rest = behind;
            Wire::Fixed(u64::from_le_bytes(*bytes))
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (bytes, behind) = rest.split_at_checked(length)?;
            *rest = behind;
            Wire::Bytes(bytes)
        }
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct, Value};

    use super::*;

    fn encoded(kind: Kind) -> Vec<u8> {
        let fields = [("a".to_owned(), Value { kind: Some(kind) })].into();
        prost::Message::encode_to_vec(&Struct { fields })
    }

    /// A Struct within a Struct, and so on: each is one entry, whose value is the next.
    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(encoded(Kind::BoolValue(true)), |inner, _| {
            let part = |tag: u8, bytes: &[u8]| {
                let mut part = vec![tag];
                prost::encode_length_delimiter(bytes.len(), &mut part).unwrap();
                [part, bytes.to_vec()].concat()
            };
            let value = part(0x2a, &inner);
            part(0x0a, &[part(0x0a, b"a"), part(0x12, &value)].concat())
        })
    }

    #[test]
    fn a_struct_becomes_the_json_it_was_written_as() {
        let numbers = [1.0, -2.0, 4_194_304.0, -0.5, 1e-9, 1e300, f64::NAN]
            .map(|number| Value { kind: Some(Kind::NumberValue(number)) });
        let list = ListValue { values: numbers.into() };
        assert_eq!(
            json(&encoded(Kind::ListValue(list))).unwrap(),
            r#"{"a":[1,-2,4194304,-0.500,0.000,18446744073709551615.999,null]}"#
        );
        assert_eq!(json(&encoded(Kind::ListValue(ListValue::default()))).unwrap(), r#"{"a":[]}"#);
        assert_eq!(json(&encoded(Kind::NullValue(0))).unwrap(), r#"{"a":null}"#);
        assert_eq!(json(&encoded(Kind::BoolValue(false))).unwrap(), r#"{"a":false}"#);
        assert_eq!(json(&encoded(Kind::StructValue(Struct::default()))).unwrap(), r#"{"a":{}}"#);
        let text = "é\"\\\n\u{1f}\u{1f389}";
        let expected = serde_json::json!({"a": text});
        let read: serde_json::Value =
            serde_json::from_str(&json(&encoded(Kind::StringValue(text.into()))).unwrap()).unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn fields_of_one_struct_all_come() {
        let value = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
        let fields = [("a".to_owned(), value("1")), ("b".to_owned(), value("2"))].into();
        let bytes = prost::Message::encode_to_vec(&Struct { fields });
        assert_eq!(json(&bytes).unwrap(), r#"{"a":"1","b":"2"}"#);
    }

    #[test]
    fn what_is_cut_or_longer_is_none() {
        let whole = encoded(Kind::StringValue("\u{e9}".repeat(100)));
        for end in 0..whole.len() {
            assert_eq!(json(&whole[..end]), None, "{end}");
        }
        assert_eq!(json(&[whole, vec![0xff]].concat()), None);
    }

    #[test]
    fn no_depth_is_too_deep_to_be_refused() {
        assert!(json(&nested(60)).is_some());
        assert_eq!(json(&nested(70)), None);
    }
}
