//! Whether packets that a policy wants get past the tables of others.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use knockgate_compiler::net::{Family, Interface};
use knockgate_compiler::policy::{Host, Knock};

use super::holds::{Holds, Packet};
use super::links::{Link, way_to};
use super::others::{Base, Deed, Fate, Place, Table};
use super::wanted::{Purpose, Wanted};

/// How sure it is that something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// To all such packets.
    Yes,
    /// To those from sources that the other rules do not name.
    UnlessNamed,
    /// Perhaps: the rules ask what cannot be told from here.
    Maybe,
    /// If that chain comes before ours, which has the same priority.
    IfFirst,
}

/// Something that others do to packets which are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is done.
    pub deed: Deed,
    /// By whom.
    pub place: Place,
    /// The hook where it is done.
    pub hook: String,
    /// How sure that is.
    pub sure: Sure,
    /// Whether the packets are knocks or touches of traps, which have to reach our rules only.
    pub ends_with_us: bool,
    /// The packets.
    pub wanted: BTreeSet<Wanted>,
    /// In which families.
    pub families: BTreeSet<Family>,
}

/// Where our own chains stand: destinations are translated before, and all else is decided at, these
/// (`man nft`, priorities `dstnat` and `filter`).
const OURS_TRANSLATES: i64 = -100;
const OURS_DECIDES: i64 = 0;

/// What stands in the way of `wanted`.
pub fn obstacles(
    wanted: &[Wanted],
    outside: &[Interface],
    links: &[Link],
    tables: &[Table],
) -> Vec<Obstacle> {
    let faces = |link: &&Link| outside.iter().any(|named| named.matches(&link.name));
    let from: Vec<&Link> = links.iter().filter(faces).collect();
    let mut found = Found::new();
    let ways = ways(wanted, tables);
    for family in Family::BOTH {
        let addresses = from.iter().flat_map(|link| &link.addresses);
        let own: Vec<IpAddr> = addresses.copied().filter(|address| Family::of(*address) == family).collect();
        let names: Vec<&str> = from.iter().map(|link| link.name.as_str()).collect();
        if !own.is_empty() {
            let scene = Scene { family, own: &own, from: &names, tables, ways: &ways };
            wanted.iter().for_each(|wanted| scene.play(wanted, &mut found));
        }
    }
    found.into_values().collect()
}

/// The interfaces that hosts behind are reached by, where somebody may ask for them.
fn ways(wanted: &[Wanted], tables: &[Table]) -> BTreeMap<IpAddr, String> {
    let mut bases =
        tables.iter().flat_map(|table| table.chains.values()).filter_map(|chain| chain.base.as_ref());
    if !bases.any(|base| base.hook == "forward") {
        return BTreeMap::new();
    }
    let hosts: BTreeSet<IpAddr> = wanted.iter().filter_map(|wanted| Some(wanted.behind()?.0)).collect();
    hosts.into_iter().filter_map(|host| Some((host, way_to(host)?))).collect()
}

type Found = BTreeMap<(Sure, bool, Deed, Place), Obstacle>;

/// How packets of a family come to the gateway.
struct Scene<'a> {
    family: Family,
    own: &'a [IpAddr],
    from: &'a [&'a str],
    tables: &'a [Table],
    /// The interfaces that hosts behind are reached by.
    ways: &'a BTreeMap<IpAddr, String>,
}

/// A hook, and the packet that meets it: before and after our own translation.
struct Leg<'a> {
    hook: &'static str,
    before: &'a Packet<'a>,
    after: &'a Packet<'a>,
}

