//! Which interfaces a script means.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, Item};
use crate::hash::fnv1a_32;
use crate::net::Interface;

/// Interfaces that somebody has named who knows them: those of this machine that stand for an
/// interface or a list of the script.
pub type Named = BTreeMap<String, Vec<Interface>>;

/// Lists of interfaces with their members.
#[derive(Debug)]
pub struct Interfaces<'c> {
    named: &'c Named,
    lists: BTreeMap<&'c str, &'c Item>,
    members: BTreeMap<&'c str, Vec<&'c str>>,
    /// Lists with a member that only the router knows.
    unknown: BTreeSet<&'c str>,
    /// A list that only the router knows has members.
    any_unknown: bool,
}

/// What a list stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// Every interface.
    All,
    /// These.
    These(Vec<Interface>),
    /// One of the list's own name, for lack of anything said about it.
    Assumed(Vec<Interface>),
    /// What only the router knows.
    Unknown,
}

/// Lists may hold lists, but not without end.
const MAX_NESTING: usize = 8;

impl<'c> Interfaces<'c> {
    /// What `config` says of them.
    pub fn of(config: &'c Config, named: &'c Named) -> Self {
        let enabled =
            |menu: &str| config.items(menu).iter().filter(|item| !item.is_disabled()).collect::<Vec<_>>();
        let lists = config.items("/interface/list").iter();
        let lists = lists.filter_map(|item| Some((item.text("name")?, item))).collect();
        let mut found = Self {
            named,
            lists,
            members: BTreeMap::new(),
            unknown: BTreeSet::new(),
            any_unknown: config.items("/interface/list").iter().any(|item| item.text("name").is_none()),
        };
        for item in enabled("/interface/list/member") {
            match (item.text("list"), item.text("interface")) {
                (Some(list), Some(interface)) if !item.is_computed("disabled") => {
                    found.members.entry(list).or_default().push(interface);
                }
                (Some(list), _) => {
                    found.unknown.insert(list);
                }
                (None, _) => found.any_unknown = true,
            }
        }
        found
    }

    /// Every list that the script makes or fills.
    pub fn lists(&self) -> impl Iterator<Item = &'c str> {
        let made: BTreeSet<&str> = self.lists.keys().chain(self.members.keys()).copied().collect();
        made.into_iter()
    }

    /// Whether the script makes or fills this list.
    pub fn has_list(&self, name: &str) -> bool {
        self.lists.contains_key(name) || self.members.contains_key(name)
    }

    /// The interfaces of a list.
    pub fn list(&self, name: &str) -> Meant {
        if let Some(named) = self.named.get(name) {
            return Meant::These(named.clone());
        }
        match name {
            "all" => return Meant::All,
            "none" => return Meant::These(vec![]),
            "dynamic" | "static" => return Meant::Unknown,
            _ => {}
        }
        if !self.has_list(name) && !self.any_unknown {
            return Meant::Assumed(vec![known_as(name)]);
        }
        match self.collect(name, &mut vec![], &mut BTreeMap::new()) {
            Some(found) => Meant::These(found.into_iter().flat_map(|name| self.interface(name)).collect()),
            None => Meant::Unknown,
        }
    }

    /// What stands for one interface.
    pub fn interface(&self, name: &str) -> Vec<Interface> {
        self.named.get(name).cloned().unwrap_or_else(|| vec![known_as(name)])
    }

    /// The names of a list's interfaces: those of the lists that it includes, without those of the ones
    /// that it excludes, and its own members (MikroTik's manual, Interface Lists). `None` for what only
    /// the router knows, and for a list that is in itself. Each list is looked at once.
    fn collect<'n>(
        &self,
        name: &'n str,
        within: &mut Vec<&'n str>,
        known: &mut BTreeMap<&'n str, Option<BTreeSet<&'c str>>>,
    ) -> Option<BTreeSet<&'c str>>
    where
        'c: 'n,
    {
        if let Some(found) = known.get(name) {
            return found.clone();
        }
        let built_in = ["all", "dynamic", "static"].contains(&name);
        if built_in || self.any_unknown || self.unknown.contains(name) || within.contains(&name) {
            return None;
        }
        if within.len() >= MAX_NESTING {
            return None;
        }
        within.push(name);
        let found = self.made_of(name, within, known);
        within.pop();
        known.insert(name, found.clone());
        found
    }

    fn made_of<'n>(
        &self,
        name: &'n str,
        within: &mut Vec<&'n str>,
        known: &mut BTreeMap<&'n str, Option<BTreeSet<&'c str>>>,
    ) -> Option<BTreeSet<&'c str>>
    where
        'c: 'n,
    {
        let mut found = BTreeSet::new();
        if let Some(list) = self.lists.get(name) {
            if ["include", "exclude"].into_iter().any(|attribute| list.is_computed(attribute)) {
                return None;
            }
            for inner in super::items(list.text("include").unwrap_or_default()) {
                found.extend(self.collect(inner, within, known)?);
            }
            for inner in super::items(list.text("exclude").unwrap_or_default()) {
                let excluded = self.collect(inner, within, known)?;
                found.retain(|name| !excluded.contains(name));
            }
        }
        found.extend(self.members.get(name).into_iter().flatten());
        Some(found)
    }
}

