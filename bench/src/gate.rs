//! Ways to let in who knocks, each as its own manual says, with a door that opens 22/tcp and 51820/udp.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::frame::Kind;
use crate::lane::{Cable, GATEWAY, to_port};
use crate::owner::{Owner, Words};
use crate::rules::{self, Rules, scratch};
use crate::sender::{Order, Traffic};

/// Where fwknopd takes packets.
const SPA_PORT: u16 = 62_201;

/// How long a daemon may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who watches over a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    Knockgate,
    /// With room for every source of a flood.
    KnockgateRoomy,
    ByHand,
    /// With room for every source of a flood.
    ByHandRoomy,
    Recent,
    Knockd,
    /// With its own UDP server.
    Fwknopd,
    /// With what it captures.
    FwknopdPcap,
}

impl Kin {
    pub fn name(self) -> &'static str {
        match self {
            Self::Knockgate => "Knockgate",
            Self::KnockgateRoomy => "Knockgate, `sources = 2000000`",
            Self::ByHand => "nftables by hand",
            Self::ByHandRoomy => "nftables by hand, `size 2000000`",
            Self::Recent => "iptables recent (nft)",
            Self::Knockd => "knockd",
            Self::Fwknopd => "fwknopd (UDP server)",
            Self::FwknopdPcap => "fwknopd (pcap)",
        }
    }

    /// Whether a program lets people in, rather than the kernel by itself.
    pub fn has_daemon(self) -> bool {
        matches!(self, Self::Knockd | Self::Fwknopd | Self::FwknopdPcap)
    }

    fn rules(self) -> Rules {
        match self {
            Self::Knockgate => Rules::Policy(rules::policy(1, "")),
            Self::KnockgateRoomy => Rules::Policy(rules::policy(1, "sources = 2000000")),
            Self::ByHand => Rules::Nft(rules::BY_HAND.to_owned()),
            Self::ByHandRoomy => Rules::Nft(rules::BY_HAND.replace("65536", "2000000")),
            Self::Recent => Rules::Iptables("iptables-nft-restore", rules::RECENT.to_owned()),
            Self::Knockd => Rules::Nft(rules::KNOCKD.to_owned()),
            Self::Fwknopd | Self::FwknopdPcap => {
                Rules::Iptables("iptables-nft-restore", rules::FWKNOP.to_owned())
            }
        }
    }

    /// What looks like the first knock of ever other people: for fwknopd, packets as long as its own.
    pub fn first_knocks(self) -> Traffic {
        let sources = (Ipv4Addr::new(10, 16, 0, 0), 1 << 20);
        let (kind, port) = match self {
            Self::Fwknopd | Self::FwknopdPcap => (Kind::Datagram(226), SPA_PORT),
            _ => (Kind::Syn, 333),
        };
        Traffic { order: Order::ByChance, ..to_port(kind, sources.0, sources.1, port) }
    }
}

/// A gate at work.
#[derive(Debug)]
pub struct Gate {
    keys: Option<Keys>,
    /// Ends with the value.
    _daemon: Option<Daemon>,
}

impl Gate {
    /// Puts it to work at the gateway, and waits until it lets people in.
    pub fn open(kin: Kin, cable: &Cable) -> anyhow::Result<Self> {
        kin.rules().load(&cable.gateway)?;
        let folder = folder()?;
        let (keys, daemon) = match kin {
            Kin::Knockd => (None, Some(knockd(cable, &folder)?)),
            Kin::Fwknopd => start_fwknopd(cable, &folder, "Y")?,
            Kin::FwknopdPcap => start_fwknopd(cable, &folder, "N")?,
            _ => (None, None),
        };
        let gate = Self { keys, _daemon: daemon };
        gate.wait(cable)?;
        Ok(gate)
    }

    /// The same with rules alone, which let in who knocks at 333, 777, 888/tcp.
    pub fn under(rules: &Rules, cable: &Cable) -> anyhow::Result<Self> {
        rules.load(&cable.gateway)?;
        let gate = Self { keys: None, _daemon: None };
        gate.wait(cable)?;
        Ok(gate)
    }

    /// What the owner at `source` has to say.
    pub fn words(&self, source: Ipv4Addr) -> anyhow::Result<Words> {
        match &self.keys {
            None => Ok(Words::Knocks(vec![333, 777, 888])),
            Some(keys) => Ok(Words::Letter(SPA_PORT, keys.letter(source)?)),
        }
    }

