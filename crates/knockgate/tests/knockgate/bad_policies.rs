//! Policies that are wrong, each in one way: one error, at its place, with a way out.

use std::fmt::Write;
use std::process::Command;

use serde_json::Value;

use crate::gateway::can_be_run;
use crate::program::{Folder, KNOCKGATE, Said, knockgate, run};

/// A policy that is wrong, and what is said of it.
pub struct Bad {
    pub text: String,
    code: &'static str,
    /// Line and column.
    place: (u64, u64),
    /// A part of the message, its label or the way out.
    says: &'static str,
}

const KNOCK: &str = r#"knock = ["7313/tcp", "24877/tcp", "11090/tcp"]"#;

fn bad(text: impl Into<String>, code: &'static str, place: (u64, u64), says: &'static str) -> Bad {
    Bad { text: text.into(), code, place, says }
}

/// A sound policy with its parts, of which a test replaces one.
struct Parts<'a> {
    /// Line 1.
    outside: &'a str,
    /// Line 2.
    general: &'a str,
    /// Line 4.
    knock: &'a str,
    /// Line 5.
    opens: &'a str,
    /// Line 6.
    term: &'a str,
    /// From line 7 on.
    rest: &'a str,
}

const SOUND: Parts<'_> = Parts {
    outside: r#"outside = ["eth0"]"#,
    general: "",
    knock: KNOCK,
    opens: r#"opens = ["22/tcp"]"#,
    term: "",
    rest: "",
};

impl Parts<'_> {
    fn text(&self) -> String {
        let Self { outside, general, knock, opens, term, rest } = self;
        format!("{outside}\n{general}\n[door.ssh]\n{knock}\n{opens}\n{term}\n{rest}")
    }
}

fn outside(outside: &str) -> String {
    Parts { outside, ..SOUND }.text()
}

fn general(general: &str) -> String {
    Parts { general, ..SOUND }.text()
}

fn knock(knock: &str) -> String {
    Parts { knock: &format!("knock = [{knock}]"), ..SOUND }.text()
}

fn term(term: &str) -> String {
    Parts { term, ..SOUND }.text()
}

fn rest(rest: &str) -> String {
    Parts { rest, ..SOUND }.text()
}

/// So many doors with sequences of their own.
pub fn doors(count: u16) -> String {
    let mut text = "outside = [\"eth0\"]\n".to_owned();
    for n in 0..count {
        let (first, second, third) = (1000 + n, 10_000 + n % 7, 20_000 + n);
        writeln!(
            text,
            "\n[door.d{n}]\nknock = [\"{first}/tcp\", \"{second}/udp\", \"{third}/tcp\"]\nopens = [\"22/tcp\"]"
        )
        .expect("a string takes it");
    }
    text
}

/// All of them.
pub fn all() -> Vec<Bad> {
    [whole_texts(), keys(), knocks(), sequences(), durations(), addresses(), interfaces(), counts(), upkeep()]
        .into_iter()
        .flatten()
        .collect()
}

fn whole_texts() -> Vec<Bad> {
    vec![
        bad("", "P005", (1, 1), "the policy is empty"),
        bad("# later\n", "P005", (2, 1), "knockgate init"),
        bad("outside = [\"eth0\"]\n", "P005", (2, 1), "add a door"),
        bad(format!("[door.ssh]\n{KNOCK}\nopens = \"22/tcp\"\n"), "P004", (4, 1), "outside = [\"eth0\"]"),
        bad(outside("outside = [\"eth0\""), "P001", (1, 18), "a comma is missing, or the bracket"),
        bad(knock("\"7313/tcp"), "P001", (4, 20), "with texts in quotes"),
        bad(rest("[door.web\nopens = [\"80/tcp\"]\n"), "P001", (7, 10), "under `[table]` headings"),
        bad(term("grant = 30s"), "P001", (6, 9), "in quotes"),
        bad("hello\n", "P001", (1, 6), "lines are `key = value`"),
        bad(format!("outside = {}", "[".repeat(1000)), "P001", (1, 91), "lines are `key = value`"),
    ]
}

