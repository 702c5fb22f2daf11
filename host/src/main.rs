//! `hookgate`: the server and the command line.

fn main() {}
