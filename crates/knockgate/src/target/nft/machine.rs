//! What of the machine makes a policy mean less than it says.

mod arrivals;
mod clock;
mod holds;
mod links;
mod listeners;
mod others;
mod telling;
mod tools;
pub mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use knockgate_compiler::lower::EARLY;
use knockgate_compiler::net::{Family, Interface, Prefix};
use knockgate_compiler::policy::Host;
use knockgate_compiler::program::{ChainId, Condition, Hook, Program, Switch, Verdict};

use super::{TargetError, probe};
pub use arrivals::{Obstacle, Sure};
use links::Link;
use listeners::Listener;
use others::Table;
pub use others::{Deed, Place};
pub use tools::Tool;
use wanted::{Purpose, Wanted};

/// A reason why the policy does less than its owner may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// No interface is called so now.
    NoInterface(Interface),
    /// A service is on a host behind, but packets are not passed on.
    NotForwarding(Family),
    /// The kernel or nft cannot do this.
    Lacks(probe::Lack),
    /// An outside interface has no address.
    NoAddress(String),
    /// An interface that is not outside leads to the whole world.
    OpenWay(String, BTreeSet<Family>),
    /// An interface that is not outside has an IPv6 address which the whole world can route to, and no
    /// outside one has.
    OpenV6(String),
    /// Connection tracking can hardly take more connections.
    TableFull {
        /// Connections in our namespace.
        count: u64,
        /// Connections that fit.
        max: u64,
    },
    /// Others do something to packets that are wanted.
    Obstacle(Obstacle, Tool),
    /// Others' rules send on, or to another port, what ours may have dropped before.
    DroppedBefore(BTreeSet<Place>),
    /// There are rules that nft does not show.
    Hidden(BTreeSet<String>),
    /// Somebody listens where a knock or trap is.
    Listens(Wanted, Option<String>),
    /// Nobody listens where doors lead to; or, if that is said, only at loopback addresses.
    Deaf(BTreeSet<Wanted>, bool),
    /// A service that starts with the machine flushes all tables; its file.
    Flushes(&'static str),
    /// The clock was set since rules were put in force, ahead by so many seconds, or back.
    ClockSet {
        /// Seconds.
        by_s: i64,
    },
    /// Others have rules in this table.
    Beside(Tool, String),
}

/// How much a doubt weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The policy does not do what it says.
    Error,
    /// It may not.
    Warning,
    /// It does; but this is worth knowing.
    Note,
}

/// A question about the machine, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is fine if nothing was found.
    pub about: &'static str,
    /// What was found.
    pub doubts: Vec<Doubt>,
}

/// All that there is to doubt about `program` on this machine, as it is now, where `wanted` is to arrive.
pub fn examine(program: &Program, wanted: &[Wanted]) -> Result<Vec<Check>, TargetError> {
    let lacks = match probe::probe() {
        Ok(()) => vec![],
        Err(TargetError::Lacks(lacks)) => lacks,
        Err(error) => return Err(error),
    };
    let (links, tables, listeners) = (links::links()?, others::read()?, listeners::listeners()?);
    let outside = program.outside();
    let (interfaces, forwarding) =
        doubts(program)?.into_iter().partition(|doubt| matches!(doubt, Doubt::NoInterface(_)));
    let obstacles = arrivals::obstacles(wanted, outside, &links, &tables);
    let check = |about, doubts| Check { about, doubts };
    Ok(vec![
        check(
            "the kernel and nft can do all that a ruleset needs",
            lacks.into_iter().map(Doubt::Lacks).collect(),
        ),
        check("the outside interfaces are there", interfaces),
        check("the outside interfaces have addresses", unaddressed(outside, &links)),
        check("what comes from the whole world comes in by them", open_ways(outside, &links)?),
        check("packets are passed on to hosts behind", forwarding),
        check("connection tracking has room", tracking()?),
        check("no other table stops or diverts what is wanted", owned(obstacles, &tables)),
        check("nothing is dropped early that others send on", dropped_before(program, &tables)),
        check("nft shows all rules there are", hidden()),
        check("nobody listens at knocks and traps", overheard(wanted, &listeners)),
        check("somebody listens at each service of the gateway", deaf(wanted, &listeners)),
        check("no service flushes our table", tools::flushing().map(Doubt::Flushes).into_iter().collect()),
        check("the clock has gone on steadily", clock::set()?.into_iter().collect()),
        check("no other program makes rules here", beside(&tables)),
    ])
}

