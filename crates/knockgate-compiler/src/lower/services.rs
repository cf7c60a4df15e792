//! Chains that let granted and allowed sources to the services behind doors.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{Arms, Lowering, PUBLIC, always, known_states, leases, made};
use crate::net::{Endpoint, Family, Prefix};
use crate::policy::{Host, Knock, Policy, Service};
use crate::program::{ChainId, Condition, Hook, ListId, Switch, Verdict};

/// Who may use a service, and on whose behalf the rule stands.
struct Way<'p> {
    door: usize,
    service: &'p Service,
}

/// A port where some are let in.
struct Used {
    chain: ChainId,
    /// The chain of those who need no knock, if there is a service.
    allowed: Option<ChainId>,
}

impl<'p> Lowering<'p> {
    fn ways(&self) -> impl Iterator<Item = Way<'p>> + use<'p> {
        let doors = self.policy.doors().iter().enumerate();
        doors.flat_map(|(door, d)| d.services.iter().map(move |service| Way { door, service }))
    }

    /// The rule of `ports` that leads packets on by the port that they are sent to.
    pub(super) fn by_port(&mut self, ports: ChainId, Arms { trapped, knocking, wrong }: Arms) {
        let mut arms: BTreeMap<Endpoint, ChainId> = BTreeMap::new();
        arms.extend(knocked(self.policy).map(|endpoint| (endpoint, knocking)));
        arms.extend(trap_ports(self.policy).map(|endpoint| (endpoint, trapped)));
        if !self.policy.public().is_empty() {
            let public = self.public();
            arms.extend(self.policy.public().iter().map(|endpoint| (*endpoint, public)));
        }
        let mut others = BTreeMap::new();
        for (endpoint, Used { chain, allowed }) in self.used() {
            let mut next = arms.insert(endpoint, chain).unwrap_or(wrong);
            if let Some(allowed) = allowed {
                let number = others.len() + 1;
                next = *others.entry(next).or_insert_with(|| self.not_granted(number, allowed, next));
            }
            self.rule(chain, always("others"), vec![], vec![], Some(Verdict::Jump(next)));
        }
        let switch = Some(Verdict::Switch(Switch::Port(arms)));
        self.rule(ports, always("which port"), vec![], vec![], switch);
    }

    /// What comes after the rules of a service's own, written once for all services.
    fn not_granted(&mut self, number: usize, allowed: ChainId, next: ChainId) -> ChainId {
        let chain = self.builder.chain(&format!("not-granted-{number}"), None);
        self.rule(chain, always("allowed sources"), vec![], vec![], Some(Verdict::Jump(allowed)));
        self.rule(chain, always("others"), vec![], vec![], Some(Verdict::Jump(next)));
        chain
    }

    /// The chains of ports where some are let in. Who is not comes to the end.
    fn used(&mut self) -> BTreeMap<Endpoint, Used> {
        let mut arms = BTreeMap::new();
        for (what, endpoint, when) in leases() {
            let chain = self.builder.chain(&format!("to-{}", dashed(endpoint)), None);
            self.rule(chain, always(what), when, vec![], Some(Verdict::Accept));
            arms.insert(endpoint, Used { chain, allowed: None });
        }
        let mut by_port: BTreeMap<Endpoint, Vec<Way<'p>>> = BTreeMap::new();
        for way in self.ways().filter(|way| way.service.host == Host::Gateway) {
            by_port.entry(way.service.endpoint).or_default().push(way);
        }
        let allowed = (!by_port.is_empty()).then(|| self.allowed());
        for (endpoint, ways) in by_port {
            let made = || self.builder.chain(&format!("to-{}", dashed(endpoint)), None);
            let chain = arms.get(&endpoint).map_or_else(made, |used: &Used| used.chain);
            arms.insert(endpoint, Used { chain, allowed });
            let listed = |list| vec![Condition::Listed(list), Condition::ToGateway];
            self.granted(chain, &ways, &listed, &Verdict::Accept);
        }
        arms
    }

    fn public(&mut self) -> ChainId {
        let public = self.builder.chain(PUBLIC, None);
        self.keep_out(public);
        self.rule(public, always("public ports"), vec![], vec![], Some(Verdict::Accept));
        public
    }

    /// The chain that lets those in who need no knock.
    fn allowed(&mut self) -> ChainId {
        let allowed = self.builder.chain("allowed", None);
        let listed = |list| vec![Condition::Listed(list), Condition::ToGateway];
        self.spared(allowed, &listed, &Verdict::Accept);
        allowed
    }

    /// The chains for services on hosts behind, if there are any.
    pub(super) fn behind(&mut self) {
        if self.ways().any(|way| matches!(way.service.host, Host::Via(..))) {
            self.redirects();
        }
        if self.ways().any(|way| way.service.behind().is_some()) {
            self.forward();
        }
    }

