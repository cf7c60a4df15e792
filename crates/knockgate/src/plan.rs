//! What must change for a ruleset to be in force where another one may be. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use knockgate_compiler::backend::nft::{OnTrial, RESCUE, RESCUED, Ruleset, Set, TABLE};
use knockgate_compiler::net::Family;
use knockgate_compiler::time::Lifetime;

/// What is there, as far as a plan needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What tells the loaded ruleset from others; `None` when there is none of ours, or when it
    /// was changed since it was applied.
    pub fingerprint: Option<String>,
    /// Our chains by name.
    pub chains: BTreeSet<String>,
    /// Our sets and maps by name.
    pub sets: BTreeMap<String, SetFound>,
}

/// A set or map that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFound {
    /// Its key type, as in `ipv4_addr . classid`.
    pub key: String,
    /// For a map, the type of its data.
    pub data: Option<String>,
    /// Whether its elements may have timeouts.
    pub timed: bool,
    /// Elements it may have.
    pub size: Option<u32>,
    /// Whether its elements count.
    pub counts: bool,
}

impl SetFound {
    /// `set` or `map`.
    pub fn kind(&self) -> &'static str {
        if self.data.is_some() { "map" } else { "set" }
    }
}

/// Whom a ruleset lets in for as long as it is tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// Where their session comes from.
    pub source: IpAddr,
    /// The port that it came in by.
    pub port: u16,
    /// How long.
    pub lifetime: Lifetime,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: this very ruleset is in force.
    Keep,
    /// One transaction, with what people should know of it.
    Load(Load),
}

/// A change from one ruleset to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Chains that will be gone.
    pub stale_chains: Vec<String>,
    /// Sets and maps that will be gone, or made anew because their type changed, each with what it
    /// is now: `set` or `map`.
    pub stale_sets: BTreeMap<String, &'static str>,
    /// Of those, the ones whose live members are carried over.
    pub carried: Vec<String>,
    /// Sets and maps that stay with all their members.
    pub kept: Vec<String>,
    /// Fixed sets and maps whose members are written anew, each with what it is.
    pub rewritten: BTreeMap<String, &'static str>,
}

/// How to get from `snapshot` to `ruleset`.
pub fn plan(ruleset: &Ruleset, snapshot: &Snapshot) -> Plan {
    if snapshot.fingerprint.as_ref() == Some(&ruleset.fingerprint) {
        return Plan::Keep;
    }
    let wanted: BTreeMap<&str, &Set> = ruleset.sets.iter().map(|set| (set.name.as_str(), set)).collect();
    let chains: BTreeSet<&str> = ruleset.chains.iter().map(String::as_str).collect();
    let mut load = Load {
        stale_chains: snapshot
            .chains
            .iter()
            .filter(|name| !chains.contains(name.as_str()))
            .cloned()
            .collect(),
        stale_sets: BTreeMap::new(),
        carried: vec![],
        kept: vec![],
        rewritten: BTreeMap::new(),
    };
    for (name, found) in &snapshot.sets {
        let Some(set) = wanted.get(name.as_str()) else {
            load.stale_sets.insert(name.clone(), found.kind());
            continue;
        };
        let same_members =
            found.key == set.key && found.data.as_deref() == set.data && found.counts == set.counts;
        if !same_members || found.timed == set.fixed || found.size.is_some() == set.fixed {
            load.stale_sets.insert(name.clone(), found.kind());
            if same_members && !set.fixed {
                load.carried.push(name.clone());
            }
        } else if set.fixed {
            load.rewritten.insert(name.clone(), found.kind());
        } else {
            load.kept.push(name.clone());
        }
    }
    Plan::Load(load)
}

