//! `hookgate listen`.

mod registration;
mod state;
mod tunnel;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use self::registration::{Plan, Registration, tidy};
use self::tunnel::{Choice, Program, Tunnel};
use super::kapso::{ApiArgs, note};
use crate::Secrets;
use crate::kapso::{Api, Scope};
use crate::server::run::{Running, Signals};
use crate::server::tryit::print;
use crate::server::{self, log};

pub(super) const HELP: &str = "\
Examples:
  hookgate listen                        a public address; shows what arrives
  hookgate listen -p hookgate.yaml       verifies and routes what arrives
  hookgate listen --register --phone-number-id 123456789012345
                                         has Kapso send the messages of a number
  hookgate listen --record got           keeps them, for `hookgate replay`

The public address comes from cloudflared or ngrok, which must be installed. To
register, the API key comes from the environment: KAPSO_API_KEY, or the file that
KAPSO_API_KEY_FILE names.

Exit status: 0 ended as asked, and nothing is left registered; 1 the tunnel ended,
or Kapso refused or failed; 2 wrong usage or policy, or the program is missing.";

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The program that makes the public address.
    #[arg(long, value_enum, env = "HOOKGATE_TUNNEL", default_value_t, help_heading = "Public address")]
    tunnel: Choice,

    /// Where that program is, if not in a folder of PATH.
    #[arg(long, value_name = "FILE", env = "HOOKGATE_TUNNEL_PROGRAM", help_heading = "Public address")]
    tunnel_program: Option<PathBuf>,

    /// Milliseconds to wait for the public address.
    #[arg(long, value_name = "MS", default_value = "30000", help_heading = "Public address",
        value_parser = clap::value_parser!(u64).range(100..))]
    tunnel_ms: u64,

    /// Registers a webhook with Kapso that sends here, with a secret made for it, and removes it at the end: also after
    /// Ctrl-C, and after a crash at the next start.
    #[arg(long, help_heading = "Kapso's API")]
    register: bool,

    /// Registers it for this phone number, by the id that Meta gave it.
    #[arg(long, value_name = "ID", requires = "register", help_heading = "Kapso's API")]
    phone_number_id: Option<String>,

    /// Registers it for the project: events about connected numbers, accounts, workflows and agents.
    #[arg(long, requires = "register", conflicts_with = "phone_number_id", help_heading = "Kapso's API")]
    project: bool,

    /// The events that are sent; `hookgate webhooks events` lists them. Left out: messages received by the number, or for the
    /// project numbers connected and removed.
    #[arg(
        long = "event",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "register",
        help_heading = "Kapso's API"
    )]
    events: Vec<String>,

    /// The source of the policy that the webhook sends to, if there are several. Its first secret is the one that is made.
    #[arg(long, value_name = "NAME", requires = "register", help_heading = "Kapso's API")]
    source: Option<String>,

    #[command(flatten)]
    api: ApiArgs,

    #[command(flatten, next_help_heading = "Server")]
    serve: server::Args,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    super::block_on(args.run())
}

impl Args {
    async fn run(self) -> anyhow::Result<ExitCode> {
        if self.serve.tls_cert.is_some() {
            bail!("the tunnel brings HTTPS: leave out --tls-cert and --tls-key");
        }
        let program = Program::find(self.tunnel, self.tunnel_program.as_deref())?;
        let plan = self.plan()?;
        let _log = log::start(self.serve.log_format, &self.serve.log).map_err(anyhow::Error::msg)?;
        let folder = state::folder()?;
        tidy(&folder, self.api.url(), || self.api.client(Api::Platform)).await;
        let mut signals = Signals::new()?;

        let secrets = plan.as_ref().map_or_else(Secrets::new, Plan::secrets);
        let running = Running::start(&self.serve, secrets).await.map_err(anyhow::Error::from_boxed)?;
        running.introduce(plan.is_none());
        print(&format!("{program} is asked for a public address"));
        let mut tunnel = program.start(running.server.address())?;
        let mut registration = None;
        let ended = self.listen(&running, &mut tunnel, plan, &folder, &mut registration, &mut signals).await;
        let failed = ended.is_err();
        if let Err(error) = ended {
            // What the tunnel said last is several lines.
            format!("{error:#}").lines().for_each(note);
        }
        let removed = tokio::select! {
            removed = take_back(registration) => removed,
            () = signals.end() => {
                note("the webhook may still be registered; the next start of `hookgate listen` removes it");
                false
            }
        };
        tunnel.end().await;
        let stopped = running.stop(&mut signals).await;
        Ok(if failed || !removed { ExitCode::FAILURE } else { stopped })
    }

    fn plan(&self) -> anyhow::Result<Option<Plan>> {
        if !self.register {
            return Ok(None);
        }
        let scope = match &self.phone_number_id {
            Some(id) => Scope::Number(id.clone()),
            None if self.project => Scope::Project,
            None => bail!("say for what to register: --phone-number-id ID, or --project"),
        };
        let client = self.api.client(Api::Platform)?;
        let (policy, source) = (self.serve.policy.as_deref(), self.source.as_deref());
        Plan::new(client, self.api.url(), scope, self.events.clone(), policy, source).map(Some)
    }

    /// Until the end is asked for, which is well, or the tunnel ends. A terminal that is closed asks for it too: nobody sits
    /// there any more, and the policy is read again when its file changes.
    async fn listen(
        &self,
        running: &Running,
        tunnel: &mut Tunnel,
        plan: Option<Plan>,
        folder: &Path,
        registration: &mut Option<Registration>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let mut public = tokio::select! {
            public = tunnel.url(Duration::from_millis(self.tunnel_ms)) => public?,
            () = signals.left() => return Ok(()),
        };
        show(running, &public);
        if let Some(plan) = plan {
            // Not given up half-way: Kapso may have made it.
            let registered = plan.register(folder, &public).await.context("the webhook cannot be registered")?;
            print(&format!("registered with Kapso: {}", registered.describe()));
            *registration = Some(registered);
        }
        loop {
            public = tokio::select! {
                changed = tunnel.changed(&public) => changed?,
                () = signals.left() => return Ok(()),
            };
            print("the public address has changed");
            show(running, &public);
            if let Some(registered) = registration {
                registered.moved(&public).await.context("the webhook still sends to the old address")?;
                print("the webhook sends to the new address");
            }
        }
    }
}

fn show(running: &Running, public: &str) {
    print(&format!("public on {public}"));
    for (name, path) in running.server.sources() {
        print(&format!("  webhook {public}{path} (source {name})"));
    }
}

/// Whether nothing is left registered.
async fn take_back(registration: Option<Registration>) -> bool {
    let Some(registration) = registration else { return true };
    match registration.remove().await {
        Ok(()) => {
            print("the webhook is removed");
            true
        }
        Err(error) => {
            note(format_args!("{error:#}"));
            false
        }
    }
}
