//! Every parser for a while, and all that once failed.

use std::fs;

use knockgate_fuzz::campaign::{self, Bounds, play};
use knockgate_fuzz::corpus::{listed, root};
use knockgate_fuzz::mutation::{Cases, MAX_BYTES};
use knockgate_fuzz::targets::{TARGETS, Target, named};

/// Plays some cases of a target, from seed 1 on.
fn survives(name: &str, cases: u64) {
    let target = named(name).expect("a target of this name");
    let report = campaign::run(&target, Bounds::from_environment(1, cases)).expect("a file can be written");
    println!("{} cases", report.cases);
    let crashes: Vec<String> = report.crashes.iter().map(ToString::to_string).collect();
    assert!(crashes.is_empty(), "{}", crashes.join("\n"));
}

#[test]
fn any_text_can_be_read_as_a_policy() {
    survives("policy", 10_000);
}

#[test]
fn any_text_can_be_read_as_a_script() {
    survives("script", 4_000);
}

#[test]
fn any_text_can_be_read_as_a_trace() {
    survives("trace", 7_500);
}

#[test]
fn any_text_can_be_read_as_values() {
    survives("values", 13_000);
}

#[test]
fn any_text_can_be_read_as_profiles() {
    survives("profiles", 60_000);
}

#[test]
fn any_text_can_be_read_as_knocks() {
    survives("knocks", 14_000);
}

#[test]
fn texts_of_the_corpus_can_be_read_as_they_are() {
    for target in TARGETS {
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for text in corpus {
            let panic = play(target.run, &text);
            assert!(panic.is_none(), "{}: {panic:?} with\n{}", target.name, String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn what_once_failed_does_so_no_more() {
    for folder in listed(&root().join("fuzz/regressions")).into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("the name of a target");
        let target = named(name).expect("a folder is named after its target");
        for path in listed(&folder) {
            let panic = play(target.run, &fs::read(&path).expect("a file can be read"));
            assert!(panic.is_none(), "{}: {panic:?}", path.display());
        }
    }
}

#[test]
fn a_seed_is_one_case() {
    for target in TARGETS {
        let cases = || Cases::new((target.corpus)(), target.words);
        for seed in 0..200 {
            let case = cases().case(seed);
            assert!(case == cases().case(seed) && case.len() <= MAX_BYTES, "{seed}");
        }
    }
}

#[test]
fn a_crash_is_found_and_shortened() {
    let fragile = Target {
        name: "fragile",
        run: |text| assert!(!text.contains(&b'!'), "an exclamation mark"),
        corpus: || vec![b"some text\nof several lines".to_vec()],
        words: &["!", "?"],
    };
    let report =
        campaign::run(&fragile, Bounds { first: 1, cases: 200, until: None }).expect("a file can be written");
    assert!(report.crashed > 10);
    let [crash] = &report.crashes[..] else { panic!("{report:?}") };
    assert_eq!((&*crash.text, &*crash.panic.said), (&b"!"[..], "an exclamation mark"));
}
