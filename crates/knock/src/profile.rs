//! Named profiles: where to knock and how, from the user's `config.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use crate::address::Family;
use crate::duration::parse_duration;
use crate::knock::{Knock, KnockError};
use crate::sequence::{DEFAULT_GAP, Sequence, SequenceError};
use crate::wait::WaitPort;

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;

const DEFAULT_COPIES: u8 = 2;
const KEYS: [&str; 7] = ["profile", "host", "knocks", "gap", "copies", "wait", "family"];
/// The most edits between a key and what was probably meant.
const NEAR: usize = 2;

/// Where to knock and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name of its table in the file.
    pub name: String,
    /// The host's name or address.
    pub host: String,
    /// What to say: by default 2 copies of each knock, and 200 ms from knock to knock.
    pub sequence: Sequence,
    /// Which addresses of the host may be used.
    pub family: Family,
    /// The port to wait for after knocking.
    pub wait: Option<WaitPort>,
}

/// The profiles of one file, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    profiles: Vec<Profile>,
    readable_by_others: bool,
}

impl Profiles {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ProfileError`], at the first thing that is wrong; an absent file is [`ProfileError::Unreadable`].
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let unreadable = |error| ProfileError::Unreadable { path: path.to_owned(), error };
        let file = File::open(path).map_err(unreadable)?;
        let readable_by_others = readable_by_others(&file).map_err(unreadable)?;
        let mut text = String::new();
        file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(ProfileError::TooLarge { path: path.to_owned() });
        }
        Ok(Self { readable_by_others, ..Self::parse(&text, path)? })
    }

    /// Reads a file's text; `path` is for messages only.
    ///
    /// # Errors
    /// [`ProfileError::Bad`], at the first thing that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let bad = |fault: Fault| fault.at(text, path);
        let document: Document = toml::from_str(text).map_err(|error| bad(Fault::of(&error, text)))?;
        let profiles = document
            .profile
            .into_iter()
            .map(|(name, entry)| entry.into_profile(name).map_err(bad))
            .collect::<Result<_, _>>()?;
        Ok(Self { profiles, readable_by_others: false })
    }

    /// Whether others than its owner may read the file: knocks are secrets. False where files have no such mode.
    #[must_use]
    pub fn readable_by_others(&self) -> bool {
        self.readable_by_others
    }

    /// All profiles.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// The profile of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// The profile for a connection to this host and port: the host's only one, or the only one of the host that waits
    /// for this port.
    ///
    /// # Errors
    /// [`AmbiguousHost`] when several remain.
    pub fn for_host(&self, host: &str, port: NonZeroU16) -> Result<Option<&Profile>, AmbiguousHost> {
        let of_host: Vec<&Profile> = self.profiles.iter().filter(|profile| profile.host == host).collect();
        let for_port = |profile: &&&Profile| profile.wait.is_some_and(|wait| wait.port() == port);
        match of_host[..] {
            [] => Ok(None),
            [profile] => Ok(Some(profile)),
            _ => match of_host.iter().filter(for_port).collect::<Vec<_>>()[..] {
                [profile] => Ok(Some(profile)),
                _ => Err(AmbiguousHost {
                    host: host.to_owned(),
                    names: of_host.iter().map(|profile| profile.name.clone()).collect(),
                }),
            },
        }
    }
}

#[cfg(unix)]
fn readable_by_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    profile: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: String,
    knocks: Spanned<Vec<Spanned<String>>>,
    gap: Option<Spanned<Gap>>,
    copies: Option<Spanned<u8>>,
    wait: Option<Written<WaitPort>>,
    family: Option<Written<Family>>,
}

impl Entry {
    fn into_profile(self, name: String) -> Result<Profile, Fault> {
        let sequence = self.sequence()?;
        Ok(Profile {
            name,
            host: self.host,
            sequence,
            family: self.family.map_or(Family::Any, |family| family.0),
            wait: self.wait.map(|wait| wait.0),
        })
    }

    fn sequence(&self) -> Result<Sequence, Fault> {
        let knocks = self.knocks.get_ref().iter().map(knock).collect::<Result<_, _>>()?;
        let gap = self.gap.as_ref().map_or(DEFAULT_GAP, |gap| gap.get_ref().0);
        let copies = self.copies.as_ref().map_or(DEFAULT_COPIES, |copies| *copies.get_ref());
        Sequence::new(knocks, gap, copies).map_err(|error| Fault::new(self.blamed(&error), &error))
    }

    fn blamed(&self, error: &SequenceError) -> Range<usize> {
        let key = match error {
            SequenceError::NoKnocks | SequenceError::TooManyKnocks { .. } => None,
            SequenceError::GapTooLong { .. } => self.gap.as_ref().map(Spanned::span),
            SequenceError::BadCopies { .. } | SequenceError::CopiesOfRepeatedKnock { .. } => {
                self.copies.as_ref().map(Spanned::span)
            }
        };
        key.unwrap_or_else(|| self.knocks.span())
    }
}

fn knock(written: &Spanned<String>) -> Result<Knock, Fault> {
    written.get_ref().parse().map_err(|error: KnockError| Fault::new(written.span(), &error))
}

/// A value that stands in the file as people write it.
struct Written<T>(T);

impl<'de, T> Deserialize<'de> for Written<T>
where
    T: FromStr<Err: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

struct Gap(Duration);

impl<'de> Deserialize<'de> for Gap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(de::Error::custom)
    }
}

/// Something wrong in the text, before it has a line and a column.
struct Fault {
    span: Range<usize>,
    message: String,
    meant: Option<&'static str>,
}

impl Fault {
    fn of(error: &toml::de::Error, text: &str) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().to_owned();
        let is_key = message.starts_with("unknown field");
        let meant = text.get(span.clone()).filter(|_| is_key).and_then(nearest_key);
        Self { span, message, meant }
    }

    fn new(span: Range<usize>, error: &impl ToString) -> Self {
        Self { span, message: error.to_string(), meant: None }
    }

    fn at(self, text: &str, path: &Path) -> ProfileError {
        let before = text.get(..self.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ProfileError::Bad {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
            meant: self.meant,
        }
    }
}

fn nearest_key(key: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .filter(|&(edits, _)| edits <= NEAR)
        .min()
        .map(|(_, known)| known)
}

/// Why a file holds no profiles.
#[derive(Debug)]
pub enum ProfileError {
    /// It cannot be read, or is not UTF-8.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is larger than [`LARGEST_FILE`].
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    Bad {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The key that an unknown one was probably meant to be.
        meant: Option<&'static str>,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::TooLarge { path } => {
                write!(f, "{} is larger than {LARGEST_FILE} bytes", path.display())
            }
            Self::Bad { path, line, column, message, meant } => {
                write!(f, "{}:{line}:{column}: {message}", path.display())?;
                meant.map_or(Ok(()), |meant| write!(f, "; did you mean `{meant}`?"))
            }
        }
    }
}

impl std::error::Error for ProfileError {}

/// Several profiles are for the same host, and the port does not tell which one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousHost {
    host: String,
    names: Vec<String>,
}

impl fmt::Display for AmbiguousHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, names } = self;
        write!(f, "several profiles are for host `{host}`: name one of {}", names.join(", "))
    }
}

impl std::error::Error for AmbiguousHost {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Profiles, String> {
        Profiles::parse(text, Path::new("config.toml")).map_err(|error| error.to_string())
    }

    fn port(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).unwrap()
    }

    #[test]
    fn a_profile_has_everything_that_it_says() {
        let profiles = parse(
            "[profile.home]\nhost = \"gw.example\"\nknocks = [\"333/tcp\", \"777/udp\"]\ngap = \"50ms\"\ncopies = 3\n\
             wait = \"22/tcp\"\nfamily = \"6\"\n",
        )
        .unwrap();
        let home = profiles.named("home").unwrap();
        assert_eq!((home.host.as_str(), home.family), ("gw.example", Family::V6));
        assert_eq!(home.sequence.knocks(), ["333".parse().unwrap(), "777/udp".parse().unwrap()]);
        assert_eq!((home.sequence.gap(), home.sequence.copies()), (Duration::from_millis(50), 3));
        assert_eq!(home.wait.unwrap().port(), port(22));
    }

    #[test]
    fn a_profile_needs_only_a_host_and_knocks() {
        let profiles = parse("[profile.home]\nhost = \"gw\"\nknocks = [\"333\"]\n").unwrap();
        let home = profiles.named("home").unwrap();
        assert_eq!((home.sequence.gap(), home.sequence.copies()), (DEFAULT_GAP, DEFAULT_COPIES));
        assert_eq!((home.family, home.wait), (Family::Any, None));
        assert_eq!(profiles.named("work"), None);
    }

    #[test]
    fn the_first_fault_is_told_with_its_place() {
        let head = "[profile.home]\nhost = \"gw\"\n";
        for (rest, told) in [
            ("knock = [\"333\"]\n", "config.toml:3:1: unknown field `knock`"),
            ("knock = [\"333\"]\n", "; did you mean `knocks`?"),
            ("knocks = [\"333\"]\nfamly = \"4\"\n", "config.toml:4:1: unknown field `famly`"),
            ("knocks = [\"333\"]\n[profil.work]\n", "did you mean `profile`?"),
            ("knocks = [\"333\", \"0\"]\n", "config.toml:3:18: `0` is not a port"),
            ("knocks = []\n", "config.toml:3:10: no knocks are given"),
            ("knocks = [\"333\", \"333\"]\n", "333/tcp comes twice in a row"),
            ("knocks = [\"333\"]\ngap = \"5\"\n", "config.toml:4:7: `5` is not a duration"),
            ("knocks = [\"333\"]\ncopies = 9\n", "config.toml:4:10: 9 copies of each knock are not possible"),
            ("knocks = [\"333\"]\nwait = \"53/udp\"\n", "config.toml:4:8: `53/udp` cannot be waited for"),
            ("knocks = [\"333\"]\nfamily = \"5\"\n", "config.toml:4:10: `5` is not an address family"),
            ("knocks = [\"333\"\n", "config.toml:"),
            ("", "config.toml:1:1: missing field `knocks`"),
        ] {
            let error = parse(&format!("{head}{rest}")).unwrap_err();
            assert!(error.contains(told), "{rest}{error}");
        }
    }

    #[test]
    fn an_unknown_key_that_resembles_nothing_gets_no_suggestion() {
        let error = parse("colour = 1\n").unwrap_err();
        assert!(error.contains("unknown field `colour`") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn a_host_with_several_profiles_is_told_apart_by_the_port() {
        let entry =
            |name, wait| format!("[profile.{name}]\nhost = \"gw\"\nknocks = [\"1\"]\nwait = \"{wait}\"\n");
        let profiles = parse(&format!("{}{}", entry("a", 22), entry("b", 443))).unwrap();
        assert_eq!(profiles.for_host("gw", port(443)).unwrap().unwrap().name, "b");
        assert_eq!(profiles.for_host("other", port(22)), Ok(None));
        let error = profiles.for_host("gw", port(80)).unwrap_err().to_string();
        assert!(error.contains("name one of a, b"), "{error}");
    }
}
