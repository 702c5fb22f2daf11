//! Where secrets come from, and that they go nowhere.

use std::fs;

use hookgate_tests::run;
use serde_json::{Value, json};

use super::{SECRET, hookgate, received};

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let text = received();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let file = file.path().to_str().unwrap();
    let both = [("KAPSO_WEBHOOK_SECRET", SECRET), ("KAPSO_WEBHOOK_SECRET_FILE", file)];
    for variables in [&both[..1], &both[1..]] {
        let ran = run(&["verify"], text.as_bytes(), variables);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("genuine by the secret KAPSO_WEBHOOK_SECRET"), "{}", ran.out);
    }
    let ran = run(&["verify"], text.as_bytes(), &both);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("both KAPSO_WEBHOOK_SECRET and KAPSO_WEBHOOK_SECRET_FILE"), "{}", ran.err);
    let ran = run(&["verify"], text.as_bytes(), &[("KAPSO_WEBHOOK_SECRET_FILE", "/there/is/none")]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("/there/is/none"), "{}", ran.err);
}

#[test]
fn a_missing_secret_says_what_to_do() {
    for verb in ["verify", "decide"] {
        let ran = hookgate(&[verb], received().as_bytes());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("no value for KAPSO_WEBHOOK_SECRET: set"), "{}", ran.err);
    }
}

#[test]
fn parse_and_route_need_no_secret() {
    for verb in ["parse", "route"] {
        let ran = hookgate(&[verb, "--json"], received().as_bytes());
        let line = &ran.lines()[0];
        assert_eq!((ran.status, &line["genuine"], &line["kind"]), (0, &Value::Null, &json!("whatsapp")), "{}", ran.err);
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let secret = format!("K={SECRET}");
    assert!(received().contains("Hola"), "or it is not forged");
    let mut forged: Value = serde_json::from_str(&received().replace("Hola", "Adios")).unwrap();
    forged.as_object_mut().unwrap().remove("secret");
    let forged = forged.to_string();
    for arguments in [
        &["verify", "--secret", &secret][..],
        &["decide", "--json", "--secret", &secret],
        &["check", "--secret", &secret],
        &["sign", "--secret", &secret],
        &["verify", "--secret", &secret, "--source", "none"],
        &["verify", "--secret", SECRET],
    ] {
        let ran = hookgate(arguments, forged.as_bytes());
        assert!(!ran.out.is_empty() || !ran.err.is_empty(), "{arguments:?} says nothing");
        assert!(!ran.out.contains(SECRET), "{arguments:?}: {}", ran.out);
        assert!(!ran.err.contains(SECRET), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_password_in_what_is_refused_is_not_repeated() {
    let url = ("KAPSO_API_URL", "https://ana:hunter2@kapso.example");
    let key = ("KAPSO_API_KEY", "k3y");
    for (args, variables, expected) in [
        (&["serve"][..], &[("HOOKGATE_STORE", "valkey://:hunter2@cache")][..], "redis://HOST"),
        (&["verify", "--secret", "hunter2"], &[], "NAME=VALUE"),
        (&["sign", "--secret", "=hunter2"], &[], "NAME=VALUE"),
        (&["sign", "--secret", "hunter2"], &[], "NAME=VALUE"),
        (&["send", "http://127.0.0.1:1/", "--secret", "hunter2"], &[], "NAME=VALUE"),
        (&["replay", "http://127.0.0.1:1/", "--secret", "hunter2"], &[], "NAME=VALUE"),
        (&["webhooks", "create", "--header", "Authorization: Bearer hunter2"], &[], "NAME=VALUE"),
        (&["webhooks", "list"], &[url, key], "user information"),
        (&["webhooks", "create", "--url", url.1], &[key], "user information"),
    ] {
        let ran = run(args, b"", variables);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.status == 2 && said.contains(expected) && !said.contains("hunter2"), "{args:?}: {said}");
    }
    assert!(!run(&["webhooks", "list", "--help"], b"", &[url]).out.contains("hunter2"));
}
