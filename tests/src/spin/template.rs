//! `{{ variable }}` in a manifest's values.

use anyhow::Context;

/// Puts in the values.
pub(super) fn resolve(template: &str, value: impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut resolved = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").with_context(|| format!("{template:?} is not closed"))?;
        resolved.push_str(before);
        resolved
            .push_str(&value(name.trim()).with_context(|| format!("no variable {:?} in {template:?}", name.trim()))?);
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}
