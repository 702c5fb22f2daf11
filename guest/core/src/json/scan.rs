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
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    run.wrapping_add(rest.iter().position(is_special).unwrap_or(rest.len()))
}

/// Whether two texts are the same. WebAssembly's `memcmp` goes byte by byte, and nearly every key of a body is compared.
/// Not for secrets: it ends where they differ.
#[inline]
pub(crate) fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let last = |bytes: &[u8]| bytes.last_chunk().copied().map(u64::from_le_bytes);
    let words = |bytes| <[u8]>::as_chunks(bytes).0.iter().copied().map(u64::from_le_bytes);
    left.len() == right.len()
        && match last(left) {
            Some(end) => last(right) == Some(end) && words(left).eq(words(right)),
            None => left.iter().eq(right),
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
