//! What rules have met and what sets had no room for, since the rules were loaded and in a second.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;
use std::time::Instant;

use knockgate::target::nft::{self, Count, Fill};
use knockgate_compiler::program::{Program, Verdict};
use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

/// What is counted by these rules and sets.
#[derive(Debug)]
pub struct Traffic {
    /// The busiest first.
    rules: Vec<Rule>,
    refused: BTreeMap<String, Amount>,
    fates: Fates<Amount>,
    /// Seconds between two readings.
    over: Option<f64>,
}

/// Rules that are for the same thing.
#[derive(Debug)]
struct Rule {
    what: Box<str>,
    packets: Amount,
    bytes: u64,
}

/// Packets.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    total: u64,
    /// In a second, if there were two readings.
    rate: Option<f64>,
}

/// Packets by what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Fates<T> {
    accepted: T,
    dropped: T,
    rejected: T,
}

/// All counters at one moment.
struct Reading {
    rules: BTreeMap<Box<str>, Count>,
    refused: BTreeMap<String, u64>,
    fates: Fates<u64>,
    at: Instant,
}

impl Reading {
    fn take(program: &Program) -> anyhow::Result<Self> {
        let mut reading = Self {
            rules: BTreeMap::new(),
            refused: nft::refused()?,
            fates: Fates::default(),
            at: Instant::now(),
        };
        for (at, count) in nft::counts()? {
            // Of other rules than these, which somebody else changed, nothing can be told.
            let rule = program.chains().get(at.chain).and_then(|chain| chain.rules.get(at.rule));
            let Some(rule) = rule else { continue };
            let sum = reading.rules.entry(rule.origin.what.clone()).or_default();
            sum.packets += count.packets;
            sum.bytes += count.bytes;
            if let Some(fate) = reading.fates.of(rule.verdict.as_ref()) {
                *fate += count.packets;
            }
        }
        Ok(reading)
    }
}

impl Fates<u64> {
    /// What a rule with this verdict decides.
    fn of(&mut self, verdict: Option<&Verdict>) -> Option<&mut u64> {
        match verdict? {
            Verdict::Accept | Verdict::Rescue => Some(&mut self.accepted),
            Verdict::Drop => Some(&mut self.dropped),
            Verdict::Reject(_) => Some(&mut self.rejected),
            Verdict::Jump(_) | Verdict::Return | Verdict::Redirect(_) | Verdict::Switch(_) => None,
        }
    }
}

impl Traffic {
    /// Reads all counters, and once more after a while if packets in a second are wanted.
    pub fn read(program: &Program, wait: Option<Lifetime>) -> anyhow::Result<Self> {
        let first = Reading::take(program)?;
        let Some(wait) = wait else { return Ok(Self::of(None, &first)) };
        thread::sleep(wait.as_duration());
        Ok(Self::of(Some(&first), &Reading::take(program)?))
    }

    fn of(before: Option<&Reading>, now: &Reading) -> Self {
        let over = before.map(|before| (now.at - before.at).as_secs_f64());
        let amount = |then: Option<u64>, total: u64| {
            // Rules that were loaded in between count anew.
            let come = total.saturating_sub(then.unwrap_or_default());
            Amount { total, rate: over.map(|over| come as f64 / over) }
        };
        let rule = |what: &str, count: &Count| {
            let then = before.and_then(|before| before.rules.get(what)).map(|then| then.packets);
            Rule { what: what.into(), packets: amount(then, count.packets), bytes: count.bytes }
        };
        let refused = |(set, count): (&String, &u64)| {
            let then = before.and_then(|before| before.refused.get(set)).copied();
            (set.clone(), amount(then, *count))
        };
        let fate = |of: fn(&Fates<u64>) -> u64| amount(before.map(|then| of(&then.fates)), of(&now.fates));
        let mut rules: Vec<Rule> = now.rules.iter().map(|(what, count)| rule(what, count)).collect();
        rules.sort_by_key(|rule| Reverse(rule.packets.total));
        let fates = Fates {
            accepted: fate(|fates| fates.accepted),
            dropped: fate(|fates| fates.dropped),
            rejected: fate(|fates| fates.rejected),
        };
        Self { rules, refused: now.refused.iter().map(refused).collect(), fates, over }
    }

    /// For people: at most so many sets and rules.
    pub fn text(&self, fill: &[(String, Fill)], most: usize) -> String {
        self.sets(fill, most) + &self.counted(most) + &self.passing()
    }

    fn refusals(&self, set: &str) -> Amount {
        self.refused.get(set).copied().unwrap_or_default()
    }

    fn sets(&self, fill: &[(String, Fill)], most: usize) -> String {
        let told = |set: &str, fill: &Fill| {
            fill.entries.is_none_or(|entries| entries > 0) || self.refusals(set).total > 0
        };
        let line = |(set, fill): &(String, Fill)| {
            let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
            let (entries, capacity) = (number(fill.entries), number(fill.capacity));
            let full = if is_full(*fill) { "; \x1b[33mfull: what comes now is not added\x1b[0m" } else { "" };
            format!("  {set:<38} {entries} of {capacity}{full}{}\n", refusals(self.refusals(set)))
        };
        let lines: String = fill.iter().filter(|(set, fill)| told(set, fill)).take(most).map(line).collect();
        headed(&format!("{:<40} entries", "sets that are not empty"), lines)
    }

