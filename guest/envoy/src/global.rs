//! Statics that change. A VM has one thread; a test has as many as it likes, each with a value of its own.
#![allow(unsafe_code)] // Only to say so.

/// A static of a VM.
#[cfg(target_family = "wasm")]
pub(crate) struct Global<T>(pub(crate) core::cell::RefCell<T>);

// No other thread is there to share it with.
#[cfg(target_family = "wasm")]
unsafe impl<T> Sync for Global<T> {}

#[cfg(target_family = "wasm")]
impl<T> Global<T> {
    /// As `LocalKey::with` has it.
    pub(crate) fn with<R>(&self, ask: impl FnOnce(&core::cell::RefCell<T>) -> R) -> R {
        ask(&self.0)
    }
}

/// Declares a static that is used through `with`, as a `RefCell`.
macro_rules! global {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$attribute])*
        #[cfg(target_family = "wasm")]
        static $name: $crate::global::Global<$type> = $crate::global::Global(core::cell::RefCell::new($value));

        #[cfg(not(target_family = "wasm"))]
        std::thread_local! {
            $(#[$attribute])*
            static $name: core::cell::RefCell<$type> = const { core::cell::RefCell::new($value) };
        }
    };
}

pub(crate) use global;
