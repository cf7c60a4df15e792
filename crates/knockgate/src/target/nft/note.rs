//! What nft keeps beside rules and elements: notes of a kind, a length and a value each (libnftnl,
//! udata.h). It passes over kinds that it does not know.

/// The comment that nft shows.
pub(super) const COMMENT_NOTE: u8 = 0;
/// The length of the prefix that an interval is. Ours alone: high enough for nft never to need it.
pub(super) const LENGTH_NOTE: u8 = 0xc0;

/// Bytes of a comment; nft takes 128 with the final zero.
pub const COMMENT: usize = 120;

/// The first note of a kind.
pub(super) fn note(notes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = notes;
    while let [kind, length, tail @ ..] = rest {
        let (value, next) = tail.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// The text of a note.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A note with at most [`COMMENT`] bytes of a text.
pub(super) fn userdata(kind: u8, text: &str) -> Vec<u8> {
    let text = &text.as_bytes()[..text.floor_char_boundary(COMMENT)];
    let length = u8::try_from(text.len() + 1).expect("a comment is short");
    [&[kind, length], text, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_broken_ones_are_none() {
        let notes = [userdata(COMMENT_NOTE, "why not"), vec![LENGTH_NOTE, 1, 24]].concat();
        assert_eq!(note(&notes, COMMENT_NOTE).map(text).as_deref(), Some("why not"));
        assert_eq!(note(&notes, LENGTH_NOTE), Some(&[24][..]));
        let long = userdata(COMMENT_NOTE, &"\u{e4}".repeat(100));
        assert_eq!(note(&long, COMMENT_NOTE).map(text), Some("\u{e4}".repeat(60)));
        for broken in [&[][..], &[0], &[0, 9, 1], &[1, 0, 0]] {
            assert_eq!(note(broken, COMMENT_NOTE), None);
        }
    }
}
