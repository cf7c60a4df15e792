use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::{Args, Command};
use knockgate_compiler::frontend::toml::parse;
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::Wrong;
use knockgate_compiler::time::Lifetime;
use serde_json::Value;

use super::sample::{self, POLICY};
use super::*;

#[path = "../../../tests/knockgate/browser.rs"]
mod browser;

fn options<T: Args>(words: &[&str]) -> T {
    let words = std::iter::once("audit").chain(words.iter().copied());
    let matches = T::augment_args(Command::new("audit")).try_get_matches_from(words).expect("options");
    T::from_arg_matches(&matches).expect("options")
}

fn with_page<T>(audit: &Audit, doors: &[&str], use_it: impl FnOnce(&Page<'_>) -> T) -> T {
    let source = Source::new("home.toml", POLICY);
    let doors: Vec<String> = doors.iter().map(|door| (*door).to_owned()).collect();
    use_it(&Page::new(&source, audit, &doors).expect("these doors are there"))
}

fn text_of(audit: &Audit, doors: &[&str]) -> String {
    let text = with_page(audit, doors, text::page);
    let stripped = anstream::adapter::strip_str(&text).to_string();
    for line in stripped.lines() {
        assert!(line.chars().count() <= 80 && line == line.trim_end(), "{line:?}");
    }
    stripped
}

fn program() -> Program {
    lower(&parse(POLICY).0.expect("a policy"))
}

/// What holds somewhere in the text, whatever the lines are broken at.
#[track_caller]
fn assert_says(text: &str, words: &str) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(words), "`{words}` is not in\n{text}");
}

#[test]
fn a_terminal_is_told_of_every_door_and_of_the_gateway() {
    let text = text_of(&sample::audit(), &[]);
    for words in [
        "2 doors; findings: 1 high, 2 medium, 1 low.",
        "keep it secret",
        "admin hidden 1 in 24 (0.0417) 196,605 high R038:",
        "files hidden never (0) 8.1e28 none",
        "Door admin hidden, not authenticated, line 8",
        "knocks 3: 333/tcp, then 777/tcp within 30s, then 888/tcp within 30s",
        "traps 1: 666/tcp; touching one bans for 1m, then longer, up to 10m",
        "high R038: a sweep from 1 up that leaves out the trap opens it, always (line 9)",
        "3 packets, then the connection.",
        "all ports, random order, 2 tries 1,000/s 1 in 32 (0.0312) ± 0.0013",
        "all ports but the traps, from 1 up 1,000/s always",
        "past the traps 1,397,900 packets from 9.5 addresses, on average",
        "100,000/s 100,000 sources 14 s",
        "knocking does not open, for 1m",
        "`wrong = \"reset\"`: a random sweep opens it with 2.3e-10 instead of 1 in 24",
        "443/tcp: meant for everybody; let in by public ports (line 2)",
        "stages: 65,536 entries of 30s: full at 2,185/s of 333/tcp.",
        "- what answers behind the doors",
    ] {
        assert_says(&text, words);
    }
    assert!(text.find("a sweep from 1 up") < text.find("Opened by accident"), "the worst comes first");
    assert!(text.find("What would raise it") < text.find("scans look first"), "the fourth comes last");
}

#[test]
fn many_doors_are_a_table_and_one_is_told_in_full() {
    let many = sample::many(100);
    let text = text_of(&many, &[]);
    assert!(text.lines().count() < 130 && !text.contains("Door door-7"), "{text}");
    assert_says(&text, "door-99 hidden");
    assert_says(&text_of(&many, &["door-99"]), "Door door-99 hidden, not authenticated");
}

#[test]
fn a_door_that_is_not_there_is_no_answer() {
    let (source, audit) = (Source::new("home.toml", POLICY), sample::audit());
    let error =
        |name: &str| Page::new(&source, &audit, &[name.to_owned()]).err().expect("no page").to_string();
    assert_eq!(error("adnim"), "there is no door `adnim`; did you mean `admin`?");
    assert_eq!(error("x"), "there is no door `x`; there are admin, files");
}

#[test]
fn programs_are_told_everything() {
    let value = with_page(&sample::audit(), &[], |page| json::audit(page, None));
    let door = &value["doors"][0];
    assert_eq!(door["way_in"]["steps"][1]["packet"], "777/tcp");
    assert_eq!(door["shape"]["knocks"][1]["window_s"], 30.0);
    assert_eq!(door["chances"][6]["how"], "played");
    assert_eq!(door["attack"]["certain"], 196_605.0);
    assert_eq!(door["findings"][0]["place"]["line"], 9);
    assert_eq!(door["findings"][0]["claim"]["fate"], "accept");
    assert_eq!((&value["worst"], &value["proofs"]), (&Value::from("high"), &Value::Null));
}

