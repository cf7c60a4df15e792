//! What a program costs: a clock beside it, and the kernel's account of it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use knockgate::lab::Namespace;

/// What one run of a program took, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// By the clock.
    pub wall: f64,
    /// Of a processor, in the program itself and in those that it runs.
    pub user: f64,
    /// Of a processor, in the kernel on their behalf.
    pub kernel: f64,
}

/// Runs a program inside `namespace`, and takes its time. It is to end with one of the exit statuses `fine`.
pub fn time(
    namespace: &Namespace,
    program: &Path,
    arguments: &[&str],
    fine: &'static [i32],
) -> anyhow::Result<Took> {
    // The shell's `time` reads what the kernel has counted for its children (`man 2 getrusage`).
    let script = "TIMEFORMAT='%3R %3U %3S'; time \"$@\" > /dev/null 2>&1";
    let mut shell = Command::new("bash");
    shell.args(["-c", script, "bash"]).arg(program).args(arguments);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = namespace.run(move || shell.output())?;
    let said = format!("{} {}", program.display(), arguments.join(" "));
    let status = output.status.code().with_context(|| format!("`{said}` was killed"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(fine.contains(&status), "`{said}` ended with {status}: {text}");
    let last = text.lines().last().context("the shell says what it took")?;
    let numbers = last.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [wall, user, kernel] = numbers[..] else { anyhow::bail!("not three times: {last}") };
    Ok(Took { wall, user, kernel })
}
