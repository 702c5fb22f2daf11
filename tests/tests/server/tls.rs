//! HTTPS on both sides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookgate::server::{Server, Tls};
use hookgate_tests::Delivery;
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use http::Version;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::answers::all_to;

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate")
}

fn secure(certificate: &CertifiedKey<KeyPair>) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.cert.der().clone()], key))
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

#[tokio::test]
async fn a_target_with_a_known_authority_is_reached_over_http2() {
    let certificate = certificate();
    let mut upstream = Upstream::with_tls(secure(&certificate)).await;
    let folder = TempDir::new().expect("a folder");
    let mut config = config(&all_to(&upstream));
    config.target_ca = Some(written(&folder, "ca.pem", &certificate.cert.pem()));
    let hooked = Hooked::start(config).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&delivery).await, 200);
    let seen = upstream.next().await;
    assert_eq!(seen.version, Version::HTTP_2);
    assert_eq!(seen.body, delivery.body);
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_given_up() {
    let certificate = certificate();
    let upstream = Upstream::with_tls(secure(&certificate)).await;
    let silence = Arc::new(Notify::new());
    let relay = relay(upstream.address(), silence.clone()).await;
    let folder = TempDir::new().expect("a folder");
    let mut policy = all_to(&upstream);
    policy["targets"]["bot"] = json!({"url": format!("https://localhost:{}/hook", relay.port()), "timeout_ms": 3000});
    let mut config = config(&policy);
    config.target_ca = Some(written(&folder, "ca.pem", &certificate.cert.pem()));
    let hooked = Hooked::start(config).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    silence.notify_waiters();
    // It is never idle for as long as idle connections are kept.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) {
        assert!(statuses.len() < 10, "{statuses:?}");
        statuses.push(hooked.status(&Delivery::message("wamid.2", SECRET)).await);
    }
}

/// Passes on what comes to it. On `silence` the connections that there are stay open, and nothing passes any more.
async fn relay(to: SocketAddr, silence: Arc<Notify>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = socket.accept().await {
            let mut far = TcpStream::connect(to).await.expect("the target is there");
            let silence = silence.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = silence.notified() => std::future::pending().await,
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_target_that_nobody_vouches_for_gets_nothing() {
    let mut upstream = Upstream::with_tls(secure(&certificate())).await;
    let hooked = Hooked::with(&all_to(&upstream)).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 502);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn deliveries_are_taken_over_https() {
    let certificate = certificate();
    let folder = TempDir::new().expect("a folder");
    let cert = written(&folder, "cert.pem", &certificate.cert.pem());
    let key = written(&folder, "key.pem", &certificate.signing_key.serialize_pem());
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    config.tls = Some(Tls { cert: cert.clone(), key });
    let server = Server::start(config).await.expect("it starts");
    let delivery = Delivery::message("wamid.1", SECRET);
    for version in ["--http1.1", "--http2"] {
        assert_eq!(curl(&server, &cert, version, &delivery).await, "200", "{version}");
    }
    assert_eq!(upstream.next().await.header("x-forwarded-proto"), Some("https"));
}

/// The status that curl gets if it trusts this certificate.
async fn curl(server: &Server, trusted: &Path, version: &str, delivery: &Delivery) -> String {
    let mut curl = Command::new(hookgate_tests::server("curl"));
    curl.args([
        "--noproxy",
        "*",
        "--silent",
        "--show-error",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        version,
    ]);
    curl.arg("--cacert").arg(trusted).arg("--data-binary").arg(String::from_utf8_lossy(&delivery.body).as_ref());
    for (name, value) in &delivery.headers {
        curl.arg("--header").arg(format!("{name}: {value}"));
    }
    curl.arg(format!("https://localhost:{}/hook", server.address().port()));
    let output = curl.output().await.expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_one_that_cannot_be_read_is_not() {
    let (old, new) = (certificate(), certificate());
    let folder = TempDir::new().expect("a folder");
    let cert = written(&folder, "cert.pem", &old.cert.pem());
    let key = written(&folder, "key.pem", &old.signing_key.serialize_pem());
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    config.tls = Some(Tls { cert, key });
    let server = Server::start(config).await.expect("it starts");
    let delivery = Delivery::message("wamid.1", SECRET);
    let trusted = written(&folder, "new.pem", &new.cert.pem());
    assert_eq!(curl(&server, &trusted, "--http1.1", &delivery).await, "000");

    written(&folder, "cert.pem", &new.cert.pem());
    written(&folder, "key.pem", &new.signing_key.serialize_pem());
    server.reload().await.expect("a good certificate");
    assert_eq!(curl(&server, &trusted, "--http1.1", &delivery).await, "200");

    written(&folder, "key.pem", "no key");
    server.reload().await.expect_err("no key");
    assert_eq!(curl(&server, &trusted, "--http1.1", &delivery).await, "200");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let mut config = config(&all_to(&upstream));
    let cert = written(&folder, "cert.pem", &certificate().cert.pem());
    let key = written(&folder, "key.pem", &certificate().signing_key.serialize_pem());
    config.tls = Some(Tls { cert, key });
    assert!(Server::start(config).await.is_err());
}