fn keys() -> Vec<Bad> {
    vec![
        bad(term("grants = \"30s\""), "P002", (6, 1), "did you mean `grant`?"),
        bad(general("colour = 3"), "P002", (2, 1), "its keys are `outside`"),
        bad(rest("[dor.web]\n"), "P002", (7, 2), "did you mean `door`?"),
        bad(
            rest(&format!("[door.ssh]\n{KNOCK}\nopens = [\"80/tcp\"]\n")),
            "P006",
            (7, 7),
            "keep one of the two",
        ),
        bad(term("opens = [\"23/tcp\"]"), "P006", (6, 1), "keep one of the two"),
        bad(
            rest("[door.\"a b\"]\nknock = [\"1/tcp\", \"2/tcp\", \"3/tcp\"]\nopens = \"80/tcp\"\n"),
            "P007",
            (7, 7),
            "lower-case letters",
        ),
        bad(rest("[door.web]\nopens = \"80/tcp\"\n"), "P004", (7, 7), "add `knock ="),
        bad(rest("[door.web]\nknock = [\"1/tcp\", \"2/tcp\", \"3/tcp\"]\n"), "P004", (7, 7), "add `opens ="),
        bad("outside = \"eth0\"\n[[door]]\n", "P003", (2, 1), "each door has a heading"),
        bad("outside = \"eth0\"\ndoor.ssh = 3\n", "P003", (2, 12), "its heading is `[door.ssh]`"),
        bad(outside("outside = [true]"), "P003", (1, 12), "a text in quotes"),
        bad(outside("outside = [[\"eth0\"]]"), "P003", (1, 12), "a text in quotes"),
        bad(outside("outside = [0]"), "P003", (1, 12), "in quotes"),
        bad(outside("outside = []"), "P004", (1, 11), "outside = [\"eth0\"]"),
    ]
}

fn knocks() -> Vec<Bad> {
    let mut found = vec![];
    for (word, code, says) in [
        ("\"0/tcp\"", "P010", "1 to 65535"),
        ("\"65536/tcp\"", "P010", "1 to 65535"),
        ("\"-1/tcp\"", "P010", "1 to 65535"),
        ("\"ssh/tcp\"", "P010", "`ssh` is usually"),
        ("\"0\"", "P010", "1 to 65535"),
        ("\"65536\"", "P010", "1 to 65535"),
        ("\"-1\"", "P010", "1 to 65535"),
        ("\"ssh\"", "P010", "`ssh` is usually"),
        ("\"\"", "P010", "write it as `22/tcp`"),
        ("\"333\"", "P010", "if TCP is meant"),
        ("\"333/\"", "P010", "if TCP is meant"),
        ("\"333/sctp\"", "P010", "neither `tcp` nor `udp`"),
        ("\"333/TCP\"", "P010", "neither `tcp` nor `udp`"),
        ("\"+333/tcp\"", "P010", "as numbers"),
        ("\"333/tcp\\u0000\"", "P010", "neither `tcp` nor `udp`"),
        ("0", "P010", "1 to 65535"),
        ("65536", "P010", "1 to 65535"),
        ("-1", "P010", "1 to 65535"),
        ("333", "P010", "if TCP is meant"),
        ("99999999999999999999", "P010", "1 to 65535"),
        ("\"ping/9000\"", "P011", "0 to 1452 bytes"),
        ("\"ping/+9\"", "P011", "`ping -s`"),
        ("\"a knock\"", "P011", "write `333/tcp`"),
        ("\"7313/tcp within 5s\"", "P014", "after the one before it"),
        ("\"22/tcp\"", "P016", "knock on another port"),
    ] {
        found.push(bad(knock(&format!("{word}, \"24877/tcp\", \"11090/tcp\"")), code, (4, 10), says));
    }
    for (word, code, says) in [
        ("1/tcp within 0s", "P020", "never zero"),
        ("1/tcp within 30", "P020", "if seconds are meant"),
        ("1/tcp within 2h", "P009", "from 1s to 10m"),
        ("ssh within 5s", "P010", "`ssh` is usually"),
    ] {
        found.push(bad(knock(&format!("\"7313/tcp\", \"{word}\", \"11090/tcp\"")), code, (4, 22), says));
    }
    found
}

