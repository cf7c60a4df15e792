//! Playing what is claimed.

use std::fmt;

use super::Claim;
use crate::diag::Diagnostic;
use crate::program::Program;
use crate::sim::{Simulator, trace};

/// Why a claim cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplayable {
    /// Its trace has no packet.
    Empty,
    /// Its trace has a line that is none; the first of what is wrong.
    Malformed(Box<Diagnostic>),
}

impl fmt::Display for Unplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it has no packets"),
            Self::Malformed(finding) => write!(f, "its packets cannot be read: {}", finding.message),
        }
    }
}

impl std::error::Error for Unplayable {}

impl Claim {
    /// Whether its packets, played through `program` from the beginning, end as it says.
    pub fn holds(&self, program: &Program) -> Result<bool, Unplayable> {
        let (events, findings) = trace::parse(&self.trace, &program.outside()[0]);
        if let Some(finding) = findings.into_iter().next() {
            return Err(Unplayable::Malformed(Box::new(finding)));
        }
        let mut simulator = Simulator::new(program);
        let fates = events.iter().map(|event| simulator.play(event.at, &event.packet).fate);
        fates.last().map(|fate| fate == self.fate).ok_or(Unplayable::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::toml::parse;
    use crate::lower::lower;
    use crate::sim::Fate;

    const POLICY: &str = r#"outside = "eth0"
[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = "22/tcp"
"#;

    fn holds(trace: &str, fate: Fate) -> Result<bool, Unplayable> {
        let program = lower(&parse(POLICY).0.expect("a policy"));
        Claim { says: "so".to_owned(), trace: trace.to_owned(), fate }.holds(&program)
    }

    const KNOCKS: &str = "0s 198.51.100.7 7313/tcp\n1s 198.51.100.7 24877/tcp\n2s 198.51.100.7 11090/tcp\n";

    #[test]
    fn the_fate_of_the_last_packet_decides() {
        let knocked = format!("{KNOCKS}3s 198.51.100.7 22/tcp\n");
        assert_eq!(holds(&knocked, Fate::Accept), Ok(true));
        assert_eq!(holds(&knocked, Fate::Drop), Ok(false));
        assert_eq!(holds(&format!("{KNOCKS}3s 198.51.100.8 22/tcp\n"), Fate::Accept), Ok(false));
    }

    #[test]
    fn what_cannot_be_played_shows_nothing() {
        assert_eq!(holds("# nothing\n", Fate::Accept), Err(Unplayable::Empty));
        let odd = holds("0s somewhere 22/tcp\n", Fate::Accept).unwrap_err();
        assert_eq!(odd.to_string(), "its packets cannot be read: `somewhere` is no address");
    }
}