fn unaddressed(outside: &[Interface], links: &[Link]) -> Vec<Doubt> {
    let bare = links.iter().filter(|link| faces(outside, &link.name) && link.addresses.is_empty());
    bare.map(|link| Doubt::NoAddress(link.name.clone())).collect()
}

fn faces(outside: &[Interface], name: &str) -> bool {
    outside.iter().any(|named| named.matches(name))
}

/// Ways in from the whole world that are not outside.
fn open_ways(outside: &[Interface], links: &[Link]) -> Result<Vec<Doubt>, TargetError> {
    let routes = [links::default_routes(Family::V4)?, links::default_routes(Family::V6)?];
    let leads = |name: &String| {
        let families = Family::BOTH.into_iter().zip(&routes).filter(|(_, routes)| routes.contains(name));
        families.map(|(family, _)| family).collect::<BTreeSet<Family>>()
    };
    let inside: Vec<&Link> = links.iter().filter(|link| !faces(outside, &link.name)).collect();
    let open = |link: &&Link| !leads(&link.name).is_empty();
    let mut found: Vec<Doubt> = inside
        .iter()
        .filter(|link| open(link))
        .map(|link| Doubt::OpenWay(link.name.clone(), leads(&link.name)))
        .collect();
    if !links.iter().any(|link| faces(outside, &link.name) && has_global_v6(link)) {
        let others = inside.iter().filter(|link| has_global_v6(link) && !open(link));
        found.extend(others.map(|link| Doubt::OpenV6(link.name.clone())));
    }
    Ok(found)
}

/// Whether it has an address that is neither private nor for documents (RFC 4193, RFC 3849).
fn has_global_v6(link: &Link) -> bool {
    // All that is routed on the Internet so far is in 2000::/3 (RFC 4291, section 2.4).
    link.addresses.iter().any(|address| match address {
        std::net::IpAddr::V6(address) => address.segments()[0] >> 13 == 1,
        std::net::IpAddr::V4(_) => false,
    })
}

/// Tenths of the room for connections from which on it is told.
const FULL_TENTHS: u64 = 9;

fn tracking() -> Result<Vec<Doubt>, TargetError> {
    let number = |name: &str| -> Result<Option<u64>, TargetError> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        // Without connection tracking there is no such file.
        if Path::new(&path).exists() { Ok(read(&path)?.trim().parse().ok()) } else { Ok(None) }
    };
    Ok(match (number("count")?, number("max")?) {
        (Some(count), Some(max)) if count * 10 >= max * FULL_TENTHS && max > 0 => {
            vec![Doubt::TableFull { count, max }]
        }
        _ => vec![],
    })
}

fn owned(obstacles: Vec<Obstacle>, tables: &[Table]) -> Vec<Doubt> {
    let owner = |obstacle: &Obstacle| {
        let table = tables.iter().find(|table| table.name == obstacle.place.table);
        tools::behind(obstacle, &table.map(tools::of).unwrap_or_default())
    };
    let owned = obstacles.into_iter().map(|obstacle| (owner(&obstacle), obstacle));
    owned.map(|(tool, obstacle)| Doubt::Obstacle(obstacle, tool)).collect()
}

