//! Passwords and keys in a text. They are never shown, whatever is found there.

use std::borrow::Cow;

use super::Span;

/// Whether what an attribute of this name is set to is kept to oneself.
pub fn is_secret(name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "password",
        "secret",
        "passphrase",
        "private-key",
        "pre-shared-key",
        "preshared-key",
        "authentication-key",
        "tcp-md5-key",
    ];
    // The console takes names that are cut short.
    let short = name.len() >= 4 && ("password".starts_with(name) || "passphrase".starts_with(name));
    short || ENDS.iter().any(|end| name.ends_with(end))
}

/// Where `text` has secrets: after `password=`, quoted or not, and in words behind it that belong to
/// nothing else, since they are most likely part of it. More is taken for secret than is, rather than
/// less. In the order of the text, and apart.
pub(super) fn secrets(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found: Vec<Span> = vec![];
    for (at, _) in text.match_indices('=') {
        let start = at + 1;
        if found.last().is_some_and(|last| at < last.end) || !is_secret(name_before(text, at)) {
            continue;
        }
        let end = end_of_value(bytes, start);
        if end > start {
            found.push(Span { start, end });
        }
    }
    found
}

/// `text` with other characters of the same widths instead of its secrets, so that no place in it
/// changes.
pub(super) fn starred<'a>(text: &'a str, secrets: &[Span]) -> Cow<'a, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut shown = 0;
    for span in secrets {
        out.push_str(text.get(shown..span.start).unwrap_or_default());
        out.extend(text.get(span.start..span.end).unwrap_or_default().chars().map(star));
        shown = span.end;
    }
    out.push_str(text.get(shown..).unwrap_or_default());
    Cow::Owned(out)
}

fn star(character: char) -> char {
    match character {
        '\t' | '\r' | '\n' => character,
        _ => match character.len_utf8() {
            1 => '*',
            2 => '\u{d7}',
            3 => '\u{ff0a}',
            _ => '\u{1f7b6}',
        },
    }
}

/// The name that the `=` at `at` gives something.
fn name_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '\t', '"']);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // No name is longer; a text of nothing but `=` and letters is read in proportion to its size.
    let short = before.floor_char_boundary(before.len().saturating_sub(64));
    let tail = before.get(short..).unwrap_or_default();
    tail.rsplit(|c: char| !is_name(c)).next().unwrap_or_default()
}

fn end_of_value(bytes: &[u8], start: usize) -> usize {
    let mut at = past_blanks(bytes, start);
    let mut end = start;
    let mut first = true;
    loop {
        match bytes.get(at) {
            None | Some(b'\n' | b'\r') => return end,
            // What a variable or a command returns is not written here.
            Some(b'$' | b'[' | b'(') if first => return end,
            Some(b';' | b'/' | b':' | b'#' | b'{' | b'}' | b']' | b')') if !first => return end,
            _ => {}
        }
        let word_end = end_of_word(bytes, at);
        let word = bytes.get(at..word_end).unwrap_or_default();
        let quoted = word.starts_with(b"\"") || word.starts_with(b"\\\"");
        if (!first || at > start) && !quoted && gives_a_name(word) {
            return end;
        }
        (end, first) = (word_end, false);
        at = past_blanks(bytes, word_end);
    }
}

/// Whether `word` begins with `name=`.
fn gives_a_name(word: &[u8]) -> bool {
    let name =
        word.iter().take_while(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.')).count();
    name > 0 && word.get(name) == Some(&b'=')
}

/// Past blanks, and line ends that do not count.
fn past_blanks(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [b' ' | b'\t', ..] => at += 1,
            [b'\\', b'\n', ..] => at += 2,
            [b'\\', b'\r', b'\n', ..] => at += 3,
            _ => return at,
        }
    }
}

fn end_of_word(bytes: &[u8], mut at: usize) -> usize {
    let (mut quoted, escaped) = (false, bytes.get(at..).is_some_and(|rest| rest.starts_with(b"\\\"")));
    if escaped {
        // In a script that is in quotes itself.
        let rest = bytes.get(at + 2..).unwrap_or_default();
        return rest.windows(2).position(|pair| pair == b"\\\"").map_or(bytes.len(), |len| at + 4 + len);
    }
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\r' | b'\n' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let shown = starred(text, &secrets(text)).into_owned();
        assert_eq!((shown.len(), shown.chars().count()), (text.len(), text.chars().count()));
        shown
    }

    #[test]
    fn what_a_password_is_set_to_is_not_shown() {
        for (text, expected) in [
            ("add name=x password=hunter2 comment=y", "add name=x password=******* comment=y"),
            ("set password=\"a \\\" b\" x=1", "set password=******** x=1"),
            ("set secret=\\\n    abc\nadd", "set secret=*\n*******\nadd"),
            ("set secret=my se cret x=1\nadd", "set secret=********** x=1\nadd"),
            ("set secret=a]b;c\nadd", "set secret=*****\nadd"),
            ("security.passphrase=\u{e4}b\u{20ac} x=1", "security.passphrase=\u{d7}*\u{ff0a} x=1"),
            ("source=\"set password=\\\"a b\\\" x=1\"", "source=\"set password=******* x=1\""),
            ("wpa2-pre-shared-key=abc", "wpa2-pre-shared-key=***"),
            ("pass=abc", "pass=***"),
            ("secret = \"abc\"", "secret =******"),
            ("password=\"abc", "password=****"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "/ppp secret add name=x",
            "public-key=abc",
            "password=$x comment=y",
            "password=[:rndstr] comment=y",
            "password= comment=y",
            "password=\ncomment=y",
            "ssh-private-key-file=abc",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
