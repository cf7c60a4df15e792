//! Throw-away namespaces.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use knockgate::lab::{LabError, Namespace, Plug, connect};

use crate::able;

fn cable<'a>(namespace: &'a Namespace, interface: &'a str, addresses: &'a [&'a str]) -> Plug<'a> {
    Plug { namespace, interface, addresses }
}

#[test]
fn namespaces_reach_each_other_over_a_cable_at_once() {
    if !able() {
        return;
    }
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let near = cable(&here, "near0", &["192.0.2.1/24", "2001:db8::1/64"]);
    let far = cable(&there, "far0", &["192.0.2.2/24", "2001:db8::2/64"]);
    connect(near, far).unwrap();
    for address in ["192.0.2.2:7", "[2001:db8::2]:7"] {
        let listener = there.run(move || TcpListener::bind(address)).unwrap();
        let mut stream = here.run(move || TcpStream::connect(address)).unwrap();
        stream.write_all(b"hello").unwrap();
        drop(stream);
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
    }
}

#[test]
fn a_namespace_ends_with_its_value() {
    if !able() {
        return;
    }
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect(cable(&here, "near0", &[]), cable(&there, "far0", &[])).unwrap();
    drop(there);
    let end = Instant::now() + Duration::from_secs(10);
    while here.ip(&["link", "show", "near0"]).is_ok() {
        assert!(Instant::now() < end, "the other end of the cable is still there");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_fails_in_a_namespace_says_what_was_run_and_why() {
    if !able() {
        return;
    }
    let namespace = Namespace::new().unwrap();
    let Err(LabError::Failed { command, stderr }) = namespace.nft("table inet t { nonsense }") else {
        panic!("nft takes nonsense");
    };
    assert_eq!(command, "nft -f -");
    assert!(stderr.contains("syntax error"), "{stderr}");
    assert!(matches!(namespace.set("ipv4/no_such_thing", "1"), Err(LabError::NotSet { .. })));
    assert_eq!(namespace.nft("list ruleset").unwrap(), "");
}
