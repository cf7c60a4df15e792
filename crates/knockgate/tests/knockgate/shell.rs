//! `knockgate shell`, fed by a pipe and at a terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{Ended, Folder, KNOCKGATE, Said, knockgate, run, wait_for};

/// The article's lines, with its two slips mended and its last line, which a page broke, left as it is.
const ARTICLE: &str = "\
ip firewall filter
add chain=input action=add-src-to-address-list address-list=333 dst-port=333 protocol=tcp address-list-timeout=30s in-interface-list=WAN place-before=2
add chain=input action=add-src-to-address-list address-list=777 dst-port=777 protocol=tcp address-list-timeout=30s src-address-list=333 in-interface-list=WAN place-before=3
add chain=input action=add-src-to-address-list src-address-list=777 dst-port=888 address-list=secured protocol=tcp address-list-timeout=30m in-interface-list=WAN place-before=4
add chain=input action=accept in-interface-list=WAN src-address-list=secured place-before=5
add chain=input action=drop in-interface-list=WAN src-address-list=blacklist place-before=1
";

const BROKEN: &str = "\
add chain=input action=add-src-to-address-list protocol=tcp address-list=blacklist address-list-timeout=1000m in-interface-list=WAN dst-port=666 place-befor
e=1
";

fn shell(input: &str) -> Said {
    run(&mut knockgate(&["shell", "--interface", "WAN=wan0"]), input)
}

/// The rules that a `print` shows, each on one line.
fn rules(said: &Said) -> Vec<String> {
    let mut rules: Vec<String> = vec![];
    for line in said.stdout.lines() {
        match (line.get(..6), rules.last_mut()) {
            (Some("      "), Some(rule)) => *rule = format!("{rule} {}", line.trim()),
            (Some(head), _) if head.trim().starts_with(|c: char| c.is_ascii_digit()) => {
                rules.push(line.to_owned());
            }
            _ => {}
        }
    }
    rules
}

#[test]
fn the_article_is_typed_line_by_line_and_its_numbers_give_the_order() {
    let said = shell(&format!("{ARTICLE}print\nexport\n")).expect(0);
    let order: Vec<_> = rules(&said)
        .iter()
        .map(|rule| {
            ["blacklist", "dst-port=333", "dst-port=777", "dst-port=888", "accept"].map(|w| rule.contains(w))
        })
        .collect();
    assert_eq!(order.len(), 5, "{said:#?}");
    for (place, rule) in order.iter().enumerate() {
        assert!(rule[place] && rule.iter().filter(|found| **found).count() == 1, "{said:#?}");
    }
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 80), "{said:#?}");
    assert!(!said.stdout.contains('\x1b') && !said.stdout.contains('>'), "no prompts in a pipe: {said:#?}");
    let (_, exported) = said.stdout.split_once("/ip firewall filter\n").expect("an export");
    assert!(exported.starts_with("add action=drop chain=input"), "{said:#?}");
    let again = shell(&format!("/ip firewall filter\n{exported}print\n")).expect(0);
    assert_eq!(rules(&again), rules(&said));
}

