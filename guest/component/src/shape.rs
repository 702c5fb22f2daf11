//! What the answers look like in memory, in the contract's words: the test that they are the contract's.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use wit_parser::{Handle, Resolve, Type, TypeDefKind, TypeId};

use crate::exports;
use crate::lower::Lower;

/// Definitions by name.
#[derive(Default)]
pub(crate) struct Types(BTreeMap<String, String>);

/// The notation of a type.
type Shape = fn(&mut Types) -> String;

impl Types {
    pub(crate) fn record(&mut self, name: &str, fields: &[(&str, Shape)]) -> String {
        self.define(name, |types| {
            let field = |(name, shape): &(&str, Shape)| format!(" {}: {}", kebab(name), shape(types));
            format!("record{}", fields.iter().map(field).collect::<String>())
        })
    }

    pub(crate) fn variant(&mut self, name: &str, cases: &[(&str, Option<Shape>)]) -> String {
        self.define(name, |types| {
            let case = |(name, shape): &(&str, Option<Shape>)| match shape {
                Some(shape) => format!(" {}({})", kebab(name), shape(types)),
                None => format!(" {}", kebab(name)),
            };
            format!("variant{}", cases.iter().map(case).collect::<String>())
        })
    }

    fn define(&mut self, name: &str, definition: impl FnOnce(&mut Self) -> String) -> String {
        if !self.0.contains_key(name) {
            self.0.insert(name.into(), String::new());
            let definition = definition(self);
            self.0.insert(name.into(), definition);
        }
        name.into()
    }

    /// The notation of one of the contract's own types.
    fn of(&mut self, contract: &Resolve, r#type: &Type) -> String {
        match r#type {
            Type::Bool => "bool".into(),
            Type::U8 => "u8".into(),
            Type::U16 => "u16".into(),
            Type::U32 => "u32".into(),
            Type::U64 => "u64".into(),
            Type::S64 => "s64".into(),
            Type::String => "string".into(),
            Type::Id(id) => self.of_definition(contract, *id),
            other => panic!("{other:?} is new to the contract"),
        }
    }

    fn of_definition(&mut self, contract: &Resolve, id: TypeId) -> String {
        let definition = &contract.types[id];
        let name = definition.name.clone().unwrap_or_default();
        match &definition.kind {
            TypeDefKind::Type(r#type) => self.of(contract, r#type),
            TypeDefKind::List(element) => format!("list<{}>", self.of(contract, element)),
            TypeDefKind::Option(value) => format!("option<{}>", self.of(contract, value)),
            TypeDefKind::Result(result) => {
                let (ok, err) = (result.ok.unwrap(), result.err.unwrap());
                format!("result<{}, {}>", self.of(contract, &ok), self.of(contract, &err))
            }
            TypeDefKind::Handle(Handle::Own(id)) => {
                format!("own<{}>", contract.types[*id].name.clone().unwrap_or_default())
            }
            TypeDefKind::Record(record) => self.define(&name, |types| {
                let fields = record.fields.iter();
                let fields = fields.map(|field| format!(" {}: {}", field.name, types.of(contract, &field.ty)));
                format!("record{}", fields.collect::<String>())
            }),
            TypeDefKind::Variant(variant) => self.define(&name, |types| {
                let case = |case: &wit_parser::Case| match &case.ty {
                    Some(r#type) => format!(" {}({})", case.name, types.of(contract, r#type)),
                    None => format!(" {}", case.name),
                };
                format!("variant{}", variant.cases.iter().map(case).collect::<String>())
            }),
            TypeDefKind::Enum(cases) => self.define(&name, |_| {
                let cases = cases.cases.iter();
                format!("variant{}", cases.map(|case| format!(" {}", case.name)).collect::<String>())
            }),
            other => panic!("{} is new to the contract", other.as_str()),
        }
    }
}

/// The notation of a field's type, by the function that reads the field.
pub(crate) fn of_field<R, T: Lower>(_: fn(&R) -> &T) -> Shape {
    T::shape
}

/// The notation of a case's type, by the function that reads its value.
pub(crate) fn of_case<V, T: Lower>(_: fn(&V) -> Option<&T>) -> Shape {
    T::shape
}

/// A name as WIT writes it.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.trim_start_matches("r#").chars() {
        match letter {
            '_' => kebab.push('-'),
            capital if capital.is_ascii_uppercase() => {
                if !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(capital.to_ascii_lowercase());
            }
            letter => kebab.push(letter),
        }
    }
    kebab
}

#[test]
fn every_answer_is_what_the_contract_says() {
    let mut contract = Resolve::default();
    let (package, _) = contract.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let interface = &contract.interfaces[contract.packages[package].interfaces["gate"]];
    let (mut ours, mut theirs) = (Types::default(), Types::default());
    let answers = exports::answers(&mut ours);
    let functions = interface.functions.values();
    let promised: Vec<_> = functions
        .map(|function| {
            let answer = theirs.of(&contract, &function.result.unwrap());
            (format!("hookgate:kapso/gate@0.1.0#{}", function.name), answer)
        })
        .collect();
    let answers: Vec<_> = answers.into_iter().map(|(name, answer)| (String::from(name), answer)).collect();
    assert_eq!(answers, promised);
    assert_eq!(ours.0, theirs.0);
}
