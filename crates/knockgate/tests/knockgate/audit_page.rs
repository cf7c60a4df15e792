//! `knockgate audit`, and its page in a browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::browser;
use crate::compile::examples;
use crate::program::{Folder, Said, knockgate, run};

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// A policy of one door with as many knocks as there can be.
fn sixteen() -> String {
    let knocks: Vec<String> = (0..16).map(|index| format!("\"{}/tcp\"", 20_011 + 1_733 * index)).collect();
    format!("outside = \"eth0\"\n[door.a]\nknock = [{}]\nopens = \"22/tcp\"\n", knocks.join(", "))
}

/// What is audited here: a name and a text each.
fn texts() -> Vec<(String, String)> {
    let examples = examples().into_iter().map(|(path, text)| {
        let name = PathBuf::from(path).file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        (name, text)
    });
    examples.chain([("sixteen".to_owned(), sixteen())]).collect()
}

/// It was audited, with or without findings of the worst kind.
#[track_caller]
fn audited(arguments: &[&str]) -> Said {
    let said = run(&mut knockgate(&[&["audit"], arguments].concat()), "");
    let code = said.code.filter(|code| *code < 2).unwrap_or_default();
    said.expect(code)
}

#[test]
fn the_exit_status_tells_of_findings_of_the_worst_kind() {
    let folder = Folder::new("audit-status");
    for (name, text) in texts() {
        let path = folder.write(&format!("{name}.toml"), text);
        let said = audited(&["--format", "json", &path]);
        let json = said.json();
        let worst = json["worst"] == "high";
        assert_eq!(said.code, Some(i32::from(worst)), "{name}");
        assert!(json["doors"].as_array().is_some_and(|doors| !doors.is_empty()), "{name}: {json}");
    }
}

#[test]
fn a_terminal_of_eighty_columns_is_wide_enough() {
    let folder = Folder::new("audit-text");
    for (name, text) in texts() {
        let said = audited(&[&folder.write(&format!("{name}.toml"), text)]);
        let long: Vec<&str> = said.stdout.lines().filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(long.is_empty() && said.stdout.contains("The gateway"), "{name}: {long:#?}");
    }
}

#[test]
fn every_claim_is_shown_by_its_packets() {
    let folder = Folder::new("audit-prove");
    for (name, text) in texts() {
        let said = audited(&["--prove", "--format", "json", &folder.write(&format!("{name}.toml"), text)]);
        let json = said.json();
        let proofs = json["proofs"].as_array().expect("proofs");
        let not_shown: Vec<_> = proofs.iter().filter(|proof| proof["shown"] != true).collect();
        assert!(!proofs.is_empty() && not_shown.is_empty(), "{name}: {not_shown:#?}");
    }
}

#[test]
fn a_browser_shows_the_pages_of_real_policies_at_every_width() {
    if !browser::can_be_run() {
        return;
    }
    let folder = browser::Folder::new("audit-pages");
    let pages: Vec<PathBuf> = texts()
        .into_iter()
        .map(|(name, text)| {
            let policy = folder.path().join(format!("{name}.toml"));
            let page = policy.with_extension("html");
            fs::write(&policy, text).expect("a folder of ours");
            audited(&["--html", page.to_str().expect("UTF-8"), policy.to_str().expect("UTF-8")]);
            let mode = fs::metadata(&page).expect("a page").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "the knocks are in {}", page.display());
            page
        })
        .collect();
    for look in browser::look(&pages) {
        assert!(look.wrong.is_empty(), "{} at {}: {:#?}", look.page.display(), look.width, look.wrong);
        assert!(look.states > 0 && look.plots > 0, "{look:?}");
    }
}