/// The name, or where Linux could not have an interface of that name, one that it could.
fn known_as(name: &str) -> Interface {
    if let Ok(interface) = name.parse() {
        return interface;
    }
    let kept: String = name.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
    let name = format!("{kept}-{:08x}", fnv1a_32(name.as_bytes()));
    name.parse().expect("letters, digits and a dash are a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::rsc::parse;

    fn meant(script: &str, list: &str) -> Meant {
        let (script, _) = parse(script);
        let (config, _) = Config::of(&script);
        Interfaces::of(&config, &Named::new()).list(list)
    }

    fn these(names: &[&str]) -> Meant {
        Meant::These(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn lists_have_members_and_other_lists_in_them() {
        let script = "/interface list
            add name=WAN
            add name=BOTH include=WAN,LAN exclude=GUEST
            /interface list member
            add list=WAN interface=ether1
            add list=WAN interface=ether2 disabled=yes
            add list=LAN interface=bridge
            add list=LAN interface=guest
            add list=GUEST interface=guest
            add list=OFF interface=ether9 disabled=yes";
        assert_eq!(meant(script, "WAN"), these(&["ether1"]));
        assert_eq!(meant(script, "BOTH"), these(&["bridge", "ether1"]));
        assert_eq!(meant(script, "all"), Meant::All);
        assert_eq!(meant(script, "none"), these(&[]));
        assert_eq!(meant(script, "dynamic"), Meant::Unknown);
        assert_eq!(meant(script, "OTHER"), Meant::Assumed(vec!["OTHER".parse().unwrap()]));
        assert_eq!(meant("/interface list add name=A include=A", "A"), Meant::Unknown);
        assert_eq!(meant("/interface list add name=A", "A"), these(&[]));
    }

    #[test]
    fn what_a_list_excludes_is_neither_its_own_member_nor_another_list_s() {
        let script = "/interface list
            add name=A include=B
            add name=B exclude=C
            add name=C
            /interface list member
            add list=A interface=ether1
            add list=B interface=ether2
            add list=C interface=ether1
            add list=C interface=ether2";
        assert_eq!(meant(script, "A"), these(&["ether1", "ether2"]));
    }

    #[test]
    fn what_only_the_router_knows_makes_a_list_unknown() {
        for script in [
            "/interface list member\nadd list=A interface=$x\nadd list=A interface=ether1",
            "/interface list member\nadd list=$x interface=ether1",
            "/interface list add name=A exclude=$x",
        ] {
            assert_eq!(meant(script, "A"), Meant::Unknown, "{script}");
        }
    }

    #[test]
    fn lists_that_include_each_other_many_times_are_looked_at_once() {
        let mut script = String::from("/interface list\n");
        for depth in 0..7 {
            let next = format!("L{},", depth + 1).repeat(30);
            script += &format!("add name=L{depth} include={next}\n");
        }
        script += "add name=L7\n/interface list member add list=L7 interface=ether1";
        assert_eq!(meant(&script, "L0"), these(&["ether1"]));
    }

    #[test]
    fn a_name_that_linux_cannot_have_becomes_one_that_it_can() {
        let long = known_as("ether1 - to the provider");
        assert_ne!(long, known_as("ether1 - to the neighbour"));
        assert!(long.as_str().len() <= Interface::MAX_BYTES);
    }
}
