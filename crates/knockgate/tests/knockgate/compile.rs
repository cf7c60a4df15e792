//! `knockgate compile`, `explain` and `schema`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use knockgate_compiler::diag::CATALOGUE;
use knockgate_compiler::frontend::toml::parse;
use serde_json::Value;

use crate::bad_policies::doors;
use crate::gateway::can_be_run;
use crate::program::{knockgate, run};

/// Every example policy: its path and its text.
pub fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found = vec![];
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).expect("a readable example");
            found.push((path.to_str().expect("UTF-8").to_owned(), text));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are no examples in {}", folder.display());
    found
}

#[test]
fn every_example_compiles_the_same_each_time() {
    for (path, text) in examples() {
        let once = run(&mut knockgate(&["compile", &path]), "").expect(0);
        let again = run(&mut knockgate(&["compile", "-", "--to", "nft"]), &text).expect(0);
        assert!(once.stdout.starts_with("table inet knockgate {\n"), "{path}");
        assert_eq!(once.stdout, again.stdout, "{path}");
    }
}

#[test]
fn nft_takes_what_every_example_compiles_to() {
    if !can_be_run(&["unshare", "nft"]) {
        return;
    }
    let mut texts = examples();
    texts.push(("300 doors".to_owned(), doors(300)));
    for (path, text) in texts {
        let compiled = run(&mut knockgate(&["compile", "-"]), &text).expect(0).stdout;
        let checked = run(Command::new("unshare").args(["--net", "nft", "--check", "-f", "-"]), &compiled);
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{path}");
    }
}

#[test]
fn a_policy_with_errors_is_not_compiled() {
    let said = run(&mut knockgate(&["compile", "-"]), "outside = 3\n").expect(1);
    assert!(said.stdout.is_empty() && said.stderr.contains("error[P003]"), "{said:#?}");
}

#[test]
fn warnings_do_not_mix_with_the_ruleset() {
    let text = "outside = \"eth0\"\n[door.a]\nknock = [\"1/tcp\", \"2/tcp\", \"3/tcp\"]\nopens = \"22/tcp\"\ngrant = \"1h\"\n";
    let said = run(&mut knockgate(&["compile", "-"]), text).expect(0);
    assert!(said.stdout.starts_with("table inet knockgate {\n") && !said.stdout.contains("P040"));
    assert!(said.stderr.contains("warning[P040]"), "{said:#?}");
}

/// `examples/home.toml` as a router can have it.
fn for_a_router() -> String {
    let home = examples().into_iter().find(|(path, _)| path.ends_with("/home.toml")).expect("an example").1;
    format!("defaults.wrong = \"cooldown 10s\"\n{home}")
}

#[test]
fn scripts_for_routers_come_with_warnings_of_what_they_say_less_exactly() {
    let said = run(&mut knockgate(&["compile", "-", "--to", "routeros"]), &for_a_router()).expect(0);
    assert!(said.stdout.contains("\n/ip firewall filter\nadd chain=knockgate-input "), "{said:#?}");
    assert!(said.stderr.contains("warning: what nobody is granted goes on to the router's own rules"));
    let drops = run(&mut knockgate(&["compile", "-", "--to", "routeros", "--final-drop"]), &for_a_router());
    let drops = drops.expect(0);
    assert!(drops.stdout.contains("comment=\"knockgate: everything else from outside\""));
    let dropped = "everything else from outside is dropped before the router's own rules";
    assert!(drops.stderr.contains(&format!("warning: {dropped}")), "{drops:#?}");
    assert!(drops.stdout.contains(&format!("\n# Note: {dropped}")), "{drops:#?}");
}