#[test]
fn both_halves_of_a_broken_line_are_errors_and_change_nothing() {
    let said = shell(&format!("{ARTICLE}{BROKEN}print count-only\n")).expect(1);
    assert_eq!(said.stdout, "5\n");
    for part in ["error[R006]: `place-before` is given no value", "error[R001]: `e` is no command", "^^^^"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
    let whole = BROKEN.replacen('\n', "", 1);
    let said = shell(&format!("{ARTICLE}{whole}print count-only\n")).expect(0);
    assert_eq!(said.stdout, "6\n");
    let joined = BROKEN.replacen(" dst-port", " \\\n    dst-port", 1).replacen("befor\ne", "before", 1);
    assert_eq!(shell(&format!("{ARTICLE}{joined}print count-only\n")).expect(0).stdout, "6\n");
}

#[test]
fn a_knock_is_tried_and_what_it_did_stays_until_the_rules_change() {
    let knock = "knock 198.51.100.7 333/tcp 777/tcp 888/tcp\n";
    let list = "/ip/firewall/address-list/print where list=secured\n";
    let said = shell(&format!("{ARTICLE}{knock}simulate 5s 198.51.100.7 22/tcp\n{list}")).expect(0);
    for part in [
        "+ secured until 1802s",
        "secured for 30m",
        "22/tcp",
        "input rule 5",
        "0 D  secured  198.51.100.7  29m57s",
    ] {
        assert!(said.stdout.contains(part), "{part} in {said:#?}");
    }
    let said = shell(&format!("{ARTICLE}{knock}remove [find action=accept]\n{list}")).expect(0);
    assert!(!said.stdout.contains("0 D") && said.stderr.contains("begins anew"), "{said:#?}");
    let said = shell(&format!("{ARTICLE}knock 198.51.100.7 333/sctp\nknock\nsimulate 1s\n")).expect(1);
    for part in ["T001", "knock SOURCE PORT/PROTOCOL", "simulate TIME SOURCE"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
}

#[test]
fn items_are_changed_by_the_numbers_of_the_last_print() {
    let add = "/ip firewall filter\nadd chain=input comment=a\nadd chain=input comment=b\nadd chain=input comment=c log=yes\n";
    for (typed, expected) in [
        ("print\nset 1 action=drop\n", "a accept, b drop, c accept"),
        ("print\nremove 0\nset 1 action=drop\n", "b drop, c accept"),
        ("print\nmove 2 0\n", "c accept, a accept, b accept"),
        ("print\ndisable 0,2\n", "X a accept, b accept, X c accept"),
        ("print\ndisable 0-2\nenable 1\n", "X a accept, b accept, X c accept"),
        ("print\ncomment 1 \"x y\"\n", "a accept, x y accept, c accept"),
        ("print where log=yes\nset 0 action=drop\n", "a accept, b accept, c drop"),
        ("print\nadd chain=input comment=d place-before=1\n", "a accept, d accept, b accept, c accept"),
        ("print\nset 9 action=drop\nset x action=drop\n", "a accept, b accept, c accept"),
        ("set [find comment=b] action=drop; unset [find comment=c] log\n", "a accept, b drop, c accept"),
    ] {
        let said = shell(&format!("{add}{typed}/\n/ip/firewall/filter/print terse\n"));
        let rules = rules(&said);
        let last = rules.iter().rposition(|rule| rule.starts_with(" 0 ")).expect("a first rule");
        let items: Vec<String> = rules[last..]
            .iter()
            .map(|rule| {
                let flag = if rule.get(3..4) == Some("X") { "X " } else { "" };
                let (comment, rest) = rule.split_once(" chain=input action=").expect("a rule");
                let comment = comment.split(";;; ").nth(1).unwrap_or_default();
                format!("{flag}{comment} {}", rest.split(' ').next().unwrap_or_default())
            })
            .collect();
        assert_eq!(items.join(", "), expected, "{typed} {said:#?}");
    }
}

#[test]
fn only_what_is_new_is_told_and_check_tells_all() {
    let jump = "/ip firewall filter\nadd chain=input action=jump jump-target=nowhere\n";
    let said = shell(&format!("{jump}add chain=forward action=accept\nprint count-only\n")).expect(0);
    assert_eq!(said.stderr.matches("there is no chain `nowhere`").count(), 1, "{said:#?}");
    let said = shell(&format!("{jump}check\n")).expect(0);
    assert!(said.stderr.contains(" --> <shell>:2:") && said.stdout.contains(" warning"), "{said:#?}");
    let said = shell(&format!("{jump}add chain=nowhere action=drop\ncheck\n")).expect(0);
    assert_eq!(said.stderr.matches("there is no chain `nowhere`").count(), 1, "it is gone: {said:#?}");
    let said = shell("/ip firewall filter\nadd chain=input action=dropp\nprint count-only\n").expect(1);
    assert_eq!(said.stdout, "0\n");
}

#[test]
fn menus_other_than_rules_are_shown_in_columns() {
    let typed = "/interface list add name=WAN comment=wide\n/interface/list\nprint\nmember add list=WAN interface=ether1\n\
        /interface/list/member/print\n/ip firewall address-list add list=office address=192.0.2.0/24 disabled=yes\n\
        /ip firewall address-list print\n/ip firewall address-list find\n/system identity set name=x\n";
    let said = shell(typed).expect(0);
    for part in [
        "Columns: NAME\n#  NAME\n;;; wide\n0  WAN\n",
        "Columns: LIST, INTERFACE\n#  LIST  INTERFACE\n0  WAN   ether1\n",
        "Flags: X - DISABLED\nColumns: LIST, ADDRESS\n#    LIST    ADDRESS\n0 X  office  192.0.2.0/24\n*3\n",
    ] {
        assert!(said.stdout.contains(part), "{part} in {said:#?}");
    }
    assert!(said.stderr.contains("`/system/identity` is not played here"), "{said:#?}");
}

#[test]
fn a_search_that_only_a_router_can_make_is_told() {
    let add = "/ip firewall filter\nadd chain=input\nadd chain=forward\n";
    for search in
        ["print where chain=input or chain=forward", "find where packets>0", "print where comment~\"a.*b\""]
    {
        let said = shell(&format!("{add}{search}\n")).expect(0);
        assert!(said.stderr.contains("only a router can tell"), "{search} {said:#?}");
    }
    let said =
        shell(&format!("{add}find where chain=input\nprint count-only where chain~\"^f\"\n")).expect(0);
    assert!(said.stdout == "*1\n1\n" && !said.stderr.contains("only a router"), "{said:#?}");
}

#[test]
fn rules_are_saved_for_their_owner_alone_and_loaded_again() {
    let folder = Folder::new("shell-save");
    let file = folder.path().join("saved.rsc");
    let file = file.to_str().expect("a path in UTF-8");
    let said = shell(&format!("{ARTICLE}save {file}\n")).expect(0);
    assert!(said.stdout.contains("5 items written"), "{said:#?}");
    assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
    let print = "/ip firewall filter print\n";
    let typed = rules(&shell(&format!("{ARTICLE}{print}")).expect(0));
    assert_eq!(rules(&shell(&format!("load {file}\n{print}")).expect(0)), typed);
    let said = run(&mut knockgate(&["shell", file, "--interface", "WAN=wan0"]), print).expect(0);
    assert_eq!(rules(&said), typed);
    assert!(!said.stderr.contains("error"), "{said:#?}");
    // Of a file with something wrong in it, the rest is typed all the same.
    let broken = folder.write("broken.rsc", format!("{ARTICLE}{BROKEN}"));
    assert_eq!(shell(&format!("load {broken}\nprint count-only\n")).expect(1).stdout, "5\n");
    let other = folder.path().join("other.rsc");
    let foreign = folder.write("foreign.rsc", format!("/ip firewall filter\nsave {}\n", other.display()));
    for said in [shell(&format!("load {foreign}\n")), run(&mut knockgate(&["shell", &foreign]), "")] {
        assert!(said.expect(0).stderr.contains("filter/save` is not played here") && !other.exists());
    }
    shell("load /nonexistent/file\n").expect(1);
    run(&mut knockgate(&["shell", "/nonexistent/file"]), "").expect(2);
}

#[test]
fn a_file_is_overwritten_only_where_that_is_meant() {
    let folder = Folder::new("shell-overwrite");
    let add = |count: usize| format!("/ip firewall filter\n{}", "add chain=input\n".repeat(count));
    let file = folder.write("rules.rsc", add(2));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a file of ours");
    let said = shell(&format!("{}save {file}\n", add(1))).expect(1);
    assert!(said.stderr.contains("is there already; name another file"), "{said:#?}");
    assert_eq!(fs::read_to_string(&file).expect("a file"), add(2));
    let link = folder.path().join("link.rsc");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let said = shell(&format!(
        "load {file}\n/ip firewall filter remove [find]\n{}save {}\n",
        add(1),
        link.display()
    ));
    assert!(said.expect(0).stdout.contains("1 item written to "));
    assert_eq!(fs::read_to_string(&file).expect("a file").matches("chain=input").count(), 1);
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    // What was written here may be written again.
    let new = folder.path().join("new.rsc").display().to_string();
    let said = shell(&format!("{}save {new}\nadd chain=input\nsave {new}\n", add(1))).expect(0);
    assert!(said.stdout.contains("1 item written") && said.stdout.contains("2 items written"), "{said:#?}");
    let names = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 3, "no other files are left");
    let said = shell(&format!("{}save /dev/null\n", add(1))).expect(1);
    assert!(said.stderr.contains("no regular file"), "{said:#?}");
}

#[test]
fn what_only_a_router_can_work_out_is_not_saved() {
    let folder = Folder::new("shell-unknown");
    let file = folder.path().join("saved.rsc");
    let typed = "/ip firewall filter\nadd chain=input\nadd chain=input comment=$where\n";
    let said = shell(&format!("{typed}save {}\n", file.display())).expect(1);
    assert!(said.stderr.contains("1 item only the router can work out; nothing was written"), "{said:#?}");
    assert!(!file.exists());
}

#[test]
fn rules_for_interfaces_that_are_not_there_are_not_put_in_force() {
    let said = run(
        &mut knockgate(&["shell", "--interface", "WAN=nowhere0"]),
        "/ip firewall filter add chain=input action=drop in-interface-list=WAN\napply\n",
    )
    .expect(1);
    for part in ["error: no interface is called `nowhere0`", "start with `--interface NAME=IF`"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
    assert!(!said.stdout.contains("in force"), "{said:#?}");
}

#[test]
fn a_question_mark_tells_what_can_follow() {
    let said = shell("/ip/firewall/filter\nadd chain=?\nadd dst-p?\nprint count-only\nhelp\n").expect(0);
    for part in ["forward  input    output\n", "dst-port=\n", "0\n", "knock SOURCE"] {
        assert!(said.stdout.contains(part), "{part} in {said:#?}");
    }
}

#[test]
fn text_that_ends_within_a_line_and_what_is_no_text_are_errors() {
    let said = shell("/ip firewall filter\nadd chain=input comment=\"open\n").expect(1);
    assert!(said.stderr.contains("not complete"), "{said:#?}");
    shell("\u{fffd}\u{0}\n").expect(1);
    shell("quit\nshrubbery\n").expect(0);
    shell("/quit\nshrubbery\n").expect(0);
}

/// A shell at a terminal of 80 columns.
struct Terminal {
    keys: File,
    shown: Arc<Mutex<String>>,
    child: Ended,
}

impl Terminal {
    fn open(folder: &Folder) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("a terminal of ours");
        unlockpt(&ours).expect("a terminal to be used");
        let name = ptsname(&ours, vec![]).expect("its name").into_string().expect("a plain name");
        let theirs = OpenOptions::new().read(true).write(true).open(name).expect("its other side");
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).expect("a terminal has a size");
        let side = || Stdio::from(theirs.try_clone().expect("a side"));
        let mut command = knockgate(&["shell"]);
        command.env("TERM", "xterm").env("XDG_STATE_HOME", folder.path());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("knockgate");
        let keys = File::from(ours);
        let mut screen = keys.try_clone().expect("a side");
        let shown = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading ends with an error when the other side is gone.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                said.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self { keys, shown, child: Ended(child) }
    }

    #[track_caller]
    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal that takes keys");
    }

    /// Waits until this is shown, and forgets all that was shown so far.
    #[track_caller]
    fn sees(&self, text: &str) {
        wait_for(text, || {
            let mut shown = self.shown.lock().expect("no panic");
            let end = shown.find(text)? + text.len();
            shown.drain(..end);
            Some(())
        });
    }
}

