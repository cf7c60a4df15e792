//! What a page is about.

use knockgate_compiler::audit::chance::{Chance, Order};
use knockgate_compiler::audit::{Audit, Claim, Door, Finding, Risk, WayIn};
use knockgate_compiler::diag::{Source, Span, did_you_mean};

/// An audit, the text that it is of, and the doors that are told of.
pub struct Page<'a> {
    pub source: &'a Source<'a>,
    pub audit: &'a Audit,
    /// All, or those that were asked for.
    pub doors: Vec<&'a Door>,
    /// Whether they were asked for by name.
    pub chosen: bool,
}

/// Doors that a terminal shows in full without being asked to.
const SHOWN: usize = 8;

impl<'a> Page<'a> {
    /// The page of the doors with these names; of all without names.
    pub fn new(source: &'a Source<'a>, audit: &'a Audit, names: &[String]) -> anyhow::Result<Self> {
        for name in names {
            let mut known = audit.doors.iter().map(|door| door.name.as_str());
            if !known.clone().any(|known| known == name) {
                return Err(no_such_door(name, &mut known));
            }
        }
        let asked = |door: &&Door| names.is_empty() || names.contains(&door.name);
        let doors = audit.doors.iter().filter(asked).collect();
        Ok(Self { source, audit, doors, chosen: !names.is_empty() })
    }

    /// The line that something was written in.
    pub fn line(&self, span: Option<Span>) -> Option<usize> {
        span.map(|span| self.source.place(span.start).line)
    }

    /// Whether a terminal shows the doors in full.
    pub fn is_in_full(&self) -> bool {
        self.chosen || self.doors.len() <= SHOWN
    }

    /// Findings of all doors, shown or not, and of the gateway.
    pub fn findings(&self) -> impl Iterator<Item = &'a Finding> + Clone {
        let doors = self.audit.doors.iter().flat_map(|door| &door.findings);
        doors.chain(&self.audit.findings)
    }

    /// The worst risk of all.
    pub fn worst(&self) -> Option<Risk> {
        self.findings().map(|finding| finding.risk).min()
    }

    /// Every claim, with what it is about.
    pub fn claims(&self) -> Vec<(String, &'a Claim)> {
        let mut claims = vec![];
        for door in &self.doors {
            let about = |what: &str| format!("{}: {what}", door.name);
            claims.extend(way_in(door).map(|claim| (about("way in"), claim)));
            claims.extend(door.lockouts.iter().map(|lockout| (about("lockout"), &lockout.claim)));
            claims.extend(of_findings(&door.findings).map(|(code, claim)| (about(code), claim)));
        }
        let exposed = self.audit.exposed.iter();
        claims.extend(exposed.map(|exposed| (format!("open: {}", exposed.packets), &exposed.claim)));
        claims.extend(of_findings(&self.audit.findings).map(|(code, claim)| (code.to_owned(), claim)));
        claims
    }
}

/// The chance of a random sweep by one source, at the rate that is best for it.
pub fn random_sweep(door: &Door) -> Option<&Chance> {
    let plain = |chance: &&Chance| {
        let scan = chance.scan;
        scan.order == Order::Random && scan.tries == 1 && scan.sources == 1
    };
    door.chances.iter().filter(plain).max_by(|a, b| a.probability.total_cmp(&b.probability))
}

/// The claim of the cheapest way in.
pub fn way_in(door: &Door) -> Option<&Claim> {
    match &door.way_in {
        WayIn::Open(claim) | WayIn::Steps { claim, .. } => Some(claim),
        WayIn::Never | WayIn::NotFound { .. } => None,
    }
}

fn of_findings(findings: &[Finding]) -> impl Iterator<Item = (&'static str, &Claim)> {
    findings.iter().filter_map(|finding| Some((finding.code.as_str(), finding.claim.as_ref()?)))
}

fn no_such_door<'n>(name: &str, known: &mut impl Iterator<Item = &'n str>) -> anyhow::Error {
    let known: Vec<&str> = known.collect();
    match did_you_mean(name, known.iter().copied()) {
        Some(meant) => anyhow::anyhow!("there is no door `{name}`; did you mean `{meant}`?"),
        None if known.is_empty() => anyhow::anyhow!("there is no door `{name}`, nor any other"),
        None => anyhow::anyhow!("there is no door `{name}`; there are {}", known.join(", ")),
    }
}
