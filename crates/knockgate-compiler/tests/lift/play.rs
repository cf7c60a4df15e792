//! Playing the same packets in the program of a script and in that of the policy lifted from it.

use knockgate_compiler::lift::{Lifted, lift};
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::Wrong;
use knockgate_compiler::program::Program;
use knockgate_compiler::sim::{Change, Fate, Simulator, trace};

use crate::policy_of;

/// What becomes of the last packet of a trace, and where it is sent.
fn outcome(program: &Program, packets: &str) -> (Fate, Vec<String>) {
    let (events, findings) = trace::parse(packets, &program.outside()[0]);
    assert_eq!(findings, [], "{packets}");
    let mut simulator = Simulator::new(program);
    let last = events.iter().map(|event| simulator.play(event.at, &event.packet)).last().unwrap();
    let sent = last.changes.iter().filter_map(|change| match change {
        Change::Redirected(target) => Some(target.to_string()),
        _ => None,
    });
    (last.fate, sent.collect())
}

/// A trace of packets, each so many milliseconds after the one before.
fn packets(steps: &[(u64, String)]) -> String {
    let mut now = 0;
    let line = |(wait, packet): &(u64, String)| {
        now += wait;
        format!("{now}ms 198.51.100.7 {packet}\n")
    };
    steps.iter().map(line).collect()
}

/// Situations that end with a packet to the service, and whether it gets through.
fn situations(lifted: &Lifted, door: usize, service: &str) -> Vec<(String, String, bool)> {
    let door = &lifted.doors[door];
    let knocks: Vec<String> = door.knocks.iter().map(|step| step.knock.to_string()).collect();
    let soon = |packets: &[String]| packets.iter().map(|packet| (500, packet.clone())).collect::<Vec<_>>();
    let then = |mut steps: Vec<(u64, String)>, wait: u64| {
        steps[0].0 = 1000;
        steps.push((wait, service.to_owned()));
        packets(&steps)
    };
    let right = soon(&knocks);
    let mut found = vec![
        ("nothing".to_owned(), packets(&[(1000, service.to_owned())]), false),
        ("the sequence".to_owned(), then(right.clone(), 500), true),
        ("nearly too late".to_owned(), then(right.clone(), door.grant.as_millis() - 1000), true),
        ("too late".to_owned(), then(right.clone(), door.grant.as_millis() + 1000), false),
    ];
    for nth in 0..knocks.len() {
        let mut fewer = right.clone();
        fewer.remove(nth);
        found.push((format!("without knock {nth}"), then(fewer, 500), false));
    }
    for nth in 1..knocks.len() {
        let mut swapped = knocks.clone();
        swapped.swap(nth - 1, nth);
        found.push((format!("knock {nth} too early"), then(soon(&swapped), 500), false));
        let window = door.knocks[nth].window.unwrap().as_millis();
        for (wait, opens) in [(window - 1000, true), (window + 1000, false)] {
            let mut slow = right.clone();
            slow[nth].0 = wait;
            found.push((format!("knock {nth} after {wait} ms"), then(slow, 500), opens));
        }
        for wrong in ["60999/tcp", "60999/udp", "ping/999"] {
            let used = |step: &String| step.rsplit('/').next() == wrong.rsplit('/').next();
            let pings = wrong.starts_with("ping") && knocks.iter().any(|knock| knock.starts_with("ping"));
            if !pings && !knocks.iter().any(used) {
                continue;
            }
            let mut disturbed = right.clone();
            disturbed.insert(nth, (500, wrong.to_owned()));
            let opens = door.wrong == Wrong::Ignore;
            found.push((format!("{wrong} before knock {nth}"), then(disturbed, 500), opens));
        }
    }
    let Some(traps) = &lifted.traps else { return found };
    for trap in traps.ports.iter().filter(|_| traps.strikes == 1) {
        let mut trapped = right.clone();
        trapped.insert(0, (500, trap.to_string()));
        let ban = traps.ban.as_millis();
        // A ban that was cut goes on in the script, which is told of.
        let waits = [(500, false), (ban - 10_000, false), (ban + 1000, true)];
        for (wait, opens) in waits.into_iter().take(if traps.doubts.is_empty() { 3 } else { 2 }) {
            trapped[1].0 = wait;
            found.push((
                format!("trap {trap}, {wait} ms later the sequence"),
                then(trapped.clone(), 500),
                opens,
            ));
        }
    }
    found
}

/// What is lifted of a program, where every situation ends alike in both.
pub fn agreeing(program: &Program) -> Lifted {
    let mut lifted = lift(program);
    if lifted.doors.is_empty() {
        return lifted;
    }
    let (policy, text) = policy_of(&mut lifted);
    let lowered = lower(&policy);
    for (nth, door) in lifted.doors.iter().enumerate() {
        for service in &door.services {
            for (what, packets, opens) in situations(&lifted, nth, &service.endpoint.to_string()) {
                let (theirs, ours) = (outcome(program, &packets), outcome(&lowered, &packets));
                assert_eq!(theirs, ours, "{what}\n{packets}{text}");
                assert_eq!(theirs.0 == Fate::Accept, opens, "{what}\n{packets}{text}");
            }
        }
    }
    lifted
}
