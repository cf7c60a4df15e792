//! Passwords and keys in a text. They are never shown, whatever is found there.

use std::borrow::Cow;

use super::Span;

/// Whether what an attribute of this name is set to is kept to oneself.
pub fn is_secret(name: &str) -> bool {
    const ENDS: [&str; 11] = [
        "password",
        "secret",
        "passphrase",
        "private-key",
        "pre-shared-key",
        "preshared-key",
        "authentication-key",
        "auth-key",
        "tcp-md5-key",
        "management-protection-key",
        "-cak",
    ];
    let name = name.to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // The console takes names that are cut short.
    let short = last.len() >= 4 && ["password", "passphrase", "secret"].iter().any(|of| of.starts_with(last));
    let numbered = last.strip_prefix("static-key-").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    short || numbered || last == "cak" || ENDS.iter().any(|end| name.ends_with(end)) || is_slip(last)
}

/// Whether `name` is one slip away from the name of a secret.
fn is_slip(name: &str) -> bool {
    ["password", "passphrase", "secret", "private-key"].iter().any(|known| {
        let (ours, theirs) = (name.as_bytes(), known.as_bytes());
        // One slip leaves one of the ends alone; most names are told apart by that.
        name.len() >= 5
            && name.len().abs_diff(known.len()) <= 1
            && (ours.first() == theirs.first() || ours.last() == theirs.last())
            && strsim::osa_distance(name, known) <= 1
    })
}

/// Whether a variable of this name most likely holds what is kept to oneself.
fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "psk", "key", "token"].iter().any(|part| name.contains(part)) || is_secret(&name)
}

/// Where `text` has secrets: after `password=` or `:local password`, quoted or not, in words behind it
/// that belong to nothing else, since they are most likely part of it, and in addresses with a user.
/// More is taken for secret than is, rather than less. In the order of the text, and apart.
pub(super) fn secrets(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found: Vec<Span> = vec![];
    let mut address = Addresses::default();
    // How many strings are open, one in the other.
    let mut level = 0;
    let (mut at, mut backslashes, mut comment) = (0, 0_usize, starts_comment(bytes, 0));
    while let Some(byte) = bytes.get(at) {
        let span = match byte {
            b'"' if !comment => {
                let depth = backslashes.trailing_ones();
                if depth < level {
                    level = depth;
                } else if depth == level {
                    level += 1;
                }
                None
            }
            b'\n' => {
                comment = level == 0 && starts_comment(bytes, at + 1);
                None
            }
            b'=' if is_secret(name_before(text, at)) => {
                let start = at + 1;
                Some(Span { start, end: end_of_value(bytes, start, level) })
            }
            b'l' | b'g' | b's' => variable(text, at, level),
            b':' => address.password(bytes, at),
            _ => None,
        };
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
        at += 1;
        if let Some(span) = span.filter(|span| span.end > span.start) {
            // A quote there opens a string of its own, whatever was thought to be open.
            let opened = opening_quote(bytes, past_blanks(bytes, span.start)).map(|(depth, _)| depth);
            level = level.min(opened.unwrap_or(level));
            (at, backslashes) = (span.end, 0);
            found.push(span);
        }
    }
    found
}

fn starts_comment(bytes: &[u8], mut at: usize) -> bool {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    bytes.get(at) == Some(&b'#')
}

