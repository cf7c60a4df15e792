//! What the console parser of a real router (RouterOS 7.22.1) said of 40 scripts, against what we say.
//!
//! A script agrees if both take it, or both refuse it at the same line; and if both read the same
//! commands of the firewall and of interface lists in it, with the same attributes, values and
//! conditions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use knockgate_compiler::diag::{Code, Diagnostic, Severity, Source};
use knockgate_compiler::frontend::rsc::ast::{
    Argument, Block, Command, Condition, Conditions, Content, Scope, Statement, Value,
};
use knockgate_compiler::frontend::rsc::{duration, parse_without, truth};

/// What that router did not have: it had neither of the two packages, and no switch chip.
const ABSENT: &[&str] = &["/zerotier", "/container", "/interface/ethernet/switch/port default-vlan-id"];

/// The menus whose commands are compared.
const COMPARED: &[&str] = &["/ip/firewall/", "/ipv6/firewall/", "/interface/list"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/routeros/oracle")
}

#[test]
fn a_real_router_and_we_read_the_same_scripts_in_the_same_way() {
    let Ok(index) = std::fs::read_to_string(folder().join("INDEX.tsv")) else {
        assert!(std::env::var_os("CI").is_none(), "the oracle's scripts are missing");
        println!("not run: the oracle's scripts are not here");
        return;
    };
    let cases: Vec<_> = index.lines().skip(1).filter_map(|line| line.split_once('\t')).collect();
    let mut compared = 0;
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|(name, verdict)| match compare(name, verdict) {
            Ok(commands) => {
                compared += commands;
                None
            }
            Err(difference) => Some(format!("{name}: {difference}")),
        })
        .collect();
    println!(
        "{} of {} scripts agree, with {compared} commands",
        cases.len() - differences.len(),
        cases.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(cases.len(), 40);
    assert!(compared > 100, "only {compared} commands were compared");
}

fn compare(name: &str, verdict: &str) -> Result<usize, String> {
    let script = folder().join(name);
    let text = std::fs::read_to_string(&script).map_err(|error| error.to_string())?;
    let (ours, findings) = parse_without(&text, ABSENT);
    let theirs = refused_line(verdict);
    let here = findings.iter().find(|finding| is_refusal(finding)).map(|finding| line_of(&text, finding));
    if theirs != here {
        return Err(format!("refused by the router at line {theirs:?}, by us at {here:?}: {findings:?}"));
    }
    if theirs.is_some() {
        return Ok(0);
    }
    let parsed =
        std::fs::read_to_string(script.with_extension("parsed")).map_err(|error| error.to_string())?;
    let mut theirs = theirs_of(&parsed);
    let mut ours =
        all_commands(&ours.statements).into_iter().map(|command| ours_of(command, &text)).collect::<Vec<_>>();
    theirs.sort();
    ours.sort();
    let missing = theirs.iter().find(|command| !ours.contains(command));
    let extra = ours.iter().find(|command| !theirs.contains(command));
    match (missing, extra) {
        (None, None) if ours.len() == theirs.len() => Ok(ours.len()),
        (missing, extra) => Err(format!("of the router only {missing:#?}; of ours only {extra:#?}")),
    }
}

/// `error: syntax error (line 7 column 10)`
fn refused_line(verdict: &str) -> Option<usize> {
    let (_, place) = verdict.split_once("(line ")?;
    place.split(' ').next()?.parse().ok()
}

/// The router takes only commands; we also read what it shows, and say so.
fn is_refusal(finding: &Diagnostic) -> bool {
    finding.severity == Severity::Error || finding.code == Code::Output
}

fn line_of(text: &str, finding: &Diagnostic) -> usize {
    Source::new("", text).place(finding.primary.span.start).line
}

/// A command in a form that both sides can be brought to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    menu: String,
    name: String,
    attributes: BTreeSet<(String, Worth)>,
    /// `None` if there are too complex ones to compare.
    conditions: Option<BTreeSet<String>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Text { negated: bool, text: String },
    Variable(String),
    Computed,
}

