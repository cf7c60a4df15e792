//! The simulator held against the kernel.
//!
//! A random case is a program and a trace of packets. Both are played at the same time: the program
//! in the simulator, and its ruleset in a network namespace whose interfaces are ours. Whatever can
//! be seen from outside must agree: what became of each packet, and what every list and track holds
//! at the end.

pub mod campaign;
pub mod elements;
pub mod policies;
pub mod programs;
pub mod scripts;
pub mod trial;
pub mod world;
