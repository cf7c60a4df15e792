//! The file of what lists hold: lines of text, and a hash of them all in the last one.
//!
//! ```text
//! knockgate holdings 1
//! saved 1795418656123 81234567 5f2c1a34-...     since 1970, since the start, and which start it was
//! rules knockgate 0123456789abcdef              what the counts are of
//! count 3 4 120 9600                            of rule 4 of chain 3: packets, bytes
//! list banned                                   list 0
//! list banned-by-hand                           list 1
//! 0 198.51.100.7 3599000                        on list 0, for so many milliseconds
//! 1 203.0.113.0-203.0.113.255 7200000 scans     why, where somebody said so
//! 1 192.0.2.1 -                                 until it is taken off
//! end 0123456789abcdef
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use knockgate_compiler::backend::nft::Counted;
use knockgate_compiler::hash::Fnv64;

use super::super::{Count, Element};
use super::age::Stamp;

/// The first line: what it is, and the version of its form.
const TITLE: &str = "knockgate holdings 1";
/// Bytes of the longest line that is read.
const LINE: u64 = 1024;

/// What stands before the members of lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// When it was saved.
    pub(super) saved: Stamp,
    /// The fingerprint of the ruleset that was in force.
    pub(super) rules: String,
    /// What its rules had counted.
    pub(super) counts: BTreeMap<Counted, Count>,
    /// The names of the lists.
    pub(super) lists: Vec<String>,
}

/// A member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The place of its list in [`Head::lists`].
    pub(super) list: usize,
    /// Who is on it, without a tag. What is left is told as it was when the file was begun.
    pub(super) element: Element,
}

/// Writes a file.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    hash: Fnv64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(out: W, head: &Head) -> io::Result<Self> {
        let mut writer = Self { out, hash: Fnv64::default(), bytes: 0 };
        let Stamp { unix_ms, up_ms, boot } = &head.saved;
        writer.line(&format!(
            "{TITLE}\nsaved {unix_ms} {up_ms} {}\nrules {}",
            plain(boot),
            plain(&head.rules)
        ))?;
        for (Counted { chain, rule }, Count { packets, bytes }) in &head.counts {
            writer.line(&format!("count {chain} {rule} {packets} {bytes}"))?;
        }
        for list in &head.lists {
            writer.line(&format!("list {}", plain(list)))?;
        }
        Ok(writer)
    }

    pub(super) fn member(&mut self, list: usize, element: &Element) -> io::Result<()> {
        let Element { first, last, left_ms, comment, .. } = element;
        let last = if first == last { String::new() } else { format!("-{last}") };
        let left = left_ms.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let comment = comment.as_ref().map(|comment| format!(" {}", plain(comment))).unwrap_or_default();
        self.line(&format!("{list} {first}{last} {left}{comment}"))
    }

    /// Ends the file, and says how many bytes it has.
    pub(super) fn end(mut self) -> io::Result<u64> {
        let hash = self.hash.value();
        self.line(&format!("end {hash:016x}"))?;
        self.out.flush()?;
        Ok(self.bytes)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        for part in [text.as_bytes(), b"\n"] {
            self.out.write_all(part)?;
            self.hash = self.hash.and(part);
            self.bytes += part.len() as u64;
        }
        Ok(())
    }
}

