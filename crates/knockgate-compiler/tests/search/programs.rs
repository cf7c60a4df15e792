//! Small programs of any shape.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use knockgate_compiler::net::{Endpoint, Port, Transport};
use knockgate_compiler::program::{
    Builder, ChainId, Condition, Effect, Expiry, Hook, ListId, Origin, Position, Program, Rule, Switch,
    TrackId, Verdict,
};
use knockgate_compiler::random::Rng;
use knockgate_compiler::time::Lifetime;

/// Ports that rules tell apart, and one that they do not.
pub const PORTS: [u16; 5] = [22, 1001, 1002, 1003, 9];
/// The longest that anything is remembered, in milliseconds.
pub const LONGEST: u64 = 6;

struct Draft<'r> {
    rng: &'r mut Rng,
    builder: Builder,
    lists: Vec<ListId>,
    track: Option<(TrackId, [Position; 2])>,
    inner: [ChainId; 2],
}

/// With two to four things to remember.
pub fn program(rng: &mut Rng) -> Program {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let capacity = NonZeroU32::new(100).unwrap();
    let shared = builder.pool("shared", capacity, true);
    let own = builder.pool("own", capacity, false);
    let mut lists: Vec<ListId> =
        (0..1 + rng.below(2)).map(|nth| builder.timed_list(&format!("l{nth}"), shared, 128)).collect();
    lists.push(builder.timed_list("own", own, 64));
    let track = rng.chance(40).then(|| {
        let track = builder.track("track", capacity);
        (track, ["a", "b"].map(|name| builder.position(track, name, name)))
    });
    let input = builder.chain("input", Some(Hook::Input));
    let inner = ["one", "two"].map(|name| builder.chain(name, None));
    let mut draft = Draft { rng, builder, lists, track, inner };
    draft.chain(input, 0);
    draft.door(input);
    draft.chain(inner[0], 1);
    draft.chain(inner[1], 2);
    draft.builder.seal().unwrap()
}

impl Draft<'_> {
    /// Rules, and jumps only to chains of a greater depth.
    fn chain(&mut self, chain: ChainId, depth: usize) {
        for _ in 0..2 + self.rng.below(3) {
            let (when, then) = (self.conditions(), self.effects());
            let verdict = match self.rng.below(10) {
                0 => Some(Verdict::Drop),
                1 if depth > 0 => Some(Verdict::Return),
                2 | 3 if depth < 2 => Some(Verdict::Jump(self.inner[depth])),
                4 if depth == 1 && self.track.is_some() => {
                    let switch = self.switch();
                    self.rule(chain, when, vec![], Some(switch));
                    continue;
                }
                _ => None,
            };
            self.rule(chain, when, then, verdict);
        }
    }

    /// What lets in, and a drop behind it.
    fn door(&mut self, input: ChainId) {
        if self.rng.chance(50) {
            let banned = Condition::Listed(self.list());
            self.rule(input, vec![banned], vec![], Some(Verdict::Drop));
        }
        let (grant, other) = (self.list(), self.list());
        let mut when = vec![to(22), Condition::Listed(grant)];
        match self.rng.below(5) {
            0 => when.push(Condition::Listed(other)),
            1..4 if other != grant => when.push(Condition::not_listed(other)),
            _ => {}
        }
        let then = if self.rng.chance(20) { self.effects() } else { vec![] };
        self.rule(input, when, then, Some(Verdict::Accept));
        if self.rng.chance(50) {
            let (one, other) = (self.list(), self.list());
            let when = vec![to(1001), Condition::Listed(one), Condition::not_listed(other)];
            self.rule(input, when, vec![], Some(Verdict::Accept));
        }
        self.chain(input, 0);
        self.rule(input, vec![], vec![], Some(Verdict::Drop));
    }

    fn rule(&mut self, chain: ChainId, when: Vec<Condition>, then: Vec<Effect>, verdict: Option<Verdict>) {
        let origin = Origin { what: "any".into(), span: None };
        self.builder.rule(chain, Rule { when, then, verdict, origin });
    }

    fn list(&mut self) -> ListId {
        self.rng.pick(&self.lists)
    }

    fn conditions(&mut self) -> Vec<Condition> {
        let mut when = vec![];
        if self.rng.chance(85) {
            let port = self.rng.pick(&PORTS[..4]);
            when.push(if self.rng.chance(90) { to(port) } else { to(port).negated() });
        }
        for _ in 0..self.rng.below(3) {
            let listed = Condition::Listed(self.list());
            when.push(if self.rng.chance(60) { listed } else { listed.negated() });
        }
        when
    }

    fn lifetime(&mut self) -> Lifetime {
        Lifetime::from_millis(1 + self.rng.below(LONGEST as usize) as u64).unwrap()
    }

    fn effects(&mut self) -> Vec<Effect> {
        let lifetime = self.lifetime();
        let expiry = if self.rng.chance(50) { Expiry::Keep } else { Expiry::Refresh };
        let list = self.list();
        match (self.rng.below(10), self.track) {
            (0, _) => vec![Effect::Remove(list)],
            (1 | 2, Some((track, positions))) => {
                vec![Effect::Move { track, position: self.rng.pick(&positions), lifetime }]
            }
            (3, Some((track, _))) => vec![Effect::Forget(track)],
            (4, _) => vec![],
            (5, _) => {
                let (other, short) = (self.list(), self.lifetime());
                let short = Effect::Add { list: other, lifetime: short, expiry };
                vec![Effect::Add { list, lifetime, expiry }, short]
            }
            _ => vec![Effect::Add { list, lifetime, expiry }],
        }
    }

    fn switch(&mut self) -> Verdict {
        let (track, positions) = self.track.expect("it was asked for");
        let mut arms = BTreeMap::new();
        for position in positions {
            arms.insert((position, endpoint(self.rng.pick(&PORTS[..4]))), self.inner[1]);
        }
        Verdict::Switch(Switch::TrackPort(track, arms))
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { transport: Transport::Tcp, port: Port::new(port).unwrap() }
}

fn to(port: u16) -> Condition {
    Condition::To([endpoint(port)].into())
}
