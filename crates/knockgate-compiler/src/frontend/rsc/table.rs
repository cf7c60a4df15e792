//! Items as a router shows them.

use std::fmt::Write;

use super::ast::Value;
use super::config::Item;
use super::quoted;
use crate::time::Lifetime;

/// What a router shows first of a rule, in its order; the rest follows as it was written.
const FIRST: &[&str] = &[
    "chain",
    "action",
    "jump-target",
    "reject-with",
    "connection-state",
    "connection-nat-state",
    "protocol",
    "src-address",
    "dst-address",
    "src-address-list",
    "dst-address-list",
    "address-list",
    "address-list-timeout",
    "in-interface",
    "out-interface",
    "in-interface-list",
    "out-interface-list",
    "src-port",
    "dst-port",
    "port",
];

/// What has a place of its own.
const APART: &[&str] = &["comment", "disabled"];

/// Characters before what an item has.
const INDENT: usize = 6;

/// Items on lines of `name=value`, as rules are shown, with at most `width` characters in each where
/// blanks allow it. `text` is what they were read from.
pub fn lines(items: &[(u32, &Item)], text: &str, width: usize) -> String {
    let mut out = String::from("Flags: X - disabled, I - invalid; D - dynamic\n");
    for (nth, (number, item)) in items.iter().enumerate() {
        if nth > 0 {
            out.push('\n');
        }
        let flag = if item.is_disabled() { "X" } else { "" };
        put(&mut out, format_args!("{number:>2} {flag:<2} "));
        if let Some(comment) = item.comment() {
            put(&mut out, format_args!(";;; {}\n{:INDENT$}", comment.replace('\n', " "), ""));
        }
        wrap(&mut out, &words(item, text), width);
    }
    out
}

/// `chain=input`, `action=accept` and the rest.
fn words(item: &Item, text: &str) -> Vec<String> {
    let action = item.get("chain").is_some() && item.get("action").is_none();
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut words: Vec<(usize, String)> = item
        .attributes
        .iter()
        .filter(|set| !APART.contains(&set.name.value.as_str()))
        .map(|set| (rank(&set.name.value), format!("{}={}", set.name.value, written(&set.value, text))))
        .chain(action.then(|| (rank("action"), "action=accept".to_owned())))
        .collect();
    words.sort_by_key(|(rank, _)| *rank);
    words.into_iter().map(|(_, word)| word).collect()
}

/// A value as it is typed; what only a router can work out, as it was.
fn written(value: &Value, text: &str) -> String {
    match value.text() {
        Some(known) => format!("{}{}", if value.negated { "!" } else { "" }, quoted(known)),
        None => value.raw(text).to_owned(),
    }
}

