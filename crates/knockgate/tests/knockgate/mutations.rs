//! Policies with random bytes in them: whatever is said of them, it is said in time.

use std::time::{Duration, Instant};

use knockgate_compiler::backend;
use knockgate_compiler::diag::{Source, Style, to_json, to_text};
use knockgate_compiler::frontend::toml::parse;
use knockgate_compiler::lower::lower;
use knockgate_compiler::random::Rng;

use crate::compile::examples;

/// What means something to a TOML parser, to our words, or to a terminal.
const PIECES: [&[u8]; 26] = [
    b"\"",
    b"'",
    b"\"\"\"",
    b"[",
    b"]",
    b"[[",
    b"{",
    b"}",
    b"=",
    b"\n",
    b"\r\n",
    b"#",
    b",",
    b".",
    b"\\u0000",
    b"\\",
    b"\0",
    b"\x1b[31m",
    "\u{feff}".as_bytes(),
    "ä\u{202e}".as_bytes(),
    b"\xff",
    b" within ",
    b"0x1",
    b"/tcp",
    b"%",
    b"99999999999999999999",
];

fn mutated(text: &[u8], random: &mut Rng) -> String {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            2 => drop(bytes.splice(at..end, PIECES[random.below(PIECES.len())].iter().copied())),
            3 if at < bytes.len() => bytes[at] = random.number().to_le_bytes()[0],
            _ => {
                let from = random.below(bytes.len() + 1);
                let to = (from + random.below(200)).min(bytes.len());
                let copied = bytes[from..to].to_vec();
                drop(bytes.splice(at..at, copied));
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_policy_with_random_changes_never_crashes_anything_and_is_told_of_in_time() {
    let seed = std::env::var("KNOCKGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_901);
    println!("KNOCKGATE_SEED={seed}");
    let mut random = Rng::new(seed);
    let sound: Vec<Vec<u8>> = examples().into_iter().map(|(_, text)| text.into_bytes()).collect();
    let mut still_sound = 0;
    for round in 0..4000 {
        let text = mutated(&sound[random.below(sound.len())], &mut random);
        let start = Instant::now();
        let (policy, findings) = parse(&text);
        let source = Source::new("policy.toml", &text);
        let shown = to_text(&source, &findings, Style::Plain);
        to_json(&source, &findings);
        if let Some(policy) = &policy {
            backend::nft::print(&lower(policy)).unwrap();
            still_sound += 1;
        }
        let took = start.elapsed();
        assert!(
            policy.is_some() || shown.contains("error["),
            "round {round}: refused without a word:\n{text}"
        );
        assert!(took < Duration::from_secs(5), "round {round} took {took:?}:\n{text}");
    }
    assert!((100..3900).contains(&still_sound), "{still_sound} of 4000 are still policies: a poor mixture");
}

#[test]
fn a_text_made_to_be_slow_is_not() {
    const N: usize = 1 << 20;
    let knocks = |count: usize| {
        format!("outside = \"eth0\"\n[door.a]\nopens = \"22/tcp\"\nknock = [{}]\n", "\"x\",".repeat(count))
    };
    let doors: String = (0..N / 16).map(|n| format!("[door.d{n}]\n")).collect();
    for (what, text) in [
        ("open brackets", format!("a = {}", "[".repeat(N - 10))),
        ("open braces", format!("a = {}", "{a=".repeat(N / 3 - 10))),
        ("dots", format!("a{} = 1\n", ".a".repeat(N / 2 - 10))),
        ("a deep heading", format!("[door{}]\n", ".a".repeat(N / 2 - 10))),
        ("lines that are none", "x\n".repeat(N / 2)),
        ("carriage returns", "\r".repeat(N)),
        ("headings twice", "[a]\n".repeat(N / 4)),
        ("keys twice", "a=1\n".repeat(N / 4)),
        ("a long word", format!("outside = [\"{}\"]\n", "x".repeat(N - 100))),
        ("a long list", knocks(N / 4 - 100)),
        ("many doors", format!("outside = \"eth0\"\n{doors}")),
        ("more than a policy may have", "#".repeat(N + 1)),
    ] {
        let start = Instant::now();
        let (policy, findings) = parse(&text);
        let shown = to_text(&Source::new("policy.toml", &text), &findings, Style::Plain);
        assert!(policy.is_none() && shown.contains("error["), "{what}: {shown}");
        // Very much more than it takes, for machines that do other things too.
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{what}: {took:?}");
        assert!(shown.len() < 200_000, "{what}: {} bytes are said", shown.len());
    }
}
