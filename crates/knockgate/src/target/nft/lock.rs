//! One apply at a time in a network namespace.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::TargetError;

/// Where our files are. They describe what the kernel holds, so they go when it forgets.
const RUN: &str = "/run/knockgate";

/// The file in our folder that is locked.
pub(super) const LOCK: &str = "lock";

/// Our folder for this network namespace: others have tables of their own.
pub(super) fn folder() -> Result<PathBuf, TargetError> {
    let namespace = PathBuf::from("/proc/thread-self/ns/net");
    let inode = fs::metadata(&namespace).map_err(|error| TargetError::State(namespace, error))?.ino();
    Ok(PathBuf::from(RUN).join(inode.to_string()))
}

/// Held as long as the file is open, however the process ends (`man 2 flock`).
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// How often a `remove` that takes the folder away meanwhile is put up with.
const ATTEMPTS: usize = 100;

pub(super) fn take() -> Result<Lock, TargetError> {
    let folder = folder()?;
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::PermissionDenied => TargetError::NotPermitted,
        _ => TargetError::State(folder.clone(), error),
    };
    for _ in 0..ATTEMPTS {
        match take_file(&folder) {
            Err(Refusal::Held(holder)) => return Err(TargetError::Locked { holder }),
            Err(Refusal::Gone) => {}
            Err(Refusal::Failed(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(Refusal::Failed(error)) => return Err(failed(error)),
            Ok(lock) => return Ok(lock),
        }
    }
    Err(TargetError::Locked { holder: None })
}

enum Refusal {
    /// By this process, if it can be told.
    Held(Option<u32>),
    /// A `remove` has deleted the file since it was opened: it locks nobody out any more.
    Gone,
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

fn take_file(folder: &Path) -> Result<Lock, Refusal> {
    fs::create_dir_all(folder)?;
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(Refusal::Held(holder));
        }
        Err(error) => return Err(Refusal::Failed(error.into())),
        Ok(()) => {}
    }
    if fs::metadata(&path)?.ino() != file.metadata()?.ino() {
        return Err(Refusal::Gone);
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    Ok(Lock { _file: file })
}