impl Worth {
    fn of(negated: bool, text: &str) -> Self {
        let text = match (truth(text), duration(text)) {
            (Some(truth), _) => truth.to_string(),
            (_, Some(duration)) if !text.bytes().all(|byte| byte.is_ascii_digit()) => format!("{duration:?}"),
            _ => text.to_owned(),
        };
        Self::Text { negated, text }
    }
}

// Ours

fn all_commands(statements: &[Statement]) -> Vec<&Command> {
    let mut all = vec![];
    for statement in statements {
        match statement {
            Statement::Block(Block { statements, .. }) => all.extend(all_commands(statements)),
            Statement::Run(command) => {
                if command.scope == Scope::Menu && is_compared(command.menu.path()) {
                    all.push(command);
                }
                for inner in within(command) {
                    all.extend(all_commands(inner));
                }
            }
            Statement::Enter(_) | Statement::Table(_) => {}
        }
    }
    all
}

fn is_compared(path: &str) -> bool {
    COMPARED.iter().any(|start| path.starts_with(start))
}

fn within(command: &Command) -> Vec<&[Statement]> {
    let arguments = command.arguments.iter().filter_map(|argument| match argument {
        Argument::Set { value, .. } | Argument::Plain(value) => Some(value),
        Argument::Unset(_) => None,
    });
    let mut inner: Vec<_> = arguments.filter_map(inner_of).collect();
    match &command.conditions {
        Some(Conditions::All(all)) => inner.extend(all.iter().filter_map(|one| inner_of(&one.value))),
        Some(Conditions::Other { statements, .. }) => inner.push(statements),
        None => {}
    }
    inner
}

fn inner_of(value: &Value) -> Option<&[Statement]> {
    match &value.content {
        Content::Text(_) => None,
        Content::Result(inner)
        | Content::Element(inner, _)
        | Content::Block(inner)
        | Content::Computed(inner) => Some(inner),
    }
}

fn ours_of(command: &Command, source: &str) -> Said {
    let name = command.name.value.clone();
    let mut plain = unnamed(&name).iter();
    let attributes = command.arguments.iter().map(|argument| match argument {
        Argument::Set { name, value } => (name.value.clone(), our_worth(value, source)),
        Argument::Unset(name) => (name.value.clone(), Worth::of(false, "unset")),
        Argument::Plain(value) => match plain.next() {
            Some(name) => ((*name).to_owned(), our_worth(value, source)),
            None => (value.text().unwrap_or_default().to_owned(), Worth::of(false, "yes")),
        },
    });
    let conditions = match &command.conditions {
        None => Some(BTreeSet::new()),
        Some(Conditions::All(all)) => Some(all.iter().map(|one| our_condition(one, source)).collect()),
        Some(Conditions::Other { .. }) => None,
    };
    Said { menu: command.menu.path().to_owned(), attributes: attributes.collect(), name, conditions }
}

/// How the router calls what a command is given without a name.
fn unnamed(command: &str) -> &'static [&'static str] {
    match command {
        "set" | "remove" | "enable" | "disable" => &["numbers"],
        "get" => &["number", "value-name"],
        _ => &[],
    }
}

fn our_worth(value: &Value, source: &str) -> Worth {
    match value.text() {
        // `hop-limit=equal:1`, whose parts the router shows as those of a list.
        Some(text) if text.starts_with("equal:") => Worth::of(value.negated, &text.replace(':', ",")),
        Some(text) => Worth::of(value.negated, text),
        None => variable(value.raw(source)).map_or(Worth::Computed, Worth::Variable),
    }
}

/// The name of the variable that a value is.
fn variable(written: &str) -> Option<String> {
    let name = written.trim_matches('"').strip_prefix('$')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| name.to_owned())
}

