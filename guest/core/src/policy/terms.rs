//! The words and numbers that a policy document is made of.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use fluent_uri::Uri;
#[cfg(feature = "schema")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::json::Json;
use super::read::{At, Context, Named, Read, names};
use super::{BodyForm, Scheme};
use crate::event::Kind;
use crate::index::Index;
use crate::verify::{FromSecret, PHONE_NUMBER_ID_LEN};
use crate::write::Quoted;

/// Gives a type its place in the schema: written out where it is used.
macro_rules! schema {
    ([$($generics:tt)*] $type:ty, $generator:ident => $schema:expr) => {
        #[cfg(feature = "schema")]
        impl<$($generics)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// A string type: what it is called, which strings it takes (the schema's pattern says the same), and what else to check.
macro_rules! text {
    (
        $(#[$doc:meta])*
        $type:ident: $what:expr, $valid:expr, $schema:tt
        $(, $check:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $type(pub(crate) String);

        impl Read for $type {
            fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
                let text = read_text(json, at, context, $what, $valid)?;
                $(
                    let check: fn(&mut Context<'_>, &str, &At<'_>) = $check;
                    check(context, &text, at);
                )?
                Some(Self(text))
            }
        }

        schema!([] $type, _generator => json_schema!($schema));
    };
}

fn read_text(
    json: &Json,
    at: &At<'_>,
    context: &mut Context<'_>,
    what: &str,
    valid: fn(&str) -> bool,
) -> Option<String> {
    match json.as_str() {
        Some(text) if valid(text) => Some(text.to_owned()),
        _ => context.expected(what, json, at),
    }
}

const NAME: &str = "a name of 1 to 128 visible ASCII characters, blanks only between them";
#[cfg(feature = "schema")]
const NAME_PATTERN: &str = "^[!-~]([ -~]{0,126}[!-~])?$";

/// Names go into logs as they are, and into header fields with blanks and `%` encoded.
pub(super) fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim_ascii() == text
}

text! {
    /// A source's own name.
    SourceName: NAME, is_name, {"type": "string", "pattern": NAME_PATTERN},
    |context, name, at| context.take(Named::Source, name, at)
}

text! {
    /// A rule's own name.
    RuleName: NAME, is_name, {"type": "string", "pattern": NAME_PATTERN},
    |context, name, at| context.take(Named::Rule, name, at)
}

text! {
    /// A source's name where a rule asks for it.
    SourceRef: NAME, is_name, {"type": "string", "pattern": NAME_PATTERN},
    |context, name, at| context.source(name, at)
}

/// A secret that the document names, made into what it is needed for: its value is not kept beside that.
pub(crate) struct NamedSecret<T> {
    pub(crate) name: String,
    pub(crate) value: T,
}

impl<T: FromSecret> Read for NamedSecret<T> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        let (name, value) = read_secret(json, at, context)?;
        Some(Self { name: name.to_owned(), value: T::from_secret(value.as_bytes())? })
    }
}

/// The name of a secret, and its value.
fn read_secret<'j, 'd>(json: &'j Json, at: &At<'_>, context: &mut Context<'d>) -> Option<(&'j str, &'d str)> {
    let Some(name) = json.as_str().filter(|name| is_name(name)) else {
        // Not quoted: it may be the value, in the name's place.
        return context.error(at, format_args!("expected the name of a secret, never its value: {NAME}"));
    };
    match context.secret(name, at)? {
        // It would protect nothing.
        "" => context.error(at, format_args!("the secret {} is empty", Quoted(name))),
        value => Some((name, value)),
    }
}

schema!([T] NamedSecret<T>, _generator => json_schema!({"type": "string", "pattern": NAME_PATTERN}));

text! {
    /// What Envoy calls an upstream.
    Cluster: "the name of an Envoy cluster (visible ASCII characters without blanks)",
    |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
    {"type": "string", "pattern": "^[!-~]+$"}
}

