//! What the README shows works.

use std::fs;
use std::path::Path;

use hookgate::Secrets;
use hookgate::policy::{Document, Format};
use hookgate_tests::hooked::plugin;

/// The README's fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(file).expect("the README");
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn its_policies_compile() {
    let policies = blocks("yaml");
    assert_eq!(policies.len(), 2);
    for text in policies {
        let document = Document::parse(text, Format::Yaml).expect("YAML");
        let names = plugin().secret_names(document.json()).expect("a policy");
        let secrets: Secrets = names.iter().map(|name| (name.as_str(), "a secret")).collect();
        let gate = plugin().compile(document.json(), &secrets).expect("a policy");
        assert!(!gate.settings().sources.is_empty());
    }
}

#[test]
fn the_paths_it_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("README.md")).expect("the README");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
    let mut checked = 0;
    for link in links {
        assert!(root.join(link).exists(), "{link}");
        checked += 1;
    }
    assert!(checked > 3);
}
