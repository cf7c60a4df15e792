//! The way to a command: menus, one word after the other.

use super::ast::{Command, Menu, Scope, Statement};
use super::commands::meant_perhaps;
use super::lexer::is_menu;
use super::menus::{self, ACTIONS, COMMON, GLOBAL, Meant, meant};
use super::parser::Parser;
use crate::diag::{At, Code, Diagnostic, Severity, Span};

/// What a word on the way to a command is.
enum Step {
    /// A menu. `certain` if it is known to be one.
    Into { name: String, certain: bool },
    /// A command of the menu.
    Command(String),
    /// A command of the script language.
    Global(String),
    /// Neither.
    Nothing,
}

/// The way to a command, as far as it is walked.
struct Way {
    start: usize,
    path: String,
    /// Whether anything of it is written.
    walked: bool,
    /// The last word, where it may also be a command.
    guessed: Option<At<String>>,
}

/// Where a word led.
enum Walked {
    /// Into a menu.
    On,
    /// To a command, which is read, or to none, which was told.
    To(Option<Statement>),
    /// Nowhere: no word is left.
    End,
}

impl Way {
    fn enter(&mut self, name: &str) {
        if self.path != "/" {
            self.path.push('/');
        }
        self.path.push_str(name);
    }

    fn up(&mut self) {
        let parent = self.path.rfind('/').unwrap_or_default();
        self.path.truncate(parent.max(1));
        self.guessed = None;
    }
}

impl<'a> Parser<'a> {
    /// A menu, a command, or a command with its menu.
    pub(super) fn in_a_menu(&mut self) -> Option<Statement> {
        let start = self.cursor.at;
        let rooted = self.cursor.eat(b'/');
        let path = if rooted { "/" } else { self.menu.path() }.to_owned();
        let mut way = Way { start, path, walked: rooted, guessed: None };
        self.cursor.skip_blanks();
        loop {
            match self.walk(&mut way) {
                Walked::On => way.walked = true,
                Walked::To(statement) => return statement,
                Walked::End => return self.after_the_way(way),
            }
            if !self.cursor.eat(b'/') {
                self.cursor.skip_blanks();
            }
        }
    }

    /// One word further.
    fn walk(&mut self, way: &mut Way) -> Walked {
        let start = self.cursor.at;
        if self.cursor.rest().starts_with("..") && !self.cursor.peek_at(2).is_some_and(is_menu) {
            self.cursor.at += 2;
            way.up();
            return Walked::On;
        }
        let word = self.menu_word(way.walked);
        if word.is_empty() {
            return Walked::End;
        }
        if !self.ends_menu_word() {
            self.cursor.at = start;
            if way.walked {
                return Walked::End;
            }
            self.no_command_but(start, word);
            return Walked::To(None);
        }
        let name = |value| At { value, span: Span { start, end: start + word.len() } };
        match self.step_into(way, word) {
            Step::Into { name: into, certain } => {
                way.enter(&into);
                way.guessed = (!certain).then(|| name(into));
                Walked::On
            }
            Step::Command(full) => Walked::To(Some(self.menu_command(way, name(full)))),
            Step::Global(full) => Walked::To(Some(self.root_command(way, name(full)))),
            Step::Nothing => Walked::To(self.no_such_command(way, name(word.to_owned()))),
        }
    }

