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

#[test]
fn a_script_without_rules_is_told_of() {
    for script in ["", "# nothing\n", "/ip firewall address-list add list=a address=192.0.2.1\n"] {
        let said = run(&mut knockgate(&["import", "-"]), script).expect(2);
        assert!(said.stderr.contains("no rules in ") && !said.stderr.contains("policy:"), "{said:#?}");
    }
}

#[test]
fn remarks_are_told_together_and_not_without_end() {
    let folder = Folder::new("import-remarks");
    let path = folder.path().join("policy.toml");
    let path = path.to_str().expect("a path in UTF-8");
    let add = "/ip firewall filter add chain=input in-interface=ether1";
    let mut script = format!(
        "{add} action=add-src-to-address-list protocol=tcp dst-port=1001 address-list=one address-list-timeout=10s
{add} action=add-src-to-address-list protocol=tcp dst-port=1002 src-address-list=one address-list=in address-list-timeout=1m
{add} action=accept protocol=tcp dst-port=22 src-address-list=in
{add} action=accept protocol=icmp
{add} action=accept protocol=icmp
"
    );
    for nth in 0..60 {
        script += &format!("{add} action=accept protocol=tcp dst-port=25 src-address=10.{nth}.0.0/16\n");
    }
    script += &format!("{add} action=drop\n");
    let said = run(&mut knockgate(&["import", "-", "-o", path]), &script).expect(0);
    assert!(said.stderr.contains("not in the policy: lines 4, 5: it lets pings in"), "{said:#?}");
    assert_eq!(said.stderr.matches("services that no door has").count(), 39, "{said:#?}");
    assert!(said.stderr.contains("and 21 more, in the file"), "{said:#?}");
    let text = fs::read_to_string(path).expect("a policy");
    assert!(text.contains("10.59.0.0/16"), "{text}");
}
