//! Programs that end in time, and files of their own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub const KNOCKGATE: &str = env!("CARGO_BIN_EXE_knockgate");

/// Nothing here takes as long, except when it hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The same, when the program ended so and did not crash.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(!self.crashed(), "{self:#?}");
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub fn crashed(&self) -> bool {
        self.stdout.contains("panicked") || self.stderr.contains("panicked")
    }

    /// Standard output as a JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs `command` to its end, which must come in time.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let id = child.id();
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // A program that does not read its input is not at fault.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        drop(tell.send(child.wait_with_output()));
    });
    match told.recv_timeout(LIMIT) {
        Ok(output) => Said::of(&output.expect("a child that can be waited for")),
        Err(_) => {
            drop(Command::new("kill").args(["-KILL", &id.to_string()]).status());
            panic!("{command:?} has not ended after {LIMIT:?}");
        }
    }
}

/// `knockgate` with these arguments.
pub fn knockgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(KNOCKGATE);
    command.args(arguments).env_remove("NO_COLOR").env_remove("RUST_BACKTRACE");
    command
}

/// A child that is ended with the test.
#[derive(Debug)]
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks until the answer is there.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "no {what} after {LIMIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder for one test, empty when it begins.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("a folder of ours");
        }
        fs::create_dir_all(&path).expect("a folder of ours");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and returns its whole path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a folder of ours");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}
