//! Lines that are edited at a terminal.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use knockgate_compiler::frontend::rsc::complete::{Names, complete};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, CompletionType, Config, Context, Editor, Helper};

use super::session::Session;
use super::words;

/// What came of asking for a line.
pub(super) enum Typed {
    Line(String),
    /// It was given up: Ctrl-C.
    Nothing,
    /// There are no more: Ctrl-D.
    End,
}

/// A terminal with a memory of what was typed.
pub(super) struct Terminal {
    editor: Editor<Completion, FileHistory>,
    history: Option<PathBuf>,
}

/// Lines that are remembered.
const REMEMBERED: usize = 1000;

impl Terminal {
    pub(super) fn open() -> rustyline::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .max_history_size(REMEMBERED)?
            .history_ignore_space(true)
            .behavior(Behavior::Stdio)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completion::default()));
        let history = history();
        if let Some(path) = history.as_ref().filter(|path| path.exists()) {
            // A history that cannot be read is one that begins today.
            editor.load_history(path).unwrap_or_default();
        }
        Ok(Self { editor, history })
    }

    /// The next line, or the rest of the last one.
    pub(super) fn line(&mut self, session: &Session<'_>, rest: bool) -> rustyline::Result<Typed> {
        let prompt = if rest { "... ".to_owned() } else { session.prompt() };
        self.editor
            .set_helper(Some(Completion { path: session.menu.path().to_owned(), names: session.names() }));
        match self.editor.readline(&prompt) {
            Ok(line) => {
                self.remember(&line);
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error),
        }
    }

    /// That a line is not remembered is no reason to stop.
    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || is_secret(line) || line.contains('\n') {
            return;
        }
        if let (Ok(true), Some(path)) = (self.editor.add_history_entry(line), &self.history) {
            self.editor.append_history(path).unwrap_or_default();
        }
    }
}

/// Whether a line has in it what nobody else may read.
fn is_secret(line: &str) -> bool {
    const SECRET: [&str; 9] =
        ["password", "passphrase", "secret", "key", "psk", "token", "community", "content", "regexp"];
    let names = line.split('=').filter_map(|before| before.split([' ', '"', '[']).next_back());
    names.take(line.matches('=').count()).any(|name| SECRET.iter().any(|secret| name.ends_with(secret)))
}

/// `$XDG_STATE_HOME/knockgate/shell_history`, in a folder that is there.
fn history() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = state.or_else(home)?.join("knockgate");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder.join("shell_history"))
}

/// What completes words.
#[derive(Default)]
struct Completion {
    path: String,
    names: Names,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or_default();
        let found = complete(before, &self.path, &self.names, &words::all());
        Ok((found.start, found.words))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_secrets_are_not_remembered() {
        for line in ["add content=abc", "set 0 wpa2-pre-shared-key=x", "/user add name=a password=b"] {
            assert!(is_secret(line), "{line}");
        }
        for line in ["add chain=input dst-port=333", "print where comment=content", "add comment=\"key\""] {
            assert!(!is_secret(line), "{line}");
        }
    }
}
