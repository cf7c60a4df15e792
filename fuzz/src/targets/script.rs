use knockgate_compiler::backend::{Unsayable, nft};
use knockgate_compiler::diag::{Code, Diagnostic, Severity, Span, has_errors};
use knockgate_compiler::frontend::rsc::ast::{
    Argument, Command, Condition, Conditions, Content, Scope, Statement, Value,
};
use knockgate_compiler::frontend::rsc::config::Config;
use knockgate_compiler::frontend::rsc::{self, Script, parse};

use super::findings::{check, check_span, check_suggestions};

/// Findings that are told of a script: 500 errors, 500 warnings, and that there are more.
const MOST_FINDINGS: usize = 1001;
/// Parts of a script for each byte: `$` is a call, and what it calls.
const MOST_NODES: usize = 2;
/// Commands of a case that are printed and read again.
const MOST_PRINTED: usize = 32;

/// Reads a RouterOS script.
pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (script, found) = parse(&text);
    check(&text, &found, MOST_FINDINGS);
    let mut tree = Tree { text: &text, nodes: 0 };
    tree.statements(&script.statements);
    assert!(tree.nodes <= text.len() * MOST_NODES, "{} of {} bytes", tree.nodes, text.len());
    if let Some(header) = &script.header {
        check_span(&text, header.span, header);
    }
    let commands = script.statements.iter().filter_map(|statement| match statement {
        Statement::Run(command) => Some(command),
        _ => None,
    });
    for command in commands.filter(|command| is_known(command, &found)).take(MOST_PRINTED) {
        reads_again(command, &text);
    }
    check_suggestions(&text, &found, |mended| parse(mended).1);
    carried_out(&script, &text, &found);
    understood(&text);
}

/// Whatever a script says, it has a meaning or an error, and what has a meaning can be told to nft or is
/// refused by name.
fn understood(text: &str) {
    let reading = rsc::read(text, &rsc::translate::Options::default());
    check(text, &reading.findings, MOST_FINDINGS);
    assert_eq!(reading.program.is_none(), has_errors(&reading.findings), "{text}");
    if let Some(program) = reading.program {
        let refused = nft::print(&program).err().unwrap_or_default();
        check(text, &refused.iter().map(Unsayable::finding).collect::<Vec<_>>(), usize::MAX);
    }
}

/// What a router holds after a sound script, it holds after the export of that as well.
fn carried_out(script: &Script, text: &str, found: &[Diagnostic]) {
    let sound = !has_errors(found);
    let (config, found) = Config::of(script);
    check(text, &found, MOST_FINDINGS);
    let exported = config.export();
    let has_gaps = exported.contains("#error exporting");
    if sound && !has_gaps {
        let (again, found) = parse(&exported);
        assert_eq!(found, [], "{exported}");
        assert_eq!(Config::of(&again).0.export(), exported);
    }
}

/// Walks through a script and looks at every place in it.
struct Tree<'a> {
    text: &'a str,
    /// Parts found so far.
    nodes: usize,
}

impl Tree<'_> {
    fn node(&mut self, span: Span, of: &dyn std::fmt::Debug) {
        check_span(self.text, span, of);
        self.nodes += 1;
    }

    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Enter(menu) => self.node(menu.span, menu),
                Statement::Run(command) => self.command(command),
                Statement::Block(block) => {
                    self.node(block.span, block);
                    self.statements(&block.statements);
                }
                Statement::Table(table) => {
                    self.node(table.span, table);
                    for row in &table.rows {
                        check_span(self.text, row.span, row);
                        check_span(self.text, row.number.span, row);
                        row.attributes.iter().for_each(|argument| self.argument(argument));
                    }
                }
            }
        }
    }

    fn command(&mut self, command: &Command) {
        self.node(command.span, command);
        check_span(self.text, command.name.span, command);
        command.arguments.iter().for_each(|argument| self.argument(argument));
        match &command.conditions {
            None => {}
            Some(Conditions::All(all)) => all.iter().for_each(|condition| self.condition(condition)),
            Some(Conditions::Other { span, statements }) => {
                check_span(self.text, *span, command);
                self.statements(statements);
            }
        }
    }

    fn argument(&mut self, argument: &Argument) {
        self.node(argument.span(), argument);
        match argument {
            Argument::Set { name, value } => {
                check_span(self.text, name.span, argument);
                self.value(value);
            }
            Argument::Unset(_) => {}
            Argument::Plain(value) => self.value(value),
        }
    }

    fn condition(&mut self, condition: &Condition) {
        self.node(condition.span, condition);
        check_span(self.text, condition.name.span, condition);
        self.value(&condition.value);
    }

    fn value(&mut self, value: &Value) {
        check_span(self.text, value.span, value);
        match &value.content {
            Content::Text(_) => {}
            Content::Result(inner)
            | Content::Element(inner, _)
            | Content::Block(inner)
            | Content::Computed(inner) => self.statements(inner),
        }
    }
}

/// Whether all of a command was read: it is one of a menu that we know, and nothing in it was refused.
fn is_known(command: &Command, found: &[Diagnostic]) -> bool {
    let Span { start, end } = command.span;
    let mut errors = found.iter().filter(|finding| finding.severity == Severity::Error);
    let refused = errors.any(|error| error.primary.span.start <= end && start <= error.primary.span.end);
    let known = command.scope == Scope::Menu && command.menu.known().is_some();
    known && !refused
}

fn reads_again(command: &Command, text: &str) {
    let printed = command.to_text(text);
    let (script, found) = parse(&printed);
    assert!(found.iter().all(|finding| finding.code != Code::NotACommand), "{printed}: {found:?}");
    let [Statement::Run(again)] = &script.statements[..] else { panic!("{printed}: {script:?}") };
    assert_eq!(unplaced(again), unplaced(command), "{printed}");
}

/// A command without the places of its parts.
fn unplaced(command: &Command) -> String {
    let shown = format!("{command:?}");
    let mut parts = shown.split("Span { start: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |so_far, part| so_far + part.split_once('}').map_or("", |(_, after)| after))
}
