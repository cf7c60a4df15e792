//! Commands that are carried out in namespaces of their own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use super::output::Answer;

/// Becomes the same command inside new namespaces: network and mounts, to leave nothing behind;
/// processes, so that all of them end with the first; users, where we are not root. `what` is what was to be done there.
pub fn enter(what: &str) -> anyhow::Result<Answer> {
    let missing = "`unshare` cannot be run; on Debian: apt install util-linux";
    // What is run after it is told by its own exit status, so its own failure is looked for before.
    let tried = unshare().arg("true").output().context(missing)?;
    if !tried.status.success() {
        let words = String::from_utf8_lossy(&tried.stderr);
        anyhow::bail!(
            "no namespaces can be made here ({}); {what} as root, or let users have namespaces of their own",
            words.trim()
        );
    }
    let mut command = unshare();
    // Notes of an apply below /run are its own, too.
    command.args(["sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().context("finding our own program")?);
    command.args(std::env::args_os().skip(1)).arg("--inside");
    let error = command.exec();
    Err(error).context(missing)
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}
