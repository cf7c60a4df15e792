//! Every parser under texts that nobody meant.
//!
//! A case is a seed: it takes a text of the corpus, or words of the parser's language, and changes
//! it. A target reads the case and asserts what must hold for any text. What once failed is kept in
//! `regressions/`.

pub mod targets;

pub mod corpus;
pub mod mutation;
pub mod words;

pub mod campaign;
