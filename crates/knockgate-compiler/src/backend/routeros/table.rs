//! Tables, and the chains that packets enter them by.

use crate::net::Family;
use crate::program::{Chain, Hook};

/// Where the chains of a hook live. Chains of one table cannot be jumped to from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Filter,
    Nat,
    Raw,
}

impl Table {
    pub(super) fn of(hook: Hook) -> Self {
        match hook {
            Hook::Input | Hook::Forward => Self::Filter,
            Hook::Prerouting => Self::Nat,
            Hook::Raw => Self::Raw,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Raw => "raw",
        }
    }
}

/// A hook's chain, by its name in a program and by RouterOS's own.
pub(super) fn names(hook: Hook) -> (&'static str, &'static str) {
    match hook {
        Hook::Input => ("input", "input"),
        Hook::Forward => ("forward", "forward"),
        Hook::Raw => ("raw", "prerouting"),
        Hook::Prerouting => ("prerouting", "dstnat"),
    }
}

impl Table {
    /// Of a chain of a shaped program: that of its hook, or the one that its name begins with.
    pub(super) fn of_chain(chain: &Chain) -> Self {
        let named = [Self::Nat, Self::Raw].into_iter().find(|table| of_router(&chain.name, *table).is_some());
        chain.hook.map(Self::of).or(named).unwrap_or(Self::Filter)
    }

    /// The menu that its rules of the family are in.
    pub(super) fn menu(self, family: Family) -> String {
        format!("{} firewall {}", root(family), self.name())
    }
}

/// The menus of a family.
pub(super) fn root(family: Family) -> &'static str {
    match family {
        Family::V4 => "/ip",
        Family::V6 => "/ipv6",
    }
}

/// What a router calls a chain of a shaped program.
pub(super) fn chain_name(chain: &Chain) -> &str {
    match chain.hook {
        Some(hook) => names(hook).1,
        None => of_router(&chain.name, Table::of_chain(chain)).unwrap_or(&chain.name),
    }
}

fn of_router(name: &str, table: Table) -> Option<&str> {
    name.strip_prefix(table.name())?.strip_prefix(' ')
}
