//! The only file that prints RouterOS commands.

mod attributes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

pub(super) use self::attributes::reject_with;
use self::attributes::{attributes, interface_list};
use super::table::{Table, chain_name, names, root};
use super::{Options, Shaped, Version};
use crate::console::quoted;
use crate::net::{Family, Interface, Prefix};
use crate::program::{Chain, Condition, Hook, Program};

/// Commands for a router's console, to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Puts the rules in force, whether or not some of ours are there already.
    pub install: String,
    /// Takes away all that any script of ours has put there.
    pub uninstall: String,
}

/// The comment of everything that is no rule and no list member.
const OURS: &str = "knockgate";
/// What the comments of our rules begin with.
const RULE: &str = "knockgate: ";
/// The comment of rules that are about to be replaced.
const OLD: &str = "knockgate-old";

/// The hooks in the order in which they are entered for the first time: what guards comes before
/// what redirects.
const HOOKS: [Hook; 4] = [Hook::Input, Hook::Forward, Hook::Raw, Hook::Prerouting];

/// The script of a shaped program.
///
/// The new rules stand behind the old ones until all of them are there. Then the old ones that
/// drop are taken out, so that packets reach the new ones, and then the rest.
pub fn print(shaped: &Shaped, options: Options) -> Script {
    let Options { version, .. } = options;
    let printer = Printer { program: &shaped.program };
    let mut install = String::new();
    header(&mut install, shaped, options);
    printer.interface_lists(&mut install);
    section(&mut install, "the rules of before, which stay until the new ones are there");
    each_table(version, |menu| {
        line(&mut install, &format!("{menu} set [find comment~{}] comment={OLD}", quoted(&begins(RULE))));
    });
    printer.members(&mut install);
    printer.rules(&mut install);
    printer.enter(&mut install);
    section(&mut install, "away with the rules of before: first what drops, so that nothing falls between");
    for (table, action) in [(Table::Filter, "drop"), (Table::Filter, "reject"), (Table::Raw, "drop")] {
        for family in Family::BOTH {
            let menu = table.menu(family);
            line(&mut install, &format!("{menu} remove [find comment={OLD} action={action}]"));
        }
    }
    each_table(version, |menu| line(&mut install, &format!("{menu} remove [find comment={OLD}]")));
    printer.forget_interfaces(&mut install);
    Script { install, uninstall: uninstall(version) }
}

/// What takes away all that scripts for this version have added, of whatever policy: the ways in
/// first, then what they led to, then lists.
pub fn uninstall(version: Version) -> String {
    let mut out = String::new();
    line(&mut out, "# Takes away all that scripts of Knockgate have added. Once more changes nothing.");
    for hook in HOOKS {
        for family in Family::BOTH {
            let menu = Table::of(hook).menu(family);
            if (hook, family, version) != (Hook::Prerouting, Family::V6, Version::V6) {
                line(&mut out, &format!("{menu} remove [find comment={}]", quoted(&entering(hook))));
            }
        }
    }
    each_table(version, |menu| {
        line(&mut out, &format!("{menu} remove [find comment~{}]", quoted(&begins(RULE))));
        line(&mut out, &format!("{menu} remove [find comment={OLD}]"));
    });
    for family in Family::BOTH {
        let of_ours = quoted(&begins("knockgate-"));
        line(&mut out, &format!("{} firewall address-list remove [find list~{of_ours}]", root(family)));
    }
    line(&mut out, &format!("/interface list member remove [find comment={OURS}]"));
    line(&mut out, &format!("/interface list remove [find comment={OURS}]"));
    out
}

/// Runs over the menus of all rules that we may ever have had.
fn each_table(version: Version, mut each: impl FnMut(&str)) {
    for family in Family::BOTH {
        for table in [Table::Filter, Table::Raw, Table::Nat] {
            if (table, family, version) != (Table::Nat, Family::V6, Version::V6) {
                each(&table.menu(family));
            }
        }
    }
}

struct Printer<'p> {
    program: &'p Program,
}

/// Every line goes through here, so that none is ever more than one command.
fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn section(out: &mut String, what: &str) {
    line(out, &format!("\n# {what}"));
}

/// A regular expression for texts that begin so.
fn begins(text: &str) -> String {
    format!("^{text}")
}

fn header(out: &mut String, shaped: &Shaped, options: Options) {
    let version = match options.version {
        Version::V6 => "6.49 (with the package ipv6)",
        Version::V7 => "7",
    };
    line(
        out,
        &format!("# Port knocking by Knockgate, for RouterOS {version}. The script is complete by itself."),
    );
    line(out, "# Put it in force: /import file-name=knockgate.rsc. Importing it again makes its rules anew.");
    line(out, "# Take it away: import what `knockgate compile --to routeros --uninstall` prints.");
    line(out, "# Everything that it adds has a comment that begins with `knockgate`.");
    line(out, "# Its rules come first. What does not come from outside goes on to the rules that are there.");
    for note in &shaped.notes {
        line(out, &format!("# Note: {note}."));
    }
}

