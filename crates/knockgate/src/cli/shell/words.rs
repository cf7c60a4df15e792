//! Words that routers do not have.

use std::io;
use std::path::Path;

use knockgate::logbook::Entry;
use knockgate::target::nft::{Done, Doubt, doubts};
use knockgate_compiler::backend::Unsayable;
use knockgate_compiler::backend::nft::print;
use knockgate_compiler::diag::Source;
use knockgate_compiler::frontend::rsc::complete::complete;
use knockgate_compiler::program::Program;
use knockgate_compiler::time::Moment;

use super::super::input::{live_rules, passed_over, read};
use super::super::log;
use super::super::output::counted;
use super::super::place::Place;
use super::session::{NAME, Session, Then};
use super::{MAX_SCRIPT, live, show};

/// Each with what it takes and does.
const WORDS: &[(&str, &str, &str)] = &[
    ("apply", "[counters]", "put these rules in force on this host, and count what they meet"),
    ("check", "", "tell all there is to say about these rules"),
    ("help", "", "show this; a `?` at the end of a line tells what can follow"),
    ("knock", "SOURCE PORT/PROTOCOL...", "try knocks, a second apart"),
    ("load", "FILE", "type the lines of a script"),
    ("quit", "", "leave; so does Ctrl-D"),
    ("save", "FILE", "write these rules as a script"),
    ("simulate", "TIME SOURCE PORT/PROTOCOL [WORDS]", "try a packet at a time of your choice"),
];

/// The words, for completion.
pub(super) fn all() -> Vec<&'static str> {
    WORDS.iter().map(|(word, ..)| *word).collect()
}

/// The word of ours that a line begins with.
pub(super) fn first(line: &str) -> Option<&'static str> {
    let line = line.trim();
    if asks(line) {
        return Some("?");
    }
    let word = line.split_whitespace().next()?;
    let word = word.strip_prefix('/').filter(|word| *word == "quit").unwrap_or(word);
    WORDS.iter().map(|(known, ..)| *known).find(|known| *known == word)
}

/// Whether a line ends with a question mark that is no part of a value.
fn asks(line: &str) -> bool {
    let Some(before) = line.strip_suffix('?') else { return false };
    let last = before.rsplit([' ', '\t', '[']).next().unwrap_or_default();
    let in_value = last.contains('=') && !last.ends_with('=');
    !in_value && before.matches('"').count() % 2 == 0 && !line.starts_with('#')
}

/// Carries out a line that begins with a word of ours.
pub(super) fn run(session: &mut Session<'_>, word: &str, line: &str) -> anyhow::Result<Then> {
    let line = line.trim();
    let rest: Vec<&str> = line.split_whitespace().skip(1).collect();
    match (word, rest.as_slice()) {
        ("quit", []) => return Ok(Then::Quit),
        ("?", _) if line != "?" => what_follows(session, line.trim_end_matches('?'))?,
        ("help" | "?", _) => help(session)?,
        ("check", []) => check(session)?,
        ("knock", [source, knocks @ ..]) if !knocks.is_empty() => knock(session, source, knocks)?,
        ("simulate", [_, _, _, ..]) => play(session, &format!("{}\n", rest.join(" ")))?,
        ("apply", []) => apply(session, false)?,
        ("apply", ["counters"]) => apply(session, true)?,
        ("save", [file]) => save(session, Path::new(file))?,
        ("load", [file]) => load(session, Path::new(file))?,
        _ => {
            let takes = WORDS.iter().find(|(known, ..)| *known == word).map_or("", |(_, takes, _)| takes);
            session.refuse(&format!("it is `{}`", format!("{word} {takes}").trim_end()));
        }
    }
    Ok(Then::GoOn)
}

fn help(session: &Session<'_>) -> anyhow::Result<()> {
    let mut text = String::from(
        "\x1b[1mAs on a router\x1b[0m: menus by words or slashes (`ip firewall filter`, `/ip/firewall`),\n\
         add, print (detail, stats, count-only, terse, where ...), set, unset, remove,\n\
         move, enable, disable, comment, find, export. Numbers are those of the last\n\
         print. Tab completes; names may be shortened; a line may go on after `\\`.\n\n\
         \x1b[1mBeyond that\x1b[0m\n",
    );
    for (word, takes, does) in WORDS {
        let usage = format!("{word} {takes}");
        if usage.len() > 16 {
            text.push_str(&format!("  {usage}\n  {:<16} {does}\n", ""));
        } else {
            text.push_str(&format!("  {usage:<16} {does}\n"));
        }
    }
    Ok(session.output.print(&text)?)
}

