//! The commands that call Kapso, against a Kapso of our own that follows the documentation.

mod deliveries;
mod setup_links;
mod sync;
mod trouble;
mod upkeep;
mod webhooks;

use hookgate_tests::kapso::{KEY, Kapso};
use hookgate_tests::{Ran, run};

/// Runs `hookgate` against this Kapso.
fn hookgate(kapso: &Kapso, arguments: &[&str]) -> Ran {
    with(kapso, arguments, &[])
}

/// The same with more variables. Whatever is said, the key is not.
fn with(kapso: &Kapso, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
    let url = kapso.url();
    let mut variables = vec![("KAPSO_API_URL", url.as_str()), ("KAPSO_API_KEY", KEY)];
    variables.extend(more);
    let ran = run(arguments, b"", &variables);
    assert!(!ran.out.contains(KEY) && !ran.err.contains(KEY), "{}{}", ran.out, ran.err);
    ran
}
