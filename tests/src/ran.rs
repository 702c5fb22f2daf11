//! The program `hookgate`, run to its end.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{cache, program};

/// What a run left.
pub struct Ran {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// The JSON objects of standard output, one a line.
    ///
    /// # Panics
    /// When there is anything else.
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

/// Runs `hookgate` in the folder of the tests, with nothing in its environment but these variables.
///
/// # Panics
/// When it cannot be run, or writes what is no text.
pub fn run(arguments: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.env("XDG_CACHE_HOME", cache());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("it has an input");
    let output = std::thread::scope(|scope| {
        // A program that has seen enough closes its end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("it ends")
    });
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    Ran { status: output.status.code().expect("it was not killed"), out: text(output.stdout), err: text(output.stderr) }
}
