//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for all that is no sender's connection: those to targets, the store, files.
const OTHERS: usize = 1024;

/// Raises the limit on open files to what so many connections may need. Says how many there is room for: with too few descriptors,
/// it would be those to targets that fail.
pub(crate) fn make_room(connections: usize) -> usize {
    let needed = connections.saturating_add(OTHERS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let current = Some(maximum.map_or(needed, |maximum| maximum.min(needed)));
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, maximum }) {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return connections };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let room = connections.min(files.saturating_sub(OTHERS).max(files / 2));
    if room < connections {
        tracing::warn!(
            files,
            connections = room,
            "fewer connections are taken than allowed, because so few files may be open"
        );
    }
    room
}