/// `add ?`, `/ip/firewall/ ?`
fn what_follows(session: &Session<'_>, line: &str) -> anyhow::Result<()> {
    let found = complete(line, session.menu.path(), &session.names(), &all());
    let words: Vec<String> = found.words.iter().map(|word| word.trim_end().to_owned()).collect();
    let widest = words.iter().map(|word| word.chars().count()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for row in words.chunks((show::width() / widest).max(1)) {
        let row: String = row.iter().map(|word| format!("{word:<widest$}")).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    if words.is_empty() {
        text.push_str("nothing is known to follow\n");
    }
    Ok(session.output.print(&text)?)
}

fn check(session: &mut Session<'_>) -> anyhow::Result<()> {
    let findings = session.reading().findings.clone();
    session.output.findings(&Source::new(NAME, &session.text), &findings);
    Ok(session.output.print(&format!("{}\n", counted(&findings)))?)
}

/// The program, or none with what keeps it from being one told.
fn program(session: &mut Session<'_>) -> Option<Program> {
    let program = session.reading().program.clone();
    if program.is_none() {
        session.refuse("these rules have no one meaning: `check` tells why");
    }
    program
}

fn knock(session: &mut Session<'_>, source: &str, knocks: &[&str]) -> anyhow::Result<()> {
    let Some(program) = program(session) else { return Ok(()) };
    let first = session.played.last(&program).map_or(0, |last| last.as_millis() + 1000);
    let at = |nth: u64| Moment::from_millis(first + nth * 1000);
    let lines: String =
        (0..).zip(knocks).map(|(nth, knock)| format!("{} {source} {knock}\n", at(nth))).collect();
    play(session, &lines)
}

fn play(session: &mut Session<'_>, lines: &str) -> anyhow::Result<()> {
    let Some(program) = program(session) else { return Ok(()) };
    let outcome = session.played.play(&program, lines);
    if outcome.text.is_empty() && outcome.findings.is_empty() {
        session.refuse("too many knocks were tried on these rules");
    }
    if !outcome.findings.is_empty() {
        session.refuse_for(&outcome.source(), &outcome.findings);
    }
    Ok(session.output.print(&outcome.text)?)
}

fn apply(session: &mut Session<'_>, counters: bool) -> anyhow::Result<()> {
    let Some(program) = program(session) else { return Ok(()) };
    if !session.script_options.partial && !passed_over(&session.reading().findings).is_empty() {
        session.refuse(
            "commands were passed over, so these rules may let in more; `check` tells which, and a shell that \
             was started with `--partial` goes on",
        );
        return Ok(());
    }
    let printed = if counters { live_rules(&program) } else { print(&program) };
    let ruleset = match printed {
        Ok(ruleset) => ruleset,
        Err(refused) => {
            let findings: Vec<_> = refused.iter().map(Unsayable::finding).collect();
            let text = session.text.clone();
            session.refuse_for(&Source::new(NAME, &text), &findings);
            return Ok(());
        }
    };
    for doubt in doubts(&program)? {
        match &doubt {
            // A router's interfaces have other names than ours, so nothing would be guarded.
            Doubt::NoInterface(_) => {
                session.refuse(&format!("{doubt}; start with `--interface NAME=IF` to say which is meant"));
                return Ok(());
            }
            _ => session.output.warn(&doubt.to_string()),
        }
    }
    let rules: usize = program.chains().iter().map(|chain| chain.rules.len()).sum();
    let rules = format!("{rules} rule{}", if rules == 1 { "" } else { "s" });
    if session.on_terminal && !agreed(session, &format!("put {rules} in force on this host? [y/N] "))? {
        return Ok(session.output.print("nothing was changed\n")?);
    }
    match live::apply(ruleset, &session.text, session.script_options.words()) {
        Ok(Done::Unchanged) => {
            session.output.print(&format!("{rules} in force already, nothing changed\n"))?
        }
        Ok(Done::Loaded(_)) => {
            log::write(None, Entry::Applied { policy: live::NAME.to_owned(), trial: None }, session.output);
            session.output.print(&format!("{rules} in force\n"))?
        }
        Err(error) => session.refuse(&error.to_string()),
    }
    Ok(())
}

fn agreed(session: &Session<'_>, question: &str) -> io::Result<bool> {
    session.output.print(question)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn save(session: &mut Session<'_>, file: &Path) -> anyhow::Result<()> {
    let text = show::export(&session.config, "/", false);
    let unknown = text.lines().filter(|line| line.starts_with("#error exporting")).count();
    if unknown > 0 {
        let items = items(unknown);
        session.refuse(&format!("{items} only the router can work out; nothing was written"));
        return Ok(());
    }
    let place = match Place::of(file) {
        Ok(place) => place,
        Err(error) => {
            session.refuse(&format!("{}: {error}", file.display()));
            return Ok(());
        }
    };
    if place.is_taken() {
        if session.on_terminal {
            if !agreed(session, &format!("overwrite {}? [y/N] ", file.display()))? {
                return Ok(session.output.print("nothing was written\n")?);
            }
        } else if !session.file.as_ref().is_some_and(|loaded| place.is(loaded)) {
            session.refuse(&format!("`{}` is there already; name another file", file.display()));
            return Ok(());
        }
    }
    match place.write(&text) {
        Ok(()) => {
            session.file = Some(file.to_owned());
            let written = items(session.config.menus().map(|(_, items)| items.len()).sum());
            session.output.print(&format!("{written} written to {}\n", file.display()))?;
        }
        Err(error) => session.refuse(&format!("{}: {error}", file.display())),
    }
    Ok(())
}

/// `1 item`, `2 items`.
fn items(count: usize) -> String {
    format!("{count} item{}", if count == 1 { "" } else { "s" })
}

fn load(session: &mut Session<'_>, file: &Path) -> anyhow::Result<()> {
    match read(file, MAX_SCRIPT, session.output)? {
        Ok(text) => session.load(file, &text.text),
        Err(_) => {
            session.failed();
            Ok(())
        }
    }
}