/// What the variable that is set by the command at `at`, if there is one, is set to, if that is secret.
fn variable(text: &str, at: usize, level: u32) -> Option<Span> {
    let bytes = text.as_bytes();
    let rest = bytes.get(at..)?;
    let command =
        ["local", "global", "set"].into_iter().find(|command| rest.starts_with(command.as_bytes()))?;
    if !matches!(rest.get(command.len()), Some(b' ' | b'\t' | b'\\')) || !starts_command(bytes, at) {
        return None;
    }
    let mut start = past_blanks(bytes, at + command.len());
    let quoted = opening_quote(bytes, start);
    start = quoted.map_or(start, |(_, inside)| inside);
    let length = bytes.get(start..)?.iter().take_while(|byte| is_name(char::from(**byte))).count();
    let mut end = start + length;
    if !is_secret_variable(text.get(start..end)?) {
        return None;
    }
    if quoted.is_some() {
        end = opening_quote(bytes, end)?.1;
    }
    let start = match bytes.get(end)? {
        b' ' | b'\t' | b'=' => end + 1,
        b'"' | b'\\' => end,
        _ => return None,
    };
    let value = past_blanks(bytes, end);
    let end = match bytes.get(value) {
        Some(b'(') => end_of_sum(bytes, value, level),
        // A name that is given there is an attribute of something.
        Some(_) if gives_a_name(bytes.get(value..)?) => return None,
        _ => end_of_value(bytes, start, level),
    };
    Some(Span { start, end })
}

/// Whether a command may start at `at`.
fn starts_command(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let before = before.get(..before.len() - blanks).unwrap_or_default();
    match before {
        [] | [.., b'\n' | b'\r' | b';' | b'{' | b'[' | b'(' | b'"'] => true,
        [.., b':'] => blanks == 0,
        [.., b'\\', b'n' | b'r' | b't'] => true,
        _ => false,
    }
}

/// To the end of the line, or of the string around: there may be strings in between.
fn end_of_sum(bytes: &[u8], start: usize, level: u32) -> usize {
    let (mut at, mut backslashes) = (start, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' if backslashes.trailing_ones() < level => {
                at -= backslashes;
                break;
            }
            b'\n' if !is_joined(bytes, at) => break,
            _ => {}
        }
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
        at += 1;
    }
    at
}

/// Addresses with passwords, as in `ftp://user:password@host`.
#[derive(Default)]
struct Addresses {
    /// The end of the word that was looked at last.
    end: usize,
    /// The last `@` in it.
    at_sign: Option<usize>,
}

impl Addresses {
    /// The password of the address whose `://` may be at `at`.
    fn password(&mut self, bytes: &[u8], at: usize) -> Option<Span> {
        let host = at + 3;
        let rest = bytes.get(at..).filter(|rest| rest.starts_with(b"://"))?.get(3..)?;
        if at >= self.end {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"';
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            self.end = host + length;
            self.at_sign = rest.get(..length)?.iter().rposition(|byte| *byte == b'@').map(|i| host + i);
        }
        let end = self.at_sign?;
        let user = rest.iter().position(|byte| matches!(byte, b':' | b'/' | b'@'))?;
        let start = host + user + 1;
        let password = bytes.get(start..end).filter(|_| rest.get(user) == Some(&b':'))?;
        let digits = password.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // A port is none.
        (digits == 0 || password.get(digits) != Some(&b'/')).then_some(Span { start, end })
    }
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
    // No name is longer; a text of nothing but `=` and letters is read in proportion to its size.
    let short = before.floor_char_boundary(before.len().saturating_sub(64));
    let tail = before.get(short..).unwrap_or_default();
    tail.rsplit(|c: char| !is_name(c)).next().unwrap_or_default()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The end of the value at `start`, inside of `level` strings.
fn end_of_value(bytes: &[u8], start: usize, level: u32) -> usize {
    let mut at = past_blanks(bytes, start);
    let mut end = start;
    let mut first = true;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest {
            [] | [b'\n' | b'\r', ..] => return end,
            // What a variable or a command returns is not written here.
            [b'$' | b'[' | b'(', ..] if first => return end,
            [b';' | b'/' | b':' | b'#' | b'{' | b'}' | b']' | b')', ..] if !first => return end,
            // The end of a line of the script that the string around is.
            [b'\\', b'r', b'\\', b'n', ..] if level > 0 => return end,
            _ => {}
        }
        let opened = opening_quote(bytes, at);
        let quote = opened.filter(|(depth, after)| {
            let line_ends = matches!(bytes.get(*after), None | Some(b'\r' | b'\n'));
            *depth >= level || first && !line_ends || !ends_string(bytes, *after)
        });
        if opened.is_some() && quote.is_none() {
            return end;
        }
        if (!first || at > start) && quote.is_none() && gives_a_name(rest) {
            return end;
        }
        let mut next = match quote {
            Some((depth, inside)) => end_of_string(bytes, inside, depth, depth < level),
            None => at,
        };
        if quote.is_none() || !ends_string(bytes, next) {
            next = end_of_word(bytes, next, level);
        }
        if next <= at {
            return end;
        }
        end = next;
        first = false;
        at = past_blanks(bytes, end);
    }
}

