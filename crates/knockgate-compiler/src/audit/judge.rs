//! What the numbers of a door come to.

use super::chance::{Chance, Order};
use super::numbers::{count, counted, probability};
use super::play::{Owner, Tape};
use super::search::Class;
use super::{Claim, Door, Finding, Hits, Lockout, Risk, Shape, WayIn};
use crate::diag::Code;
use crate::net::{Endpoint, Port, Transport, scanned};
use crate::policy::Wrong;
use crate::sim::Fate;

/// From here on, a chance is worth a finding.
const LIKELY: f64 = 1e-3;
/// From here on, the door is not hidden from whoever scans for long.
const VERY_LIKELY: f64 = 0.1;
/// Where ephemeral ports begin (`ip_local_port_range` of Linux, ip-sysctl.rst).
const EPHEMERAL: u16 = 32_768;

/// What is to be said of `door`, whose other parts are known, the worst first.
pub(super) fn findings(door: &Door, owner: Option<&Owner>) -> Vec<Finding> {
    let mut found = vec![];
    found.extend(never_opens(door));
    found.extend(one_packet(door));
    if let Some(shape) = &door.shape {
        found.extend(ordered(door, shape, owner));
        found.extend(lucky(door));
        found.extend(sweeps(door, shape));
        found.extend(short_cooldown(door, shape));
        found.extend(short_cut(door, shape));
        found.extend(ports(door, shape));
    }
    found.extend(door.lockouts.iter().map(|lockout| shut_out(door, lockout)));
    found
}

/// Something that the rules do otherwise than the sequence says.
pub(super) fn doubt(door: &Door, doubt: &str) -> Finding {
    let says = format!(
        "the figures of door {} are for the policy that it would be, and the rules differ: {doubt}",
        door.name
    );
    about(door, Code::OtherThanItsShape, Risk::Low, says)
}

/// That who knocks at the door gets in at another one's service.
pub(super) fn opens_another(door: &Door, other: &str, service: &str, knocked: Tape) -> Finding {
    let says = format!("the knocks of door {} open {service} of door {other} too", door.name);
    let claim = Some(knocked.then(service).claim(&says, Fate::Accept));
    Finding { claim, ..about(door, Code::OpensAnother, Risk::Medium, says) }
}

/// That the grant lets in whole ranges.
pub(super) fn opens_more(door: &Door, more: &[(&Class, u32)], knocked: Tape) -> Option<Finding> {
    let (widest, _) = more.iter().max_by_key(|(_, width)| *width)?;
    let ports: u32 = more.iter().map(|(_, width)| width).sum();
    let says = format!(
        "the grant of door {} opens {} ports or sizes of pings besides its services, of {} among others",
        door.name,
        count(ports.into()),
        widest.range()
    );
    let claim = Some(knocked.then(&widest.words()).claim(&says, Fate::Accept));
    Some(Finding { claim, ..about(door, Code::MoreThanServices, Risk::High, says) })
}

/// That the grant of a door does not open one of its services.
pub(super) fn never_reached(door: &Door, service: &str) -> Finding {
    let says = format!("door {} never opens {service}: no packets let anybody in to it", door.name);
    about(door, Code::NeverOpens, Risk::High, says)
}

/// A finding about a door, without packets that show it.
pub(super) fn about(door: &Door, code: Code, risk: Risk, says: String) -> Finding {
    Finding { code, risk, says, span: door.span, claim: None }
}

fn never_opens(door: &Door) -> Option<Finding> {
    matches!(door.way_in, WayIn::Never).then(|| {
        let says = format!(
            "door {} never opens: no packets let anybody in to {}",
            door.name,
            door.services.join(", ")
        );
        about(door, Code::NeverOpens, Risk::High, says)
    })
}

/// A way in of one packet, which any scan sends.
fn one_packet(door: &Door) -> Option<Finding> {
    let WayIn::Steps { steps, claim } = &door.way_in else { return None };
    let [step] = &steps[..] else { return None };
    let says = format!("one packet opens door {}: {}, as any scan sends it", door.name, step.packet);
    Some(Finding { claim: Some(claim.clone()), ..about(door, Code::OrderedScan, Risk::High, says) })
}

/// That an ordered scan, whose packets are these, opens a door of no known shape.
pub(super) fn opened_in_order(door: &Door, what: &str, claim: Claim) -> Finding {
    let says = format!("{what} opens door {}", door.name);
    Finding { claim: Some(claim), ..about(door, Code::OrderedScan, Risk::High, says) }
}

fn short_cooldown(door: &Door, shape: &Shape) -> Option<Finding> {
    let Wrong::Cooldown(lifetime) = shape.wrong else { return None };
    let longest = shape.knocks.iter().skip(1).map(|beat| beat.window).max()?;
    (lifetime < longest).then(|| {
        let says = format!(
            "door {} waits {lifetime} after a wrong knock, but a window is {longest}: the progress outlives the wait, and a slow search goes on from it",
            door.name
        );
        about(door, Code::ShortCooldown, Risk::Medium, says)
    })
}

