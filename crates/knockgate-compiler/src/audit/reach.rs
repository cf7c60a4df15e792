//! What strangers reach without a knock, and by which ways.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::play::Tape;
use super::search::{Class, ClassId, Search, merged};
use super::{Door, Exposed, Finding, Risk};
use crate::diag::{Code, Span};
use crate::lift::shadow;
use crate::net::{Destination, Family, Payload, Transport};
use crate::policy::{Host, ServiceDraft};
use crate::program::{Condition, Program, Verdict};
use crate::sim::{Decider, Decision, Fate};

/// Packets of one protocol and family that one rule lets in.
#[derive(Debug)]
struct Group<'c> {
    spans: Vec<RangeInclusive<u16>>,
    first: &'c Class,
    rule: String,
    span: Option<Span>,
    meant: bool,
}

/// Whether strangers are let in with it.
pub(super) fn is_open(search: &Search<'_>, class: ClassId) -> bool {
    search.fate_for_strangers(class).fate == Fate::Accept
}

/// First packets of connections, or pings, that strangers are let in with by an outside interface.
fn open<'s>(search: &'s Search<'_>) -> impl Iterator<Item = (ClassId, &'s Class)> {
    let ids = search.ids().filter(|id| is_open(search, *id));
    ids.map(|id| (id, &search.classes()[id.index()]))
        .filter(|(_, class)| class.begins() && !class.comes_from_elsewhere())
}

/// What strangers are let in with to the gateway itself: what nobody meant first, then the widest.
pub(super) fn exposed(search: &Search<'_>) -> Vec<Exposed> {
    // Of rules that are too many, packets were not told apart as they should be.
    if search.is_tangled() {
        return vec![];
    }
    let mut groups: BTreeMap<(Family, &str, String), Group<'_>> = BTreeMap::new();
    for (id, class) in open(search).filter(|(_, class)| class.destination() == Destination::Gateway) {
        let (rule, span, meant) = decided(search.fate_for_strangers(id));
        let key = (class.family(), protocol(class), rule.clone());
        let group = groups.entry(key).or_insert(Group { spans: vec![], first: class, rule, span, meant });
        group.spans.extend(class.spans().iter().cloned());
    }
    let mut found: Vec<Exposed> = groups.into_values().map(told).collect();
    found.sort_by_key(|exposed| (exposed.meant, u32::MAX - exposed.ports));
    found
}

fn protocol(class: &Class) -> &'static str {
    match class.packet().payload {
        Payload::Tcp { .. } => "tcp",
        Payload::Udp { .. } => "udp",
        Payload::Icmp { .. } => "ping",
    }
}

fn decided(decision: &Decision<'_>) -> (String, Option<Span>, bool) {
    match &decision.decider {
        Decider::Rule { origin, .. } => (origin.what.to_string(), origin.span, true),
        _ => ("the rules end without a word about them".to_owned(), None, false),
    }
}

fn told(group: Group<'_>) -> Exposed {
    let Group { spans, first, rule, span, meant } = group;
    let spans = merged(spans);
    let ports: u32 = spans.iter().map(|span| u32::from(span.end() - span.start()) + 1).sum();
    let from = source_port(&first.words());
    // Whoever writes that means answers to this machine, and anybody can send from there.
    let single = ports <= FEW || protocol(first) == "ping";
    let meant = meant && from.is_empty() && single;
    let packets = format!("{}{from} over {}", in_words(&spans, protocol(first)), first.family());
    let claim = Tape::of(first.packet().source)
        .then(&first.words())
        .claim(format!("strangers are let in with {packets}"), Fate::Accept);
    Exposed { packets, ports, rule, span, meant, claim }
}

/// Which port packets must be sent from, if only those are let in: ` from port 53`.
fn source_port(words: &str) -> String {
    let from = words.split_once(" from ").and_then(|(_, rest)| rest.split(' ').next());
    from.map(|port| format!(" from port {port}")).unwrap_or_default()
}

/// `22, 80-443/tcp`.
fn in_words(ranges: &[RangeInclusive<u16>], protocol: &str) -> String {
    const SHOWN: usize = 8;
    let one = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    let mut words = ranges.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    if ranges.len() > SHOWN {
        words += &format!(" and {} ranges more", ranges.len() - SHOWN);
    }
    if protocol == "ping" { format!("pings of {words} bytes") } else { format!("{words}/{protocol}") }
}