/// The depth of the quote at `at`, which one in a string in a string has a backslash for and so on, and
/// where it ends.
fn opening_quote(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let backslashes = bytes.get(at..)?.iter().take_while(|byte| **byte == b'\\').count();
    let is_quote = bytes.get(at + backslashes) == Some(&b'"') && (backslashes + 1).is_power_of_two();
    is_quote.then(|| (backslashes.trailing_ones(), at + backslashes + 1))
}

/// Whether a string may end before `at`.
fn ends_string(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| byte.is_ascii_whitespace() || b";,)]}\\\"".contains(byte))
}

/// The end of the string at `inside`: of its line, if it is not closed, or only by what looks like the
/// start of another one further down.
fn end_of_string(bytes: &[u8], inside: usize, depth: u32, one_line: bool) -> usize {
    let (mut at, mut backslashes, mut line_end) = (inside, 0_usize, None);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' if backslashes.trailing_ones() <= depth => {
                let closed = backslashes.trailing_ones() == depth;
                let opens = || bytes.get(at - 1 - backslashes) == Some(&b'=');
                return match line_end {
                    None if closed => at + 1,
                    None => at - backslashes,
                    Some(_) if closed && !opens() && ends_string(bytes, at + 1) => at + 1,
                    Some(line_end) => line_end,
                };
            }
            b'\n' if line_end.is_none() && !is_joined(bytes, at) => {
                if one_line {
                    return at;
                }
                line_end = Some(at);
            }
            _ => {}
        }
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
        at += 1;
    }
    line_end.unwrap_or(bytes.len())
}

/// Whether a backslash takes the line end at `at` away.
fn is_joined(bytes: &[u8], at: usize) -> bool {
    let line = bytes.get(..at).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"\\")
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

