//! A file that another program reads whenever it likes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// node_exporter runs as a user of its own.
const MODE: u32 = 0o644;

/// Writes all of a file or nothing of it, readable by everybody.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // node_exporter reads every file whose name ends in `.prom`.
    let mut name = path.file_name().ok_or(ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".knockgate-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let written = fill(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What went wrong is told; that the new file cannot be removed either is less.
        fs::remove_file(&beside).unwrap_or_default();
    }
    written
}

/// A link that somebody put there is not followed.
fn fill(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_links_lead_to_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("knockgate-metrics-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (precious, page) = (folder.join("precious"), folder.join("page.prom"));
        fs::write(&precious, "precious").unwrap();
        fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
        let beside = folder.join(format!("page.prom.knockgate-{}", std::process::id()));
        for link in [&page, &beside] {
            std::os::unix::fs::symlink(&precious, link).unwrap();
        }
        write(&page, "x 1\n").unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), "x 1\n");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside it");
        fs::remove_dir_all(&folder).unwrap();
    }
}
