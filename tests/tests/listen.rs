//! `hookgate listen`, with programs that print what cloudflared and ngrok print, and Kapso's API as its reference has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookgate_tests::client::Client;
use hookgate_tests::kapso::{Fault, KEY, Kapso};
use hookgate_tests::running::{Running, Signal};
use hookgate_tests::{Delivery, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const PUBLIC: &str = "https://stand-in-quick-tunnel.trycloudflare.com";
const NUMBER: &str = "123456789012345";

/// What cloudflared says of a tunnel that comes up.
const CLOUDFLARED: &str = r#"
say() { echo "2026-11-24T20:00:00Z INF $1" >&2; }
say "Requesting new quick Tunnel on trycloudflare.com..."
sleep 0.2
say "+--------------------------------------------------------------------------------------------+"
say "|  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |"
say "|  https://stand-in-quick-tunnel.trycloudflare.com                                           |"
say "+--------------------------------------------------------------------------------------------+"
say "Version 2026.9.1"
sleep 0.2
say "Registered tunnel connection connIndex=0 ip=198.41.200.23 location=gru01 protocol=quic"
"#;

/// What ngrok says, and of another address when a file `move` is there.
const NGROK: &str = r#"
say() { echo "{\"addr\":\"http://127.0.0.1\",\"lvl\":\"info\",\"msg\":\"started tunnel\",\"name\":\"command_line\",\"obj\":\"tunnels\",\"url\":\"$1\"}"; }
echo '{"addr":"127.0.0.1:4040","lvl":"info","msg":"starting web service","obj":"web"}'
sleep 0.2
say https://one.ngrok-free.app
while [ ! -e "$folder/move" ]; do sleep 0.05; done
say https://two.ngrok-free.app
"#;

/// Goes on until somebody ends it, or a file `die` is there.
const STAY: &str = r#"
while [ ! -e "$folder/die" ]; do sleep 0.05; done
echo "ERR Tunnel server stopped" >&2
exit 3
"#;

/// A folder with stand-ins and the notes of runs.
struct Stage {
    folder: TempDir,
    kapso: Kapso,
}

impl Stage {
    async fn new() -> Self {
        let stage = Stage { folder: TempDir::new().expect("a folder"), kapso: Kapso::start().await };
        stage.program("cloudflared", &format!("{CLOUDFLARED}{STAY}"));
        stage.program("ngrok", &format!("{NGROK}{STAY}"));
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    /// Installs a stand-in, that notes its arguments and its process.
    fn program(&self, name: &str, does: &str) {
        let folder = self.folder.path().display();
        let script = format!(
            "#!/bin/sh\nfolder='{folder}'\necho $$ >> \"$folder/processes\"\necho \"$0 $*\" >> \"$folder/arguments\"\n{does}"
        );
        fs::write(self.path(name), script).expect("a file");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("its file");
    }

    fn listen(&self, arguments: &[&str]) -> Running {
        self.listen_with(arguments, &[])
    }

    fn listen_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Running {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").expect("there is one"));
        let (url, notes) = (self.kapso.url(), self.text("notes"));
        let mut variables =
            vec![("PATH", path.as_str()), ("KAPSO_API_URL", &url), ("KAPSO_API_KEY", KEY), ("XDG_STATE_HOME", &notes)];
        variables.extend(more);
        Running::start("listen", arguments, &variables)
    }

    /// One that has registered a webhook is killed.
    async fn crash(&self) {
        let mut running = self.register(&[]);
        running.out.with("registered with Kapso").await;
        running.child.kill().await.expect("it runs");
    }

    fn register(&self, more: &[&str]) -> Running {
        let mut arguments = vec!["--register", "--phone-number-id", NUMBER];
        arguments.extend(more);
        self.listen(&arguments)
    }

    /// Waits until no stand-in runs any more.
    async fn all_ended(&self) {
        let processes = fs::read_to_string(self.path("processes")).expect("it ran");
        for process in processes.lines() {
            let status = Path::new("/proc").join(process).join("status");
            // What is ended and not yet waited for is a zombie.
            while fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn noted(&self) -> usize {
        fs::read_dir(self.path("notes/hookgate/listen")).map_or(0, |entries| {
            entries
                .filter(|entry| !entry.as_ref().expect("an entry").file_name().to_string_lossy().starts_with('.'))
                .count()
        })
    }
}

fn registered(kapso: &Kapso) -> Vec<String> {
    kapso.webhooks().iter().map(|webhook| webhook["url"].as_str().expect("a URL").to_owned()).collect()
}

#[tokio::test]
async fn the_public_address_of_either_program_is_shown_with_the_webhooks() {
    for (arguments, url, started) in [
        (&[][..], PUBLIC, "cloudflared tunnel --config /dev/null --no-autoupdate --url http://127.0.0.1:"),
        (&["--tunnel", "ngrok"], "https://one.ngrok-free.app", "ngrok http http://127.0.0.1:"),
    ] {
        let stage = Stage::new().await;
        let mut running = stage.listen(arguments);
        running.out.with(&format!("public on {url}")).await;
        running.out.with(&format!("webhook {url}/webhooks/whatsapp (source whatsapp)")).await;
        assert!(fs::read_to_string(stage.path("arguments")).expect("it ran").contains(started));
        running.out.with("Try-it mode").await;
        running.signal(Signal::TERM);
        assert_eq!(running.end().await, Some(0), "{}", running.log.all());
        stage.all_ended().await;
        assert!(stage.kapso.asked().is_empty(), "nobody asked for it");
    }
}

#[tokio::test]
async fn a_webhook_is_registered_with_a_secret_that_the_gate_uses_and_removed_at_the_end() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let stage = Stage::new().await;
        let mut running = stage.register(&["--event", "whatsapp.message.received,whatsapp.message.sent"]);
        running.out.with("registered with Kapso").await;
        let [webhook] = stage.kapso.webhooks().try_into().expect("one webhook");
        for (field, expected) in [
            ("url", json!(format!("{PUBLIC}/webhooks/whatsapp"))),
            ("events", json!(["whatsapp.message.received", "whatsapp.message.sent"])),
            ("phone_number_id", json!(NUMBER)),
        ] {
            assert_eq!(webhook[field], expected);
        }
        let secret = webhook["secret_key"].as_str().expect("a secret");
        let url = running.url("/webhooks/whatsapp").await;
        let client = Client::new();
        assert_eq!(client.post(&url, &Delivery::message("wamid.1", secret)).await.status, 200);
        assert_eq!(client.post(&url, &Delivery::message("wamid.1", "another")).await.status, 401);
        running.out.with("genuine: whatsapp.message.received").await;

        running.signal(signal);
        assert_eq!(running.end().await, Some(0), "{}", running.log.all());
        assert!(stage.kapso.webhooks().is_empty(), "{signal:?}");
        assert_eq!(stage.noted(), 0);
        stage.all_ended().await;
        let said = format!("{}{}", running.out.all(), running.log.all());
        assert!(!said.contains(secret) && !said.contains(KEY), "{said}");
    }
}

#[tokio::test]
async fn the_first_secret_of_the_policys_source_is_the_one_that_is_made() {
    let stage = Stage::new().await;
    let policy = json!({
        "sources": [
            {"name": "one", "path": "/one", "secrets": ["ONE"]},
            {"name": "two", "path": "/two", "secrets_by_phone_number": {NUMBER: ["TWO"]}},
        ],
        "otherwise": {"drop": true},
    });
    fs::write(stage.path("policy.json"), policy.to_string()).expect("a file");
    fs::write(stage.path("one"), "whsec_one").expect("a file");
    let (policy, one) = (stage.text("policy.json"), stage.text("one"));
    let arguments = ["--register", "--phone-number-id", NUMBER, "--policy", &policy, "--source", "two"];
    let running = stage.listen_with(&arguments, &[("ONE_FILE", &one)]);
    running.out.with("registered with Kapso").await;
    running.out.with(&format!("webhook {PUBLIC}/one (source one)")).await;
    let [webhook] = stage.kapso.webhooks().try_into().expect("one webhook");
    assert_eq!(webhook["url"], json!(format!("{PUBLIC}/two")));
    let secret = webhook["secret_key"].as_str().expect("a secret");
    let client = Client::new();
    assert_eq!(client.post(&running.url("/two").await, &Delivery::message("wamid.1", secret)).await.status, 200);
    assert_eq!(client.post(&running.url("/one").await, &Delivery::message("wamid.1", "whsec_one")).await.status, 200);

    for (arguments, part) in [
        (&["--register", "--phone-number-id", NUMBER][..], "--source"),
        (&["--register", "--phone-number-id", NUMBER, "--source", "three"], "three"),
        (&["--register"], "--project"),
        (
            &["--register", "--project", "--source", "one", "--event", "whatsapp.mesage.received"],
            "whatsapp.mesage.received",
        ),
        (&["--tls-cert", "a", "--tls-key", "b"], "HTTPS"),
    ] {
        let mut all = vec!["--policy", policy.as_str()];
        all.extend(arguments);
        let mut wrong = stage.listen(&all);
        assert_eq!(wrong.end().await, Some(2), "{arguments:?}");
        wrong.log.with(part).await;
    }
    assert_eq!(stage.kapso.webhooks().len(), 1);
}

#[tokio::test]
async fn what_was_registered_with_another_key_is_said_and_stays_noted() {
    let stage = Stage::new().await;
    stage.crash().await;
    let mut other = stage.listen_with(&[], &[("KAPSO_API_KEY", "of-another-project")]);
    other.log.with("still registered, with another API key").await;
    assert_eq!((stage.kapso.webhooks().len(), stage.noted()), (1, 1));
    other.signal(Signal::INT);
    other.end().await;
}

#[tokio::test]
async fn after_a_crash_the_tunnel_is_gone_and_the_next_start_removes_the_webhook() {
    let stage = Stage::new().await;
    stage.crash().await;
    stage.all_ended().await;
    assert_eq!((registered(&stage.kapso).len(), stage.noted()), (1, 1));

    let mut next = stage.listen(&[]);
    next.log.with("removed the webhook of an earlier run").await;
    next.out.with("public on").await;
    assert!(stage.kapso.webhooks().is_empty());
    assert_eq!(stage.noted(), 0);
    next.signal(Signal::INT);
    assert_eq!(next.end().await, Some(0));
}

#[tokio::test]
async fn a_webhook_that_kapso_made_without_saying_so_is_found_by_its_address_and_secret() {
    let stage = Stage::new().await;
    stage.kapso.has_webhook(
        json!({"url": format!("{PUBLIC}/webhooks/whatsapp"), "phone_number_id": NUMBER, "secret_key": "mine"}),
    );
    stage.kapso.fails([Fault::Silent(502)]);
    let mut running = stage.register(&[]);
    assert_eq!(running.end().await, Some(1), "{}", running.log.all());
    running.log.with("cannot be registered").await;
    let [left] = stage.kapso.webhooks().try_into().expect("one webhook");
    assert_eq!(left["secret_key"], json!("mine"), "that of another at the same address stays");
    stage.all_ended().await;
}

#[tokio::test]
async fn two_at_a_time_do_not_remove_each_others() {
    let stage = Stage::new().await;
    let mut first = stage.register(&[]);
    first.out.with("registered with Kapso").await;
    let mut second = stage.register(&["--tunnel", "ngrok"]);
    second.out.with("registered with Kapso").await;
    assert_eq!(registered(&stage.kapso).len(), 2);
    first.signal(Signal::INT);
    assert_eq!(first.end().await, Some(0));
    assert_eq!(registered(&stage.kapso), ["https://one.ngrok-free.app/webhooks/whatsapp"]);
    second.signal(Signal::INT);
    assert_eq!(second.end().await, Some(0));
    assert!(stage.kapso.webhooks().is_empty());
}

#[tokio::test]
async fn a_tunnel_that_dies_ends_it_and_takes_the_webhook_along() {
    let stage = Stage::new().await;
    let mut running = stage.register(&[]);
    running.out.with("registered with Kapso").await;
    fs::write(stage.path("die"), "").expect("a file");
    assert_eq!(running.end().await, Some(1));
    running.log.with("cloudflared ended (exit status: 3)").await;
    running.log.with("ERR Tunnel server stopped").await;
    assert!(stage.kapso.webhooks().is_empty());
    assert_eq!(stage.noted(), 0);
}

#[tokio::test]
async fn the_webhook_follows_an_address_that_changes() {
    let stage = Stage::new().await;
    let mut running = stage.register(&["--tunnel", "ngrok"]);
    running.out.with("registered with Kapso").await;
    fs::write(stage.path("move"), "").expect("a file");
    running.out.with("the webhook sends to the new address").await;
    running.out.with("public on https://two.ngrok-free.app").await;
    assert_eq!(registered(&stage.kapso), ["https://two.ngrok-free.app/webhooks/whatsapp"]);
    running.signal(Signal::TERM);
    assert_eq!(running.end().await, Some(0));
    assert!(stage.kapso.webhooks().is_empty());
}

#[tokio::test]
async fn a_setpriv_that_knows_no_way_to_end_a_program_with_us_is_let_be() {
    let stage = Stage::new().await;
    stage.program("setpriv", "echo 'unrecognized option: pdeathsig' >&2\nexit 1");
    let mut running = stage.listen(&[]);
    running.out.with(&format!("public on {PUBLIC}")).await;
    running.signal(Signal::TERM);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test]
async fn a_tunnel_that_never_comes_up_is_given_up_with_what_it_said() {
    for (does, patience, part) in [
        (
            "echo 'ERR failed to request quick Tunnel: Post \"https://api.trycloudflare.com/tunnel\": timeout' >&2\nexit 1",
            "60000",
            "ended without giving an address (exit status: 1)",
        ),
        ("echo 'INF Requesting new quick Tunnel: quick Tunnel' >&2\nsleep 60", "3000", "gave no address within 3 s"),
    ] {
        let stage = Stage::new().await;
        stage.program("cloudflared", does);
        let mut running = stage.register(&["--tunnel-ms", patience]);
        assert_eq!(running.end().await, Some(1));
        running.log.with(part).await;
        running.log.with("quick Tunnel").await;
        assert!(stage.kapso.webhooks().is_empty());
        assert_eq!(stage.noted(), 0);
        stage.all_ended().await;
    }
}

#[test]
fn a_program_that_is_not_installed_is_said_with_how_to_get_it() {
    for (arguments, part) in [
        (&["listen"][..], "ngrok config add-authtoken"),
        (&["listen", "--tunnel", "cloudflared"], "brew install cloudflared"),
        (&["listen", "--tunnel-program", "/there/is/none/ngrok"], "/there/is/none/ngrok"),
    ] {
        let ran = run(arguments, b"", &[("PATH", "/there/is/none")]);
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains(part), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_webhook_that_cannot_be_removed_is_said_and_removed_by_the_next_start() {
    let stage = Stage::new().await;
    let mut running = stage.register(&[]);
    running.out.with("registered with Kapso").await;
    stage.kapso.fails([Fault::Status(403, json!({"error": "No"}).to_string())]);
    running.signal(Signal::INT);
    assert_eq!(running.end().await, Some(1));
    running.log.with("the next start of `hookgate listen` removes it").await;
    assert_eq!((stage.kapso.webhooks().len(), stage.noted()), (1, 1));
    let mut next = stage.register(&[]);
    next.out.with("registered with Kapso").await;
    let webhooks: Vec<Value> = stage.kapso.webhooks();
    assert_eq!(webhooks.len(), 1, "the old one is gone");
    next.signal(Signal::INT);
    assert_eq!(next.end().await, Some(0));
}
