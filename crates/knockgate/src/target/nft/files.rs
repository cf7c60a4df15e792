//! Where our files are, and how they are written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::TargetError;

/// Holds what describes what the kernel holds, so it goes when the kernel forgets.
const RUN: &str = "/run/knockgate";

/// Holds what outlives a restart.
const LASTING: &str = "/var/lib/knockgate";

/// There if systemd runs (`man 3 sd_booted`).
const SYSTEMD: &str = "/run/systemd/system";

/// Our folder for this network namespace: others have tables of their own.
pub(super) fn folder() -> Result<PathBuf, TargetError> {
    let namespace = PathBuf::from("/proc/thread-self/ns/net");
    let inode = fs::metadata(&namespace).map_err(|error| TargetError::State(namespace, error))?.ino();
    Ok(PathBuf::from(RUN).join(inode.to_string()))
}

/// What tells the network namespace of a process. Links of the first process can be read only by who
/// may look into it (`man 2 ptrace`), which a service with few capabilities may not; but every network
/// namespace has a file of its own of this name too (fs/proc/proc_net.c), and anybody may see its number.
const NAMESPACES: [&str; 2] = ["ns/net", "net/dev"];

/// Our folder for what outlives a restart. `None` in any network namespace but that of the first
/// process: no other one is there again afterwards.
pub(super) fn lasting() -> Option<PathBuf> {
    let inode = |process: &str, what: &str| {
        let found = fs::metadata(format!("/proc/{process}/{what}"));
        found.map(|found| found.ino()).ok()
    };
    let mut told =
        NAMESPACES.iter().filter_map(|what| Some(inode("1", what)? == inode("thread-self", what)?));
    told.next()?.then(|| PathBuf::from(LASTING))
}

/// Whether systemd can be asked to run something in this network namespace.
pub(super) fn has_systemd() -> bool {
    lasting().is_some() && Path::new(SYSTEMD).is_dir()
}

/// What a file says; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>, TargetError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) => missing(path, error).map(|()| None),
    }
}

/// Writes all of a file or nothing of it, so that it is there even after a loss of power. It may hold
/// secrets, so only its owner may read it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), TargetError> {
    write_by(path, |file| file.write_all(text.as_bytes()).map_err(|error| failed(path, error)))
}

/// The same for what `fill` writes piece by piece.
pub(super) fn write_by(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), TargetError>,
) -> Result<(), TargetError> {
    let mut file = BufWriter::new(begin(path).map_err(|error| failed(path, error))?);
    fill(&mut file)?;
    finish(path, file).map_err(|error| failed(path, error))
}

fn begin(path: &Path) -> io::Result<File> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(new(path))
}

fn finish(path: &Path, file: BufWriter<File>) -> io::Result<()> {
    file.into_inner()?.sync_all()?;
    fs::rename(new(path), path)?;
    File::open(path.parent().ok_or(ErrorKind::InvalidInput)?)?.sync_all()
}

/// What a file is called until it is complete.
fn new(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Removes a file, and what is left of an attempt to write it, if there is any.
pub(super) fn remove(path: &Path) -> Result<(), TargetError> {
    for path in [&new(path), path] {
        fs::remove_file(path).or_else(|error| missing(path, error))?;
    }
    Ok(())
}

/// Removes a folder if nothing is in it.
pub(super) fn remove_folder(path: &Path) -> Result<(), TargetError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) => missing(path, error),
        Ok(()) => Ok(()),
    }
}

fn missing(path: &Path, error: io::Error) -> Result<(), TargetError> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(failed(path, error)) }
}

pub(super) fn failed(path: &Path, error: io::Error) -> TargetError {
    match error.kind() {
        ErrorKind::PermissionDenied => TargetError::NotPermitted,
        _ => TargetError::State(path.to_owned(), error),
    }
}
