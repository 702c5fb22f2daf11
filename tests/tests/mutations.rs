//! Nothing but the body as it was signed, under a signature of one of the accepted forms, is taken for genuine.

use hookgate::Sha256;
use hookgate_tests::Delivery;
use hookgate_tests::builds::{Build, Question};
use serde_json::{Value, json};

const EVERY_SECRET: [&str; 3] = [
    "whsec_9f2c6d0b7a4e41d3a1b5",
    "7d1f0a6be24c93580e6b7a12fd4439c8a05e61b3927c4d8f13ab60e75c29d84f",
    "0123456789abcdef0123456789abcdef",
];

/// Asks every build, which must agree, and says why the delivery was rejected, if it was.
fn rejection(delivery: &Delivery, secret: &str) -> Option<String> {
    let policy = json!({
        "sources": [{"name": "any", "path": "/hook", "scheme": "any", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["target"]},
        "targets": {"target": {"url": "http://127.0.0.1:1/"}},
    });
    let question = Question {
        policy: policy.to_string(),
        secrets: vec![("SECRET".into(), secret.into())],
        method: "POST".into(),
        path: "/hook".into(),
        headers: delivery.headers.clone(),
        body: delivery.body.clone(),
        now: 1_789_396_000,
    };
    let [native, others @ ..] =
        [Build::Native, Build::Pieces(61), Build::Component(Sha256::Plugin), Build::Component(Sha256::Host)]
            .map(|build| build.decide(&question));
    for other in others {
        assert_eq!(native, other);
    }
    let refusal = native.get("Respond");
    assert_eq!(refusal.is_none(), native.get("Deliver").is_some());
    refusal.map(|refusal| {
        assert_eq!(refusal["response"]["status"], 401);
        assert_eq!(refusal["response"]["body"], "unauthorized\n");
        refusal["rejection"].as_str().expect("a reason").to_owned()
    })
}

/// The delivery with its signature's value changed.
fn resigned(delivery: &Delivery, change: impl Fn(&str) -> String) -> Delivery {
    let mut delivery = delivery.clone();
    let signature = delivery.headers.iter_mut().find(|(name, _)| name.to_ascii_lowercase().contains("signature"));
    let (_, value) = signature.expect("an example is signed");
    *value = change(value);
    delivery
}

#[test]
fn every_accepted_form_of_a_signature_is_accepted() {
    for (name, delivery, secret) in Delivery::examples() {
        let bare = |value: &str| value.trim_start_matches("sha256=").to_owned();
        let forms: [&dyn Fn(&str) -> String; 5] = [
            &|value| value.to_owned(),
            &|value| bare(value).to_uppercase(),
            &|value| format!("sha256={}", bare(value)),
            &|value| format!("SHA256={}", bare(value)),
            &|value| format!(" \t{value} "),
        ];
        for form in forms {
            assert_eq!(rejection(&resigned(&delivery, form), &secret), None, "{name}");
        }
    }
}

#[test]
fn a_signature_of_another_form_is_refused() {
    for (name, delivery, secret) in Delivery::examples() {
        let forms: [&dyn Fn(&str) -> String; 6] = [
            &|_| String::new(),
            &|value| value[..value.len() - 1].to_owned(),
            &|value| format!("{value}0"),
            &|value| format!("{value}, {value}"),
            &|value| format!("sha1={value}"),
            &|value| value.replace(|digit: char| digit.is_ascii_digit(), "g"),
        ];
        for form in forms {
            let delivery = resigned(&delivery, form);
            assert_eq!(rejection(&delivery, &secret).as_deref(), Some("MalformedSignature"), "{name}");
        }
    }
}

#[test]
fn one_changed_byte_of_the_body_is_refused() {
    for (name, delivery, secret) in Delivery::examples() {
        for at in [0, delivery.body.len() / 2, delivery.body.len() - 1] {
            let mut forged = delivery.clone();
            forged.body[at] ^= 1;
            assert_eq!(rejection(&forged, &secret).as_deref(), Some("WrongSignature"), "{name} at {at}");
        }
        let mut cut = delivery.clone();
        cut.body.pop();
        assert_eq!(rejection(&cut, &secret).as_deref(), Some("WrongSignature"), "{name} cut");
        let mut trailing = delivery.clone();
        trailing.body.push(b'\n');
        assert_eq!(rejection(&trailing, &secret).as_deref(), Some("WrongSignature"), "{name} with a trailing byte");
    }
}

#[test]
fn a_missing_or_repeated_signature_is_refused() {
    for (name, delivery, secret) in Delivery::examples() {
        let is_signature = |header: &str| header.to_ascii_lowercase().contains("signature");
        let mut missing = delivery.clone();
        missing.headers.retain(|(header, _)| !is_signature(header));
        assert_eq!(rejection(&missing, &secret).as_deref(), Some("MissingSignature"), "{name}");
        let mut repeated = delivery.clone();
        let again = repeated.headers.iter().find(|(header, _)| is_signature(header)).cloned();
        repeated.headers.extend(again);
        assert_eq!(rejection(&repeated, &secret).as_deref(), Some("RepeatedSignature"), "{name}");
    }
}

#[test]
fn no_other_secret_opens_it() {
    for (name, delivery, secret) in Delivery::examples() {
        for other in EVERY_SECRET.into_iter().filter(|other| *other != secret) {
            assert_eq!(rejection(&delivery, other).as_deref(), Some("WrongSignature"), "{name}");
        }
    }
}

/// The signatures of the examples, as Python's own `hmac` makes them: another implementation of the same.
#[test]
fn another_implementation_signs_alike() {
    let script = "import hmac, json, sys\nfor line in sys.stdin:\n    d = json.loads(line)\n    print(hmac.new(d['secret'].encode(), d['body'].encode(), 'sha256').hexdigest())\n";
    let examples = Delivery::examples();
    let lines: Vec<String> = examples
        .iter()
        .map(|(_, delivery, secret)| {
            json!({"secret": secret, "body": String::from_utf8_lossy(&delivery.body)}).to_string() + "\n"
        })
        .collect();
    let mut python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 has to be installed");
    let mut stdin = python.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, lines.concat().as_bytes()));
    let output = python.wait_with_output().expect("python3 runs");
    writer.join().expect("written").expect("written");
    let signatures = String::from_utf8(output.stdout).expect("text");
    assert_eq!(signatures.lines().count(), examples.len());
    for ((name, delivery, secret), signature) in examples.iter().zip(signatures.lines()) {
        let unsigned = Delivery { headers: Vec::new(), body: delivery.body.clone() };
        let signed = unsigned.with("X-Webhook-Signature", signature);
        assert_eq!(rejection(&signed, secret), None, "{name}");
    }
}

/// What a target reads of a body with duplicate keys is what the rules were asked about.
#[test]
fn of_duplicate_keys_python_takes_the_same_one() {
    let body = r#"{"phone_number_id":"1","phone_number_id":"2","message":{"id":"a"},"message":{"id":"b"}}"#;
    let script = format!("import json; d = json.loads({body:?}); print(d['phone_number_id'], d['message']['id'])");
    let output =
        std::process::Command::new("python3").args(["-c", &script]).output().expect("python3 has to be installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "2 b");
    let delivery = Delivery::new("whatsapp.message.received", body).signed("s");
    let question = Question {
        policy: json!({"sources": [{"name": "hook", "path": "/hook", "secrets": ["S"]}]}).to_string(),
        secrets: vec![("S".into(), "s".into())],
        method: "POST".into(),
        path: "/hook".into(),
        headers: delivery.headers,
        body: delivery.body,
        now: 0,
    };
    for build in [Build::Native, Build::Component(Sha256::Plugin), Build::Component(Sha256::Host)] {
        let event: Value = build.decide(&question)["Deliver"]["delivery"]["events"][0].clone();
        assert_eq!((&event["phone_number_id"], &event["message_id"]), (&json!("2"), &json!("b")), "{build:?}");
    }
}
