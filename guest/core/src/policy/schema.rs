//! The policy document as a JSON Schema.

use alloc::vec::Vec;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value, json};

use super::document::Policy;

/// The JSON Schema (draft 2020-12) of a policy document. What it cannot say (that names are unique, that what is named
/// exists) [`Gate::compile`](crate::Gate::compile) says.
pub fn schema() -> Value {
    let generator =
        SchemaSettings::draft2020_12().with_transform(WithoutNull).with_transform(Paragraphs).into_generator();
    let mut schema = generator.into_root_schema_for::<Policy>();
    schema.insert("title".into(), "Hookgate policy".into());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("$schema".into(), json!({"description": "Where this schema is, for editors."}));
    }
    let mut schema = schema.to_value();
    schema.sort_all_objects();
    schema
}

/// A field that may be left out may not be null: null would hide that somebody forgot its value.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(names)) = schema.get_mut("enum") {
            names.retain(|name| !name.is_null());
        }
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| *choice != json!({"type": "null"}));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                schema.remove("anyOf");
                only.into_iter().for_each(|(name, value)| drop(schema.insert(name, value)));
            }
        }
        transform_subschemas(self, schema);
    }
}

/// Descriptions as paragraphs: the lines of a doc comment break where the code's lines end.
#[derive(Clone)]
struct Paragraphs;

impl Transform for Paragraphs {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            let paragraphs: Vec<_> = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
            *description = paragraphs.join("\n\n");
        }
        transform_subschemas(self, schema);
    }
}
