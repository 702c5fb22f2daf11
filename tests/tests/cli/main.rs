//! The command line, run as people run it: on every example delivery, on what was done to them, and with what people get
//! wrong.

mod policy;
mod secrets;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookgate_tests::{Ran, cache, hmac_sha256, program, run};
use serde_json::{Value, json};

const SECRET: &str = "whsec_9f2c6d0b7a4e41d3a1b5";

fn hookgate(arguments: &[&str], input: &[u8]) -> Ran {
    run(arguments, input, &[])
}

/// The example deliveries with their files.
fn examples() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deliveries");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(files.len() > 50, "the examples are there");
    files
        .into_iter()
        .map(|file| {
            let example = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            (file, example)
        })
        .collect()
}

/// `--secret` for every secret of the examples, under the names S0, S1, ….
fn secrets() -> Vec<String> {
    let values: BTreeSet<_> =
        examples().iter().map(|(_, example)| example["secret"].as_str().unwrap().to_owned()).collect();
    (0..).zip(values).flat_map(|(number, value)| ["--secret".to_owned(), format!("S{number}={value}")]).collect()
}

fn explain(verb: &str, secrets: &[String], more: &[&str], input: &[u8]) -> Ran {
    let mut arguments = vec![verb, "--json"];
    arguments.extend(secrets.iter().map(String::as_str));
    arguments.extend(more);
    hookgate(&arguments, input)
}

fn received() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deliveries/received-text.json")).unwrap()
}

// -------------------------------------------------------------------------------------------------- the examples

#[test]
fn every_example_is_genuine_and_says_what_it_should() {
    let examples = examples();
    let files: Vec<_> = examples.iter().map(|(file, _)| file.to_str().unwrap()).collect();
    for verb in ["parse", "route", "decide"] {
        let ran = explain(verb, &secrets(), &files, b"");
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{verb}");
        let lines = ran.lines();
        assert_eq!(lines.len(), examples.len(), "{verb}");
        for ((file, example), line) in examples.iter().zip(&lines) {
            let expect = &example["expect"];
            assert_eq!(line["delivery"], file.to_str().unwrap());
            assert_eq!(line["genuine"], true, "{verb} {line}");
            assert_eq!(line["source"], "whatsapp", "{verb} {line}");
            assert_eq!(line["rejection"], Value::Null, "{verb} {line}");
            for field in ["event", "kind", "batch"] {
                assert_eq!(line[field], expect[field], "{verb} {field} {line}");
            }
            assert_eq!(line["events"].as_array().unwrap().len() as u64, expect["count"], "{verb} {line}");
        }
    }
}

#[test]
fn verify_names_the_secret_that_matched() {
    for (file, example) in examples() {
        let ran = hookgate(
            &[
                "verify",
                "--json",
                file.to_str().unwrap(),
                "--secret",
                "OTHER=x",
                "--secret",
                &format!("RIGHT={}", example["secret"].as_str().unwrap()),
            ],
            b"",
        );
        assert_eq!(ran.status, 0, "{}", ran.out);
        let line = &ran.lines()[0];
        assert_eq!((&line["genuine"], &line["secret"]), (&json!(true), &json!("RIGHT")));
    }
}