/// Ports that are open to everybody by no rule.
pub(super) fn open_to_all(exposed: &[Exposed]) -> Vec<Finding> {
    let unmeant = exposed.iter().filter(|exposed| !exposed.meant);
    unmeant
        .map(|exposed| Finding {
            code: Code::OpenToAll,
            risk: if exposed.ports > FEW { Risk::High } else { Risk::Medium },
            says: format!("everybody is let in with {}: {}", exposed.packets, exposed.rule),
            span: exposed.span,
            claim: Some(exposed.claim.clone()),
        })
        .collect()
}

/// So many open ports may be an oversight; more are no firewall.
const FEW: u32 = 16;

/// Ways to the door's services that need no knock.
pub(super) fn around(search: &Search<'_>, door: &Door, services: &[ServiceDraft]) -> Vec<Finding> {
    let ways = services.iter().flat_map(|service| {
        let classes = open(search).filter(|(_, class)| leads(class, service));
        classes.map(move |(_, class)| way_around(door, service, class))
    });
    ways.take(MOST).collect()
}

/// Ways around one door that are told.
const MOST: usize = 4;

/// Whether packets of the class go to the service.
pub(super) fn leads(class: &Class, service: &ServiceDraft) -> bool {
    let transport = match class.packet().payload {
        Payload::Tcp { .. } => Some(Transport::Tcp),
        Payload::Udp { .. } => Some(Transport::Udp),
        Payload::Icmp { .. } => None,
    };
    let to = class.destination();
    let (host, port) = match service.host {
        Host::Gateway => (Destination::Gateway, service.endpoint.port),
        Host::At(address) => (Destination::Other(address), service.endpoint.port),
        Host::Via(_, _) if to == Destination::Gateway => (to, service.endpoint.port),
        Host::Via(address, port) => (Destination::Other(address), port),
    };
    transport == Some(service.endpoint.transport)
        && to == host
        && class.spans().iter().any(|span| span.contains(&port.number()))
}

fn way_around(door: &Door, service: &ServiceDraft, class: &Class) -> Finding {
    let packet = class.packet();
    let port = match service.host {
        Host::Via(_, port) if packet.destination != Destination::Gateway => port,
        _ => service.endpoint.port,
    };
    let way = match packet.destination {
        Destination::Gateway => format!("over {}", packet.family()),
        Destination::Other(address) => format!("by its own address {address}"),
    };
    let words = class.words();
    let from = source_port(&words);
    let says = format!("strangers reach {service} of door {} without a knock {way}{from}", door.name);
    let rest = words.split_once('/').map_or("", |(_, rest)| rest);
    let claim = Tape::of(packet.source).then(&format!("{port}/{rest}")).claim(&says, Fate::Accept);
    Finding { code: Code::WayAround, risk: Risk::High, says, span: door.span, claim: Some(claim) }
}

/// Rules that an earlier one of their chain leaves no packet for.
pub(super) fn unreached(program: &Program) -> Vec<Finding> {
    let mut found: Vec<Finding> = vec![];
    for chain in program.chains() {
        for (index, rule) in chain.rules.iter().enumerate() {
            let Some(above) = shadow(chain, index).filter(|_| rule.origin.span.is_some()) else { continue };
            let says = format!(
                "no packet comes to the rule: {}; it stands after: {}",
                rule.origin.what, above.origin.what
            );
            // A rule of a script can be several of the program.
            if !found.iter().any(|known| known.span == rule.origin.span) {
                let (code, risk, span) = (Code::NoPacketComes, Risk::Low, rule.origin.span);
                found.push(Finding { code, risk, says, span, claim: None });
            }
        }
    }
    found
}

/// Rules whose conditions are not all played, and that may let in more, or less, than is told.
pub(super) fn unplayed(program: &Program) -> Vec<Finding> {
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let mut found: Vec<Finding> = vec![];
    for rule in rules {
        let Some(words) = rule.when.iter().find_map(opaque) else { continue };
        let lets_in = matches!(rule.verdict, Some(Verdict::Accept | Verdict::Redirect(_)));
        let (risk, may) = match lets_in {
            true => (Risk::Medium, "it may let strangers in, which nothing here tells of"),
            false => (Risk::Low, "it may drop or ban somebody, which nothing here tells of"),
        };
        let says = format!("`{words}` is not played in {}: {may}", rule.origin.what);
        // A rule of a script can be several of the program.
        if !found.iter().any(|known| known.span == rule.origin.span && known.says == says) {
            found.push(Finding { code: Code::NotAudited, risk, says, span: rule.origin.span, claim: None });
        }
    }
    found
}

fn opaque(condition: &Condition) -> Option<&str> {
    match condition {
        Condition::Not(inner) => opaque(inner),
        Condition::Opaque(words) => Some(words),
        _ => None,
    }
}
