//! What is dropped before the kernel tracks connections, where the policy has it so.
//!
//! Only what opens a TCP connection with the gateway, for nothing else is known there to belong to none; and
//! only to ports that mean nothing, so that nobody's grant, ban or knock is decided here. Connection
//! tracking is most of what a packet costs that is dropped later.

use std::collections::BTreeMap;

use super::knocks::Machinery;
use super::services::{knocked, trap_ports};
use super::{EARLY, Lowering, WHO_TRIES, always, opening};
use crate::net::{Endpoint, Transport};
use crate::program::{ChainId, Condition, Hook, Switch, Verdict};

impl Lowering<'_> {
    pub(super) fn early(&mut self, machines: &[Machinery]) {
        let early = self.builder.chain(EARLY, Some(Hook::Raw));
        let closed = self.closed(machines);
        let from_outside = Condition::From(self.policy.outside().to_vec());
        let opens = vec![from_outside, Condition::Transport(Transport::Tcp), opening()];
        self.rule(early, always("what opens a TCP connection"), opens, vec![], Some(Verdict::Jump(closed)));
    }

    /// The chain for what opens a TCP connection. Whoever returns from it is decided over at the input hook.
    fn closed(&mut self, machines: &[Machinery]) -> ChainId {
        let closed = self.builder.chain("closed", None);
        let meant = self.builder.chain("meant", None);
        let arms: BTreeMap<Endpoint, ChainId> = self.meant().map(|endpoint| (endpoint, meant)).collect();
        if !arms.is_empty() {
            let switch = Some(Verdict::Switch(Switch::Port(arms)));
            self.rule(closed, always("ports that mean something"), vec![], vec![], switch);
        }
        let rescue = self.builder.chain("rescue-early", None);
        let when = vec![Condition::not_listed(self.banned_by_hand), Condition::ToGateway];
        self.rule(rescue, always(WHO_TRIES), when, vec![], Some(Verdict::Rescue));
        self.rule(closed, always(WHO_TRIES), vec![], vec![], Some(Verdict::Jump(rescue)));
        // What may be a wrong knock goes on.
        let wrong = machines.iter().filter_map(|machine| machine.wrong.as_ref());
        let unheeded = wrong.map(|wrong| wrong.heeds.clone().negated());
        let when = unheeded.chain([Condition::ToGateway]).collect();
        self.rule(closed, always("closed ports"), when, vec![], Some(Verdict::Drop));
        closed
    }

    /// TCP ports of the gateway's that mean something.
    fn meant(&self) -> impl Iterator<Item = Endpoint> {
        let services = self.policy.doors().iter().flat_map(|door| &door.services);
        let services = services.filter_map(|service| service.on_gateway());
        let public = self.policy.public().iter().copied();
        let all = knocked(self.policy).chain(trap_ports(self.policy)).chain(public).chain(services);
        all.filter(|endpoint| endpoint.transport == Transport::Tcp)
    }
}
