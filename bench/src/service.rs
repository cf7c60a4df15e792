//! What stands behind the door.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lane::{Cable, GATEWAY};
use crate::owner::{TCP_SERVICE, UDP_SERVICE};

/// How often it is looked whether the service is still wanted.
const GLANCE: Duration = Duration::from_millis(20);

/// Answers datagrams to 51820/udp with themselves and takes connections at 22/tcp, until it is dropped.
#[derive(Debug)]
pub struct Service {
    over: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
    /// The kernel completes connections by itself, as many as its queue holds.
    _listener: TcpListener,
}

impl Service {
    pub fn start(cable: &Cable) -> anyhow::Result<Self> {
        // The queue of connections is as long as a test asks for: nobody takes them out.
        cable.gateway.set("core/somaxconn", "4096")?;
        let listener = cable.gateway.run(|| TcpListener::bind((GATEWAY, TCP_SERVICE)))?;
        rustix::net::listen(&listener, 4096)?;
        let echo = cable.gateway.run(|| UdpSocket::bind((GATEWAY, UDP_SERVICE)))?;
        echo.set_read_timeout(Some(GLANCE))?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let answering = thread::spawn(move || answer(&echo, &told));
        Ok(Self { over, answering: Some(answering), _listener: listener })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(answering) = self.answering.take() {
            answering.join().expect("answering does not panic");
        }
    }
}

fn answer(echo: &UdpSocket, over: &AtomicBool) {
    let mut buffer = [0; 64];
    while !over.load(Ordering::Relaxed) {
        if let Ok((len, from)) = echo.recv_from(&mut buffer) {
            // Who has gone away needs no answer.
            drop(echo.send_to(&buffer[..len], from));
        }
    }
}
