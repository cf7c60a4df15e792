//! The numbers of what is in force. The kernel counts; no set is read whole, however large it is.

use std::collections::BTreeMap;

use knockgate::metrics::{Exposition, Kind};
use knockgate::target::nft::{self, Applied, Fill, Shape, trial};
use knockgate_compiler::backend::nft::{set_name, single_name};
use knockgate_compiler::lower::{ALLOWED_BY_HAND, BANNED_BY_HAND, grant_list};
use knockgate_compiler::net::Family;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;

use super::super::in_force::InForce;
use super::meaning::{Made, Meaning, Sums};

/// Grants that are told apart by door. More than that are counted, but by door no longer.
const MOST_GRANTS: usize = 10_000;

/// A page of numbers for Prometheus.
pub fn gather() -> anyhow::Result<String> {
    let mut page = Exposition::default();
    let snapshot = nft::observe()?;
    let there = !snapshot.chains.is_empty();
    let applied = Applied::read()?.map(|(applied, _)| applied);
    let name = applied.as_ref().map_or("", |applied| &applied.name);
    about(&mut page, name);
    let in_force = there && applied.is_some();
    page.gauge("knockgate_in_force", "Whether a policy is in force.", in_force.into());
    let changed = (there || applied.is_some()) && snapshot.fingerprint.is_none();
    page.gauge(
        "knockgate_rules_changed",
        "Whether somebody else changed or removed the rules since they were applied.",
        changed.into(),
    );
    trials(&mut page)?;
    if let Some(applied) = applied.filter(|_| there) {
        let force = InForce::of(applied)?;
        let fill = nft::fill()?;
        let made = if force.policy.is_some() { Made::OfPolicy } else { Made::OfScript };
        sets(&mut page, made, &fill);
        if let Some(policy) = &force.policy {
            sources(&mut page, &force.program, &fill);
            doors(&mut page, &force, policy)?;
        }
        rules(&mut page, made, &force)?;
    }
    Ok(page.into_text())
}

fn about(page: &mut Exposition, policy: &str) {
    let mut info =
        page.family("knockgate_info", Kind::Gauge, "The version, and the name of the policy in force.");
    info.number(&[("version", env!("CARGO_PKG_VERSION")), ("policy", policy)], 1);
}

fn trials(page: &mut Exposition) -> anyhow::Result<()> {
    let running = trial::running()?;
    page.gauge(
        "knockgate_trial_running",
        "Whether the policy in force is on trial.",
        running.is_some().into(),
    );
    page.gauge(
        "knockgate_trial_remaining_seconds",
        "Seconds until the policy on trial takes itself back; 0 without a trial.",
        running.map_or(0, |running| running.left_s),
    );
    let stuck = trial::trouble()?.is_some();
    page.gauge("knockgate_trial_stuck", "Whether taking a policy back has failed so far.", stuck.into());
    Ok(())
}

/// How full sets are, where the kernel tells (since Linux 6.16).
fn sets(page: &mut Exposition, made: Made, fill: &BTreeMap<String, Fill>) {
    let sets = || fill.iter().enumerate().map(|(at, (set, fill))| (label(made, set, at), *fill));
    let help =
        "Entries of a set of the kernel, those among them that have expired but were not collected yet.";
    let mut entries = page.family("knockgate_set_entries", Kind::Gauge, help);
    for (set, count) in sets().filter_map(|(set, fill)| Some((set, fill.entries?))) {
        entries.number(&[("set", &set)], count.into());
    }
    let mut capacity = page.family("knockgate_set_capacity", Kind::Gauge, "Entries that a set may have.");
    for (set, count) in sets().filter_map(|(set, fill)| Some((set, fill.capacity?))) {
        capacity.number(&[("set", &set)], count.into());
    }
}

/// Scripts often name their lists after knocks, so those are numbered.
fn label(made: Made, set: &str, at: usize) -> String {
    match made {
        Made::OfPolicy => set.to_owned(),
        Made::OfScript => (at + 1).to_string(),
    }
}

/// How many sources are on lists of a kind, in both families.
fn sources(page: &mut Exposition, program: &Program, fill: &BTreeMap<String, Fill>) {
    let of_sets = |names: &[&str]| -> Option<u64> {
        let both = |name| Family::BOTH.map(|family| [set_name(name, family), single_name(name, family)]);
        let sets = names.iter().flat_map(|name| both(name).concat());
        let counts: Vec<u64> = sets.filter_map(|set| fill.get(&set)?.entries).map(u64::from).collect();
        (!counts.is_empty()).then(|| counts.iter().sum())
    };
    let tracks: Vec<&str> = program.tracks().iter().map(|track| &*track.name).collect();
    let knocking: Vec<&str> = tracks.into_iter().chain(["stages"]).collect();
    let help = "Entries of both families on lists of a kind.";
    let mut sources = page.family("knockgate_list_entries", Kind::Gauge, help);
    for (list, names) in [
        ("granted", &["grants"][..]),
        ("knocking", &knocking),
        ("banned", &["banned"]),
        (BANNED_BY_HAND, &[BANNED_BY_HAND]),
        (ALLOWED_BY_HAND, &[ALLOWED_BY_HAND]),
    ] {
        of_sets(names).into_iter().for_each(|count| sources.number(&[("list", list)], count));
    }
}

