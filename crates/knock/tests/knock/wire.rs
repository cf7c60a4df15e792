use std::io::{BufRead, BufReader};

use crate::bounded::{LIMIT, expect_code, in_background, run};
use crate::namespace::Namespace;

/// What tcpdump calls the last knock of each test, so that reading can end there.
const LAST: &str = ".999: UDP, length 0";

/// Runs `knock` in the namespace and returns a line for each packet on its wire, up to the last knock.
fn packets(namespace: &Namespace, arguments: &str) -> Vec<String> {
    let capture = ["-i", "lo", "-n", "-t", "-l", "--immediate-mode", "tcp or udp or icmp or icmp6"];
    let mut tcpdump = namespace.start("tcpdump", &capture);
    let stderr = tcpdump.0.stderr.take().expect("piped");
    let ready = in_background(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).any(|l| l.starts_with("listening"))
    });
    assert!(ready.recv_timeout(LIMIT).expect("tcpdump listens in time"), "tcpdump listens");
    let stdout = tcpdump.0.stdout.take().expect("piped");
    let lines = in_background(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let is_last = line.contains(LAST);
            lines.push(line);
            if is_last {
                break;
            }
        }
        lines
    });
    let knock = run(namespace.enter(env!("CARGO_BIN_EXE_knock")).args(arguments.split(' ')).arg("999/udp"));
    expect_code(&knock, 0);
    lines.recv_timeout(LIMIT).expect("the last knock in time")
}

/// The ports of the SYNs among the packets; a repeated one would be here too.
fn syns(packets: &[String]) -> Vec<u16> {
    packets
        .iter()
        .filter_map(|line| line.split_once(": Flags [S],"))
        .map(|(addresses, _)| addresses.rsplit_once('.').expect("a port").1.parse().expect("a port"))
        .collect()
}

/// A SYN is repeated after 1 s at the earliest, and the last copy leaves 1.2 s before the last knock.
fn each_copy_is_one_syn(namespace: &Namespace, host: &str) {
    let packets = packets(namespace, &format!("--copies 2 -d 1600 {host} 777 333"));
    assert_eq!(syns(&packets), [777, 777, 333, 333], "{packets:#?}");
}

#[test]
fn each_copy_is_one_syn_over_ipv4_though_nobody_answers() {
    let Some(namespace) = Namespace::with(&["nft", "tcpdump"]) else { return };
    namespace.filter_incoming("tcp flags syn drop");
    each_copy_is_one_syn(&namespace, "127.0.0.1");
}

#[test]
fn each_copy_is_one_syn_over_ipv6_though_nobody_answers() {
    let Some(namespace) = Namespace::with(&["nft", "tcpdump"]) else { return };
    namespace.filter_incoming("tcp flags syn drop");
    each_copy_is_one_syn(&namespace, "::1");
}

#[test]
fn each_copy_is_one_syn_though_the_host_refuses() {
    let Some(namespace) = Namespace::with(&["tcpdump"]) else { return };
    each_copy_is_one_syn(&namespace, "127.0.0.1");
}

#[test]
fn without_a_delay_the_order_is_kept() {
    let Some(namespace) = Namespace::with(&["nft", "tcpdump"]) else { return };
    namespace.filter_incoming("meta l4proto { tcp, udp } drop");
    let packets = packets(&namespace, "-d 0 --copies 3 127.0.0.1 7 5 6 4");
    assert_eq!(syns(&packets), [7, 7, 7, 5, 5, 5, 6, 6, 6, 4, 4, 4], "{packets:#?}");
}

#[test]
fn knocks_go_on_where_an_icmp_refusal_comes_back() {
    for (host, refusal) in
        [("127.0.0.1", "icmp type host-prohibited"), ("::1", "icmpv6 type admin-prohibited")]
    {
        let Some(namespace) = Namespace::with(&["nft", "tcpdump"]) else { return };
        namespace.filter_incoming(&format!("tcp flags syn reject with {refusal}"));
        let packets = packets(&namespace, &format!("-d 20 {host} 777 333 888"));
        assert_eq!(syns(&packets), [777, 333, 888], "{packets:#?}");
    }
}

#[test]
fn a_ping_is_repeated_only_when_nobody_answers() {
    for (host, silence, sent) in [
        ("127.0.0.1", None, 1),
        ("::1", None, 1),
        ("127.0.0.1", Some("icmp type echo-request"), 2),
        ("::1", Some("icmpv6 type echo-request"), 2),
    ] {
        let Some(namespace) = Namespace::with(&["nft", "tcpdump", "ping"]) else { return };
        if let Some(silence) = silence {
            namespace.filter_incoming(&format!("{silence} drop"));
        }
        let packets = packets(&namespace, &format!("--copies 2 -d 0 {host} 100:ping"));
        let echoes = packets.iter().filter(|line| line.contains("echo request"));
        assert!(echoes.clone().all(|line| line.ends_with("length 108")), "{packets:#?}");
        assert_eq!(echoes.count(), sent, "{host} {silence:?} {packets:#?}");
    }
}