    fn counted(&self, most: usize) -> String {
        let line = |rule: &Rule| {
            let Rule { what, packets, bytes } = rule;
            let rate = packets.rate.map(|rate| format!(" {:>12}", rounded(rate)));
            format!("  {what:<38} {:>12} {bytes:>14}{}\n", packets.total, rate.unwrap_or_default())
        };
        let rules = self.rules.iter().filter(|rule| rule.packets.total > 0);
        let rate = if self.over.is_some() { format!(" {:>12}", "packets/s") } else { String::new() };
        let head = format!("{:<40} {:>12} {:>14}{rate}", "rules since they were loaded", "packets", "bytes");
        headed(&head, rules.take(most).map(line).collect())
    }

    fn passing(&self) -> String {
        let Fates { accepted, dropped, rejected } = self.fates;
        let rate = |amount: Amount| amount.rate.map(rounded);
        match (rate(accepted), rate(dropped), rate(rejected)) {
            (Some(accepted), Some(dropped), Some(rejected)) => format!(
                "\npackets a second, of those that rules decided: {accepted} accepted, {dropped} dropped, {rejected} \
                 rejected\n"
            ),
            _ => String::new(),
        }
    }

    /// For programs, into what else is said.
    pub fn add_to(&self, status: &mut Value, fill: &[(String, Fill)], most: usize) {
        let set = |(set, fill): &(String, Fill)| {
            let Amount { total, rate } = self.refusals(set);
            let Fill { entries, capacity } = fill;
            let full = is_full(*fill);
            let mut value = json!({
                "set": set, "entries": entries, "capacity": capacity, "full": full, "refused": total,
            });
            put(&mut value, "refused_per_s", rate);
            value
        };
        let rule = |Rule { what, packets, bytes }: &Rule| {
            let mut value = json!({ "rule": what, "packets": packets.total, "bytes": bytes });
            put(&mut value, "packets_per_s", packets.rate);
            value
        };
        status["sets"] = fill.iter().take(most).map(set).collect();
        status["rules"] = self.rules.iter().take(most).map(rule).collect();
        let Fates { accepted, dropped, rejected } = self.fates;
        let mut packets = json!({
            "accepted": accepted.total, "dropped": dropped.total, "rejected": rejected.total,
        });
        put(&mut packets, "accepted_per_s", accepted.rate);
        put(&mut packets, "dropped_per_s", dropped.rate);
        put(&mut packets, "rejected_per_s", rejected.rate);
        put(&mut packets, "over_s", self.over);
        status["packets"] = packets;
    }
}

fn put(value: &mut Value, key: &str, number: Option<f64>) {
    if let Some(number) = number {
        value[key] = number.into();
    }
}

fn headed(head: &str, lines: String) -> String {
    if lines.is_empty() { lines } else { format!("\n\x1b[1m{head}\x1b[0m\n{lines}") }
}

fn refusals(refused: Amount) -> String {
    let mut text = String::new();
    if refused.total > 0 {
        write!(text, "; {} refused", refused.total).expect("a string takes all that memory holds");
    }
    if let Some(rate) = refused.rate.filter(|rate| *rate > 0.0) {
        write!(text, ", {} a second", rounded(rate)).expect("a string takes all that memory holds");
    }
    text
}

/// Few packets to a tenth, many as whole ones.
fn rounded(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn is_full(fill: Fill) -> bool {
    fill.entries.zip(fill.capacity).is_some_and(|(entries, capacity)| entries >= capacity)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(at: Instant, packets: u64, refused: u64) -> Reading {
        let rules = BTreeMap::from([("knocks".into(), Count { packets, bytes: packets * 60 })]);
        let fates = Fates { dropped: packets, ..Fates::default() };
        Reading { rules, refused: BTreeMap::from([("stages4".to_owned(), refused)]), fates, at }
    }

    #[test]
    fn packets_in_a_second_are_those_between_two_readings() {
        let start = Instant::now();
        let (one, other) = (reading(start, 1000, 7), reading(start + Duration::from_secs(2), 1500, 8));
        let fill = [("stages4".to_owned(), Fill { entries: Some(0), capacity: Some(64) })];
        let traffic = Traffic::of(Some(&one), &other);
        let text = traffic.text(&fill, 40);
        assert!(text.contains("0 of 64; 8 refused, 0.5 a second\n"), "{text}");
        let line = text.lines().find(|line| line.contains("knocks")).expect("a line of the rule");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["knocks", "1500", "90000", "250"]);
        assert!(text.ends_with("0.0 accepted, 250 dropped, 0.0 rejected\n"), "{text}");
        let mut json = json!({});
        traffic.add_to(&mut json, &fill, 40);
        assert_eq!(
            (json["rules"][0]["packets_per_s"].as_f64(), json["packets"]["over_s"].as_f64()),
            (Some(250.0), Some(2.0))
        );
        // They were loaded anew in between.
        assert!(Traffic::of(Some(&other), &one).text(&fill, 40).contains("7 refused\n"));
    }

    #[test]
    fn of_one_reading_there_is_no_rate() {
        let traffic = Traffic::of(None, &reading(Instant::now(), 5, 0));
        let text = traffic.text(&[], 40);
        assert!(text.contains("knocks") && !text.contains("/s") && !text.contains("a second"), "{text}");
        let mut json = json!({});
        traffic.add_to(&mut json, &[], 40);
        assert_eq!(json["packets"], json!({ "accepted": 0, "dropped": 5, "rejected": 0 }));
    }
}
