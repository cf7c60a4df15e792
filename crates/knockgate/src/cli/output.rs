//! Results on standard output, findings and failures on standard error.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use clap::{Args, ValueEnum};
use knockgate_compiler::diag::{Diagnostic, Severity, Source, Style, to_json, to_text};
use serde_json::{Value, json};

/// Options of every command.
#[derive(Debug, Args)]
pub struct Options {
    /// How to print results
    ///
    /// `compile`, `metrics`, `schema`, `man` and `completions` have one form only.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Whether to use colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs, a JSON value a line
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also in pipes and files
    Always,
    /// Not at all
    Never,
}

/// How a command went, as its exit status tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All is well: 0.
    Fine,
    /// There are findings: 1.
    Findings,
    /// It could not be done: 2.
    Failed,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Fine => Self::from(0),
            Answer::Findings => Self::from(1),
            Answer::Failed => Self::from(2),
        }
    }
}

/// Where and how to print.
#[derive(Debug)]
pub struct Output {
    json: bool,
    choice: ColorChoice,
}

impl Output {
    /// As the options say.
    pub fn new(options: &Options) -> Self {
        let choice = match options.color {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        };
        Self { json: options.format == Format::Json, choice }
    }

    /// Whether results are for programs.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether results have colours.
    pub fn is_coloured(&self) -> bool {
        AutoStream::new(io::stdout(), self.choice).current_choice() != ColorChoice::Never
    }

    /// Whether a person watches standard error, so that progress is worth showing.
    pub fn is_watched(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// A result, with ANSI styles where it has them. Whoever closes the pipe has read enough.
    pub fn print(&self, text: &str) -> io::Result<()> {
        let mut stdout = AutoStream::new(io::stdout(), self.choice).lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// A result for programs, on a line of its own.
    pub fn print_json(&self, value: &Value) -> io::Result<()> {
        self.print(&format!("{value}\n"))
    }

    /// Something beside the result. That nobody can be told is no reason to stop.
    pub fn tell(&self, text: &str) {
        let mut stderr = AutoStream::new(io::stderr(), self.choice).lock();
        stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).unwrap_or_default();
    }

    /// Something that went well, but perhaps not as meant.
    pub fn warn(&self, text: &str) {
        self.tell(&format!("\x1b[1;33mwarning\x1b[0m: {text}\n"));
    }

    /// Findings about a text.
    pub fn findings(&self, source: &Source<'_>, findings: &[Diagnostic]) {
        let styled = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        let coloured = match self.choice {
            ColorChoice::Auto => styled,
            choice => choice != ColorChoice::Never,
        };
        let style = if coloured { Style::Coloured } else { Style::Plain };
        self.tell(&to_text(source, findings, style));
    }

    /// Findings about a text, where they are the result.
    pub fn report(&self, source: &Source<'_>, findings: &[Diagnostic]) -> io::Result<()> {
        if self.json {
            let file = json!({ "file": source.name(), "findings": to_json(source, findings) });
            return self.print_json(&file);
        }
        self.findings(source, findings);
        Ok(())
    }

    /// A failure: one line of what, and why.
    pub fn failure(&self, error: &anyhow::Error) -> ExitCode {
        if self.json {
            let text = json!({ "error": format!("{error:#}") });
            self.print_json(&text).unwrap_or_default();
        } else {
            self.tell(&format!("\x1b[1;31merror\x1b[0m: {error:#}\n"));
        }
        Answer::Failed.into()
    }
}

/// `3 errors and 1 warning`.
pub fn counted(findings: &[Diagnostic]) -> String {
    let count = |severity, what: &str| {
        let number = findings.iter().filter(|finding| finding.severity == severity).count();
        (number > 0).then(|| format!("{number} {what}{}", if number == 1 { "" } else { "s" }))
    };
    let counts: Vec<String> = [count(Severity::Error, "error"), count(Severity::Warning, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if counts.is_empty() { "no findings".to_owned() } else { counts.join(" and ") }
}

/// Writes a file that is not there yet, for its owner alone: what knocks are is a secret.
pub fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let mut file =
        options.create_new(true).write(true).mode(0o600).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!("`{}` is there already; name another file", path.display())
            }
            _ => anyhow::anyhow!("`{}` cannot be written: {error}", path.display()),
        })?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing `{}`", path.display()))
}
