//! Characters: blanks, words, escapes, and brackets that belong together.

use crate::console::{STRANGE, strange_byte};
use crate::diag::Span;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
}

/// What a backslash and what follows it stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// One byte.
    Byte(u8),
    /// The text goes on after the next line's blanks.
    Join,
    /// Nothing that is known.
    Unknown,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, offset: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + offset).copied()
    }

    /// The text from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn span_since(&self, start: usize) -> Span {
        Span { start, end: self.at.max(start) }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.since(start)
    }

    /// The character here, whole.
    pub(super) fn character(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Past the character here.
    pub(super) fn skip_character(&mut self) {
        self.at += self.character().map_or(0, char::len_utf8);
    }

    /// Past blanks, and past line ends that a backslash takes away.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            self.eat_while(is_blank);
            if !self.skip_join() {
                return;
            }
        }
    }

    /// Past a backslash, a line end, and the blanks of the next line.
    pub(super) fn skip_join(&mut self) -> bool {
        let Some(length) = self.join() else { return false };
        self.at += length;
        self.eat_while(is_blank);
        true
    }

    /// The length of the backslash and line end here, if there are such.
    pub(super) fn join(&self) -> Option<usize> {
        match (self.peek()?, self.peek_at(1)?, self.peek_at(2)) {
            (b'\\', b'\n', _) => Some(2),
            (b'\\', b'\r', Some(b'\n')) => Some(3),
            _ => None,
        }
    }

    /// To the end of the line.
    pub(super) fn skip_line(&mut self) {
        self.eat_while(|byte| byte != b'\n');
    }

    /// Past the escape here. One that is not known is only its backslash.
    pub(super) fn escape(&mut self) -> Escape {
        if self.skip_join() {
            return Escape::Join;
        }
        let (escape, length) = match (self.peek_at(1), self.peek_at(2)) {
            (Some(high), Some(low)) if is_upper_hex(high) && is_upper_hex(low) => {
                (Escape::Byte(hex_digit(high) << 4 | hex_digit(low)), 3)
            }
            (Some(byte), _) => match plain_escape(byte) {
                Some(byte) => (Escape::Byte(byte), 2),
                None => (Escape::Unknown, 1),
            },
            (None, _) => (Escape::Unknown, 1),
        };
        self.at += length;
        escape
    }

    /// From an opening bracket past the one that closes it, however deep it goes in between.
    /// `None`, and the end of the text, if nothing closes it.
    pub(super) fn skip_bracketed(&mut self) -> Option<()> {
        let mut open = Vec::new();
        while let Some(byte) = self.peek() {
            let in_string = open.last() == Some(&b'"');
            match byte {
                b'\\' => self.at += 1,
                b'$' if in_string => {
                    if let Some(bracket @ (b'(' | b'[')) = self.peek_at(1) {
                        open.push(closer(bracket));
                        self.at += 1;
                    }
                }
                b'"' if in_string => {
                    open.pop();
                }
                _ if in_string => {}
                b'(' | b'[' | b'{' | b'"' => open.push(closer(byte)),
                b')' | b']' | b'}' if open.last() == Some(&byte) => {
                    open.pop();
                }
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Some(());
            }
        }
        self.at = self.text.len();
        None
    }
}

/// Escapes of one letter (SEMANTICS B.5; `\?` is needed before 7.1 and taken since).
fn plain_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'$' | b'?' => byte,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'_' => b' ',
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        _ => return None,
    })
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\x0C')
}

fn is_upper_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)
}

fn hex_digit(byte: u8) -> u8 {
    if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 }
}

/// What closes `bracket`; a quote closes itself.
pub(super) fn closer(bracket: u8) -> u8 {
    match bracket {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        other => other,
    }
}

/// Part of the name of an attribute or variable.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Part of the name of a menu or command.
pub(super) fn is_menu(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
}

/// Part of a value without quotes.
pub(super) fn is_bare(byte: u8) -> bool {
    !byte.is_ascii_whitespace()
        && !matches!(byte, b';' | b'"' | b'\\' | b'$' | b'(' | b')' | b'[' | b']' | b'{' | b'}')
}

/// Decoded bytes as a text.
pub(super) fn to_text(bytes: Vec<u8>) -> String {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) if !text.contains(|c| strange_byte(c).is_some()) => return text,
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let stand_in = |byte: &u8| char::from_u32(STRANGE + u32::from(*byte));
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match strange_byte(character) {
                Some(_) => {
                    text.extend(character.encode_utf8(&mut [0; 4]).as_bytes().iter().filter_map(stand_in));
                }
                None => text.push(character),
            }
        }
        text.extend(chunk.invalid().iter().filter_map(stand_in));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(text: &str) -> (Escape, usize) {
        let mut cursor = Cursor::new(text);
        (cursor.escape(), cursor.at)
    }

    #[test]
    fn escapes_are_those_of_the_console() {
        assert_eq!(escape(r#"\"x"#), (Escape::Byte(b'"'), 2));
        assert_eq!(escape(r"\_x"), (Escape::Byte(b' '), 2));
        assert_eq!(escape(r"\0Dx"), (Escape::Byte(13), 3));
        assert_eq!(escape(r"\B0"), (Escape::Byte(0xB0), 3));
        assert_eq!(escape(r"\b0"), (Escape::Byte(8), 2));
        assert_eq!(escape("\\\r\n   x"), (Escape::Join, 6));
        assert_eq!(escape(r"\q"), (Escape::Unknown, 1));
        assert_eq!(escape("\\"), (Escape::Unknown, 1));
    }

    #[test]
    fn bytes_that_are_no_text_stay_apart() {
        let text = to_text(vec![b'a', 0xE2, b'b', 0x80]);
        assert_eq!(text, "a\u{F7E2}b\u{F780}");
        assert_eq!(text.chars().filter_map(strange_byte).collect::<Vec<_>>(), [0xE2, 0x80]);
        assert_eq!(to_text("ä".as_bytes().to_vec()), "ä");
    }

    #[test]
    fn brackets_are_stepped_over_with_all_that_is_in_them() {
        for text in ["[a (b) {c}]", r#"{"}" \} "$[x "]"]"}"#, r#""a \" $(1 + ")")""#] {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.skip_bracketed(), Some(()), "{text}");
            assert_eq!(cursor.peek(), None, "{text}");
        }
        assert_eq!(Cursor::new("[[a]").skip_bracketed(), None);
    }
}
