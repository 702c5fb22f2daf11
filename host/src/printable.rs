//! Text from outside, made fit for a terminal and a log.

use std::fmt::Write;

use serde::Serialize;

/// Text fit for a line: at most 128 characters, none that moves the cursor or turns the reading direction.
pub(crate) fn clean(text: &str) -> String {
    clean_to(text, 128)
}

/// The same with at most so many characters.
pub(crate) fn clean_to(text: &str, most: usize) -> String {
    text.chars().take(most).map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}

/// A value as JSON on one line, which says the same and steers no terminal: JSON itself escapes nothing beyond U+001F.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = String::new();
    for character in serde_json::to_string(value)?.chars() {
        // It stands in a string.
        let _ = if steers(character) {
            write!(line, "\\u{:04x}", u32::from(character))
        } else {
            line.write_char(character)
        };
    }
    Ok(line)
}

fn steers(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The last four characters of a number.
pub(crate) fn tail(number: &str) -> String {
    let skipped = number.chars().count().saturating_sub(4);
    let tail: String = number.chars().skip(skipped).collect();
    format!("…{}", clean(&tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d\u{9b}e"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e");
        assert_eq!(clean(&"x".repeat(1000)).len(), 128);
        assert_eq!(clean("Ünïcode 👍"), "Ünïcode 👍");
    }

    #[test]
    fn in_json_it_is_escaped() {
        let text = "a\u{1b}[2Jb\nc\u{202e}d\u{9b}e\u{7f}👍";
        let line = json(&[text]).unwrap();
        assert_eq!(line, r#"["a\u001b[2Jb\nc\u202ed\u009be\u007f👍"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), [text]);
    }

    #[test]
    fn of_a_number_only_the_end_is_shown() {
        assert_eq!(tail("123456789012345"), "…2345");
        assert_eq!(tail("12"), "…12");
    }
}
