//! Giving numbers away for as long as a process runs.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use knockgate_compiler::policy::{Listen, Metrics};

use super::endpoint::{Endpoint, Serving};
use super::file::write;

/// How often the file is written, and what failed is tried again.
const EVERY: Duration = Duration::from_secs(15);

/// The page, or why there is none.
type Page = fn() -> Result<String, String>;

/// Gives numbers away as the policy in force says, which may change.
#[derive(Debug)]
pub struct Giver {
    page: Page,
    settings: Metrics,
    serving: Option<Serving>,
    due: Option<Instant>,
    /// What went wrong last, which is told once.
    trouble: Option<String>,
}

impl Giver {
    /// Gives nothing away yet.
    pub fn new(page: Page) -> Self {
        Self { page, settings: Metrics::default(), serving: None, due: None, trouble: None }
    }

    /// Does what is to be done at this time. Tells what goes wrong, if it is anything new. To be called again
    /// when another policy is in force, and when it is [`due`](Self::due).
    pub fn go_on(&mut self, settings: &Metrics, now: Instant) -> Option<String> {
        if self.settings != *settings {
            self.serving = None;
            self.due = None;
            self.settings = settings.clone();
        }
        if self.due.is_some_and(|due| now < due) {
            return None;
        }
        let wanted = self.settings.listen.is_some() || self.settings.file.is_some();
        self.due = wanted.then(|| now + EVERY);
        let trouble = self.give().err();
        let is_new = trouble != self.trouble;
        self.trouble = trouble.clone();
        trouble.filter(|_| is_new)
    }

    /// When there is something to be done again.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    fn give(&mut self) -> Result<(), String> {
        let failed =
            |place: &str, error: io::Error| format!("numbers cannot be given away at {place}: {error}");
        if let (None, Some(listen)) = (&self.serving, &self.settings.listen) {
            let serving = Endpoint::bind(listen).and_then(|endpoint| endpoint.start(self.page));
            self.serving = Some(serving.map_err(|error| failed(&place(listen), error))?);
        }
        let Some(file) = &self.settings.file else { return Ok(()) };
        let text = (self.page)()?;
        write(Path::new(&**file), &text).map_err(|error| failed(file, error))
    }
}

fn place(listen: &Listen) -> String {
    match listen {
        Listen::Unix(path) => path.to_string(),
        Listen::Tcp(address) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_policy_that_changes_is_followed_and_trouble_told_once() {
        let folder = std::env::temp_dir().join(format!("knockgate-giver-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().into();
        let (socket, file): (Box<str>, Box<str>) = (path("socket"), path("page.prom"));
        let mut giver = Giver::new(|| Ok("x 1\n".to_owned()));
        let start = Instant::now();
        assert_eq!((giver.go_on(&Metrics::default(), start), giver.due()), (None, None));
        let both = Metrics { listen: Some(Listen::Unix(socket.clone())), file: Some(file.clone()) };
        assert_eq!((giver.go_on(&both, start), giver.due()), (None, Some(start + EVERY)));
        assert_eq!(fs::read_to_string(&*file).unwrap(), "x 1\n");
        fs::remove_file(&*file).unwrap();
        giver.go_on(&both, start + EVERY / 2);
        assert!(fs::metadata(&*file).is_err(), "it is not due yet");
        giver.go_on(&both, start + EVERY);
        assert!(fs::metadata(&*file).is_ok() && UnixStream::connect(&*socket).is_ok());
        // The place is free as soon as another policy says so, and taken again.
        let listen = Metrics { file: None, ..both.clone() };
        assert_eq!(giver.go_on(&listen, start + EVERY), None);
        let elsewhere = Metrics { listen: None, file: Some(path("no/such")) };
        let trouble = giver.go_on(&elsewhere, start + EVERY);
        assert!(trouble.is_some_and(|trouble| trouble.contains("no/such: No such file")));
        assert!(UnixStream::connect(&*socket).is_err());
        assert_eq!(giver.go_on(&elsewhere, start + EVERY * 2), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