fn our_condition(condition: &Condition, source: &str) -> String {
    let relation = condition.relation.as_str();
    let value = match our_worth(&condition.value, source) {
        Worth::Text { text, .. } => text,
        Worth::Variable(name) => format!("${name}"),
        Worth::Computed => "?".to_owned(),
    };
    format!("({relation} ${} {value})", condition.name.value)
}

// The router's: `(evl /ip/firewall/filter/addaction=accept;chain=input;dst-port=;22;80)`

fn theirs_of(parsed: &str) -> Vec<Said> {
    let starts = parsed.match_indices("(evl /").map(|(start, _)| &parsed[start..]);
    starts.filter_map(|text| said_by_router(balanced(text)?)).collect()
}

/// `text` up to the parenthesis that closes the first one.
fn balanced(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..=i);
        }
    }
    None
}

fn said_by_router(text: &str) -> Option<Said> {
    let text = text.strip_prefix("(evl ")?.strip_suffix(')')?;
    if !is_compared(text) {
        return None;
    }
    let end = text.find(['=', ' ', ';', '$']).unwrap_or(text.len());
    let (menu, rest) = text.split_at(text[..end].rfind('/')?);
    let rest = &rest[1..];
    let name =
        ["add", "set", "remove", "find", "get", "print"].into_iter().find(|name| rest.starts_with(name))?;
    let mut said = Said {
        menu: menu.to_owned(),
        name: name.to_owned(),
        attributes: BTreeSet::new(),
        conditions: Some(BTreeSet::new()),
    };
    for (name, parts) in named_parts(&rest[name.len()..]) {
        match name.as_str() {
            "where" => said.conditions = their_conditions(&parts),
            _ => {
                let worth = their_worth(&parts);
                said.attributes.insert((name, worth));
            }
        }
    }
    Some(said)
}

/// `a=;1;2;b=3` as `a`: ``, `1`, `2`, and `b`: `3`.
fn named_parts(text: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = vec![];
    for part in top_level_parts(text) {
        let named = part.split_once('=').filter(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        });
        match (named, all.last_mut()) {
            (Some((name, first)), _) => all.push((name.to_owned(), vec![first.to_owned()])),
            (None, Some((_, parts))) => parts.push(part.to_owned()),
            (None, None) => {}
        }
    }
    all
}

fn top_level_parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, vec![]);
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b';' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A matcher's value begins with a part of its own, which says whether it is negated.
fn their_worth(parts: &[String]) -> Worth {
    let (negated, parts) = match parts {
        [first, rest @ ..] if first.is_empty() && !rest.is_empty() => (false, rest),
        [first, rest @ ..] if first == "true" && !rest.is_empty() => (true, rest),
        all => (false, all),
    };
    let text = parts.join(",");
    match variable(&text) {
        Some(name) => Worth::Variable(name),
        None if text.starts_with('(') => Worth::Computed,
        None => Worth::of(negated, &text),
    }
}

/// The attributes that there are, then the condition, then a number.
fn their_conditions(parts: &[String]) -> Option<BTreeSet<String>> {
    let Some(condition) = parts.iter().find(|part| part.starts_with('(')) else {
        return Some(BTreeSet::new());
    };
    let several = condition.strip_prefix("(and ").or(condition.strip_prefix("(  "));
    let list = several.and_then(|list| list.strip_suffix(')')).unwrap_or(condition);
    let starts = list.match_indices('(').map(|(start, _)| start);
    let all: BTreeSet<String> =
        starts.filter_map(|start| balanced(&list[start..])).map(normal_condition).collect();
    let simple = all.iter().all(|one| one.matches('(').count() == 1 && !one.starts_with("(in "));
    simple.then_some(all)
}

fn normal_condition(text: &str) -> String {
    let inner = text.trim_matches(['(', ')']);
    let mut words = inner.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(relation), Some(name), Some(value)) if inner.matches('(').count() == 0 => {
            match Worth::of(false, value) {
                Worth::Text { text, .. } => format!("({relation} {name} {text})"),
                _ => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    }
}
