//! Compiles a port-knocking policy to packet-filter rules, and says what they mean.
//!
//! A text goes through [`frontend`] to a [`policy`], through [`lower`] to a [`program`], and from
//! there through a [`backend`] to a target's own language; [`sim`] is the meaning of a program.
//! Nothing here touches files, clocks, processes or the network.
#![forbid(unsafe_code)]

mod console;
pub mod hash;
pub mod net;
pub mod random;
pub mod time;

pub mod diag;

pub mod policy;
pub mod program;

pub mod backend;
pub mod frontend;
pub mod lift;
pub mod lower;
pub mod sim;

pub mod audit;