impl Scene<'_> {
    fn play(&self, wanted: &Wanted, found: &mut Found) {
        if wanted.behind().is_some_and(|(address, _)| Family::of(address) != self.family) {
            return;
        }
        let outer = self.sent(wanted);
        let inner = self.passed_on(wanted, &outer);
        let decides = if wanted.behind().is_some() { "forward" } else { "input" };
        let legs = [("ingress", &outer, &outer), ("prerouting", &outer, &inner), (decides, &inner, &inner)];
        for (hook, before, after) in legs {
            if !self.pass(wanted, &Leg { hook, before, after }, found) {
                return;
            }
        }
    }

    /// The packet as it comes in.
    fn sent(&self, wanted: &Wanted) -> Packet<'_> {
        Packet {
            family: self.family,
            knock: wanted.knock,
            to: match wanted.host {
                Host::At(address) => vec![address],
                Host::Gateway | Host::Via(..) => self.own.to_vec(),
            },
            from: self.from,
            out: None,
            local: !matches!(wanted.host, Host::At(_)),
            translated: false,
            named: Holds::No,
        }
    }

    /// The same once it is translated and its way is known.
    fn passed_on<'p>(&'p self, wanted: &Wanted, sent: &Packet<'p>) -> Packet<'p> {
        let Some((address, endpoint)) = wanted.behind() else { return sent.clone() };
        Packet {
            knock: Knock::Port(endpoint),
            to: vec![address],
            out: self.ways.get(&address).map(String::as_str),
            local: false,
            translated: matches!(wanted.host, Host::Via(..)),
            ..sent.clone()
        }
    }

    /// Whether the packet may get past all chains at the hook.
    fn pass(&self, wanted: &Wanted, leg: &Leg<'_>, found: &mut Found) -> bool {
        for (table, name, base) in self.chains(leg.hook) {
            let decided = if leg.hook == "input" { base.priority.cmp(&OURS_DECIDES) } else { Ordering::Less };
            let ends_with_us = wanted.purpose.ends_with_us();
            if ends_with_us && decided == Ordering::Greater {
                return true;
            }
            let after_ours = leg.hook == "prerouting" && base.priority > OURS_TRANSLATES;
            // A connection is translated once.
            if after_ours && base.translates && leg.after.translated {
                continue;
            }
            let packet = if after_ours { leg.after } else { leg.before };
            let fate = table.meet(name, packet);
            let passes = fate.passes || fate.deeds.iter().any(|(deed, _)| is_fine(deed, wanted));
            let unless_named = || table.meet(name, &Packet { named: Holds::Maybe, ..packet.clone() }).passes;
            let sure = match passes {
                _ if ends_with_us && decided == Ordering::Equal => Sure::IfFirst,
                true => Sure::Maybe,
                false if unless_named() => Sure::UnlessNamed,
                false => Sure::Yes,
            };
            for (deed, place) in told(&fate, passes).filter(|(deed, _)| !is_fine(deed, wanted)) {
                put(found, (sure, deed.clone(), place.clone()), leg.hook, wanted, self.family);
            }
            if !passes {
                return false;
            }
        }
        true
    }

    /// The chains at a hook, in the order in which packets meet them.
    fn chains(&self, hook: &str) -> Vec<(&Table, &str, &Base)> {
        let all = self.tables.iter().flat_map(|table| {
            let bases = table.chains.iter().filter_map(|(name, chain)| Some((name, chain.base.as_ref()?)));
            bases.map(move |(name, base)| (table, name.as_str(), base))
        });
        let mut chains: Vec<_> = all.filter(|(_, _, base)| base.hook == hook).collect();
        chains.sort_by_key(|(_, _, base)| base.priority);
        chains
    }
}

/// Whether packets are sent where our own rules send them too, and guard what is there; or are for everybody,
/// whoever answers them.
fn is_fine(deed: &Deed, wanted: &Wanted) -> bool {
    match (deed, wanted.host) {
        (Deed::Divert(_), _) if wanted.purpose == Purpose::Public => true,
        (Deed::Divert(Some(to)), Host::Via(address, port)) => {
            *to == SocketAddr::new(address, port.number()).to_string()
        }
        _ => false,
    }
}

/// What is worth telling of a fate: of all that may be done to a packet that cannot pass, what is done
/// at the latest.
fn told(fate: &Fate, passes: bool) -> impl Iterator<Item = &(Deed, Place)> {
    let skipped = if passes { 0 } else { fate.deeds.len().saturating_sub(1) };
    fate.deeds.iter().skip(skipped)
}

fn put(
    found: &mut Found,
    (sure, deed, place): (Sure, Deed, Place),
    hook: &str,
    wanted: &Wanted,
    family: Family,
) {
    let ends_with_us = wanted.purpose.ends_with_us();
    let obstacle =
        found.entry((sure, ends_with_us, deed.clone(), place.clone())).or_insert_with(|| Obstacle {
            deed,
            place,
            hook: hook.to_owned(),
            sure,
            ends_with_us,
            wanted: BTreeSet::new(),
            families: BTreeSet::new(),
        });
    obstacle.families.insert(family);
    obstacle.wanted.insert(wanted.clone());
}
