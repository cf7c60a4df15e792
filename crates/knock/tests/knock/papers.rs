//! The manual page and the completions, held against the program that they are of.

use std::fs;

use crate::bounded::{expect_code, run};
use crate::knock;

/// The page as it is kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/knock.1");

#[test]
fn the_manual_page_says_what_the_command_line_defines() {
    let output = run(knock().arg("--man"));
    let (made, _) = expect_code(&output, 0);
    let kept = fs::read_to_string(KEPT).expect("the page");
    let other = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(made == kept, "docs/man/knock.1 is out of date: run `make man`; first {other:?}");
}

#[test]
fn papers_are_printed_alone() {
    for line in ["--man 127.0.0.1 9/udp", "--completions bash 127.0.0.1 9/udp", "--completions shrubbery"] {
        let output = run(knock().args(line.split_whitespace()));
        let (stdout, _) = expect_code(&output, 2);
        assert_eq!(stdout, "", "{line}");
    }
}

#[cfg(unix)]
#[test]
fn bash_completes_options_and_their_values() {
    use std::path::Path;
    use std::process::Command;

    use crate::bounded::Folder;

    let binary = Path::new(env!("CARGO_BIN_EXE_knock"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().expect("a folder").display());
    let folder = Folder::new("completions");
    let output = run(knock().args(["--completions", "bash"]));
    fs::write(folder.join("knock.bash"), expect_code(&output, 0).0).expect("a folder of ours");
    let keys = "unset HISTFILE; source ./knock.bash\nknock --vers\t\nknock --comp\tfi\t\nexit\n";
    fs::write(folder.join("keys"), keys).expect("a folder of ours");
    let mut bash = Command::new("sh");
    bash.args(["-c", "bash --noprofile --norc -i <keys"]).current_dir(folder.path()).env_clear();
    let output = run(bash.env("PATH", path).env("TERM", "dumb").env("INPUTRC", "/dev/null"));
    let (stdout, stderr) = expect_code(&output, 0);
    for shown in [concat!("knock ", env!("CARGO_PKG_VERSION"), "\n"), "complete -c knock "] {
        assert!(stdout.contains(shown), "{shown} in {stdout}{stderr}");
    }
}
