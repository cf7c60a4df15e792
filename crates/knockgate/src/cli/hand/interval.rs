//! Bans and permissions by hand: addresses and networks on lists that people manage.

use std::net::IpAddr;
use std::ops::ControlFlow;

use clap::Args;
use knockgate::logbook::{By, Entry};
use knockgate::session;
use knockgate::target::nft::{self, Element, Kept, Managed, Shape};
use knockgate_compiler::lower::{ALLOWED_BY_HAND, BANNED_BY_HAND, grant_list};
use knockgate_compiler::net::{Family, Prefix};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::{List, Timed};
use knockgate_compiler::time::Lifetime;
use serde_json::json;

use super::super::in_force::InForce;
use super::super::output::{Answer, Output};
use super::{Terms, Told, for_how_long, network};

/// For how long, where neither a person nor the policy says so.
const LIFETIME: Lifetime = Lifetime::from_secs(3600);

#[derive(Debug, Args)]
pub struct BanOptions {
    /// Who: an address, or a network such as 192.0.2.0/24; an IPv6 address stands for its /64
    #[arg(value_name = "ADDRESS|PREFIX", value_parser = network)]
    who: Prefix,
    #[command(flatten)]
    terms: Terms,
    /// Also one that this session comes from, or that the policy allows or exempts
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub struct UnbanOptions {
    /// Who: an address or a network, of which every ban inside is taken back
    #[arg(value_name = "ADDRESS|PREFIX", value_parser = network)]
    who: Prefix,
}

#[derive(Debug, Args)]
pub struct AllowOptions {
    /// Who: an address, or a network such as 192.0.2.0/24; an IPv6 address stands for its /64
    #[arg(value_name = "ADDRESS|PREFIX", value_parser = network)]
    who: Prefix,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, Args)]
pub struct DisallowOptions {
    /// Who: an address or a network, of which every permission inside is taken back
    #[arg(value_name = "ADDRESS|PREFIX", value_parser = network)]
    who: Prefix,
}

/// What holds an address of those that are allowed by hand, for longest.
pub fn allowed_holding(address: IpAddr) -> anyhow::Result<Option<Element>> {
    let all = Managed::of(ALLOWED_BY_HAND, Family::of(address)).holding(address)?;
    Ok(all.into_iter().max_by_key(lasts))
}

impl BanOptions {
    /// Of whom, in the words of the command line, and for how long and why, where that is said.
    pub fn of(who: &str, lifetime: Option<Lifetime>, reason: Option<&str>) -> Result<Self, String> {
        let reason = reason.map(super::reason).transpose()?;
        Ok(Self { who: network(who)?, terms: Terms { lifetime, reason }, force: false })
    }
}

impl UnbanOptions {
    /// Of whom, in the words of the command line.
    pub fn of(who: &str) -> Result<Self, String> {
        Ok(Self { who: network(who)? })
    }
}

impl DisallowOptions {
    /// Of whom, in the words of the command line.
    pub fn of(who: &str) -> Result<Self, String> {
        Ok(Self { who: network(who)? })
    }
}

pub fn ban(options: &BanOptions, output: &Output) -> anyhow::Result<Answer> {
    banned(options)?.print(output)
}

pub fn banned(options: &BanOptions) -> anyhow::Result<Told> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let who = options.who;
    if !options.force {
        refuse_own(policy, who)?;
    }
    let lifetime = options.terms.lifetime.or(policy.traps().map(|traps| traps.ban)).unwrap_or(LIFETIME);
    let reason = options.terms.reason.as_deref();
    let entry =
        Entry::Banned { source: who, lasts: Some(lifetime), by: By::Hand, reason: reason.map(str::to_owned) };
    let mut told = set_down(BANNED_BY_HAND, who, lifetime, reason, "banned", entry)?;
    told.notes.extend(still_in(&force, policy, who)?);
    told.notes
        .push("connections that have begun go on; `knockgate revoke ADDRESS --cut` ends them".to_owned());
    Ok(told.recorded(policy))
}

pub fn allow(options: &AllowOptions, output: &Output) -> anyhow::Result<Answer> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let (who, Terms { lifetime, reason }) = (options.who, &options.terms);
    let lifetime = lifetime.unwrap_or(LIFETIME);
    let entry = Entry::Allowed { source: who, lasts: Some(lifetime), reason: reason.clone() };
    set_down(ALLOWED_BY_HAND, who, lifetime, reason.as_deref(), "allowed", entry)?
        .recorded(policy)
        .print(output)
}

