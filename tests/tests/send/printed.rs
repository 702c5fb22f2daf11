//! What `--dry-run` prints is for the other commands, and the command says what is wrong with how it is asked.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use hookgate_tests::program;
use serde_json::Value;

fn hookgate(args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).env_clear().env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command.output().expect("the program runs")
}

fn printed(args: &[&str]) -> String {
    let output = hookgate(&[&["send", "--dry-run", "--secret", "K=whsec_1"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn verify_finds_the_forged_ones_among_what_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deliveries.jsonl");
    std::fs::write(&file, printed(&["-n", "300", "--seed", "7", "--forge", "0.3"])).expect("a file");
    let output = hookgate(&["verify", "--json", file.to_str().expect("text"), "--secret", "K=whsec_1"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rejected: Vec<_> = lines.iter().filter(|line| line["genuine"] == false).collect();
    assert_eq!(lines.len(), 300);
    assert!((60..120).contains(&rejected.len()), "{}", rejected.len());
    let reasons: BTreeSet<_> = rejected.iter().filter_map(|line| line["rejection"].as_str()).collect();
    for reason in ["missing-signature", "malformed-signature", "repeated-signature", "wrong-signature"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
}

#[test]
fn each_line_says_the_path_of_its_webhook() {
    let urls = ["http://h/numbers", "--project-url", "http://h/project", "--project-secret", "P=p", "-n", "200"];
    let text = printed(&urls);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let paths: BTreeSet<_> = lines.map(|line| line["path"].as_str().expect("a path").to_owned()).collect();
    assert_eq!(paths, ["/numbers", "/project"].map(str::to_owned).into());
}

#[test]
fn the_same_seed_prints_the_same() {
    let first = printed(&["--seed", "7", "--duplicate", "0.2"]);
    assert_eq!(first, printed(&["--seed", "7", "--duplicate", "0.2"]));
    assert_ne!(first, printed(&["--seed", "8", "--duplicate", "0.2"]));
    assert!(first.lines().count() > 100, "some twice");
}

#[test]
fn parse_reads_the_path_and_the_events_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deliveries.jsonl");
    let url = "http://127.0.0.1:1/webhooks/whatsapp";
    std::fs::write(&file, printed(&[url, "-n", "50", "--events", "whatsapp.conversation.*"])).expect("a file");
    let output = hookgate(&["parse", "--json", file.to_str().expect("text"), "--secret", "K=whsec_1"]);
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.lines().count(), 50);
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["genuine"], &line["source"]), (&true.into(), &"whatsapp".into()));
        assert!(line["event"].as_str().is_some_and(|event| event.starts_with("whatsapp.conversation.")), "{line}");
    }
}

#[test]
fn what_is_asked_wrongly_is_said_with_what_would_be_right() {
    let url = "http://127.0.0.1:1/hook";
    for (args, said) in [
        (&["send", "--secret", "K=1"][..], "<URL>"),
        (&["send", url], "KAPSO_WEBHOOK_SECRET"),
        (&["send", "127.0.0.1:1", "--secret", "K=1"], "http://HOST/PATH"),
        (&["send", url, "--secret", "K=1", "--mix", "recieved=1"], "did you mean \"received\""),
        (&["send", url, "--secret", "K=1", "--events", "message.recieved"], "whatsapp.message.received"),
        (&["send", url, "--secret", "K=1", "--ladder", "newest"], "documented, newer"),
        (&["send", url, "--secret", "K=1", "--forge", "1.5"], "from 0 to 1"),
        (&["send", url, "--secret", "K=1", "--speed", "0"], "above 0"),
    ] {
        let output = hookgate(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?} {errors}");
        assert!(errors.contains(said), "{args:?} {errors}");
    }
}

#[test]
fn nobody_listening_is_a_failure_that_ends() {
    let args =
        ["send", "http://127.0.0.1:1/hook", "--secret", "K=whsec_1", "-n", "3", "--ladder", "0,1", "--speed", "100"];
    let output = hookgate(&args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("given up") && text.contains("unreachable: "), "{text}");
    assert!(text.contains("curl -v"), "{text}");
    assert!(!text.contains("whsec_1"));
}

/// The deliveries come to more than twice the memory that there is: what is composed is gone once it is printed.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_count() {
    // In KB of address space: what the program takes to start, and a little.
    let line = "ulimit -v 85000; exec \"$0\" send --dry-run --secret K=1 --seed 1 -n 20000";
    let output = Command::new("sh").args(["-c", line]).arg(program()).env_clear().output().expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > 40_000_000, "{}", output.stdout.len());
}
