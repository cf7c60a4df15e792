//! Files that texts are written to, all of them or nothing.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Where a file is to be written.
#[derive(Debug)]
pub struct Place {
    /// Of a link, what it leads to.
    path: PathBuf,
    /// What is there already.
    old: Option<Metadata>,
}

impl Place {
    /// What `path` leads to. What is there and no regular file is an error.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), old: None });
            }
            path => path?,
        };
        let old = fs::metadata(&path)?;
        if !old.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Self { path, old: Some(old) })
    }

    /// Whether a file is there already.
    pub fn is_taken(&self) -> bool {
        self.old.is_some()
    }

    /// Whether this is the file at `path`.
    pub fn is(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|other| {
            self.old.as_ref().is_some_and(|old| (old.dev(), old.ino()) == (other.dev(), other.ino()))
        })
    }

    /// Writes all of it or nothing. What is there already stays whose it is; a new file is for its
    /// owner alone, for it tells how to knock.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut name = self.path.file_name().ok_or(ErrorKind::IsADirectory)?.to_owned();
        name.push(format!(".knockgate-{}", std::process::id()));
        let beside = self.path.with_file_name(name);
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = self.fill(&mut new, text).and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            // What went wrong is told; that the new file cannot be removed either is less.
            fs::remove_file(&beside).unwrap_or_default();
        }
        written
    }

    fn fill(&self, new: &mut File, text: &str) -> io::Result<()> {
        new.write_all(text.as_bytes())?;
        if let Some(old) = &self.old {
            let made = new.metadata()?;
            if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
                fchown(&*new, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(old.permissions())?;
        }
        new.sync_all()
    }
}
