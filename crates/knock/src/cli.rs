//! The command line: the options of knockd's client, and those that it lacks.

use std::time::Duration;

use clap::Parser;
use knock::{WaitPort, parse_duration};

/// Say a port knock, wait for the door, and reach what is behind it.
#[derive(Debug, Parser)]
#[command(
    name = "knock",
    version,
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
    #[arg(short, long)]
    pub verbose: bool,

    /// Milliseconds from one knock to the next [default: 200]; with 0 nothing is waited for
    #[arg(short, long, value_name = "MS")]
    pub delay: Option<u64>,

    /// Make all knocks UDP that name no protocol
    #[arg(short, long)]
    pub udp: bool,

    /// Use IPv4 only
    #[arg(short = '4', long, overrides_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// Send each knock N times [default: 1, in a profile 2]; not to knockd, which takes a repeat for a wrong knock
    #[arg(long, value_name = "N")]
    pub copies: Option<u8>,

    /// Knock until a TCP connection to this port succeeds
    #[arg(long, value_name = "PORT")]
    pub wait: Option<WaitPort>,

    /// How long to wait in all [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub limit: Option<Duration>,

    /// Knock, connect to PORT, and relay standard input and output (for ssh's ProxyCommand)
    #[arg(long, conflicts_with = "wait")]
    pub proxy: bool,

    /// List the profiles, without their knocks
    #[arg(long, exclusive = true)]
    pub list: bool,

    /// A host's name or address, or the name of a profile
    #[arg(value_name = "HOST", required_unless_present = "list")]
    pub host: Option<String>,

    /// The knocks in order; with --proxy the port to connect to comes first
    #[arg(value_name = "KNOCK", allow_negative_numbers = true)]
    pub knocks: Vec<String>,
}