/// Rules of the older iptables, which are no part of nftables.
fn hidden() -> Vec<Doubt> {
    let lists = ["ip_tables_names", "ip6_tables_names"];
    // Without the older iptables there are no such files.
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let tables: BTreeSet<String> =
        lists.iter().flat_map(|list| read(list).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    if tables.is_empty() { vec![] } else { vec![Doubt::Hidden(tables)] }
}

fn overheard(wanted: &[Wanted], listeners: &[Listener]) -> Vec<Doubt> {
    let outward: Vec<Listener> = listeners.iter().filter(|listener| !listener.is_inward()).copied().collect();
    let at = |wanted: &Wanted| {
        let endpoint = wanted.endpoint().filter(|_| wanted.purpose.ends_with_us())?;
        outward.iter().find(|listener| listener.endpoint == endpoint)
    };
    let found: Vec<(&Wanted, &Listener)> =
        wanted.iter().filter_map(|wanted| Some((wanted, at(wanted)?))).collect();
    let programs = if found.is_empty() { Default::default() } else { listeners::programs(&outward) };
    let told = found.into_iter();
    told.map(|(wanted, listener)| Doubt::Listens(wanted.clone(), listener.program(&programs))).collect()
}

fn deaf(wanted: &[Wanted], listeners: &[Listener]) -> Vec<Doubt> {
    let here =
        |wanted: &&Wanted| matches!((&wanted.purpose, wanted.host), (Purpose::Service { .. }, Host::Gateway));
    let at = |wanted: &Wanted| {
        let endpoint = wanted.endpoint();
        listeners.iter().filter(move |listener| Some(listener.endpoint) == endpoint)
    };
    let unheard = wanted.iter().filter(here).filter(|wanted| at(wanted).all(Listener::is_inward));
    let (inward, none): (BTreeSet<Wanted>, _) =
        unheard.cloned().partition(|wanted| at(wanted).next().is_some());
    let kinds = [(none, false), (inward, true)].into_iter().filter(|(wanted, _)| !wanted.is_empty());
    kinds.map(|(wanted, inward)| Doubt::Deaf(wanted, inward)).collect()
}

/// What there is to doubt about a program that drops early, beside the rules of others.
pub fn early_doubts(program: &Program) -> Result<Vec<Doubt>, TargetError> {
    if passes_early(program).is_some() { Ok(dropped_before(program, &others::read()?)) } else { Ok(vec![]) }
}

fn dropped_before(program: &Program, tables: &[Table]) -> Vec<Doubt> {
    let Some(passes) = passes_early(program) else { return vec![] };
    let dropped = |port| !passes.contains(&port);
    let places: BTreeSet<Place> = tables.iter().flat_map(|table| table.translations(dropped)).collect();
    if places.is_empty() { vec![] } else { vec![Doubt::DroppedBefore(places)] }
}

/// The TCP ports to which a policy drops nothing early; `None` if it drops nothing early at all.
fn passes_early(program: &Program) -> Option<BTreeSet<u16>> {
    program.chains().iter().find(|chain| *chain.name == *EARLY && chain.hook == Some(Hook::Raw))?;
    let early = beneath(program, Hook::Raw);
    let rules = early.iter().flat_map(|index| &program.chains()[*index].rules);
    let arms = rules.filter_map(|rule| match &rule.verdict {
        Some(Verdict::Switch(Switch::Port(arms))) => Some(arms),
        _ => None,
    });
    Some(arms.flat_map(BTreeMap::keys).map(|endpoint| endpoint.port.number()).collect())
}

fn beside(tables: &[Table]) -> Vec<Doubt> {
    let tools = tables.iter().flat_map(|table| tools::of(table).into_iter().map(|tool| (tool, &table.name)));
    tools.map(|(tool, table)| Doubt::Beside(tool, table.clone())).collect()
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
    let one = |prefix: &Prefix| prefix.family() == family && prefix.len() == family_bits(family);
    let forward = beneath(program, Hook::Forward);
    program.chains().iter().enumerate().any(|(index, chain)| {
        chain.rules.iter().any(|rule| match &rule.verdict {
            Some(Verdict::Redirect(to)) => Family::of(to.ip()) == family,
            Some(Verdict::Accept) if forward.contains(&index) => rule.when.iter().any(
                |condition| matches!(condition, Condition::Destination(prefixes) if prefixes.iter().any(one)),
            ),
            _ => false,
        })
    })
}

/// The chains, by index, that packets get to from a hook.
fn beneath(program: &Program, hook: Hook) -> BTreeSet<usize> {
    let chains = program.chains();
    let mut left: Vec<usize> = (0..chains.len()).filter(|index| chains[*index].hook == Some(hook)).collect();
    let mut found = BTreeSet::new();
    while let Some(index) = left.pop() {
        if found.insert(index) {
            for rule in &chains[index].rules {
                match &rule.verdict {
                    Some(Verdict::Jump(to)) => left.push(to.index()),
                    Some(Verdict::Switch(switch)) => {
                        left.extend(switch.targets().into_iter().map(ChainId::index));
                    }
                    _ => {}
                }
            }
        }
    }
    found
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
