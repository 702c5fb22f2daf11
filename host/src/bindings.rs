//! What `bindgen!` makes of the contract. [`crate::types`] shows to people what of it faces them.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
    additional_derives: [PartialEq, serde::Serialize],
});
