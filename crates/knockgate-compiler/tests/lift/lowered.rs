//! Policies that are lowered and lifted again.

use knockgate_compiler::frontend;
use knockgate_compiler::lift::lift;
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::{Knock, Policy};
use proptest::prelude::*;

use crate::policy_of;

/// Doors without where they were written.
fn essence(policy: &Policy) -> Vec<String> {
    let door = |door: &knockgate_compiler::policy::Door| {
        let steps = door.sequence.steps();
        let knocks: Vec<Knock> = door.sequence.knocks().collect();
        let windows: Vec<_> = steps.iter().skip(1).map(|step| step.window).collect();
        let mut services: Vec<String> = door.services.iter().map(ToString::to_string).collect();
        services.sort();
        format!("{} {knocks:?} {windows:?} {services:?} {} {}", door.name, door.grant, door.wrong)
    };
    let mut doors: Vec<String> = policy.doors().iter().map(door).collect();
    doors.sort();
    doors
}

#[test]
fn lowered_policies_are_lifted_to_what_they_were() {
    let doors = |wrong: &str| {
        format!(
            r#"
            outside = ["eth0", "ppp*"]
            public = ["443/tcp"]
            allow = ["198.51.100.0/28"]
            exempt = ["192.0.2.1"]
            [traps]
            ports = ["23/tcp", "445/tcp", "161/udp"]
            strikes = 2
            memory = "30m"
            ban = "1m"
            ban-max = "10m"
            [defaults]
            wrong = "{wrong}"
            [door.ssh]
            knock = ["7313/tcp", "24877/udp within 3s", "11090/tcp within 7s"]
            opens = ["22/tcp", "8443/tcp to 10.0.0.5:443", "8444/tcp to [2001:db8::5]:443"]
            [door.other]
            knock = ["7313/tcp", "11090/tcp", "ping/100", "7313/tcp"]
            opens = ["554/tcp at 192.0.2.80", "22/tcp"]
            window = "20s"
            grant = "45s"
            [door.crossed]
            knock = ["11090/tcp", "7313/tcp", "11090/tcp", "900/udp"]
            opens = "5900/tcp"
            window = "20s"
            [door.single]
            knock = "999/tcp"
            opens = "5901/tcp"
        "#
        )
    };
    for wrong in ["ignore", "cooldown 30s", "reset"] {
        let text = doors(wrong);
        let (policy, findings) = frontend::toml::parse(&text);
        let policy = policy.unwrap_or_else(|| panic!("{findings:#?}"));
        let mut lifted = lift(&lower(&policy));
        if std::env::var_os("SHOW").is_some() {
            println!("{}", lifted.to_toml(None));
        }
        let (again, text) = policy_of(&mut lifted);
        let single = |doors: Vec<String>| -> Vec<String> {
            // With one knock there is no wrong one.
            let cut = |door: String| match door.starts_with("single") && wrong != "reset" {
                true => door.rsplit_once(" 30s ").unwrap().0.to_owned(),
                false => door,
            };
            doors.into_iter().map(cut).collect()
        };
        assert_eq!(single(essence(&again)), single(essence(&policy)), "{wrong}\n{text}");
        assert_eq!((again.public(), again.allow()), (policy.public(), policy.allow()));
        assert_eq!((again.exempt(), again.outside()), (policy.exempt(), policy.outside()));
        let traps = |policy: &Policy| {
            let traps = policy.traps().unwrap();
            (traps.ports.clone(), traps.strikes, traps.memory, traps.ban, traps.ban_max)
        };
        assert_eq!(traps(&again), traps(&policy), "{wrong}");
        assert_eq!(lifted.doubts, []);
        assert_eq!(lifted.doors.iter().flat_map(|door| &door.doubts).collect::<Vec<_>>(), Vec::<&_>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_doors_of_any_lowered_policy_are_lifted(
        doors in proptest::collection::vec(
            (proptest::collection::vec((0..6usize, 1..4u64), 1..5), 0..4usize, 0..3usize),
            1..4,
        ),
        traps in any::<bool>(),
        early in any::<bool>(),
    ) {
        const KNOCKS: [&str; 6] = ["1001/tcp", "1002/tcp", "1003/tcp", "1001/udp", "ping/100", "ping/200"];
        let mut text = format!("outside = \"eth0\"\nearly-drop = {early}\n");
        if traps {
            text += "traps = { ports = [\"23/tcp\", \"445/tcp\"] }\n";
        }
        for (nth, (knocks, wrong, services)) in doors.iter().enumerate() {
            let knocks = knocks.iter().enumerate().map(|(place, (knock, window))| match place {
                0 => format!("\"{}\"", KNOCKS[*knock]),
                _ => format!("\"{} within {window}s\"", KNOCKS[*knock]),
            });
            let knocks = knocks.collect::<Vec<_>>().join(", ");
            let wrong = ["reset", "ignore", "cooldown 20s", "cooldown 5s"][*wrong];
            let opens = ["22/tcp", "80/tcp to 10.0.0.9:8080", "90/tcp at 192.0.2.9"][*services];
            text += &format!("[door.d{nth}]\nknock = [{knocks}]\nopens = \"{opens}\"\nwrong = \"{wrong}\"\n");
        }
        if let (Some(policy), _) = frontend::toml::parse(&text) {
            let mut lifted = lift(&lower(&policy));
            let (again, text) = policy_of(&mut lifted);
            let single = |doors: Vec<String>| -> Vec<String> {
                // With one knock there is no wrong one.
                let cut = |door: String| match door.contains("] [] [") {
                    true => door.rsplit_once(" 30s ").unwrap().0.to_owned(),
                    false => door,
                };
                doors.into_iter().map(cut).collect()
            };
            prop_assert_eq!(single(essence(&again)), single(essence(&policy)), "{}", text);
            prop_assert_eq!(again.traps().map(|t| t.ports.clone()), policy.traps().map(|t| t.ports.clone()));
        }
    }
}