/// Refuses to keep out who must never be.
fn refuse_own(policy: &Policy, who: Prefix) -> anyhow::Result<()> {
    let meets = |other: &&Prefix| who.covers(**other) || other.covers(who);
    if let Some(source) =
        session::of_this_process().map(|session| session.remote.ip()).filter(|source| who.contains(*source))
    {
        anyhow::bail!("this session comes from {source}, which you would ban; --force does it all the same");
    }
    for (key, prefixes) in [("allow", policy.allow()), ("exempt", policy.exempt())] {
        if let Some(prefix) = prefixes.iter().find(meets) {
            anyhow::bail!(
                "{prefix} is in `{key}` of the policy, and never banned; --force does it all the same"
            );
        }
    }
    if let Some(kept) = Managed::of(ALLOWED_BY_HAND, who.family()).meeting(who)?.first() {
        let addresses = kept.element.addresses();
        anyhow::bail!("{addresses} is allowed by hand; `knockgate disallow` it first, or --force");
    }
    Ok(())
}

/// What outranks a ban of this source.
fn still_in(force: &InForce, policy: &Policy, who: Prefix) -> anyhow::Result<Option<String>> {
    let address = who.network();
    if who != Prefix::host(address) {
        return Ok(None);
    }
    for door in policy.doors() {
        let Some(timed) = force.list(&grant_list(&door.name)).and_then(|list| list.timed) else { continue };
        let set = force.set_of(timed, who.family());
        if nft::get(&set, &force.element_of(timed, address))?.is_some() {
            let name = &door.name;
            return Ok(Some(format!(
                "its grant of door {name} outranks the ban; `knockgate revoke {address}`"
            )));
        }
    }
    Ok(None)
}

/// Attempts at what others may change in between.
const ATTEMPTS: usize = 5;

/// What is to be on a list.
struct Wanted<'t> {
    who: Prefix,
    element: Element,
    /// The word for who is on it.
    done: &'t str,
    /// What the log is told when it is.
    entry: Entry,
}

/// Puts a prefix on a list, in the place of itself and of what is inside it.
fn set_down(
    list: &str,
    who: Prefix,
    lifetime: Lifetime,
    reason: Option<&str>,
    done: &str,
    entry: Entry,
) -> anyhow::Result<Told> {
    let managed = Managed::of(list, who.family());
    let comment = reason.map(str::to_owned);
    let element = Element { comment, ..Element::within(who).lasting(lifetime.as_millis()) };
    let wanted = Wanted { who, element, done, entry };
    for _ in 0..ATTEMPTS {
        // The usual case.
        if managed.add(who, &wanted.element)? {
            return Ok(wanted.told(lifetime));
        }
        let there = managed.in_the_way(who)?;
        if let Some(told) = wanted.within_another(&there)? {
            return Ok(told);
        }
        let inside = wanted.takes_the_place_of(&there)?;
        if managed.replace(&there, who, &wanted.element)? {
            let mut told = wanted.told(lifetime);
            let note = || format!("it stands for {inside} inside it that were {done} before");
            told.notes.extend((inside > 0).then(note));
            return Ok(told);
        }
    }
    anyhow::bail!("somebody else changes list `{list}` all the time; try again")
}

impl Wanted<'_> {
    fn told(&self, lifetime: Lifetime) -> Told {
        let Self { who, done, element, entry } = self;
        let json = json!({
            *done: who.to_string(),
            "left_s": lifetime.as_millis() / 1000,
            "reason": element.comment,
        });
        Told::done(format!("{done} {who} for {lifetime}"), json).logged(entry.clone())
    }

    /// What to say where a wider one holds it already, for as long at least.
    fn within_another(&self, there: &[Kept]) -> anyhow::Result<Option<Told>> {
        let Self { who, done, element, .. } = self;
        let all = there.iter().map(|kept| &kept.element);
        let wider = all.filter(|other| other.covers(element) && !element.covers(other));
        let Some(wider) = wider.max_by_key(|wider| lasts(wider)) else { return Ok(None) };
        let (addresses, time) = (wider.addresses(), for_how_long(wider));
        anyhow::ensure!(
            outlasts(wider, element),
            "{who} is {done} with {addresses} already, but only {time}: name {addresses}, or take it back first"
        );
        let left_s = wider.left_ms.map(|left| left / 1000);
        let json = json!({ *done: addresses, "left_s": left_s, "reason": wider.comment });
        Ok(Some(Told::done(format!("{who} is {done} already, with {addresses} {time}"), json)))
    }

    /// How many others it stands for; an error if it would shorten one.
    fn takes_the_place_of(&self, there: &[Kept]) -> anyhow::Result<usize> {
        let Self { who, done, element, .. } = self;
        let mut others = 0;
        let all = there.iter().map(|kept| &kept.element);
        for other in all.filter(|other| !other.covers(element) || !element.covers(other)) {
            let (addresses, time) = (other.addresses(), for_how_long(other));
            anyhow::ensure!(
                element.covers(other),
                "{addresses} is {done} {time}, and not all of it is in {who}: take it back first"
            );
            anyhow::ensure!(
                !outlasts(other, element),
                "{addresses} in {who} is {done} {time}, which is longer: take it back first, or use --for"
            );
            others += 1;
        }
        Ok(others)
    }
}

