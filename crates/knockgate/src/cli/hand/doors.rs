//! Grants that are made and taken back by hand.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use clap::Args;
use knockgate::logbook::{By, Entry};
use knockgate::target::nft::{self, Element, Shape, TargetError};
use knockgate_compiler::backend::nft::set_name;
use knockgate_compiler::lower::{grant_list, guest_list};
use knockgate_compiler::net::Family;
use knockgate_compiler::policy::{Door, Policy};
use knockgate_compiler::program::{Program, Timed};
use knockgate_compiler::time::Lifetime;
use serde_json::json;

use super::super::in_force::InForce;
use super::super::output::{Answer, Output};
use super::{Told, address, for_how_long};

#[derive(Debug, Args)]
pub struct GrantOptions {
    /// The door
    door: String,
    /// Who may use its services
    #[arg(value_parser = address)]
    address: IpAddr,
    /// How long connections may begin, as in 30s [default: as the door grants]
    #[arg(long = "for", value_name = "TIME")]
    lifetime: Option<Lifetime>,
}

#[derive(Debug, Args)]
pub struct RevokeOptions {
    /// Whose grants
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Of this door alone
    #[arg(long)]
    door: Option<String>,
    /// End connections of this source too, of every kind that was answered; they get no answer any more
    #[arg(long)]
    cut: bool,
}

fn door_of<'p>(policy: &'p Policy, name: &str) -> anyhow::Result<&'p Door> {
    let found = policy.doors().iter().find(|door| *door.name == *name);
    found.ok_or_else(|| {
        let names: Vec<&str> = policy.doors().iter().map(|door| &*door.name).take(20).collect();
        anyhow::anyhow!("there is no door `{name}`; there are: {}", names.join(", "))
    })
}

/// The set and element of a grant, and of the list of who holds any grant of its length, if there
/// is one.
fn places(force: &InForce, door: &Door, address: IpAddr) -> Vec<(String, Element)> {
    let lists = [grant_list(&door.name), guest_list(door.grant)];
    let timed = lists.iter().filter_map(|name| force.list(name)?.timed);
    let family = Family::of(address);
    timed.map(|timed| (force.set_of(timed, family), force.element_of(timed, address))).collect()
}

/// Puts who holds a grant on the list of who holds any of its length, if `policy`, whose program is in force, has one:
/// where the policy before had none, grants that it made would spare nobody from bans.
pub fn spare_holders(policy: &Policy, program: &Program) -> Result<(), TargetError> {
    let lists = program.lists().iter();
    let timed: HashMap<&str, Timed> = lists.filter_map(|list| Some((&*list.name, list.timed?))).collect();
    let of = |name: String| timed.get(&*name).copied();
    let doors = policy.doors().iter();
    let both = doors.filter_map(|door| Some((of(grant_list(&door.name))?, of(guest_list(door.grant))?)));
    let both: Vec<(Timed, Timed)> = both.collect();
    let Some((first, spared)) = both.first() else { return Ok(()) };
    let (grants, guests) = (&program[first.pool].name, &program[spared.pool].name);
    let tags = both.iter().map(|(grant, guest)| (grant.tag.get(), guest.tag.get()));
    let guest_of: HashMap<u32, u32> = tags.collect();
    for family in Family::BOTH {
        let (grants, guests) = (set_name(grants, family), set_name(guests, family));
        // Who holds several is spared for as long as the longest lasts.
        let mut due: HashMap<(IpAddr, u32), u64> = HashMap::new();
        nft::walk(&grants, Shape::Points, |grant| {
            let guest = grant.number.and_then(|tag| guest_of.get(&tag));
            if let (Some(guest), Some(left @ 1..)) = (guest, grant.left_ms) {
                let longest = due.entry((grant.first, *guest)).or_default();
                *longest = left.max(*longest);
            }
            ControlFlow::Continue(())
        })?;
        if due.is_empty() {
            continue;
        }
        let mut shorter = vec![];
        nft::walk(&guests, Shape::Points, |guest| {
            let key = guest.number.map(|tag| (guest.first, tag));
            if let Some((key, left)) = key.and_then(|key| due.remove_entry(&key))
                && guest.left_ms.is_some_and(|now| now + SAME_TIME_MS < left)
            {
                shorter.push((key, left));
            }
            ControlFlow::Continue(())
        })?;
        let element =
            |((source, tag), left): ((IpAddr, u32), u64)| Element::tagged(source, tag).lasting(left);
        shorter.into_iter().try_for_each(|guest| nft::put(&guests, &element(guest)))?;
        let new: Vec<Element> = due.into_iter().map(element).collect();
        if nft::add(&guests, Shape::Points, &new)?.no_room > 0 {
            return Err(TargetError::Full(guests));
        }
    }
    Ok(())
}

