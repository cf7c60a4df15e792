//! What a router answers: `print`, `find` and `export`.

use std::collections::BTreeMap;

use knockgate::target::nft::Count;
use knockgate_compiler::backend::nft::Counted;
use knockgate_compiler::diag::{At, Code, Span};
use knockgate_compiler::frontend::rsc::ast::{Argument, Command, Content, Scope, Statement, Value};
use knockgate_compiler::frontend::rsc::config::{Config, Item};
use knockgate_compiler::frontend::rsc::table::{self, Row};
use knockgate_compiler::frontend::rsc::{parse, quoted};

use super::live::{self, Force, Member};
use super::session::Session;

/// What there is to be shown.
pub(super) struct Shown<'a, 'o> {
    /// What is held now.
    pub(super) config: &'a Config,
    /// What it was read from.
    pub(super) text: &'a str,
    pub(super) session: &'a Session<'o>,
}

/// Columns of the terminal, or as many as are usual.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map_or(80, |size| usize::from(size.ws_col)).clamp(40, 200)
}

/// Puts what a statement shows into `answer`, and what there is to know about it into `notes`.
pub(super) fn answer(
    shown: &Shown<'_, '_>,
    statement: &Statement,
    answer: &mut String,
    notes: &mut Vec<String>,
) {
    let Statement::Run(command) = statement else { return };
    let path = command.menu.known().map(|known| known.path);
    match (command.scope, command.name.value.as_str(), path) {
        (Scope::Menu | Scope::Global, "export", _) => {
            if command.attribute("file").is_some() {
                notes.push("no file was written: `save FILE` does that".to_owned());
            }
            let terse = plain(command).any(|word| word == "terse");
            answer.push_str(&export(shown.config, command.menu.path(), !terse));
        }
        (Scope::Menu, "find", Some(path)) => {
            notes.extend(untold(shown.config, command));
            answer.push_str(&find(shown, path, command));
        }
        (Scope::Menu, "print", Some(path)) => {
            notes.extend(untold(shown.config, command));
            shown.print(path, command, answer, notes);
        }
        _ => {}
    }
}

fn plain(command: &Command) -> impl Iterator<Item = &str> {
    command.plain().filter_map(|value| value.text())
}

/// The ids of what is found, as `:put [find ...]` shows them.
fn find(shown: &Shown<'_, '_>, path: &str, command: &Command) -> String {
    let mut config = shown.config.clone();
    // What it finds is what a print of the same would show. What is wrong with it was told already.
    drop(config.run(&Statement::Run(print_of(command))));
    let ids: Vec<String> = config.numbered(path).map(|(_, item)| format!("*{:X}", item.id)).collect();
    if ids.is_empty() { String::new() } else { format!("{}\n", ids.join(";")) }
}

/// Why the conditions of `command` find nothing here, if that is because only a router can tell.
fn untold(config: &Config, command: &Command) -> Option<String> {
    command.conditions.as_ref()?;
    let span = command.span;
    let named = |name: &str| At { value: name.to_owned(), span };
    let find = Command { name: named("find"), arguments: vec![], ..command.clone() };
    let content = Content::Result(vec![Statement::Run(find)]);
    let arguments = vec![Argument::Plain(Value { span, negated: false, content })];
    // A command that acts on what is found says so; on a copy, nothing comes of that.
    let acting = Command { name: named("enable"), arguments, conditions: None, ..command.clone() };
    let findings = config.clone().run(&Statement::Run(acting));
    let told = findings.into_iter().find(|finding| finding.code == Code::NotFollowed)?;
    Some(format!("{}: {}", told.message, told.primary.text))
}

fn print_of(command: &Command) -> Command {
    let name = At { value: "print".to_owned(), span: command.name.span };
    Command { name, ..command.clone() }
}

impl Shown<'_, '_> {
    fn print(&self, path: &'static str, command: &Command, answer: &mut String, notes: &mut Vec<String>) {
        let word = |full: &str| plain(command).any(|word| word.len() > 1 && full.starts_with(word));
        let lists = path.ends_with("/address-list");
        let mut with_members = None;
        if lists {
            let (members, note) = self.members(path);
            notes.extend(note);
            with_members = Some(with(self.config, path, &members, command));
        }
        let config = with_members.as_ref().unwrap_or(self.config);
        let items: Vec<(u32, &Item)> = config.numbered(path).collect();
        let columns = |names: &[&str]| {
            let rows: Vec<_> =
                items.iter().map(|(number, item)| (*number, Row::of(item, names, self.text))).collect();
            table::columns(names, &rows)
        };
        let text = if word("count-only") {
            format!("{}\n", items.len())
        } else if word("stats") && is_rules(path) {
            self.stats(&items, notes)
        } else if word("detail") {
            table::lines(&items, self.text, width())
        } else if word("terse") {
            table::lines(&items, self.text, usize::MAX)
        } else {
            match path {
                _ if lists => columns(&["list", "address", "timeout"]),
                "/interface/list" => columns(&["name", "include", "exclude"]),
                "/interface/list/member" => columns(&["list", "interface"]),
                "/ip/firewall/layer7-protocol" => columns(&["name", "regexp"]),
                _ => table::lines(&items, self.text, width()),
            }
        };
        answer.push_str(&text);
    }

