//! Text from outside, made fit for a terminal and a log.

/// Text fit for a line: at most 128 characters, none that moves the cursor or turns the reading direction.
pub(crate) fn clean(text: &str) -> String {
    clean_to(text, 128)
}

/// The same with at most so many characters.
pub(crate) fn clean_to(text: &str, most: usize) -> String {
    let steers = |character: char| {
        character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().take(most).map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
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
    fn of_a_number_only_the_end_is_shown() {
        assert_eq!(tail("123456789012345"), "…2345");
        assert_eq!(tail("12"), "…12");
    }
}
