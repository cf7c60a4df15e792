//! The manual page and the completions, held against the program that they are of.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{Folder, KNOCKGATE, Said, knockgate, run};

const POLICY: &str = include_str!("tour/policy.toml");

/// The page as it is kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/knockgate.1");

#[test]
fn the_manual_page_says_what_the_command_line_defines() {
    let made = run(&mut knockgate(&["man"]), "").expect(0).stdout;
    let kept = fs::read_to_string(KEPT).expect("the page");
    let other = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(made == kept, "docs/man/knockgate.1 is out of date: run `make man`; first {other:?}");
}

#[test]
fn every_command_has_its_help_and_its_section() {
    let help = run(&mut knockgate(&["-h"]), "").expect(0).stdout;
    let page = run(&mut knockgate(&["man"]), "").expect(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands.take_while(|line| !line.is_empty()).collect();
    assert!(commands.len() > 10, "{help}");
    for line in commands {
        let (name, about) = line.trim().split_once("  ").unwrap_or_else(|| panic!("{line} says nothing"));
        let begins = about.split_whitespace().next().expect("a word");
        let section = page.contains(&format!("\n.SS {name}\n{begins} "));
        assert!(section || name == "help", "{name} is not in the page");
    }
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    let folder = Folder::new("completions");
    folder.write("policy-of-the-tour.toml", POLICY);
    for (typed, shown) in [
        ("knockgate che\tpolicy-o\t", "policy-of-the-tour.toml: 1 door, no findings\n"),
        (
            "knockgate check --form\tjs\tpolicy-o\t",
            "{\"file\":\"policy-of-the-tour.toml\",\"findings\":[]}\n",
        ),
        ("knockgate compi\t--to r\t--uni\t", "# Takes away all that scripts of Knockgate have added."),
        ("knockgate completions fi\t", "complete -c knockgate "),
    ] {
        let said = typed_in_bash(&folder, typed);
        assert!(said.stdout.contains(shown), "{typed:?}: {said:#?}");
    }
}

/// What bash shows after these keys and a return.
fn typed_in_bash(folder: &Folder, keys: &str) -> Said {
    let script = run(&mut knockgate(&["completions", "bash"]), "").expect(0).stdout;
    folder.write("knockgate.bash", script);
    let programs = Path::new(KNOCKGATE).parent().expect("a folder").display().to_string();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-i"]).current_dir(folder.path()).env_clear();
    bash.env("PATH", format!("{programs}:/usr/bin:/bin")).env("TERM", "dumb").env("INPUTRC", "/dev/null");
    run(&mut bash, &format!("unset HISTFILE; source ./knockgate.bash\n{keys}\nexit\n"))
}

#[test]
fn whoever_closes_the_pipe_has_read_enough() {
    for arguments in ["man", "completions bash", "completions zsh", "completions fish"] {
        let line = format!("\"$0\" {arguments} | true; exit ${{PIPESTATUS[0]}}");
        let said = run(Command::new("bash").args(["-c", &line, KNOCKGATE]), "").expect(0);
        assert_eq!(said.stderr, "", "{arguments}");
    }
}
