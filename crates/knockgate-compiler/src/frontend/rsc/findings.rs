//! What was found, and how much of it is told.

use super::ast::{Block, Command, Scope, Statement};
use crate::diag::{Code, Diagnostic, Severity, Span};

/// Errors, and as many warnings, that are told of a script.
const MAX_FINDINGS: usize = 500;

/// What was found, up to a limit.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    dropped: bool,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Diagnostic) {
        if !self.wants(finding.severity) {
            return;
        }
        match finding.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        self.list.push(finding);
    }

    /// Whether another one would be told. If not, that is remembered.
    pub(super) fn wants(&mut self, severity: Severity) -> bool {
        let count = match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.warnings,
        };
        self.dropped |= count >= MAX_FINDINGS;
        count < MAX_FINDINGS
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Of those after the first `count`, forgets what begins at `place` or later.
    pub(super) fn forget(&mut self, count: usize, place: usize) {
        let tail = self.list.split_off(count.min(self.list.len()));
        self.list.extend(tail.into_iter().filter(|finding| finding.primary.span.start < place));
    }

    /// In the order of the text, which ends at `end`.
    pub(super) fn into_sorted(mut self, end: usize) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| finding.primary.span.start);
        if self.dropped {
            let end = Span { start: end, end };
            let message = "there is more to say of this script than is said here";
            self.list.push(Diagnostic::warning(Code::ScriptLimit, end, message));
        }
        self.list
    }
}

/// Script commands one after the other, which are told of together.
#[derive(Default)]
pub(super) struct NotFollowed {
    span: Option<Span>,
    count: usize,
}

impl NotFollowed {
    pub(super) fn look_at(&mut self, new: &[Statement], findings: &mut Findings) {
        for statement in new {
            match statement {
                Statement::Run(command) if command.guarded().is_some() => {
                    let (body, handler) = command.guarded().unwrap_or_default();
                    self.look_at(body, findings);
                    self.look_at(handler.unwrap_or_default(), findings);
                }
                Statement::Block(Block { span, .. })
                | Statement::Run(Command { span, scope: Scope::Global | Scope::Call, .. }) => self.add(*span),
                Statement::Enter(_) => {}
                Statement::Run(_) | Statement::Table(_) => self.tell(findings),
            }
        }
    }

    fn add(&mut self, span: Span) {
        let start = self.span.map_or(span.start, |so_far| so_far.start);
        self.span = Some(Span { start, end: span.end });
        self.count += 1;
    }

    pub(super) fn tell(&mut self, findings: &mut Findings) {
        let Some(span) = self.span.take() else { return };
        let message = match std::mem::take(&mut self.count) {
            1 => "a script command is not followed".to_owned(),
            count => format!("{count} script commands are not followed"),
        };
        let note = "what they do to the firewall is unknown here";
        findings.push(Diagnostic::warning(Code::NotFollowed, span, message).note(note));
    }
}
