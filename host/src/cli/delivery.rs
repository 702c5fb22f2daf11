//! Deliveries as people keep them: JSON or raw HTTP, in files or on standard input.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::vec;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::de::IoRead;
use serde_json::value::RawValue;
use serde_json::{StreamDeserializer, Value};
use walkdir::WalkDir;

use super::http;
use crate::Gate;
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
    pub(super) recorded: Recorded,
}

impl Delivery {
    /// The name of the source that it came by: the one that was recorded, else the one whose path it came to.
    pub(super) fn source<'g>(&self, gate: &'g Gate) -> Option<&'g str> {
        let mut sources = gate.settings().sources.iter();
        let recorded = sources.find(|source| self.recorded.source.as_ref() == Some(&source.name));
        recorded.map(|source| source.name.as_str()).or_else(|| source_at(gate, self.path.as_deref()?))
    }

    /// Lends it as a request to `call`.
    pub(super) fn lend<R>(&self, call: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let path = self.path.as_deref().unwrap_or("/");
        call(&Request { head: Head { method: &self.method, path, headers: &headers }, body: &self.body })
    }
}

/// The name of the source that has this path, which may come with a query.
pub(super) fn source_at<'g>(gate: &'g Gate, path: &str) -> Option<&'g str> {
    let path = path.split('?').next();
    let mut sources = gate.settings().sources.iter();
    sources.find(|source| Some(source.path.as_str()) == path).map(|source| source.name.as_str())
}

/// What stands where a delivery should is none, or none that can be sent. Those after it can be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

/// All deliveries of these files, in their order, and errors in the places of those that are malformed. `-` is standard input, a
/// folder all files in it.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<anyhow::Result<Delivery>>> {
    let (mut deliveries, mut names) = (Vec::new(), Vec::new());
    for file in expand(files)? {
        let (name, input) = open(&file)?;
        let mut found = Vec::new();
        for delivery in Stream::new(&name, input)? {
            match delivery {
                Err(error) if !error.is::<Malformed>() => return Err(error),
                delivery => found.push(delivery),
            }
        }
        if let [Ok(alone)] = found.as_mut_slice() {
            alone.found.clone_from(&name);
        }
        deliveries.extend(found);
        names.push(name);
    }
    // A recording has files that nothing was written to yet.
    if deliveries.is_empty() {
        bail!("no delivery in {}: {EXPECTED}", names.join(", "));
    }
    Ok(deliveries)
}

/// These files, with the files of each folder in the order of their names in its place, each once, those that links lead to too.
/// Hidden ones are left out.
pub(super) fn expand(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let is_hidden = |depth: usize, path: &Path| {
        depth > 0 && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let mut expanded = Vec::new();
    for file in files {
        if !file.is_dir() {
            expanded.push(file.clone());
            continue;
        }
        let unreadable = || format!("cannot read {}", file.display());
        let root = file.canonicalize().with_context(unreadable)?;
        let mut found = Vec::new();
        let walk = WalkDir::new(file).follow_links(true).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !is_hidden(entry.depth(), entry.path())) {
            // A link is followed before it is filtered. What one leads up to is read where it stands.
            if let Err(error) = &entry
                && (error.loop_ancestor().is_some() || error.path().is_some_and(|path| is_hidden(error.depth(), path)))
            {
                continue;
            }
            let entry = entry.with_context(unreadable)?;
            if entry.file_type().is_file() {
                let path = entry.into_path();
                // It may be gone meanwhile, which is said when it is opened.
                found.push((path.canonicalize().unwrap_or_else(|_| path.clone()), path));
            }
        }
        if found.is_empty() {
            bail!("{} holds no files", file.display());
        }
        // What a link leads to is read in its own place if it has one here.
        let is_own = |real: &Path, path: &Path| path.strip_prefix(file).is_ok_and(|within| root.join(within) == real);
        let mut seen: HashSet<_> =
            found.iter().filter(|(real, path)| is_own(real, path)).map(|(real, _)| real.clone()).collect();
        found.retain(|(real, path)| is_own(real, path) || seen.insert(real.clone()));
        expanded.extend(found.into_iter().map(|(_, path)| path));
    }
    Ok(expanded)
}

/// Something to know beside the output; nobody need read it.
pub(super) fn warn(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// The name for people, and what to read from, of a file or of standard input.
pub(super) fn open(file: &Path) -> anyhow::Result<(String, Box<dyn Read + Send>)> {
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            warn("reading standard input to its end");
        }
        return Ok(("standard input".into(), Box::new(io::stdin())));
    }
    let name = file.display().to_string();
    let file = File::open(file).with_context(|| format!("cannot read {name}"))?;
    Ok((name, Box::new(file)))
}

/// The name for people, and the bytes, of a file or of standard input.
pub(super) fn contents(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let (name, mut input) = open(file)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    Ok((name, bytes))
}

