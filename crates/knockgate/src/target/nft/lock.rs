//! One apply at a time in a network namespace.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use super::TargetError;

/// Where our files are. They describe what the kernel holds, so they go when it forgets.
const RUN: &str = "/run/knockgate";

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

pub(super) fn take() -> Result<Lock, TargetError> {
    let folder = folder()?;
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => TargetError::NotPermitted,
        _ => TargetError::State(folder.clone(), error),
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let mut file = options.open(folder.join("lock")).map_err(failed)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(failed(error.into()));
        }
        let mut text = String::new();
        let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
        return Err(TargetError::Locked { holder });
    }
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    write!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(Lock { _file: file })
}
