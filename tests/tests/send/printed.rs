//! What `--dry-run` prints is for the other commands, and the command says what is wrong with how it is asked.

use std::collections::BTreeSet;
use std::process::Command;

use hookgate_tests::{Ran, program, run};
use serde_json::Value;

fn hookgate(args: &[&str]) -> Ran {
    run(args, b"", &[])
}

fn printed(args: &[&str]) -> String {
    let ran = hookgate(&[&["send", "--dry-run", "--secret", "K=whsec_1"], args].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out
}

#[test]
fn verify_finds_the_forged_ones_among_what_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deliveries.jsonl");
    std::fs::write(&file, printed(&["-n", "300", "--seed", "7", "--forge", "0.3"])).expect("a file");
    let ran = hookgate(&["verify", "--json", file.to_str().expect("text"), "--secret", "K=whsec_1"]);
    assert_eq!(ran.status, 1);
    let lines = ran.lines();
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
    let ran = hookgate(&["parse", "--json", file.to_str().expect("text"), "--secret", "K=whsec_1"]);
    assert_eq!(ran.status, 0);
    let lines = ran.lines();
    assert_eq!(lines.len(), 50);
    for line in lines {
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
        let ran = hookgate(args);
        assert_eq!(ran.status, 2, "{args:?} {}", ran.err);
        assert!(ran.err.contains(said), "{args:?} {}", ran.err);
    }
}

#[test]
fn nobody_listening_is_a_failure_that_ends() {
    let args =
        ["send", "http://127.0.0.1:1/hook", "--secret", "K=whsec_1", "-n", "3", "--ladder", "0,1", "--speed", "100"];
    let ran = hookgate(&args);
    assert_eq!(ran.status, 1, "{}", ran.out);
    for said in ["given up", "unreachable: ", "curl -v"] {
        assert!(ran.out.contains(said), "{}", ran.out);
    }
    assert!(!ran.out.contains("whsec_1"));
}

/// What is composed is gone once it is printed: twenty times as many take little more, which would not hold what is printed.
#[test]
fn memory_does_not_grow_with_the_count() {
    // In KB of address space.
    let print_within = |kilobytes: u32, count: u32| {
        let line = format!("ulimit -v {kilobytes}; exec \"$0\" send --dry-run --secret K=1 --seed 1 -n {count}");
        Command::new("sh").args(["-c", &line]).arg(program()).env_clear().output().expect("a shell")
    };
    let mut limits = (40_000..1_000_000).step_by(5_000);
    let few = limits.find(|limit| print_within(*limit, 1_000).status.success()).expect("a few can be printed");
    let output = print_within(few + 15_000, 20_000);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > 40_000_000, "{}", output.stdout.len());
}