fn sequences() -> Vec<Bad> {
    let many: Vec<String> = (1..=17).map(|n| format!("\"{}/tcp\"", 1000 + n)).collect();
    let other = |knocks: &str| rest(&format!("[door.web]\nknock = [{knocks}]\nopens = \"80/tcp\"\n"));
    let traps = |ports: &str| rest(&format!("[traps]\nports = [{ports}]\n"));
    vec![
        bad(knock(""), "P012", (4, 9), "three or more knocks"),
        bad(knock(&many.join(", ")), "P008", (4, 202), "five or six"),
        bad(knock("\"1/tcp\", \"1/tcp\", \"2/tcp\""), "P013", (4, 19), "another knock between"),
        bad(traps("\"24877/tcp\", \"666/tcp\""), "P019", (4, 22), "trap another"),
        bad(traps("\"22/tcp\", \"666/tcp\""), "P019", (5, 10), "trap another port"),
        bad(traps(""), "P004", (8, 9), "leave the table out"),
        bad(
            other("\"7313/tcp\", \"24877/tcp\", \"11090/tcp\", \"4/tcp\""),
            "P015",
            (8, 10),
            "change one of the knocks",
        ),
        bad(other("\"7313/tcp\", \"24877/tcp\", \"11090/tcp\""), "P015", (8, 10), "let one door open both"),
        bad(general("public = [\"24877/tcp\"]"), "P017", (4, 22), "take it out of `public`"),
        bad(general("public = [\"22/tcp\"]"), "P018", (5, 10), "take it out of `public`"),
        bad(Parts { opens: "opens = []", ..SOUND }.text(), "P026", (5, 9), "name the services"),
        bad(
            Parts { opens: "opens = [\"22/tcp\", \"22/tcp\"]", ..SOUND }.text(),
            "P027",
            (5, 20),
            "take one of the two out",
        ),
        bad(
            Parts { opens: "opens = \"80/tcp to 10.0.0.5:0\"", ..SOUND }.text(),
            "P025",
            (5, 9),
            "to 10.0.0.5:443",
        ),
        bad(Parts { opens: "opens = \"ssh at 10.0.0.5\"", ..SOUND }.text(), "P010", (5, 9), "is usually"),
    ]
}

fn durations() -> Vec<Bad> {
    let mut found = vec![];
    for (word, code, says) in [
        ("\"0s\"", "P020", "never zero"),
        ("\"30\"", "P020", "if seconds are meant"),
        ("\"-5s\"", "P020", "never negative"),
        ("\"99999999999999999999s\"", "P020", "at most"),
        ("\"1000000w\"", "P020", "at most"),
        ("\"soon\"", "P020", "write it as `30s`"),
        ("\"\"", "P020", "write it as `30s`"),
        ("30", "P020", "if seconds are meant"),
        ("0", "P020", "a text in quotes"),
        ("-5", "P020", "never negative"),
        ("\"999ms\"", "P009", "from 1s to"),
        ("\"2w\"", "P009", "from 1s to"),
    ] {
        found.push(bad(term(&format!("window = {word}")), code, (6, 10), says));
        found.push(bad(term(&format!("grant = {word}")), code, (6, 9), says));
        // Said once, not for each door that has the default.
        let text = format!(
            "outside = \"eth0\"\n[defaults]\nwindow = {word}\n[door.a]\n{KNOCK}\nopens = \"22/tcp\"\n\
             [door.b]\nknock = [\"1/tcp\", \"2/tcp\", \"3/tcp\"]\nopens = \"80/tcp\"\n"
        );
        found.push(bad(text, code, (3, 10), says));
    }
    found.push(bad(term("wrong = \"cooldown\""), "P021", (6, 9), "for how long"));
    found.push(bad(term("wrong = \"rest\""), "P021", (6, 9), "did you mean `reset`?"));
    found.push(bad(term("wrong = \"panic\""), "P021", (6, 9), "a text in quotes"));
    found.push(bad(term("wrong = \"cooldown 30\""), "P020", (6, 9), "if seconds are meant"));
    found.push(bad(term("wrong = \"cooldown 2w\""), "P009", (6, 9), "from 1s to 1d"));
    found
}

fn addresses() -> Vec<Bad> {
    let mut found = vec![];
    for (words, code, says) in [
        ("\"192.0.2.7/24\"", "P022", "if the network is meant"),
        ("\"2001:db8::1/32\"", "P022", "if the network is meant"),
        ("\"fe80::1%eth0\"", "P022", "without the zone"),
        ("\"192.0.2.0/33\"", "P022", "0 to 32"),
        ("\"2001:db8::/129\"", "P022", "0 to 128"),
        ("\"192.0.2.0/x\"", "P022", "0 to 32"),
        ("\"192.0.2.0/+8\"", "P022", "0 to 32"),
        ("\"192.0.2.0/999\"", "P022", "0 to 32"),
        ("\"example.org\"", "P022", "names are not looked up"),
        ("\"192.0.2.1-192.0.2.9\"", "P022", "write it as"),
        ("\"0.0.0.0/0\"", "P023", "name the few"),
        ("\"::/0\"", "P023", "name the few"),
        ("\"0.0.0.0/1\", \"128.0.0.0/1\"", "P023", "name the few"),
        ("\"::/1\", \"8000::/1\"", "P023", "name the few"),
        ("\"0.0.0.0/2\", \"64.0.0.0/2\", \"128.0.0.0/1\"", "P023", "name the few"),
    ] {
        found.push(bad(general(&format!("exempt = [{words}]")), code, (2, 11), says));
        found.push(bad(general(&format!("allow = [{words}]")), code, (2, 10), says));
    }
    found
}

