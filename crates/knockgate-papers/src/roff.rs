//! Text in the language of manual pages, `man(7)`.

use std::collections::BTreeSet;

/// Bytes that `mandoc -Tlint` wants a line of text to have at most.
const LINE: usize = 80;

/// What is typed as it stands. Names of files are not hyphenated.
pub fn bold(text: &str) -> String {
    let whole = if text.contains(['.', '/']) { "\\%" } else { "" };
    format!("\\fB{whole}{}\\fR", escaped(text).replace('-', "\\-").replace('\'', "\\(aq"))
}

/// What stands for something else, such as `NAME=IF,...`: the words in it are in italics.
pub fn placeholder(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut set = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_of_word) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_of_word(c)).unwrap_or(word.len()));
        set.push_str(&format!("{}\\fI{word}\\fR", escaped(before)));
        rest = after;
    }
    set + &escaped(rest)
}

/// Running text, each sentence on lines of its own. What stands between backticks is typed as it stands, and so are long options;
/// `placeholders` stand for something else.
pub fn prose(text: &str, placeholders: &BTreeSet<String>) -> String {
    let pieces = text.trim().split('`').enumerate().map(|(index, piece)| match index % 2 {
        0 => words(piece, placeholders),
        _ => bold(piece),
    });
    let text: String = pieces.collect();
    let end = if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    broken(&format!("{text}{end}"))
}

/// Text that is set already, broken into lines after each sentence, and where one is too long.
pub fn broken(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the beginning");
        if line.is_empty() {
            line.push_str(word);
        } else if line.ends_with('.') || line.len() + 1 + word.len() > LINE {
            lines.push(word.to_owned());
        } else {
            line.push_str(&format!(" {word}"));
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| guarded(line)).collect();
    lines.join("\n")
}

fn words(text: &str, placeholders: &BTreeSet<String>) -> String {
    let words: Vec<String> = text.split([' ', '\n']).map(|word| set(word, placeholders)).collect();
    words.join(" ")
}

/// A word with the punctuation around it.
fn set(text: &str, placeholders: &BTreeSet<String>) -> String {
    let word = text.trim_start_matches('(');
    let (before, word) = (&text[..text.len() - word.len()], word.trim_end_matches([',', ';', ':', '.', ')']));
    let after = &text[before.len() + word.len()..];
    let word = match word {
        option if option.starts_with("--") => bold(option),
        placeholder if placeholders.contains(placeholder) => format!("\\fI{placeholder}\\fR"),
        other => escaped(other),
    };
    format!("{before}{word}{after}")
}

/// A line that begins with a point or a quote would be a request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\(rs").replace('~', "\\(ti").replace('^', "\\(ha")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_roff_would_take_for_its_own_is_text() {
        for (text, set) in [
            ("a \\ and ~ and ^", "a \\(rs and \\(ti and \\(ha."),
            ("'tis so. .rsc is a name", "\\&'tis so.\n\\&.rsc is a name."),
            ("look at `a/b.rsc`", "look at \\fB\\%a/b.rsc\\fR."),
            ("type `ip -brief 'x'`", "type \\fBip \\-brief \\(aqx\\(aq\\fR."),
            ("\n  so it is:\n", "so it is:"),
        ] {
            assert_eq!(prose(text, &BTreeSet::new()), set, "{text}");
        }
    }

    #[test]
    fn no_line_of_text_is_too_long_and_none_is_lost() {
        let text = "so it goes on and on ".repeat(20) + "x.";
        let lines = broken(&text);
        assert!(lines.lines().all(|line| line.len() <= LINE) && lines.lines().count() > 4, "{lines}");
        assert_eq!(lines.replace('\n', " "), text);
    }

    #[test]
    fn options_and_what_stands_for_something_are_told_from_words() {
        let placeholders = BTreeSet::from(["PORT".to_owned()]);
        let set = prose("as with --wait (to PORT, not PORTS)", &placeholders);
        assert_eq!(set, "as with \\fB\\-\\-wait\\fR (to \\fIPORT\\fR, not PORTS).");
        assert_eq!(placeholder("NAME=IF,..."), "\\fINAME\\fR=\\fIIF\\fR,...");
        assert_eq!(placeholder("[A]|B..."), "[\\fIA\\fR]|\\fIB\\fR...");
    }
}
