//! `knockgate shell`: RouterOS's terminal, as far as its firewall goes, over a program.

mod live;
mod play;
mod session;
mod show;
mod terminal;
mod words;

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::input::{MAX_SCRIPT, ScriptOptions, read};
use super::output::{Answer, Output};
use session::{Session, Then};
use terminal::{Terminal, Typed};

#[derive(Debug, Args)]
pub struct Options {
    /// A RouterOS script to begin with
    file: Option<PathBuf>,
    #[command(flatten)]
    script: ScriptOptions,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut session = Session::new(output, options.script.clone(), on_terminal);
    if let Some(file) = &options.file {
        match read(file, MAX_SCRIPT, output)? {
            Ok(text) => session.load(file, &text.text)?,
            Err(answer) => return Ok(answer),
        }
    }
    if on_terminal {
        at_terminal(&mut session)?
    } else {
        from_pipe(&mut session)?
    }
    Ok(if session.had_errors() && !on_terminal { Answer::Findings } else { Answer::Fine })
}

fn at_terminal(session: &mut Session<'_>) -> anyhow::Result<()> {
    session.greet()?;
    let mut terminal = Terminal::open().context("the terminal cannot be set up")?;
    let mut pending = String::new();
    loop {
        match terminal.line(session, !pending.is_empty())? {
            Typed::Line(line) if pending.is_empty() && line.trim_end().contains('\n') => {
                if session.paste(&line)? == Then::Quit {
                    return Ok(());
                }
            }
            Typed::Line(line) => {
                pending.push_str(&line);
                pending.push('\n');
                match session.enter(&pending, true)? {
                    Then::More => {}
                    Then::GoOn => pending.clear(),
                    Then::Quit => return Ok(()),
                }
            }
            Typed::Nothing => pending.clear(),
            Typed::End => return Ok(()),
        }
    }
}

fn from_pipe(session: &mut Session<'_>) -> anyhow::Result<()> {
    let mut input = io::stdin().lock().take(MAX_SCRIPT as u64);
    let mut pending = String::new();
    loop {
        let mut line = vec![];
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // What is no text is no command either, and is told as such.
        pending.push_str(&String::from_utf8_lossy(&line));
        if !pending.ends_with('\n') {
            pending.push('\n');
        }
        match session.enter(&pending, true)? {
            Then::More => {}
            Then::GoOn => pending.clear(),
            Then::Quit => return Ok(()),
        }
    }
    if !pending.is_empty() {
        session.enter(&pending, false)?;
    }
    Ok(())
}