/// The end of a word without quotes, or of what is left of one, on its line.
fn end_of_word(bytes: &[u8], mut at: usize, level: u32) -> usize {
    let (mut quoted, mut backslashes) = (false, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' if backslashes.trailing_ones() < level && ends_string(bytes, at + 1) => {
                return at - backslashes;
            }
            b'"' if backslashes.trailing_ones() == level => quoted = !quoted,
            b'\r' | b'\n' if !is_joined(bytes, at) => {
                return at;
            }
            b' ' | b'\t' if !quoted && backslashes % 2 == 0 => return at,
            b'\\' if level > 0 && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"\\r\\n")) => {
                return at;
            }
            _ => {}
        }
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
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
            "set secret1 name=x",
            ":local passwords [/file get x]",
            ":local password $1",
            ":local word \"abc\"",
            "/ip key set x \"abc\"",
            "http://host:80/a@b",
            "http://host/a:b@c",
            "http://user@host",
            "secure=abc",
            "source=\"set password=\"\nadd comment=\"y\"",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_a_secret_variable_is_set_to_is_not_shown() {
        for (text, expected) in [
            (":local wifiPassword \"hunter2\"\n:put x", ":local wifiPassword *********\n:put x"),
            (":global wifikey \"x\"; :put y", ":global wifikey ***; :put y"),
            (":set pass \"x\"", ":set pass ***"),
            ("{ set apiToken abc }", "{ set apiToken *** }"),
            ("local PSK\tabc", "local PSK\t***"),
            (":global \"my-key\" abc", ":global \"my-key\" ***"),
            (":set pass (\"x\" . $y)\nadd", ":set pass **********\nadd"),
            (
                "source=\":local pass \\\"a b\\\"\\r\\n\\\n    :put x\" name=y",
                "source=\":local pass *******\\r\\n\\\n    :put x\" name=y",
            ),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn other_names_and_slips_are_taken_for_secrets() {
        for name in [
            "auth-key",
            "static-key-0",
            "static-key-12",
            "cak",
            "management-protection-key",
            "secr",
            "security.pass",
            "pasword",
            "PassWord",
            "passowrd",
            "secrte",
            "privat-key",
        ] {
            assert_eq!(shown(&format!("{name}=abc x=1")), format!("{name}=*** x=1"));
        }
        for name in ["sec", "secure", "static-key-type", "password-policy", "passthrough", "public-key"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_password_of_an_address_is_not_shown() {
        for (text, expected) in [
            ("url=ftp://u:PASS@host/x y", "url=ftp://u:****@host/x y"),
            ("url=\"sftp://u:a@b/c:d@host\" x=1", "url=\"sftp://u:*******@host\" x=1"),
            ("a://b/?c=ftp://u:p@h", "a://b/?c=ftp://u:*@h"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn what_follows_a_secret_is_shown() {
        for (text, expected) in [
            (
                "add name=b source=\"/tool e-mail send password=hunter41\"\nadd name=\"c d\"\n",
                "add name=b source=\"/tool e-mail send password=********\"\nadd name=\"c d\"\n",
            ),
            ("source=\"x password=a b\" name=c", "source=\"x password=***\" name=c"),
            ("source=\"x password=\\\"a\" name=c\n", "source=\"x password=***\" name=c\n"),
            (
                "source=\"source=\\\"set password=\\\\\\\"a b\\\\\\\" x\\\" y\" name=c",
                "source=\"source=\\\"set password=*************\\\" y\" name=c",
            ),
            ("source=\"set password=ab\\r\\nadd x\"", "source=\"set password=**\\r\\nadd x\""),
            ("add password=\"x\nadd comment=\"y\" z=1\n", "add password=**\nadd comment=\"y\" z=1\n"),
            ("add password=\"x y=1\nadd z\n", "add password=******\nadd z\n"),
            ("add password=\"x\\\n y\nadd z\n", "add password=***\n**\nadd z\n"),
            ("add password=\"x\ny\" z=1\n", "add password=**\n** z=1\n"),
            ("add password=a\"b c\nadd z=\"1\"", "add password=*****\nadd z=\"1\""),
            ("# 5\" wide\nadd password=a name=\"b\"", "# 5\" wide\nadd password=* name=\"b\""),
            ("comment=\"x\nadd password=\"a b\" y=1", "comment=\"x\nadd password=***** y=1"),
            (":if ($password=\"x\") do={ y }", ":if ($password=***) do={ y }"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn odd_texts_take_no_longer_than_others() {
        for part in [
            "password=\"x\n",
            "password=\\\"\u{e4}\n",
            "password= a=\"",
            "passwird=\u{20ac} ",
            "://u:",
            "a://1/@",
            ":set key (",
            "set ",
            "\\",
            "\\\"",
            "=",
            "\"password=\\\\\\\"",
            "\"password=\\\\\" ",
            "password=\\",
        ] {
            let text = part.repeat((1 << 19) / part.len());
            shown(&text);
        }
    }

    #[test]
    fn no_mixture_is_too_odd() {
        const PARTS: [&str; 16] = [
            "password=",
            "\"",
            "\\",
            "\n",
            "\r\n",
            " ",
            "\u{e4}",
            "\u{1f600}",
            ":set key ",
            "a://b:",
            "@",
            "(",
            "#",
            "x=",
            "\\\"",
            "\\r\\n",
        ];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(PARTS[(state >> 60) as usize]);
            }
            shown(&text);
            let found = secrets(&text);
            assert!(found.is_sorted_by(|one, next| one.end <= next.start), "{text:?}");
            assert!(found.iter().all(|span| text.get(span.start..span.end).is_some()), "{text:?}");
        }
    }
}
