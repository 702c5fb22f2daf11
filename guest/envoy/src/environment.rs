//! The VM's environment, where secrets come from: `vm_config.environment_variables` of the plugin's configuration.

use alloc::vec::Vec;
use hookgate_core::Secret;

/// Every variable as a secret: the gate takes those that its policy names. They stand as `NAME=value`, each with a NUL behind it;
/// what is not UTF-8 is no secret.
pub(crate) fn secrets(environment: &[u8]) -> Vec<Secret<'_>> {
    let variables = environment.split(|byte| *byte == 0).filter_map(|variable| core::str::from_utf8(variable).ok());
    variables.filter_map(|variable| variable.split_once('=')).map(|(name, value)| Secret { name, value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_secrets_and_values_may_hold_anything_but_nul() {
        let found = secrets(b"A=1\0EMPTY=\0B=x=y z\0\xff=1\0C");
        let secrets: Vec<_> = found.iter().map(|secret| (secret.name, secret.value)).collect();
        assert_eq!(secrets, [("A", "1"), ("EMPTY", ""), ("B", "x=y z")]);
    }
}