/// Puts words on lines that are indented, after what the first of them has already.
fn wrap(out: &mut String, words: &[String], width: usize) {
    let mut column = INDENT;
    for (nth, word) in words.iter().enumerate() {
        let length = word.chars().count();
        if nth > 0 && column + 1 + length > width {
            put(out, format_args!("\n{:INDENT$}", ""));
            column = INDENT;
        } else if nth > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// A row of a table in columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// It has no effect.
    pub disabled: bool,
    /// A rule made it, and it will be gone.
    pub dynamic: bool,
    /// Shown on a line above it.
    pub comment: Option<String>,
    /// A cell for each column; an empty one is blank.
    pub cells: Vec<String>,
}

impl Row {
    /// A row of what `item` has by these names.
    pub fn of(item: &Item, names: &[&str], text: &str) -> Self {
        let cell = |name: &&str| item.get(name).map(|value| written(value, text)).unwrap_or_default();
        Self {
            disabled: item.is_disabled(),
            dynamic: item.get("timeout").is_some(),
            comment: item.comment().map(str::to_owned),
            cells: names.iter().map(cell).collect(),
        }
    }

    fn flags(&self) -> String {
        format!("{}{}", if self.disabled { "X" } else { "" }, if self.dynamic { "D" } else { "" })
    }
}

/// Rows in columns, as what is short is shown. Columns after the first that nothing has are left out,
/// and so is everything where there are no rows.
pub fn columns(names: &[&str], rows: &[(u32, Row)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cell = |row: &Row, column: usize| row.cells.get(column).cloned().unwrap_or_default();
    let kept: Vec<usize> = (0..names.len())
        .filter(|column| *column == 0 || rows.iter().any(|(_, row)| !cell(row, *column).is_empty()))
        .collect();
    let titles: Vec<String> = kept.iter().map(|column| names[*column].to_uppercase()).collect();
    let numbers = rows.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(1);
    let flags = rows.iter().map(|(_, row)| row.flags().len()).max().unwrap_or(0);
    let widths: Vec<usize> = kept
        .iter()
        .zip(&titles)
        .map(|(column, title)| {
            let cells = rows.iter().map(|(_, row)| cell(row, *column).chars().count());
            cells.max().unwrap_or(0).max(title.len())
        })
        .collect();
    let mut out = legend(rows);
    put(&mut out, format_args!("Columns: {}\n", titles.join(", ")));
    let line = |number: &str, flag: &str, cells: &[String]| {
        let mut text = format!("{number:<numbers$} ");
        if flags > 0 {
            put(&mut text, format_args!("{flag:<flags$} "));
        }
        for (cell, width) in cells.iter().zip(&widths) {
            put(&mut text, format_args!(" {cell:<width$} "));
        }
        format!("{}\n", text.trim_end())
    };
    out.push_str(&line("#", "", &titles));
    for (number, row) in rows {
        if let Some(comment) = &row.comment {
            put(&mut out, format_args!(";;; {comment}\n"));
        }
        let cells: Vec<String> = kept.iter().map(|column| cell(row, *column)).collect();
        out.push_str(&line(&number.to_string(), &row.flags(), &cells));
    }
    out
}

fn legend(rows: &[(u32, Row)]) -> String {
    let any = |has: fn(&Row) -> bool| rows.iter().any(|(_, row)| has(row));
    let flags = [("X - DISABLED", any(|row| row.disabled)), ("D - DYNAMIC", any(|row| row.dynamic))];
    let told: Vec<&str> = flags.into_iter().filter(|(_, any)| *any).map(|(flag, _)| flag).collect();
    if told.is_empty() { String::new() } else { format!("Flags: {}\n", told.join("; ")) }
}

/// Time that is left, as routers show it: `29m58s`.
pub fn time_left(seconds: u64) -> String {
    Lifetime::from_millis(seconds.saturating_mul(1000))
        .map_or_else(|| "0s".to_owned(), |left| left.to_string())
}

/// Writing to a string never fails.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all that memory holds");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::rsc::config::Config;
    use crate::frontend::rsc::parse;

    fn held(script: &str) -> Config {
        Config::of(&parse(script).0).0
    }

    #[test]
    fn rules_are_shown_with_chain_and_action_first_and_wrapped() {
        let script = "/ip firewall filter\n\
            add dst-port=333 protocol=tcp chain=input comment=first address-list=\"a b\" \
            action=add-src-to-address-list address-list-timeout=30s\n\
            add chain=input disabled=yes src-address-list=!x\nprint\n";
        let config = held(script);
        let items: Vec<_> = config.numbered("/ip/firewall/filter").collect();
        let expected = [
            "Flags: X - disabled, I - invalid; D - dynamic",
            " 0    ;;; first",
            "      chain=input action=add-src-to-address-list protocol=tcp",
            "      address-list=\"a b\" address-list-timeout=30s dst-port=333",
            "",
            " 1 X  chain=input action=accept src-address-list=!x",
            "",
        ];
        assert_eq!(lines(&items, script, 64), expected.join("\n"));
        let (_, findings) = parse(&lines(&items, script, 80));
        assert!(findings.iter().all(|finding| finding.severity == crate::diag::Severity::Warning));
    }

    #[test]
    fn columns_are_as_wide_as_they_need_and_empty_ones_are_left_out() {
        let row = |cells: [&str; 3], dynamic, comment: Option<&str>| Row {
            dynamic,
            comment: comment.map(str::to_owned),
            cells: cells.map(str::to_owned).to_vec(),
            ..Row::default()
        };
        let rows = [
            (0, row(["office", "192.0.2.0/24", ""], false, Some("from home"))),
            (1, row(["secured", "198.51.100.7", ""], true, None)),
        ];
        let expected = [
            "Flags: D - DYNAMIC",
            "Columns: LIST, ADDRESS",
            "#    LIST     ADDRESS",
            ";;; from home",
            "0    office   192.0.2.0/24",
            "1 D  secured  198.51.100.7",
            "",
        ];
        assert_eq!(columns(&["list", "address", "timeout"], &rows), expected.join("\n"));
        assert_eq!(columns(&["list"], &[]), "");
    }

    #[test]
    fn time_left_is_told_in_units() {
        assert_eq!([0, 59, 1798].map(time_left), ["0s", "59s", "29m58s"]);
    }
}
