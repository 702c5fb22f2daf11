//! What a built guest and its host have between them.

use std::fs;

use wasmparser::{Parser, Payload};

use crate::artifact;

/// The outermost imports and exports of a module or component, by name: `module.field` for a module's imports.
pub struct Surface {
    /// What it asks of its host.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

impl Surface {
    /// Of a guest, such as `hookgate.wasm`.
    ///
    /// # Panics
    /// When it has not been built, or is no WebAssembly.
    pub fn read(file: &str) -> Self {
        let bytes = fs::read(artifact(file)).expect("an artifact can be read");
        let mut surface = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload.expect("an artifact is well-formed") {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                // What stands deeper belongs to the modules within a component.
                _ if depth > 1 => {}
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.expect("an import is well-formed");
                        surface.imports.push(format!("{}.{}", import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    surface
                        .exports
                        .extend(section.into_iter().map(|export| export.expect("well-formed").name.to_owned()));
                }
                Payload::ComponentImportSection(section) => {
                    surface
                        .imports
                        .extend(section.into_iter().map(|import| import.expect("well-formed").name.name.to_owned()));
                }
                Payload::ComponentExportSection(section) => {
                    surface
                        .exports
                        .extend(section.into_iter().map(|export| export.expect("well-formed").name.name.to_owned()));
                }
                _ => {}
            }
        }
        surface
    }
}
