//! The command line: what is asked for, and how it is answered.

mod apply;
mod audit;
mod check;
mod compile;
mod explain;
mod import;
mod init;
mod input;
mod namespaces;
mod output;
mod place;
mod rehearse;
mod schema;
mod shell;
mod simulate;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;

/// Hides the services of a gateway behind a knock.
///
/// Port knocking keeps services out of sight. It never replaces encryption and strong passwords.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = "Exit status: 0 fine, 1 findings, 2 could not do it.")]
struct Cli {
    #[command(flatten)]
    output: output::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented policy with a random sequence
    Init(init::Options),
    /// Make a policy of the doors in a RouterOS script
    Import(import::Options),
    /// Say what is wrong with a policy or a RouterOS script
    Check(check::Options),
    /// Say in numbers how strong doors are
    Audit(audit::Options),
    /// Print what a target would run
    Compile(compile::Options),
    /// Play packets through a policy and say what becomes of each
    Simulate(simulate::Options),
    /// Play attacks and knocks in throw-away namespaces on this kernel
    Rehearse(rehearse::Options),
    /// Put a policy in force on this machine
    Apply(apply::ApplyOptions),
    /// Take everything of ours away from this machine
    Remove(apply::RemoveOptions),
    /// Show doors, grants and bans
    Status(status::Options),
    /// Type RouterOS firewall commands, and see what they mean
    Shell(shell::Options),
    /// Tell more of a code such as P010
    Explain(explain::Options),
    /// Print the JSON schema of policies, for editors
    Schema(schema::Options),
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
        Command::Remove(options) => apply::remove(&options, &output),
        Command::Status(options) => status::run(&options, &output),
        Command::Shell(options) => shell::run(&options, &output),
        Command::Explain(options) => explain::run(&options, &output),
        Command::Schema(options) => schema::run(&options, &output),
    };
    match answer {
        Ok(answer) => answer.into(),
        Err(error) => output.failure(&error),
    }
}
