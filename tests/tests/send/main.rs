//! `hookgate send`, as people run it, against each thing that takes deliveries: every event reaches its target once.

mod envoy;
mod printed;
mod rounds;
mod serve;
mod spin;
