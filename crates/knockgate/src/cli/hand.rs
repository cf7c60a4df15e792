//! `knockgate grant`, `revoke`, `ban`, `unban`, `allow` and `disallow`.

mod doors;
mod interval;

use std::net::IpAddr;

use clap::Args;
use knockgate::logbook::{Entry, Logbook, Who};
use knockgate::target::nft::holdings;
use knockgate::target::nft::{COMMENT, Element};
use knockgate_compiler::net::{Prefix, PrefixError};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;
use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

use super::output::{Answer, Output};
pub use doors::{GrantOptions, RevokeOptions, grant, revoke, revoked, spare_holders};
pub use interval::{
    AllowOptions, BanOptions, DisallowOptions, UnbanOptions, allow, ban, banned, disallow, disallowed, unban,
    unbanned,
};

/// Why, and for how long.
#[derive(Debug, Args)]
struct Terms {
    /// How long it lasts, as in 30m or 2d
    #[arg(long = "for", value_name = "TIME")]
    lifetime: Option<Lifetime>,
    /// Why, for `list` and `status`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

fn reason(text: &str) -> Result<String, String> {
    if text.len() > COMMENT {
        return Err(format!("a reason has at most {COMMENT} bytes"));
    }
    match text.chars().find(|c| c.is_control() || *c == '"') {
        Some(odd) => Err(format!("a reason has no {odd:?} in it")),
        None => Ok(text.to_owned()),
    }
}

/// A source, as typed.
fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| match text.contains('/') {
        true => "one address is wanted here, not a network".to_owned(),
        false => "this is no IPv4 or IPv6 address".to_owned(),
    })?;
    sent_from(address.to_canonical())
}

fn sent_from(address: IpAddr) -> Result<IpAddr, String> {
    match address.is_multicast() || address.is_unspecified() {
        true => Err("nothing is sent from this address".to_owned()),
        false => Ok(address),
    }
}

/// Who is meant: of an IPv6 address without a length, its network, for who has one address of a /64
/// has them all (RFC 6177).
fn network(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error| match error {
        PrefixError::Malformed => "this is no IPv4 or IPv6 address or network".to_owned(),
        PrefixError::Zone => "a zone (`%`) is no part of an address here".to_owned(),
        PrefixError::BadLength => "no such length: 0 to 32, or to 128 for IPv6".to_owned(),
        PrefixError::HostBits(meant) => format!("it has bits set beyond its length; did you mean {meant}?"),
    })?;
    match prefix.network() {
        IpAddr::V6(v6) if !text.contains('/') => match v6.to_ipv4_mapped() {
            Some(v4) => Ok(Prefix::host(v4.into())),
            None => Ok(Prefix::holding(sent_from(v6.into())?, 64).expect("an IPv6 address has 128 bits")),
        },
        _ if text.contains('/') => Ok(prefix),
        address => sent_from(address).map(Prefix::host),
    }
}

/// What was done, or why nothing had to be.
pub struct Told {
    answer: Answer,
    /// For people.
    pub text: String,
    /// For programs.
    json: Value,
    /// What to know besides.
    pub notes: Vec<String>,
    /// What the log is told, if anything was changed.
    entry: Option<Entry>,
}

impl Told {
    fn done(text: String, json: Value) -> Self {
        Self { answer: Answer::Fine, text, json, notes: vec![], entry: None }
    }

    /// There was nothing of the kind.
    fn nothing(text: String, json: Value) -> Self {
        Self { answer: Answer::Findings, ..Self::done(text, json) }
    }

    /// The same, and this is for the log.
    fn logged(self, entry: Entry) -> Self {
        Self { entry: Some(entry), ..self }
    }

    /// The same, when it stands in the log as the policy says.
    fn recorded(mut self, policy: &Policy) -> Self {
        let entry = self.entry.take();
        let written = entry.map(|entry| Logbook::of(Some(policy)).write(entry, &Who::of_this_process()));
        if let Some(Err(error)) = written {
            self.notes.push(error.to_string());
        }
        self
    }

    /// The same, when what was taken back does not return from what was saved.
    fn unsaved(mut self, program: &Program) -> Self {
        if self.answer != Answer::Fine {
            return self;
        }
        let note = match holdings::save_again(program) {
            Ok(true) => return self,
            Ok(false) => "what was saved for a restart still has it; `knockgate save` saves anew".to_owned(),
            Err(error) => format!("what was saved for a restart still has it: {error}"),
        };
        self.notes.push(note);
        self
    }

    fn print(mut self, output: &Output) -> anyhow::Result<Answer> {
        if output.is_json() {
            self.json["notes"] = json!(self.notes);
            output.print_json(&self.json)?;
        } else {
            output.print(&format!("{}\n", self.text))?;
            self.notes.iter().for_each(|note| output.tell(&format!("note: {note}\n")));
        }
        Ok(self.answer)
    }
}

/// `for 1h`, of what is left of an element.
fn for_how_long(element: &Element) -> String {
    let left = element.left_ms.and_then(|left| Lifetime::from_millis(left.next_multiple_of(1000)));
    left.map_or_else(|| "for good".to_owned(), |left| format!("for {left}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_one_address_that_packets_can_come_from() {
        assert_eq!(address("192.0.2.7"), Ok("192.0.2.7".parse().unwrap()));
        assert_eq!(address("::ffff:192.0.2.7"), Ok("192.0.2.7".parse().unwrap()));
        for bad in ["192.0.2.0/24", "192.0.2", "224.0.0.1", "::", "0.0.0.0", "", "a b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_stands_for_who_has_it() {
        let said = |text: &str| network(text).map(|prefix| prefix.to_string());
        for (text, meant) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:db8::7", "2001:db8::/64"),
            ("2001:db8::7/128", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(said(text).as_deref(), Ok(meant));
        }
        for bad in ["192.0.2.7/24", "192.0.2.0/33", "fe80::1%eth0", "ff02::1", "224.0.0.1", "x"] {
            assert!(said(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_a_line_that_fits_beside_an_element() {
        assert!(reason("scans {all} day, says ops").is_ok());
        for bad in ["a\nb", "\u{1b}[2J", "\"", &"x".repeat(121)] {
            assert!(reason(bad).is_err(), "{bad:?}");
        }
    }
}
