//! Strikes and bans.
//!
//! Nothing here takes a source off a list, so that a target without such an effect can run it:
//! a source with three strikes is on the lists of one, two and three.

use std::collections::BTreeMap;

use super::services::dashed;
use super::{Lowering, NETWORK, made};
use crate::policy::Traps;
use crate::program::{ChainId, Condition, Effect, Expiry, ListId, Switch, Verdict};
use crate::time::Lifetime;

impl Lowering<'_> {
    /// Banned sources.
    pub(super) fn ban_list(&mut self) -> ListId {
        let pool = self.builder.pool("banned", self.policy.sources(), false);
        self.builder.timed_list("banned", pool, NETWORK)
    }

    /// The chain for packets that may touch a trap.
    pub(super) fn traps(&mut self, traps: &Traps, banned: ListId) -> ChainId {
        let chain = self.builder.chain("traps", None);
        let ban = self.ban(traps, banned);
        let pool = self.builder.pool("strikes", self.policy.sources(), true);
        // levels[m]: sources with more than m strikes. On the last one are those that were banned.
        let strikes = traps.strikes.get();
        let levels: Vec<ListId> = (1..=strikes)
            .filter(|_| strikes > 1)
            .map(|count| self.builder.timed_list(&format!("strikes {count}"), pool, NETWORK))
            .collect();
        let mut arms = BTreeMap::new();
        for endpoint in &traps.ports {
            let arm = self.builder.chain(&format!("trap-{}", dashed(*endpoint)), None);
            let touched = self.builder.timed_list(&format!("touched {endpoint}"), pool, NETWORK);
            self.touch(traps, arm, touched, &levels, ban);
            arms.insert(*endpoint, arm);
        }
        let fixed = [self.allow, self.exempt].into_iter().flatten();
        for list in fixed.chain([self.allowed_by_hand]).chain(self.holders()).collect::<Vec<_>>() {
            let when = vec![Condition::Listed(list)];
            self.rule(chain, made("who is never banned", traps.span), when, vec![], Some(Verdict::Return));
        }
        let switch = Some(Verdict::Switch(Switch::Port(arms)));
        self.rule(chain, made("which trap", traps.span), vec![], vec![], switch);
        chain
    }

    /// A touch of one trap: the next strike, unless the trap was touched before, and a ban with
    /// the last one. Who was banned is banned again for any touch. From the top, so that one touch
    /// is one strike.
    fn touch(&mut self, traps: &Traps, arm: ChainId, touched: ListId, levels: &[ListId], ban: ChainId) {
        let origin = |what: &str| made(what, traps.span);
        let add = |list| Effect::Add { list, lifetime: traps.memory, expiry: Expiry::Refresh };
        let (Some(first), Some(last)) = (levels.first(), levels.last()) else {
            self.rule(arm, origin("trap: ban"), vec![], vec![], Some(Verdict::Jump(ban)));
            return;
        };
        let convict = |when| (when, vec![add(*last), add(touched)], Some(Verdict::Jump(ban)));
        let (when, then, verdict) = convict(vec![Condition::Listed(*last)]);
        self.rule(arm, origin("trap: banned before"), when, then, verdict);
        let again = vec![Condition::Listed(touched)];
        self.rule(arm, origin("trap: touched before"), again, vec![], Some(Verdict::Return));
        for (count, pair) in levels.windows(2).enumerate().rev() {
            let when = vec![Condition::Listed(pair[0]), Condition::not_listed(pair[1])];
            let (when, then, verdict) =
                if pair[1] == *last { convict(when) } else { (when, vec![add(pair[1]), add(touched)], None) };
            let what = format!("trap: strike {}", count + 2);
            self.rule(arm, origin(&what), when, then, verdict);
        }
        let when = vec![Condition::not_listed(*first), Condition::not_listed(touched)];
        self.rule(arm, origin("trap: strike 1"), when, vec![add(*first), add(touched)], None);
    }

    /// A ban: the longer, the more there were before. From the top, and only for who is not banned
    /// yet, so that one ban is one step.
    fn ban(&mut self, traps: &Traps, banned: ListId) -> ChainId {
        let chain = self.builder.chain("ban", None);
        let lengths = ban_lengths(traps);
        let pool = self.builder.pool("offences", self.policy.sources(), true);
        let offences: Vec<ListId> = (1..lengths.len())
            .map(|count| self.builder.timed_list(&format!("offences {count}"), pool, NETWORK))
            .collect();
        for (count, length) in lengths.iter().enumerate().rev() {
            let mut when = vec![Condition::not_listed(banned)];
            if let Some(before) = count.checked_sub(1) {
                when.push(Condition::Listed(offences[before]));
            }
            let mut then = vec![Effect::Add { list: banned, lifetime: *length, expiry: Expiry::Keep }];
            if let Some(offence) = offences.get(count).or(offences.last()) {
                let lifetime = remembered(traps, *length);
                then.insert(0, Effect::Add { list: *offence, lifetime, expiry: Expiry::Refresh });
            }
            let what = format!("trap: ban for {length}");
            self.rule(chain, made(what, traps.span), when, then, None);
        }
        chain
    }
}

/// The first ban, its doubles, and the longest.
fn ban_lengths(traps: &Traps) -> Vec<Lifetime> {
    let mut lengths = vec![traps.ban];
    let mut last = traps.ban;
    while last < traps.ban_max {
        last = last.doubled_up_to(traps.ban_max);
        lengths.push(last);
    }
    lengths
}

/// A ban is remembered for as long after its end as a strike is.
fn remembered(traps: &Traps, ban: Lifetime) -> Lifetime {
    Lifetime::from_millis(ban.as_millis() + traps.memory.as_millis())
        .expect("both are at most a day, so the sum is a lifetime")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend;

    #[test]
    fn bans_double_up_to_the_longest() {
        let text = r#"
            outside = "eth0"
            traps = { ports = ["1/tcp", "2/tcp"], ban = "60s", ban-max = "10m" }
            door.ssh = { knock = ["7313/tcp", "24877/tcp", "11090/tcp"], opens = "22/tcp" }
        "#;
        let (policy, _) = frontend::toml::parse(text);
        let lengths = ban_lengths(policy.unwrap().traps().unwrap());
        assert_eq!(lengths, [60, 120, 240, 480, 600].map(Lifetime::from_secs));
    }
}