    /// Those that rules put on lists: in the kernel, if these rules are in force, or in the simulator.
    fn members(&self, path: &str) -> (Vec<Member>, Option<String>) {
        let Some(program) = self.session.program_read() else { return (vec![], None) };
        let v6 = path.starts_with("/ipv6");
        if !live::has_timed(program) {
            return (vec![], None);
        }
        let why = match live::force(program) {
            Force::Applied { .. } => match live::members(program, v6) {
                Ok(members) => return (members, None),
                Err(error) => error.to_string(),
            },
            Force::Not => "these rules are not in force on this host".to_owned(),
            Force::Unknown(why) => why,
        };
        match self.session.played.members(program, v6) {
            Some((at, members)) => (members, Some(format!("{why}: D is what the simulator has at {at}"))),
            None => (vec![], Some(format!("{why}: only what was typed is shown"))),
        }
    }

    fn stats(&self, items: &[(u32, &Item)], notes: &mut Vec<String>) -> String {
        let program = self.session.program_read();
        let force = program.map_or(Force::Not, live::force);
        let (counts, note) = match force {
            Force::Applied { counts: true } => match live::counts() {
                Ok(counts) => (counts, None),
                Err(error) => (BTreeMap::new(), Some(error.to_string())),
            },
            Force::Applied { counts: false } => {
                (BTreeMap::new(), Some("in force without counters: `apply counters` adds them".to_owned()))
            }
            Force::Not => {
                let why = "these rules are not in force on this host: `apply counters` changes that";
                (BTreeMap::new(), Some(why.to_owned()))
            }
            Force::Unknown(why) => (BTreeMap::new(), Some(why)),
        };
        notes.extend(note);
        let mut by_span: BTreeMap<Span, Count> = BTreeMap::new();
        for (chain, part) in program.iter().flat_map(|program| program.chains().iter().enumerate()) {
            for (rule, step) in part.rules.iter().enumerate() {
                let count = counts.get(&Counted { chain, rule }).copied().unwrap_or_default();
                by_span.extend(step.origin.span.map(|span| (span, count)));
            }
        }
        let rows: Vec<(u32, Row)> = items
            .iter()
            .map(|(number, item)| {
                let count = by_span.get(&item.span).copied().unwrap_or_default();
                let text = |name| item.text(name).map(str::to_owned);
                let action = text("action").unwrap_or_else(|| "accept".to_owned());
                let cells = [text("chain").unwrap_or_default(), action];
                let numbers = [count.bytes.to_string(), count.packets.to_string()];
                (*number, Row { cells: [cells, numbers].concat(), ..Row::of(item, &[], self.text) })
            })
            .collect();
        table::columns(&["chain", "action", "bytes", "packets"], &rows)
    }
}

fn is_rules(path: &str) -> bool {
    ["filter", "nat", "raw", "mangle"].iter().any(|table| path.ends_with(table))
}

/// What is held with what rules have put on lists, as `command` prints it.
fn with(config: &Config, path: &str, members: &[Member], command: &Command) -> Config {
    let mut config = config.clone();
    for Member { list, address, left_s } in members {
        let left = table::time_left(*left_s);
        let (script, _) =
            parse(&format!("{path}/add list={} address={address} timeout={left}", quoted(list)));
        // One that is there for good stays so: a router refuses the other.
        script.statements.iter().for_each(|statement| drop(config.run(statement)));
    }
    drop(config.run(&Statement::Run(print_of(command))));
    config
}

/// What is held in the menu at `path` and below, with lines broken as routers break them.
pub(super) fn export(config: &Config, path: &str, broken: bool) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in config.export().lines() {
        if line.starts_with('/') {
            let menu = line.replace(' ', "/");
            inside = path == "/" || menu == path || menu.starts_with(&format!("{path}/"));
        }
        if inside {
            out.push_str(&if broken { break_line(line) } else { line.to_owned() });
            out.push('\n');
        }
    }
    out
}

/// Characters of an exported line.
const EXPORTED: usize = 79;

/// A command on several lines, each but the last ending in a backslash.
fn break_line(line: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    let mut in_quotes = false;
    for (nth, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if nth > 0 && !in_quotes && column + 1 + length > EXPORTED - 2 {
            out.push_str(" \\\n    ");
            column = 4;
        } else if nth > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        in_quotes ^= quotes(word) % 2 == 1;
    }
    out
}

/// Quotes that begin or end a text.
fn quotes(word: &str) -> usize {
    let mut escaped = false;
    let counts = |character: &char| match (std::mem::take(&mut escaped), character) {
        (false, '\\') => {
            escaped = true;
            false
        }
        (escaped, character) => !escaped && *character == '"',
    };
    word.chars().filter(counts).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_lines_are_broken_at_blanks_outside_of_quotes() {
        let quoted = format!("comment=\"{}\"", "a b \\\" ".repeat(12));
        let line = format!("add action=add-src-to-address-list address-list=333 {quoted} dst-port=333");
        let broken = break_line(&line);
        assert_eq!(
            broken,
            format!(
                "add action=add-src-to-address-list address-list=333 \\\n    {quoted} \\\n    dst-port=333"
            )
            .replace("333 \\\n    comment", "333 comment")
        );
    }
}
