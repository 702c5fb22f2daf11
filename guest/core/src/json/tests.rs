use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn check(text: &str) -> core::result::Result<(), ParseError> {
    Reader::whole(text, Reader::pass)
}

fn string(text: &str) -> Option<String> {
    let mut slot = None;
    Reader::new(text).string(&mut slot).unwrap();
    slot.map(|found| found.text().into_owned())
}

#[test]
fn the_grammar_is_checked_to_the_letter() {
    for good in
        ["{}", "[]", " [1, -0.5e+10 ,\"\\u00e9\\/\"]\n", "{\"a\":{\"b\":[null,true,false]}}", "0", "\"\\ud800\""]
    {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "{",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "tru",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\u{1}\"",
        "'a'",
        "[1 2]",
        "{} {}",
        "\u{feff}{}",
        "NaN",
        "{\"a\":1 \"b\":2}",
        "tru\u{e9}",
        "\0",
        "{}\0",
        "{\0}",
        "{\"a\"\0:1}",
        "[1\0",
        "\"a\0\"",
        "\u{b}{}",
    ] {
        assert!(matches!(check(bad), Err(ParseError::NotJson(_))), "{bad}");
    }
    assert_eq!(check("[1,x]"), Err(ParseError::NotJson(3)));
    assert_eq!(text(b"\"\xff\""), Err(ParseError::NotJson(1)));
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(string(r#""a\"\\\/\b\f\n\r\tz""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tz"));
    assert_eq!(string(r#""\u00e9\ud83d\ude00 \u0026""#).as_deref(), Some("é😀 &"));
    assert_eq!(string(r#""\ud83dx\ude00""#).as_deref(), Some("\u{fffd}x\u{fffd}"));
    assert_eq!(string(r#""\ud83d\u0041""#).as_deref(), Some("\u{fffd}A"));
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(check(&nested(64)), Ok(()));
    assert_eq!(check(&nested(65)), Err(ParseError::TooDeep(64)));
    assert_eq!(check(&"[".repeat(1_000_000)), Err(ParseError::TooDeep(64)));
}

#[test]
fn another_type_than_asked_for_is_skipped() {
    let mut reader = Reader::new(r#"{"a":[1,{"b":2}],"c":"d"}"#);
    let mut seen = Vec::new();
    let found = reader.object(&mut |reader, key| {
        let mut slot = None;
        reader.string(&mut slot)?;
        seen.push((key.to_vec(), slot.map(|found| found.text().into_owned())));
        Ok(())
    });
    assert_eq!(found, Ok(true));
    assert_eq!(seen, [(b"a".to_vec(), None), (b"c".to_vec(), Some("d".to_string()))]);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_is_read(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(check(&text), Ok(()));
    }

    #[test]
    fn damaged_text_is_judged_as_serde_json_judges_it(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let ours = core::str::from_utf8(&bytes).is_ok_and(|text| check(text).is_ok());
        let theirs = core::str::from_utf8(&bytes).is_ok()
            && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        // serde_json lets control characters pass in values that it ignores.
        let controls = bytes.iter().any(|byte| *byte < 0x20);
        prop_assert!(ours == theirs || controls, "{ours} {theirs} {}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_run_ends_at_the_first_special_byte(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let first = bytes.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
        prop_assert_eq!(plain_run(&bytes), first.unwrap_or(bytes.len()));
    }

    #[test]
    fn visible_is_what_every_byte_is(text in "[!-~]{0,20}", other in any::<u8>(), at in any::<prop::sample::Index>(), byte in any::<char>()) {
        let expected = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != other);
        prop_assert_eq!(is_visible_without(&text, other), expected(&text));
        let mut text: Vec<char> = text.chars().collect();
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = byte;
            let text = String::from_iter(text);
            prop_assert_eq!(is_visible_without(&text, other), expected(&text));
        }
    }

    #[test]
    fn the_same_is_what_equals(left in "[ab]{0,20}", right in "[ab]{0,20}", differs_at in any::<prop::sample::Index>()) {
        prop_assert_eq!(same(&left, &right), left == right);
        prop_assert!(same(&left, &left.clone()));
        let mut other = left.clone().into_bytes();
        if !other.is_empty() {
            other[differs_at.index(left.len())] = b'c';
            prop_assert!(!same(&left, &String::from_utf8(other).unwrap()));
        }
    }

    #[test]
    fn strings_come_back_as_they_were(text in any::<String>()) {
        prop_assert_eq!(string(&serde_json::to_string(&text).unwrap()), Some(text));
    }
}
