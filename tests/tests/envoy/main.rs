//! The filter in a real Envoy.

mod edge;
mod flow;
mod once;
mod recipes;
mod redirects;
mod soak;
mod transports;
mod trouble;