fn interfaces() -> Vec<Bad> {
    [
        ("abcdefghijklmnop", "at most 15 bytes"),
        ("eth0; drop", "`;` is in no interface's name"),
        ("eth0\\\"", "ip -brief link"),
        ("", "a name is needed"),
        ("*", "a name is needed"),
        ("lo", "never outside"),
    ]
    .map(|(name, says)| bad(outside(&format!("outside = [\"{name}\"]")), "P024", (1, 12), says))
    .into()
}

fn counts() -> Vec<Bad> {
    let traps = |line: &str| rest(&format!("[traps]\nports = [\"1/tcp\", \"2/tcp\"]\n{line}\n"));
    vec![
        bad(traps("strikes = 3"), "P009", (9, 11), "a trap not touched before"),
        bad(traps("strikes = 0"), "P009", (9, 11), "a trap not touched before"),
        bad(traps("strikes = -1"), "P009", (9, 11), "out of range"),
        bad(traps("strikes = \"2\""), "P003", (9, 11), "without quotes"),
        bad(traps("ban = \"5m\"\nban-max = \"1m\""), "P009", (10, 11), "double up to `ban-max`"),
        bad(general("sources = 3"), "P009", (2, 11), "from 16 to"),
        bad(general("sources = 99999999999"), "P009", (2, 11), "out of range"),
        bad(doors(4097), "P008", (16_387, 7), "explain P008"),
    ]
}

fn upkeep() -> Vec<Bad> {
    let table = |name: &str, line: &str| rest(&format!("[{name}]\n{line}\n"));
    vec![
        bad(general("early-drop = \"true\""), "P003", (2, 14), "without quotes"),
        bad(general("early-drops = true"), "P002", (2, 1), "did you mean `early-drop`?"),
        bad(general("if-changed = \"repar\""), "P029", (2, 14), "did you mean `repair`?"),
        bad(general("if-changed = \"ignore\""), "P029", (2, 14), "`repair`, `alarm`"),
        bad(table("restart", "bans = \"kept\""), "P029", (8, 8), "did you mean `keep`?"),
        bad(table("restart", "grants = true"), "P003", (8, 10), "\"keep\""),
        bad(table("restart", "ban = \"keep\""), "P002", (8, 1), "did you mean `bans`?"),
        bad(table("log", "to = \"jornal\""), "P029", (8, 6), "did you mean `journal`?"),
        bad(table("log", "to = \"logs/knockgate\""), "P030", (8, 6), "from `/` on"),
        bad(table("log", "rate = 0"), "P009", (8, 8), "from 1 to 10000"),
        bad(table("metrics", "listen = \"192.0.2.1:9469\""), "P030", (8, 10), "strangers would reach it"),
        bad(table("metrics", "listen = \"localhost:9469\""), "P030", (8, 10), "`127.0.0.1:9469`"),
        bad(table("metrics", "listen = \"127.0.0.1:0\""), "P030", (8, 10), "1 to 65535"),
        bad(table("metrics", &format!("listen = \"/{}\"", "a".repeat(107))), "P030", (8, 10), "shorter"),
        bad(table("metrics", "file = \"/var/lib/\""), "P030", (8, 8), "this is a folder"),
    ]
}

/// What is wrong with `said`, if it is not exactly what `bad` should give.
fn complaint(bad: &Bad, text: &Said, json: &Said) -> Option<String> {
    let fail =
        |what: String| Some(format!("{what}, for {} in:\n{}\n{text:#?}", bad.code, excerpt(&bad.text)));
    if text.crashed() || json.crashed() || (text.code, json.code) != (Some(1), Some(1)) {
        return fail(format!("exits {:?} and {:?}", text.code, json.code));
    }
    let findings = json.json()["findings"].as_array().cloned().unwrap_or_default();
    let [finding] = findings.as_slice() else {
        return fail(format!("{} findings", findings.len()));
    };
    let place = (&finding["at"]["line"], &finding["at"]["column"]);
    if finding["code"] != bad.code || finding["severity"] != "error" {
        return fail(format!("found {} instead", finding["code"]));
    }
    if (place.0.as_u64(), place.1.as_u64()) != (Some(bad.place.0), Some(bad.place.1)) {
        return fail(format!("said to be at {}:{} instead of {:?}", place.0, place.1, bad.place));
    }
    let (line, column) = bad.place;
    for part in [&format!("error[{}]", bad.code), &format!("policy.toml:{line}:{column}\n"), bad.says] {
        if !text.stderr.contains(part) {
            return fail(format!("`{part}` is not said"));
        }
    }
    let way_out = |key: &str| !finding[key].as_array().is_none_or(Vec::is_empty);
    if !way_out("help") && !way_out("suggestions") {
        return fail("there is no way out".to_owned());
    }
    None
}

