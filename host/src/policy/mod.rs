//! Policy files: JSON, TOML or YAML, which the plugin gets as JSON.

mod format;
mod locate;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use format::{Format, SyntaxError};

use crate::types::PolicyError;

/// The JSON Schema of policies: what editors complete and validators check. The gate knows more, such as which names there are.
pub const SCHEMA: &str = include_str!("../../policy.schema.json");

/// A policy to begin with: one source at `/webhooks/whatsapp` that takes Kapso's and Meta's signatures made with the secret
/// `KAPSO_WEBHOOK_SECRET`, and sends nothing on.
pub const TRY_IT: &str = r#"{
  "sources": [
    {"name": "whatsapp", "path": "/webhooks/whatsapp", "scheme": "any", "secrets": ["KAPSO_WEBHOOK_SECRET"]}
  ],
  "otherwise": {"drop": true}
}
"#;

/// A policy as somebody wrote it. It names secrets and holds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    path: Option<PathBuf>,
    text: String,
    format: Format,
    json: String,
}

/// Why a policy file could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file's name ends in none of `.json`, `.toml`, `.yaml` and `.yml`.
    #[error("{}: a policy file's name ends in .json, .toml, .yaml or .yml", .0.display())]
    UnknownFormat(PathBuf),
    /// The file could not be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not what its name says.
    #[error("{}:{error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: SyntaxError,
    },
}

impl Document {
    /// Reads a policy file; the end of its name says what it is written in.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not what its name says. Whether it is a good policy is for
    /// [`Plugin::compile`](crate::Plugin::compile) to say.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let format = Format::of(path).ok_or_else(|| ReadError::UnknownFormat(path.to_owned()))?;
        let text = fs::read_to_string(path).map_err(|error| ReadError::Unreadable { path: path.to_owned(), error })?;
        match Self::parse(text, format) {
            Ok(document) => Ok(Self { path: Some(path.to_owned()), ..document }),
            Err(error) => Err(ReadError::Syntax { path: path.to_owned(), error }),
        }
    }

    /// A policy in a text.
    ///
    /// # Errors
    /// Where the text is not of this format.
    pub fn parse(text: impl Into<String>, format: Format) -> Result<Self, SyntaxError> {
        let text = text.into();
        let json = format.to_json(&text)?;
        Ok(Self { path: None, text, format, json })
    }

    /// The policy in JSON, as the plugin takes it.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Says of an error where it is: `policy.toml:12: /rules/0/to/0: no target has this name`.
    pub fn explain(&self, error: &PolicyError) -> String {
        let path = self.path.as_deref().map_or_else(|| "policy".into(), Path::to_string_lossy);
        match self.line(&error.pointer) {
            Some(line) => format!("{path}:{line}: {error}"),
            None => format!("{path}: {error}"),
        }
    }

    /// Says of each error where it is. To find a line takes a pass over the document, so that only the first hundred have one.
    pub fn explain_all(&self, errors: &[PolicyError]) -> Vec<String> {
        const WITH_LINE: usize = 100;
        let (first, rest) = errors.split_at(errors.len().min(WITH_LINE));
        first.iter().map(|error| self.explain(error)).chain(rest.iter().map(ToString::to_string)).collect()
    }

    /// The line, counted from 1, of the value that a JSON Pointer leads to. Where that value is missing, the line of what it
    /// is missing in; none for the document as a whole.
    pub fn line(&self, pointer: &str) -> Option<usize> {
        let mut path: Vec<_> = pointer.split('/').skip(1).map(unescape).collect();
        while !path.is_empty() {
            if let Some(line) = locate::line(&self.text, self.format, &path) {
                return Some(line);
            }
            path.pop();
        }
        None
    }
}

/// RFC 6901, section 4.
fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
  "sources": [
    {"name": "a",
     "secrets_by_phone_number": {"123/4": ["A"]}}
  ],
  "otherwise": {"drop": true}
}
"#;

    const TOML: &str = r#"[[sources]]
name = "a"

[sources.secrets_by_phone_number]
"123/4" = ["A"]

[otherwise]
drop = true
"#;

    const YAML: &str = r#"sources:
  - name: a
    secrets_by_phone_number:
      123/4:
        - A
