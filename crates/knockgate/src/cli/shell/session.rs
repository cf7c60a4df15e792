//! What was typed so far, and what it means.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use knockgate_compiler::diag::{Diagnostic, Severity, Source, Span, has_errors};
use knockgate_compiler::frontend::rsc::ast::{Command, Menu, Scope, Statement};
use knockgate_compiler::frontend::rsc::complete::Names;
use knockgate_compiler::frontend::rsc::config::Config;
use knockgate_compiler::frontend::rsc::line::{Line, line};
use knockgate_compiler::frontend::rsc::translate;
use knockgate_compiler::frontend::rsc::{self, Reading};

use knockgate_compiler::program::Program;

use super::super::input::ScriptOptions;
use super::super::output::Output;
use super::play::Played;
use super::show::{self, Shown};
use super::{MAX_SCRIPT, words};

/// What the text that was typed is called in findings.
pub(super) const NAME: &str = "<shell>";

/// Bytes of a text that is read anew after each line. What there is to say of a longer one is said
/// when it is asked for.
const READ_AT_ONCE: usize = 1 << 17;

/// What follows a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next one.
    GoOn,
    /// The rest of it.
    More,
    /// Nothing.
    Quit,
}

/// All that was typed and accepted is kept as one script, so that a finding can point to any of it.
pub(super) struct Session<'o> {
    pub(super) output: &'o Output,
    pub(super) script_options: ScriptOptions,
    pub(super) options: translate::Options,
    pub(super) on_terminal: bool,
    /// What was accepted, `print` included: it gives numbers.
    pub(super) text: String,
    pub(super) config: Config,
    pub(super) menu: Menu,
    /// What the text means, if it was read since the last change.
    reading: Option<Reading>,
    /// The knocks that were tried on these rules.
    pub(super) played: Played,
    /// The file that was loaded or saved last.
    pub(super) file: Option<PathBuf>,
    had_errors: bool,
}

impl<'o> Session<'o> {
    pub(super) fn new(output: &'o Output, script_options: ScriptOptions, on_terminal: bool) -> Self {
        Self {
            output,
            options: script_options.for_compiler(),
            script_options,
            on_terminal,
            text: String::new(),
            config: Config::default(),
            menu: Menu::root(),
            reading: None,
            played: Played::default(),
            file: None,
            had_errors: false,
        }
    }

    /// `[admin@knockgate] /ip/firewall/filter> `
    pub(super) fn prompt(&self) -> String {
        let path = if self.menu.is_root() { "" } else { self.menu.path() };
        format!("[admin@knockgate] {path}> ")
    }

    pub(super) fn greet(&self) -> anyhow::Result<()> {
        let rules: usize = self.config.menus().map(|(_, items)| items.len()).sum();
        self.output
            .print(&format!("A RouterOS terminal for the firewall, with {rules} items: `help`, or Tab\n"))?;
        Ok(())
    }

    /// Whether there was an error in any line.
    pub(super) fn had_errors(&self) -> bool {
        self.had_errors
    }

    /// Names for completion.
    pub(super) fn names(&self) -> Names {
        Names::of(&self.config)
    }

    /// What the text means.
    pub(super) fn reading(&mut self) -> &Reading {
        let Self { reading, text, options, .. } = self;
        reading.get_or_insert_with(|| rsc::read(text, options))
    }

    /// The program, if the text was read and has one.
    pub(super) fn program_read(&self) -> Option<&Program> {
        self.reading.as_ref()?.program.as_ref()
    }

    /// Remembers that a line could not be carried out.
    pub(super) fn failed(&mut self) {
        self.had_errors = true;
    }

    /// Says that a line could not be carried out.
    pub(super) fn refuse(&mut self, why: &str) {
        self.had_errors = true;
        self.output.tell(&format!("\x1b[1;31merror\x1b[0m: {why}\n"));
    }

    /// The same of findings about a text.
    pub(super) fn refuse_for(&mut self, source: &Source<'_>, findings: &[Diagnostic]) {
        self.had_errors = true;
        self.output.findings(source, findings);
    }