#[test]
fn a_script_takes_away_what_another_one_adds() {
    let arguments = ["compile", "-", "--to", "routeros", "--ros", "6", "--uninstall"];
    let said = run(&mut knockgate(&arguments), &for_a_router()).expect(0);
    assert!(said.stdout.contains("/ip firewall filter remove [find comment=\"knockgate: enter input\"]\n"));
    assert!(!said.stdout.contains("add ") && said.stderr.is_empty(), "{said:#?}");
    // It is the same for every policy, also for those that no script can be made of.
    let resets = for_a_router().replace("cooldown 10s", "reset");
    assert_eq!(run(&mut knockgate(&arguments), &resets).expect(0).stdout, said.stdout);
    let alone = ["compile", "--to", "routeros", "--ros", "6", "--uninstall"];
    assert_eq!(run(&mut knockgate(&alone), "").expect(0).stdout, said.stdout);
    run(&mut knockgate(&["compile", "--to", "routeros"]), "").expect(2);
}

#[test]
fn what_a_router_cannot_say_is_refused_with_a_way_out() {
    let text = for_a_router().replace("cooldown 10s", "reset");
    let said = run(&mut knockgate(&["compile", "-", "--to", "routeros"]), &text).expect(1);
    assert!(said.stdout.is_empty() && said.stderr.matches("error[R030]").count() == 1, "{said:#?}");
    assert!(said.stderr.contains("wrong = \"cooldown 10s\""), "{said:#?}");
}

#[test]
fn options_of_one_target_are_not_for_another() {
    let said = run(&mut knockgate(&["compile", "-", "--final-drop"]), &for_a_router()).expect(2);
    assert!(said.stderr.contains("--to routeros"), "{said:#?}");
}

#[test]
fn every_code_is_explained() {
    let list = run(&mut knockgate(&["explain"]), "").expect(0).stdout;
    assert_eq!(list.lines().count(), CATALOGUE.len());
    for entry in CATALOGUE {
        let code = entry.code.as_str();
        assert!(list.contains(&format!("{code}  {}\n", entry.title)), "{code} is not listed");
        let text = run(&mut knockgate(&["explain", &code.to_lowercase()]), "").expect(0).stdout;
        assert!(
            text.starts_with(&format!("{code}: {}\n\n", entry.title)) && !text.contains('\x1b'),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 200), "{text}");
        if entry.wrong.is_some() {
            assert!(text.contains(&format!("[{code}]: ")), "{code} is not shown at work:\n{text}");
        }
        let json = run(&mut knockgate(&["explain", code, "--format", "json"]), "").expect(0).json();
        assert_eq!(json["code"], code);
    }
    let unknown = run(&mut knockgate(&["explain", "P999"]), "").expect(2);
    assert!(unknown.stderr.contains("`knockgate explain` lists them all"), "{unknown:#?}");
}

/// The keys of each table that a schema names, under the heading that they stand under.
fn keys_of(schema: &Value, heading: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "an unknown key in `{heading}` is an error");
    for (key, property) in properties {
        assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{heading}.{key}");
        found.entry(heading.to_owned()).or_default().insert(key.clone());
        keys_of(property, key, found);
        keys_of(&property["additionalProperties"], &format!("{key}.name"), found);
    }
}

#[test]
fn the_schema_names_the_keys_that_a_policy_can_have_and_no_others() {
    let schema = run(&mut knockgate(&["schema"]), "").expect(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut tables = BTreeMap::new();
    keys_of(&schema, "", &mut tables);
    let headings = ["", "defaults", "door.name", "log", "metrics", "restart", "traps"];
    assert_eq!(tables.keys().map(String::as_str).collect::<Vec<_>>(), headings);
    for (heading, keys) in &tables {
        let under = if heading.is_empty() { String::new() } else { format!("[{heading}]\n") };
        // An unknown key is refused with a list of those there are.
        let (_, findings) = parse(&format!("{under}quite-another = 1\n"));
        let help = findings[0].help.concat();
        let named: BTreeSet<String> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(&named, keys, "under `{heading}`");
        for key in keys {
            let (_, findings) = parse(&format!("{under}{key} = 1979-05-27\n"));
            let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
            assert_eq!(codes, ["P003"], "`{key}` under `{heading}` is known");
        }
    }
}
