//! The cheapest way in, against every sequence of packets that there is.

#![expect(clippy::unwrap_used, reason = "a test that ends so has failed")]

mod every;
mod programs;

use knockgate_compiler::audit::WayIn;
use knockgate_compiler::audit::search::Search;
use knockgate_compiler::random::Rng;
use knockgate_compiler::sim::{Fate, Simulator, trace};

use every::Least;

/// Packets with the one that is let in, and milliseconds up to it; `None` if there is no way.
fn found(way: &WayIn, about: &str) -> Option<Least> {
    let (claim, packets) = match way {
        WayIn::Open(claim) => (claim, 1),
        WayIn::Steps { steps, claim } => (claim, steps.len() + 1),
        WayIn::Never => return None,
        WayIn::NotFound { states } => panic!("{about}: not found in {states} states"),
    };
    let last = claim.trace.lines().last().unwrap_or_default();
    let time = last.split(' ').next().unwrap();
    let seconds: f64 = time.trim_end_matches('s').parse().unwrap();
    Some(Least { packets, millis: (seconds * 1000.0).round() as u64 })
}

#[test]
fn what_is_found_is_the_least_of_all_sequences() {
    let (mut opened, mut closed, mut waited) = (0, 0, 0);
    for seed in 0..500 {
        let program = programs::program(&mut Rng::new(seed));
        let search = Search::new(&program);
        for port in [22, 1001] {
            let packet = every::packet(port);
            let goal = search.class_of(&packet).unwrap_or_else(|| panic!("seed {seed}: no class of {port}"));
            let way = search.ways_in(&[goal]).remove(0);
            let about = format!("seed {seed}, port {port}: {way:#?}\n{program:#?}");
            let expected = every::least(&program, port);
            assert_eq!(found(&way, &about), expected, "{about}");
            match way {
                WayIn::Steps { steps, claim } => {
                    opened += 1;
                    let (events, findings) = trace::parse(&claim.trace, &program.outside()[0]);
                    assert_eq!(findings, [], "{about}");
                    let mut simulator = Simulator::new(&program);
                    let last = events.iter().map(|event| simulator.play(event.at, &event.packet)).last();
                    assert_eq!(last.unwrap().fate, Fate::Accept, "{about}");
                    let late = expected.is_some_and(|least| least.millis > 0);
                    waited += usize::from(late || steps.iter().any(|step| step.after.is_some()));
                }
                _ => closed += usize::from(expected.is_none()),
            }
        }
    }
    println!("{opened} opened, {waited} of them with a wait; {closed} that never do");
    assert!(opened > 150 && closed > 150 && waited > 30, "{opened} {closed} {waited}");
}