#[test]
fn whatever_is_done_to_an_example_is_seen() {
    let mut changed = Vec::new();
    for (_, example) in examples() {
        let body = example["body"].as_str().unwrap();
        let header = |name: &str| example["headers"].get(name).is_some();
        let signature = ["X-Webhook-Signature", "X-Hub-Signature-256"].into_iter().find(|name| header(name)).unwrap();
        let signed = example["headers"][signature].as_str().unwrap();
        let mut change = |expected: &str, headers: Value, body: &str| {
            let mut all = example["headers"].as_object().unwrap().clone();
            all.retain(|name, _| !["X-Webhook-Signature", "X-Hub-Signature-256"].contains(&name.as_str()));
            all.extend(headers.as_object().unwrap().clone());
            changed.push((expected.to_owned(), json!({"headers": all, "body": body}).to_string()));
        };
        change("wrong-signature", json!({signature: signed}), &format!("{body} "));
        change("wrong-signature", json!({signature: signed}), &body.replacen('"', "'", 1));
        change("wrong-signature", json!({signature: hmac_sha256(b"another", body.as_bytes())}), body);
        change("wrong-signature", json!({signature: hmac_sha256(b"", body.as_bytes())}), body);
        change("malformed-signature", json!({signature: signed[..signed.len() - 2]}), body);
        change("malformed-signature", json!({signature: ""}), body);
        change("repeated-signature", json!({signature: [signed, signed]}), body);
        change("missing-signature", json!({}), body);
    }
    let (expected, input): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
    for verb in ["verify", "decide"] {
        let ran = explain(verb, &secrets(), &[], input.join("\n").as_bytes());
        assert_eq!((ran.status, ran.err.as_str()), (1, ""), "{verb}");
        let lines = ran.lines();
        assert_eq!(lines.len(), expected.len());
        for ((line, expected), input) in lines.iter().zip(&expected).zip(&input) {
            assert_eq!((&line["genuine"], &line["rejection"]), (&json!(false), &json!(expected)), "{verb} {input}");
            assert_eq!(line.get("events"), None, "nothing is read of what is forged");
        }
    }
}

#[test]
fn who_stops_reading_is_still_told_of_a_forgery_by_the_exit_status() {
    let genuine: Value = serde_json::from_str(&received()).unwrap();
    let mut forged = genuine.clone();
    forged["body"] = "{}".into();
    for (last, status) in [(&genuine, 0), (&forged, 1)] {
        for arguments in [&["verify"][..], &["verify", "--json"]] {
            let mut child = Command::new(program())
                .args(arguments)
                .args(["--secret", &format!("K={SECRET}")])
                .env_clear()
                .env("XDG_CACHE_HOME", cache())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            child.stdin.take().unwrap().write_all(format!("{genuine}\n{last}").as_bytes()).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(status), "{arguments:?}");
        }
    }
}

// ------------------------------------------------------------------------------------------------------ the input

