//! Deliveries as people keep them: JSON or raw HTTP, in files or on standard input.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::http;
use crate::types::{Head, Header, Request};

const EXPECTED: &str = r#"expected {"headers": {…}, "body": "…"}, a list or lines of such, or a raw HTTP request"#;

/// One delivery, with what is known of where it was sent.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Where it was found, for people.
    pub(super) found: String,
    pub(super) method: String,
    pub(super) path: Option<String>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Delivery {
    /// Lends it as a request to `call`.
    pub(super) fn lend<R>(&self, call: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let path = self.path.as_deref().unwrap_or("/");
        call(&Request { head: Head { method: &self.method, path, headers: &headers }, body: &self.body })
    }
}

/// All deliveries of these files, in their order. `-` is standard input.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Delivery>> {
    let mut deliveries = Vec::new();
    for file in files {
        let (name, bytes) = contents(file)?;
        let found = parse(&bytes).with_context(|| format!("{name}: {EXPECTED}"))?;
        let alone = found.len() == 1;
        if found.is_empty() {
            bail!("{name} holds no delivery: {EXPECTED}");
        }
        deliveries.extend((1..).zip(found).map(|(number, delivery)| Delivery {
            found: if alone { name.clone() } else { format!("{name}[{number}]") },
            ..delivery
        }));
    }
    Ok(deliveries)
}

/// The name for people, and the bytes, of a file or of standard input.
pub(super) fn contents(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            eprintln!("reading standard input to its end");
        }
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(("standard input".into(), bytes));
    }
    let name = file.display().to_string();
    let bytes = fs::read(file).with_context(|| format!("cannot read {name}"))?;
    Ok((name, bytes))
}

fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Delivery>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.trim_ascii_start().first() {
        None => Ok(Vec::new()),
        Some(b'{' | b'[') => json(bytes),
        Some(_) => http::request(bytes.trim_ascii_start()).map(|delivery| vec![delivery]),
    }
}

/// One value or several, with or without line ends between them; lists are taken apart.
fn json(bytes: &[u8]) -> anyhow::Result<Vec<Delivery>> {
    let mut deliveries = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        match value? {
            Value::Array(list) => {
                for value in list {
                    deliveries.push(serde_json::from_value::<Written>(value)?.into());
                }
            }
            value => deliveries.push(serde_json::from_value::<Written>(value)?.into()),
        }
    }
    Ok(deliveries)
}

/// A delivery in JSON. Other fields are ignored.
#[derive(Deserialize)]
struct Written {
    headers: Headers,
    body: String,
    #[serde(default = "post")]
    method: String,
    path: Option<String>,
}

fn post() -> String {
    "POST".into()
}

impl From<Written> for Delivery {
    fn from(written: Written) -> Self {
        Self {
            found: String::new(),
            method: written.method,
            path: written.path,
            headers: written.headers.0,
            body: written.body.into_bytes(),
        }
    }
}

/// A map from a name to a value or a list of values.
struct Headers(Vec<(String, Vec<u8>)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("header names with a value, or a list of values, each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, Values>()? {
                    match values {
                        Values::One(value) => headers.push((name, value.into_bytes())),
                        Values::Many(values) => {
                            headers.extend(values.into_iter().map(|value| (name.clone(), value.into_bytes())));
                        }
                    }
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Delivery {
        let mut found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn extra_keys_are_ignored_and_the_rest_is_filled_in() {
        let delivery =
            one(r#"{"headers": {"A": "1", "B": ["2", "3"]}, "body": "{}\n", "expect": {"x": 1}, "secret": "s"}"#);
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(delivery.headers, [header("A", "1"), header("B", "2"), header("B", "3")]);
        assert_eq!((delivery.method.as_str(), delivery.path), ("POST", None));
        assert_eq!(delivery.body, b"{}\n");
    }

    #[test]
    fn several_may_stand_in_one_file() {
        let one = r#"{"headers": {}, "body": ""}"#;
        for text in
            [format!("[{one}, {one}]"), format!("{one}\n{one}\n"), format!("{one}{one}"), format!("[{one}]\n{one}")]
        {
            assert_eq!(parse(text.as_bytes()).unwrap().len(), 2, "{text}");
        }
        assert_eq!(parse(b" \n").unwrap().len(), 0);
    }

    #[test]
    fn a_bare_body_is_refused() {
        assert!(parse(br#"{"message": {}}"#).unwrap_err().to_string().contains("headers"));
        assert!(parse(br#"{"headers": {"A": 1}, "body": ""}"#).is_err());
        assert!(parse(br#"{"headers": {}, "body": {}}"#).is_err());
    }
}