text! {
    /// A source's path.
    SourcePath: "a path that begins with `/`, of visible ASCII characters without `?`, `#` and `\\`, with no `//`, `.`, `..` and encoded letters",
    is_normal_path,
    {"type": "string", "pattern": "^/([!\"$-.0->@-\\[\\]-~]+/)*[!\"$-.0->@-\\[\\]-~]*$"},
    |context, path, at| context.take(Named::Path, path, at)
}

/// Whether a path is as proxies normalise it (RFC 3986, section 6.2.2). No request would reach the gate with any other, and Envoy would
/// let those pass that were meant for it.
fn is_normal_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
    let is_encoded_letter = |[percent, high, low]: [u8; 3]| {
        let mut letter = [0];
        percent == b'%'
            && hex::decode_to_slice([high, low], &mut letter).is_ok()
            && letter.iter().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.' | b'_' | b'~'))
    };
    text.starts_with('/')
        && text.bytes().all(is_plain)
        && !text.as_bytes().array_windows().any(|pair| *pair == *b"//")
        && !text.as_bytes().array_windows().any(|triple| is_encoded_letter(*triple))
        && !text.split('/').any(|segment| matches!(segment, "." | ".."))
}

text! {
    /// A target's address.
    Url: "an absolute http or https URL without user information and fragment",
    is_url,
    {"type": "string", "format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#@]+([/?][^\\s#]*)?$"}
}

fn is_url(text: &str) -> bool {
    let Ok(uri) = Uri::parse(text) else { return false };
    let scheme = uri.scheme().as_str();
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        && !uri.has_fragment()
        && uri.authority().is_some_and(|authority| {
            !authority.has_userinfo() && !authority.host().is_empty() && authority.port_to_u16().is_ok()
        })
}

text! {
    /// A value to compare with.
    Term: "a string that is not empty", |text| !text.is_empty(), {"type": "string", "minLength": 1}
}

text! {
    /// An event's exact name, or the beginning of names.
    EventPattern: "an event's name, such as `whatsapp.message.received`, or the beginning of names, such as `whatsapp.message.*`",
    |text| {
        let exact = text.strip_suffix(".*").unwrap_or(text);
        !exact.is_empty() && !exact.contains('*')
    },
    {"type": "string", "pattern": "^[^*]+(\\.\\*)?$"}
}

impl EventPattern {
    /// What names must begin with, if the pattern is no exact name.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }
}

text! {
    /// A target's name where a setup link names it.
    TargetName: "the name of a target", |_| true, {"type": "string"},
    |context, name, at| { context.target(name, at); }
}

/// A target's place in the order of the document, where a rule names it.
struct TargetRef(usize);

impl Read for TargetRef {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        match json.as_str() {
            Some(name) => context.target(name, at).map(Self),
            None => context.expected("the name of a target", json, at),
        }
    }
}

/// Targets, each once and at least one, by their places.
pub(crate) struct Targets(pub(crate) Vec<usize>);

impl Read for Targets {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        let targets = NonEmpty::<TargetRef>::read(json, at, context);
        let mut named = Index::default();
        for (index, name) in json.items().iter().map(Json::as_str).enumerate() {
            if name.is_some_and(|name| named.insert(name, index).is_some()) {
                context.note(&At::Index(at, index), &"the target is named more than once");
            }
        }
        targets.map(|targets| Self(targets.0.into_iter().map(|target| target.0).collect()))
    }
}

schema!([] Targets, _generator => json_schema!({
    "type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true
}));

/// The word that says that an event goes nowhere: `true`.
pub(crate) struct True;

impl Read for True {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        match json {
            Json::Bool(true) => Some(Self),
            _ => context.expected("true", json, at),
        }
    }
}

schema!([] True, _generator => json_schema!({"const": true}));

/// A whole number between two others, both included.
pub(crate) struct Whole<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Read for Whole<MIN, MAX> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        read_whole(json, at, context, MIN..=MAX).map(Self)
    }
}

