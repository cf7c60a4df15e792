//! What is computed of two looks and what is heard between them.

use std::time::{Duration, Instant};

use super::super::happening::{Happening, Stage, What, stages};
use super::super::model::{Force, Line, Model, Pane, Sort, Source};
use super::{clock, happened, later, model, row, snapshot};

/// The first column of the pane that is shown.
fn sources(model: &Model, at: Instant) -> Vec<String> {
    model.lines(at).iter().filter_map(Line::who).map(str::to_owned).collect()
}

fn words(told: &[Happening]) -> Vec<String> {
    told.iter().map(|one| format!("{} {}", one.who, one.words())).collect()
}

#[test]
fn rates_are_what_was_counted_between_two_looks_unless_a_ruleset_began_anew() {
    let start = Instant::now();
    let mut model = model(start);
    model.see(later(start), clock(1));
    assert_eq!((model.accepted.now, model.dropped.now), (Some(1204.0), Some(33.0)));
    assert_eq!(model.rate_of(&model.snapshot.rules[1]), 33.0);
    let mut anew = later(start + Duration::from_secs(2));
    (anew.accepted, anew.dropped) = (1, 1100);
    model.see(anew, clock(3));
    assert_eq!((model.accepted.now, model.dropped.now), (None, Some(67.0 / 2.0)));
    assert_eq!(model.dropped.history, [33, 34]);
}

#[test]
fn what_is_selected_stays_so_wherever_its_line_goes() {
    let start = Instant::now();
    let mut model = model(start);
    model.select(1, start);
    assert_eq!(model.chosen(start).as_deref(), Some("2001:db8::2:7"));
    let mut next = later(start);
    next.lists[0].1.rows.remove(0);
    next.lists[0].1.rows.push(row("192.0.2.99", "vpn", 3000, 4000));
    model.see(next, clock(1));
    let now = start + Duration::from_secs(1);
    assert_eq!(sources(&model, now), ["2001:db8::2:7", "192.0.2.99"]);
    assert_eq!(model.chosen(now).as_deref(), Some("2001:db8::2:7"));
    model.sort = Sort::Source;
    assert_eq!(sources(&model, now), ["192.0.2.99", "2001:db8::2:7"]);
    assert_eq!(model.chosen(now).as_deref(), Some("2001:db8::2:7"));
    model.select(isize::MIN, now);
    assert_eq!(model.chosen(now).as_deref(), Some("192.0.2.99"));
}

#[test]
fn what_has_run_out_since_the_last_look_is_not_shown() {
    let start = Instant::now();
    let model = model(start);
    assert_eq!(sources(&model, start + Duration::from_millis(11_999)).len(), 2);
    assert_eq!(sources(&model, start + Duration::from_secs(12)), ["2001:db8::2:7"]);
    assert!(sources(&model, start + Duration::from_secs(1000)).is_empty());
}

#[test]
fn a_filter_finds_addresses_doors_reasons_and_the_network_of_an_address() {
    let start = Instant::now();
    let mut model = model(start);
    for (pane, filter, found) in [
        (Pane::Granted, "SSH", &["192.0.2.7"][..]),
        (Pane::Granted, "db8", &["2001:db8::2:7"]),
        (Pane::Banned, "all day", &["198.51.100.0/24"]),
        (Pane::Banned, "198.51.100.77", &["198.51.100.0/24"]),
        (Pane::Events, "granted", &["192.0.2.7"]),
        (Pane::Banned, "nothing", &[]),
    ] {
        model.show(pane);
        model.filter = filter.to_owned();
        assert_eq!(sources(&model, start), found, "{filter}");
    }
    model.filter = "::ffff:192.0.2.7".to_owned();
    assert_eq!(model.wanted(), Some("192.0.2.7".parse().unwrap()));
}

#[test]
fn what_the_kernel_told_is_not_told_again_when_it_is_seen() {
    let start = Instant::now();
    let mut model = model(start);
    let granted = |start| {
        let mut next = later(start);
        next.lists[0].1.rows.push(row("192.0.2.50", "vpn", 30, 40));
        next.lists[1].1.rows.clear();
        next.lists[2].1.rows = vec![row("2001:db8:1::/64", "a trap", 60, 60)];
        next
    };
    let ban = What::Banned("a trap".to_owned());
    let told = Happening { who: "2001:db8:1::7".to_owned(), door: None, ..happened(1, ban) };
    model.hear(vec![told]);
    let told = model.see(granted(start), clock(2));
    // Ends the kernel does not tell, and a grant by hand neither; but of that one cannot be sure at once.
    assert_eq!(words(&told), ["203.0.113.5 ban ended", "198.51.100.0/24 ban ended"]);
    let told = model.see(granted(start), clock(3));
    assert_eq!(words(&told), ["192.0.2.50 granted vpn"]);
    assert!(model.happenings().any(|one| one.who == "192.0.2.50"));
}

#[test]
fn without_events_knocks_are_seen_by_looking_but_of_no_list_that_is_cut() {
    let start = Instant::now();
    let mut model = Model::new(snapshot(start), Source::Paging("somebody else listens".to_owned()));
    let mut next = later(start);
    next.lists[1].1.rows = vec![row("192.0.2.8", "web-admin 2", 10, 10), row("192.0.2.9", "ssh 2/3", 9, 10)];
    next.lists[2].1.rows.clear();
    next.lists[2].1.cut = true;
    let told = model.see(next, clock(1));
    assert_eq!(words(&told), ["192.0.2.8 knock 2 of 4 web-admin", "192.0.2.9 knock 2 of 3 ssh"]);
}

#[test]
fn what_becomes_of_the_policy_is_told() {
    let start = Instant::now();
    let mut model = model(start);
    let mut next = later(start);
    (next.force, next.trial_ms) = (Force::Changed, Some(60_000));
    let told = model.see(next, clock(1));
    assert_eq!(words(&told), [" somebody else changed the rules", " home.toml is on trial for 60 s"]);
    let told = model.see(later(start), clock(2));
    assert_eq!(words(&told), [" home.toml is in force", " the trial is over"]);
}

#[test]
fn happenings_that_are_kept_are_bounded() {
    let mut model = model(Instant::now());
    for second in 0..3000 {
        model.hear(vec![happened(second, What::Granted)]);
    }
    assert_eq!(model.happenings().count(), 1000);
    assert_eq!(model.happenings().next(), Some(&happened(2999, What::Granted)));
}

#[test]
fn positions_and_stage_lists_tell_the_same_stages() {
    let stage = |door: &str, made, of| Stage { door: door.to_owned(), made, of };
    assert_eq!(stages("ssh 1/3, db-2 2/4", |_| 0), [stage("ssh", 1, 3), stage("db-2", 2, 4)]);
    assert_eq!(stages("web-admin 1", |_| 4), [stage("web-admin", 1, 4)]);
    assert_eq!(stages("(no such knock any more)", |_| 0), []);
}

#[test]
fn a_line_for_programs_has_what_a_line_for_people_has() {
    let knock = happened(9, What::Knock { number: 2, of: 3 });
    assert_eq!(knock.line(), "07:00:09  192.0.2.7        knock 2 of 3 ssh");
    assert_eq!(
        knock.json().to_string(),
        r#"{"at":"2026-11-23 07:00:09 UTC","event":"knock","source":"192.0.2.7","door":"ssh","number":2,"of":3}"#
    );
}
