//! Header maps in proxy-wasm's own form: a count, the sizes of all names and values, then these with a NUL behind each.

use alloc::vec::Vec;

/// A header map in that form, read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs(Vec<u8>);

const WORD: usize = size_of::<u32>();

impl Pairs {
    /// The form of a list of fields.
    pub(crate) fn of(fields: &[(&[u8], &[u8])]) -> Self {
        let mut bytes = Vec::new();
        let word = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend(word(fields.len()));
        for (name, value) in fields {
            bytes.extend(word(name.len()));
            bytes.extend(word(value.len()));
        }
        for (name, value) in fields {
            for part in [name, value] {
                bytes.extend_from_slice(part);
                bytes.push(0);
            }
        }
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no fields.
    pub(crate) fn is_empty(&self) -> bool {
        word(&self.0, 0).unwrap_or(0) == 0
    }

    /// The fields, in order. What does not have the form ends the list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let count = word(&self.0, 0).unwrap_or(0);
        let sizes = WORD;
        let data = count.checked_mul(2 * WORD).and_then(|all| all.checked_add(sizes)).unwrap_or(usize::MAX);
        (0..count).scan(data, move |at, index| {
            let size = sizes + index * 2 * WORD;
            let name = part(&self.0, at, word(&self.0, size)?)?;
            let value = part(&self.0, at, word(&self.0, size + WORD)?)?;
            Some((name, value))
        })
    }

    /// The first value of a name, which is compared without regard to case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

impl Default for Pairs {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl From<Vec<u8>> for Pairs {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
}

/// The part that begins at `at`, which is moved behind it and its NUL.
fn part<'a>(bytes: &'a [u8], at: &mut usize, size: usize) -> Option<&'a [u8]> {
    let end = at.checked_add(size)?;
    let part = bytes.get(*at..end)?;
    *at = end.checked_add(1)?;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Pairs {
        Pairs::of(&[(&b":path"[..], &b"/a"[..]), (b"X-Empty", b""), (b"x", &[0xff, 0x00])])
    }

    #[test]
    fn what_is_written_is_read() {
        let fields: Vec<_> = sample().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(
            fields,
            [(b":path".to_vec(), b"/a".to_vec()), (b"X-Empty".to_vec(), vec![]), (b"x".to_vec(), vec![0xff, 0x00])]
        );
        assert_eq!(sample().get("x-empty"), Some(&b""[..]));
        assert_eq!(sample().get("absent"), None);
    }

    #[test]
    fn a_map_cut_anywhere_ends_early_and_never_panics() {
        let whole = sample();
        for end in 0..whole.as_bytes().len() {
            let cut = Pairs::from(whole.as_bytes()[..end].to_vec());
            assert!(cut.iter().zip(whole.iter()).all(|(left, right)| left == right));
            assert!(cut.iter().count() <= 3);
        }
    }

    #[test]
    fn sizes_that_cannot_be_end_the_list() {
        let mut bytes = sample().as_bytes().to_vec();
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Pairs::from(bytes.clone()).iter().count(), 0);
        bytes[..4].copy_from_slice(&3u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Pairs::from(bytes).iter().count(), 0);
    }
}