    /// Something to know beside an answer.
    pub(super) fn note(&self, text: &str) {
        self.output.tell(&format!("\x1b[2m{text}\x1b[0m\n"));
    }

    /// Carries out the lines of a file. Words of our own are none of a script: who reads one lets it
    /// write no files, nor put rules in force.
    pub(super) fn load(&mut self, file: &Path, text: &str) -> anyhow::Result<()> {
        self.file = Some(file.to_owned());
        self.together(text, true, |session, line, more| session.carry_out(line, more)).map(drop)
    }

    /// Carries out lines that were pasted.
    pub(super) fn paste(&mut self, text: &str) -> anyhow::Result<Then> {
        let ours = text.lines().any(|line| words::first(line).is_some());
        self.together(text, !ours, Self::enter)
    }

    /// Carries out lines all together if `possible`, or `one` by one if there is anything wrong with them.
    fn together(
        &mut self,
        text: &str,
        possible: bool,
        mut one: impl FnMut(&mut Self, &str, bool) -> anyhow::Result<Then>,
    ) -> anyhow::Result<Then> {
        let text = format!("{}\n", text.strip_suffix('\n').unwrap_or(text));
        if possible
            && self.has_room(&text)
            && let Ok(accepted) = self.attempt(&text)
        {
            self.commit(&text, accepted)?;
            return Ok(Then::GoOn);
        }
        let mut pending = String::new();
        for line in text.split_inclusive('\n') {
            pending.push_str(line);
            match one(self, &pending, true)? {
                Then::More => {}
                Then::GoOn => pending.clear(),
                Then::Quit => return Ok(Then::Quit),
            }
        }
        if pending.is_empty() { Ok(Then::GoOn) } else { one(self, &pending, false) }
    }

    fn has_room(&self, typed: &str) -> bool {
        self.text.len() + typed.len() <= MAX_SCRIPT
    }

    /// Carries out a line, which ends in a line end; or waits for the rest of it, if there may be one.
    pub(super) fn enter(&mut self, typed: &str, more_may_come: bool) -> anyhow::Result<Then> {
        match words::first(typed) {
            Some(word) => words::run(self, word, typed),
            None => self.carry_out(typed, more_may_come),
        }
    }

    /// The same of a line that is RouterOS's.
    fn carry_out(&mut self, typed: &str, more_may_come: bool) -> anyhow::Result<Then> {
        if !self.has_room(typed) {
            self.refuse(&format!("more than {MAX_SCRIPT} bytes were typed"));
            return Ok(Then::Quit);
        }
        match self.attempt(typed) {
            Err(Unaccepted::GoesOn) if more_may_come => return Ok(Then::More),
            Err(Unaccepted::GoesOn) => self.refuse("the last line is not complete"),
            Err(Unaccepted::For(findings)) => {
                let text = format!("{}{typed}", self.text);
                self.refuse_for(&Source::new(NAME, &text), &findings);
            }
            Ok(accepted) => self.commit(typed, accepted)?,
        }
        Ok(Then::GoOn)
    }

    /// What comes of `typed`, without anything being changed.
    fn attempt(&mut self, typed: &str) -> Result<Accepted, Unaccepted> {
        let prints = |line: &Line| line.statements.iter().any(|one| command(one, "print").is_some());
        let start = self.text.len();
        let text = format!("{}{typed}", self.text);
        let line = line(&text, start, &self.menu);
        if line.goes_on {
            return Err(Unaccepted::GoesOn);
        }
        if has_errors(&line.findings) {
            return Err(Unaccepted::For(line.findings));
        }
        if prints(&line) {
            self.reading();
        }
        let mut config = self.config.clone();
        let mut findings = line.findings;
        let (mut answer, mut notes) = (String::new(), vec![]);
        let mut idle = BTreeSet::new();
        for statement in &line.statements {
            findings.extend(config.run(statement));
            let shown = Shown { config: &config, text: &text, session: self };
            show::answer(&shown, statement, &mut answer, &mut notes);
            idle.extend(idle_menu(statement));
        }
        if has_errors(&findings) {
            findings.retain(|finding| finding.severity == Severity::Error);
            return Err(Unaccepted::For(findings));
        }
        notes.extend(idle.into_iter().map(|what| format!("`{what}` is not played here")));
        let mut reading = None;
        if line.statements.iter().any(changes) {
            let read = (text.len() <= READ_AT_ONCE).then(|| rsc::read(&text, &self.options));
            if let Some(read) = &read {
                findings = self.new_of(&read.findings);
                if has_errors(&findings) {
                    findings.retain(|finding| finding.severity == Severity::Error);
                    return Err(Unaccepted::For(findings));
                }
            }
            reading = Some(read);
        }
        Ok(Accepted { config, menu: line.menu, answer, notes, findings, reading })
    }

