//! Reading a policy document into its types, with every problem found on the way.
//!
//! A type says how it is read ([`Read`]) and, beside that, how it looks in the JSON Schema. What one part of the document
//! must find in another (targets, sources, secrets, names that are taken) is in the [`Context`].

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::PolicyError;
use super::json::Json;
use super::suggest::suggest;
use crate::gate::Secret;
use crate::index::{Index, Lists};
use crate::write::Quoted;

/// What can be read from JSON.
pub(super) trait Read: Sized {
    /// None when something was wrong; the context then says what.
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self>;

    /// What a member that is not there means; none when it has to be there.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Read> Read for Option<T> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        T::read(json, at, context).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Read for bool {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        match json {
            Json::Bool(value) => Some(*value),
            _ => context.expected("true or false", json, at),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    #[inline(never)]
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        let Json::List(values) = json else { return context.expected_shape("a list", json, at) };
        let read: Vec<_> =
            values.iter().enumerate().map(|(index, value)| T::read(value, &At::Index(at, index), context)).collect();
        read.into_iter().collect()
    }
}

/// A field of a struct that is being read. What is wrong leaves it as it is, and an error.
pub(super) trait Field {
    /// Takes the member of its name; none when there is no such member.
    fn take(&mut self, name: &str, json: Option<&Json>, at: &At<'_>, context: &mut Context<'_>);
}

impl<T: Read> Field for T {
    fn take(&mut self, name: &str, json: Option<&Json>, at: &At<'_>, context: &mut Context<'_>) {
        let value = match json {
            Some(json) => T::read(json, &At::Member(at, name), context),
            None => T::absent().or_else(|| context.error(at, format_args!("`{name}` is missing"))),
        };
        if let Some(value) = value {
            *self = value;
        }
    }
}

/// Reads an object into a struct whose fields are named as its members.
macro_rules! object {
    ($type:ident { $($field:ident),+ $(,)? } $(checked by $check:ident)?) => {
        impl Read for $type {
            #[inline(never)]
            fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
                const NAMES: &[&str] = &[$(stringify!($field)),+];
                let mut value = Self::default();
                let fields: &mut [&mut dyn Field] = &mut [$(&mut value.$field),+];
                context.fields(NAMES, fields, json, at)?;
                $($check(json, at, context);)?
                context.absent(NAMES, fields, json, at);
                Some(value)
            }
        }
    };
}
pub(super) use object;

/// Reads one of a few names, and says so in the schema.
macro_rules! names {
    ($type:ident { $($name:literal => $value:expr),+ $(,)? }) => {
        impl Read for $type {
            fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
                match json.as_str() {
                    $(Some($name) => Some($value),)+
                    _ => context.expected_one_of(&[$($name),+], json, at),
                }
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($name),+]})
            }
        }
    };
}
pub(super) use names;

/// A place in the document. Displays as its JSON Pointer.
pub(super) enum At<'a> {
    Root,
    Member(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) => write!(f, "{parent}/{}", segment(name)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// A name as a JSON Pointer has it (RFC 6901, section 3).
pub(crate) fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What is named in a document: each kind has names of its own.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Source,
    Path,
    Rule,
    Secret,
}

/// What is known of the document as a whole, and what was found wrong with it so far.
pub(super) struct Context<'d> {
    target_names: Vec<&'d str>,
    /// Indices into `target_names`.
    targets: Index<'d>,
    source_names: Vec<&'d str>,
    /// Indices into `source_names`.
    sources: Index<'d>,
    /// None when only the names of secrets are asked for.
    secrets: Option<&'d [Secret<'d>]>,
    /// Indices into `secrets`.
    secrets_by_name: Index<'d>,
    secret_names: Vec<String>,
    /// Indices into `places`, by kind: where each name was first used.
    first: [Lists; 4],
    places: Vec<String>,
    errors: Vec<PolicyError>,
}

impl<'d> Context<'d> {
    pub(super) fn new(document: &'d Json, secrets: Option<&'d [Secret<'d>]>) -> Self {
        let targets = document.member("targets").map(Json::members).unwrap_or_default();
        let target_names: Vec<_> = targets.iter().map(|(name, _)| name.as_str()).collect();
        let sources = document.member("sources").map(Json::items).unwrap_or_default();
        let source_names: Vec<_> = sources.iter().filter_map(|source| source.member("name")?.as_str()).collect();
        Self {
            targets: index(target_names.iter().copied()),
            target_names,
            sources: index(source_names.iter().copied()),
            source_names,
            secrets,
            secrets_by_name: index(secrets.unwrap_or_default().iter().map(|secret| secret.name)),
            secret_names: vec![],
            first: Default::default(),
            places: vec![],
            errors: vec![],
        }
    }

    /// The names of the secrets that were read, each once and in the order of the document.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub(super) fn finish(self) -> Result<Vec<String>, Vec<PolicyError>> {
        if self.errors.is_empty() { Ok(self.secret_names) } else { Err(self.errors) }
    }

    pub(super) fn error<T>(&mut self, at: &At<'_>, message: impl fmt::Display) -> Option<T> {
        self.note(at, &message);
        None
    }

    pub(super) fn expected<T>(&mut self, what: impl fmt::Display, found: &Json, at: &At<'_>) -> Option<T> {
        self.note(at, &format_args!("expected {what}, found {found}"));
        None
    }

