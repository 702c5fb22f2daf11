//! The embedding library with the real component: what an application sees of it.

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hookgate::policy::{Document, ReadError};
use hookgate::types::{
    Admission, Attempt, BodyOut, Decision, Deliver, Head, Header, Outcome, Rejection, Request, Verdict,
};
use hookgate::{Cache, CompileError, Gate, Instances, LoadError, Options, Plugin, Secrets, SharedGate, sign};
use hookgate_tests::Delivery;

const SECRET: &str = "whsec_9f2c6d0b7a4e41d3a1b5";
const NOW: u64 = 1_789_395_902;

fn options() -> Options {
    let cache = Cache::Directory(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    Options { cache, ..Options::default() }
}

fn policies(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(file)
}

fn split(options: &Options) -> Gate {
    let document = Document::read(policies("split.toml")).unwrap();
    let secrets = Secrets::from([("KAPSO_WEBHOOK_SECRET", SECRET), ("ARCHIVE_SECRET", "s"), ("UNUSED", "x")]);
    Plugin::new(options).unwrap().compile(document.json(), &secrets).unwrap()
}

fn lend<R>(delivery: &Delivery, call: impl FnOnce(&Request<'_>) -> R) -> R {
    let headers: Vec<_> =
        delivery.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let head = Head { method: "POST", path: "/webhooks/whatsapp", headers: &headers };
    call(&Request { head, body: &delivery.body })
}

fn deliver(gate: &Gate, delivery: &Delivery) -> Deliver {
    match lend(delivery, |request| gate.decide(request, NOW)).unwrap() {
        Decision::Deliver(deliver) => deliver,
        other => panic!("{other:?}"),
    }
}

fn batch() -> Delivery {
    Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "image"), ("wamid.3", "reaction"), ("wamid.4", "image")], SECRET)
}

#[test]
fn the_verbs_agree_with_each_other() {
    let gate = split(&options());
    let delivery = batch();
    let decided = deliver(&gate, &delivery);
    lend(&delivery, |request| {
        assert_eq!(gate.admit(&request.head).unwrap(), Admission::Read(gate.settings().body_bytes));
        assert_eq!(gate.verify(request, NOW).unwrap(), Ok(decided.proof.clone()));
        let parsed = gate.parse(request.head.headers, request.body).unwrap().unwrap();
        assert_eq!(parsed.delivery, decided.delivery);
        assert_eq!(parsed.details.len(), parsed.delivery.events.len());
        for (event, route) in parsed.delivery.events.iter().zip(&decided.routes) {
            assert_eq!(gate.route(event, Some("whatsapp")).unwrap(), *route);
            let item: serde_json::Value = serde_json::from_slice(event.span.of(request.body)).unwrap();
            assert_eq!(item["message"]["id"].as_str(), event.message_id.as_deref());
        }
    });
}

#[test]
fn what_is_left_of_a_dispatch_is_narrowed() {
    let gate = split(&options());
    let delivery = batch();
    let decided = deliver(&gate, &delivery);
    let archive = decided.dispatches.iter().find(|dispatch| dispatch.target == "archive").unwrap();
    assert_eq!(archive.events, [1, 3]);
    lend(&delivery, |request| {
        assert_eq!(gate.narrow(request, "archive", &[1, 3]).unwrap(), archive.messages);
        let rest = gate.narrow(request, "archive", &[3]).unwrap();
        let [message] = rest.as_slice() else { panic!("{rest:?}") };
        let BodyOut::Rewritten(body) = &message.body else { panic!("{message:?}") };
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["data"].as_array().unwrap().len(), 1);
        assert_eq!(body["data"][0]["message"]["id"], "wamid.4");
        assert!(gate.narrow(request, "archive", &[]).unwrap().is_empty());
    });
}

