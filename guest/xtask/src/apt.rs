//! Debian packages.

use anyhow::{Context, bail};
use xshell::{Shell, cmd};

/// Installs packages, after saying so and what for.
pub(crate) fn install(shell: &Shell, packages: &[&str], purpose: &str) -> anyhow::Result<()> {
    let names = packages.join(" ");
    if cmd!(shell, "apt-get --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!("{purpose} needs {names}, and this machine has no apt-get to install that with");
    }
    let root = cmd!(shell, "id -u").quiet().read()? == "0";
    let sudo: &[&str] = if root { &[] } else { &["sudo"] };
    eprintln!("{purpose}: installing Debian's {names} with apt-get. Debian starts what is a service.");
    let apt = |arguments: &[&str]| {
        let mut words = sudo.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).chain(arguments);
        let program = words.next().copied().unwrap_or_default();
        cmd!(shell, "{program} {words...}").run()
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // A machine whose package lists are missing or old does not find what it is asked for.
    apt(&install)
        .or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
        .with_context(|| format!("{purpose} needs {names}, which apt-get could not install"))
}
