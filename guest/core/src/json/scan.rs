//! Bytes, several at a time.

/// How many bytes from the start on need no second look inside a string. A block at a time, since most of a body is strings.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    let mut run = 0_usize;
    for block in blocks {
        let plain = block::plain(block);
        run = run.wrapping_add(plain);
        if plain < block.len() {
            return run;
        }
    }
    run.wrapping_add(last_plain_run(rest))
}

/// The same of bytes that are less than a block, as they are at a body's end alone.
#[cold]
fn last_plain_run(bytes: &[u8]) -> usize {
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    bytes.iter().position(is_special).unwrap_or(bytes.len())
}

/// Whether two texts are the same. WebAssembly's `memcmp` goes byte by byte, and nearly every key of a body is compared.
/// Not for secrets: it ends where they differ.
#[inline]
pub(crate) fn same(left: &str, right: &str) -> bool {
    left.len() == right.len() && same_bytes(left.as_bytes(), right.as_bytes())
}

/// The same of bytes that are as many.
#[inline(never)]
pub(super) fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    let words = |bytes| <[u8]>::as_chunks(bytes).0.iter().copied().map(u64::from_le_bytes);
    match left.len() {
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
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let below = |word: u64, least: u8| word.wrapping_sub(u64::from_le_bytes([least; 8])) & !word;
    let hidden = |word: u64| {
        let is_other = below(word ^ u64::from_le_bytes([other; 8]), 1);
        (below(word, 0x21) | word | word.wrapping_add(EACH) | is_other) & HIGH
    };
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let bytes = text.as_bytes();
    match bytes.last_chunk() {
        Some(last) => bytes.as_chunks().0.iter().fold(hidden(word(last)), |all, bytes| all | hidden(word(bytes))) == 0,
        None => bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != other),
    }
}

/// Blocks of bytes, for which instructions of WebAssembly's look at sixteen together.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod block {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; 16]) -> usize {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = block;
        let bytes = u64x2(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]));
        let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
        let special = v128_or(v128_or(is(b'"'), is(b'\\')), u8x16_lt(bytes, u8x16_splat(0x20)));
        usize::try_from(u32::from(u8x16_bitmask(special)).trailing_zeros()).unwrap_or_default().min(block.len())
    }
}

/// Blocks of bytes, of which a word holds eight.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod block {
    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; 8]) -> usize {
        usize::try_from(special(u64::from_le_bytes(*block)).trailing_zeros() >> 3).unwrap_or_default()
    }

    /// The high bits of bytes that are special. Only of the lowest of them is it certain.
    #[inline]
    fn special(bytes: u64) -> u64 {
        const EACH: u64 = u64::from_le_bytes([1; 8]);
        const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
        let below = |bytes: u64, least: u64| bytes.wrapping_sub(least) & !bytes;
        let is = |byte: u8| below(bytes ^ u64::from_le_bytes([byte; 8]), EACH);
        (is(b'"') | is(b'\\') | below(bytes, u64::from_le_bytes([0x20; 8]))) & HIGH
    }
}