#[test]
fn attempts_are_settled() {
    let gate = split(&options());
    let settle = |outcomes: &[Outcome]| {
        let attempts: Vec<_> = outcomes.iter().map(|outcome| Attempt { target: "bot", outcome: *outcome }).collect();
        let settled = gate.settle(&attempts).unwrap();
        (settled.response.status, settled.verdicts)
    };
    assert_eq!(settle(&[]), (200, vec![]));
    assert_eq!(settle(&[Outcome::Answered(204)]), (200, vec![Verdict::Delivered]));
    assert_eq!(settle(&[Outcome::Duplicate]), (200, vec![Verdict::Untouched]));
    assert_eq!(
        settle(&[Outcome::Answered(500), Outcome::Answered(200)]),
        (502, vec![Verdict::Failed, Verdict::Delivered])
    );
    assert_eq!(settle(&[Outcome::TimedOut]).0, 504);
    assert_eq!(settle(&[Outcome::InFlight]).0, 503);
}

#[test]
fn the_forged_is_refused_by_name() {
    let gate = split(&options());
    let forged = batch().with("X-Webhook-Signature", &sign(SECRET, b"{}"));
    let rejection = |delivery: &Delivery| lend(delivery, |request| gate.verify(request, NOW)).unwrap().unwrap_err();
    assert_eq!(rejection(&forged), Rejection::RepeatedSignature);
    assert_eq!(rejection(&batch().signed("another")), Rejection::WrongSignature);
    assert_eq!(rejection(&batch().without("X-Webhook-Signature")), Rejection::MissingSignature);
    let Decision::Respond(refusal) = lend(&batch().signed("another"), |request| gate.decide(request, NOW)).unwrap()
    else {
        panic!("delivered")
    };
    assert_eq!((refusal.response.status, refusal.rejection), (401, Some(Rejection::WrongSignature)));
}

#[test]
fn fresh_and_reused_instances_decide_alike() {
    let once = Instances::Reuse { max_calls: NonZeroU64::MIN };
    let gates =
        [Instances::default(), once, Instances::Fresh].map(|instances| split(&Options { instances, ..options() }));
    let [expected, others @ ..] = gates.map(|gate| (0..5).map(|_| deliver(&gate, &batch())).collect::<Vec<_>>());
    assert!(others.iter().all(|decided| *decided == expected));
}

#[test]
fn many_threads_share_a_gate() {
    for instances in [Instances::default(), Instances::Fresh] {
        let gate = split(&Options { max_concurrency: NonZeroUsize::new(3).unwrap(), instances, ..options() });
        let expected = deliver(&gate, &batch());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(deliver(&gate, &batch()), expected)));
            }
        });
    }
}

#[test]
fn a_policy_is_replaced_while_it_is_used() {
    [Instances::default(), Instances::Fresh].into_iter().for_each(replaced_while_used);
}

fn replaced_while_used(instances: Instances) {
    let plugin = Plugin::new(&Options { instances, ..options() }).unwrap();
    let gate = |secret: &str| {
        let policy = r#"{"sources": [{"name": "a", "path": "/webhooks/whatsapp", "secrets": ["K"]}]}"#;
        plugin.compile(policy, &Secrets::from([("K", secret)])).unwrap()
    };
    let shared = SharedGate::new(gate("old"));
    let (seen, have_seen_the_old) = mpsc::channel();
    let began = Instant::now();
    thread::scope(|scope| {
        for seen in [seen.clone(), seen.clone(), seen] {
            let mut seen = Some(seen);
            let shared = &shared;
            scope.spawn(move || {
                let (old, new) = (batch().signed("old"), batch().signed("new"));
                let mut swapped = false;
                while !swapped {
                    assert!(began.elapsed() < Duration::from_secs(60), "the new gate is there");
                    let gate = shared.load();
                    let genuine = |delivery| lend(delivery, |request| gate.verify(request, NOW)).unwrap().is_ok();
                    let (old, new) = (genuine(&old), genuine(&new));
                    assert!(old != new, "a gate is one policy from the first call to the last");
                    swapped = new;
                    if let Some(seen) = seen.take() {
                        seen.send(old).expect("it is waited for");
                    }
                }
            });
        }
        for _ in 0..3 {
            assert_eq!(have_seen_the_old.recv(), Ok(true));
        }
        let before = shared.swap(gate("new"));
        assert!(lend(&batch().signed("old"), |request| before.verify(request, NOW)).unwrap().is_ok());
    });
    assert!(lend(&batch().signed("new"), |request| shared.load().verify(request, NOW)).unwrap().is_ok());
}

