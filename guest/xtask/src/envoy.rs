//! A real Envoy with the filter, and something behind it that shows what arrives: a delivery passes and a forgery stops, within
//! a minute of a fresh checkout.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use xshell::Shell;

use crate::house::House;
use crate::{guests, servers};

/// What guest/envoy/envoy.yaml says.
const CONFIG: &str = "guest/envoy/envoy.yaml";
const LISTENER: &str = "127.0.0.1:8080";
const PATH: &str = "/webhooks/whatsapp";
const TARGETS: [(&str, &str); 2] = [("bot", "127.0.0.1:3000"), ("crm", "127.0.0.1:3001")];

/// How long Envoy may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example delivery, and the secret that it is signed with.
const EXAMPLE: &str = "tests/deliveries/received-text.json";

/// Starts Envoy, sends it a delivery, a forgery and the delivery again, and leaves it running unless `once`.
pub(crate) fn run(shell: &Shell, house: &House, once: bool) -> anyhow::Result<()> {
    guests::build(shell, house)?;
    let envoy = servers::one(shell, house, "envoy")?;
    let example = Example::read(house)?;
    for (name, address) in TARGETS {
        let listener =
            TcpListener::bind(address).with_context(|| format!("{address}, where {name} listens, is taken"))?;
        // Each of Envoy's workers keeps connections of its own open.
        let serve = move |stream| drop(thread::spawn(move || show(name, stream)));
        thread::spawn(move || listener.incoming().flatten().for_each(serve));
    }
    // Freed at once: only to know that nobody else would get what is sent there.
    drop(TcpListener::bind(LISTENER).with_context(|| format!("{LISTENER}, where Envoy is to listen, is taken"))?);
    let mut child = Command::new(envoy)
        .args(["--config-path", CONFIG, "--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"])
        .args(["--component-log-level", "wasm:info"])
        .current_dir(&house.root)
        .env("KAPSO_SECRET", &example.secret)
        .env("BOT_SECRET", "demonstration")
        .spawn()
        .context("cannot start Envoy")?;
    let shown = demonstrate(&mut child, &example);
    if shown.is_ok() && !once {
        eprintln!(
            "\nEnvoy runs {CONFIG} at http://{LISTENER}{PATH} with the secret {}, its own pages at http://127.0.0.1:9901. \
             Ctrl-C ends it.",
            example.secret
        );
        let ended = child.wait()?;
        ensure!(ended.success(), "Envoy ended with {ended}; its log says why");
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait()?;
    shown
}

fn demonstrate(envoy: &mut Child, example: &Example) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(LISTENER).is_err() {
        ensure!(envoy.try_wait()?.is_none(), "Envoy ended; its log says why");
        ensure!(Instant::now() < deadline, "Envoy does not listen at {LISTENER}");
        thread::sleep(Duration::from_millis(50));
    }
    let mut forged = example.body.clone();
    forged.push(b' ');
    expect("A genuine delivery", example.post(&example.body)?, 200)?;
    expect("The same with one more blank, so that its signature is wrong", example.post(&forged)?, 401)?;
    expect("The genuine one again, which no target sees twice", example.post(&example.body)?, 200)
}

fn expect(what: &str, status: u16, expected: u16) -> anyhow::Result<()> {
    eprintln!("\n{what}: {status}");
    ensure!(status == expected, "expected {expected}");
    Ok(())
}

struct Example {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secret: String,
}

impl Example {
    fn read(house: &House) -> anyhow::Result<Self> {
        let file = house.root.join(EXAMPLE);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let example: Value = serde_json::from_str(&text)?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("an example is made of strings");
        let headers = example["headers"].as_object().context("an example has headers")?;
        let headers = headers.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
        Ok(Self {
            headers: headers.collect::<anyhow::Result<_>>()?,
            body: text(&example["body"])?.into(),
            secret: text(&example["secret"])?,
        })
    }

    /// Posts this body under the example's headers; the answer's status.
    fn post(&self, body: &[u8]) -> anyhow::Result<u16> {
        let mut stream = TcpStream::connect(LISTENER)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(
            stream,
            "POST {PATH} HTTP/1.1\r\nHost: {LISTENER}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("Envoy gave no answer")
    }
}

/// Shows a request that came to a target, and takes it.
fn show(target: &str, stream: TcpStream) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        // A browser's request has no body.
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0").parse()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let told = lines.iter().filter(|line| line.starts_with("x-hookgate-"));
        let told: String = told.map(|line| format!("\n    {line}")).collect();
        eprintln!("\n  {target} got {} with {length} bytes:{told}", lines.first().map_or("", String::as_str));
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
