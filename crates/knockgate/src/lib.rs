//! What Knockgate does to a machine: apply a program, observe what is there, rehearse in
//! namespaces of its own. What a program means is the compiler's business.

pub mod lab;
pub mod logbook;
pub mod metrics;
pub mod moment;
pub mod plan;
pub mod rehearsal;
pub mod session;
pub mod target;
