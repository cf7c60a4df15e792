use crate::bounded::{expect_code, run};
use crate::knock;

#[test]
fn what_cannot_be_asked_for_is_one_clear_error() {
    let seventeen = ["1"; 17].join(" ");
    for (line, told) in [
        ("127.0.0.1 0", "`0` is not a port: ports are 1 to 65535"),
        ("127.0.0.1 65536", "`65536` is not a port"),
        ("127.0.0.1 -1", "`-1` is not a port"),
        ("127.0.0.1 ssh", "service names are not looked up"),
        ("127.0.0.1 333/sctp", "`333/sctp` is not a knock"),
        ("127.0.0.1 1453:ping", "sizes are 0 to 1452"),
        ("127.0.0.1", "no knocks are given"),
        (&format!("127.0.0.1 {seventeen}"), "17 knocks are too many"),
        ("-d 60001 127.0.0.1 333", "is too long"),
        ("-d -1 127.0.0.1 333", "-1"),
        ("--copies 0 127.0.0.1 333", "0 copies"),
        ("--copies 9 127.0.0.1 333", "9 copies"),
        ("--copies 2 127.0.0.1 333 333", "333/tcp comes twice in a row"),
        ("--wait 53/udp 127.0.0.1 333", "only a TCP port can"),
        ("--wait 22 --limit 30 127.0.0.1 333", "`30` is not a duration"),
        ("--wait 22 --limit 300ms 127.0.0.1 333 777", "a limit of 300ms is too short"),
        ("--limit 30s 127.0.0.1 333", "--limit bounds --wait or --proxy"),
        ("--proxy 127.0.0.1", "--proxy needs the port"),
        ("--proxy 127.0.0.1 53/udp 333", "only a TCP port can"),
        ("--proxy --wait 22 127.0.0.1 22 333", "cannot be used with"),
        ("-6 127.0.0.1 333", "host `127.0.0.1` has no IPv6 address"),
        ("-4 ::1 333", "host `::1` has no IPv4 address"),
        ("nowhere.invalid 333", "cannot resolve host `nowhere.invalid`"),
        ("--loud 127.0.0.1 333", "--loud"),
        ("", "Usage:"),
    ] {
        let output = run(knock().args(line.split_whitespace()));
        let (stdout, stderr) = expect_code(&output, 2);
        assert!(stderr.contains(told), "knock {line}\n{stderr}");
        assert_eq!(stdout, "", "knock {line}");
    }
}

#[test]
fn help_and_version_are_results() {
    for (option, told) in
        [("-h", "Usage: knock"), ("--help", "Exit status"), ("-V", "knock "), ("--version", "knock ")]
    {
        let output = run(knock().arg(option));
        let (stdout, _) = expect_code(&output, 0);
        assert!(stdout.contains(told), "{stdout}");
    }
}

#[cfg(unix)]
#[test]
fn a_missing_ping_is_named() {
    let output = run(knock().env("PATH", "/nonexistent").args(["127.0.0.1", "100:ping"]));
    let (_, stderr) = expect_code(&output, 1);
    assert!(stderr.contains("needs the system's `ping`, which is not installed"), "{stderr}");
}

#[test]
fn a_knock_that_cannot_be_sent_is_a_failure() {
    let output = run(knock().args(["255.255.255.255", "333/udp"]));
    let (_, stderr) = expect_code(&output, 1);
    assert!(stderr.contains("cannot send 333/udp to 255.255.255.255"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn closed_standard_streams_are_no_panic() {
    let binary = env!("CARGO_BIN_EXE_knock");
    for script in [
        "\"$0\" -v 127.0.0.1 9/udp 10/udp | true",
        "\"$0\" -v 127.0.0.1 9/udp >&-",
        "\"$0\" --help | true",
        "\"$0\" --man | true",
        "\"$0\" --completions bash | true",
        "{ \"$0\" 127.0.0.1 ssh; test $? = 2; } 2>&-",
        "{ \"$0\" 127.0.0.1 ssh 2>&1; } | true",
    ] {
        let output = run(std::process::Command::new("sh").args(["-c", script, binary]));
        expect_code(&output, 0);
        assert!(output.stderr.is_empty(), "{script}\n{output:?}");
    }
}
