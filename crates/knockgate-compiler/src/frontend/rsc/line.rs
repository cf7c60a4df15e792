//! What is typed at a terminal, after all that was typed before.

use super::ast::{Menu, Statement};
use super::parser::Parser;
use crate::diag::{Code, Diagnostic, Severity};

/// One or more lines that were typed together.
#[derive(Clone, Debug)]
pub struct Line {
    /// What they say.
    pub statements: Vec<Statement>,
    /// What is wrong with them. Spans are those of the whole text.
    pub findings: Vec<Diagnostic>,
    /// Where the next line runs.
    pub menu: Menu,
    /// Whether they end within a text, within brackets, or with a backslash, so that the next line
    /// belongs to them.
    pub goes_on: bool,
}

/// The part of `text` that begins at `start`, typed in `menu`. A command that nobody knows is an error:
/// here its turn has come.
pub fn line(text: &str, start: usize, menu: &Menu) -> Line {
    let mut parser = Parser::new(text, &[]);
    parser.cursor.at = start;
    parser.menu = menu.clone();
    let (script, mut findings) = parser.script();
    for finding in findings.iter_mut().filter(|finding| finding.code == Code::UnknownCommand) {
        finding.severity = Severity::Error;
        finding.notes.clear();
    }
    let entered = script.statements.iter().rev().find_map(|statement| match statement {
        Statement::Enter(menu) => Some(menu.value.clone()),
        _ => None,
    });
    // One that is closed by a bracket further out has a second place.
    let open = |finding: &Diagnostic| finding.code == Code::Unclosed && finding.others.is_empty();
    let goes_on = findings.iter().any(open) || ends_joined(text.get(start..).unwrap_or_default());
    Line { statements: script.statements, findings, menu: entered.unwrap_or_else(|| menu.clone()), goes_on }
}

/// Whether the last line ends with a backslash that takes its end away.
fn ends_joined(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let last = text.rsplit('\n').next().unwrap_or_default();
    let backslashes = last.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes % 2 == 1 && !last.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(menu: &str, typed: &str) -> Line {
        line(&format!("# before\n{typed}"), 9, &Menu::at(menu))
    }

    #[test]
    fn a_line_runs_in_the_menu_before_it_and_may_lead_to_another() {
        for (menu, typed, next) in [
            ("/", "ip firewall filter\n", "/ip/firewall/filter"),
            ("/ip/firewall/filter", "..\n", "/ip/firewall"),
            ("/ip/firewall/filter", "/\n", "/"),
            ("/ip/firewall", "fil\n", "/ip/firewall/filter"),
            ("/ip/firewall/filter", "add chain=input\n", "/ip/firewall/filter"),
            ("/", "/ip/firewall/filter/add chain=input\n", "/"),
        ] {
            let line = at(menu, typed);
            assert_eq!((line.findings.len(), line.menu.path()), (0, next), "{typed}");
        }
    }

    #[test]
    fn what_is_open_at_the_end_goes_on() {
        for (typed, goes_on) in [
            ("add chain=input \\\n", true),
            ("add comment=\"one\n", true),
            ("set [find\n", true),
            ("set [find)\n", true),
            ("{ add chain=input\n", true),
            ("add chain=input\n", false),
            ("add comment=\"one\"\n", false),
            ("set ([find)]\n", false),
            ("# nothing \\\n", false),
            ("add comment=a\\\\\n", false),
        ] {
            assert_eq!(at("/ip/firewall/filter", typed).goes_on, goes_on, "{typed}");
        }
    }

    #[test]
    fn a_command_that_nobody_knows_is_an_error() {
        let line = at("/ip/firewall/filter", "shrubbery\n");
        assert_eq!(line.findings.first().map(|finding| finding.severity), Some(Severity::Error));
        assert!(line.findings.iter().all(|finding| finding.primary.span.start >= 9));
    }
}
