//! What of the machine makes a policy mean less than it says.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use knockgate_compiler::net::{Family, Interface};
use knockgate_compiler::policy::Policy;

use super::TargetError;

/// A reason why the policy does less than its owner may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// No interface is called so now.
    NoInterface(Interface),
    /// A service is on a host behind, but packets are not passed on.
    NotForwarding(Family),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface(name) => {
                write!(f, "no interface is called `{name}` now; what comes in by others is not guarded")
            }
            Self::NotForwarding(Family::V4) => {
                f.write_str("IPv4 packets are not passed on to hosts behind: sysctl net.ipv4.ip_forward=1")
            }
            Self::NotForwarding(Family::V6) => f.write_str(
                "IPv6 packets are not passed on to hosts behind: sysctl net.ipv6.conf.all.forwarding=1",
            ),
        }
    }
}

/// What there is to doubt about `policy` on this machine, as it is now.
pub fn doubts(policy: &Policy) -> Result<Vec<Doubt>, TargetError> {
    let devices = read("/proc/thread-self/net/dev")?;
    let names: Vec<&str> =
        devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    let missing = policy.outside().iter().filter(|outside| !names.iter().any(|name| outside.matches(name)));
    let mut found: Vec<Doubt> = missing.cloned().map(Doubt::NoInterface).collect();
    for (family, key) in [(Family::V4, "net/ipv4/ip_forward"), (Family::V6, "net/ipv6/conf/all/forwarding")] {
        let services = policy.doors().iter().flat_map(|door| &door.services);
        let mut behind = services.filter_map(|service| service.behind());
        let wanted = behind.any(|(address, _)| Family::of(address) == family);
        if wanted && read(&format!("/proc/sys/{key}"))?.trim() == "0" {
            found.push(Doubt::NotForwarding(family));
        }
    }
    Ok(found)
}

fn read(path: &str) -> Result<String, TargetError> {
    fs::read_to_string(path).map_err(|error| TargetError::State(PathBuf::from(path), error))
}