/// A last knock makes both entries, in the same millisecond or the next.
const SAME_TIME_MS: u64 = 100;

pub fn grant(options: &GrantOptions, output: &Output) -> anyhow::Result<Answer> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let door = door_of(policy, &options.door)?;
    let lifetime = options.lifetime.unwrap_or(door.grant);
    // Who is a guest first is banned by no trap in between.
    for (set, element) in places(&force, door, options.address).into_iter().rev() {
        nft::put(&set, &element.lasting(lifetime.as_millis()))?;
    }
    let (name, address) = (&door.name, options.address);
    let json = json!({ "door": name, "source": address.to_string(), "left_s": lifetime.as_millis() / 1000 });
    let entry = Entry::Granted { source: address, door: name.clone(), lasts: Some(lifetime), by: By::Hand };
    Told::done(format!("{address} may use door {name} for {lifetime}"), json)
        .logged(entry)
        .recorded(policy)
        .print(output)
}

impl RevokeOptions {
    /// At every door.
    pub fn of(address: IpAddr, cut: bool) -> Self {
        Self { address, door: None, cut }
    }
}

pub fn revoke(options: &RevokeOptions, output: &Output) -> anyhow::Result<Answer> {
    revoked(options)?.print(output)
}

pub fn revoked(options: &RevokeOptions) -> anyhow::Result<Told> {
    let force = InForce::read()?;
    let policy = force.policy()?;
    let address = options.address;
    let doors: Vec<&Door> = match &options.door {
        Some(name) => vec![door_of(policy, name)?],
        None => policy.doors().iter().collect(),
    };
    let mut revoked: Vec<&str> = vec![];
    for door in doors {
        if let Some((set, element)) = places(&force, door, address).first()
            && nft::take(set, element)?
        {
            revoked.push(&door.name);
        }
    }
    no_guest(&force, policy, address)?;
    let cut = if options.cut { Some(nft::cut(&Element::of(address))?) } else { None };
    let of_doors = match revoked.as_slice() {
        [] => format!("{address} held no grant"),
        [one] => format!("{address} may no longer use door {one}"),
        many => format!("{address} may no longer use doors {}", many.join(", ")),
    };
    let of_cut = cut.map(|cut| format!("; {cut} connection{} cut", if cut == 1 { "" } else { "s" }));
    let text = of_doors + &of_cut.unwrap_or_default();
    let json = json!({ "source": address.to_string(), "doors": revoked, "cut": cut });
    let none = revoked.is_empty() && cut.is_none_or(|cut| cut == 0);
    let doors = revoked.iter().map(|door| (*door).into()).collect();
    let entry = Entry::Revoked { source: address, doors, cut };
    let mut told = if none { Told::nothing(text, json) } else { Told::done(text, json).logged(entry) };
    if cut.is_none() && !revoked.is_empty() {
        told.notes.push("connections that have begun go on; --cut ends them".to_owned());
    }
    told.notes.extend(still_in(policy, address)?);
    Ok(told.recorded(policy).unsaved(&force.program))
}

/// Takes a source off the lists of those who hold grants, of each length of which it holds none.
fn no_guest(force: &InForce, policy: &Policy, address: IpAddr) -> anyhow::Result<()> {
    for door in policy.doors() {
        let same = policy.doors().iter().filter(|other| other.grant == door.grant);
        let mut held = false;
        for other in same {
            if let Some((set, element)) = places(force, other, address).first() {
                held |= nft::get(set, element)?.is_some();
            }
        }
        if let (false, Some((set, element))) = (held, places(force, door, address).get(1)) {
            nft::take(set, element)?;
        }
    }
    Ok(())
}

/// What lets the source in all the same.
fn still_in(policy: &Policy, address: IpAddr) -> anyhow::Result<Option<String>> {
    if policy.allow().iter().any(|prefix| prefix.contains(address)) {
        return Ok(Some(format!("{address} is in `allow` of the policy, and needs no grant")));
    }
    let by_hand = super::interval::allowed_holding(address)?;
    Ok(by_hand.map(|element| {
        let (addresses, time) = (element.addresses(), for_how_long(&element));
        format!("{addresses} is allowed by hand {time}, and needs no grant; `knockgate disallow` ends that")
    }))
}
