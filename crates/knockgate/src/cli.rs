//! The command line: what is asked for, and how it is answered.

mod apply;
mod audit;
mod check;
mod compile;
mod completions;
mod doctor;
mod explain;
mod hand;
mod import;
mod in_force;
mod init;
mod input;
mod keep;
mod list;
mod listed;
mod log;
mod man;
mod metrics;
mod namespaces;
mod output;
mod place;
mod rehearse;
mod restart;
mod schema;
mod shell;
mod simulate;
mod status;
mod traffic;
mod trial;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use knockgate::moment;

use output::Output;

/// Hide the services of a gateway behind a knock.
///
/// Port knocking keeps services out of sight. It never replaces encryption and strong passwords.
#[derive(Debug, Parser)]
#[command(
    version,
    help_expected = true,
    max_term_width = 100,
    after_help = "Exit status: 0 fine, 1 findings, 2 could not do it."
)]
struct Cli {
    #[command(flatten)]
    output: output::Options,
    #[command(subcommand)]
    command: Command,
}

/// The first paragraph of each is its line in `--help`; all of them are its help, and its part of the manual page.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented policy with a random sequence
    ///
    /// There are traps on both sides of the sequence. The file is readable by its owner alone. On a
    /// terminal, the outside interface and the service are asked for. The default gateways and the
    /// resolvers of this machine are written to `exempt`.
    Init(init::Options),
    /// Make a policy of the doors in a RouterOS script
    ///
    /// Find the doors, traps, public ports and allowed sources in firewall rules such as `/export`
    /// prints them, and write the policy that means the same. Rules are followed through their chains,
    /// so their order and names do not matter.
    ///
    /// Where a policy cannot say what a rule says, a comment that begins with `!` stands at the place,
    /// and a warning with the script's line is printed. At the end of the policy, comments list the rules
    /// that are no part of it, and why. A door that a policy cannot have is written as a comment. Look the
    /// policy over before you apply it, the services behind a door first of all: many scripts open every
    /// port.
    Import(import::Options),
    /// Say what is wrong with a policy or a RouterOS script
    ///
    /// Tell everything that is wrong, with its place, a code, and a way out. Needs no root.
    Check(check::Options),
    /// Say in numbers how strong doors are
    ///
    /// For each door: how likely a scan opens it by accident, what it costs to open it for someone who does
    /// not know the knocks, the cheapest way in for someone who does, who can shut the owner out, who gets in
    /// with the owner, what a listener learns, what goes around it, and what would raise its strength. For the
    /// gateway: what is open without a knock, and which lists strangers can fill. Figures are exact
    /// where they can be counted; others are played in the simulator, with their standard error.
    ///
    /// Needs no root, but for `--lab` where the system keeps user namespaces from users. What is printed
    /// holds the knocks. docs/audit.md says what the numbers mean.
    Audit(audit::Options),
    /// Print what a target would run
    ///
    /// That is the ruleset, as `apply` loads it where no policy is in force; or, for a MikroTik router, a
    /// script to be imported there. A router's rules never take a source off a list, so the script needs
    /// doors with `wrong` set to a cooldown or to `ignore`; anything that they cannot say is refused by
    /// name. What they say less exactly is told as a warning.
    ///
    /// The script can be imported again, in this form or another one: the rules of before stay in force
    /// until the new ones are there.
    Compile(compile::Options),
    /// Play packets through a policy and say what becomes of each
    ///
    /// Say also which rule decides, and what the packet changes. The manual page tells how packets are
    /// written, under TRACES.
    Simulate(simulate::Options),
    /// Play attacks and knocks in throw-away namespaces on this kernel
    ///
    /// Build a gateway, an owner, a stranger and a host behind in namespaces that end with the command,
    /// and apply the policy to the gateway there, with its durations shortened to 2 seconds at most.
    /// Play sweeps, `nmap` if it is installed, right, wrong and slow knocks, a replay, the traps, the end
    /// of a grant, and a connection that outlives it. At most four doors are tried one by one.
    ///
    /// Print what happened beside what the simulator foretold. Nothing outside those namespaces is
    /// changed. Works without root where the system allows unprivileged user namespaces.
    Rehearse(rehearse::Options),
    /// Put a policy in force on this machine
    ///
    /// This machine is the network namespace of the command. It is done in one transaction, in a table of
    /// its own, `inet knockgate`; no other table is touched. Grants and bans are kept. If the policy is in force
    /// already, nothing is changed. What the kernel or `nft` lacks is named. Needs root.
    ///
    /// The policy is on trial. It takes itself back after a minute, to what was in force before, unless
    /// `knockgate confirm` comes in time. It does so even if the terminal, the session and the command itself
    /// are gone. While a trial runs, every other `apply` is refused. The address that the ssh session of the
    /// command comes from may open new connections to the port of that session for as long as the trial runs.
    Apply(apply::ApplyOptions),
    /// Keep the policy that is on trial
    ///
    /// Also after a restart. It must be run over a new ssh connection that this policy let in: a connection
    /// that is older than the policy, that was let in only because of the trial, or that comes from the
    /// machine itself, shows nothing and is refused. Which connection it is run over is told by
    /// `SSH_CONNECTION` of the command or of one of its ancestors. Needs root.
    Confirm(trial::ConfirmOptions),
    /// Take the policy that is on trial back at once
    ///
    /// To what was in force before. Needs root.
    Rollback(trial::RollbackOptions),
    /// Save bans, grants and counters for the next start
    ///
    /// Save who is banned, granted and allowed by hand, with reasons and the time that is left, what traps
    /// remember, and what rules have counted. Where nothing is in force, what was saved before stays.
    /// Only the network namespace that the machine starts with is saved. Needs root.
    Save(restart::SaveOptions),
    /// Put in force what was confirmed last, as after a restart
    ///
    /// The rules come first. Then bans are put back, and who is allowed by hand, with the time that is left
    /// since they were saved; grants only if the policy says so under `[restart]`. Rules go on counting where
    /// the same ones were saved. If rules of ours are in force already, their lists stay as they are. The
    /// exit status is 1 if the rules are in force, but what was saved of lists is damaged. Needs root, but no
    /// network.
    Restore(restart::RestoreOptions),
    /// Take the policy on trial back when its time is up
    #[command(hide = true)]
    Watchdog(trial::WatchdogOptions),
    /// Keep the rules in force, and tell what happens
    ///
    /// Runs until it is ended, as a service does. When another program changes or removes the rules, they are put
    /// in force again at once, ever later if that happens again and again; with `if-changed = "alarm"` in the
    /// policy, it is only told. While a policy is on trial, nothing is mended. Grants and bans that knocks and traps
    /// made go into the log that the policy names under `[log]`, or to standard error where there is none; numbers
    /// are given away as it says under `[metrics]`. Doors open and close without this command. Needs root.
    Keep(keep::Options),
    /// Take everything of ours away from this machine
    ///
    /// That is the table, all notes of it, and what was confirmed. Needs root.
    Remove(apply::RemoveOptions),
    /// Show doors, grants and bans
    ///
    /// Show the policy in force, its doors, and which sources are granted, knocking, banned and allowed by
    /// hand, until when and why; sets that are not empty, with how full they are and how many packets found no
    /// room there; and what rules have counted since they were loaded, with `--rate` also in a second. Knocks are secrets and are not shown. Tell if somebody else has changed the
    /// rules since they were applied. Takes no longer however many sources are banned. Needs root.
    Status(status::Options),
    /// Watch doors, knocks, grants and bans as they come and go
    ///
    /// A live view of the whole terminal: doors and who holds their grants, knocks as they come in and how far
    /// each source is, grants and bans with the time that they have left, packets a second, and how full lists are. Keys
    /// revoke, ban, unban, filter and sort; `?` shows them. Where standard output is no terminal, or with `--plain`, a
    /// line for each thing that happens. Knocks are secrets and are not shown. Costs the same however
    /// many sources are listed. Needs root.
    Watch(watch::Options),
    /// Say what on this machine works against a policy
    Doctor(doctor::Options),
    /// Let an address in at a door, as if it had knocked
    Grant(hand::GrantOptions),
    /// Take grants of an address back
    ///
    /// At every door, or at that of `--door`. Connections that have begun go on, unless `--cut` is given.
    Revoke(hand::RevokeOptions),
    /// Keep an address or a network out
    ///
    /// Also from public ports. An IPv6 address stands for its /64. A live grant outranks a ban, and connections
    /// that have begun go on. A source that the policy allows or exempts, that is allowed by hand, or that this ssh
    /// session comes from, is refused. A ban takes the place of an earlier one of the same source, and of shorter
    /// ones inside it; it is refused where a longer one is inside it.
    Ban(hand::BanOptions),
    /// Take bans of an address or a network back
    ///
    /// Bans of traps and by hand, and what traps remember of these sources.
    Unban(hand::UnbanOptions),
    /// Let an address or a network in at every door
    ///
    /// Without knocks; it is never banned either.
    Allow(hand::AllowOptions),
    /// Take that back
    Disallow(hand::DisallowOptions),
    /// Show who is on which list
    ///
    /// Or everything that is known of an address. Of a script, show its lists. Needs root.
    List(list::Options),
    /// Print numbers of what is in force, for Prometheus
    ///
    /// How many sources are granted, knocking and banned, how full sets are, what rules have counted by what it
    /// means, and whether somebody changed the rules or a policy is on trial. No address and no knock is among
    /// them. Takes no longer however many sources are banned. docs/monitoring.md has them all. Needs root.
    Metrics(metrics::Options),
    /// Type RouterOS firewall commands, and see what they mean
    ///
    /// Its `help` tells the words of this shell, and so does the manual page, under SHELL.
    Shell(shell::Options),
    /// Tell more of a code such as P010
    ///
    /// Give the reason, and an example if there is one.
    Explain(explain::Options),
    /// Print the JSON schema of policies, for editors
    Schema(schema::Options),
    /// Print the manual page, for `man -l -`
    Man(man::Options),
    /// Print the completions of a shell
    ///
    /// They go into a file that the shell looks for: `knockgate` in
    /// `~/.local/share/bash-completion/completions`, `_knockgate` in a folder of zsh's `$fpath`, or
    /// `knockgate.fish` in `~/.config/fish/completions`.
    Completions(completions::Options),
}

