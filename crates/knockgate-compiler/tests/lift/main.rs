//! Scripts as people write them, and the policies that are lifted from them: the same packets must
//! have the same outcome at the service.

#![expect(clippy::unwrap_used, reason = "a test that ends so has failed")]

mod families;
mod lowered;
mod play;
mod recipes;
mod shapes;
mod shuffled;

use knockgate_compiler::diag::Severity;
use knockgate_compiler::frontend::{self, rsc};
use knockgate_compiler::lift::Lifted;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;

/// What a script means.
fn program(script: &str) -> Program {
    let reading = rsc::read(script, &rsc::translate::Options::default());
    reading.program.unwrap_or_else(|| panic!("{script}: {:#?}", reading.findings))
}

/// The policy that was lifted, which must be sound, with its text.
fn policy_of(lifted: &mut Lifted) -> (Policy, String) {
    let left_out = lifted.settle(|text| frontend::toml::parse(text).1);
    let text = lifted.to_toml(None);
    assert_eq!(left_out, [], "{text}");
    let (policy, findings) = frontend::toml::parse(&text);
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    (policy.unwrap_or_else(|| panic!("{errors:#?}\n{text}")), text)
}

/// What is lost, without what the rules are called.
fn lost(lifted: &Lifted) -> Vec<&str> {
    lifted.rest.iter().filter(|rule| rule.lost).map(|rule| rule.why.as_str()).collect()
}
