//! What we note of an apply, beside what the kernel holds.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::TargetError;
use super::lock::{LOCK, folder};

/// The policy or script that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The file it came from.
    pub name: String,
    /// Its text. It holds secrets, so only its owner may read the note.
    pub text: String,
    /// What else was said of it on the command line, a word each.
    pub options: Vec<String>,
}

const NAME: &str = "name";
const POLICY: &str = "policy";
const OPTIONS: &str = "options";
const LISTING: &str = "listing";

impl Applied {
    /// The policy that was applied last in this namespace, and how nft listed its ruleset then.
    pub fn read() -> Result<Option<(Self, String)>, TargetError> {
        let folder = folder()?;
        let read = |name: &str| match fs::read_to_string(folder.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(TargetError::NotPermitted),
            Err(error) => Err(TargetError::State(folder.join(name), error)),
        };
        let options = read(OPTIONS)?.unwrap_or_default().lines().map(str::to_owned).collect();
        Ok(match (read(NAME)?, read(POLICY)?, read(LISTING)?) {
            (Some(name), Some(text), Some(listing)) => Some((Self { name, text, options }, listing)),
            _ => None,
        })
    }

    /// Notes this policy, with `listing` as nft's own words for what was made of it.
    pub(super) fn write(&self, listing: &str) -> Result<(), TargetError> {
        let folder = folder()?;
        let options = self.options.join("\n");
        let notes =
            [(NAME, self.name.as_str()), (POLICY, &self.text), (OPTIONS, &options), (LISTING, listing)];
        for (name, text) in notes {
            let path = folder.join(name);
            write_private(&path, text).map_err(|error| TargetError::State(path, error))?;
        }
        Ok(())
    }
}

/// What a note is called until it is complete.
fn new(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = new(path);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

/// Removes all notes of this namespace, and our folder when it was the last. The lock goes last:
/// from then on somebody else may be writing notes.
pub(super) fn forget() -> Result<(), TargetError> {
    let folder = folder()?;
    for name in [NAME, POLICY, OPTIONS, LISTING, LOCK] {
        let path = folder.join(name);
        gone(fs::remove_file(new(&path)), &path)?;
        gone(fs::remove_file(&path), &path)?;
    }
    gone(fs::remove_dir(&folder), &folder)?;
    folder.parent().map_or(Ok(()), |parent| gone(fs::remove_dir(parent), parent))
}

fn gone(result: io::Result<()>, path: &Path) -> Result<(), TargetError> {
    match result {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(TargetError::State(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}
