//! One line for each thing that an operator should know, on standard error, which Spin keeps in the component's log.

use crate::bindings::wasi::cli::stderr::get_stderr;

/// What a host must take at once.
const PIECE: usize = 4096;

/// Writes a line. A log that cannot be written to changes nothing.
pub(crate) fn line(text: &str) {
    let stderr = get_stderr();
    for piece in format!("hookgate: {text}\n").as_bytes().chunks(PIECE) {
        if stderr.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}
