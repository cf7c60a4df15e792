//! The doors of a gateway: those that were written down, or those that are found in its rules.

use std::collections::BTreeSet;

use super::shape::counted;
use super::{Beat, Shape, Subject, Trapping};
use crate::diag::Span;
use crate::lift::{Lifted, LiftedDoor, LiftedTraps, lift};
use crate::net::{Endpoint, Family};
use crate::policy::{self, Host, Policy, Service, ServiceDraft};
use crate::program::{Condition, PortEnd, Program, Verdict};

/// A door before anything is said about it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub name: String,
    pub span: Option<Span>,
    pub services: Vec<ServiceDraft>,
    pub shape: Shape,
    /// Where the rules do something else than the shape says.
    pub doubts: Vec<String>,
}

/// Every door of `subject` that has a sequence.
pub(super) fn doors(subject: &Subject<'_>) -> Vec<Plan> {
    match subject.policy {
        Some(policy) => policy.doors().iter().map(|door| written(policy, door)).collect(),
        None => {
            let lifted = lift(subject.program);
            lifted.doors.iter().filter_map(|door| found(&lifted, door)).collect()
        }
    }
}

/// What a policy says of a door.
fn written(policy: &Policy, door: &policy::Door) -> Plan {
    let draft = |service: &Service| ServiceDraft { endpoint: service.endpoint, host: service.host };
    Plan {
        name: door.name.to_string(),
        span: Some(door.span),
        services: door.services.iter().map(draft).collect(),
        shape: Shape::of(policy, door),
        doubts: vec![],
    }
}

/// What rules have of a door; `None` for one without knocks.
fn found(lifted: &Lifted, door: &LiftedDoor) -> Option<Plan> {
    let first = door.knocks.first()?;
    let beats = door
        .knocks
        .iter()
        .map(|step| Beat { knock: step.knock, window: step.window.unwrap_or(policy::default::WINDOW) });
    let knocks = lifted.doors.iter().flat_map(|door| &door.knocks).map(|step| step.knock);
    let trap_ports = lifted.traps.iter().flat_map(|traps| &traps.ports).copied();
    let doubts = door.doubts.iter().chain(lifted.traps.iter().flat_map(|traps| &traps.doubts));
    Some(Plan {
        name: door.name.clone(),
        span: first.origin.span,
        services: door.services.clone(),
        shape: Shape {
            knocks: beats.collect(),
            wrong: door.wrong,
            traps: lifted.traps.as_ref().and_then(trapping),
            neutral: lifted.public.clone(),
            counted: counted(knocks, trap_ports),
            grant: door.grant,
        },
        doubts: doubts.map(|doubt| doubt.what.clone()).collect(),
    })
}

fn trapping(traps: &LiftedTraps) -> Option<Trapping> {
    (!traps.ports.is_empty()).then(|| Trapping {
        ports: traps.ports.clone(),
        strikes: traps.strikes,
        memory: traps.memory.unwrap_or(policy::default::MEMORY),
        ban: traps.ban,
        ban_max: traps.ban_max,
    })
}

/// The packet that begins a connection to a service, in the words of a trace.
pub(super) fn connection(service: &ServiceDraft) -> String {
    match service.host {
        Host::Gateway | Host::Via(..) => service.endpoint.to_string(),
        Host::At(address) => format!("{} to {address}", service.endpoint),
    }
}

/// The one family that a service is reached over; `None` for both.
pub(super) fn family(service: &ServiceDraft) -> Option<Family> {
    match service.host {
        Host::Gateway => None,
        Host::At(address) | Host::Via(address, _) => Some(Family::of(address)),
    }
}

/// What rules say that sources on a list which rules fill are let in with, in the words of a trace.
pub(super) fn promised(program: &Program) -> BTreeSet<String> {
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let accepting = rules.filter(|rule| rule.verdict == Some(Verdict::Accept));
    let listed = |condition: &Condition| matches!(condition, Condition::Listed(list) if program[*list].timed.is_some());
    // What is only for some sources, or for IPv6, is not promised to a stranger over IPv4.
    let narrow = |condition: &Condition| {
        matches!(condition, Condition::Source(_) | Condition::Family(Family::V6) | Condition::Opaque(_))
    };
    let listing = accepting.filter(|rule| rule.when.iter().any(listed) && !rule.when.iter().any(narrow));
    listing.filter_map(|rule| rule.when.iter().find_map(first_port)).collect()
}

fn first_port(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Ports(transport, PortEnd::Destination, ranges) => {
            ranges.first().map(|range| format!("{}/{transport}", range.start()))
        }
        Condition::To(endpoints) => endpoints.first().map(Endpoint::to_string),
        _ => None,
    }
}
