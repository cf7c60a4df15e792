//! `knockgate confirm` and `rollback`, and who watches over a trial.

use clap::Args;
use knockgate::logbook::Entry;
use knockgate::session;
use knockgate::target::nft::trial::{self, Ended, Running, Why};
use serde_json::{Value, json};

use super::log;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct ConfirmOptions {
    /// Confirm from a console, which does not show that the policy lets anybody in
    #[arg(long)]
    local: bool,
}

#[derive(Debug, Args)]
pub struct RollbackOptions {}

#[derive(Debug, Args)]
pub struct WatchdogOptions {
    /// The trial
    id: String,
}

pub fn confirm(options: &ConfirmOptions, output: &Output) -> anyhow::Result<Answer> {
    let name = trial::confirm(session::of_this_process(), options.local)?;
    log::write(log::policy_in_force().as_ref(), Entry::Confirmed { policy: name.clone() }, output);
    if options.local {
        output.warn("confirmed from here, so nothing shows that the policy lets you in over the network");
    }
    if output.is_json() {
        output.print_json(&json!({ "confirmed": name }))?;
    } else {
        output.print(&format!("{name}: confirmed\n"))?;
    }
    Ok(Answer::Fine)
}

pub fn roll_back(_: &RollbackOptions, output: &Output) -> anyhow::Result<Answer> {
    let before = log::policy_in_force();
    let Some((name, now)) = trial::roll_back()? else {
        anyhow::bail!("no policy is on trial; `knockgate remove` takes away what is in force")
    };
    let entry = Entry::TakenBack { policy: name.clone(), why: Why::Asked.words(), now: now.clone() };
    log::write(log::policy_in_force().or(before).as_ref(), entry, output);
    if output.is_json() {
        output.print_json(&json!({ "taken_back": name, "in_force": now }))?;
    } else {
        let now = now.map_or_else(|| "nothing is in force".to_owned(), |now| format!("{now} is in force"));
        output.print(&format!("{name} was taken back; {now}\n"))?;
    }
    Ok(Answer::Fine)
}

pub fn watchdog(options: &WatchdogOptions) -> anyhow::Result<Answer> {
    trial::watch(&options.id);
    Ok(Answer::Fine)
}

/// A trial that runs, for programs.
pub fn as_json(running: &Running) -> Value {
    json!({
        "policy": running.name,
        "process": running.process,
        "from": running.session.map(|session| session.remote.to_string()),
        "until": running.until_s,
        "left_s": running.left_s,
    })
}

/// What to do about a trial that runs, for people.
pub fn how_to_confirm(running: &Running) -> String {
    let Running { until, left_s, .. } = running;
    format!(
        "it takes itself back at {until}, in {left_s} s, unless you open a new connection and run there: \
         knockgate confirm\nto take it back at once: knockgate rollback\n"
    )
}

/// What there is to tell of trials.
#[derive(Debug)]
pub struct Trials {
    running: Option<Running>,
    ended: Option<Ended>,
    trouble: Option<String>,
}

impl Trials {
    pub fn look() -> anyhow::Result<Self> {
        Ok(Self { running: trial::running()?, ended: trial::ended()?, trouble: trial::trouble()? })
    }

    /// Whether a policy that should be taken back could not be.
    pub fn is_stuck(&self) -> bool {
        self.trouble.is_some()
    }

    /// The trial that runs, if one does.
    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub fn as_text(&self) -> String {
        let Self { running, ended, trouble } = self;
        let running =
            running.as_ref().map(|running| format!("\x1b[33m{running}\x1b[0m\n{}", how_to_confirm(running)));
        let trouble =
            trouble.as_ref().map(|why| format!("\x1b[31mtaking it back failed so far: {why}\x1b[0m\n"));
        let ended = ended.as_ref().map(|ended| format!("\x1b[33m{ended}\x1b[0m\n"));
        [ended, running, trouble].into_iter().flatten().collect()
    }

    pub fn as_json(&self) -> Value {
        json!({
            "running": self.running.as_ref().map(as_json),
            "ended": self.ended.as_ref().map(ToString::to_string),
            "trouble": self.trouble,
        })
    }
}
