//! Which interfaces a script means.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, Item};
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
        let lists = enabled("/interface/list").into_iter();
        let lists = lists.filter_map(|item| Some((item.text("name")?, item))).collect();
        let mut members: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for item in enabled("/interface/list/member") {
            if let (Some(list), Some(interface)) = (item.text("list"), item.text("interface")) {
                members.entry(list).or_default().push(interface);
            }
        }
        Self { named, lists, members }
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
        if self.members.contains_key(name) || self.nested(name).is_some() {
            let mut found = BTreeSet::new();
            if self.collect(name, 0, &mut found).is_none() {
                return Meant::Unknown;
            }
            return Meant::These(found.into_iter().flat_map(|name| self.interface(name)).collect());
        }
        Meant::Assumed(vec![known_as(name)])
    }

    /// What stands for one interface.
    pub fn interface(&self, name: &str) -> Vec<Interface> {
        self.named.get(name).cloned().unwrap_or_else(|| vec![known_as(name)])
    }

    fn nested(&self, name: &str) -> Option<&'c str> {
        let list = self.lists.get(name)?;
        list.text("include").or_else(|| list.text("exclude")).filter(|text| !text.is_empty())
    }

    /// `None` for what only the router knows.
    fn collect(&self, name: &str, depth: usize, found: &mut BTreeSet<&'c str>) -> Option<()> {
        if depth > MAX_NESTING || ["all", "dynamic", "static"].contains(&name) {
            return None;
        }
        found.extend(self.members.get(name).into_iter().flatten());
        let Some(list) = self.lists.get(name) else { return Some(()) };
        for inner in super::items(list.text("include").unwrap_or_default()) {
            self.collect(inner, depth + 1, found)?;
        }
        let mut excluded = BTreeSet::new();
        for inner in super::items(list.text("exclude").unwrap_or_default()) {
            self.collect(inner, depth + 1, &mut excluded)?;
        }
        found.retain(|name| !excluded.contains(name));
        Some(())
    }
}

/// The name, or where Linux could not have an interface of that name, one that it could.
fn known_as(name: &str) -> Interface {
    if let Ok(interface) = name.parse() {
        return interface;
    }
    let kept: String = name.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{kept}-{hash:08x}").parse().expect("letters, digits and a dash are a name")
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
            add list=GUEST interface=guest";
        assert_eq!(meant(script, "WAN"), these(&["ether1"]));
        assert_eq!(meant(script, "BOTH"), these(&["bridge", "ether1"]));
        assert_eq!(meant(script, "all"), Meant::All);
        assert_eq!(meant(script, "none"), these(&[]));
        assert_eq!(meant(script, "dynamic"), Meant::Unknown);
        assert_eq!(meant(script, "OTHER"), Meant::Assumed(vec!["OTHER".parse().unwrap()]));
        assert_eq!(meant("/interface list add name=A include=A", "A"), Meant::Unknown);
    }

    #[test]
    fn a_name_that_linux_cannot_have_becomes_one_that_it_can() {
        let long = known_as("ether1 - to the provider");
        assert_ne!(long, known_as("ether1 - to the neighbour"));
        assert!(long.as_str().len() <= Interface::MAX_BYTES);
    }
}