#[test]
fn at_a_terminal_words_are_completed_and_lines_are_remembered() {
    let folder = Folder::new("shell-terminal");
    let mut terminal = Terminal::open(&folder);
    terminal.sees("[admin@knockgate] > ");
    terminal.press("ip fire\t");
    terminal.sees("firewall ");
    terminal.press("fil\t");
    terminal.sees("filter ");
    terminal.press("\r");
    terminal.sees("[admin@knockgate] /ip/firewall/filter> ");
    terminal.press("add ch\tinp\tcontent=hush\r");
    terminal.sees("> ");
    terminal.press("add chain=input comment=\"open\r");
    terminal.sees("... ");
    terminal.press("\x03");
    terminal.sees("/ip/firewall/filter> ");
    terminal.press("pr\r");
    terminal.sees("\n 0    chain=input action=accept content=hush");
    terminal.sees("/ip/firewall/filter> ");
    // A paste of two lines, as terminals mark it.
    terminal.press("\x1b[200~add chain=input comment=one\nadd chain=input comment=two\n\x1b[201~\r");
    terminal.press("\x1b[200~print count-only\nsimulate 1s x\n\x1b[201~\r");
    terminal.sees("\r\n3\r\n");
    terminal.sees("it is `simulate TIME");
    // And one that is not marked.
    terminal.press("disable [find comment=one]\rprint count-only\r");
    terminal.sees("\r\n3\r\n");
    terminal.press("apply\r");
    terminal.sees("nftables has nothing that means `content=hush`");
    let file = folder.write("there.rsc", "");
    for (answer, told) in [("n", "nothing was written"), ("y", "3 items written")] {
        terminal.press(&format!("save {file}\r"));
        terminal.sees("[y/N] ");
        terminal.press(&format!("{answer}\r"));
        terminal.sees(told);
    }
    terminal.press("\x04");
    let ended = wait_for("end", || terminal.child.0.try_wait().expect("a child"));
    assert!(ended.success());
    let history = folder.path().join("knockgate/shell_history");
    let text = fs::read_to_string(&history).expect("a history");
    assert!(text.contains("ip firewall filter") && !text.contains("hush"), "{text}");
    assert_eq!(fs::metadata(&history).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_applied_shows_its_lists_with_time_left_and_its_counters() {
    if !can_be_run(&[&NEEDED[..], &["ping"]].concat()) {
        return;
    }
    let gateway = Gateway::new();
    let folder = Folder::new("shell-live");
    let script = "/ip firewall filter\n\
        add chain=input action=add-src-to-address-list address-list=pinged address-list-timeout=10m protocol=icmp in-interface-list=WAN\n\
        add chain=input action=drop protocol=tcp dst-port=666 in-interface-list=WAN\n\
        /ip firewall address-list add list=pinged address=192.0.2.1\n";
    let file = folder.write("live.rsc", script);
    let shell = |input: &str| {
        let mut command = gateway.enter(KNOCKGATE);
        run(command.args(["shell", "--interface", "WAN=lo", &file]), input)
    };
    let stats = "/ip firewall filter print stats\n";
    assert!(shell(stats).expect(0).stderr.contains("not in force"));
    assert_eq!(shell("apply\n").expect(0).stdout, "2 rules in force\n");
    assert_eq!(shell("apply\n").expect(0).stdout, "2 rules in force already, nothing changed\n");
    assert!(shell(stats).expect(0).stderr.contains("without counters"));
    gateway.must("nft add element inet knockgate list__pinged4 { 198.51.100.7 timeout 1000s }");
    assert_eq!(shell("apply counters\n").expect(0).stdout, "2 rules in force\n");
    gateway.must("ping -c 1 -W 1 127.0.0.1");
    let said = shell("/ip/firewall/address-list/print\n").expect(0);
    assert!(!said.stderr.contains("in force"), "{said:#?}");
    let rows: Vec<Vec<&str>> = said.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["0", "pinged", "192.0.2.1"]), "{said:#?}");
    for (number, address, left) in [("1", "127.0.0.1", ["9m", "10m"]), ("2", "198.51.100.7", ["16m", "15m"])]
    {
        let shown = |row: &&Vec<&str>| matches!(row[..], [n, "D", "pinged", a, time] if n == number && a == address && left.iter().any(|l| time.starts_with(l)));
        assert!(rows.iter().any(|row| shown(&row)), "{address} in {said:#?}");
    }
    let said = shell(stats).expect(0);
    let counted = |action: &str| {
        let line = said.stdout.lines().find(|line| line.contains(action)).expect("a rule");
        line.split_whitespace().last().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    assert!(counted("add-src-to-address-list") >= 1 && counted("drop") == 0, "{said:#?}");
    // Other rules are not in force, whatever they are made from.
    assert!(
        shell(&format!("/ip firewall filter add chain=input\n{stats}"))
            .expect(0)
            .stderr
            .contains("not in force")
    );
}