/// Milliseconds that are left, more than any for what stays.
fn lasts(element: &Element) -> u64 {
    element.left_ms.unwrap_or(u64::MAX)
}

/// Whether the one lasts longer than the other.
fn outlasts(one: &Element, other: &Element) -> bool {
    lasts(one) > lasts(other)
}

/// How many entries were taken off a list, and a wider one that stays.
struct Lifted {
    gone: usize,
    wider: Option<Element>,
}

fn lift(list: &str, who: Prefix) -> anyhow::Result<Lifted> {
    let (managed, wanted) = (Managed::of(list, who.family()), Element::within(who));
    let (gone, wider): (Vec<_>, Vec<_>) =
        managed.meeting(who)?.into_iter().partition(|kept| wanted.covers(&kept.element));
    managed.take(&gone)?;
    let wider = wider.into_iter().map(|kept| kept.element).max_by_key(lasts);
    Ok(Lifted { gone: gone.len(), wider })
}

pub fn disallow(options: &DisallowOptions, output: &Output) -> anyhow::Result<Answer> {
    disallowed(options)?.print(output)
}

pub fn disallowed(options: &DisallowOptions) -> anyhow::Result<Told> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let who = options.who;
    let lifted = lift(ALLOWED_BY_HAND, who)?;
    let entry = Entry::Disallowed { source: who, count: lifted.gone };
    Ok(told_of(&lifted, lifted.gone, who, "allowed", entry).recorded(policy).unsaved(&force.program))
}

fn told_of(lifted: &Lifted, count: usize, who: Prefix, word: &str, entry: Entry) -> Told {
    let json = json!({ "source": who.to_string(), "taken_back": count });
    let mut told = match count {
        0 => Told::nothing(format!("{who} was not {word}"), json),
        1 => Told::done(format!("{who} is no longer {word}"), json).logged(entry),
        many => Told::done(format!("{who} is no longer {word}: {many} entries"), json).logged(entry),
    };
    told.notes.extend(lifted.wider.as_ref().map(|wider| {
        let (addresses, time) = (wider.addresses(), for_how_long(wider));
        format!("it is {word} {time} with {addresses}: name that")
    }));
    told
}

pub fn unban(options: &UnbanOptions, output: &Output) -> anyhow::Result<Answer> {
    unbanned(options)?.print(output)
}

pub fn unbanned(options: &UnbanOptions) -> anyhow::Result<Told> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let lifted = lift(BANNED_BY_HAND, options.who)?;
    let by_traps = match force.list("banned").and_then(|list| list.timed) {
        Some(banned) => forgive(&force, banned, options.who)?,
        None => 0,
    };
    let count = lifted.gone + by_traps;
    let entry = Entry::Unbanned { source: options.who, count };
    Ok(told_of(&lifted, count, options.who, "banned", entry).recorded(policy).unsaved(&force.program))
}

/// Takes back what traps did to these sources, and how many of them were banned.
fn forgive(force: &InForce, banned: Timed, who: Prefix) -> anyhow::Result<usize> {
    let set = force.set_of(banned, who.family());
    let one = who == Prefix::host(who.network()) || who == whole(banned, who);
    let sources = if one { vec![who.network()] } else { inside(&set, who)? };
    let mut count = 0;
    for source in sources {
        count += usize::from(nft::take(&set, &force.element_of(banned, source))?);
        forget_touches(force, source)?;
    }
    Ok(count)
}

/// What a list of networks holds for the prefix's first address.
fn whole(list: Timed, who: Prefix) -> Prefix {
    let length = if who.family() == Family::V4 { 32 } else { list.v6_bits };
    Prefix::holding(who.network(), length).expect("a list keeps no more bits than there are")
}

fn inside(set: &str, who: Prefix) -> anyhow::Result<Vec<IpAddr>> {
    let mut found = vec![];
    nft::walk(set, Shape::Points, |element| {
        found.extend(who.contains(element.first).then_some(element.first));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Strikes and offences would make the next touch of a trap a ban, and a longer one.
fn forget_touches(force: &InForce, source: IpAddr) -> anyhow::Result<()> {
    let of_traps = |list: &&List| {
        list.timed.is_some_and(|timed| matches!(&*force.program[timed.pool].name, "strikes" | "offences"))
    };
    for timed in force.program.lists().iter().filter(of_traps).filter_map(|list| list.timed) {
        nft::take(&force.set_of(timed, Family::of(source)), &force.element_of(timed, source))?;
    }
    Ok(())
}