#[test]
fn all_that_is_wrong_with_a_policy_is_said_at_once() {
    let plugin = Plugin::new(&options()).unwrap();
    let document = Document::read(policies("wrong.yaml")).unwrap();
    let Err(CompileError::Policy(errors)) =
        plugin.compile(document.json(), &Secrets::from([("KAPSO_WEBHOOK_SECRET", "s")]))
    else {
        panic!("taken")
    };
    let mut pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/rules/0/to/0", "/sources/0/path", "/sources/0/scheme", "/targets/bot/timeout"]);
}

#[test]
fn secrets_are_asked_for_and_checked() {
    let plugin = Plugin::new(&options()).unwrap();
    let document = Document::read(policies("split.toml")).unwrap();
    assert_eq!(plugin.secret_names(document.json()).unwrap(), ["KAPSO_WEBHOOK_SECRET", "ARCHIVE_SECRET"]);
    for secrets in [Secrets::new(), Secrets::from([("KAPSO_WEBHOOK_SECRET", SECRET), ("ARCHIVE_SECRET", "")])] {
        assert!(matches!(plugin.compile(document.json(), &secrets), Err(CompileError::Policy(_))));
    }
    assert!(matches!(plugin.secret_names("{"), Err(CompileError::Policy(_))));
}

#[test]
fn policy_files_that_cannot_be_read_are_told_apart() {
    assert!(matches!(Document::read("policy"), Err(ReadError::UnknownFormat(_))));
    assert!(matches!(Document::read("there-is-none.yaml"), Err(ReadError::Unreadable { .. })));
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    fs::write(file.path(), "sources: [").unwrap();
    assert!(matches!(Document::read(file.path()), Err(ReadError::Syntax { .. })));
}

/// The pieces of machine code in a folder and those below, and when each was written. What the cache notes about them has an ending.
fn files(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut code): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    code.retain(|path| path.extension().is_none());
    let code = code.into_iter().map(|path| {
        let written = path.metadata().unwrap().modified().unwrap();
        (path, written)
    });
    code.chain(folders.iter().flat_map(|folder| files(folder))).collect()
}

#[test]
fn the_cache_is_filled_once_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { cache: Cache::Directory(folder.path().join("new")), ..Options::default() };
    deliver(&split(&options), &batch());
    let filled = files(folder.path());
    assert!(!filled.is_empty());
    deliver(&split(&options), &batch());
    assert_eq!(files(folder.path()), filled, "what is compiled again is written again");
    let not_a_folder = tempfile::NamedTempFile::new().unwrap();
    let options = Options { cache: Cache::Directory(not_a_folder.path().to_owned()), ..Options::default() };
    assert!(matches!(Plugin::new(&options), Err(LoadError::Cache { .. })));
}

#[test]
fn what_has_compiled_a_policy_and_so_holds_its_secrets_is_not_kept_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::Directory(folder.path().to_owned());
    let plugin = Plugin::new(&Options { cache, instances: Instances::Fresh, ..Options::default() }).unwrap();
    let before = files(folder.path());
    assert!(!before.is_empty(), "the plugin itself is");
    let policy = r#"{"sources": [{"name": "a", "path": "/webhooks/whatsapp", "secrets": ["K"]}]}"#;
    let gate = plugin.compile(policy, &Secrets::from([("K", SECRET)])).unwrap();
    deliver(&gate, &batch());
    assert_eq!(files(folder.path()), before);
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let secrets = Secrets::from([("NAME", "value-of-it")]);
    assert_eq!(format!("{secrets:?}"), r#"{"NAME"}"#);
    let headers = [Header { name: "X-Webhook-Signature", value: b"value-of-it" }];
    let head = Head { method: "POST", path: "/webhooks/meta?hub.verify_token=value-of-it", headers: &headers };
    let shown = format!("{:?}", Request { head, body: b"value-of-it" });
    assert!(shown.contains("X-Webhook-Signature") && shown.contains("/webhooks/meta"), "{shown}");
    assert!(!shown.contains("value"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", b"value-of-it")), "{shown}");
}
