//! What is said of a doubt, how much it weighs, and what to do.

use std::collections::BTreeSet;
use std::fmt;

use knockgate_compiler::net::Family;

use super::arrivals::{Obstacle, Sure};
use super::others::Deed;
use super::wanted::Wanted;
use super::{Doubt, Weight, tools};

/// Packets that a sentence names.
const NAMED: usize = 4;

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
            Self::Lacks(lack) => write!(f, "this kernel or nft lacks {lack}"),
            Self::NoAddress(name) => write!(f, "outside interface `{name}` has no address now"),
            Self::OpenWay(name, families) => {
                let families: Vec<&str> = families.iter().map(|family| family_name(*family)).collect();
                let families = families.join(" and ");
                write!(f, "the default route for {families} is by `{name}`, which is not in `outside`: ")?;
                f.write_str("who comes in by it is not asked to knock")
            }
            Self::OpenV6(name) => {
                write!(
                    f,
                    "`{name}` has a public IPv6 address and is not in `outside`, where nothing has one: "
                )?;
                f.write_str("services may be reached over IPv6 without a knock")
            }
            Self::TableFull { count, max } => {
                write!(f, "connection tracking holds {count} connections of {max}: ")?;
                f.write_str("when it is full, knocks and new connections are dropped")
            }
            Self::Obstacle(obstacle, _) => obstacle.fmt(f),
            Self::DroppedBefore(places) => {
                let named = places.first().map(ToString::to_string).unwrap_or_default();
                let (and, send) = match places.len() {
                    0 | 1 => (String::new(), "sends"),
                    more => (format!(" and {} more", more - 1), "send"),
                };
                write!(f, "{named}{and} {send} connections on which `early-drop` drops before")
            }
            Self::Hidden(tables) => {
                let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
                write!(f, "the older iptables has tables here ({}), ", tables.join(", "))?;
                f.write_str("which nft does not show; they too may drop what is wanted")
            }
            Self::Listens(wanted, program) => {
                let program = program.as_deref().unwrap_or("a program that cannot be told");
                write!(
                    f,
                    "{program} listens where {wanted} is: from outside, nobody gets an answer there, "
                )?;
                f.write_str("and who tries to is taken for one who knocks")
            }
            Self::Deaf(wanted, false) => {
                write!(f, "nobody listens at {}: what is opened leads to nothing", listed(wanted))
            }
            Self::Deaf(wanted, true) => {
                write!(f, "who listens at {} takes packets from this machine alone", listed(wanted))
            }
            Self::Flushes(file) => {
                write!(f, "nftables.service starts with the machine, and {file} flushes all tables: ")?;
                f.write_str("whenever it is started again, our rules, grants and bans are gone")
            }
            Self::ClockSet { by_s } => {
                let way = if *by_s > 0 { "ahead" } else { "back" };
                write!(
                    f,
                    "the clock was set {way} by {} s since the rules were put in force: ",
                    by_s.unsigned_abs()
                )?;
                f.write_str("grants and bans end when they should, but moments in logs before and after do not compare")
            }
            Self::Beside(tool, table) => write!(f, "{tool} has rules of its own in table `{table}`"),
        }
    }
}

/// The first few of them, and how many more there are.
fn listed(wanted: &BTreeSet<Wanted>) -> String {
    let named: Vec<String> = wanted.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match wanted.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &more
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = match self.sure {
            Sure::Maybe => "may ",
            _ => "",
        };
        let s = if may.is_empty() { "s" } else { "" };
        write!(f, "{} {may}", self.place)?;
        match &self.deed {
            Deed::Drop => write!(f, "drop{s} ")?,
            Deed::Divert(_) => write!(f, "send{s} elsewhere ")?,
            Deed::Untrack => write!(f, "hide{s} from connection tracking ")?,
            Deed::Queue => write!(f, "leave{s} to some program ")?,
        }
        f.write_str(&listed(&self.wanted))?;
        if let (1, Some(family)) = (self.families.len(), self.families.first()) {
            write!(f, " over {}", family_name(*family))?;
        }
        match self.sure {
            Sure::UnlessNamed => f.write_str(", unless from a source that its rules name")?,
            Sure::IfFirst => f.write_str(", if that chain comes before ours, which has the same priority")?,
            Sure::Yes | Sure::Maybe => {}
        }
        match (&self.deed, self.ends_with_us) {
            (Deed::Divert(to), false) => {
                let to = to.as_deref().unwrap_or("another place");
                write!(f, ": to {to}, past the door, for anybody")
            }
            (_, true) if self.wanted.len() == 1 => f.write_str(": it never counts"),
            (_, true) => f.write_str(": they never count"),
            (_, false) => Ok(()),
        }
    }
}

impl Doubt {
    /// How much it weighs.
    pub fn weight(&self) -> Weight {
        match self {
            Self::NoInterface(_) | Self::NotForwarding(_) | Self::Lacks(_) | Self::OpenWay(..) => {
                Weight::Error
            }
            Self::Obstacle(obstacle, _) if obstacle.sure == Sure::Yes => Weight::Error,
            Self::Beside(..) => Weight::Note,
            _ => Weight::Warning,
        }
    }

    /// What to do about it, where the sentence does not say it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoInterface(_) => {
                "`ip -brief link` lists the interfaces; `outside` may hold several".to_owned()
            }
            Self::NotForwarding(_) => {
                "put it into a file in /etc/sysctl.d, so that it outlives a restart".to_owned()
            }
            Self::NoAddress(name) => format!("no knock can arrive there; see `ip address show dev {name}`"),
            Self::OpenWay(name, _) | Self::OpenV6(name) => {
                format!("add `{name}` to `outside`, unless only people you trust are behind it")
            }
            Self::TableFull { .. } => "raise sysctl net.netfilter.nf_conntrack_max".to_owned(),
            Self::Obstacle(obstacle, tool) => tools::advice(obstacle, *tool),
            Self::DroppedBefore(_) => {
                "name the ports that strangers may use in `public`, or leave `early-drop` out".to_owned()
            }
            Self::Hidden(_) => {
                "look with `iptables-legacy-save`; better, move those rules to iptables-nft".to_owned()
            }
            Self::Listens(..) => "choose another port for the knock or trap, or for the program".to_owned(),
            Self::Deaf(_, false) => "start what is to answer there".to_owned(),
            Self::Deaf(_, true) => "bind it to an address that is reached from outside".to_owned(),
            Self::Flushes(file) => {
                format!("in {file}, flush your own tables instead of all; else apply again after each start")
            }
            Self::ClockSet { .. } => {
                "if it happens again and again, look at what sets it; what is saved for a restart goes by it"
                    .to_owned()
            }
            Self::Beside(tool, _) => return tools::company(*tool).map(str::to_owned),
            Self::Lacks(_) => return None,
        })
    }
}
