//! Everything that we build on may be passed on under our licence.

use std::process::Command;

use serde_json::Value;

/// Licences that ask for a notice at the most.
const PERMISSIVE: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Of a build for Linux on x86-64, and of the guests; what only other systems need is not looked at.
#[test]
fn every_dependency_has_a_permissive_licence() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .args(["--filter-platform", "wasm32-unknown-unknown"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 100, "only {} packages", packages.len());
    assert!(packages.iter().any(|package| package["name"] == "dlmalloc"), "what only guests are made of");
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_permissive(licence), "{} {} is under {licence}", package["name"], package["version"]);
    }
}

/// Reads the part of SPDX expressions that is in use: `AND` binds more tightly than `OR`, unless there are parentheses.
fn is_permissive(expression: &str) -> bool {
    let all = |terms: &str| terms.split(" AND ").all(|term| PERMISSIVE.contains(&term.trim()));
    match expression.split_once(") AND ") {
        Some((choice, rest)) => is_permissive(choice.trim_start_matches('(')) && is_permissive(rest),
        None => expression.replace('/', " OR ").split(" OR ").any(all),
    }
}

#[test]
fn one_licence_of_a_choice_is_enough_and_all_of_a_sum_are_needed() {
    assert!(is_permissive("Unlicense OR MIT"));
    assert!(is_permissive("MIT/Apache-2.0"));
    assert!(is_permissive("(Apache-2.0 OR MIT) AND BSD-3-Clause"));
    assert!(!is_permissive("GPL-3.0-only"));
    assert!(!is_permissive("(MIT OR Apache-2.0) AND GPL-2.0-only"));
    assert!(!is_permissive("MIT AND LGPL-3.0-only"));
}
