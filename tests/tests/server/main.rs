//! The server over real sockets, with real targets behind it.

mod admin;
mod answers;
mod clients;
mod dispatches;
mod once;
mod plugin;
mod program;
mod record;
mod redirects;
mod reload;
mod replay;
mod stop;
mod stores;
mod targets;
mod tls;
