//! What commands write into the log.

use knockgate::logbook::{Entry, Logbook, Who};
use knockgate_compiler::policy::Policy;

use super::in_force::InForce;
use super::output::Output;

/// Writes what a command did, as this policy says; where there is none, as the default is. That it cannot
/// be written is told, and the command did what it did.
pub fn write(policy: Option<&Policy>, entry: Entry, output: &Output) {
    if let Err(error) = Logbook::of(policy).write(entry, &Who::of_this_process()) {
        output.warn(&error.to_string());
    }
}

/// The policy in force. One that cannot be read says nothing about the log either.
pub fn policy_in_force() -> Option<Policy> {
    InForce::read().ok()?.policy
}
