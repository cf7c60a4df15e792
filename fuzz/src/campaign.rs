//! Many cases, each of them repeatable.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::time::Instant;
use std::{env, fmt, io, process};

use crate::mutation::Cases;
use crate::targets::Target;

/// Different crashes after which a campaign ends.
const ENOUGH: usize = 4;
/// How often a crash is played again to find a shorter text.
const SHORTENINGS: usize = 4000;

/// How long a campaign goes on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The seed of the first case; the others follow.
    pub first: u64,
    /// Cases at most.
    pub cases: u64,
    /// When no other case begins.
    pub until: Option<Instant>,
}

impl Bounds {
    /// `cases` cases from `first` on, unless the environment says otherwise: `KNOCKGATE_SEED` plays
    /// a single one, `KNOCKGATE_FUZZ_CASES` says how many.
    ///
    /// # Panics
    /// If one of them is no number.
    pub fn from_environment(first: u64, cases: u64) -> Self {
        let wanted = number("KNOCKGATE_FUZZ_CASES");
        match number("KNOCKGATE_SEED") {
            Some(seed) => Self { first: seed, cases: wanted.unwrap_or(1), until: None },
            None => Self { first, cases: wanted.unwrap_or(cases), until: None },
        }
    }
}

/// A number of the environment.
///
/// # Panics
/// If something else stands there.
pub fn number(key: &str) -> Option<u64> {
    env::var(key).ok().map(|text| text.parse().expect("a number in the environment"))
}

/// What a campaign has found.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases played.
    pub cases: u64,
    /// Cases that crashed.
    pub crashed: u64,
    /// A crash for each place in the code, with a short text that leads there.
    pub crashes: Vec<Crash>,
}

/// A text that a target does not survive.
#[derive(Debug)]
pub struct Crash {
    /// The seed of its case.
    pub seed: u64,
    /// What the panic said, and where.
    pub panic: Panic,
    /// The case, shortened.
    pub text: Vec<u8>,
}

impl Crash {
    /// Writes the text to a file, to be kept in `regressions/`.
    ///
    /// # Errors
    /// If the folder for temporary files cannot be written to.
    pub fn save(&self, target: &str) -> io::Result<PathBuf> {
        let path = env::temp_dir().join(format!("knockgate-fuzz-{target}-{}", self.seed));
        fs::write(&path, &self.text).map(|()| path)
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, panic, text } = self;
        write!(f, "seed {seed}: {}\n  at {}\n  with \"{}\"", panic.said, panic.place, text.escape_ascii())
    }
}

/// What a panic said.
#[derive(Clone, Debug, Default)]
pub struct Panic {
    /// Its message.
    pub said: String,
    /// File, line and column.
    pub place: String,
}

thread_local! {
    /// The last panic of a thread that plays a case; `None` in all other threads.
    static HEARD: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Keeps what is caught below from being printed, and leaves all other panics as they are.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let caught = HEARD.with_borrow_mut(|heard| {
                let Some(heard) = heard else { return false };
                heard.said = info.payload_as_str().unwrap_or_default().to_owned();
                heard.place = info.location().map(ToString::to_string).unwrap_or_default();
                true
            });
            if !caught {
                usual(info);
            }
        }));
    });
}

/// Plays one text; what the panic said, if there was one.
pub fn play(run: fn(&[u8]), text: &[u8]) -> Option<Panic> {
    listen();
    HEARD.set(Some(Panic::default()));
    let played = catch_unwind(AssertUnwindSafe(|| run(text)));
    let heard = HEARD.take();
    played.err().and(heard)
}

/// Plays cases of a target until a bound is reached, or enough is found.
///
/// # Errors
/// If the folder for temporary files cannot be written to.
pub fn run(target: &Target, bounds: Bounds) -> io::Result<Report> {
    let cases = Cases::new((target.corpus)(), target.words);
    let journal = Journal::new(target.name)?;
    let mut report = Report::default();
    let mut places = BTreeSet::new();
    while report.cases < bounds.cases && places.len() < ENOUGH {
        if bounds.until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        let seed = bounds.first.wrapping_add(report.cases);
        journal.note(seed)?;
        let text = cases.case(seed);
        report.cases += 1;
        if let Some(panic) = play(target.run, &text) {
            report.crashed += 1;
            if places.insert(panic.place.clone()) {
                let (text, panic) = shorten(target.run, text, panic);
                report.crashes.push(Crash { seed, panic, text });
            }
        }
    }
    journal.close()?;
    Ok(report)
}

/// The shortest text that was found to panic at the same place.
fn shorten(run: fn(&[u8]), mut text: Vec<u8>, mut panic: Panic) -> (Vec<u8>, Panic) {
    let mut budget = SHORTENINGS;
    let mut len = text.len().div_ceil(2);
    while len > 0 {
        let mut start = 0;
        while start < text.len() && budget > 0 {
            budget -= 1;
            let mut shorter = text.clone();
            shorter.drain(start..(start + len).min(text.len()));
            match play(run, &shorter) {
                Some(still) if still.place == panic.place => (text, panic) = (shorter, still),
                _ => start += len,
            }
        }
        len /= 2;
    }
    (text, panic)
}

/// The seed of the case that is being played, in a file: it is left over when the process is aborted,
/// as by an exhausted stack, or is ended because a case takes for ever.
struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    fn new(target: &str) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("knockgate-fuzz-{target}-at-{}", process::id()));
        Ok(Self { file: File::create(&path)?, path })
    }

    /// A line of one length, so that it overwrites the one before.
    fn note(&self, seed: u64) -> io::Result<()> {
        self.file.write_all_at(format!("{seed:020}\n").as_bytes(), 0)
    }

    fn close(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}