    fn redirects(&mut self) {
        let prerouting = self.builder.chain("prerouting", Some(Hook::Prerouting));
        let redirects = self.builder.chain("redirects", None);
        let when = vec![Condition::From(self.policy.outside().to_vec()), Condition::ToGateway];
        self.rule(
            prerouting,
            always("services on hosts behind"),
            when,
            vec![],
            Some(Verdict::Jump(redirects)),
        );
        let mut by_port: BTreeMap<Endpoint, BTreeMap<SocketAddr, Vec<Way<'p>>>> = BTreeMap::new();
        for way in self.ways() {
            if let Host::Via(address, port) = way.service.host {
                let target = SocketAddr::new(address, port.number());
                by_port.entry(way.service.endpoint).or_default().entry(target).or_default().push(way);
            }
        }
        let mut arms = BTreeMap::new();
        for (endpoint, targets) in by_port {
            let chain = self.builder.chain(&format!("via-{}", dashed(endpoint)), None);
            for (target, ways) in targets {
                let family = Condition::Family(Family::of(target.ip()));
                self.admit(chain, &ways, &[family], &Verdict::Redirect(target));
            }
            arms.insert(endpoint, chain);
        }
        let switch = Some(Verdict::Switch(Switch::Port(arms)));
        self.rule(redirects, always("which service behind"), vec![], vec![], switch);
    }

    fn forward(&mut self) {
        let forward = self.builder.chain("forward", Some(Hook::Forward));
        self.pass_inside(forward);
        let cut = vec![Condition::Cut];
        self.rule(forward, always("connections cut by hand"), cut, vec![], Some(Verdict::Drop));
        let known = vec![known_states()];
        self.rule(forward, always("established connections"), known, vec![], Some(Verdict::Accept));
        let behind = self.builder.chain("behind", None);
        self.rule(forward, always("hosts behind"), vec![], vec![], Some(Verdict::Jump(behind)));
        let mut by_port: BTreeMap<Endpoint, BTreeMap<IpAddr, Vec<Way<'p>>>> = BTreeMap::new();
        for way in self.ways() {
            if let Some((address, endpoint)) = way.service.behind() {
                by_port.entry(endpoint).or_default().entry(address).or_default().push(way);
            }
        }
        let mut arms = BTreeMap::new();
        for (endpoint, hosts) in by_port {
            let chain = self.builder.chain(&format!("behind-{}", dashed(endpoint)), None);
            for (address, ways) in hosts {
                let host = Condition::Destination(vec![Prefix::host(address)]);
                self.admit(chain, &ways, std::slice::from_ref(&host), &Verdict::Accept);
                let origin = made(format!("everybody else to {endpoint} at {address}"), ways[0].service.span);
                self.rule(chain, origin, vec![host], vec![], Some(Verdict::Drop));
            }
            arms.insert(endpoint, chain);
        }
        let switch = Some(Verdict::Switch(Switch::Port(arms)));
        self.rule(behind, always("which host behind"), vec![], vec![], switch);
    }

    /// Rules that let allowed sources, and those each door granted, have `verdict`.
    fn admit(&mut self, chain: ChainId, ways: &[Way<'p>], when: &[Condition], verdict: &Verdict) {
        let listed = |list| when.iter().cloned().chain([Condition::Listed(list)]).collect();
        self.spared(chain, &listed, verdict);
        self.granted(chain, ways, &listed, verdict);
    }

    fn spared(&mut self, chain: ChainId, listed: &dyn Fn(ListId) -> Vec<Condition>, verdict: &Verdict) {
        if let Some(allow) = self.allow {
            self.rule(chain, always("allowed sources"), listed(allow), vec![], Some(verdict.clone()));
        }
        let by_hand = listed(self.allowed_by_hand);
        self.rule(chain, always("sources allowed by hand"), by_hand, vec![], Some(verdict.clone()));
    }

    fn granted(
        &mut self,
        chain: ChainId,
        ways: &[Way<'p>],
        listed: &dyn Fn(ListId) -> Vec<Condition>,
        verdict: &Verdict,
    ) {
        let mut seen = BTreeSet::new();
        for way in ways.iter().filter(|way| seen.insert(way.door)) {
            let name = &self.policy.doors()[way.door].name;
            let origin = made(format!("door {name}: granted sources to {}", way.service), way.service.span);
            let grant = self.grants[way.door];
            self.rule(chain, origin, listed(grant), vec![], Some(verdict.clone()));
        }
    }
}

/// Ports that knocks have.
pub(super) fn knocked(policy: &Policy) -> impl Iterator<Item = Endpoint> {
    let knocks = policy.doors().iter().flat_map(|door| door.sequence.knocks());
    knocks.filter_map(|knock| match knock {
        Knock::Port(endpoint) => Some(endpoint),
        Knock::Ping(_) => None,
    })
}

/// Ports that traps have.
pub(super) fn trap_ports(policy: &Policy) -> impl Iterator<Item = Endpoint> {
    policy.traps().into_iter().flat_map(|traps| traps.ports.iter().copied())
}

/// `22-tcp`, for names of chains.
pub(super) fn dashed(endpoint: Endpoint) -> String {
    format!("{}-{}", endpoint.port, endpoint.transport)
}
