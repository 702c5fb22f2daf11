//! The Envoy filter in a host of our own: every order of events that Envoy can bring about, and some that it cannot.

mod configuration;
mod faults;
mod flow;
mod once;
mod pieces;
mod policies;
mod redirects;
mod refusals;
