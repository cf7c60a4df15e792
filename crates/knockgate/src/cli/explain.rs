//! `knockgate explain`.

use clap::Args;
use knockgate_compiler::audit::{Subject, audit};
use knockgate_compiler::diag::{CATALOGUE, Code, Diagnostic, Entry, Source, Style, to_text};
use knockgate_compiler::frontend::{rsc, toml};
use knockgate_compiler::lower::lower;
use serde_json::json;

use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The code; without it, all of them are listed
    code: Option<String>,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let Some(code) = &options.code else {
        return list(output);
    };
    let Ok(code) = code.parse::<Code>() else {
        anyhow::bail!("there is no code `{code}`; `knockgate explain` lists them all");
    };
    let entry = Entry::of(code);
    if output.is_json() {
        output.print_json(&as_json(entry))?;
        return Ok(Answer::Fine);
    }
    output.print(&format!("\x1b[1m{}: {}\x1b[0m\n\n{}\n", entry.code, entry.title, wrapped(entry.why)))?;
    if let Some(wrong) = entry.wrong {
        output.print(&example(entry, wrong))?;
    }
    Ok(Answer::Fine)
}

/// `wrong`, and what is said of it.
fn example(entry: &Entry, wrong: &str) -> String {
    let (name, what) =
        if entry.is_of_scripts() { ("example.rsc", "script") } else { ("example.toml", "policy") };
    let shown = if entry.is_of_audits() {
        audited(entry, wrong)
    } else {
        to_text(&Source::new(name, wrong), &read(entry, wrong), Style::Plain)
    };
    format!("\nFor example, in this {what}:\n\n{}\n{shown}", indented(wrong))
}

/// What is found by reading it.
fn read(entry: &Entry, wrong: &str) -> Vec<Diagnostic> {
    if !entry.is_of_scripts() {
        return toml::parse(wrong).1;
    }
    // A few lines are no whole firewall; what else there is to say of them is beside the point.
    let mut findings = rsc::read(wrong, &rsc::translate::Options::default()).findings;
    findings.retain(|finding| finding.code == entry.code);
    findings
}

/// What is found by auditing it.
fn audited(entry: &Entry, wrong: &str) -> String {
    let policy = if entry.is_of_scripts() { None } else { toml::parse(wrong).0 };
    let program = match &policy {
        Some(policy) => Some(lower(policy)),
        None => rsc::read(wrong, &rsc::translate::Options::default()).program,
    };
    let Some(program) = program else { return String::new() };
    let audit = audit(&Subject { program: &program, policy: policy.as_ref() });
    let found = audit.findings().filter(|finding| finding.code == entry.code);
    found.map(|finding| format!("{}[{}]: {}\n", finding.risk.as_str(), finding.code, finding.says)).collect()
}

fn list(output: &Output) -> anyhow::Result<Answer> {
    for entry in CATALOGUE {
        if output.is_json() {
            output.print_json(&as_json(entry))?;
        } else {
            output.print(&format!("{}  {}\n", entry.code, entry.title))?;
        }
    }
    Ok(Answer::Fine)
}

fn as_json(entry: &Entry) -> serde_json::Value {
    json!({ "code": entry.code.as_str(), "title": entry.title, "why": entry.why, "wrong": entry.wrong })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Broken into lines of at most 90 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut().filter(|line| line.is_empty() || line.len() + word.len() < 90) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
