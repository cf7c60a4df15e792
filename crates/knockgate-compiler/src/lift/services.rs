//! What a grant opens, in the words of a policy.

use std::collections::BTreeSet;

use super::scene::{Opening, Scene};
use super::{Doubt, LiftedKnock};
use crate::net::{Endpoint, Port, Transport};
use crate::policy::{Host, Knock, ServiceDraft, limit};
use crate::program::{Condition, Origin, PortEnd, Verdict};

impl Scene<'_, '_> {
    /// What the grant opens, and where. A policy cannot open everything.
    pub fn services(
        &self,
        openings: &[Opening],
        knocks: &[LiftedKnock],
        origin: &Origin,
        doubts: &mut Vec<Doubt>,
    ) -> (Vec<ServiceDraft>, Vec<Opening>) {
        let width: usize = openings.iter().map(|opening| self.classes[opening.class()].width()).sum();
        let mut found: Vec<(ServiceDraft, Opening)> = vec![];
        if width <= limit::SERVICES {
            found.extend(openings.iter().flat_map(|opening| self.opened(*opening)));
        } else {
            let here = |endpoint: Endpoint| {
                let opening = Opening::Here(self.class_of(endpoint)?);
                let knock = knocks.iter().any(|step| step.knock == Knock::Port(endpoint));
                let draft = ServiceDraft { endpoint, host: Host::Gateway };
                (!knock && openings.contains(&opening)).then_some((draft, opening))
            };
            found.extend(self.shown().into_iter().filter_map(here).take(limit::SERVICES));
            let mut source = "those that other rules of the script let in are taken";
            if found.is_empty() {
                source = "22/tcp and 8291/tcp are taken, SSH and WinBox: write what is really behind it";
                found.extend(usual().into_iter().filter_map(here));
            }
            let narrow = |opening: &&Opening| !matches!(opening, Opening::Here(_));
            found.extend(openings.iter().filter(narrow).flat_map(|opening| self.opened(*opening)));
            found.truncate(limit::SERVICES);
            let what = format!(
                "THE GRANT OPENS {width} PORTS of TCP and UDP in the script, and a policy opens only named ones: {source}"
            );
            doubts.push(Doubt::at(what, origin));
        }
        let mut seen = BTreeSet::new();
        found.retain(|(draft, _)| seen.insert(*draft));
        found.into_iter().unzip()
    }

    fn opened(&self, opening: Opening) -> Vec<(ServiceDraft, Opening)> {
        let host = match opening {
            Opening::Here(_) => Some(Host::Gateway),
            Opening::Via(_, target) => Port::new(target.port()).map(|port| Host::Via(target.ip(), port)),
            Opening::Behind(_, host) => Some(Host::At(host)),
        };
        let Some(host) = host else { return vec![] };
        let endpoints = self.classes[opening.class()].endpoints();
        endpoints.map(|endpoint| (ServiceDraft { endpoint, host }, opening)).collect()
    }

    /// Single ports that rules of the script let in.
    fn shown(&self) -> BTreeSet<Endpoint> {
        let mut found = BTreeSet::new();
        let rules = self.walker.program.chains().iter().flat_map(|chain| &chain.rules);
        for rule in rules.filter(|rule| rule.verdict == Some(Verdict::Accept)) {
            for condition in &rule.when {
                match condition {
                    Condition::To(endpoints) => found.extend(endpoints),
                    Condition::Ports(transport, PortEnd::Destination, ranges) => {
                        let single = ranges.iter().filter(|range| range.start() == range.end());
                        let ports = single.filter_map(|range| Port::new(*range.start()));
                        found.extend(ports.map(|port| Endpoint { transport: *transport, port }));
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

/// What a router is managed by: SSH and WinBox.
fn usual() -> Vec<Endpoint> {
    let ports = [22, 8291].into_iter().filter_map(Port::new);
    ports.map(|port| Endpoint { transport: Transport::Tcp, port }).collect()
}
