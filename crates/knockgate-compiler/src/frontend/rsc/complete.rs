//! What can be typed next.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::menus::{self, COMMON, GLOBAL, KNOWN, Known, Meant, SHOWN, meant};
use super::quoted;

/// Names of somebody's own making, that values are taken from.
#[derive(Clone, Debug, Default)]
pub struct Names {
    chains: BTreeMap<&'static str, BTreeSet<String>>,
    lists: BTreeSet<String>,
    interfaces: BTreeSet<String>,
    interface_lists: BTreeSet<String>,
}

impl Names {
    /// Those in `config`.
    pub fn of(config: &Config) -> Self {
        let mut names = Self::default();
        for (menu, items) in config.menus() {
            for set in items.iter().flat_map(|item| &item.attributes) {
                let Some(text) = set.value.text().filter(|text| !text.is_empty()) else { continue };
                let kind = match (menu, set.name.value.as_str()) {
                    (_, "chain" | "jump-target") => names.chains.entry(menu).or_default(),
                    (_, "address-list" | "src-address-list" | "dst-address-list") => &mut names.lists,
                    ("/ip/firewall/address-list" | "/ipv6/firewall/address-list", "list") => &mut names.lists,
                    (_, "in-interface-list" | "out-interface-list" | "list") => &mut names.interface_lists,
                    ("/interface/list", "name") => &mut names.interface_lists,
                    (_, "in-interface" | "out-interface" | "interface") => &mut names.interfaces,
                    _ => continue,
                };
                kind.insert(text.to_owned());
            }
        }
        names
    }
}

/// What the last word of a line can become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where that word begins.
    pub start: usize,
    /// The whole words, each with what follows it at once: a blank, `/` or `=`.
    pub words: Vec<String>,
}

/// What can stand at the end of `line`, typed in the menu at `path`. `more` are words that the
/// terminal knows besides those of routers.
pub fn complete(line: &str, path: &str, names: &Names, more: &[&str]) -> Completion {
    let Some(start) = command_start(line) else { return Completion::default() };
    let words = words(line, start);
    let mut place = Place { path: path.to_owned(), command: None, given: vec![] };
    let Some(((last_start, last), before)) = words.split_last() else { return Completion::default() };
    for (_, word) in before {
        if !place.pass(word) {
            return Completion::default();
        }
    }
    match place.command {
        Some(_) => place.argument(*last_start, last, names),
        None => {
            let first = before.is_empty() && start == 0;
            place.menu_or_command(*last_start, last, if first { more } else { &[] })
        }
    }
}

/// Where the innermost command begins that the end of `line` belongs to; `None` within quotes.
fn command_start(line: &str) -> Option<usize> {
    let mut starts = vec![0];
    let (mut in_quotes, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'[' | b'(' | b'{' => starts.push(at + 1),
            b']' | b')' | b'}' if starts.len() > 1 => drop(starts.pop()),
            b';' | b'\n' => {
                starts.pop();
                starts.push(at + 1);
            }
            _ => {}
        }
    }
    starts.last().copied().filter(|_| !in_quotes)
}

