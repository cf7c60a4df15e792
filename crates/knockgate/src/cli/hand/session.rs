//! Where the person at the keyboard is.

use std::fs;
use std::net::IpAddr;

/// Ancestors that are looked at: shells and `sudo` nest no deeper.
const ANCESTORS: usize = 64;

/// The address that this ssh session comes from, as this process or the nearest ancestor with one was
/// told; `sudo` tells its child nothing.
pub fn source() -> Option<IpAddr> {
    let mut process = std::process::id();
    for _ in 0..ANCESTORS {
        if let Some(source) = source_of(process) {
            return Some(source);
        }
        process = parent(process).filter(|parent| *parent > 0)?;
    }
    None
}

/// `SSH_CONNECTION` begins with the client's address (`man 1 ssh`, ENVIRONMENT).
fn source_of(process: u32) -> Option<IpAddr> {
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let variable =
        environment.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"SSH_CONNECTION="))?;
    let address = std::str::from_utf8(variable).ok()?.split(' ').next()?;
    // A link-local one has its interface with it.
    let address = address.split('%').next()?;
    Some(address.parse::<IpAddr>().ok()?.to_canonical())
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