otherwise:
  drop: true
"#;

    #[test]
    fn three_formats_say_the_same() {
        let json = r#"{"sources":[{"name":"a","secrets_by_phone_number":{"123/4":["A"]}}],"otherwise":{"drop":true}}"#;
        for (text, format) in [(TOML, Format::Toml), (YAML, Format::Yaml)] {
            assert_eq!(Document::parse(text, format).unwrap().json(), json, "{format:?}");
        }
        assert_eq!(Document::parse(JSON, Format::Json).unwrap().json(), JSON);
    }

    #[test]
    fn a_phone_number_may_stand_unquoted_in_yaml() {
        let document = Document::parse("tenants: {123456789012345: [A]}", Format::Yaml).unwrap();
        assert_eq!(document.json(), r#"{"tenants":{"123456789012345":["A"]}}"#);
    }

    #[test]
    fn what_yaml_1_1_took_for_true_or_false_is_text() {
        let document = Document::parse("{on: [STOP, NO, n, y, off, true]}", Format::Yaml).unwrap();
        assert_eq!(document.json(), r#"{"on":["STOP","NO","n","y","off",true]}"#);
    }

    #[test]
    fn a_policy_may_be_long_and_say_the_same_often() {
        let rule = "  - {name: r, when: {phone_number_id: '1', event: whatsapp.message.received}, to: *team}\n";
        let yaml = format!("team: &team [a, b]\nrules:\n{}", rule.repeat(30_000));
        let document = Document::parse(yaml, Format::Yaml).unwrap();
        assert!(document.json().ends_with(r#""to":["a","b"]}]}"#));
        assert_eq!(document.line("/rules/29999/name"), Some(30_002));
    }

    #[test]
    fn only_the_first_of_many_errors_have_a_line() {
        let tenants: String = (0..1000).map(|id| format!("  '{id}': [S{id}]\n")).collect();
        let document = Document::parse(format!("tenants:\n{tenants}"), Format::Yaml).unwrap();
        let error = |id| PolicyError { pointer: format!("/tenants/{id}/0"), message: "it is missing".into() };
        let errors: Vec<_> = (0..1000).map(error).collect();
        let explained = document.explain_all(&errors);
        assert_eq!(explained.len(), errors.len());
        assert_eq!(explained[1], "policy:3: /tenants/1/0: it is missing");
        assert_eq!(explained[999], "/tenants/999/0: it is missing");
    }

    #[test]
    fn order_is_kept() {
        let json = r#"{"targets":{"z":{"url":"1"},"a":{"url":"2"}}}"#;
        let toml = Document::parse("[targets.z]\nurl = '1'\n[targets.a]\nurl = '2'", Format::Toml).unwrap();
        let yaml = Document::parse("targets: {z: {url: '1'}, a: {url: '2'}}", Format::Yaml).unwrap();
        assert_eq!((toml.json(), yaml.json()), (json, json));
    }

    #[test]
    fn a_pointer_has_a_line() {
        for (text, format, lines) in
            [(JSON, Format::Json, [3, 4, 6, 6]), (TOML, Format::Toml, [2, 5, 8, 7]), (YAML, Format::Yaml, [2, 5, 7, 7])]
        {
            let document = Document::parse(text, format).unwrap();
            let pointers = [
                "/sources/0/name",
                "/sources/0/secrets_by_phone_number/123~14/0",
                "/otherwise/drop",
                "/otherwise/to/3",
            ];
            assert_eq!(pointers.map(|pointer| document.line(pointer)), lines.map(Some), "{format:?}");
            assert_eq!(document.line(""), None);
            assert_eq!(document.line("/nowhere"), None);
        }
    }

    #[test]
    fn bad_syntax_has_a_position() {
        for (text, format) in [
            ("{\n  \"sources\": [,]\n}", Format::Json),
            ("a = 1\nsources = [,]\n", Format::Toml),
            ("a: 1\nsources: [\n", Format::Yaml),
        ] {
            let error = Document::parse(text, format).unwrap_err();
            assert!(error.line.is_some_and(|line| line >= 2), "{format:?}: {error:?}");
            assert!(!error.message.contains('\n'), "{format:?}: {error:?}");
        }
    }
}
