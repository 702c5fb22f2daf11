//! The server over real sockets, with real targets behind it.

mod admin;
mod answers;
mod clients;
mod dispatches;
mod once;
mod program;
mod reload;
mod stop;
mod targets;
mod tls;