fn excerpt(text: &str) -> String {
    text.chars().take(400).collect()
}

#[test]
fn each_mistake_gives_one_error_at_its_place_with_a_way_out() {
    let folder = Folder::new("bad-policies");
    let mut complaints = vec![];
    for bad in all() {
        folder.write("policy.toml", &bad.text);
        let check = |arguments: &[&str]| run(knockgate(arguments).current_dir(folder.path()), "");
        let text = check(&["check", "policy.toml"]);
        let json = check(&["check", "policy.toml", "--format", "json"]);
        complaints.extend(complaint(&bad, &text, &json));
    }
    assert!(complaints.is_empty(), "{} of them:\n\n{}", complaints.len(), complaints.join("\n\n"));
}

#[test]
fn the_parts_that_bad_policies_are_made_of_are_sound() {
    for text in [SOUND.text(), doors(257), doors(4096)] {
        let said = run(&mut knockgate(&["check", "-"]), &text).expect(0);
        assert!(said.stdout.ends_with("no findings\n") && said.stderr.is_empty(), "{said:#?}");
    }
}

#[test]
fn independent_mistakes_are_told_together() {
    let text = "outside = [\"eth0; drop\"]\n[door.A]\nknock = [\"x\", 3]\nopens = []\n[door.b]\ngrants = 5\n";
    let said = run(&mut knockgate(&["check", "-", "--format", "json"]), text).expect(1);
    let said = said.json();
    let codes: Vec<&str> = said["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    assert_eq!(codes, ["P024", "P010", "P010", "P002"]);
}

/// Checks a file that cannot be read, in both formats.
#[track_caller]
fn unreadable(command: &dyn Fn(&[&str]) -> Command, path: &str, code: &str, line_column: &str) {
    let text = run(&mut command(&["check", path]), "").expect(2);
    for part in [&format!("error[{code}]"), &format!("{path}:{line_column}\n"), "= help: "] {
        assert!(text.stderr.contains(part), "`{part}` is not in {text:#?}");
    }
    let json = run(&mut command(&["check", path, "--format", "json"]), "").expect(2).json();
    assert_eq!(json["file"], path);
    let finding = &json["findings"][0];
    assert_eq!(finding["code"], code);
    assert_eq!(
        (&finding["at"]["line"], &finding["at"]["column"]),
        (&Value::from(1), &finding["at"]["column"])
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_reason() {
    let folder = Folder::new("unreadable");
    let large = folder.write("large.toml", format!("# {}\n", "x".repeat(2 << 20)));
    let odd = folder.write("odd.toml", b"outside = [\"eth\xff0\"]\n");
    let missing = format!("{}/missing.toml", folder.path().display());
    let directory = folder.path().display().to_string();
    for (path, code, place) in
        [(missing, "F001", "1:1"), (directory, "F002", "1:1"), (large, "F004", "1:1"), (odd, "F005", "1:16")]
    {
        unreadable(&|arguments| knockgate(arguments), &path, code, place);
    }
}

#[test]
fn a_file_that_may_not_be_read_is_told_as_such() {
    if !can_be_run(&["setpriv"]) {
        return;
    }
    // Where another user finds the program and the file, whoever owns the folders above.
    let folder = tempdir_for_all();
    let program = folder.join("knockgate");
    std::fs::copy(KNOCKGATE, &program).expect("a copy for everybody");
    let secret = folder.join("secret.toml");
    std::fs::write(&secret, "").expect("a folder of ours");
    let chmod = |mode: &str, path: &std::path::Path| {
        assert!(run(Command::new("chmod").arg(mode).arg(path), "").code == Some(0));
    };
    chmod("755", &program);
    chmod("000", &secret);
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program)
            .args(arguments);
        command
    };
    unreadable(&as_nobody, secret.to_str().expect("UTF-8"), "F003", "1:1");
    std::fs::remove_dir_all(&folder).expect("a folder of ours");
}

/// A new folder that every user may enter.
fn tempdir_for_all() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("knockgate-test-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder of our own");
    assert!(run(Command::new("chmod").arg("755").arg(&folder), "").code == Some(0));
    folder
}
