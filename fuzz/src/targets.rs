//! What is asked of each parser, whatever it is given.
//!
//! That it takes time in proportion to the text is not measured, for machines differ. What it returns
//! is held to that proportion instead.

mod client;
mod findings;
mod policy;
mod script;
mod trace;
mod values;

use crate::{corpus, words};

/// A parser, and what to try it with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it reads, in one word.
    pub name: &'static str,
    /// Reads one text, and panics when something is wrong with what comes of it.
    pub run: fn(&[u8]),
    /// Texts to begin with.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// What the language is made of.
    pub words: &'static [&'static str],
}

/// Every parser.
pub const TARGETS: [Target; 6] = [
    Target { name: "policy", run: policy::run, corpus: corpus::policies, words: words::POLICY },
    Target { name: "script", run: script::run, corpus: corpus::scripts, words: words::SCRIPT },
    Target { name: "trace", run: trace::run, corpus: corpus::traces, words: words::TRACE },
    Target { name: "values", run: values::run, corpus: corpus::values, words: words::VALUE },
    Target { name: "profiles", run: client::profiles, corpus: corpus::profiles, words: words::PROFILE },
    Target { name: "knocks", run: client::knocks, corpus: corpus::knocks, words: words::KNOCK },
];

/// The target of this name.
pub fn named(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
