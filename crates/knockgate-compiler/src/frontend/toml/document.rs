//! The tables of a policy file.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use serde_json::{Value, json};

use super::decode::{Decode, Decoder, Named, tables};
use super::upkeep::FilePath;
use crate::diag::{At, Span};
use crate::net::{Endpoint, Interface, Prefix};
use crate::policy::{
    DoorDraft, Draft, Fate, IfChanged, Listen, LogTo, ServiceDraft, StepDraft, Terms, TrapsDraft,
    UpkeepDraft, Wrong,
};
use crate::time::Lifetime;

tables! {
    /// What a gateway shows to strangers, and how to be let in.
    struct Document("a policy", "keys stand before the first heading") {
        /// Interfaces that face strangers. A final `*` stands for any rest: `ppp*`.
        "outside" (required) outside: At<Vec<At<Interface>>>,
        /// Ports open to everybody. Packets to them are no knocks.
        "public" public: At<Vec<At<Endpoint>>>,
        /// Sources that use every door's services without knocking, and are never banned.
        "allow" allow: At<Vec<At<Prefix>>>,
        /// Sources that are never banned: gateways, resolvers, monitoring.
        "exempt" exempt: At<Vec<At<Prefix>>>,
        /// Sources that may be knocking, granted or banned at a time, in each address family.
        "sources" sources: At<u32> = 65536,
        /// Whether TCP connections to closed ports are dropped before the kernel tracks connections.
        "early-drop" early_drop: At<bool> = false,
        /// What is done when another program changes the rules: `repair` or `alarm`.
        "if-changed" if_changed: At<IfChanged> = "repair",
        /// What doors have that do not say otherwise.
        "defaults" defaults: Defaults,
        /// Ports whose touch counts towards a ban.
        "traps" traps: TrapTable,
        /// What comes back after a restart.
        "restart" restart: RestartTable,
        /// How it is told what happened.
        "log" log: LogTable,
        /// How numbers are given to a monitoring system.
        "metrics" metrics: MetricsTable,
        /// The doors, each under a name of its own.
        "door" (required) doors: Named<DoorTable>,
    }

    /// What doors have that do not say otherwise.
    struct Defaults("`defaults`", "its heading is `[defaults]`") {
        /// How long each next knock may take.
        "window" window: At<Lifetime> = "10s",
        /// How long who knocked may connect. Connections go on after it.
        "grant" grant: At<Lifetime> = "30s",
        /// What a wrong knock does to who has begun: `reset`, `cooldown 10s` or `ignore`.
        "wrong" wrong: At<Wrong> = "reset",
    }

    /// Ports whose touch counts towards a ban.
    struct TrapTable("`traps`", "its heading is `[traps]`") {
        /// The trap ports.
        "ports" (required) ports: At<Vec<At<Endpoint>>>,
        /// Different traps whose touch makes a ban. One when there is only one trap.
        "strikes" strikes: At<u32> = 2,
        /// How long a touch is remembered.
        "memory" memory: At<Lifetime> = "10m",
        /// How long the first ban lasts. Each further one lasts twice as long.
        "ban" ban: At<Lifetime> = "1m",
        /// How long the longest ban lasts.
        "ban-max" ban_max: At<Lifetime> = "10m",
    }

    /// What comes back after a restart, with the time that it has left.
    struct RestartTable("`restart`", "its heading is `[restart]`") {
        /// What becomes of bans: `keep` or `drop`.
        "bans" bans: At<Fate> = "keep",
        /// What becomes of grants: `keep` or `drop`.
        "grants" grants: At<Fate> = "drop",
    }

    /// How it is told what happened.
    struct LogTable("`log`", "its heading is `[log]`") {
        /// Where to: `system`, `journal`, `syslog`, `off`, or the whole path of a file of JSON lines.
        "to" to: At<LogTo> = "system",
        /// Lines a second at most.
        "rate" rate: At<u32> = 10,
    }

    /// How numbers are given to a monitoring system.
    struct MetricsTable("`metrics`", "its heading is `[metrics]`") {
        /// Where they can be asked for: an address of loopback with a port, or the path of a Unix socket.
        "listen" listen: At<Listen>,
        /// The file that they are written to.
        "file" file: At<FilePath>,
    }

    /// A name, what it opens, how to knock.
    struct DoorTable("a door", "its heading is `[door.ssh]`, with keys below") {
        /// The knocks in order: `"333/tcp"`, `"777/udp within 5s"`, `"ping/100"`.
        "knock" (required) knock: At<Vec<At<StepDraft>>>,
        /// What it opens: `"22/tcp"` here, `"8443/tcp to 10.0.0.5:443"` on a host behind with the
        /// destination translated, `"443/tcp at 192.0.2.80"` on a host behind at its own address.
        "opens" (required) opens: At<Vec<At<ServiceDraft>>>,
        /// How long each next knock may take.
        "window" window: At<Lifetime> = "10s",
        /// How long who knocked may connect. Connections go on after it.
        "grant" grant: At<Lifetime> = "30s",
        /// What a wrong knock does to who has begun: `reset`, `cooldown 10s` or `ignore`.
        "wrong" wrong: At<Wrong> = "reset",
    }
}

fn items<T>(list: Option<At<Vec<T>>>) -> Vec<T> {
    list.map(|at| at.value).unwrap_or_default()
}

impl Document {
    /// What was read of a text of `end` bytes.
    pub(super) fn into_draft(self, end: usize) -> Draft {
        let defaults =
            self.defaults.map(|table| Terms { window: table.window, grant: table.grant, wrong: table.wrong });
        let upkeep = upkeep(self.if_changed, self.restart, self.log, self.metrics);
        Draft {
            end,
            outside: self.outside,
            public: items(self.public),
            allow: items(self.allow),
            exempt: items(self.exempt),
            sources: self.sources,
            early_drop: self.early_drop.is_some_and(|at| at.value),
            traps: self.traps.map(|table| table.into_draft(end)),
            defaults: defaults.unwrap_or_default(),
            doors: self.doors.map(doors).unwrap_or_default(),
            upkeep,
        }
    }
}

fn upkeep(
    if_changed: Option<At<IfChanged>>,
    restart: Option<RestartTable>,
    log: Option<LogTable>,
    metrics: Option<MetricsTable>,
) -> UpkeepDraft {
    let (bans, grants) = restart.map_or((None, None), |table| (table.bans, table.grants));
    let (log_to, log_rate) = log.map_or((None, None), |table| (table.to, table.rate));
    let (listen, file) = metrics.map_or((None, None), |table| (table.listen, table.file));
    let metrics_file = file.map(|at| At { value: at.value.0, span: at.span });
    UpkeepDraft { bans, grants, if_changed, log_to, log_rate, listen, metrics_file }
}

fn doors(named: Named<DoorTable>) -> Vec<DoorDraft> {
    let door = |(name, table): (_, DoorTable)| DoorDraft {
        name,
        knock: table.knock,
        opens: table.opens,
        terms: Terms { window: table.window, grant: table.grant, wrong: table.wrong },
    };
    named.0.into_iter().map(door).collect()
}

impl TrapTable {
    fn into_draft(self, end: usize) -> TrapsDraft {
        TrapsDraft {
            span: self.ports.as_ref().map_or(Span { start: end, end }, |ports| ports.span),
            ports: items(self.ports),
            strikes: self.strikes,
            memory: self.memory,
            ban: self.ban,
            ban_max: self.ban_max,
        }
    }
}
