//! What the tests share: the example deliveries, servers to talk to, programs to run.

pub mod browser;
pub mod builds;
mod built;
pub mod client;
pub mod counter;
mod delivery;
pub mod envoy;
pub mod hooked;
pub mod kapso;
pub mod misbehaving;
pub mod proxy_wasm;
mod ran;
pub mod redis;
pub mod running;
#[cfg(feature = "spin")]
pub mod spin;
mod surface;
pub mod upstream;

pub use built::{artifact, cache, program, server};
pub use delivery::{Delivery, hmac_sha256, item};
pub use ran::{Ran, run};
pub use surface::Surface;
