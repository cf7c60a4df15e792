//! Which rules packets of a class can come to, and where their source must stand for that.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::class::{Class, Kind};
use super::walk::{At, Packet, Standing, Walker, can_be_told, leads};
use crate::program::{ChainId, Condition, Hook, ListId, Position, Rule, Switch, TrackId, Verdict};

/// What a rule needs to know of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fact {
    /// It is on this list.
    Listed(ListId),
    /// It is at this position.
    At(TrackId, Position),
}

/// A rule that some packet of a class can come to, with what its source must be for that.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub at: At,
    pub facts: Vec<Fact>,
    /// The host behind that the packet must be for.
    pub host: Option<IpAddr>,
}

/// The rules that packets of a class come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    pub found: Vec<Found>,
    /// Lists that any of them asks for.
    pub lists: BTreeSet<ListId>,
}

impl Walker<'_> {
    /// The rules that packets of `class` come to if their source stands where they want it.
    pub fn survey(&self, class: &Class, hooks: &[Hook]) -> Survey {
        let mut survey = Survey::default();
        for hook in hooks {
            if let Some(chain) = self.program.hooked(*hook) {
                let packet = Packet { class, hook: *hook, to: None, port: class.low, redirected: None };
                self.visit(chain, &packet, &mut Path::default(), &mut survey);
            }
        }
        survey
    }

    /// Whether no packet of the class goes on after this chain.
    fn visit(&self, chain: ChainId, packet: &Packet<'_>, path: &mut Path, survey: &mut Survey) -> bool {
        for (index, rule) in self.program[chain].rules.iter().enumerate() {
            if !self.burn() {
                return true;
            }
            let depth = path.facts.len();
            let host = path.host;
            let at = (chain, index);
            let ended = match self.meet(rule, packet, path, survey) {
                None => Way::On,
                Some(always) => {
                    survey.found.push(Found { at, facts: path.facts.clone(), host: path.host });
                    self.follow(at, rule, always, packet, path, survey)
                }
            };
            path.facts.truncate(depth);
            path.host = host;
            match ended {
                Way::On => {}
                Way::Back => return false,
                Way::Out => return true,
            }
        }
        false
    }

    /// Takes the rule's conditions along; `None` if they cannot hold, else whether they always do.
    fn meet(&self, rule: &Rule, packet: &Packet<'_>, path: &mut Path, survey: &mut Survey) -> Option<bool> {
        let stranger = Standing::default();
        let mut always = true;
        for condition in &rule.when {
            match condition {
                Condition::Listed(list) if self.program[*list].timed.is_some() => {
                    path.facts.push(Fact::Listed(*list));
                    survey.lists.insert(*list);
                    always = false;
                }
                Condition::Not(inner) if matches!(**inner, Condition::Listed(_)) => {
                    if let Condition::Listed(list) = **inner {
                        survey.lists.insert(list);
                    }
                    always = false;
                }
                Condition::OnTrack(_) => always = false,
                Condition::Not(inner) if matches!(**inner, Condition::OnTrack(_)) => always = false,
                Condition::Destination(prefixes) if packet.hook == Hook::Forward => {
                    let [prefix] = prefixes[..] else { return None };
                    path.host = Some(prefix.network());
                    always = false;
                }
                Condition::Redirected if packet.hook == Hook::Forward => always = false,
                condition => match self.condition(condition, packet, &stranger) {
                    Some(true) => {}
                    _ => return None,
                },
            }
        }
        Some(always)
    }

    fn follow(
        &self,
        at: At,
        rule: &Rule,
        always: bool,
        packet: &Packet<'_>,
        path: &mut Path,
        survey: &mut Survey,
    ) -> Way {
        let out = |ends: bool| if ends && always { Way::Out } else { Way::On };
        match &rule.verdict {
            None | Some(Verdict::Rescue) => Way::On,
            Some(Verdict::Reject(refusal)) => out(can_be_told(*refusal, packet.class)),
            Some(Verdict::Redirect(target)) => out(leads(*target, packet.class)),
            Some(Verdict::Accept | Verdict::Drop) => out(true),
            Some(Verdict::Return) if always => Way::Back,
            Some(Verdict::Return) => Way::On,
            Some(Verdict::Jump(target)) => out(self.visit(*target, packet, path, survey)),
            Some(Verdict::Switch(switch)) => self.branch(at, switch, always, packet, path, survey),
        }
    }

    fn branch(
        &self,
        at: At,
        switch: &Switch,
        always: bool,
        packet: &Packet<'_>,
        path: &mut Path,
        survey: &mut Survey,
    ) -> Way {
        let arms: Vec<(TrackId, Position, ChainId)> = match switch {
            Switch::Port(_) | Switch::Echo(_) => {
                let Some(target) = self.arm(switch, packet, &Standing::default()) else { return Way::On };
                return match (self.visit(target, packet, path, survey), always) {
                    (true, true) => Way::Out,
                    (false, true) => Way::Back,
                    (_, false) => Way::On,
                };
            }
            Switch::TrackPort(track, _) => {
                let Some(endpoint) = packet.class.endpoint() else { return Way::On };
                let arms = self.arms.get(&(at, endpoint)).into_iter().flatten();
                arms.map(|(position, target)| (*track, *position, *target)).collect()
            }
            Switch::TrackEcho(track, arms) if packet.class.kind == Kind::Ping => {
                let fits = arms.iter().filter(|((_, data), _)| *data == packet.class.low);
                fits.map(|((position, _), target)| (*track, *position, *target)).collect()
            }
            Switch::TrackEcho(..) => vec![],
        };
        for (track, position, target) in arms {
            path.facts.push(Fact::At(track, position));
            self.visit(target, packet, path, survey);
            path.facts.pop();
        }
        Way::On
    }
}

#[derive(Default)]
struct Path {
    facts: Vec<Fact>,
    host: Option<IpAddr>,
}

/// Where packets go after a rule, if their source stands where it wants them.
enum Way {
    On,
    Back,
    Out,
}