    fn wait(&self, cable: &Cable) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for last in 1.. {
            let source = Ipv4Addr::new(10, 200, 255, last);
            let mut owner = Owner::at(cable, source, self.words(source)?)?;
            if owner.until_let_in(Duration::from_secs(1))?.is_some() {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline && last < 250,
                "it lets nobody in; it was tried {last} times"
            );
        }
        unreachable!("there are fewer addresses than that")
    }
}

/// A folder that nothing else has.
fn folder() -> anyhow::Result<PathBuf> {
    for number in 0.. {
        let folder = Path::new("/run").join(format!("gate-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("a folder is found or there is an error")
}

/// A program that is ended with the value, and with the thread that started it.
#[derive(Debug)]
struct Daemon(Child);

impl Daemon {
    fn start<S: AsRef<OsStr>>(cable: &Cable, program: &str, arguments: &[S]) -> anyhow::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = cable.gateway.run(move || command.spawn());
        Ok(Self(child.with_context(|| format!("`{program}` cannot be run"))?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().expect("a child of ours may be ended");
        self.0.wait().expect("a child of ours can be waited for");
    }
}

fn knockd(cable: &Cable, folder: &Path) -> anyhow::Result<Daemon> {
    let config = folder.join("knockd.conf");
    fs::write(&config, include_str!("../peers/knockd.conf"))?;
    Daemon::start(cable, "knockd", &[OsStr::new("-c"), config.as_os_str()])
}

fn start_fwknopd(
    cable: &Cable,
    folder: &Path,
    server: &str,
) -> anyhow::Result<(Option<Keys>, Option<Daemon>)> {
    let keys = Keys::new()?;
    let place = folder.display();
    let access = format!(
        "SOURCE ANY\nREQUIRE_SOURCE_ADDRESS Y\nKEY_BASE64 {}\nHMAC_KEY_BASE64 {}\nFW_ACCESS_TIMEOUT 300\n",
        keys.cipher, keys.hmac
    );
    let config = format!(
        "{}FWKNOP_RUN_DIR {place};\nFWKNOP_CONF_DIR {place};\nENABLE_UDP_SERVER {server};\nUDPSERV_PORT {SPA_PORT};\n",
        include_str!("../peers/fwknopd.conf")
    );
    let name = folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
    let access = scratch(&format!("{name}/access.conf"), &access)?;
    let config = scratch(&format!("{name}/fwknopd.conf"), &config)?;
    let arguments =
        [OsStr::new("-f"), OsStr::new("-c"), config.as_os_str(), OsStr::new("-a"), access.as_os_str()];
    let daemon = Daemon::start(cable, "fwknopd", &arguments)?;
    Ok((Some(keys), Some(daemon)))
}

/// What fwknopd and its client share.
#[derive(Debug)]
struct Keys {
    cipher: String,
    hmac: String,
}

impl Keys {
    fn new() -> anyhow::Result<Self> {
        let output = client().arg("--key-gen").output().context("`fwknop` cannot be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let after = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned);
        let none = || format!("`fwknop --key-gen` says: {text}");
        let cipher = after("KEY_BASE64: ").with_context(none)?;
        Ok(Self { cipher, hmac: after("HMAC_KEY_BASE64: ").with_context(none)? })
    }

    /// The packet that lets `source` in, once.
    fn letter(&self, source: Ipv4Addr) -> anyhow::Result<Vec<u8>> {
        let file = scratch("letter", "")?;
        fs::remove_file(&file)?;
        let mut client = client();
        client.args(["--test", "--no-save-args", "-A", "tcp/22,udp/51820", "-a", &source.to_string()]);
        client.args(["-D", &GATEWAY.to_string(), "--key-base64-rijndael", &self.cipher]);
        client.args(["--key-base64-hmac", &self.hmac]).arg("--save-packet").arg(&file);
        let output = client.output()?;
        let letter = fs::read_to_string(&file);
        let letter = letter.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(letter.trim_end().as_bytes().to_owned())
    }
}

/// Its notes go where ours do.
fn client() -> Command {
    let mut client = Command::new("fwknop");
    client.env("HOME", "/run").stdin(Stdio::null());
    client
}
