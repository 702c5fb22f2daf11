//! "Did you mean …?"

use alloc::vec::Vec;
use core::mem::replace;

/// The known name closest to a misspelled one; none when none is close.
pub(super) fn suggest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Ten thousand rules that each name a missing one of ten thousand targets must not take minutes to refuse.
    if name.len() > 64 || known.len() > 256 {
        return None;
    }
    let letters = name.chars().count();
    // Three make `timeout` `timeout_ms`; of a short name, half must be right.
    let most = letters.div_ceil(2).min(3);
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, _)| *distance <= most && *distance < letters)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein's: how many letters must be put in, left out or changed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, letter) in (1..).zip(from.chars()) {
        let mut left: usize = above;
        let mut cells = row.iter_mut();
        let mut diagonal = cells.next().map_or(0, |first| replace(first, above));
        for (cell, other) in cells.zip(to.chars()) {
            let changed = diagonal.saturating_add(usize::from(letter != other));
            let added = left.min(*cell).saturating_add(1);
            left = changed.min(added);
            diagonal = replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters_put_in_left_out_and_changed() {
        for (from, to, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("secret", "secrets", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn the_closest_name_is_suggested_and_nothing_far_off() {
        let known = ["secrets", "secrets_by_phone_number", "scheme"];
        assert_eq!(suggest("secret", &known), Some("secrets"));
        assert_eq!(suggest("shceme", &known), Some("scheme"));
        assert_eq!(suggest("password", &known), None);
        assert_eq!(suggest("timeout", &["timeout_ms"]), Some("timeout_ms"));
        assert_eq!(suggest("bto", &["bot"]), Some("bot"));
        assert_eq!(suggest("x", &["y"]), None);
        assert_eq!(suggest("", &known), None);
    }
}
