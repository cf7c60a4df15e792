//! From a seed to a text.

use std::ops::Range;

use knockgate_compiler::random::Rng;

use crate::words::{NUMBERS, STRANGE};

/// Bytes of the longest case.
pub const MAX_BYTES: usize = 1 << 16;

/// Changes to one case, at most.
const MOST_CHANGES: usize = 8;
/// Lines of an excerpt, at most.
const MOST_LINES: usize = 24;
/// Words of a case that is made of nothing else, at most.
const MOST_WORDS: usize = 40;
/// Strange characters in a row, less than: enough to be where a long word or message is cut.
const MOST_STRANGE: usize = 600;

/// What cases are made of.
pub struct Cases {
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl Cases {
    /// Cases that begin with a text of `corpus`, which may be empty, or with some of `words`.
    pub fn new(corpus: Vec<Vec<u8>>, words: &'static [&'static str]) -> Self {
        Self { corpus, words }
    }

    /// The case of `seed`: the same for the same corpus and words.
    pub fn case(&self, seed: u64) -> Vec<u8> {
        let mut maker = Maker { cases: self, rng: Rng::new(seed), text: vec![] };
        maker.begin();
        // Few changes more often than many: what is too broken is refused too early.
        let most = maker.rng.below(MOST_CHANGES) + 1;
        for _ in 0..=maker.rng.below(most) {
            maker.change();
            maker.text.truncate(MAX_BYTES);
        }
        maker.text
    }
}

struct Maker<'a> {
    cases: &'a Cases,
    rng: Rng,
    text: Vec<u8>,
}