#[test]
fn what_is_claimed_is_played() {
    let (mut audit, program) = (sample::audit(), program());
    let shown = |audit: &Audit| {
        with_page(audit, &[], |page| {
            let proofs = prove::all(page, &program);
            let text = anstream::adapter::strip_str(&prove::as_text(&proofs)).to_string();
            (proofs.iter().map(Proof::is_shown).collect::<Vec<_>>(), text)
        })
    };
    let (all, text) = shown(&audit);
    assert_eq!(all, [true; 4], "{text}");
    assert_says(&text, "4 of 4 shown in the simulator");
    assert!(text.contains("\n0s 198.51.100.7 333/tcp\n1s 198.51.100.7 777/tcp\n"), "{text}");
    audit.doors[0].lockouts[0].claim.trace = "0s 198.51.100.7 443/tcp\n".to_owned();
    audit.exposed[0].claim.trace = "443/tcp\n".to_owned();
    let (some, text) = shown(&audit);
    assert_eq!(some, [true, false, true, false], "{text}");
    assert_says(&text, "NOT SHOWN admin: lockout: a ban keeps the knocks from opening");
    assert_says(&text, "its packets cannot be read: `443/tcp` is no time such as");
}

#[test]
fn the_page_is_its_owners_alone_and_replaces_nothing() {
    let folder = browser::Folder::new("audit-file");
    let path = folder.path().join("page.html");
    let options: Options = options(&["home.toml", "--html", path.to_str().expect("UTF-8")]);
    let output = Output::new(&self::options(&["--color", "never"]));
    let (source, mut audit) = (Source::new("home.toml", POLICY), sample::audit());
    let answer = show(&options, &source, &program(), &audit, &output).expect("a page");
    assert_eq!(answer, Answer::Findings, "there is a finding of the worst kind");
    assert_eq!(fs::metadata(&path).expect("a page").permissions().mode() & 0o777, 0o600);
    let error = show(&options, &source, &program(), &audit, &output).expect_err("it is there already");
    assert!(error.to_string().contains("is there already"), "{error}");
    audit.doors[0].findings.remove(0);
    fs::remove_file(&path).expect("a page");
    assert_eq!(show(&options, &source, &program(), &audit, &output).expect("a page"), Answer::Fine);
}

#[test]
fn no_name_becomes_markup() {
    let mut audit = sample::only(vec![sample::stepped(
        "<script>alert(1)</script>",
        &["333/tcp in \"><img src=x onerror=alert(1)>"],
    )]);
    audit.doors[0].company = vec!["</ul><b onclick='x'>".to_owned()];
    let html = with_page(&audit, &[], html::page);
    for markup in ["<script", "<img", "<b "] {
        assert!(!html.contains(markup), "{markup} in {html}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
    assert!(html.contains("333/tcp in &quot;&gt;&lt;img src=x"), "{html}");
}

/// Doors of every shape that a page can have to draw.
fn shapes() -> Audit {
    let knocks = ["50001/tcp", "ping/1452", "50003/tcp", "50004/udp", "50005/tcp", "50006/udp"];
    let many: Vec<String> = (0..16).map(|index| format!("{}/tcp", 60_000 + index)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut doors = vec![];
    for (index, wrong) in
        [Wrong::Reset, Wrong::Cooldown(Lifetime::from_secs(600)), Wrong::Ignore].into_iter().enumerate()
    {
        for count in 1..=6 {
            let strikes = (index as u32 + count as u32) % 4;
            doors.push(sample::shaped(&format!("{wrong} {count}"), &knocks[..count], wrong, strikes));
        }
        doors.push(sample::shaped(&format!("{wrong} 16"), &many, wrong, 3));
    }
    doors.push(sample::stepped(
        "steps",
        &["333/tcp", "777/tcp ack in ether1-gateway to 192.168.88.254 ttl 1"],
    ));
    doors.push(sample::stepped("many steps", &["1/tcp"; 40]));
    sample::only(doors)
}

#[test]
fn a_browser_shows_the_page_at_every_width() {
    if !browser::can_be_run() {
        return;
    }
    let folder = browser::Folder::new("audit-page");
    let audits = [("sample", sample::audit(), 4), ("shapes", shapes(), 0), ("many", sample::many(50), 50)];
    let pages = audits.each_ref().map(|(name, audit, _)| {
        let path = folder.path().join(format!("{name}.html"));
        fs::write(&path, with_page(audit, &[], html::page)).expect("a folder of ours");
        path
    });
    for look in browser::look(&pages) {
        let place = pages.iter().position(|page| *page == look.page).expect("one of them");
        let (_, audit, plots) = &audits[place];
        assert!(look.wrong.is_empty(), "{} at {}: {:#?}", look.page.display(), look.width, look.wrong);
        assert_eq!((look.states, look.plots), (audit.doors.len() as u64, *plots), "{look:?}");
    }
}

#[test]
fn what_is_wrong_with_a_page_is_seen() {
    if !browser::can_be_run() {
        return;
    }
    let folder = browser::Folder::new("audit-wrong");
    let path = folder.path().join("wrong.html");
    let html = with_page(&sample::audit(), &[], html::page);
    let wide = html.replace("</main>", "<div style=\"width:3000px\">.</div></main>");
    let over = wide.replacen(">777/tcp</text>", ">777/tcp, which is far too much to say</text>", 1);
    assert!(over.len() > wide.len(), "the diagram has that label");
    fs::write(&path, over).expect("a folder of ours");
    let looks = browser::look(&[path]);
    let all = looks.iter().flat_map(|look| look.wrong.clone()).collect::<Vec<_>>().join("\n");
    assert!(all.contains("the page is 3"), "{all}");
    assert!(all.contains("`333/tcp` is over `777/tcp, which is far too much to say`"), "{all}");
}
