//! What plugins may import: SHA-256's compression, and nothing else.

use sha2::block_api::compress256;
use wasmtime::component::{Linker, WasmList};
use wasmtime::{Engine, StoreContextMut, ensure};

type State = (u32, u32, u32, u32, u32, u32, u32, u32);

/// A linker with that.
pub(crate) fn linker<T: 'static>(engine: &Engine) -> wasmtime::Result<Linker<T>> {
    let mut linker = Linker::new(engine);
    linker.instance("hookgate:kapso/sha256@0.1.0")?.func_wrap("compress", compress)?;
    Ok(linker)
}

fn compress<T>(store: StoreContextMut<'_, T>, (state, blocks): (State, WasmList<u8>)) -> wasmtime::Result<(State,)> {
    let (blocks, rest) = blocks.as_le_slice(&store).as_chunks();
    ensure!(rest.is_empty(), "SHA-256 has blocks of 64 bytes");
    let mut state = state.into();
    compress256(&mut state, blocks);
    Ok((state.into(),))
}