impl Maker<'_> {
    fn begin(&mut self) {
        self.text = match self.rng.below(20) {
            0..=1 => self.some_words(),
            2..=9 => self.of_corpus(),
            _ => self.excerpt(),
        };
    }

    fn some_words(&mut self) -> Vec<u8> {
        let mut text = vec![];
        for word in self.rng.some(self.cases.words, MOST_WORDS) {
            text.extend_from_slice(word.as_bytes());
            text.extend_from_slice(self.rng.pick(&["", "", " ", "\n"]).as_bytes());
        }
        text
    }

    fn of_corpus(&mut self) -> Vec<u8> {
        match self.cases.corpus.len() {
            0 => self.some_words(),
            len => self.cases.corpus[self.rng.below(len)].clone(),
        }
    }

    /// Some lines of a text, one after the other, below the heading or menu that they stand in.
    fn excerpt(&mut self) -> Vec<u8> {
        let whole = self.of_corpus();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let Some(last) = lines.len().checked_sub(1) else { return whole };
        let first = self.rng.below(last + 1);
        let len = 1 + self.rng.below(MOST_LINES);
        let is_heading = |line: &&&[u8]| line.starts_with(b"[") || line.starts_with(b"/");
        let heading = lines[..first].iter().rev().find(is_heading).copied().unwrap_or_default();
        [heading, &lines[first..(first + len).min(lines.len())].concat()].concat()
    }

    fn change(&mut self) {
        match self.rng.below(20) {
            0..=1 => self.put_word(),
            2 => self.replace_token(),
            3..=5 => self.replace_by_other(),
            6..=8 => self.replace_number(),
            9 => self.put_strange(),
            10 => self.flip(),
            11 => self.remove(),
            12 => self.repeat(),
            13 => self.splice(),
            14..=18 => self.change_lines(),
            _ => self.truncate(),
        }
    }

    fn put_word(&mut self) {
        let word = self.rng.pick(self.cases.words);
        let at = self.place();
        self.text.splice(at..at, word.bytes());
    }

    fn replace_token(&mut self) {
        let word = self.rng.pick(self.cases.words);
        let at = self.place();
        let token = self.run_at(at, u8::is_ascii_alphanumeric);
        self.text.splice(token, word.bytes());
    }

    /// Puts a word of the corpus, with its quotes if it has such, where another is.
    fn replace_by_other(&mut self) {
        let other = self.of_corpus();
        let words: Vec<&[u8]> =
            other.split(|byte| !is_in_word(byte)).filter(|word| !word.is_empty()).collect();
        let at = self.place();
        if !words.is_empty() {
            let word = self.rng.pick(&words);
            let here = self.run_at(at, is_in_word);
            self.text.splice(here, word.iter().copied());
        }
    }

    fn replace_number(&mut self) {
        let number = self.rng.pick(NUMBERS);
        let from = self.place();
        let digit = self.text[from..].iter().position(u8::is_ascii_digit);
        let digits = digit.map_or(from..from, |digit| self.run_at(from + digit, u8::is_ascii_digit));
        self.text.splice(digits, number.bytes());
    }

    fn put_strange(&mut self) {
        let strange = self.rng.pick(STRANGE);
        let times = if self.rng.chance(20) { self.rng.below(MOST_STRANGE) } else { 1 };
        let at = self.place();
        self.text.splice(at..at, strange.repeat(times));
    }

    fn flip(&mut self) {
        let bit = 1 << self.rng.below(8);
        let at = self.place();
        if let Some(byte) = self.text.get_mut(at) {
            *byte ^= bit;
        }
    }

    fn remove(&mut self) {
        let range = self.range();
        self.text.drain(range);
    }

    /// A few times; now and then as often as the longest case allows.
    fn repeat(&mut self) {
        let range = self.range();
        let piece = self.text[range.clone()].to_vec();
        let times = if self.rng.chance(3) { MAX_BYTES / piece.len().max(1) } else { 1 + self.rng.below(6) };
        self.text.splice(range, piece.repeat(times.min(MAX_BYTES)));
    }

    fn splice(&mut self) {
        let other = self.excerpt();
        let (from, to) = self.bounds(other.len());
        let at = self.place();
        self.text.splice(at..at, other[from..to].iter().copied());
    }

    /// Takes a line out, doubles it, exchanges two, or puts in one of the corpus.
    fn change_lines(&mut self) {
        let other = self.of_corpus();
        let others: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
        let mut lines: Vec<&[u8]> = self.text.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.is_empty() || others.is_empty() {
            return;
        }
        let (at, place) = (self.rng.below(lines.len()), self.rng.below(lines.len()));
        match self.rng.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(place, lines[at]),
            2 => lines.swap(at, place),
            3 => lines[at] = self.rng.pick(&others),
            _ => lines.insert(at, self.rng.pick(&others)),
        }
        self.text = lines.concat();
    }

    fn truncate(&mut self) {
        let at = self.place();
        self.text.truncate(at);
    }

    /// Anywhere, or where a word or number begins or ends.
    fn place(&mut self) -> usize {
        let at = self.rng.below(self.text.len() + 1);
        match self.rng.below(3) {
            0 => at,
            1 => self.run_at(at, u8::is_ascii_alphanumeric).start,
            _ => self.run_at(at, u8::is_ascii_alphanumeric).end,
        }
    }

    /// A short stretch, or one of any length.
    fn range(&mut self) -> Range<usize> {
        if self.rng.chance(50) {
            let start = self.place();
            return start..(start + self.rng.below(12)).min(self.text.len());
        }
        let (from, to) = self.bounds(self.text.len());
        from..to
    }

    /// Two places of a text of `len` bytes, in order.
    fn bounds(&mut self, len: usize) -> (usize, usize) {
        let (one, other) = (self.rng.below(len + 1), self.rng.below(len + 1));
        (one.min(other), one.max(other))
    }

    /// The bytes around `at` that are all `wanted`.
    fn run_at(&self, at: usize, wanted: impl Fn(&u8) -> bool) -> Range<usize> {
        let before = self.text[..at].iter().rev().take_while(|byte| wanted(byte)).count();
        let after = self.text[at..].iter().take_while(|byte| wanted(byte)).count();
        at - before..at + after
    }
}

fn is_in_word(byte: &u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b',' | b'[' | b']')
}
