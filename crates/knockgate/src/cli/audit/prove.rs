//! What is claimed, played.

use std::fmt::Write;

use knockgate::lab::replay;
use knockgate::lab::wire::tells;
use knockgate_compiler::audit::Claim;
use knockgate_compiler::audit::claim::Unplayable;
use knockgate_compiler::program::Program;
use knockgate_compiler::sim::{Fate, trace};
use serde_json::{Value, json};

use super::page::Page;
use super::text::Paper;

/// A claim and whether its packets show it.
pub struct Proof<'a> {
    /// What it is about.
    about: String,
    claim: &'a Claim,
    holds: Result<bool, Unplayable>,
    /// Whether the kernel does the same, if it was asked, or why that is not known.
    here: Option<Result<bool, String>>,
}

/// Plays every claim of a page in the simulator.
pub fn all<'a>(page: &Page<'a>, program: &Program) -> Vec<Proof<'a>> {
    let claims = page.claims().into_iter();
    claims.map(|(about, claim)| Proof { about, claim, holds: claim.holds(program), here: None }).collect()
}

impl Proof<'_> {
    /// Whether the packets show what is claimed, wherever they were played.
    pub fn is_shown(&self) -> bool {
        self.holds == Ok(true) && self.here.as_ref().is_none_or(|here| *here != Ok(false))
    }

    /// Plays the packets on this kernel as well.
    pub fn play_here(&mut self, program: &Program) {
        let (events, _) = trace::parse(&self.claim.trace, &program.outside()[0]);
        let played = replay(program, &events).map_err(|error| error.to_string());
        self.here = Some(played.map(|played| {
            let last = played.last().map(|packet| packet.fate).zip(events.last());
            last.is_some_and(|(fate, event)| {
                // Nothing is to be seen of a refusal that nobody is told of.
                let silent = self.claim.fate == Fate::Reject && !tells(&event.packet);
                fate == self.claim.fate || silent && fate == Fate::Drop
            })
        }));
    }

    /// In a word or two.
    fn verdict(&self) -> (&'static str, &'static str) {
        match (&self.holds, &self.here) {
            (Ok(true), Some(Ok(false))) => ("\x1b[1;31m", "NOT HERE"),
            (Ok(true), _) => ("\x1b[32m", "shown"),
            _ => ("\x1b[1;31m", "NOT SHOWN"),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "about": self.about,
            "says": self.claim.says,
            "shown": self.is_shown(),
            "shown_on_kernel": self.here.as_ref().and_then(|here| here.as_ref().ok()),
            "trouble": self.holds.as_ref().err().map(ToString::to_string),
            "trace": self.claim.trace,
            "fate": self.claim.fate.as_str(),
        })
    }
}

/// The claims with their packets, to be pasted into `knockgate simulate`.
pub fn as_text(proofs: &[Proof<'_>]) -> String {
    let mut paper = Paper::default();
    let shown = proofs.iter().filter(|proof| proof.is_shown()).count();
    let here = proofs.iter().filter(|proof| proof.here == Some(Ok(true))).count();
    let kernel = if proofs.iter().any(|proof| proof.here.is_some()) {
        format!(", {here} on this kernel")
    } else {
        String::new()
    };
    paper.title("Proofs", &format!("{shown} of {} shown in the simulator{kernel}", proofs.len()));
    paper.paragraph(2, "The packets can be played again: knockgate simulate POLICY -");
    let mut text = paper.finish();
    for proof in proofs {
        let mut paper = Paper::default();
        paper.gap();
        paper.item(2, proof.verdict(), 11, &format!("{}: {}", proof.about, proof.claim.says));
        if let Err(error) = &proof.holds {
            paper.item(2, ("", ""), 11, &error.to_string());
        }
        if let Some(Err(error)) = &proof.here {
            paper.item(2, ("", ""), 11, &format!("not played on this kernel: {error}"));
        }
        text += &paper.finish();
        for line in proof.claim.trace.lines() {
            writeln!(text, "{}", super::text::plain(line)).expect("a string takes all that memory holds");
        }
    }
    text
}