    /// Those of `findings` that were not there before.
    fn new_of(&mut self, findings: &[Diagnostic]) -> Vec<Diagnostic> {
        let key = |finding: &Diagnostic| {
            let Span { start, end } = finding.primary.span;
            (finding.code, start, end, finding.message.clone())
        };
        let before: HashSet<_> = self.reading().findings.iter().map(key).collect();
        findings.iter().filter(|finding| !before.contains(&key(finding))).cloned().collect()
    }

    fn commit(&mut self, typed: &str, accepted: Accepted) -> anyhow::Result<()> {
        let Accepted { config, menu, answer, notes, findings, reading } = accepted;
        self.text.push_str(typed);
        (self.config, self.menu) = (config, menu);
        if let Some(read) = reading {
            self.reading = read;
            if self.played.forget() {
                self.note("the rules changed, so the simulator begins anew");
            }
        }
        self.output.print(&answer)?;
        notes.iter().for_each(|note| self.note(note));
        self.tell(&findings);
        Ok(())
    }

    /// Warnings in a line or two each.
    fn tell(&self, findings: &[Diagnostic]) {
        let width = show::width();
        for finding in findings {
            let text = format!("{} {}", finding.code, finding.message);
            let help = finding.suggestions.iter().map(|suggestion| &suggestion.message);
            let help = help.chain(&finding.help).chain(&finding.notes).next();
            self.output.tell(&format!("\x1b[33m{}\x1b[0m\n", cut(&text, width)));
            if let Some(help) = help {
                self.output.tell(&format!("\x1b[2m     {}\x1b[0m\n", cut(help, width.saturating_sub(5))));
            }
        }
    }
}

/// What a line comes to.
struct Accepted {
    config: Config,
    menu: Menu,
    answer: String,
    notes: Vec<String>,
    /// Those that are new.
    findings: Vec<Diagnostic>,
    /// If anything changed: what the text means then, unless that is left for later.
    reading: Option<Option<Reading>>,
}

/// Why it comes to nothing.
enum Unaccepted {
    GoesOn,
    For(Vec<Diagnostic>),
}

/// The command of this name that a statement is.
pub(super) fn command<'a>(statement: &'a Statement, name: &str) -> Option<&'a Command> {
    match statement {
        Statement::Run(command) if command.name.value == name => Some(command),
        _ => None,
    }
}

/// Whether it may change what is held.
fn changes(statement: &Statement) -> bool {
    match statement {
        Statement::Enter(_) => false,
        Statement::Run(command) => {
            !matches!(command.name.value.as_str(), "print" | "find" | "export" | "get")
        }
        Statement::Block(_) | Statement::Table(_) => true,
    }
}

/// A command that does nothing here, as far as that is not told otherwise.
fn idle_menu(statement: &Statement) -> Option<String> {
    const PLAYED: [&str; 11] =
        ["add", "set", "unset", "comment", "enable", "disable", "remove", "move", "print", "find", "export"];
    let Statement::Run(command) = statement else { return None };
    match (command.scope, command.menu.known()) {
        (Scope::Menu, _) if command.name.value == "export" => None,
        (Scope::Menu, Some(_)) if PLAYED.contains(&command.name.value.as_str()) => None,
        (Scope::Menu, Some(_)) => Some(format!("{}/{}", command.menu.path(), command.name.value)),
        (Scope::Menu, None) => Some(command.menu.path().to_owned()),
        (Scope::Global | Scope::Call | Scope::Unknown, _) => None,
    }
}

/// A text as far as it fits.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
