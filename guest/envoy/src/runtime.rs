//! What the standard library would bring along.

use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;

use crate::host::{self, Level};

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// The host ends the VM, logs where in the module that was, and starts another. What a panic says beside that would be a
/// tenth of the filter.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    host::log(Level::Error, "hookgate: a panic");
    core::arch::wasm32::unreachable()
}