/// How many sources may use each door, unless there are very many.
fn doors(page: &mut Exposition, force: &InForce, policy: &Policy) -> anyhow::Result<()> {
    page.gauge("knockgate_doors", "Doors of the policy in force.", policy.doors().len() as u64);
    let Some(counts) = granted(force, policy)? else { return Ok(()) };
    let mut granted = page.family("knockgate_granted_sources", Kind::Gauge, "Sources that may use a door.");
    for (door, count) in counts {
        granted.number(&[("door", door)], count);
    }
    Ok(())
}

/// Grants by door, in the order of the policy; `None` where there are too many to be told apart.
fn granted<'p>(force: &InForce, policy: &'p Policy) -> anyhow::Result<Option<Vec<(&'p str, u64)>>> {
    let mut by_tag = BTreeMap::<u32, u64>::new();
    let lists = policy.doors().iter().filter_map(|door| force.list(&grant_list(&door.name))?.timed);
    let Some(pool) = lists.map(|timed| timed.pool).next() else { return Ok(None) };
    for family in Family::BOTH {
        let set = set_name(&force.program[pool].name, family);
        let (elements, more) = nft::some(&set, Shape::Points, MOST_GRANTS)?;
        if more {
            return Ok(None);
        }
        for tag in elements.into_iter().filter_map(|element| element.number) {
            *by_tag.entry(tag).or_default() += 1;
        }
    }
    let tags: BTreeMap<&str, u32> = force
        .program
        .lists()
        .iter()
        .filter_map(|list| Some((list.name.strip_prefix("grant ")?, list.timed?.tag.get())))
        .collect();
    let count = |door: &str| tags.get(door).and_then(|tag| by_tag.get(tag)).copied().unwrap_or_default();
    Ok(Some(policy.doors().iter().map(|door| (&*door.name, count(&door.name))).collect()))
}

/// What rules have counted since they were loaded, by what it means.
fn rules(page: &mut Exposition, made: Made, force: &InForce) -> anyhow::Result<()> {
    let sums = Sums::of(&force.program, made, &nft::counts()?);
    let help = "Packets since the rules were loaded, by what became of them.";
    let mut packets = page.family("knockgate_packets_total", Kind::Counter, help);
    sums.fates().for_each(|(fate, count)| packets.number(&[("fate", fate)], count.packets));
    let help = "Bytes of packets since the rules were loaded, by what became of them.";
    let mut bytes = page.family("knockgate_bytes_total", Kind::Counter, help);
    sums.fates().for_each(|(fate, count)| bytes.number(&[("fate", fate)], count.bytes));
    if let Some(policy) = &force.policy {
        of_doors(page, policy, &sums);
        of_traps(page, &sums);
    }
    Ok(())
}

fn of_doors(page: &mut Exposition, policy: &Policy, sums: &Sums) {
    let mut each = |name, help, of: fn(&Sums, &str) -> u64| {
        let mut family = page.family(name, Kind::Counter, help);
        policy.doors().iter().for_each(|door| family.number(&[("door", &door.name)], of(sums, &door.name)));
    };
    let help =
        "Packets that a door let in since the rules were loaded; later ones of a connection are established.";
    each("knockgate_door_packets_total", help, |sums, door| {
        sums.of_meaning(&Meaning::LetIn(door.to_owned())).packets
    });
    let help = "Bytes of packets that a door let in since the rules were loaded.";
    each("knockgate_door_bytes_total", help, |sums, door| {
        sums.of_meaning(&Meaning::LetIn(door.to_owned())).bytes
    });
    let help = "How often all knocks of a door were made since the rules were loaded.";
    each("knockgate_door_knocks_completed_total", help, |sums, door| {
        sums.of_meaning(&Meaning::Completed(door.to_owned())).packets
    });
}

fn of_traps(page: &mut Exposition, sums: &Sums) {
    let mut one = |name, help, meaning: &Meaning| {
        page.family(name, Kind::Counter, help).number(&[], sums.of_meaning(meaning).packets);
    };
    one("knockgate_trap_strikes_total", "Strikes of traps since the rules were loaded.", &Meaning::Strike);
    one("knockgate_trap_bans_total", "Bans by traps since the rules were loaded.", &Meaning::Ban);
}
