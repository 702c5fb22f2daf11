//! What the tests share: the example deliveries, servers to talk to, programs to run.

mod built;

pub use built::{artifact, program, server};