/// The words from `start` on, parted by blanks outside of quotes and brackets; the last may be empty.
fn words(line: &str, start: usize) -> Vec<(usize, &str)> {
    let mut found = vec![];
    let (mut begin, mut depth, mut in_quotes, mut escaped) = (start, 0_usize, false, false);
    for (at, byte) in line.bytes().enumerate().skip(start) {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth = depth.saturating_sub(1),
            b' ' | b'\t' if depth == 0 => {
                if at > begin {
                    found.extend(line.get(begin..at).map(|word| (begin, word)));
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.extend(line.get(begin..).map(|word| (begin, word)));
    found
}

/// How far a line is understood.
struct Place {
    path: String,
    command: Option<String>,
    /// The words after the command.
    given: Vec<String>,
}

impl Place {
    /// Whether `word` is understood.
    fn pass(&mut self, word: &str) -> bool {
        if self.command.is_some() {
            self.given.push(word.to_owned());
            return true;
        }
        if word.starts_with('/') {
            self.path = "/".to_owned();
        }
        word.split('/').filter(|part| !part.is_empty()).all(|part| self.step(part))
    }

    fn step(&mut self, word: &str) -> bool {
        if word == ".." {
            let parent = self.path.rfind('/').unwrap_or_default();
            self.path.truncate(parent.max(1));
            return true;
        }
        let children = below(&self.path);
        if let Meant::One(name) = meant(word, children.iter().copied()) {
            self.path = join(&self.path, name);
            return true;
        }
        let commands = if self.path == "/" { GLOBAL } else { COMMON };
        match meant(word, commands.iter().copied()) {
            Meant::One(name) if self.command.is_none() => {
                self.command = Some(name.to_owned());
                true
            }
            _ => false,
        }
    }

    fn menu_or_command(&mut self, start: usize, word: &str, more: &[&str]) -> Completion {
        let slash = word.rfind('/').map_or(0, |at| at + 1);
        let (way, last) = word.split_at(slash);
        if !way.is_empty() && (!self.pass(way) || self.command.is_some()) {
            return Completion::default();
        }
        let children = below(&self.path);
        let menu = |name: &&str| {
            let leads_on = !below(&join(&self.path, name)).is_empty();
            format!("{name}{}", if slash > 0 && leads_on { "/" } else { " " })
        };
        let begins = |name: &&str| name.starts_with(last);
        let mut words: Vec<String> = children.iter().filter(|name| begins(name)).map(menu).collect();
        let commands = if self.path == "/" { &["export"][..] } else { ITEM_COMMANDS };
        let more = if slash == 0 { more } else { &[] };
        let known = self.path == "/" || menus::known(&self.path).is_some();
        let commands = commands.iter().filter(|_| known).chain(more);
        words.extend(commands.filter(|name| begins(name)).map(|name| format!("{name} ")));
        words.sort_unstable();
        words.dedup();
        Completion { start: start + slash, words }
    }

    fn argument(&self, start: usize, word: &str, names: &Names) -> Completion {
        let Some(known) = menus::known(&self.path) else { return Completion::default() };
        if let Some((name, value)) = word.split_once('=') {
            let all = attributes(known).chain(SHOWN.iter().copied());
            let Meant::One(name) = meant(name, all) else { return Completion::default() };
            return values(known.path, name, value, start + word.len() - value.len(), names);
        }
        let mut words: Vec<String> =
            self.arguments(known).into_iter().filter(|name| name.starts_with(word)).collect();
        words.sort_unstable();
        Completion { start, words }
    }

    /// What can be given next to the command.
    fn arguments(&self, known: &'static Known) -> Vec<String> {
        let command = self.command.as_deref().unwrap_or_default();
        let given = |name: &str| {
            let is = |word: &String| word.split_once('=').is_some_and(|(given, _)| given == name);
            self.given.iter().any(is)
        };
        let set = || attributes(known).filter(|name| !given(name)).map(|name| format!("{name}="));
        let shown = || set().chain(SHOWN.iter().map(|name| format!("{name}=")));
        let find = (self.given.is_empty()).then(|| "[find ".to_owned());
        match command {
            "add" => set().filter(|name| name != "numbers=").collect(),
            "set" => find.into_iter().chain(set().filter(|name| name != "place-before=")).collect(),
            "find" => shown().chain(["where ".to_owned()]).collect(),
            "print" if self.given.iter().any(|word| word == "where") => shown().collect(),
            "print" => PRINT.iter().map(|word| format!("{word} ")).collect(),
            "unset" if find.is_none() => attributes(known).map(|name| format!("{name} ")).collect(),
            "unset" | "remove" | "enable" | "disable" | "comment" | "move" => find.into_iter().collect(),
            _ => vec![],
        }
    }
}

fn attributes(known: &'static Known) -> impl Iterator<Item = &'static str> + Clone {
    known.attributes().map(|attribute| attribute.name)
}

/// The menus below the one at `path`; where not all are known, those that lead to items.
fn below(path: &str) -> Vec<&'static str> {
    if let Some(all) = menus::children(path) {
        return all.to_vec();
    }
    let next = |known: &'static Known| known.path.strip_prefix(path)?.strip_prefix('/')?.split('/').next();
    let found: BTreeSet<&str> = KNOWN.iter().filter_map(next).collect();
    found.into_iter().collect()
}

fn join(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}

/// Commands that are carried out here.
const ITEM_COMMANDS: &[&str] =
    &["add", "comment", "disable", "enable", "export", "find", "move", "print", "remove", "set", "unset"];

const PRINT: &[&str] = &["count-only", "detail", "stats", "terse", "where"];

/// The values of an attribute that begin like the last item of `value`, which begins at `start`.
fn values(path: &'static str, name: &str, value: &str, start: usize, names: &Names) -> Completion {
    let cut = value.rfind([',', '!']).map_or(0, |at| at + 1);
    let (_, last) = value.split_at(cut);
    let mut words: Vec<String> = possible(path, name, names)
        .into_iter()
        .map(|word| if word.starts_with('[') { word } else { format!("{} ", quoted(&word)) })
        .filter(|word| word.starts_with(last))
        .collect();
    words.sort_unstable();
    words.dedup();
    Completion { start: start + cut, words }
}

fn possible(path: &'static str, name: &str, names: &Names) -> Vec<String> {
    let own = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    let fixed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let with = |words: &[&str], set: &BTreeSet<String>| [fixed(words), own(set)].concat();
    let none = BTreeSet::new();
    let chains = names.chains.get(path).unwrap_or(&none);
    let of_addresses = path.ends_with("/address-list");
    match name {
        "action" => fixed(&[ACTIONS_OF_ALL, actions(path)].concat()),
        "chain" => with(chains_of(path), chains),
        "jump-target" => {
            own(chains).into_iter().filter(|name| !chains_of(path).contains(&name.as_str())).collect()
        }
        "list" if of_addresses => own(&names.lists),
        "address-list" | "src-address-list" | "dst-address-list" => own(&names.lists),
        "in-interface-list" | "out-interface-list" | "include" | "exclude" => {
            with(&["all", "dynamic", "none", "static"], &names.interface_lists)
        }
        "list" => own(&names.interface_lists),
        "in-interface" | "out-interface" | "interface" => own(&names.interfaces),
        "protocol" if path.starts_with("/ipv6") => fixed(&["icmpv6", "tcp", "udp"]),
        "protocol" => fixed(&["gre", "icmp", "igmp", "ipsec-ah", "ipsec-esp", "ospf", "tcp", "udp"]),
        "connection-state" => fixed(&["established", "invalid", "new", "related", "untracked"]),
        "connection-nat-state" => fixed(&["dstnat", "srcnat"]),
        "src-address-type" | "dst-address-type" => fixed(&["broadcast", "local", "multicast", "unicast"]),
        "reject-with" => fixed(&["icmp-admin-prohibited", "icmp-port-unreachable", "tcp-reset"]),
        "address-list-timeout" => fixed(&["none-dynamic", "none-static"]),
        "disabled" | "dynamic" | "fragment" | "invalid" | "log" | "passthrough" => fixed(&["no", "yes"]),
        "copy-from" | "numbers" | "place-before" => fixed(&["[find "]),
        _ => vec![],
    }
}

const ACTIONS_OF_ALL: &[&str] =
    &["accept", "add-dst-to-address-list", "add-src-to-address-list", "jump", "log", "passthrough", "return"];

/// What rules of one table can do besides.
fn actions(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("filter") => &["drop", "fasttrack-connection", "reject", "tarpit"],
        Some("raw") => &["drop", "notrack"],
        Some("nat") => &["dst-nat", "masquerade", "netmap", "redirect", "same", "src-nat"],
        Some("mangle") => &["mark-connection", "mark-packet", "mark-routing"],
        _ => &[],
    }
}

/// The chains that packets enter by themselves.
fn chains_of(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("filter") => &["forward", "input", "output"],
        Some("raw") => &["output", "prerouting"],
        Some("nat") => &["dstnat", "srcnat"],
        Some("mangle") => &["forward", "input", "output", "postrouting", "prerouting"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::rsc::parse;

    fn completed(path: &str, line: &str) -> (String, Vec<String>) {
        let script = "/ip firewall filter\n\
            add chain=input action=jump jump-target=knock src-address-list=\"my friends\"\n\
            add chain=knock action=add-src-to-address-list address-list=333 in-interface-list=WAN\n";
        let names = Names::of(&Config::of(&parse(script).0).0);
        let Completion { start, words } = complete(line, path, &names, &["knock", "help"]);
        (line.get(..start).unwrap_or_default().to_owned(), words)
    }

    #[test]
    fn menus_and_commands_are_completed_by_words_and_by_slashes() {
        for (path, line, before, words) in [
            ("/", "ip fire", "ip ", &["firewall "][..]),
            ("/", "ip firewall fil", "ip firewall ", &["filter "]),
            ("/", "/ip/fire", "/ip/", &["firewall/"]),
            ("/", "/ip/firewall/fil", "/ip/firewall/", &["filter "]),
            ("/ip", "fire", "", &["firewall "]),
            ("/ip/firewall/filter", "pr", "", &["print "]),
            ("/ip/firewall/filter", "kn", "", &["knock "]),
            ("/ip/firewall/filter", "/interface/list/p", "/interface/list/", &["print "]),
            ("/ip/firewall/filter", ".. .. addre", ".. .. ", &["address "]),
            ("/", "shrubbery fil", "", &[]),
        ] {
            assert_eq!(
                completed(path, line),
                (before.to_owned(), words.iter().map(|w| (*w).to_owned()).collect()),
                "{line}"
            );
        }
    }

    #[test]
    fn attributes_are_completed_once_each_and_values_where_they_are_known() {
        let filter = "/ip/firewall/filter";
        for (line, before, words) in [
            ("add src-address-l", "add ", &["src-address-list="][..]),
            ("add src-address-list=333 src-address-l", "add src-address-list=333 ", &[]),
            ("add action=dr", "add action=", &["drop "]),
            ("add chain=in", "add chain=", &["input "]),
            ("add jump-target=", "add jump-target=", &["knock "]),
            ("add src-address-list=!", "add src-address-list=!", &["\"my friends\" ", "333 "]),
            ("add connection-state=new,est", "add connection-state=new,", &["established "]),
            ("set [find chain=kn", "set [find chain=", &["knock "]),
            ("set [find chain=knock] disabled=y", "set [find chain=knock] disabled=", &["yes "]),
            ("print where in-interface-list=W", "print where in-interface-list=", &["WAN "]),
            ("print det", "print ", &["detail "]),
            ("remove ", "remove ", &["[find "]),
            ("add comment=\"chain=in", "", &[]),
        ] {
            assert_eq!(
                completed(filter, line),
                (before.to_owned(), words.iter().map(|w| (*w).to_owned()).collect()),
                "{line}"
            );
        }
    }
}
