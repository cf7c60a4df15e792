//! What is in force on this machine, as the last apply noted it.

use std::net::IpAddr;

use knockgate::target::nft::{Applied, Element};
use knockgate_compiler::backend::nft::set_name;
use knockgate_compiler::net::{Family, truncate};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::{List, Program, Timed};

use super::input::{ScriptOptions, Text, understand};

/// The policy or script that is in force.
#[derive(Debug)]
pub struct InForce {
    /// The file it came from.
    pub name: String,
    /// `None` for a script.
    pub policy: Option<Policy>,
    pub program: Program,
}

impl InForce {
    /// What a note of an apply says.
    pub fn of(applied: Applied) -> anyhow::Result<Self> {
        let options = ScriptOptions::of_words(&applied.options)?;
        let text = Text { name: applied.name, text: applied.text };
        let (policy, Some(program), _) = understand(&text, &options) else {
            anyhow::bail!("the note of the applied policy cannot be read; apply the policy again");
        };
        Ok(Self { name: text.name, policy, program })
    }

    /// What was applied last in this namespace.
    pub fn read() -> anyhow::Result<Self> {
        match Applied::read()? {
            Some((applied, _)) => Self::of(applied),
            None => anyhow::bail!("no policy is in force; `knockgate apply` changes that"),
        }
    }

    /// The policy; a script has none.
    pub fn policy(&self) -> anyhow::Result<&Policy> {
        self.policy.as_ref().ok_or_else(|| {
            anyhow::anyhow!(
                "a script is in force ({}), and its lists are its own: `knockgate list` shows who is on them, `nft -t \
                 list sets inet` what their sets are called, and `nft add element inet knockgate SET {{ ADDRESS \
                 timeout 1h }}` puts an address on one",
                self.name
            )
        })
    }

    /// A list by its name.
    pub fn list(&self, name: &str) -> Option<&List> {
        self.program.lists().iter().find(|list| *list.name == *name)
    }

    /// The set that has a family's members of a list that rules add to.
    pub fn set_of(&self, timed: Timed, family: Family) -> String {
        set_name(&self.program[timed.pool].name, family)
    }

    /// What a set has for an address on a list that rules add to.
    pub fn element_of(&self, timed: Timed, address: IpAddr) -> Element {
        element_of(&self.program, timed, address)
    }
}

/// What a set has for an address on a list that a program's rules add to.
pub fn element_of(program: &Program, timed: Timed, address: IpAddr) -> Element {
    let kept = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(_) => truncate(address, timed.v6_bits),
    };
    match program[timed.pool].shared {
        true => Element::tagged(kept, timed.tag.get()),
        false => Element::of(kept),
    }
}
