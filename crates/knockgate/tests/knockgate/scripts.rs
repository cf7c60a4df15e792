//! RouterOS scripts, of which language and meaning are checked.

use crate::program::{Folder, knockgate, run};

/// Commands as an article has them, with a line broken where a page broke it.
const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/article.rsc");

#[test]
fn a_line_broken_inside_a_word_is_told_with_its_mend() {
    let said = run(&mut knockgate(&["check", ARTICLE]), "").expect(1);
    for part in ["error[R007]", "article.rsc:7:146", "place-before=1"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
    let said = run(&mut knockgate(&["check", "--format", "json", ARTICLE]), "").expect(1);
    let json = said.json();
    let broken =
        json["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "R007").unwrap();
    assert_eq!(broken["at"]["line"], 7);
}

#[test]
fn a_script_without_slips_has_no_findings_and_scripts_in_it_are_stepped_over() {
    let folder = Folder::new("scripts");
    for (name, text, code, says) in [
        ("good.rsc", "/ip firewall filter\nadd chain=input action=drop\n", 0, "no findings"),
        ("loop.rsc", ":foreach i in={1;2} do={ :log info $i }\n", 0, "1 warning"),
        ("bad.rsc", "/ip firewall filter add chain=input colour=red\n", 1, "1 error"),
    ] {
        let path = folder.write(name, text);
        let said = run(&mut knockgate(&["check", &path]), "").expect(code);
        assert!(said.stdout.contains(says), "{says} in {said:#?}");
    }
}

#[test]
fn no_finding_shows_a_password() {
    let folder = Folder::new("passwords");
    let text =
        "/ppp secret\nadd name=x password=hunter2 hunter2 [\nadd name=y secret=\"hunter2\" \\\n  name=z\n";
    let path = folder.write("ppp.rsc", text);
    for format in ["text", "json"] {
        let said = run(&mut knockgate(&["check", "--format", format, &path]), "").expect(1);
        assert!(!said.stdout.contains("hunter") && !said.stderr.contains("hunter"), "{said:#?}");
        assert!(said.stdout.contains("R037") || said.stderr.contains("R037"), "{said:#?}");
    }
}
