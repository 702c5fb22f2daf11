//! Every example delivery and every case, decided by every build and compared whole with what is stored in `decisions/`.
//! `BLESS=1 cargo test --test decisions` writes what the native build says.

use std::fs;
use std::path::{Path, PathBuf};

use hookgate::Sha256;
use hookgate_tests::builds::{Build, Question};
use hookgate_tests::{Delivery, hmac_sha256};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

const NOW: u64 = 1_789_396_000;
const BUILDS: [(&str, Build); 5] = [
    ("native", Build::Native),
    ("pieces of 1", Build::Pieces(1)),
    ("pieces of 97", Build::Pieces(97)),
    ("component", Build::Component(Sha256::Plugin)),
    ("component on the host's SHA-256", Build::Component(Sha256::Host)),
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = names(&folder.join("deliveries")).into_iter().map(|name| (example(&name), name));
    let cases = names(&folder.join("cases")).into_iter().map(|name| (case(&folder.join("cases"), &name), name));
    let trials = examples.chain(cases).flat_map(|(question, name)| {
        let question: &'static Question = Box::leak(Box::new(question));
        let stored = folder.join("decisions").join(&name).with_extension("json");
        BUILDS.map(|(label, build)| {
            let stored = stored.clone();
            Trial::test(format!("{name}::{label}"), move || check(&stored, build, question))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn check(stored: &Path, build: Build, question: &Question) -> Result<(), Failed> {
    let decision = build.decide(question);
    if std::env::var_os("BLESS").is_some() && matches!(build, Build::Native) {
        fs::write(stored, format!("{decision:#}\n"))?;
        return Ok(());
    }
    let expected: Value = serde_json::from_slice(&fs::read(stored).map_err(|error| {
        format!("{}: {error}; if the case is new, write it with BLESS=1 and read it", stored.display())
    })?)?;
    if decision == expected {
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(&format!("{expected:#}"), &format!("{decision:#}"))
        .unified_diff()
        .header("stored", "decided")
        .to_string();
    Err(difference.into())
}

/// An example delivery under a policy that has every form of body, a split and a drop in it.
fn example(name: &str) -> Question {
    let (delivery, secret) = Delivery::example(name);
    let policy = json!({
        "sources": [
            {"name": "whatsapp", "path": "/webhooks/whatsapp", "scheme": "any", "secrets": ["SOURCE_SECRET"]},
        ],
        "rules": [
            {"name": "lifecycle", "when": {"kind": "project"}, "to": ["backoffice"]},
            {"name": "images", "when": {"message_type": ["image", "video"]}, "to": ["media"]},
            {"name": "reactions", "when": {"message_type": "reaction"}, "drop": true},
            {"name": "inbound", "when": {"direction": "inbound"}, "to": ["bot", "crm"]},
            {"name": "receipts", "when": {"status": ["sent", "delivered", "read", "failed"]}, "to": ["crm"]},
        ],
        "otherwise": {"to": ["rest"]},
        "targets": {
            "bot": {"url": "http://127.0.0.1:3000/hook", "sign_with": "BOT_SECRET"},
            "crm": {"url": "http://127.0.0.1:3001/hook", "body": "one-per-event"},
            "media": {"url": "http://127.0.0.1:3002/hook"},
            "backoffice": {"url": "http://127.0.0.1:3003/hook", "body": "normalized", "sign_with": "BOT_SECRET"},
            "rest": {"url": "http://127.0.0.1:3004/hook"},
        },
    });
    Question {
        policy: policy.to_string(),
        secrets: vec![("SOURCE_SECRET".into(), secret), ("BOT_SECRET".into(), "bot_7d1f".into())],
        method: "POST".into(),
        path: "/webhooks/whatsapp".into(),
        headers: delivery.headers,
        body: delivery.body,
        now: NOW,
    }
}

/// A case: what it is about, the policy, the request, and how to sign it.
fn case(folder: &Path, name: &str) -> Question {
    let text = fs::read_to_string(folder.join(name).with_extension("json")).expect("a case can be read");
    let case: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let pairs = |value: &Value| {
        let pair = |pair: &Value| Some((text(&pair[0])?, text(&pair[1])?));
        value.as_array().into_iter().flatten().map(|found| pair(found).expect("two strings")).collect::<Vec<_>>()
    };
    let request = &case["request"];
    let body = match &request["body"] {
        Value::String(body) => body.clone(),
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let secrets = pairs(&case["secrets"]);
    let mut headers = pairs(&request["headers"]);
    for (header, secret) in pairs(&request["sign"]) {
        let value = &secrets.iter().find(|(name, _)| *name == secret).expect("a secret of the case").1;
        headers.push((header, hmac_sha256(value.as_bytes(), body.as_bytes())));
    }
    Question {
        policy: case["policy"].to_string(),
        secrets,
        method: text(&request["method"]).unwrap_or_else(|| "POST".into()),
        path: text(&request["path"]).unwrap_or_else(|| "/hook".into()),
        headers,
        body: body.into(),
        now: case["now"].as_u64().unwrap_or(NOW),
    }
}

/// The names of a folder's JSON files, in order.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
}