fn read_whole(json: &Json, at: &At<'_>, context: &mut Context<'_>, range: RangeInclusive<u32>) -> Option<u32> {
    json.whole().filter(|number| range.contains(number)).or_else(|| {
        let what = format_args!("a whole number from {} to {}", range.start(), range.end());
        context.expected(what, json, at)
    })
}

schema!([const MIN: u32, const MAX: u32] Whole<MIN, MAX>, _generator => json_schema!({
    "type": "integer", "minimum": MIN, "maximum": MAX
}));

/// A status code with which a target can refuse a message.
pub(crate) struct Status(pub(crate) u16);

type Refusing = Whole<300, 599>;

impl Read for Status {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        Refusing::read(json, at, context).and_then(|status| status.0.try_into().ok()).map(Self)
    }
}

schema!([] Status, generator => Refusing::json_schema(generator));

/// A list of at least one.
pub(crate) struct NonEmpty<T>(pub(crate) Vec<T>);

impl<T> Default for NonEmpty<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for NonEmpty<T> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        match json {
            Json::List(values) if !values.is_empty() => Vec::read(json, at, context).map(Self),
            _ => context.expected_shape("a list of at least one", json, at),
        }
    }
}

schema!([T: JsonSchema] NonEmpty<T>, generator => json_schema!({
    "type": "array", "items": generator.subschema_for::<T>(), "minItems": 1
}));

/// One, or a list of which any will do.
pub(crate) struct AnyOf<T>(pub(crate) Vec<T>);

impl<T: Read> Read for AnyOf<T> {
    #[inline(never)]
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        match json {
            Json::List(_) => NonEmpty::read(json, at, context).map(|NonEmpty(values)| Self(values)),
            _ => T::read(json, at, context).map(|value| Self(vec![value])),
        }
    }
}

schema!([T: JsonSchema] AnyOf<T>, generator => {
    let one = generator.subschema_for::<T>();
    json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
});

/// Values by name, in the order of the document.
pub(crate) struct ByName<T>(pub(crate) Vec<(String, T)>);

impl<T: Read> Read for ByName<T> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        read_table(json, at, context, NAME, is_name).map(Self)
    }
}

schema!([T: JsonSchema] ByName<T>, generator => json_schema!({
    "type": "object",
    "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": generator.subschema_for::<T>()
}));

/// Values by phone number id.
pub(crate) struct ByPhoneNumber<T>(pub(crate) Vec<(String, T)>);

impl<T: Read> Read for ByPhoneNumber<T> {
    fn read(json: &Json, at: &At<'_>, context: &mut Context<'_>) -> Option<Self> {
        let fits = |id: &str| (1..=PHONE_NUMBER_ID_LEN).contains(&id.chars().count());
        read_table(json, at, context, "a phone number id of 1 to 64 characters", fits).map(Self)
    }
}

schema!([T: JsonSchema] ByPhoneNumber<T>, generator => json_schema!({
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": PHONE_NUMBER_ID_LEN},
    "additionalProperties": generator.subschema_for::<T>()
}));

fn read_table<T: Read>(
    json: &Json,
    at: &At<'_>,
    context: &mut Context<'_>,
    what: &str,
    fits: impl Fn(&str) -> bool,
) -> Option<Vec<(String, T)>> {
    let members = context.members(json, at)?;
    let read: Vec<_> = members
        .iter()
        .map(|(name, value)| {
            let at = At::Member(at, name);
            if !fits(name) {
                context.note(&at, &format_args!("expected {what} as the name"));
            }
            T::read(value, &at, context).map(|value| (name.clone(), value))
        })
        .collect();
    read.into_iter().collect()
}

names!(Scheme { "kapso" => Self::Kapso, "meta" => Self::Meta, "any" => Self::Any });

names!(BodyForm {
    "as-received" => Self::AsReceived,
    "one-per-event" => Self::OnePerEvent,
    "normalized" => Self::Normalized,
});

names!(Kind {
    "whatsapp" => Self::Whatsapp,
    "project" => Self::Project,
    "meta" => Self::Meta,
    "unknown" => Self::Unknown,
});