/// Runs the command that the process was asked for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.output);
    let answer = match cli.command {
        Command::Init(options) => init::run(&options, &output),
        Command::Import(options) => import::run(&options, &output),
        Command::Check(options) => check::run(&options, &output),
        Command::Audit(options) => audit::run(&options, &output),
        Command::Compile(options) => compile::run(&options, &output),
        Command::Simulate(options) => simulate::run(&options, &output),
        Command::Rehearse(options) => rehearse::run(&options, &output),
        Command::Apply(options) => apply::apply(&options, &output),
        Command::Confirm(options) => trial::confirm(&options, &output),
        Command::Rollback(options) => trial::roll_back(&options, &output),
        Command::Save(options) => restart::save(&options, &output),
        Command::Restore(options) => restart::restore(&options, &output),
        Command::Watchdog(options) => trial::watchdog(&options),
        Command::Keep(options) => keep::run(&options, &output),
        Command::Remove(options) => apply::remove(&options, &output),
        Command::Status(options) => status::run(&options, &output),
        Command::Watch(options) => watch::run(&options, &output),
        Command::Doctor(options) => doctor::run(&options, &output),
        Command::Grant(options) => hand::grant(&options, &output),
        Command::Revoke(options) => hand::revoke(&options, &output),
        Command::Ban(options) => hand::ban(&options, &output),
        Command::Unban(options) => hand::unban(&options, &output),
        Command::Allow(options) => hand::allow(&options, &output),
        Command::Disallow(options) => hand::disallow(&options, &output),
        Command::List(options) => list::run(&options, &output),
        Command::Metrics(options) => metrics::run(&options, &output),
        Command::Shell(options) => shell::run(&options, &output),
        Command::Explain(options) => explain::run(&options, &output),
        Command::Schema(options) => schema::run(&options, &output),
        Command::Man(options) => man::run(&options, &output),
        Command::Completions(options) => completions::run(&options, &output),
    };
    match answer {
        Ok(answer) => answer.into(),
        Err(error) => output.failure(&error),
    }
}