/// The deliveries of one input, read as they are asked for: one JSON value or several, with or without line ends between
/// them, where lists are taken apart; or one raw HTTP request. One that is malformed is an error of its own.
pub(super) struct Stream {
    name: String,
    number: usize,
    values: Values,
    is_list: bool,
}

enum Values {
    Json { values: Box<StreamDeserializer<'static, IoRead<Input>, Box<RawValue>>>, list: vec::IntoIter<Box<RawValue>> },
    Http(Option<Input>),
}

/// A delivery as it is written.
enum Text {
    Json(Box<RawValue>),
    Http(Vec<u8>),
}

impl Text {
    fn read(&self) -> anyhow::Result<Delivery> {
        match self {
            Self::Json(text) => serde_json::from_str::<Written>(text.get())?.try_into(),
            Self::Http(bytes) => http::request(bytes),
        }
    }
}

type Input = BufReader<Box<dyn Read + Send>>;

impl Stream {
    pub(super) fn new(name: &str, input: Box<dyn Read + Send>) -> anyhow::Result<Self> {
        let unreadable = || format!("cannot read {name}");
        let mut input = BufReader::new(input);
        if input.fill_buf().with_context(unreadable)?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let first = loop {
            let bytes = input.fill_buf().with_context(unreadable)?;
            let blank = bytes.len() - bytes.trim_ascii_start().len();
            if blank < bytes.len() || bytes.is_empty() {
                let first = bytes.get(blank).copied();
                input.consume(blank);
                break first;
            }
            input.consume(blank);
        };
        let values = match first {
            None | Some(b'{' | b'[') => Values::Json {
                values: Box::new(serde_json::Deserializer::from_reader(input).into_iter()),
                list: Vec::new().into_iter(),
            },
            Some(_) => Values::Http(Some(input)),
        };
        Ok(Self { name: name.to_owned(), number: 0, values, is_list: first == Some(b'[') })
    }

    fn next_text(&mut self) -> Option<anyhow::Result<Text>> {
        let (values, list) = match &mut self.values {
            Values::Http(input) => {
                let mut bytes = Vec::new();
                let read = input.take()?.read_to_end(&mut bytes);
                return Some(read.map(|_| Text::Http(bytes)).map_err(Into::into));
            }
            Values::Json { values, list } => (values, list),
        };
        loop {
            if let Some(text) = list.next() {
                return Some(Ok(Text::Json(text)));
            }
            match values.next()? {
                // Read from its text, not by way of a `Value`: that has the last alone of two headers with the same name.
                Ok(text) if text.get().starts_with('[') => match serde_json::from_str::<Vec<_>>(text.get()) {
                    Ok(texts) => *list = texts.into_iter(),
                    Err(error) => return Some(Err(error.into())),
                },
                Ok(text) => return Some(Ok(Text::Json(text))),
                // Whoever wrote it was killed, or has not finished. Of a list that is cut off not even the first has come.
                Err(error) if error.is_eof() && !self.is_list => {
                    warn(format_args!("warning: {}: the last delivery is cut off, and left out", self.name));
                    return None;
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl Iterator for Stream {
    type Item = anyhow::Result<Delivery>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.next_text()?.with_context(|| format!("{}: {EXPECTED}", self.name));
        self.number += 1;
        let found = format!("{}[{}]", self.name, self.number);
        Some(text.and_then(|text| match text.read() {
            Ok(delivery) => Ok(Delivery { found, ..delivery }),
            Err(error) => Err(error.context(Malformed(format!("{found}: {EXPECTED}")))),
        }))
    }
}

/// A delivery in JSON. Other fields are ignored.
#[derive(Deserialize)]
#[serde(expecting = "a delivery")]
struct Written {
    headers: Headers,
    body: Option<String>,
    /// The body in standard base64, where it is no text.
    body_base64: Option<String>,
    #[serde(default = "post")]
    method: String,
    path: Option<String>,
    #[serde(flatten)]
    recorded: Recorded,
}

/// What `hookgate serve --record` says besides. Others may use the same names for something else.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Recorded {
    #[serde(default, deserialize_with = "if_it_is")]
    pub(super) received_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "if_it_is")]
    pub(super) source: Option<String>,
    #[serde(default, deserialize_with = "if_it_is")]
    pub(super) secret_name: Option<String>,
    #[serde(default, deserialize_with = "if_it_is")]
    pub(super) status: Option<u16>,
    #[serde(default, deserialize_with = "if_it_is")]
    pub(super) signatures_left_out: Option<Vec<String>>,
    /// Recorded, and not as genuine: false is what was refused, null what could not be decided.
    #[serde(default, rename = "genuine", deserialize_with = "is_not_true")]
    pub(super) unproven: bool,
}

fn is_not_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(Value::deserialize(deserializer)?, Value::Bool(false) | Value::Null))
}

/// A value of this type, or none.
fn if_it_is<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

fn post() -> String {
    "POST".into()
}

impl TryFrom<Written> for Delivery {
    type Error = anyhow::Error;

