use knockgate_compiler::diag::has_errors;
use knockgate_compiler::frontend::toml;
use knockgate_compiler::lower::lower;

use super::findings;

/// Findings that are told of a policy.
const MOST_FINDINGS: usize = 100;

/// Reads a policy file.
pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (policy, found) = toml::parse(&text);
    findings::check(&text, &found, MOST_FINDINGS);
    assert_eq!(policy.is_none(), has_errors(&found), "errors, or a policy: {found:?}");
    if let Some(policy) = policy {
        lower(&policy);
    }
    findings::check_suggestions(&text, &found, |mended| toml::parse(mended).1);
}
