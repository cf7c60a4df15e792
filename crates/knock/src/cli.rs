//! The command line: the options of knockd's client, and those that it lacks.

use std::time::Duration;

use clap::{Parser, ValueHint};
use knock::{WaitPort, parse_duration};
use knockgate_papers::Shell;

/// Say a port knock, wait for the door, and reach what is behind it.
#[derive(Debug, Parser)]
#[command(
    name = "knock",
    version,
    help_expected = true,
    args_override_self = true,
    arg_required_else_help = true,
    infer_long_args = true,
    override_usage = "knock [OPTIONS] HOST KNOCK...\n       knock [OPTIONS] PROFILE\n       \
                      knock [OPTIONS] --proxy HOST PORT KNOCK...\n       \
                      knock [OPTIONS] --proxy PROFILE|HOST PORT\n       knock --list",
    after_help = "KNOCK is PORT, PORT:tcp, PORT:udp or BYTES:ping, with / as good as the colon.\n\n\
                  Exit status: 0 knocked, and open if waited for; 1 a knock or the connection failed; \
                  2 bad usage or address; 3 the door never opened.\n\n\
                  Example: knock --wait 22 gateway.example.org 333 777:udp 888"
)]
pub struct Cli {
    /// Say which knocks are sent
    ///
    /// A line for each goes to standard output, or to standard error with --proxy. Without this option
    /// nothing but errors is printed.
    #[arg(short, long)]
    pub verbose: bool,

    /// Milliseconds from one knock to the next, by default 200; with 0 nothing is waited for
    ///
    /// At most 60000. With 0 the packets follow each other as fast as they can be sent, still in order.
    #[arg(short, long, value_name = "MS")]
    pub delay: Option<u64>,

    /// Make all knocks UDP that name no protocol
    ///
    /// It cannot be given with a profile, whose knocks speak for themselves.
    #[arg(short, long)]
    pub udp: bool,

    /// Use IPv4 only
    #[arg(short = '4', long, overrides_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// Send each knock N times, by default 1, or 2 in a profile; not to knockd, which takes a repeat for a wrong knock
    ///
    /// N is 1 to 8: a packet may be lost, and Knockgate ignores an immediate repeat of a knock. The copies
    /// are sent in the first half of the gap, so that none arrives after the next knock. Of a ping, another
    /// copy is sent only when nothing answered within a second. With more than one copy, the same knock
    /// cannot come twice in a row.
    #[arg(long, value_name = "N")]
    pub copies: Option<u8>,

    /// Knock until a TCP connection to this port succeeds, or the limit is over
    ///
    /// The tries take 1.25 seconds after the first round of knocks and about twice as long after each
    /// further one, up to 12.25 seconds. Only a TCP port can be waited for, since nothing tells an open UDP
    /// port from a closed one.
    #[arg(long, value_name = "PORT")]
    pub wait: Option<WaitPort>,

    /// How long --wait and --proxy go on in all, such as 500ms, 30s or 2m; by default 30s
    ///
    /// It must leave time for knocking once.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub limit: Option<Duration>,

    /// Knock, connect to PORT, and relay standard input and output (for ssh's ProxyCommand)
    ///
    /// It connects as --wait does. Then standard input goes to the connection, and the connection to
    /// standard output, until the peer closes it. The end of standard input closes only that direction.
    ///
    /// When no knocks are given, HOST is the name of a profile, or the `host` of one. Of several profiles
    /// with that host, the one that waits for PORT is used.
    #[arg(long, conflicts_with = "wait")]
    pub proxy: bool,

    /// List the profiles, without their knocks
    ///
    /// That is their names, their hosts, and the ports that they wait for. Knocks are secrets.
    #[arg(long, exclusive = true)]
    pub list: bool,

    /// Print the manual page, for `man -l -`
    #[arg(long, exclusive = true)]
    pub man: bool,

    /// Print the completions of a shell
    #[arg(long, exclusive = true, value_name = "SHELL")]
    pub completions: Option<Shell>,

    /// A host's name or address, or the name of a profile
    #[arg(value_name = "HOST", required_unless_present_any = ["list", "man", "completions"], value_hint = ValueHint::Hostname)]
    pub host: Option<String>,

    /// The knocks in order; with --proxy the port to connect to comes first
    #[arg(value_name = "KNOCK", allow_negative_numbers = true)]
    pub knocks: Vec<String>,
}
