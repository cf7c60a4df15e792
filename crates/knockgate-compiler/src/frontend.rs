//! From a text to what it means.

pub mod toml;
