//! RouterOS scripts, made into policies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{Folder, knockgate, run};

fn recipe(name: &str) -> String {
    format!("{}/../knockgate-compiler/tests/recipes/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_script_becomes_a_policy_that_checks_and_says_where_it_differs() {
    let folder = Folder::new("import");
    let policy = folder.path().join("policy.toml");
    let path = policy.to_str().expect("a path in UTF-8");
    let script = recipe("article.rsc");
    let arguments = ["import", &script, "-o", path, "--interface", "WAN=eth0", "--name", "admin"];
    let said = run(&mut knockgate(&arguments), "").expect(0);
    assert!(said.stderr.contains("article.rsc:7: door admin: THE GRANT OPENS"), "{said:#?}");
    let text = fs::read_to_string(&policy).expect("a policy");
    for part in ["outside = [\"eth0\"]", "[door.admin]", "(line 7)", "wrong = \"ignore\""] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(fs::metadata(&policy).expect("a policy").permissions().mode() & 0o777, 0o600);
    run(&mut knockgate(&["check", path]), "").expect(0);
    let said = run(&mut knockgate(&arguments), "").expect(2);
    assert!(said.stderr.contains("there already"), "{said:#?}");
}

#[test]
fn a_policy_is_printed_or_told_as_json() {
    let script = recipe("chain.rsc");
    let said = run(&mut knockgate(&["import", &script, "--interface", "outside=ppp*"]), "").expect(0);
    assert!(said.stdout.contains("outside = [\"ppp*\"]"), "{said:#?}");
    let said = run(&mut knockgate(&["--format", "json", "import", &script]), "").expect(0);
    let json = said.json();
    assert_eq!(json["doors"][0]["name"], "letin");
    assert!(json["policy"].as_str().is_some_and(|policy| policy.contains("[door.letin]")));
}

#[test]
fn a_script_without_doors_makes_no_policy_and_says_why() {
    let said = run(&mut knockgate(&["import", &recipe("unlifted.rsc")]), "").expect(2);
    for part in ["unlifted.rsc:4: not in the policy: it asks for `content=opensesame`", "no door was found"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
    run(&mut knockgate(&["import", "-"]), "/ip firewall filter add chain=input colour=red\n").expect(1);
    run(&mut knockgate(&["import", "-", "--interface", "WAN"]), "").expect(2);
    run(&mut knockgate(&["import", "-", "--name", "My Door"]), "").expect(2);
}
