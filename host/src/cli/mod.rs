//! The command line.

mod check;
mod delivery;
mod explain;
mod gate;
mod http;
mod kapso;
mod listen;
mod message;
mod pair;
mod redirect;
mod replay;
mod report;
mod send;
mod sign;
mod text;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::{Shell, generate};

use crate::server;

/// Verifies, parses and routes the webhooks that Kapso sends for WhatsApp.
#[derive(Debug, Parser)]
#[command(name = "hookgate", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(server::Args),
    /// Serves behind a public address, to work on this machine with what Kapso really sends.
    ///
    /// Starts cloudflared or ngrok, which give this machine an address on the internet for a while, says which webhook addresses
    /// that makes, and takes deliveries as `hookgate serve` does: with --policy they are verified and routed, without they are
    /// shown. With --register Kapso is told to send there, until this ends.
    #[command(after_help = listen::HELP)]
    Listen(Box<listen::Args>),
    /// Checks whether deliveries are genuine, and with which secret of which source.
    ///
    /// A body is not parsed until its signature has been verified, except to find the tenant's secret by its phone number.
    #[command(after_help = explain::HELP)]
    Verify(explain::Args),
    /// Says what deliveries contain: kind, event, batch, and the routing keys of each event.
    ///
    /// Forged deliveries are read as well. Works without secrets: then nobody knows whether they are genuine.
    #[command(after_help = explain::HELP)]
    Parse(explain::Args),
    /// Says which rule of the policy each event meets, and which targets get it.
    ///
    /// Forged deliveries are routed as well. Works without secrets: then nobody knows whether they are genuine.
    #[command(after_help = explain::HELP)]
    Route(explain::Args),
    /// Says everything that the server would do: the answer, or what is sent to each target.
    ///
    /// Nothing is sent.
    #[command(after_help = explain::HELP)]
    Decide(explain::Args),
    Replay(replay::Args),
    Sign(sign::Args),
    Send(Box<send::Args>),
    Check(check::Args),
    Webhooks(kapso::webhooks::Args),
    Deliveries(kapso::deliveries::Args),
    SetupLinks(kapso::setup_links::Args),
    /// Prints the JSON Schema of policies, for editors and validators.
    Schema,
    /// Prints a completion script for a shell.
    ///
    /// For bash: hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
    Completions {
        /// The shell.
        shell: Shell,
    },
}

const EXAMPLES: &str = "\
Examples:
  hookgate serve                              try it: shows what to send
  hookgate listen                             the same, with a public address
  hookgate check --policy hookgate.yaml       is this policy right?
  hookgate serve --policy hookgate.yaml       verify and route
  hookgate verify got.json --secret K=whsec   is this delivery genuine?
  hookgate decide got.json --policy hookgate.yaml --json
                                              what would become of it?
  hookgate sign body.json --secret K=whsec    its signature, and a curl line
  hookgate send http://127.0.0.1:8080/webhooks/whatsapp --secret K=whsec
                                              what would Kapso make of your receiver?
  hookgate replay http://127.0.0.1:8080 got   send again what serve --record kept
  hookgate webhooks list                      what is registered with Kapso?
  hookgate deliveries --follow                what does Kapso send, and how does it go?

Exit status: 0 all is well, 1 a delivery is rejected, cannot be read or fails, or
Kapso refuses or fails, 2 wrong usage, policy or input.";

/// What went wrong with the command itself, not with a delivery or on Kapso's side.
const WRONG: u8 = 2;
const FAILED: u8 = 1;

/// Runs the program `hookgate`.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => block_on(async { server::run(args).await.map_err(anyhow::Error::from_boxed) }),
        Command::Listen(args) => listen::run(*args),
        Command::Verify(args) => explain::run(explain::Verb::Verify, args),
        Command::Parse(args) => explain::run(explain::Verb::Parse, args),
        Command::Route(args) => explain::run(explain::Verb::Route, args),
        Command::Decide(args) => explain::run(explain::Verb::Decide, args),
        Command::Replay(args) => replay::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Send(args) => send::run(*args),
        Command::Check(args) => check::run(args),
        Command::Webhooks(args) => kapso::webhooks::run(args),
        Command::Deliveries(args) => kapso::deliveries::run(args),
        Command::SetupLinks(args) => kapso::setup_links::run(args),
        Command::Schema => print(crate::policy::SCHEMA.trim_end()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            generate(shell, &mut Cli::command(), "hookgate", &mut script);
            print(String::from_utf8_lossy(&script).trim_end())
        }
    };
    done.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {error:#}");
        let call = error.downcast_ref::<crate::kapso::Error>();
        let failed = call.is_some_and(|error| !error.is_usage()) || error.is::<crate::CallError>();
        ExitCode::from(if failed { FAILED } else { WRONG })
    })
}

/// Runs `work` to its end. What is still under way beside it then does not keep the process from ending: looking a name up, for
/// one, cannot be broken off.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// An argument that is a rate, or one of time.
fn positive(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && (0.000_001..=1e9).contains(number));
    number.ok_or("expected a number above 0")
}

fn print(text: impl Display) -> anyhow::Result<ExitCode> {
    writeln!(anstream::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// What came of writing what the exit status does not hang on. Whoever read our output may have read enough: the status is still to be
/// found and said.
fn heard(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Whoever read our output has read enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        super::Cli::command().debug_assert();
    }
}
