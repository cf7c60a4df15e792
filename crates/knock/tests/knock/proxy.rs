use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::mpsc::Receiver;

use crate::bounded::{LIMIT, expect_code, finish, in_background, spawn};
use crate::{gate, hear, knock};

const MEGABYTE: usize = 1 << 20;

/// Starts `knock --proxy` to a server that runs `serve` on its only connection.
fn proxy<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (Child, Receiver<T>) {
    let (gate, first) = gate();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let served = in_background(move || serve(listener.accept().expect("a connection").0));
    let child = spawn(knock().args(["-v", "--proxy", "127.0.0.1", &port, &first]));
    hear(&gate);
    (child, served)
}

#[test]
fn all_input_arrives_and_the_peer_answers_after_its_end() {
    let (mut child, served) = proxy(|mut connection| {
        let mut request = Vec::new();
        connection.read_to_end(&mut request).unwrap();
        request.reverse();
        connection.write_all(&request).unwrap();
    });
    let request: Vec<u8> = (0..MEGABYTE).map(|index| (index % 251) as u8).collect();
    child.stdin.take().unwrap().write_all(&request).unwrap();
    let output = finish(child);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.iter().rev().eq(&request), "{} bytes came back", output.stdout.len());
    served.recv_timeout(LIMIT).unwrap();
}

#[test]
fn a_single_byte_goes_there_and_back_at_once() {
    let (mut child, served) = proxy(|mut connection| {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        connection.write_all(&byte).unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap()
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x").unwrap();
    let echoed = in_background(move || {
        let mut byte = [0];
        stdout.read_exact(&mut byte).map(|()| byte)
    });
    assert_eq!(echoed.recv_timeout(LIMIT).unwrap().unwrap(), *b"x");
    drop(stdin);
    expect_code(&finish(child), 0);
    assert_eq!(served.recv_timeout(LIMIT), Ok(0));
}

#[test]
fn a_peer_that_closes_first_ends_the_relay() {
    let (mut child, _served) = proxy(drop);
    let open_stdin = child.stdin.take();
    expect_code(&finish(child), 0);
    drop(open_stdin);
}

#[test]
fn a_closed_output_ends_the_relay() {
    let (mut child, served) = proxy(|mut connection| while connection.write_all(&[0; 1024]).is_ok() {});
    drop(child.stdout.take());
    let open_stdin = child.stdin.take();
    expect_code(&finish(child), 0);
    drop(open_stdin);
    served.recv_timeout(LIMIT).unwrap();
}

#[test]
fn verbose_does_not_disturb_the_relayed_output() {
    let (child, _served) = proxy(|mut connection| connection.write_all(b"SSH-2.0-x\r\n"));
    let output = finish(child);
    let (stdout, stderr) = expect_code(&output, 0);
    assert_eq!(stdout, "SSH-2.0-x\r\n");
    assert!(stderr.starts_with("hitting udp 127.0.0.1:"), "{stderr}");
}