    /// The word of a menu or command that begins here, if one does.
    fn menu_word(&mut self, walked: bool) -> &'a str {
        let begins = match self.cursor.peek() {
            Some(b'a'..=b'z') => true,
            Some(b'.') => !walked,
            _ => false,
        };
        if begins { self.cursor.eat_while(is_menu) } else { "" }
    }

    /// Whether what follows a word can follow a menu or command.
    fn ends_menu_word(&self) -> bool {
        match self.cursor.peek() {
            None => true,
            Some(b'\\') => self.cursor.join().is_some(),
            Some(byte) => {
                byte.is_ascii_whitespace() || matches!(byte, b'/' | b';' | b'{' | b'[' | b')' | b']' | b'}')
            }
        }
    }

    fn step_into(&self, way: &Way, word: &str) -> Step {
        let children = menus::children(&way.path);
        let at_root = way.path == "/";
        let into = |name: &str, certain| Step::Into { name: name.to_owned(), certain };
        let step = match children {
            Some(names) if names.contains(&word) => into(word, true),
            _ if at_root && GLOBAL.contains(&word) => Step::Global(word.to_owned()),
            _ if !at_root && COMMON.contains(&word) || ACTIONS.contains(&word) => {
                Step::Command(word.to_owned())
            }
            Some(names) => match meant(word, names.iter().copied()) {
                Meant::One(name) => into(name, true),
                _ => common_command(word, at_root).map_or(Step::Nothing, Step::Command),
            },
            None if word == "ip" || word == "ipv6" || word.starts_with('.') => Step::Nothing,
            None => common_command(word, at_root).map_or_else(|| into(word, false), Step::Command),
        };
        match step {
            Step::Into { name, .. } if self.is_absent(&way.path, &name) => Step::Nothing,
            step => step,
        }
    }

    fn is_absent(&self, path: &str, name: &str) -> bool {
        let parent = path.strip_suffix('/').unwrap_or(path);
        self.absent
            .iter()
            .any(|absent| absent.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')) == Some(name))
    }

    fn menu_command(&mut self, way: &Way, name: At<String>) -> Statement {
        let command = self.new_command(way.start, Menu::at(&way.path), Scope::Menu, name);
        Statement::Run(self.finish(command))
    }

    fn root_command(&mut self, way: &Way, name: At<String>) -> Statement {
        let command = self.new_command(way.start, Menu::root(), Scope::Global, name);
        Statement::Run(self.finish(command))
    }

    /// After the last menu: nothing, a block, or what makes the last word a command after all.
    fn after_the_way(&mut self, mut way: Way) -> Option<Statement> {
        if self.at_command_end() {
            let end = self.cursor.since(way.start).trim_end().len() + way.start;
            self.menu = Menu::at(&way.path);
            let span = Span { start: way.start, end };
            return Some(Statement::Enter(At { value: self.menu.clone(), span }));
        }
        if self.cursor.peek() == Some(b'{') {
            return Some(self.block(way.start, Menu::at(&way.path)));
        }
        if let Some(name) = way.guessed.take() {
            way.up();
            return Some(self.menu_command(&way, name));
        }
        self.no_command(self.cursor.at);
        None
    }

    /// A word with something right behind it that no command has there, such as `e=1`.
    fn no_command_but(&mut self, start: usize, word: &str) {
        let end = start + word.len();
        let finding =
            Diagnostic::error(Code::NotACommand, Span { start, end }, format!("`{word}` is no command"))
                .here("no command has this right behind it");
        let finding = match self.follows_rule(start) {
            true => finding.help("if this is the rest of the line above, join the two"),
            false => finding,
        };
        self.report(finding);
        self.skip_command();
    }

    /// A word that is neither menu nor command. A router takes that until it gets there.
    fn no_such_command(&mut self, way: &Way, name: At<String>) -> Option<Statement> {
        let slash = self.cursor.at;
        if self.cursor.peek() == Some(b'/') {
            self.no_command(slash);
            return None;
        }
        let mut command = self.new_command(way.start, Menu::at(&way.path), Scope::Unknown, name);
        let rule_above = self.follows_rule(way.start);
        self.cursor.skip_blanks();
        if self.at_command_end() && self.is_absent(&way.path, &command.name.value) {
            self.menu = Menu::root();
        }
        command = self.finish(command);
        if rule_above && command.has_known_attributes() {
            let message =
                format!("`{}` is no command, but may be the rest of the line above", command.name.value);
            self.report(
                Diagnostic::error(Code::BrokenLine, command.name.span, message)
                    .help("join the two lines where one of them was broken"),
            );
        } else {
            self.unknown_command(&command);
        }
        Some(Statement::Run(command))
    }

    pub(super) fn unknown_command(&mut self, command: &Command) {
        if !self.wants(Severity::Warning) {
            return;
        }
        let (name, path) = (&command.name.value, command.menu.path());
        let finding = Diagnostic::warning(
            Code::UnknownCommand,
            command.name.span,
            format!("`{path}` has no command `{name}`"),
        )
        .note("a router says so when it gets here, and does nothing of what follows");
        let known = if command.menu.is_root() { GLOBAL } else { COMMON };
        self.report(match meant_perhaps(name, known.iter().copied()) {
            Some(meant) => finding.help(format!("did you mean `{meant}`?")),
            None => finding,
        });
    }
}

/// The common command that `word` is short for.
fn common_command(word: &str, at_root: bool) -> Option<String> {
    match meant(word, COMMON.iter().copied()) {
        Meant::One(name) if !at_root => Some(name.to_owned()),
        _ => None,
    }
}
