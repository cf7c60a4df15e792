//! How an option or an argument is written and described.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction};

use super::{bold, paragraphs, placeholder, prose};

/// In a synopsis: `[--name NAME]...`.
pub fn usage(arg: &Arg) -> String {
    let text = match (arg.get_short(), arg.get_long()) {
        (Some(short), _) => format!("{}{}", bold(&format!("-{short}")), after(arg, "\\ ")),
        (None, Some(long)) => format!("{}{}", bold(&format!("--{long}")), after(arg, "\\ ")),
        (None, None) => value(arg),
    };
    let more = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    let text = if arg.is_required_set() { text } else { format!("[{text}]") };
    if more { format!("{text}...") } else { text }
}

/// An entry of a list: how it is written, and what it does.
pub fn entry(arg: &Arg, placeholders: &BTreeSet<String>) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let (first, more) = help.split_once("\n\n").unwrap_or((&help, ""));
    let mut text = format!("\n.TP\n{}\n{}{}", heading(arg), prose(first, placeholders), default(arg));
    if !more.is_empty() {
        text.push_str(&format!("\n.IP\n{}", paragraphs(more, ".IP", placeholders)));
    }
    text + &values(arg, placeholders)
}

fn heading(arg: &Arg) -> String {
    let short = arg.get_short_and_visible_aliases().unwrap_or_default();
    let long = arg.get_long_and_visible_aliases().unwrap_or_default();
    let short = short.into_iter().map(|letter| bold(&format!("-{letter}")));
    let names: Vec<String> = short.chain(long.into_iter().map(|word| bold(&format!("--{word}")))).collect();
    if names.is_empty() { value(arg) } else { format!("{}{}", names.join(", "), after(arg, " ")) }
}

/// What follows the name of an option.
fn after(arg: &Arg, gap: &str) -> String {
    let value = value(arg);
    match arg.get_num_args().map(|count| count.min_values()) {
        _ if value.is_empty() => value,
        Some(0) if arg.is_require_equals_set() => format!("[={value}]"),
        Some(0) => format!("{gap}[{value}]"),
        _ if arg.is_require_equals_set() => format!("={value}"),
        _ => format!("{gap}{value}"),
    }
}

/// `text|json`, or what stands for a value; nothing if none is taken.
fn value(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let possible = arg.get_possible_values();
    let possible: Vec<String> =
        possible.iter().filter(|value| !value.is_hide_set()).map(|value| bold(value.get_name())).collect();
    if possible.is_empty() || arg.is_hide_possible_values_set() {
        let names = arg.get_value_names().unwrap_or_default();
        return names.iter().map(|name| placeholder(name)).collect::<Vec<_>>().join(" ");
    }
    possible.join("|")
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() || arg.is_hide_default_value_set() {
        return String::new();
    }
    let values: Vec<String> =
        arg.get_default_values().iter().map(|value| bold(&value.to_string_lossy())).collect();
    if values.is_empty() { String::new() } else { format!("\nThe default is {}.", values.join(", ")) }
}

/// What each possible value means, where that is said.
fn values(arg: &Arg, placeholders: &BTreeSet<String>) -> String {
    if !arg.get_action().takes_values() || arg.is_hide_possible_values_set() {
        return String::new();
    }
    let said =
        arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).filter_map(|value| {
            let help = prose(&value.get_help()?.to_string(), placeholders);
            Some(format!("\n.TP\n{}\n{help}", bold(value.get_name())))
        });
    let said: String = said.collect();
    if said.is_empty() { said } else { format!("\n.RS{said}\n.RE") }
}
