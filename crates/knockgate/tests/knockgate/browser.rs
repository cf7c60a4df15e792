//! A real browser, without a window.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BROWSER: &str = "chromium";
/// Nothing here takes as long, except when it hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// Widths of a window and of a telephone.
const WIDTHS: [u32; 2] = [1280, 400];

/// Whether there is a browser; it is said when not, and fails where there must be one.
pub fn can_be_run() -> bool {
    let version = Command::new(BROWSER).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_ok() {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "this test must run here, and lacks: {BROWSER}");
    eprintln!("not run: lacks {BROWSER}");
    false
}

/// A folder for one test, for what it shows and for what the browser keeps. It is left there only by
/// a test that fails.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("knockgate-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            fs::remove_dir_all(&self.0).expect("a folder of ours");
        }
    }
}

/// Asks a page what is wrong with how it looks, and tells the page that frames it.
const PROBE: &str = include_str!("browser/probe.js");

/// What a page shows at one width.
#[derive(Debug)]
pub struct Look {
    pub page: PathBuf,
    pub width: u32,
    /// State diagrams.
    pub states: u64,
    pub plots: u64,
    /// What is wrong with how it looks.
    pub wrong: Vec<String>,
}

/// Opens pages, each at each width, and says how they look.
#[track_caller]
pub fn look(pages: &[PathBuf]) -> Vec<Look> {
    let mut frames = String::new();
    for page in pages {
        let probed = page.with_extension("probed.html");
        fs::write(&probed, with_probe(page)).expect("a folder of ours");
        let name = probed.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        for width in WIDTHS {
            // A window is never as narrow as a telephone, but a frame in it can be.
            frames += &format!("<iframe src=\"{name}\" style=\"width:{width}px;height:1600px\"></iframe>\n");
        }
    }
    let all = pages[0].with_extension("all.html");
    let gather = "addEventListener('message', ({ data, source }) => {
        const at = [...document.querySelectorAll('iframe')].findIndex((frame) => frame.contentWindow === source);
        const answer = document.createElement('output');
        answer.textContent = at + ' ' + data;
        document.body.append(answer);
    });";
    let html =
        format!("<!doctype html><style>iframe {{ border: 0 }}</style><script>{gather}</script>{frames}");
    fs::write(&all, html).expect("a folder of ours");
    let answers = answers(&dom(&all));
    assert_eq!(answers.len(), pages.len() * WIDTHS.len(), "{answers:?}");
    answers.into_iter().map(|(at, answer)| of_answer(&pages[at / 2], WIDTHS[at % 2], &answer)).collect()
}

/// The page with a script that asks it, which its own rules would not let run.
#[track_caller]
fn with_probe(page: &Path) -> String {
    let html = fs::read_to_string(page).expect("a page");
    let (allowed, end) = ("default-src 'none'; script-src 'unsafe-inline'", "</body>");
    assert!(html.contains("default-src 'none'") && html.contains(end), "{} has another form", page.display());
    html.replace("default-src 'none'", allowed).replace(end, &format!("<script>{PROBE}</script>{end}"))
}

/// What was answered, with the place of the frame that it came from.
#[track_caller]
fn answers(dom: &str) -> Vec<(usize, String)> {
    let answers = dom.split("<output>").skip(1).map(|rest| {
        let (answer, _) = rest.split_once("</output>").expect("a whole answer");
        let (at, answer) = answer.split_once(' ').expect("a place");
        let answer = answer.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        (at.parse().expect("a number"), answer)
    });
    answers.collect()
}

#[track_caller]
fn of_answer(page: &Path, width: u32, answer: &str) -> Look {
    let answer: serde_json::Value = serde_json::from_str(answer).expect("JSON");
    assert_eq!(answer["width"], width, "{}", page.display());
    let number = |key: &str| answer[key].as_u64().expect("a number");
    let wrong = answer["wrong"].as_array().expect("a list").iter();
    Look {
        page: page.to_owned(),
        width,
        states: number("states"),
        plots: number("plots"),
        wrong: wrong.map(|one| one.as_str().expect("a text").to_owned()).collect(),
    }
}

/// What a page consists of in the end; nothing is complained of on the way.
#[track_caller]
fn dom(page: &Path) -> String {
    let [out, err] = ["out", "err"].map(|end| page.with_extension(end));
    let file = |path: &Path| File::create(path).expect("a folder of ours");
    let child = Command::new(BROWSER)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=2000", "--enable-logging=stderr", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", page.with_extension("profile").display()))
        .args(["--window-size=1700,2400", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err))
        .spawn()
        .expect("a browser");
    wait(child, page);
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("written")).into_owned();
    let said = text(&err);
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{}: {complaints:#?}", page.display());
    text(&out)
}

#[track_caller]
fn wait(mut child: Child, page: &Path) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            assert!(status.success(), "{}: {status}", page.display());
            return;
        }
        if start.elapsed() > LIMIT {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            panic!("{} is not shown after {LIMIT:?}", page.display());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
