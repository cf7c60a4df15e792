//! What can go wrong with a request, and the exit status that says so.

use std::fmt;
use std::io;
use std::process::ExitCode;

use knock::{ProfileError, ResolveError, SayError, WaitError};

use crate::request::RequestError;

/// Why the program ends with an exit status above zero.
#[derive(Debug)]
pub enum Failure {
    Request(RequestError),
    Profiles(ProfileError),
    Resolve(ResolveError),
    Say(SayError),
    Wait(WaitError),
    Relay(io::Error),
    Print(io::Error),
}

impl Failure {
    /// 1: a knock or the connection failed; 2: bad usage or address; 3: the door never opened.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Request(_) | Self::Profiles(_) | Self::Resolve(_) => 2,
            Self::Wait(WaitError::LimitTooShort { .. }) => 2,
            Self::Wait(WaitError::NeverOpened { .. }) => 3,
            Self::Wait(WaitError::Unsaid(_)) | Self::Say(_) | Self::Relay(_) | Self::Print(_) => 1,
        }
        .into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Profiles(error) => error.fmt(f),
            Self::Resolve(error) => error.fmt(f),
            Self::Say(error) => error.fmt(f),
            Self::Wait(error) => error.fmt(f),
            Self::Relay(error) => write!(f, "the connection broke: {error}"),
            Self::Print(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self::Profiles(error)
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self::Resolve(error)
    }
}

impl From<SayError> for Failure {
    fn from(error: SayError) -> Self {
        Self::Say(error)
    }
}

impl From<WaitError> for Failure {
    fn from(error: WaitError) -> Self {
        Self::Wait(error)
    }
}