/// A text that stays on its line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Why a file is not read further.
#[derive(Debug)]
pub(super) enum Broken {
    /// The disk does not give it.
    Unreadable(io::Error),
    /// It is not as [`Writer`] writes it.
    Damaged,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Whether a file is whole: nothing of one that is not should be believed.
pub(super) fn check(input: impl BufRead) -> Result<(), Broken> {
    let mut lines = Lines::new(input);
    let mut before = Fnv64::default();
    while let Some(line) = lines.next()? {
        if let Some(hash) = line.strip_prefix("end ") {
            let same = u64::from_str_radix(hash, 16) == Ok(before.value());
            let last = lines.next()?.is_none();
            return if same && last { Ok(()) } else { Err(Broken::Damaged) };
        }
        before = lines.hash;
    }
    Err(Broken::Damaged)
}

/// Reads a file that was checked, member by member.
#[derive(Debug)]
pub(super) struct Reader<R> {
    lines: Lines<R>,
    /// What stands before the members.
    pub(super) head: Head,
    /// Whether the line that was read last is still to be understood.
    pending: bool,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn begin(input: R) -> Result<Self, Broken> {
        let mut lines = Lines::new(input);
        let head = head(&mut lines)?;
        Ok(Self { lines, head, pending: true })
    }

    pub(super) fn member(&mut self) -> Result<Option<Member>, Broken> {
        if !std::mem::take(&mut self.pending) {
            self.lines.next()?;
        }
        if self.lines.text().starts_with("end ") {
            self.pending = true;
            return Ok(None);
        }
        let found = member(self.lines.text()).filter(|member| member.list < self.head.lists.len());
        found.map(Some).ok_or(Broken::Damaged)
    }
}

/// Reads up to the first line that tells of a member, or is the last.
fn head<R: BufRead>(lines: &mut Lines<R>) -> Result<Head, Broken> {
    if lines.next()? != Some(TITLE) {
        return Err(Broken::Damaged);
    }
    let saved = lines.next()?.and_then(stamp).ok_or(Broken::Damaged)?;
    let rules = lines.next()?.and_then(|line| line.strip_prefix("rules ")).ok_or(Broken::Damaged)?;
    let mut head = Head { saved, rules: rules.to_owned(), counts: BTreeMap::new(), lists: vec![] };
    while let Some(line) = lines.next()? {
        if let Some(text) = line.strip_prefix("count ") {
            head.counts.extend([count(text).ok_or(Broken::Damaged)?]);
        } else if let Some(list) = line.strip_prefix("list ") {
            head.lists.push(list.to_owned());
        } else {
            return Ok(head);
        }
    }
    Err(Broken::Damaged)
}

fn stamp(line: &str) -> Option<Stamp> {
    let mut words = line.strip_prefix("saved ")?.splitn(3, ' ');
    let mut word = || words.next();
    Some(Stamp { unix_ms: word()?.parse().ok()?, up_ms: word()?.parse().ok()?, boot: word()?.to_owned() })
}

fn count(text: &str) -> Option<(Counted, Count)> {
    let mut words = text.split(' ');
    let mut word = || words.next();
    let counted = Counted { chain: word()?.parse().ok()?, rule: word()?.parse().ok()? };
    Some((counted, Count { packets: word()?.parse().ok()?, bytes: word()?.parse().ok()? }))
}

fn member(line: &str) -> Option<Member> {
    let mut words = line.splitn(4, ' ');
    let list = words.next()?.parse().ok()?;
    let (first, last) = addresses(words.next()?)?;
    let left_ms = match words.next()? {
        "-" => None,
        left => Some(left.parse().ok()?),
    };
    let comment = words.next().map(str::to_owned);
    Some(Member { list, element: Element { first, last, number: None, left_ms, whole_ms: None, comment } })
}

/// One address, or the first and last of several, of one family.
fn addresses(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last))
}

