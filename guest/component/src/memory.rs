//! Memory for arguments and answers.
//!
//! A call's arguments, all that is made of them and the answer end together: when the host has read the answer. So they are
//! put one behind the other, nothing is freed alone, and the next call begins anew in the same place. Only what `lasting`
//! makes outlives its call.
#![allow(unsafe_code)] // An allocator.

#[cfg(target_family = "wasm")]
pub(crate) use arena::{end, lasting, wipe_at_end};

/// Room for part of an answer.
pub(crate) fn room(size: usize, align: usize) -> *mut u8 {
    let Ok(layout) = ::core::alloc::Layout::from_size_align(size, align) else { out_of_memory() };
    if size == 0 {
        return ::core::ptr::without_provenance_mut(align);
    }
    let start = unsafe { alloc::alloc::alloc(layout) };
    if start.is_null() { out_of_memory() } else { start }
}

/// Room for an argument, or for more of one.
pub(crate) fn grow(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if old_size == 0 {
        return room(size, align);
    }
    let Ok(layout) = ::core::alloc::Layout::from_size_align(old_size, align) else { out_of_memory() };
    let start = unsafe { alloc::alloc::realloc(old, layout, size) };
    if start.is_null() { out_of_memory() } else { start }
}

/// The host sees a trap.
#[allow(clippy::panic, reason = "there is nothing else to do")]
fn out_of_memory() -> ! {
    panic!("out of memory")
}

/// A build for another machine has no host that ends calls.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn end() {}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn wipe_at_end() {}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn lasting<T>(make: impl FnOnce() -> T) -> T {
    make()
}

#[cfg(target_family = "wasm")]
mod arena {
    use alloc::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::ptr::null_mut;

    use dlmalloc::GlobalDlmalloc;

    #[global_allocator]
    static MEMORY: Memory =
        Memory(UnsafeCell::new(Arena { block: null_mut(), next: 0, end: 0, off: false, secret: false }));

    struct Memory(UnsafeCell<Arena>);

    // A component has one thread.
    unsafe impl Sync for Memory {}

    /// Blocks of which the newest is being filled.
    struct Arena {
        block: *mut Block,
        /// The first free byte.
        next: usize,
        end: usize,
        /// What is made now outlives the call.
        off: bool,
        /// The call's arguments are to be overwritten when it ends.
        secret: bool,
    }

    /// What stands at a block's start.
    #[repr(C, align(16))]
    struct Block {
        before: *mut Block,
        size: usize,
    }

    const HEADER: usize = size_of::<Block>();
    /// The first block is of this size; each further one is twice the last.
    const LEAST: usize = 1 << 16;
    /// A larger block than this is given back when the call ends.
    const MOST: usize = 1 << 20;

    impl Block {
        const fn layout(size: usize) -> Layout {
            // Sizes come from layouts that were valid.
            unsafe { Layout::from_size_align_unchecked(size, align_of::<Block>()) }
        }
    }

    impl Arena {
        #[inline(always)]
        fn take(&mut self, layout: Layout) -> *mut u8 {
            let start = self.next.wrapping_add(layout.align() - 1) & !(layout.align() - 1);
            match start.checked_add(layout.size()) {
                Some(next) if next <= self.end => {
                    self.next = next;
                    start as *mut u8
                }
                _ => self.take_elsewhere(layout),
            }
        }

        #[cold]
        #[inline(never)]
        fn take_elsewhere(&mut self, layout: Layout) -> *mut u8 {
            let last = if self.block.is_null() { LEAST / 2 } else { unsafe { (*self.block).size } };
            let Some(needed) = layout.size().checked_add(HEADER + layout.align()) else { return null_mut() };
            let size = needed.max(last.saturating_mul(2).min(MOST));
            if size > isize::MAX as usize - align_of::<Block>() {
                return null_mut();
            }
            let block = unsafe { GlobalDlmalloc.alloc(Block::layout(size)) }.cast::<Block>();
            if block.is_null() {
                return null_mut();
            }
            unsafe { block.write(Block { before: self.block, size }) };
            self.fill(block);
            self.take(layout)
        }

        fn fill(&mut self, block: *mut Block) {
            self.block = block;
            self.next = block as usize + HEADER;
            self.end = block as usize + unsafe { (*block).size };
        }

        /// Gives back every block but one that is small enough to keep: the newest, which is the largest.
        fn empty(&mut self) {
            if self.secret {
                self.wipe();
            }
            let mut block = self.block;
            if block.is_null() {
                return;
            }
            let Block { before, size } = unsafe { block.read() };
            if size <= MOST {
                unsafe { (*block).before = null_mut() };
                self.fill(block);
                block = before;
            } else {
                (self.block, self.next, self.end) = (null_mut(), 0, 0);
            }
            while !block.is_null() {
                let Block { before, size } = unsafe { block.read() };
                unsafe { GlobalDlmalloc.dealloc(block.cast(), Block::layout(size)) };
                block = before;
            }
        }

        fn wipe(&mut self) {
            self.secret = false;
            let mut block = self.block;
            while !block.is_null() {
                let Block { before, size } = unsafe { block.read() };
                unsafe { block.cast::<u8>().add(HEADER).write_bytes(0, size - HEADER) };
                block = before;
            }
        }
    }

    fn arena<T>(ask: impl FnOnce(&mut Arena) -> T) -> T {
        // Nothing that is asked here allocates through `MEMORY`, so there is no second reference.
        ask(unsafe { &mut *MEMORY.0.get() })
    }

    /// The host has read the answer.
    pub(crate) fn end() {
        arena(Arena::empty);
    }

    /// Says that there are secrets among the call's arguments.
    pub(crate) fn wipe_at_end() {
        arena(|arena| arena.secret = true);
    }

    /// Makes something, or drops it, that outlives the call.
    pub(crate) fn lasting<T>(make: impl FnOnce() -> T) -> T {
        arena(|arena| arena.off = true);
        let made = make();
        arena(|arena| arena.off = false);
        made
    }

    unsafe impl GlobalAlloc for Memory {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            arena(|arena| if arena.off { unsafe { GlobalDlmalloc.alloc(layout) } } else { arena.take(layout) })
        }

        #[inline]
        unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
            arena(|arena| {
                if arena.off {
                    unsafe { GlobalDlmalloc.dealloc(start, layout) };
                } else if start as usize + layout.size() == arena.next {
                    arena.next = start as usize;
                }
            });
        }

        #[inline]
        unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            arena(|arena| {
                if arena.off {
                    return unsafe { GlobalDlmalloc.realloc(start, layout, size) };
                }
                if start as usize + layout.size() == arena.next {
                    if size <= arena.end - start as usize {
                        arena.next = start as usize + size;
                        return start;
                    }
                } else if size <= layout.size() {
                    return start;
                }
                let moved = arena.take(unsafe { Layout::from_size_align_unchecked(size, layout.align()) });
                if !moved.is_null() {
                    unsafe { moved.copy_from_nonoverlapping(start, layout.size().min(size)) };
                }
                moved
            })
        }
    }

    /// There is nobody to tell: the host sees a trap.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
