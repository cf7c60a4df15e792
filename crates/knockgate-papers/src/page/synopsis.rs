//! The forms in which a program can be called.

use clap::{Arg, Command};

use super::{Program, Task, argument, bold, placeholder, taken};

/// A form for each task, and for a task that says its forms itself, these.
pub fn of(program: &Program<'_>) -> String {
    let forms: Vec<Vec<String>> = if program.tasks.is_empty() {
        forms("", program.root, &taken(program.root))
    } else {
        let forms = |task: &Task<'_>| forms(&task.words, task.command, &program.own(task));
        program.tasks.iter().flat_map(forms).collect()
    };
    let name = program.root.get_name();
    let forms: String = forms.iter().map(|form| format!(".SY {name}\n{}", printed(form))).collect();
    format!("{forms}.YS")
}

/// Each as its parts, set already.
fn forms(words: &str, task: &Command, own: &[&Arg]) -> Vec<Vec<String>> {
    if let Some(usage) = task.get_overridden_usage() {
        let usage = usage.to_string();
        return usage.lines().map(|line| line.split_whitespace().skip(1).map(set).collect()).collect();
    }
    let words = words.split_whitespace().map(bold);
    let own = own.iter().map(|arg| argument::usage(arg));
    vec![words.chain([placeholder("[OPTIONS]")]).chain(own).collect()]
}

fn set(word: &str) -> String {
    let is_typed = word.starts_with(|c: char| c == '-' || c.is_ascii_lowercase());
    if is_typed { bold(word) } else { placeholder(word) }
}

/// A part a line. A point at the end of one would be the end of a sentence.
fn printed(form: &[String]) -> String {
    form.iter().map(|part| format!("{part}{}\n", if part.ends_with('.') { "\\&" } else { "" })).collect()
}
