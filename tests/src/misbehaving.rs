//! The plugin of `plugins/misbehaving.wat`, which never ends, traps or allocates without end, as it is asked to.

use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Its text.
///
/// # Panics
/// When it is not there.
pub fn text() -> String {
    read("plugins/misbehaving.wat")
}

/// The text of our contract.
///
/// # Panics
/// When it is not there.
pub fn contract() -> String {
    read("../wit/gate.wit")
}

/// A module's text as a component of a contract.
///
/// # Panics
/// When it is none.
pub fn component(text: &str, contract: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("a module");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("gate.wit", contract).expect("a contract");
    let world = resolve.select_world(&[package], Some("plugin-on-host-sha256")).expect("a world of it");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module of it");
    ComponentEncoder::default().validate(true).module(&module).expect("a module").encode().expect("a component")
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is there")
}