/// The transaction that carries out `load`. `carried` has the elements of each set in
/// [`Load::carried`], as nft lists them. Rules go before what they refer to; sets that stay are
/// declared again, which changes their size alone. Nobody but `rescue` is let in for a trial.
pub fn transaction(
    ruleset: &Ruleset,
    load: &Load,
    carried: &BTreeMap<String, String>,
    rescue: Option<&Rescue>,
) -> String {
    let mut text = format!("table {TABLE} {{\n}}\nflush table {TABLE}\n");
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    for (name, kind) in &load.stale_sets {
        put(format_args!("delete {kind} {TABLE} {name}\n"));
    }
    for (name, kind) in &load.rewritten {
        put(format_args!("flush {kind} {TABLE} {name}\n"));
    }
    for chain in &load.stale_chains {
        put(format_args!("delete chain {TABLE} {chain}\n"));
    }
    put(format_args!("{}", ruleset.text));
    for (set, elements) in carried.iter().filter(|(_, elements)| !elements.is_empty()) {
        put(format_args!("add element {TABLE} {set} {{ {elements} }}\n"));
    }
    text + &rescued(ruleset, rescue)
}

/// What empties the sets and chains of who is let in for a trial, and puts `rescue` there.
pub fn rescued(ruleset: &Ruleset, rescue: Option<&Rescue>) -> String {
    if !ruleset.rescues() {
        return String::new();
    }
    let sets = [RESCUE, RESCUED].into_iter().flat_map(|set| [4, 6].map(|digit| format!("{set}{digit}")));
    let mut text: String = sets.map(|set| format!("flush set {TABLE} {set}\n")).collect();
    let chains: BTreeMap<&String, &Vec<String>> =
        ruleset.on_trial.iter().map(|rule| (&rule.chain, &rule.behind)).collect();
    let add = |chain: &str, rule: &str| format!("add rule {TABLE} {chain} {rule}\n");
    for (chain, always) in chains {
        text += &format!("flush chain {TABLE} {chain}\n");
        text.extend(always.iter().map(|rule| add(chain, rule)));
    }
    if let Some(Rescue { source, port, lifetime }) = rescue {
        text.extend(ruleset.on_trial.iter().map(|OnTrial { chain, rule, .. }| add(chain, rule)));
        let digit = if Family::of(*source) == Family::V4 { 4 } else { 6 };
        let timeout = lifetime.as_millis();
        text += &format!("add element {TABLE} {RESCUE}{digit} {{ {source} . {port} timeout {timeout}ms }}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset() -> Ruleset {
        let set = |name: &str, fixed: bool| Set {
            name: name.to_owned(),
            key: "ipv4_addr".to_owned(),
            data: None,
            fixed,
            size: (!fixed).then_some(100),
            counts: false,
        };
        Ruleset {
            text: "table inet knockgate {\n}\n".to_owned(),
            fingerprint: "knockgate 1".to_owned(),
            sets: vec![set("banned4", false), set("allow4", true)],
            chains: vec!["input".to_owned(), "about".to_owned()],
            on_trial: vec![],
        }
    }

    fn timed(key: &str) -> SetFound {
        SetFound { key: key.to_owned(), data: None, timed: true, size: Some(100), counts: false }
    }

    fn found(sets: &[(&str, SetFound)], chains: &[&str]) -> Snapshot {
        Snapshot {
            fingerprint: Some("knockgate 0".to_owned()),
            chains: chains.iter().map(|name| (*name).to_owned()).collect(),
            sets: sets.iter().map(|(name, set)| ((*name).to_owned(), set.clone())).collect(),
        }
    }

    fn load(snapshot: &Snapshot) -> Load {
        match plan(&ruleset(), snapshot) {
            Plan::Load(load) => load,
            Plan::Keep => panic!("there is something to do"),
        }
    }

    #[test]
    fn the_same_ruleset_is_kept() {
        let snapshot = Snapshot { fingerprint: Some("knockgate 1".to_owned()), ..found(&[], &[]) };
        assert_eq!(plan(&ruleset(), &snapshot), Plan::Keep);
    }

    #[test]
    fn a_set_of_the_same_shape_keeps_its_members_whatever_its_size() {
        let other_size = SetFound { size: Some(7), ..timed("ipv4_addr") };
        let load = load(&found(&[("banned4", other_size)], &["input"]));
        assert_eq!(load.kept, ["banned4"]);
        assert_eq!((load.stale_sets.len(), load.stale_chains.len()), (0, 0));
    }

    #[test]
    fn members_are_carried_over_when_the_set_is_made_anew_with_the_same_key() {
        let unbounded = SetFound { size: None, ..timed("ipv4_addr") };
        let load = load(&found(&[("banned4", unbounded)], &[]));
        assert_eq!(
            (load.stale_sets.clone(), load.carried.as_slice()),
            (BTreeMap::from([("banned4".to_owned(), "set")]), &["banned4".to_owned()][..])
        );
        let elements = BTreeMap::from([("banned4".to_owned(), "192.0.2.1 timeout 1m expires 5s".to_owned())]);
        let text = transaction(&ruleset(), &load, &elements, None);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is missing in {text}"));
        assert!(at("flush table") < at("delete set inet knockgate banned4"));
        assert!(
            at("delete set inet knockgate banned4") < at("add element inet knockgate banned4 { 192.0.2.1")
        );
    }

    #[test]
    fn members_of_another_key_cannot_be_carried_over() {
        let load = load(&found(&[("banned4", timed("ipv4_addr . classid"))], &[]));
        assert_eq!((load.stale_sets.len(), load.carried.len()), (1, 0));
    }

    #[test]
    fn a_map_begins_or_ceases_to_count_by_being_made_anew() {
        let mut ruleset = ruleset();
        ruleset.sets[1].counts = true;
        let fixed = SetFound { timed: false, size: None, ..timed("ipv4_addr") };
        let snapshot = found(&[("allow4", fixed)], &["input"]);
        let Plan::Load(load) = plan(&ruleset, &snapshot) else { panic!("there is something to do") };
        assert_eq!(load.stale_sets, BTreeMap::from([("allow4".to_owned(), "set")]));
        assert!(load.carried.is_empty() && load.rewritten.is_empty());
    }

    #[test]
    fn what_is_no_longer_wanted_goes() {
        let map = SetFound { data: Some("mark".to_owned()), ..timed("ipv4_addr") };
        let sets = [("guests4", timed("ipv4_addr")), ("progress4", map)];
        let load = load(&found(&sets, &["input", "to-22-tcp"]));
        assert_eq!(load.stale_chains, ["to-22-tcp"]);
        let text = transaction(&ruleset(), &load, &BTreeMap::new(), None);
        for line in ["delete set inet knockgate guests4\n", "delete map inet knockgate progress4\n"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn whoever_was_let_in_for_a_trial_is_no_longer_unless_they_try_this_one_out() {
        let mut ruleset = ruleset();
        let load = load(&found(&[], &[]));
        let source = "2001:db8::5".parse().expect("an address");
        let rescue = Rescue { source, port: 22, lifetime: Lifetime::from_secs(60) };
        let text = |ruleset: &Ruleset, rescue| transaction(ruleset, &load, &BTreeMap::new(), rescue);
        assert!(!text(&ruleset, Some(&rescue)).contains("rescue"), "this one has no such sets");
        let set = |name: &str| Set {
            name: name.to_owned(),
            key: "ipv4_addr . inet_service".to_owned(),
            data: None,
            fixed: false,
            size: Some(1),
            counts: false,
        };
        ruleset.sets.extend(["rescue4", "rescue6", "rescued4", "rescued6"].map(set));
        let [chain, rule] = ["rescue", "tcp dport @rescue accept"].map(str::to_owned);
        let behind = vec!["jump known".to_owned()];
        ruleset.on_trial = vec![OnTrial { chain, rule, behind }];
        let nobody = text(&ruleset, None);
        assert_eq!(nobody.matches("flush set inet knockgate rescue").count(), 4);
        let chain = "flush chain inet knockgate rescue\nadd rule inet knockgate rescue jump known\n";
        assert!(nobody.ends_with(chain), "{nobody}");
        let element = "add element inet knockgate rescue6 { 2001:db8::5 . 22 timeout 60000ms }\n";
        let rule = "add rule inet knockgate rescue tcp dport @rescue accept\n";
        assert!(text(&ruleset, Some(&rescue)).ends_with(&format!("{rule}{element}")));
    }

    #[test]
    fn fixed_sets_are_written_anew() {
        let fixed = SetFound { timed: false, size: None, ..timed("ipv4_addr") };
        let load = load(&found(&[("allow4", fixed)], &[]));
        assert_eq!(load.rewritten, BTreeMap::from([("allow4".to_owned(), "set")]));
    }
}
