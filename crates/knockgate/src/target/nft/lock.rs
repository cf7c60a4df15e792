//! One apply at a time in a network namespace, and one save.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use super::TargetError;
use super::files::{failed, folder};

/// The file in our folder that is locked.
pub(super) const LOCK: &str = "lock";
/// The same for saves.
pub(super) const SAVING: &str = "saving";
/// The same for who keeps rules in force and passes events on.
pub(super) const KEEPER: &str = "keeper";

/// Held as long as the file is open, however the process ends (`man 2 flock`).
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// What `work` returns. Programs that it starts hold the lock too, so that it is not free while
    /// one of them goes on after we were killed.
    pub(super) fn lend<T>(&self, work: impl FnOnce() -> Result<T, TargetError>) -> Result<T, TargetError> {
        let set =
            |flags| fcntl_setfd(&self.file, flags).map_err(|error| failed(Path::new(LOCK), error.into()));
        set(FdFlags::empty())?;
        let done = work();
        set(FdFlags::CLOEXEC)?;
        done
    }
}

/// How often a `remove` that takes the folder away meanwhile is put up with.
const ATTEMPTS: usize = 100;

/// The lock of who changes what is in force.
pub(super) fn take() -> Result<Lock, TargetError> {
    take_as(LOCK)
}

/// One of our locks. They do not hinder each other.
pub(super) fn take_as(name: &str) -> Result<Lock, TargetError> {
    let folder = folder()?;
    for _ in 0..ATTEMPTS {
        match take_file(&folder, name) {
            Err(Refusal::Held(holder)) => return Err(TargetError::Locked { holder }),
            Err(Refusal::Gone) => {}
            Err(Refusal::Failed(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(Refusal::Failed(error)) => return Err(failed(&folder, error)),
            Ok(lock) => return Ok(lock),
        }
    }
    Err(TargetError::Locked { holder: None })
}

/// How long somebody waits who may not be refused, and how often that one looks.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// The lock of who changes what is in force, when whoever holds it has let it go: after a flush, several
/// programs of ours may mend it at once.
pub(super) fn take_in_turn() -> Result<Lock, TargetError> {
    take_patiently(LOCK)
}

/// One save at a time. It keeps no apply from its work.
pub(super) fn take_saving() -> Result<Lock, TargetError> {
    take_patiently(SAVING)
}

fn take_patiently(name: &str) -> Result<Lock, TargetError> {
    let start = Instant::now();
    loop {
        match take_as(name) {
            Err(TargetError::Locked { .. }) if start.elapsed() < PATIENCE => thread::sleep(LOOK),
            taken => return taken,
        }
    }
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

fn take_file(folder: &Path, name: &str) -> Result<Lock, Refusal> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
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
    Ok(Lock { file })
}
