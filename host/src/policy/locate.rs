//! Where in a text the value stands that a path leads to.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::format::{Format, line as line_behind, yaml};

pub(super) fn line(text: &str, format: Format, path: &[String]) -> Option<usize> {
    match format {
        Format::Json => {
            let value: &RawValue = At::new(path).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()??;
            let start = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
            text.get(..start).map(line_behind)
        }
        Format::Toml => {
            let read = toml::Deserializer::parse(text).ok()?;
            let value: toml::Spanned<IgnoredAny> = At::new(path).deserialize(read).ok()??;
            text.get(..value.span().start).map(line_behind)
        }
        Format::Yaml => {
            let value: serde_saphyr::Spanned<IgnoredAny> =
                serde_saphyr::with_deserializer_from_str_with_options(text, yaml(), |read| {
                    At::new(path).deserialize(read)
                })
                .ok()??;
            usize::try_from(value.referenced.line()).ok()
        }
    }
}

/// Reads the value at the end of a path as a `T`, and nothing else.
struct At<'p, T> {
    path: &'p [String],
    value: PhantomData<T>,
}

impl<'p, T> At<'p, T> {
    fn new(path: &'p [String]) -> Self {
        Self { path, value: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, read: D) -> Result<Self::Value, D::Error> {
        if self.path.is_empty() { T::deserialize(read).map(Some) } else { read.deserialize_any(self) }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for At<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.path.split_first() {
                Some((first, rest)) if *first == key => found = map.next_value_seed(At::new(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (first, rest) = self.path.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let index: Option<usize> = first.parse().ok();
        for _ in 0..index.unwrap_or(0) {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = match index {
            Some(_) => seq.next_element_seed(At::new(rest))?.flatten(),
            None => None,
        };
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
