//! From a text to what it means.

pub mod rsc;
pub mod toml;