    /// Where a list or an object is expected. A string in its place is not quoted: it may be a secret's value.
    pub(super) fn expected_shape<T>(&mut self, what: &str, found: &Json, at: &At<'_>) -> Option<T> {
        match found.as_str() {
            Some(_) => self.error(at, format_args!("expected {what}, found a string")),
            None => self.expected(what, found, at),
        }
    }

    pub(super) fn expected_one_of<T>(&mut self, names: &[&str], found: &Json, at: &At<'_>) -> Option<T> {
        let hint = hint(found.as_str().unwrap_or_default(), names);
        self.note(at, &format_args!("expected {}, found {found}{hint}", list(names)));
        None
    }

    /// Notes what is wrong. Out of line, since it is called from everywhere and seldom comes to it.
    #[inline(never)]
    pub(super) fn note(&mut self, at: &At<'_>, message: &dyn fmt::Display) {
        self.errors.push(PolicyError { pointer: at.to_string(), message: message.to_string() });
    }

    /// An object's members. A name that is there twice is wrong: one of the two would be lost in silence.
    pub(super) fn members<'j>(&mut self, json: &'j Json, at: &At<'_>) -> Option<&'j [(String, Json)]> {
        let Json::Object(members) = json else { return self.expected_shape("an object", json, at) };
        let mut names = Index::with_capacity_and_hasher(members.len(), Default::default());
        for (index, (name, _)) in members.iter().enumerate() {
            if names.insert(name.as_str(), index).is_some() {
                self.note(&At::Member(at, name), &"the name is there more than once");
            }
        }
        Some(members)
    }

    /// Reads an object's members into the fields of these names.
    pub(super) fn fields(
        &mut self,
        names: &[&str],
        fields: &mut [&mut dyn Field],
        json: &Json,
        at: &At<'_>,
    ) -> Option<()> {
        for (name, value) in self.members(json, at)? {
            match names.iter().zip(&mut *fields).find(|(known, _)| *known == name) {
                Some((_, field)) => field.take(name, Some(value), at, self),
                None => self.unknown(name, names, &At::Member(at, name)),
            }
        }
        Some(())
    }

    /// Gives the fields whose members are not there what that means.
    pub(super) fn absent(&mut self, names: &[&str], fields: &mut [&mut dyn Field], json: &Json, at: &At<'_>) {
        let absent = names.iter().zip(fields).filter(|(name, _)| json.member(name).is_none());
        absent.for_each(|(name, field)| field.take(name, None, at, self));
    }

    /// A member that no field of the type is for.
    fn unknown(&mut self, name: &str, known: &[&str], at: &At<'_>) {
        // Where editors look for the schema.
        if matches!(at, At::Member(At::Root, "$schema")) {
            return;
        }
        let hint = hint(name, known);
        let others = if hint.is_empty() { format!("; expected {}", list(known)) } else { String::new() };
        self.note(at, &format_args!("unknown field{hint}{others}"));
    }

    /// The place of a target that the document names, in the order of the document.
    pub(super) fn target(&mut self, name: &str, at: &At<'_>) -> Option<usize> {
        let found = self.targets.get(name).copied();
        found.or_else(|| {
            let hint = hint(name, &self.target_names);
            self.error(at, format_args!("there is no target {}{hint}", Quoted(name)))
        })
    }

    /// Looks for a source that the document names.
    pub(super) fn source(&mut self, name: &str, at: &At<'_>) {
        if !self.sources.contains_key(name) {
            let hint = hint(name, &self.source_names);
            self.note(at, &format_args!("there is no source {}{hint}", Quoted(name)));
        }
    }

    /// Where a name was first used; none when this is the first time.
    fn used_before(&mut self, what: Named, name: &str, at: &At<'_>) -> Option<&str> {
        let [sources, paths, rules, secrets] = &mut self.first;
        let names = match what {
            Named::Source => sources,
            Named::Path => paths,
            Named::Rule => rules,
            Named::Secret => secrets,
        };
        let next = self.places.len();
        let first = names.first_or(name, next);
        if first == next {
            self.places.push(at.to_string());
            return None;
        }
        self.places.get(first).map(String::as_str)
    }

    /// Takes a name; wrong when it is taken already.
    pub(super) fn take(&mut self, what: Named, name: &str, at: &At<'_>) {
        if let Some(first) = self.used_before(what, name, at) {
            let message = format!("{} is taken by {first}", Quoted(name));
            self.note(at, &message);
        }
    }

    /// The value of a secret that the document names; none, and nothing wrong, while only the names are asked for.
    pub(super) fn secret(&mut self, name: &str, at: &At<'_>) -> Option<&'d str> {
        if self.used_before(Named::Secret, name, at).is_none() {
            self.secret_names.push(name.to_owned());
        }
        let secrets = self.secrets?;
        match self.secrets_by_name.get(name).and_then(|index| secrets.get(*index)) {
            Some(secret) => Some(secret.value),
            None if Secret::is_like_a_value(name) => {
                self.error(at, "the secret of this name is missing; the name looks like a value, so it is not shown")
            }
            None => self.error(at, format_args!("the secret {} is missing", Quoted(name))),
        }
    }
}

/// Where each name stands.
fn index<'a>(names: impl Iterator<Item = &'a str>) -> Index<'a> {
    names.enumerate().map(|(index, name)| (name, index)).collect()
}

fn hint(name: &str, known: &[&str]) -> String {
    suggest(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// `a`, `b` or `c`
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
