//! SHA-256 (FIPS 180-4) on a compression that is somebody else's.

use core::fmt;

use digest::block_api::{
    AlgorithmName, Block, BlockSizeUser, Buffer, BufferKindUser, Eager, FixedOutputCore, OutputSizeUser, Reset,
    UpdateCore,
};
use digest::typenum::{U32, U64};
use digest::{HashMarker, Output};

digest::buffer_fixed!(
    /// SHA-256, compressed by the host.
    pub struct Sha256(Core);
    impl: BaseFixedTraits Default Clone HashMarker Reset FixedOutputReset;
);

/// FIPS 180-4, section 5.3.3.
const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

type State = [u32; 8];

/// What is hashed block by block.
#[derive(Clone)]
pub struct Core {
    state: State,
    blocks: u64,
}

impl Default for Core {
    fn default() -> Self {
        Self { state: START, blocks: 0 }
    }
}

impl Reset for Core {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl HashMarker for Core {}

impl BlockSizeUser for Core {
    type BlockSize = U64;
}

impl BufferKindUser for Core {
    type BufferKind = Eager;
}

impl OutputSizeUser for Core {
    type OutputSize = U32;
}

impl UpdateCore for Core {
    fn update_blocks(&mut self, blocks: &[Block<Self>]) {
        self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
        compress(&mut self.state, Block::<Self>::slice_as_flattened(blocks));
    }
}

impl FixedOutputCore for Core {
    fn finalize_fixed_core(&mut self, buffer: &mut Buffer<Self>, out: &mut Output<Self>) {
        let bits = self.blocks.wrapping_mul(64).wrapping_add(buffer.get_pos() as u64).wrapping_mul(8);
        buffer.len64_padding_be(bits, |block| compress(&mut self.state, block));
        for (bytes, word) in out.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
    }
}

impl AlgorithmName for Core {
    fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA-256")
    }
}

/// The import, as the canonical ABI flattens it.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "a call out of the module, with pointers to what lives during it")]
fn compress(state: &mut State, blocks: &[u8]) {
    #[link(wasm_import_module = "hookgate:kapso/sha256@0.1.0")]
    unsafe extern "C" {
        #[link_name = "compress"]
        fn ask(
            a: u32,
            b: u32,
            c: u32,
            d: u32,
            e: u32,
            f: u32,
            g: u32,
            h: u32,
            blocks: *const u8,
            length: usize,
            answer: *mut State,
        );
    }
    let [a, b, c, d, e, f, g, h] = *state;
    unsafe { ask(a, b, c, d, e, f, g, h, blocks.as_ptr(), blocks.len(), state) }
}

/// In a build for another machine there is no host to ask.
#[cfg(not(target_family = "wasm"))]
fn compress(state: &mut State, blocks: &[u8]) {
    sha2::block_api::compress256(state, blocks.as_chunks().0);
}

#[cfg(test)]
mod tests {
    use digest::Digest;

    use super::Sha256;

    #[test]
    fn every_length_has_the_digest_that_it_has_elsewhere() {
        let bytes: Vec<u8> = (0..1000u32).map(|index| index.wrapping_mul(167) as u8).collect();
        for length in 0..=bytes.len() {
            assert_eq!(Sha256::digest(&bytes[..length])[..], sha2::Sha256::digest(&bytes[..length])[..], "{length}");
        }
    }

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        let bytes = [7; 500];
        for size in [1, 3, 63, 64, 65, 128, 130] {
            let mut hash = Sha256::new();
            bytes.chunks(size).for_each(|piece| hash.update(piece));
            assert_eq!(hash.finalize()[..], sha2::Sha256::digest(bytes)[..], "{size}");
        }
    }
}
