//! The query of a request's path, as browsers and Meta write it: names and values with `+` for a blank and `%` before two
//! hexadecimal digits. What is not written so is refused: a decoder that makes the best of it would read something else than the
//! next one does.

use alloc::string::String;
use alloc::vec::Vec;
use core::str::Bytes;

/// The longest query that is read, in bytes. Kapso's own takes about 300.
const MAX_LEN: usize = 4096;

/// Names and values in their order; none when anything in the query is broken, is no text or holds control characters.
pub(crate) fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    if query.len() > MAX_LEN {
        return None;
    }
    let mut rest = query.bytes();
    while rest.len() > 0 {
        let (name, end) = part(&mut rest, b'=')?;
        let value = if end == Some(b'=') { part(&mut rest, b'&')?.0 } else { String::new() };
        pairs.push((name, value));
    }
    Some(pairs)
}

/// The next name or value, and the byte that ended it: `end` or the `&` before the next pair.
fn part(rest: &mut Bytes<'_>, end: u8) -> Option<(String, Option<u8>)> {
    let mut part = Vec::new();
    loop {
        let next = rest.next();
        match next {
            Some(byte) if byte != end && byte != b'&' => part.push(match byte {
                b'+' => b' ',
                b'%' => digit(rest)? << 4 | digit(rest)?,
                byte if byte.is_ascii_graphic() => byte,
                _ => return None,
            }),
            _ => {
                let part = String::from_utf8(part).ok()?;
                return (!part.contains(char::is_control)).then_some((part, next));
            }
        }
    }
}

fn digit(rest: &mut Bytes<'_>) -> Option<u8> {
    char::from(rest.next()?).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::pairs;

    #[test]
    fn names_and_values_are_decoded_as_forms_write_them() {
        let decoded = pairs("a=1&b=%2B1+2&c&=d&e=f=g&%C3%A9%5B%5D=%f0%9f%91%8d&").expect("it is well written");
        let decoded: Vec<_> = decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(decoded, [("a", "1"), ("b", "+1 2"), ("c", ""), ("", "d"), ("e", "f=g"), ("é[]", "👍")]);
        assert_eq!(pairs(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for broken in [
            "%", "a=%", "a=%1", "a=%zz", "a=%+1", "a=%ff", "a=%c3", "%00=1", "a=%0d%0a", "a=%C2%85", "a= ", "a=\u{e9}",
            "a=\n",
        ] {
            assert_eq!(pairs(broken), None, "{broken:?}");
        }
        assert!(pairs(&"a".repeat(4096)).is_some());
        assert_eq!(pairs(&"a".repeat(4097)), None);
    }
}
