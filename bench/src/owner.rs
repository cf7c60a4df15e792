//! Who may come in: says the words, and connects.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::lane::{Cable, GATEWAY};

/// The services behind the door.
pub const TCP_SERVICE: u16 = 22;
pub const UDP_SERVICE: u16 = 51_820;

/// Time between two datagrams that ask whether the door is open.
const ASKING: Duration = Duration::from_micros(20);

/// How to be let in.
#[derive(Clone, Debug)]
pub enum Words {
    /// SYNs to these ports.
    Knocks(Vec<u16>),
    /// One datagram to this port.
    Letter(u16, Vec<u8>),
}

/// Somebody at an address of the far end, with all sockets made beforehand.
#[derive(Debug)]
pub struct Owner {
    said: Vec<Word>,
    asking: UdpSocket,
    connection: OwnedFd,
}

#[derive(Debug)]
enum Word {
    Knock(OwnedFd, u16),
    Letter(UdpSocket, Vec<u8>),
}

impl Word {
    /// It is on the cable when this returns.
    fn say(&self) -> anyhow::Result<()> {
        match self {
            Self::Knock(socket, port) => begin(socket, *port),
            Self::Letter(socket, letter) => Ok(socket.send(letter).map(drop)?),
        }
    }
}

impl Owner {
    pub fn at(cable: &Cable, source: Ipv4Addr, words: Words) -> anyhow::Result<Self> {
        cable.far.run(move || {
            let asking = UdpSocket::bind((source, 0))?;
            asking.connect((GATEWAY, UDP_SERVICE))?;
            asking.set_nonblocking(true)?;
            let mut said = vec![];
            match words {
                Words::Knocks(ports) => {
                    for port in ports {
                        said.push(Word::Knock(tcp(source)?, port));
                    }
                }
                Words::Letter(port, letter) => {
                    let socket = UdpSocket::bind((source, 0))?;
                    socket.connect((GATEWAY, port))?;
                    said.push(Word::Letter(socket, letter));
                }
            }
            Ok(Self { said, asking, connection: tcp(source)? })
        })
    }

    /// Says everything, with a pause before each but the first.
    pub fn say_all(&mut self, pause: Duration) -> anyhow::Result<()> {
        for (number, word) in self.said.drain(..).enumerate() {
            if number > 0 {
                thread::sleep(pause);
            }
            // It is dropped at once, as every client does: else the kernel would repeat the knock.
            word.say()?;
        }
        Ok(())
    }

    /// Time from before the last word until a datagram to the service had been handed over that was
    /// let in: they follow the word, 20 µs apart, until one is answered.
    pub fn until_let_in(&mut self, patience: Duration) -> anyhow::Result<Option<Duration>> {
        let last = self.said.pop().expect("there is something to be said");
        self.say_all(Duration::ZERO)?;
        let start = Instant::now();
        last.say()?;
        let mut handed_over: Vec<Duration> = vec![];
        let mut answer = [0; 4];
        while start.elapsed() < patience {
            let number = u32::try_from(handed_over.len())?;
            match self.asking.send(&number.to_be_bytes()) {
                // A packet filter that answers lets nobody in.
                Ok(_) | Err(_) => handed_over.push(start.elapsed()),
            }
            let next = start.elapsed() + ASKING;
            while start.elapsed() < next {
                if self.asking.recv(&mut answer).is_ok_and(|len| len == answer.len()) {
                    let first = usize::try_from(u32::from_be_bytes(answer))?;
                    return Ok(handed_over.get(first).copied());
                }
            }
        }
        Ok(None)
    }

    /// Time that a connection to the service takes, if there comes one about.
    pub fn connect(&mut self, patience: Duration) -> anyhow::Result<Option<Duration>> {
        let start = Instant::now();
        begin(&self.connection, TCP_SERVICE)?;
        let timeout = Timespec::try_from(patience)?;
        let mut ready = [PollFd::new(&self.connection, PollFlags::OUT)];
        if poll(&mut ready, Some(&timeout))? == 0 {
            return Ok(None);
        }
        let connected = socket_error(&self.connection)?.is_ok();
        Ok(connected.then(|| start.elapsed()))
    }
}

fn tcp(source: Ipv4Addr) -> anyhow::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    Ok(socket)
}

fn begin(socket: &OwnedFd, port: u16) -> anyhow::Result<()> {
    match connect(socket, &SocketAddrV4::new(GATEWAY, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
