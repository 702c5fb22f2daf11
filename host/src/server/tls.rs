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
    /// Reads the certificate and its key; also says what the files were like then.
    pub(crate) fn read(files: Tls) -> Result<(Self, Stamped), Error> {
        let stamped = stamped(&files);
        let current = Arc::new(ArcSwap::new(server(&files)?));
        Ok((Certificate { current, files }, stamped))
    }

    /// Reads both again. On failure the old ones stay.
    pub(crate) fn read_again(&self) -> Result<Stamped, Error> {
        let stamped = stamped(&self.files);
        self.current.store(server(&self.files)?);
        Ok(stamped)
    }

    /// What takes a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn stamped(files: &Tls) -> Stamped {
    Stamped::of([files.cert.clone(), files.key.clone()])
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