    fn try_from(written: Written) -> anyhow::Result<Self> {
        let body = match (written.body, written.body_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).context("its `body_base64` is not base64")?,
            (Some(_), Some(_)) => bail!("it has both `body` and `body_base64`"),
            (None, None) => bail!("missing field `body`"),
        };
        Ok(Self {
            found: String::new(),
            method: written.method,
            path: written.path,
            headers: written.headers.0,
            body,
            recorded: written.recorded,
        })
    }
}

/// A map from a name to a value or a list of values.
struct Headers(Vec<(String, Vec<u8>)>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a header's value, or a list of such")]
enum HeaderValues {
    One(HeaderValue),
    Many(Vec<HeaderValue>),
}

/// Text, or `{"base64": "…"}` where it is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Text(String),
    Bytes { base64: String },
}

impl HeaderValue {
    fn bytes<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Bytes { base64 } => STANDARD.decode(base64).map_err(E::custom),
        }
    }
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
                while let Some((name, values)) = map.next_entry::<String, HeaderValues>()? {
                    let values = match values {
                        HeaderValues::One(value) => vec![value],
                        HeaderValues::Many(values) => values,
                    };
                    for value in values {
                        headers.push((name.clone(), value.bytes()?));
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

    fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Delivery>> {
        Stream::new("test", Box::new(io::Cursor::new(bytes.to_vec())))?.collect()
    }

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
    fn what_is_malformed_costs_nothing_else() {
        let one = r#"{"headers": {}, "body": ""}"#;
        for wrong in [r#"{"headers": {}, "body": 5}"#, r#"{"headers": {}, "body_base64": "?"}"#, "null", "[[]]"] {
            for text in [format!("[{one}, {wrong}, {one}]"), format!("{one}\n{wrong}\n{one}\n")] {
                let found: Vec<_> = Stream::new("test", Box::new(io::Cursor::new(text.clone()))).unwrap().collect();
                let [Ok(_), Err(error), Ok(last)] = found.as_slice() else { panic!("{text}: {found:?}") };
                assert!(error.is::<Malformed>() && error.to_string().starts_with("test[2]: "), "{text}: {error}");
                assert_eq!(last.found, "test[3]", "{text}");
            }
        }
    }

    #[test]
    fn a_bare_body_is_refused() {
        assert!(format!("{:#}", parse(br#"{"message": {}}"#).unwrap_err()).contains("headers"));
        assert!(parse(br#"{"headers": {"A": 1}, "body": ""}"#).is_err());
        assert!(parse(b"[[]]").is_err(), "a list in a list is no delivery");
        assert!(parse(br#"{"headers": {}, "body": {}}"#).is_err());
    }

    #[test]
    fn a_header_that_is_given_twice_counts_twice() {
        let twice = r#"{"headers": {"A": "1", "A": "2"}, "body": ""}"#;
        for text in [twice.to_owned(), format!("[{twice}]")] {
            let values: Vec<_> = one(&text).headers.into_iter().map(|(_, value)| value).collect();
            assert_eq!(values, [b"1", b"2"], "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_read_from_base64() {
        let delivery =
            one(r#"{"headers": {"A": {"base64": "/w=="}, "B": ["x", {"base64": "AA=="}]}, "body_base64": "//4="}"#);
        assert_eq!(delivery.body, b"\xff\xfe");
        let values: Vec<_> = delivery.headers.iter().map(|(_, value)| value.as_slice()).collect();
        assert_eq!(values, [&b"\xff"[..], b"x", b"\0"]);
        for wrong in [r#""body": "", "body_base64": """#, r#""body_base64": "?""#, r#""other": 1"#] {
            assert!(parse(format!(r#"{{"headers": {{}}, {wrong}}}"#).as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_last_line_that_is_cut_off_costs_nothing_else() {
        let whole = r#"{"headers": {"A": "1"}, "body": "ü"}"#;
        for cut in 1..whole.len() {
            let mut text = format!("{whole}\n").into_bytes();
            text.extend_from_slice(&whole.as_bytes()[..cut]);
            assert_eq!(parse(&text).unwrap().len(), 1, "{cut}");
        }
        assert!(parse(format!("{whole}\n{{]\n{whole}").as_bytes()).is_err(), "in the middle it is an error");
        assert!(parse(format!("[{whole},\n").as_bytes()).is_err(), "a list would be lost as a whole");
    }

    #[test]
    fn what_others_write_under_our_names_does_no_harm() {
        let delivery = one(r#"{"headers": {}, "body": "", "source": {"a": 1}, "status": "fine", "received_at": 5}"#);
        assert_eq!((delivery.recorded.source, delivery.recorded.status), (None, None));
        let delivery = one(r#"{"headers": {}, "body": "", "status": 502, "received_at": "2026-11-24T20:00:00.5Z"}"#);
        assert_eq!(delivery.recorded.status, Some(502));
        assert_eq!(delivery.recorded.received_at.map(Timestamp::as_millisecond), Some(1_795_550_400_500));
    }
}
