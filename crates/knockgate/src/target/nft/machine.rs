//! What of the machine makes a policy mean less than it says.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use knockgate_compiler::net::{Family, Interface};
use knockgate_compiler::program::{Condition, Program, Verdict};

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

/// What there is to doubt about `program` on this machine, as it is now.
pub fn doubts(program: &Program) -> Result<Vec<Doubt>, TargetError> {
    let devices = read("/proc/thread-self/net/dev")?;
    let names: Vec<&str> =
        devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    let is_there = |named: &Interface| names.iter().any(|name| named.matches(name));
    let missing = named(program).into_iter().filter(|named| !is_there(named));
    let mut found: Vec<Doubt> = missing.cloned().map(Doubt::NoInterface).collect();
    for (family, key) in [(Family::V4, "net/ipv4/ip_forward"), (Family::V6, "net/ipv6/conf/all/forwarding")] {
        let wanted = leads_behind(program, family);
        if wanted && read(&format!("/proc/sys/{key}"))?.trim() == "0" {
            found.push(Doubt::NotForwarding(family));
        }
    }
    Ok(found)
}

/// The interfaces that rules ask for.
fn named(program: &Program) -> BTreeSet<&Interface> {
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let asked = rules.flat_map(|rule| &rule.when).map(|condition| match condition {
        Condition::Not(inner) => &**inner,
        condition => condition,
    });
    let lists = asked.filter_map(|condition| match condition {
        Condition::From(interfaces) => Some(interfaces),
        _ => None,
    });
    lists.flatten().collect()
}

/// Whether some rule lets packets on to a host behind.
fn leads_behind(program: &Program, family: Family) -> bool {
    let mut rules = program.chains().iter().flat_map(|chain| &chain.rules);
    rules.any(|rule| match &rule.verdict {
        Some(Verdict::Redirect(to)) => Family::of(to.ip()) == family,
        Some(Verdict::Accept) => rule.when.iter().any(|condition| match condition {
            Condition::Destination(prefixes) => {
                prefixes.iter().any(|prefix| prefix.family() == family && prefix.len() == family_bits(family))
            }
            _ => false,
        }),
        _ => false,
    })
}

fn family_bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

fn read(path: &str) -> Result<String, TargetError> {
    fs::read_to_string(path).map_err(|error| TargetError::State(PathBuf::from(path), error))
}
