//! A target's URL in the parts that `wasi:http` wants.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    pub(crate) authority: Authority,
    pub(crate) path_and_query: PathAndQuery,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = text.parse::<Uri>().ok()?.into_parts();
        let scheme = parts.scheme?;
        let https = scheme == Scheme::HTTPS;
        if !https && scheme != Scheme::HTTP {
            return None;
        }
        let path_and_query = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Some(Url { https, authority: parts.authority?, path_and_query })
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_needs_scheme_and_authority() {
        let url = Url::parse("https://bot.example:8443/hook?a=b").unwrap();
        assert!(url.https);
        assert_eq!(url.authority.as_str(), "bot.example:8443");
        assert_eq!(url.path_and_query.as_str(), "/hook?a=b");
        assert_eq!(Url::parse("http://app.spin.internal").unwrap().path_and_query.as_str(), "/");
        for wrong in ["", "/hook", "bot:3000", "ftp://bot/hook", "redis://bot"] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}
