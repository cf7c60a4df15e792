//! What is done around the rules while a policy is in force. None of it changes what becomes of a packet.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::check::within;
use super::{default, limit};
use crate::diag::{At, Diagnostic};

/// What becomes of entries at a restart of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They come back, with the time that they have left.
    Keep,
    /// They are forgotten.
    Drop,
}

/// What comes back after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterRestart {
    /// Bans, and what makes the next one longer.
    pub bans: Fate,
    /// Grants.
    pub grants: Fate,
}

/// What is done when another program changes or removes the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfChanged {
    /// They are put in force again.
    Repair,
    /// It is told.
    Alarm,
}

/// Where lines are written that tell what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// To the journal, or to syslog where there is none.
    System,
    /// To systemd's journal.
    Journal,
    /// To the syslog daemon.
    Syslog,
    /// To a file, one JSON object a line. An absolute path.
    File(Box<str>),
    /// Nowhere.
    Off,
}

/// How it is told what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where to.
    pub to: LogTo,
    /// Lines a second at most.
    pub rate: NonZeroU32,
}

/// Where somebody who asks for the metrics connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket, by its absolute path.
    Unix(Box<str>),
    /// An address of loopback.
    Tcp(SocketAddr),
}

/// How numbers are given to a monitoring system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they can be asked for.
    pub listen: Option<Listen>,
    /// The file that they are written to, by its absolute path.
    pub file: Option<Box<str>>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upkeep {
    pub(super) after_restart: AfterRestart,
    pub(super) if_changed: IfChanged,
    pub(super) log: Log,
    pub(super) metrics: Metrics,
}

/// All of it, as it was written.
#[derive(Clone, Debug, Default)]
pub struct UpkeepDraft {
    /// See [`AfterRestart::bans`].
    pub bans: Option<At<Fate>>,
    /// See [`AfterRestart::grants`].
    pub grants: Option<At<Fate>>,
    /// See [`IfChanged`].
    pub if_changed: Option<At<IfChanged>>,
    /// See [`Log::to`].
    pub log_to: Option<At<LogTo>>,
    /// See [`Log::rate`].
    pub log_rate: Option<At<u32>>,
    /// See [`Metrics::listen`].
    pub listen: Option<At<Listen>>,
    /// See [`Metrics::file`].
    pub metrics_file: Option<At<Box<str>>>,
}

fn value<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

impl UpkeepDraft {
    pub(super) fn build(self, findings: &mut Vec<Diagnostic>) -> Upkeep {
        let rate = within("rate", self.log_rate.as_ref(), limit::LOG_RATE, findings);
        Upkeep {
            after_restart: AfterRestart {
                bans: value(self.bans).unwrap_or(default::BANS_AFTER_RESTART),
                grants: value(self.grants).unwrap_or(default::GRANTS_AFTER_RESTART),
            },
            if_changed: value(self.if_changed).unwrap_or(default::IF_CHANGED),
            log: Log {
                to: value(self.log_to).unwrap_or(default::LOG_TO),
                rate: rate.and_then(NonZeroU32::new).unwrap_or(default::LOG_RATE),
            },
            metrics: Metrics { listen: value(self.listen), file: value(self.metrics_file) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend;
    use crate::policy::Policy;

    fn policy(more: &str) -> Policy {
        let door = r#"door.ssh = { knock = ["7313/tcp", "24877/tcp", "11090/tcp"], opens = "22/tcp" }"#;
        let (policy, findings) = frontend::toml::parse(&format!("outside = \"eth0\"\n{door}\n{more}"));
        policy.unwrap_or_else(|| panic!("{findings:?}"))
    }

    #[test]
    fn what_is_not_said_keeps_bans_drops_grants_repairs_and_tells_the_system() {
        let policy = policy("");
        assert_eq!(policy.after_restart(), AfterRestart { bans: Fate::Keep, grants: Fate::Drop });
        assert_eq!(policy.if_changed(), IfChanged::Repair);
        assert_eq!((&policy.log().to, policy.log().rate.get()), (&LogTo::System, 10));
        assert_eq!(policy.metrics(), &Metrics::default());
    }

    #[test]
    fn what_is_said_is_done() {
        let policy = policy(
            r#"
            if-changed = "alarm"
            restart = { bans = "drop", grants = "keep" }
            log = { to = "/var/log/knockgate/events.json", rate = 3 }
            metrics = { listen = "[::1]:9469", file = "/var/lib/knockgate.prom" }
            "#,
        );
        assert_eq!(policy.after_restart(), AfterRestart { bans: Fate::Drop, grants: Fate::Keep });
        assert_eq!(policy.if_changed(), IfChanged::Alarm);
        assert_eq!(
            (&policy.log().to, policy.log().rate.get()),
            (&LogTo::File("/var/log/knockgate/events.json".into()), 3)
        );
        let address = "[::1]:9469".parse().expect("an address");
        let file = Some("/var/lib/knockgate.prom".into());
        assert_eq!(policy.metrics(), &Metrics { listen: Some(Listen::Tcp(address)), file });
    }
}
