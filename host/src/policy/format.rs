//! What a policy is written in.

use std::fmt;
use std::path::Path;

use serde::de::IgnoredAny;
use thiserror::Error;

/// What a policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, one document.
    Yaml,
}

/// Where a text is not of its format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SyntaxError {
    /// The line, counted from 1, where known.
    pub line: Option<usize>,
    /// The column, counted from 1, where known.
    pub column: Option<usize>,
    /// What is wrong there, in one line.
    pub message: String,
}

/// `3:14: expected a value`.
impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in [self.line, self.column].into_iter().flatten() {
            write!(f, "{position}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl Format {
    /// By the end of a file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The same in JSON, in the same order. JSON stays as it is.
    pub(super) fn to_json(self, text: &str) -> Result<String, SyntaxError> {
        let mut json = Vec::with_capacity(text.len());
        let mut write = serde_json::Serializer::new(&mut json);
        match self {
            Self::Json => return json_as_it_is(text),
            Self::Toml => {
                let transcoded = toml::Deserializer::parse(text)
                    .and_then(|read| serde_transcode::transcode(read, &mut write).map_err(serde::de::Error::custom));
                transcoded.map_err(|error| toml_error(&error, text))?;
            }
            Self::Yaml => {
                // Transcoding loses where an error is, so what is wrong with the text comes to light before.
                serde_saphyr::from_str_with_options::<IgnoredAny>(text, yaml()).map_err(|error| yaml_error(&error))?;
                let transcode = |read: serde_saphyr::Deserializer<'_, '_>| {
                    serde_transcode::transcode(read, &mut write).map_err(serde::de::Error::custom)
                };
                serde_saphyr::with_deserializer_from_str_with_options(text, yaml(), transcode)
                    .map_err(|error| yaml_error(&error))?;
            }
        }
        Ok(String::from_utf8_lossy(&json).into_owned())
    }
}

/// YAML 1.2, where `no` is text; and as long as it may be, since it is the operator's own. What a few aliases can be made to stand for
/// stays bounded.
pub(super) fn yaml() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_aliases: usize::MAX,
            enforce_alias_anchor_ratio: false,
        },
    }
}

fn json_as_it_is(text: &str) -> Result<String, SyntaxError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let message = without_position(&error.to_string());
            Err(SyntaxError { line: Some(error.line()), column: Some(error.column()), message })
        }
    }
}

fn toml_error(error: &toml::de::Error, text: &str) -> SyntaxError {
    let before = error.span().and_then(|span| text.get(..span.start));
    SyntaxError {
        line: before.map(line),
        column: before.map(|before| before.chars().rev().take_while(|c| *c != '\n').count() + 1),
        message: error.message().replace('\n', ", "),
    }
}

fn yaml_error(error: &serde_saphyr::Error) -> SyntaxError {
    let error = error.without_snippet();
    let position = |of: fn(&serde_saphyr::Location) -> u64| {
        error.location().as_ref().map(of).and_then(|position| usize::try_from(position).ok())
    };
    SyntaxError {
        line: position(serde_saphyr::Location::line),
        column: position(serde_saphyr::Location::column),
        message: without_position(&error.to_string()),
    }
}

/// Messages of parsers end with the position, which is said elsewhere.
fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or_default().replace('\n', ", ")
}

/// The number, counted from 1, of the line that begins or goes on behind this text.
pub(super) fn line(before: &str) -> usize {
    before.matches('\n').count() + 1
}
