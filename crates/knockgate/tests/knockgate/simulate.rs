//! `knockgate simulate`.

use serde_json::Value;
use snapbox::{assert_data_eq, file};

use crate::program::{Folder, Said, knockgate, run};

const POLICY: &str = include_str!("tour/policy.toml");
const TRACE: &str = include_str!("tour/packets.trace");

/// `test` tells the folders of tests apart that run at the same time.
fn simulate(test: &str, trace: &str, more: &[&str]) -> Said {
    let folder = Folder::new(&format!("simulate-{test}"));
    folder.write("policy.toml", POLICY);
    let arguments = [&["simulate", "policy.toml", "-"], more].concat();
    run(knockgate(&arguments).current_dir(folder.path()), trace)
}

#[test]
fn the_tour_is_told_as_text() {
    let said = simulate("text", TRACE, &[]).expect(0);
    assert!(!said.stdout.contains('\x1b') && said.stderr.is_empty(), "{said:#?}");
    assert_data_eq!(said.stdout, file!["tour/expected.txt"]);
}

#[test]
fn the_tour_is_told_as_json() {
    let said = simulate("json", TRACE, &["--format", "json"]).expect(0);
    let lines: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let packets = TRACE.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(lines.len(), packets.count());
    for line in &lines {
        let object = line.as_object().expect("an object");
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        assert_eq!(keys, ["time", "source", "packet", "verdict", "rule", "line", "changes"]);
        assert!(["accept", "drop", "reject"].contains(&line["verdict"].as_str().expect("a text")), "{line}");
        for key in ["time", "source", "packet", "rule"] {
            assert!(line[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {line}");
        }
        assert!(
            line["line"].is_null() || line["line"].as_u64().is_some_and(|n| (1..10).contains(&n)),
            "{line}"
        );
        for change in line["changes"].as_array().expect("a list") {
            assert!(change["change"].is_string(), "{line}");
        }
    }
    assert_data_eq!(said.stdout, file!["tour/expected.jsonl": Text]);
}

#[test]
fn colours_are_for_terminals_and_who_asks_for_them() {
    assert!(simulate("colour", TRACE, &["--color", "always"]).expect(0).stdout.contains("\x1b[32m"));
    assert!(!simulate("colour", TRACE, &["--color", "never"]).expect(0).stdout.contains('\x1b'));
}

#[test]
fn a_bad_line_is_refused_with_its_place() {
    for (line, says) in [
        ("soon 198.51.100.7 333/tcp", "is no time"),
        ("-1s 198.51.100.7 333/tcp", "is no time"),
        ("2s example.org 333/tcp", "is no address"),
        ("2s", "the source is missing"),
        ("2s 198.51.100.7", "the knock is missing"),
        ("2s 198.51.100.7 ssh", "is no knock"),
        ("2s 198.51.100.7 65536/tcp", "is no knock"),
        ("2s 198.51.100.7 333/tcp sym", "did you mean `syn`?"),
        ("0s 198.51.100.7 333/tcp", "time goes back"),
    ] {
        let trace = format!("# a comment\n1s 198.51.100.7 1/tcp\n{line}\n");
        let said = simulate("bad", &trace, &[]).expect(1);
        for part in ["error[T001]", "<stdin>:3:1\n", says, "help"] {
            assert!(said.stderr.contains(part), "`{part}` for `{line}` in {said:#?}");
        }
        assert_eq!(said.stderr.matches("error[").count(), 1, "{said:#?}");
        assert!(said.stdout.is_empty(), "nothing is played when a line is bad: {said:#?}");
        let json = simulate("bad", &trace, &["--format", "json"]).expect(1).json();
        assert_eq!(
            (&json["findings"][0]["code"], &json["findings"][0]["at"]["line"]),
            (&"T001".into(), &3.into())
        );
    }
}

#[test]
fn a_trace_or_policy_that_cannot_be_read_is_a_failure() {
    let folder = Folder::new("simulate-unreadable");
    let policy = folder.write("policy.toml", POLICY);
    let bad = folder.write("bad.toml", "outside = 3\n");
    run(&mut knockgate(&["simulate", &policy, "/nonexistent/trace"]), "").expect(2);
    run(&mut knockgate(&["simulate", "/nonexistent/policy", "-"]), "").expect(2);
    run(&mut knockgate(&["simulate", &bad, "-"]), "").expect(1);
    run(&mut knockgate(&["simulate", &policy]), "").expect(2);
}
