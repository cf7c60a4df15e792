//! Statements, one after the other, and how to go on after one that is wrong.

use super::ast::{Block, Header, Menu, Script, Statement};
use super::findings::{Findings, NotFollowed};
use super::lexer::{Cursor, closer};
use crate::diag::{Code, Diagnostic, Severity, Span};

/// Commands of a script, those in braces and brackets included.
const MAX_COMMANDS: usize = 1 << 19;

/// Bytes that are read again after brackets that nothing closes. It lets a text of usual size be read
/// to its end, whatever is open in it, and keeps a large one from taking many times as long.
const MAX_AGAIN: usize = 1 << 22;

/// Brackets within brackets whose commands are read. Deeper ones are stepped over.
const MAX_DEPTH: usize = 48;

/// Bytes of a word that is no command, as it is shown.
const MAX_WORD: usize = 64;

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) cursor: Cursor<'a>,
    /// Where the next command runs that does not say so itself.
    pub(super) menu: Menu,
    /// Menus and attributes that the router in question does not have.
    pub(super) absent: &'a [&'a str],
    /// The line end after the last `add` or `set`.
    pub(super) rule_end: Option<usize>,
    header: Option<Header>,
    findings: Findings,
    /// What closes the brackets that are open here.
    open: Vec<u8>,
    /// The bracket or quote that the text ended in.
    unclosed: Option<usize>,
    /// Something was never closed, so that closing brackets mean little.
    torn: bool,
    commands: usize,
    full: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, absent: &'a [&'a str]) -> Self {
        let mut cursor = Cursor::new(text);
        cursor.at = if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 };
        Self {
            text,
            cursor,
            menu: Menu::root(),
            absent,
            rule_end: None,
            header: None,
            findings: Findings::default(),
            open: vec![],
            unclosed: None,
            torn: false,
            commands: 0,
            full: false,
        }
    }

    pub(super) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// Whether a finding would be told, for those that take long to make.
    pub(super) fn wants(&mut self, severity: Severity) -> bool {
        self.findings.wants(severity)
    }

    pub(super) fn script(mut self) -> (Script, Vec<Diagnostic>) {
        let mut statements = vec![];
        let mut not_followed = NotFollowed::default();
        let mut again = MAX_AGAIN;
        loop {
            self.cursor.skip_blanks();
            let (start, known) = (self.cursor.at, statements.len());
            let found = self.findings.count();
            if !self.step(&mut statements) {
                break;
            }
            if let Some(opener) = self.unclosed.take() {
                statements.truncate(known);
                again = again.saturating_sub(self.text.len() - start);
                if again == 0 {
                    break;
                }
                self.resume_after(opener, found);
            }
            not_followed.look_at(statements.get(known..).unwrap_or_default(), &mut self.findings);
        }
        not_followed.tell(&mut self.findings);
        (Script { header: self.header, statements }, self.findings.into_sorted(self.text.len()))
    }

    /// Reads on at the line after a bracket that nothing closes, and forgets what was found since.
    fn resume_after(&mut self, opener: usize, found: usize) {
        self.cursor.at = opener;
        self.cursor.skip_line();
        let line_end = self.cursor.at;
        self.findings.forget(found, line_end);
        self.open.clear();
        self.torn = true;
    }

    /// One step at the top level; `false` at the end of the text.
    fn step(&mut self, out: &mut Vec<Statement>) -> bool {
        match self.cursor.peek() {
            None => return false,
            Some(b'\n' | b';') => self.cursor.at += 1,
            Some(closing @ (b')' | b']' | b'}')) => self.stray(closing),
            Some(_) if self.output(out) => {}
            Some(_) => self.statement(out),
        }
        true
    }

    /// Statements up to what closes `opener`, which is where the cursor stands.
    pub(super) fn bracketed(&mut self, menu: Menu) -> Vec<Statement> {
        let opener = self.cursor.at;
        let Some(closing) = self.enter_bracket() else { return vec![] };
        let outer = std::mem::replace(&mut self.menu, menu);
        let mut statements = vec![];
        loop {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => {
                    self.unclosed_at_end(opener);
                    break;
                }
                Some(b'\n' | b';') => self.cursor.at += 1,
                Some(byte @ (b')' | b']' | b'}')) => {
                    if self.leave_bracket(byte, closing, opener) {
                        break;
                    }
                }
                Some(_) => self.statement(&mut statements),
            }
        }
        self.close_bracket();
        self.menu = outer;
        statements
    }

    /// Past an opening bracket, or past all of it where it is too deep, which gives `None`.
    pub(super) fn enter_bracket(&mut self) -> Option<u8> {
        let opener = self.cursor.at;
        let closing = closer(self.cursor.peek()?);
        if self.open.len() < MAX_DEPTH {
            self.open.push(closing);
            self.cursor.at += 1;
            return Some(closing);
        }
        let span = Span { start: opener, end: opener + 1 };
        let message = format!("brackets are nested deeper than {MAX_DEPTH} levels");
        self.report(Diagnostic::error(Code::ScriptLimit, span, message).here("what is in these is not read"));
        if self.cursor.skip_bracketed().is_none() {
            self.unclosed_at_end(opener);
        }
        None
    }

    /// After what [`enter_bracket`](Self::enter_bracket) began.
    pub(super) fn close_bracket(&mut self) {
        self.open.pop();
    }

    /// Whether the closing bracket `byte`, met where `closing` is expected, ends what `opener`
    /// began. It is left alone when it belongs to a bracket further out.
    pub(super) fn leave_bracket(&mut self, byte: u8, closing: u8, opener: usize) -> bool {
        if byte == closing {
            self.cursor.at += 1;
            return true;
        }
        let outer = self.open.len().saturating_sub(1);
        if !self.open.iter().take(outer).any(|open| *open == byte) {
            self.stray(byte);
            return false;
        }
        let here = Span { start: self.cursor.at, end: self.cursor.at + 1 };
        let finding = self.never_closed(opener).and_at(here, "this closes a bracket further out");
        self.report(finding);
        true
    }

    /// Says that the text ends within what `opener` began.
    pub(super) fn unclosed_at_end(&mut self, opener: usize) {
        if self.unclosed.is_none() && !self.full {
            self.unclosed = Some(opener);
            let finding = self.never_closed(opener);
            self.report(finding);
        }
    }

    fn never_closed(&self, opener: usize) -> Diagnostic {
        let span = Span { start: opener, end: opener + 1 };
        let bracket = self.text.get(opener..=opener).unwrap_or_default();
        let what = if bracket == "\"" { "text in quotes" } else { "bracket" };
        Diagnostic::error(Code::Unclosed, span, format!("a {what} is never closed")).here("it begins here")
    }

    fn stray(&mut self, closing: u8) {
        let span = Span { start: self.cursor.at, end: self.cursor.at + 1 };
        if !self.torn && self.wants(Severity::Error) {
            let message = format!("`{}` closes nothing", char::from(closing));
            self.report(Diagnostic::error(Code::Stray, span, message));
        }
        self.cursor.at += 1;
    }

    fn statement(&mut self, out: &mut Vec<Statement>) {
        let start = self.cursor.at;
        match self.cursor.peek() {
            Some(b'#') => return self.comment(),
            Some(b'{') => {
                let menu = self.menu.clone();
                out.push(self.block(start, menu));
            }
            Some(b'[' | b'$' | b'(') => out.extend(self.call().map(Statement::Run)),
            Some(b':') => out.extend(self.global().map(Statement::Run)),
            Some(b'/' | b'.' | b'a'..=b'z') => out.extend(self.in_a_menu()),
            _ => self.no_command(start),
        }
        self.count_command();
    }

    /// Stops reading where there are too many commands or items.
    pub(super) fn count_command(&mut self) {
        self.commands += 1;
        if self.commands >= MAX_COMMANDS {
            self.stop_reading();
        }
    }

    fn stop_reading(&mut self) {
        let message = format!("a script of more than {MAX_COMMANDS} commands");
        let here = self.cursor.span_since(self.cursor.at);
        if !self.full {
            self.report(Diagnostic::error(Code::ScriptLimit, here, message).here("reading stops here"));
        }
        self.full = true;
        self.cursor.at = self.text.len();
    }

    /// `{ ... }`, whose commands run in `menu`.
    pub(super) fn block(&mut self, start: usize, menu: Menu) -> Statement {
        let statements = self.bracketed(menu.clone());
        Statement::Block(Block { span: self.cursor.span_since(start), menu, statements })
    }

    /// Says that no command begins here, and goes to the next.
    pub(super) fn no_command(&mut self, start: usize) {
        if self.wants(Severity::Error) {
            let finding =
                Diagnostic::error(Code::NotACommand, self.word_at(start), "a command is expected here");
            self.report(match self.follows_rule(start) {
                true => finding.help("if this is the rest of the line above, join the two"),
                false => finding.help("a command begins with a menu such as `/ip firewall filter`, or with its name, such as `add`"),
            });
        }
        self.skip_command();
    }

    /// As much of the word at `start` as is worth showing.
    fn word_at(&self, start: usize) -> Span {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b';' | b')' | b']' | b'}');
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = rest.iter().take(MAX_WORD).position(ends).unwrap_or(rest.len().min(MAX_WORD));
        Span { start, end: self.text.floor_char_boundary(start + length) }
    }

    /// Whether the line before the one at `start` is an `add` or `set`.
    pub(super) fn follows_rule(&self, start: usize) -> bool {
        let between = self.rule_end.and_then(|end| self.text.get(end..start));
        between
            .is_some_and(|text| text.len() < 64 && text.trim().is_empty() && text.matches('\n').count() == 1)
    }

    /// To the end of the command, past everything in quotes and brackets.
    pub(super) fn skip_command(&mut self) {
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'\n' | b';' | b')' | b']' | b'}' => return,
                b'"' | b'(' | b'[' | b'{' => {
                    let opener = self.cursor.at;
                    if self.cursor.skip_bracketed().is_none() {
                        self.unclosed_at_end(opener);
                    }
                }
                b'\\' if self.cursor.skip_join() => {}
                _ => self.cursor.skip_character(),
            }
        }
    }

    /// Whether nothing of the command is left.
    pub(super) fn at_command_end(&self) -> bool {
        matches!(self.cursor.peek(), None | Some(b'\n' | b';' | b')' | b']' | b'}'))
    }

    fn comment(&mut self) {
        let start = self.cursor.at;
        self.cursor.skip_line();
        let line = self.cursor.since(start).trim_end();
        let span = Span { start, end: start + line.len() };
        if let Some(what) = line.strip_prefix("#error exporting") {
            let message = format!("the export lacks {}", what.trim());
            self.report(
                Diagnostic::warning(Code::ExportGap, span, message)
                    .help("export again, and read the whole of it"),
            );
        }
        if self.header.is_none() {
            self.header = header(line, span);
        }
    }
}

/// `# apr/03/2019 23:01:45 by RouterOS 6.44.1`.
fn header(line: &str, span: Span) -> Option<Header> {
    let (date, version) = line.strip_prefix('#')?.split_once(" by RouterOS ")?;
    let version = version.split_whitespace().next()?;
    let numbered = version.starts_with(|first: char| first.is_ascii_digit());
    numbered.then(|| Header { span, date: date.trim().to_owned(), version: version.to_owned() })
}
