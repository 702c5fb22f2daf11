//! How the tools call other servers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;

use crate::server::Error;
use crate::server::tls;

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// What a load balancer closes after 60 s is given up before.
const IDLE: Duration = Duration::from_secs(30);

/// An HTTP client to finish as one needs it: certificates are checked as those of targets are, `extra_ca` included;
/// HTTP/2 where the other side offers it over TLS; no redirect is followed, so that no header goes where it was not
/// meant to go; connecting ends after 5 s. How long a whole request may take is for the caller to say.
///
/// # Errors
/// The file of authorities cannot be used.
pub(crate) fn builder(extra_ca: Option<&PathBuf>) -> Result<reqwest::ClientBuilder, Error> {
    let mut tls = tls::client(extra_ca)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("hookgate/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE))
}

/// Whether a URL's host is this machine: what stays on it goes through no proxy.
pub(crate) fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_made_and_a_bad_file_of_authorities_is_named() {
        assert!(builder(None).unwrap().build().is_ok());
        let missing = PathBuf::from("there-is-none.pem");
        let error = builder(Some(&missing)).unwrap_err().to_string();
        assert!(error.contains("there-is-none.pem"), "{error}");
    }
}
