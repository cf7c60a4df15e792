//! Who gave a command.

use std::fs;
use std::net::IpAddr;

use rustix::process::getuid;

use crate::session;

/// Who gave a command, as far as the machine can tell; nobody, if a packet or a clock did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The name of the user who logged in, or their number if they have none.
    pub user: Option<String>,
    /// Where their ssh session comes from.
    pub from: Option<IpAddr>,
}

/// Of a process that nobody logged in for (`man 8 pam_loginuid`).
const NOBODY: u32 = u32::MAX;

impl Who {
    /// Whoever this process works for.
    pub fn of_this_process() -> Self {
        let from = session::of_this_process().map(|session| session.remote.ip());
        Self { user: Some(name_of(user())), from }
    }
}

/// Who logged in stays the same through sudo and su. Without a login, who asked sudo; else whom the
/// process belongs to.
fn user() -> u32 {
    let number = |text: String| text.trim().parse().ok().filter(|number| *number != NOBODY);
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(number);
    let real = getuid();
    let asked = || real.is_root().then(|| std::env::var("SUDO_UID").ok().and_then(number)).flatten();
    login.or_else(asked).unwrap_or(real.as_raw())
}

/// What `/etc/passwd` calls a user. Who is kept elsewhere is told by number.
fn name_of(user: u32) -> String {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = user.to_string();
    let named = text.lines().find_map(|line| {
        let mut words = line.split(':');
        let name = words.next()?;
        (words.nth(1)? == number).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_or_numbers() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_001), "4000000001");
    }
}