impl Printer<'_> {
    /// The lists of interfaces that rules ask for, by name.
    fn interfaces(&self) -> BTreeMap<String, BTreeSet<&Interface>> {
        let rules = self.program.chains().iter().flat_map(|chain| &chain.rules);
        let asked = rules.flat_map(|rule| &rule.when).filter_map(|condition| match condition {
            Condition::From(interfaces) => Some(interfaces),
            Condition::Not(inner) => match &**inner {
                Condition::From(interfaces) => Some(interfaces),
                _ => None,
            },
            _ => None,
        });
        asked
            .filter_map(|names| Some((interface_list(names, self.program)?, names.iter().collect())))
            .collect()
    }

    /// A member that cannot be added, because there is no such interface, stops the import here: an
    /// empty list would take strangers for insiders.
    fn interface_lists(&self, out: &mut String) {
        let lists = self.interfaces();
        if lists.is_empty() {
            return;
        }
        section(out, "interfaces; the import stops here if one is missing");
        let or_there = |command: String| format!(":do {{ {command} }} on-error={{}}");
        for (list, members) in &lists {
            let list = quoted(list);
            line(out, &or_there(format!("/interface list add name={list} comment={OURS}")));
            for member in members {
                let interface = quoted(member.as_str());
                let asked = format!("list={list} interface={interface}");
                line(out, &or_there(format!("/interface list member add {asked} comment={OURS}")));
                line(out, &format!("/interface list member get [find {asked}] interface"));
            }
        }
    }

    /// Interfaces that were outside before and are not any more.
    fn forget_interfaces(&self, out: &mut String) {
        for (list, members) in self.interfaces() {
            let mut find = format!("list={} comment={OURS}", quoted(&list));
            for member in members {
                put(&mut find, format_args!(" interface!={}", quoted(member.as_str())));
            }
            line(out, &format!("/interface list member remove [find {find}]"));
        }
    }

    /// What is on lists from the beginning and for good.
    fn members(&self, out: &mut String) {
        section(out, "fixed members of lists");
        for family in Family::BOTH {
            let menu = format!("{} firewall address-list", root(family));
            line(out, &format!("{menu} remove [find comment~{}]", quoted(&begins(&format!("{RULE}list ")))));
            for list in self.program.lists() {
                let comment = quoted(&format!("{RULE}list {}", list.name));
                let of = |prefix: &&Prefix| prefix.family() == family;
                for member in list.fixed.iter().filter(of).collect::<BTreeSet<_>>() {
                    let (list, member) = (quoted(&list.name), quoted(&member.to_string()));
                    line(out, &format!("{menu} add list={list} address={member} comment={comment}"));
                }
            }
        }
    }

    /// All rules but those that lead to them.
    fn rules(&self, out: &mut String) {
        for family in Family::BOTH {
            for table in [Table::Filter, Table::Raw, Table::Nat] {
                let of_table = |chain: &&Chain| chain.hook.is_none() && Table::of_chain(chain) == table;
                let mut lines = String::new();
                for chain in self.program.chains().iter().filter(of_table) {
                    for rule in
                        chain.rules.iter().filter(|rule| rule.when.contains(&Condition::Family(family)))
                    {
                        // A rule of ours that was read back is called so already.
                        let what = rule.origin.what.strip_prefix(RULE).unwrap_or(&rule.origin.what);
                        let comment = quoted(&format!("{RULE}{what}"));
                        let said = attributes(rule, chain, self.program, family);
                        line(&mut lines, &format!("add {said} comment={comment}"));
                    }
                }
                if !lines.is_empty() {
                    line(out, &format!("\n{}", table.menu(family)));
                    out.push_str(&lines);
                }
            }
        }
    }

    /// The one rule of each hook, before all others. Rules that the router makes by itself cannot be
    /// told to stand behind.
    fn enter(&self, out: &mut String) {
        section(out, "the way in: one rule for each of the router's own chains, moved before all others");
        for hook in HOOKS {
            let Some(id) = self.program.hooked(hook) else { continue };
            let (chain, (_, name)) = (&self.program[id], names(hook));
            for family in Family::BOTH {
                let of = |when: &[Condition]| when.contains(&Condition::Family(family));
                for rule in chain.rules.iter().filter(|rule| of(&rule.when)) {
                    let (menu, comment) = (Table::of(hook).menu(family), quoted(&entering(hook)));
                    let said = attributes(rule, chain, self.program, family);
                    line(out, &format!("{menu} add {said} comment={comment}"));
                    let first = format!("([find chain={name} dynamic=no]->0)");
                    line(out, &format!("{menu} move [find comment={comment}] {first}"));
                }
            }
        }
    }
}

/// The comment of a hook's rule, which no other rule of its chain has.
fn entering(hook: Hook) -> String {
    format!("{RULE}enter {}", names(hook).1)
}

/// Writing to a string never fails.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all that memory holds");
}
