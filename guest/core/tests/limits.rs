//! What a body may hold.
#![allow(missing_docs)]

use hookgate_core::{Gate, ParseError, Secret};

const POLICY: &str = r#"{
  "sources": [{"name": "hook", "path": "/hook", "secrets": ["S"]}],
  "limits": {"events": 1000}
}"#;

#[test]
fn what_a_key_said_before_it_was_said_again_takes_its_place() {
    let gate = Gate::compile(POLICY, &[Secret { name: "S", value: "secret" }]).unwrap();
    for (count, fits) in [(400, true), (600, false)] {
        let list = vec!["{}"; count].join(",");
        let entry = format!(r#"{{"changes":[{list}]}}"#);
        for body in [
            format!(r#"{{"batch":true,"data":[{list}],"data":[{list}]}}"#),
            format!(r#"{{"object":"whatsapp_business_account","entry":[{entry}],"entry":[{entry}]}}"#),
        ] {
            match gate.delivery(&[], body.as_bytes()) {
                Ok(delivery) => assert!(fits && delivery.events.len() == count, "{count}"),
                Err(error) => assert!(!fits && error == ParseError::TooManyEvents(1000), "{count}: {error:?}"),
            }
        }
    }
}
