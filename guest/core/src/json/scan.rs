//! Bytes, several at a time.

/// How many bytes from the start on need no second look inside a string. A block at a time, since most of a body is strings;
/// and for those that end within the first, as most do, without a loop.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    match bytes.split_first_chunk().map(|(block, rest)| (block::plain(block), rest)) {
        Some((run @ ..block::SIZE, _)) => run,
        Some((run, rest)) => run.wrapping_add(long_plain_run(rest)),
        None => long_plain_run(bytes),
    }
}

#[inline(never)]
fn long_plain_run(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    let mut run = 0_usize;
    for block in blocks {
        let plain = block::plain(block);
        run = run.wrapping_add(plain);
        if plain < block::SIZE {
            return run;
        }
    }
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    run.wrapping_add(rest.iter().position(is_special).unwrap_or(rest.len()))
}

/// Whether two texts are the same. WebAssembly's `memcmp` goes byte by byte, and nearly every key of a body is compared.
/// Not for secrets: it ends where they differ.
#[inline]
pub(crate) fn same(left: &str, right: &str) -> bool {
    #[inline(never)]
    fn apart(left: &str, right: &str) -> bool {
        same_here(left.as_bytes(), right.as_bytes())
    }
    left.len() == right.len() && apart(left, right)
}

/// The same, part of who calls it: whoever looks for a body's keys.
#[inline(always)]
pub(crate) fn same_here(left: &[u8], right: &[u8]) -> bool {
    let words = |bytes| <[u8]>::as_chunks(bytes).0.iter().copied().map(u64::from_le_bytes);
    left.len() == right.len()
        && match left.len() {
            0..4 => left.iter().eq(right),
            4..8 => ends(left, u32::from_le_bytes) == ends(right, u32::from_le_bytes),
            8..=16 => ends(left, u64::from_le_bytes) == ends(right, u64::from_le_bytes),
            _ => ends(left, u64::from_le_bytes) == ends(right, u64::from_le_bytes) && words(left).eq(words(right)),
        }
}

/// The words at both ends of bytes: all of them where there are no more than two words.
fn ends<const SIZE: usize, T>(bytes: &[u8], word: fn([u8; SIZE]) -> T) -> Option<(T, T)> {
    Some((word(*bytes.first_chunk()?), word(*bytes.last_chunk()?)))
}

/// Whether all characters are visible ASCII, and none of them is `other`.
pub(crate) fn is_visible_without(text: &str, other: u8) -> bool {
    let bytes = text.as_bytes();
    let hidden = |bytes: &[u8; 8]| {
        let word = u64::from_le_bytes(*bytes);
        // Above `~`, one more reaches the high bit.
        below(word, 0x21) | (word | word.wrapping_add(each(1))) & HIGH | below(word ^ each(other), 1)
    };
    match bytes.last_chunk() {
        Some(last) => bytes.as_chunks().0.iter().fold(hidden(last), |all, bytes| all | hidden(bytes)) == 0,
        None => bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != other),
    }
}

const HIGH: u64 = each(0x80);

/// A word of this byte alone.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bits of a word's bytes that are less than `least`, itself at most 0x80. Only of the lowest of them is it certain.
#[inline]
fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(each(least)) & !word & HIGH
}

/// Blocks of bytes, for which instructions of WebAssembly's look at sixteen together.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod block {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_le, u8x16_splat, u64x2, v128_or};

    pub(super) const SIZE: usize = 16;

    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; SIZE]) -> usize {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = block;
        let bytes = u64x2(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]));
        let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
        let special = v128_or(v128_or(is(b'"'), is(b'\\')), u8x16_le(bytes, u8x16_splat(0x1f)));
        usize::try_from(u32::from(u8x16_bitmask(special)).trailing_zeros()).unwrap_or_default().min(SIZE)
    }
}

/// Blocks of bytes, of which a word holds eight.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod block {
    use super::{below, each};

    pub(super) const SIZE: usize = 8;

    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; SIZE]) -> usize {
        let word = u64::from_le_bytes(*block);
        let is = |byte| below(word ^ each(byte), 1);
        let special = is(b'"') | is(b'\\') | below(word, 0x20);
        usize::try_from(special.trailing_zeros() >> 3).unwrap_or_default()
    }
}