#[test]
fn a_delivery_comes_in_many_forms() {
    let text = received();
    let example: Value = serde_json::from_str(&text).unwrap();
    let body = example["body"].as_str().unwrap();
    let headers = example["headers"].as_object().unwrap().iter();
    let head: String = headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
    let line = example.to_string();
    let forms = [
        (text.clone(), 1),
        (format!("\u{feff}{text}"), 1),
        (format!("{line}\n{line}\n"), 2),
        (format!("[{line}, {line}, {line}]"), 3),
        (format!("POST /webhooks/whatsapp?x=1 HTTP/1.1\r\n{head}\r\n{body}"), 1),
        (format!("POST /webhooks/whatsapp HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}\n\n", body.len()), 1),
    ];
    for (input, count) in forms {
        let ran = hookgate(&["verify", "--json", "--secret", &format!("K={SECRET}")], input.as_bytes());
        let genuine = ran.lines().iter().filter(|line| line["genuine"] == true).count();
        assert_eq!((ran.status, genuine), (0, count), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn what_is_no_delivery_says_what_would_be() {
    for input in ["", "{}", r#"{"message": {}}"#, "[1]", "hello", r#"{"headers": {}, "body": "#] {
        let ran = hookgate(&["parse"], input.as_bytes());
        assert_eq!(ran.status, 2, "{input:?}");
        assert!(ran.err.contains(r#"expected {"headers""#), "{input:?}: {}", ran.err);
    }
    let ran = hookgate(&["parse", "there-is-none.json"], b"");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("there-is-none.json"), "{}", ran.err);
}

#[test]
fn a_file_with_no_delivery_keeps_no_other_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(file("1.jsonl"), "").unwrap();
    fs::write(file("2.jsonl"), received()).unwrap();
    fs::write(file("3.jsonl"), r#"{"headers": {"X-Webh"#).unwrap();
    let ran = hookgate(&["parse", "--json", folder.path().to_str().unwrap()], b"");
    assert_eq!((ran.status, ran.lines().len()), (0, 1), "{}", ran.err);
    assert!(ran.err.contains("3.jsonl: the last delivery is cut off"), "{}", ran.err);
    let ran = hookgate(&["parse", &file("1.jsonl"), &file("3.jsonl")], b"");
    assert!(ran.status == 2 && ran.err.contains("1.jsonl, "), "{}", ran.err);
    assert!(ran.err.contains(r#"3.jsonl: expected {"headers""#), "{}", ran.err);
}

#[test]
fn a_malformed_delivery_is_named_and_the_others_are_judged() {
    let good = received();
    for input in [format!("[{good}, {{}}, {good}]"), format!("{good}\n{{\"headers\": 1}}\n{good}")] {
        let ran = hookgate(&["verify", "--json", "--secret", &format!("K={SECRET}")], input.as_bytes());
        let found: Vec<_> = ran.lines().iter().map(|line| line["delivery"].clone()).collect();
        assert_eq!(
            (ran.status, found),
            (2, vec![json!("standard input[1]"), json!("standard input[3]")]),
            "{}",
            ran.err
        );
        assert!(ran.err.contains(r#"standard input[2]: expected {"headers""#), "{}", ran.err);
        for more in [&[][..], &["--dry-run"]] {
            let ran = hookgate(&[&["replay", "http://127.0.0.1:1/hook"][..], more].concat(), input.as_bytes());
            assert!(ran.status == 2 && ran.err.contains("standard input[2]: expected"), "{}", ran.err);
            assert!(ran.out.contains("3 read, 2 chosen, 2 "), "{}", ran.out);
        }
    }
}

#[test]
fn a_delivery_that_is_no_request_keeps_no_other_from_being_sent() {
    let good = received();
    for wrong in [r#""headers": {"a b": "c"}"#, r#""headers": {"a": "\n"}"#, r#""method": " ", "headers": {}"#] {
        let input = format!("[{good}, {{{wrong}, \"body\": \"\"}}, {good}]");
        let ran = hookgate(&["replay", "http://127.0.0.1:1/hook"], input.as_bytes());
        assert!(ran.status == 2 && ran.err.contains("standard input[2] cannot be sent"), "{wrong}: {}", ran.err);
        assert!(ran.out.contains("3 read, 3 chosen, 2 sent"), "{wrong}: {}", ran.out);
    }
}

/// As Kubernetes mounts a ConfigMap.
#[test]
fn links_in_a_folder_are_followed_and_what_is_hidden_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("..1/more")).unwrap();
    fs::write(at("..1/a.json"), received()).unwrap();
    fs::write(at("..1/more/b.json"), received()).unwrap();
    for (leads_to, link) in [("..1", "..data"), ("..data/a.json", "a.json"), ("..data/more", "more"), ("nowhere", ".c")]
    {
        symlink(leads_to, at(link)).unwrap();
    }
    let files = folder.path().to_str().unwrap();
    let ran = hookgate(&["parse", "--json", files], b"");
    let found: Vec<_> = ran.lines().iter().map(|line| line["delivery"].clone()).collect();
    assert_eq!((ran.status, found), (0, vec![json!(format!("{files}/a.json")), json!(format!("{files}/more/b.json"))]));
    symlink("nowhere", at("d.json")).unwrap();
    let ran = hookgate(&["parse", files], b"");
    assert!(ran.status == 2 && ran.err.contains("d.json"), "{}", ran.err);
}

#[test]
fn a_file_that_a_link_beside_it_leads_to_is_read_once_in_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["1.json", "2.json"] {
        fs::write(at(name), received()).unwrap();
    }
    for (leads_to, link) in [("2.json", "0-latest.json"), (".", "3"), ("1.json", "4.json")] {
        symlink(leads_to, at(link)).unwrap();
    }
    let files = folder.path().to_str().unwrap();
    let ran = hookgate(&["parse", "--json", files], b"");
    let found: Vec<_> = ran.lines().iter().map(|line| line["delivery"].clone()).collect();
    assert_eq!((ran.status, found), (0, vec![json!(format!("{files}/1.json")), json!(format!("{files}/2.json"))]));
}

#[test]
fn a_body_that_cannot_be_read_is_said() {
    let input = json!({"headers": {}, "body": "{\"a\": "}).to_string();
    let ran = hookgate(&["parse", "--json"], input.as_bytes());
    let line = &ran.lines()[0];
    assert_eq!((ran.status, &line["unreadable"]["reason"]), (1, &json!("not-json")), "{line}");
    assert_eq!(line["genuine"], Value::Null);
}

#[test]
fn json_steers_no_terminal_and_says_the_same() {
    let text = "a\u{9b}2Jb\u{7f}c";
    let mut delivery: Value = serde_json::from_str(&received()).unwrap();
    let mut body: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
    body["message"]["text"]["body"] = text.into();
    delivery["body"] = body.to_string().into();
    let ran = hookgate(&["parse", "--json"], delivery.to_string().as_bytes());
    assert!(!ran.out.trim_end().contains(char::is_control), "{:?}", ran.out);
    assert_eq!(ran.lines()[0]["events"][0]["text"], text);
}

#[test]
fn a_delivery_that_the_component_fails_on_is_named_and_the_others_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let big = [&b"POST /webhooks/whatsapp HTTP/1.1\r\n\r\n"[..], &vec![b' '; 65 << 20]].concat();
    fs::write(folder.path().join("1.http"), big).unwrap();
    fs::write(folder.path().join("2.json"), received()).unwrap();
    let files = folder.path().to_str().unwrap();
    for verb in ["verify", "decide"] {
        let ran = hookgate(&[verb, "--json", "--secret", &format!("K={SECRET}"), files], b"");
        let genuine: Vec<_> = ran.lines().iter().map(|line| line["genuine"].clone()).collect();
        assert_eq!((ran.status, genuine), (1, vec![json!(true)]), "{verb}: {}", ran.err);
        assert!(ran.err.contains("1.http: the plugin ran out of memory"), "{verb}: {}", ran.err);
    }
    let conditions = ["--when", r#"{"kind": "whatsapp"}"#];
    for (more, sent) in [(&["--dry-run"][..], "would be sent"), (&[], "sent")] {
        let arguments = [&["replay", "http://127.0.0.1:1/hook", files][..], &conditions, more].concat();
        let ran = hookgate(&arguments, b"");
        assert!(ran.status == 1 && ran.err.contains("1.http[1]: the plugin ran out of memory"), "{}", ran.err);
        assert!(ran.out.contains(&format!("2 read, 1 chosen, 1 {sent}")), "{}", ran.out);
        assert!(ran.out.contains("1 could not be sent"), "{}", ran.out);
    }
}

// -------------------------------------------------------------------------------------------------------- the rest

#[test]
fn what_is_signed_is_genuine() {
    let body = "{\"message\": {\"id\": \"it's ü\"}}\n";
    let signature = hmac_sha256(b"s", body.as_bytes());
    for scheme in ["kapso", "meta"] {
        let ran = hookgate(&["sign", "--secret", "K=s", "--scheme", scheme, "--json"], body.as_bytes());
        let signed = &ran.lines()[0];
        assert_eq!(signed["signature"], signature, "{scheme}");
        let delivery = json!({"headers": {signed["header"].as_str().unwrap(): signed["value"]}, "body": body});
        assert_eq!(hookgate(&["verify", "--secret", "K=s"], delivery.to_string().as_bytes()).status, 0, "{scheme}");
    }

    let meta = hookgate(&["sign", "--secret", "K=s", "--scheme", "meta"], body.as_bytes());
    assert!(meta.out.contains(&format!("X-Hub-Signature-256: sha256={signature}")), "{}", meta.out);
}

/// A shell takes the printed line apart into the words that curl gets.
#[test]
fn the_curl_line_survives_a_shell() {
    let body = "{\"text\": \"it's $HOME `x` \\\\ ! ü\"}";
    // What holds line ends, or is longer than an argument may be, comes by standard input.
    for (body, piped) in [
        (body.to_owned(), false),
        (format!("{body}\n"), true),
        (format!("{body}\r\n\t\\n\u{7f}"), true),
        (body.to_owned() + &" ".repeat(128 * 1024 - 1 - body.len()), false),
        (body.to_owned() + &" ".repeat(128 * 1024 - body.len()), true),
    ] {
        let ran = hookgate(&["sign", "--secret", "K=s", "--url", "http://127.0.0.1:1/a?b&c"], body.as_bytes());
        let lines: Vec<_> = ran.out.lines().collect();
        let [signature, curl] = lines[..] else { panic!("two lines, not {lines:?}") };
        assert_eq!(signature, hmac_sha256(b"s", body.as_bytes()));
        let input = if piped { "cat" } else { ":" };
        let echo = format!("curl() {{ printf '%s\\0' \"$@\"; {input}; }}; {curl}");
        let mut shell = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(echo.as_bytes()).unwrap();
        let words = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
        let words: Vec<_> = words.split_terminator('\0').collect();
        assert_eq!(words.last(), Some(&body.as_str()));
        assert!(words.contains(&"http://127.0.0.1:1/a?b&c"), "{words:?}");
        assert!(words.contains(&format!("X-Webhook-Signature: {signature}").as_str()), "{words:?}");
    }
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["verify", "--secret", "K"][..],
        &["verify", "--now", "x"],
        &["nonsense"],
        &["verify", "--path", "/", "--source", "a"],
    ] {
        assert_eq!(hookgate(arguments, b"").status, 2, "{arguments:?}");
    }
}

#[test]
fn so_many_workers_as_nobody_can_start_are_refused() {
    for count in ["0", "1025"] {
        let ran = hookgate(&["serve", "--workers", count, "--policy", "nowhere.json"], b"");
        assert!(ran.status == 2 && ran.err.contains("1..=1024"), "{count}: {}", ran.err);
    }
}

#[test]
fn what_keeps_a_file_from_being_read_is_said_once() {
    for (arguments, variables) in [
        (&["serve", "--plugin", "nowhere.wasm"][..], &[][..]),
        (&["serve", "--policy", "nowhere.json"], &[]),
        (&["check", "--policy", "nowhere.json"], &[]),
        (&["serve"], &[("KAPSO_WEBHOOK_SECRET_FILE", "nowhere")]),
    ] {
        let ran = run(arguments, b"", variables);
        assert_eq!((ran.status, ran.err.matches("No such file").count()), (2, 1), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn help_and_completions_are_there() {
    for verb in [
        "serve",
        "listen",
        "verify",
        "parse",
        "route",
        "decide",
        "replay",
        "send",
        "sign",
        "check",
        "webhooks",
        "deliveries",
        "setup-links",
        "schema",
        "completions",
    ] {
        let ran = hookgate(&[verb, "--help"], b"");
        assert_eq!(ran.status, 0);
        assert!(ran.out.contains("Usage: hookgate"), "{}", ran.out);
    }
    for shell in ["bash", "zsh", "fish"] {
        let ran = hookgate(&["completions", shell], b"");
        assert!(ran.status == 0 && ran.out.contains("hookgate"), "{shell}: {}", ran.err);
    }
}

#[test]
fn the_schema_is_printed() {
    let schema: Value = serde_json::from_str(&hookgate(&["schema"], b"").out).unwrap();
    assert!(schema["properties"]["sources"].is_object());
}
