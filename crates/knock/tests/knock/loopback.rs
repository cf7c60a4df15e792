use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;

use crate::bounded::{LIMIT, expect_code, finish, run, spawn};
use crate::{gate, hear, knock};

/// A port of loopback that nothing listens on.
fn shut_door() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("bound").port().to_string()
}

/// Runs `knock` with these gates' knocks and returns the gates' numbers as they are hit.
fn hits(options: &[&str], expected: usize) -> Vec<usize> {
    let (gates, knocks): (Vec<UdpSocket>, Vec<String>) = (0..3).map(|_| gate()).unzip();
    let (sender, receiver) = mpsc::channel();
    for (number, gate) in gates.into_iter().enumerate() {
        let sender = sender.clone();
        thread::spawn(move || while gate.recv(&mut [0; 1]).is_ok() && sender.send(number).is_ok() {});
    }
    let output = run(knock().args(options).arg("127.0.0.1").args(knocks));
    assert_eq!(expect_code(&output, 0), ("", ""), "quiet by default");
    (0..expected).map(|_| receiver.recv_timeout(LIMIT).expect("a knock in time")).collect()
}

#[test]
fn knocks_arrive_in_order() {
    assert_eq!(hits(&[], 3), [0, 1, 2]);
}

#[test]
fn copies_arrive_before_the_next_knock() {
    assert_eq!(hits(&["--copies", "2", "-d", "300"], 6), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn verbose_names_each_knock_as_knockd_does() {
    let ((_a, first), (_b, second)) = (gate(), gate());
    let port = |knock: &str| knock.trim_end_matches("/udp").to_owned();
    let output = run(knock().args(["-v", "-u", "-d", "0", "127.0.0.1", &port(&first), &second, "9/tcp"]));
    let (stdout, _) = expect_code(&output, 0);
    let expected = format!(
        "hitting udp 127.0.0.1:{}\nhitting udp 127.0.0.1:{}\nhitting tcp 127.0.0.1:9\n",
        port(&first),
        port(&second)
    );
    assert_eq!(stdout, expected);
}

#[test]
fn waiting_knocks_again_until_a_listener_appears() {
    let (gate, first) = gate();
    let door = shut_door();
    let child = spawn(knock().args(["--wait", &door, "127.0.0.1", &first]));
    hear(&gate);
    hear(&gate);
    let listener = TcpListener::bind(format!("127.0.0.1:{door}")).unwrap();
    expect_code(&finish(child), 0);
    listener.accept().unwrap();
}

#[test]
fn a_door_that_never_opens_has_an_exit_status_of_its_own() {
    let (gate, first) = gate();
    let door = shut_door();
    let output = run(knock().args(["--wait", &format!("{door}/tcp"), "--limit", "2s", "127.0.0.1", &first]));
    let (_, stderr) = expect_code(&output, 3);
    assert!(
        stderr.contains(&format!("{door}/tcp at 127.0.0.1 did not open after knocking 2 times")),
        "{stderr}"
    );
    hear(&gate);
    hear(&gate);
}
