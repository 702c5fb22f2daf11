//! Builds, serves and tests Hookgate.
fn main() {}
