//! Certificates: the server's own, and those that targets are checked against.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::Error;
use super::stamped::Stamped;

/// The PEM files that the server answers HTTPS with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by those between it and its authority.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// The server's certificate, which can be replaced.
#[derive(Clone)]
pub(crate) struct Certificate {
    current: Arc<ArcSwap<ServerConfig>>,
    files: Tls,
}

impl Certificate {
    /// Reads the certificate and its key. `stamped` gets the files as they were before.
    pub(crate) fn read(files: Tls, stamped: &mut Stamped) -> Result<Self, Error> {
        stamped.extend([files.cert.clone(), files.key.clone()]);
        let current = Arc::new(ArcSwap::new(server(&files)?));
        Ok(Certificate { current, files })
    }

    /// Reads both again, to be put in the place of the old ones.
    pub(crate) fn read_again(&self, stamped: &mut Stamped) -> Result<Arc<ServerConfig>, Error> {
        stamped.extend([self.files.cert.clone(), self.files.key.clone()]);
        server(&self.files)
    }

    /// Answers with these from now on.
    pub(crate) fn replace(&self, read: Arc<ServerConfig>) {
        self.current.store(read);
    }

    /// What takes a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server(files: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| Error::Tls { file: files.key.clone(), message: error.to_string() })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| Error::Tls { file: files.cert.clone(), message: error.to_string() })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How targets are checked: against the system's authorities, or Mozilla's where the system has none, and `extra` ones.
pub(crate) fn client(extra: Option<&PathBuf>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(file) = extra {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| Error::Tls { file: file.clone(), message: error.to_string() })?;
        }
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls { file: extra.cloned().unwrap_or_default(), message: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |message: String| Error::Tls { file: file.clone(), message };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| failed(error.to_string()))?;
    if chain.is_empty() { Err(failed("it holds no certificate".into())) } else { Ok(chain) }
}