fn ordered(door: &Door, shape: &Shape, owner: Option<&Owner>) -> Option<Finding> {
    let certain = |order: Order| {
        let once = |chance: &&Chance| chance.scan.order == order && chance.scan.tries == 1;
        let scans = door.chances.iter().filter(once);
        scans.max_by(|one, other| one.probability.total_cmp(&other.probability)).is_some_and(is_even)
    };
    let kinds = [
        (Order::Up, "an ascending scan of all ports", Risk::High),
        (Order::Down, "a descending scan of all ports", Risk::High),
        (Order::UpWithoutTraps, "an ascending scan of all ports but the traps", Risk::Medium),
    ];
    let (order, what, risk) = kinds.into_iter().find(|(order, ..)| certain(*order))?;
    let says = format!("{what} opens door {}", door.name);
    let claim = owner.map(|owner| scan(shape, owner, order, &says));
    Some(Finding { claim, ..about(door, Code::OrderedScan, risk, says) })
}

fn is_even(chance: &Chance) -> bool {
    chance.probability >= 0.5
}

/// The part of an ordered scan that matters: the knocks, traps, and a port on each side of them.
fn scan(shape: &Shape, owner: &Owner, order: Order, says: &str) -> Claim {
    let knocks = shape.ports();
    let traps = || shape.traps.iter().flat_map(|traps| &traps.ports).copied();
    let mut ports: Vec<Endpoint> = knocks.chain(traps()).flat_map(neighbours).collect();
    ports.sort_unstable_by_key(|endpoint| (endpoint.port, endpoint.transport));
    ports.dedup();
    if order == Order::UpWithoutTraps {
        ports.retain(|endpoint| !traps().any(|trap| trap == *endpoint));
    }
    if order == Order::Down {
        ports.reverse();
    }
    let packets: Vec<String> = ports.iter().map(Endpoint::to_string).collect();
    Tape::of(owner.source).all(&packets).then(&owner.connection).claim(says, Fate::Accept)
}

fn neighbours(endpoint: Endpoint) -> impl Iterator<Item = Endpoint> {
    let number = endpoint.port.number();
    let ports = [number.checked_sub(1), Some(number), number.checked_add(1)];
    ports.into_iter().flatten().filter_map(Port::new).map(move |port| Endpoint { port, ..endpoint })
}

fn lucky(door: &Door) -> Option<Finding> {
    let random = |chance: &&Chance| {
        matches!(chance.scan.order, Order::Random | Order::Thousand | Order::Neighbourhood)
    };
    let chances = door.chances.iter().filter(random);
    let worst = chances.max_by(|one, other| one.probability.total_cmp(&other.probability))?;
    if worst.probability < LIKELY {
        return None;
    }
    let risk = if worst.probability < VERY_LIKELY { Risk::Medium } else { Risk::High };
    let says = format!("{} opens door {} by luck: {}", worst.scan, door.name, probability(worst.probability));
    Some(about(door, Code::LuckyScan, risk, says))
}

fn sweeps(door: &Door, shape: &Shape) -> Option<Finding> {
    let attack = door.attack.as_ref().filter(|_| shape.wrong == Wrong::Ignore)?;
    let says = format!(
        "wrong knocks cost nothing, so {} packets, from where no trap bans, open door {} for certain",
        count(attack.certain),
        door.name
    );
    Some(about(door, Code::CheapSweeps, Risk::Medium, says))
}

fn short_cut(door: &Door, shape: &Shape) -> Option<Finding> {
    let WayIn::Steps { steps, claim } = &door.way_in else { return None };
    (steps.len() < shape.knocks.len()).then(|| {
        let says = format!(
            "door {} has {} knocks, but {} {} enough",
            door.name,
            shape.knocks.len(),
            steps.len(),
            if steps.len() == 1 { "packet is" } else { "packets are" },
        );
        Finding { claim: Some(claim.clone()), ..about(door, Code::ShortCut, Risk::High, says) }
    })
}

fn ports(door: &Door, shape: &Shape) -> Vec<Finding> {
    let knocks: Vec<Endpoint> = shape.ports().collect();
    let mut found = vec![];
    if let Some(knock) = knocks.iter().find(|endpoint| endpoint.port.number() >= EPHEMERAL) {
        let says = format!("knock {knock} of door {} is in the range of ephemeral ports", door.name);
        found.push(about(door, Code::EphemeralKnock, Risk::Low, says));
    }
    if knocks.len() == shape.knocks.len() && knocks.iter().all(is_tried_first) {
        let says =
            format!("all knocks of door {} are among the thousand ports that scanners try first", door.name);
        found.push(about(door, Code::ScannedKnocks, Risk::Medium, says));
    }
    found
}

fn is_tried_first(knock: &Endpoint) -> bool {
    knock.transport == Transport::Tcp && scanned::is_scanned(knock.port.number())
}

fn shut_out(door: &Door, lockout: &Lockout) -> Finding {
    let lasts = lockout.lasts.map(|lasts| format!(", for {lasts}")).unwrap_or_default();
    let (code, risk, what) = match (lockout.hits, lockout.between) {
        (Hits::Connection, _) => (Code::OwnerCut, Risk::High, "the connection is cut"),
        (Hits::Grant, _) => (Code::OwnerCut, Risk::High, "the grant is worth nothing"),
        (Hits::Knocking, true) => (Code::StrayPacket, Risk::Low, "the knocks are taken back"),
        (Hits::Knocking, false) if lockout.packets == 1 => {
            (Code::OwnerBanned, Risk::Medium, "the knocks do not open")
        }
        (Hits::Knocking, false) => (Code::OwnerBanned, Risk::Low, "the knocks do not open"),
    };
    let packets = counted(lockout.packets, "packet", "packets");
    let says = format!("door {}: {packets} to {}, and {what}{lasts}", door.name, lockout.how);
    Finding { claim: Some(lockout.claim.clone()), ..about(door, code, risk, says) }
}
