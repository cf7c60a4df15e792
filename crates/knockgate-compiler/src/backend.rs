//! From a program to a target's own language.

pub mod nft;
