//! Numbers for Prometheus: how they are written, and who is given them.

mod endpoint;
mod exposition;
mod file;
mod giver;
mod request;

pub use endpoint::{Endpoint, Serving};
pub use exposition::{Exposition, Family, Kind};
pub use file::write;
pub use giver::Giver;
