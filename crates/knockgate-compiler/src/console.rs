//! Texts as the RouterOS console takes them.

use std::fmt::Write;

/// Bytes that are no UTF-8 stand in the private use area, so that no two texts become one. A character
/// that is there already stands as its bytes.
pub const STRANGE: u32 = 0xF700;

/// The byte that `character` stands for, if it is such a stand-in.
pub fn strange_byte(character: char) -> Option<u8> {
    let byte = u32::from(character).checked_sub(STRANGE).filter(|byte| *byte >= 0x80)?;
    u8::try_from(byte).ok()
}

/// `text` as a value: bare where it can be, otherwise in quotes and on one line.
pub fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:,*@+-".contains(&byte);
    if !text.is_empty() && text != "where" && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    in_quotes(text)
}

/// `text` in quotes and on one line.
pub fn in_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push_escaped(&mut out, character);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '"' | '\\' | '$' => out.extend(['\\', character]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => match strange_byte(character)
            .or_else(|| u8::try_from(character).ok().filter(u8::is_ascii_control))
        {
            // Writing to a string never fails.
            Some(byte) => write!(out, "\\{byte:02X}").unwrap_or_default(),
            None => out.push(character),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_the_console_needs_it() {
        let all = [
            ("input", "input"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("", r#""""#),
            ("ICMP + Http", r#""ICMP + Http""#),
            (r#"a"b\c$d"#, r#""a\"b\\c\$d""#),
            ("a\r\nb\u{7f}", r#""a\r\nb\7F""#),
            ("\u{F7E2}", r#""\E2""#),
            ("where", r#""where""#),
        ];
        for (text, expected) in all {
            assert_eq!(quoted(text), expected);
        }
    }
}