/// Lines of bounded length, with the hash of all that was read.
#[derive(Debug)]
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    hash: Fnv64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, line: vec![], hash: Fnv64::default() }
    }

    /// The next line; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<&str>, Broken> {
        self.line.clear();
        io::Read::take(&mut self.input, LINE).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.hash = self.hash.and(&self.line);
        // One that is too long, or was cut off, has no end.
        if self.line.pop() != Some(b'\n') {
            return Err(Broken::Damaged);
        }
        std::str::from_utf8(&self.line).map(Some).map_err(|_| Broken::Damaged)
    }

    /// The line that was read last.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Head, Vec<Member>) {
        let saved = Stamp { unix_ms: 1_795_418_656_123, up_ms: 81_234, boot: "5f2c-1a".to_owned() };
        let count = |chain, rule, packets| (Counted { chain, rule }, Count { packets, bytes: packets * 60 });
        let head = Head {
            saved,
            rules: "knockgate 0123456789abcdef".to_owned(),
            counts: BTreeMap::from([count(0, 1, 5), count(3, 0, u64::MAX / 60)]),
            lists: vec!["grant ssh".to_owned(), "banned-by-hand".to_owned()],
        };
        let element = |first: &str, last: &str| Element {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            number: None,
            left_ms: Some(1000),
            whole_ms: None,
            comment: None,
        };
        let why = Some("scans {all} day, says \u{e4}".to_owned());
        let members = vec![
            Member { list: 0, element: element("2001:db8::1", "2001:db8::1") },
            Member { list: 1, element: Element { comment: why, ..element("10.0.0.0", "10.255.255.255") } },
            Member { list: 1, element: Element { left_ms: None, ..element("192.0.2.1", "192.0.2.1") } },
        ];
        (head, members)
    }

    fn written((head, members): &(Head, Vec<Member>)) -> Vec<u8> {
        let mut out = vec![];
        let mut writer = Writer::begin(&mut out, head).unwrap();
        for member in members {
            writer.member(member.list, &member.element).unwrap();
        }
        let bytes = writer.end().unwrap();
        assert_eq!(bytes, out.len() as u64);
        out
    }

    fn read(text: &[u8]) -> Result<(Head, Vec<Member>), Broken> {
        check(text)?;
        let mut reader = Reader::begin(text)?;
        let mut members = vec![];
        while let Some(member) = reader.member()? {
            members.push(member);
        }
        Ok((reader.head, members))
    }

    #[test]
    fn what_is_written_is_read() {
        let whole = sample();
        assert_eq!(read(&written(&whole)).unwrap(), whole);
        let empty = (Head { counts: BTreeMap::new(), lists: vec![], ..whole.0 }, vec![]);
        assert_eq!(read(&written(&empty)).unwrap(), empty);
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_anywhere_is_damaged() {
        let text = written(&sample());
        for end in 0..text.len() {
            assert!(matches!(read(&text[..end]), Err(Broken::Damaged)), "cut off after {end} bytes");
        }
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(matches!(read(&other), Err(Broken::Damaged)), "another byte at {at}");
        }
        let twice = [&text[..], &text[..]].concat();
        assert!(matches!(read(&twice), Err(Broken::Damaged)));
    }

    #[test]
    fn lines_that_nobody_writes_are_damage_though_the_hash_is_right() {
        let text = String::from_utf8(written(&sample())).unwrap();
        let body = &text[..text.find("end ").unwrap()];
        let sealed = |body: &str| {
            let hash = Fnv64::default().and(body.as_bytes()).value();
            format!("{body}end {hash:016x}\n").into_bytes()
        };
        assert!(read(&sealed(body)).is_ok());
        let long = "x".repeat(2000);
        for line in [
            "7 192.0.2.1 5",
            "0 192.0.2.9-192.0.2.1 5",
            "0 192.0.2.1-::1 5",
            "0 192.0.2.1",
            "0 x 5",
            "",
            &long,
        ] {
            assert!(matches!(read(&sealed(&format!("{body}{line}\n"))), Err(Broken::Damaged)), "{line}");
        }
        let other = body.replacen("holdings 1", "holdings 2", 1);
        assert!(matches!(read(&sealed(&other)), Err(Broken::Damaged)), "another version");
    }

    #[test]
    fn no_text_leaves_its_line() {
        let (head, mut members) = sample();
        members[0].element.comment = Some("a\nend 0\n".to_owned());
        let (_, read) = read(&written(&(head, members))).unwrap();
        assert_eq!(read[0].element.comment.as_deref(), Some("a end 0 "));
    }
}
