//! Say a port knock, wait for the door, and reach what is behind it.
//!
//! Plain std sockets on Linux, macOS and Windows; no root and no async runtime. A knock hides a service. It replaces
//! neither encryption nor strong authentication of that service.

#![forbid(unsafe_code)]

mod knock;
mod sequence;

mod address;
mod ping;
mod say;
mod wait;

mod relay;

mod duration;
mod profile;

pub use address::{Family, ResolveError, resolve};
pub use duration::{DurationError, parse_duration};
pub use knock::{Knock, KnockError, LONGEST_PING, Protocol};
pub use ping::PingError;
pub use profile::{AmbiguousHost, LARGEST_FILE, Profile, ProfileError, Profiles};
pub use relay::relay;
pub use say::{SayError, say};
pub use sequence::{DEFAULT_GAP, LONGEST_GAP, MOST_COPIES, MOST_KNOCKS, Sequence, SequenceError};
pub use wait::{WaitError, WaitPort, WaitPortError, wait_open};
