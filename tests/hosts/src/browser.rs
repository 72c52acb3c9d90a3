//! A real browser without a screen, driven through its own protocol over two pipes: for the pages that the program
//! makes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::apt::{self, Need};
use crate::host::sound;

/// What a browser needs of this machine.
pub const NEEDS: &[Need] = &[
    Need {
        package: "chromium-headless-shell",
        purpose: "shows the page of a fleet",
        programs: &["chromium-headless-shell"],
        met: || apt::there("/usr/bin/chromium-headless-shell"),
    },
    Need {
        package: "fonts-dejavu-core",
        purpose: "has letters for the page of a fleet",
        programs: &[],
        met: || apt::there("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    },
];

/// How long one answer of the browser may take, in seconds.
const PATIENCE: u64 = 60;

/// One page in a browser of its own. The browser ends with it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    next: u64,
    /// What the browser said without being asked.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty page of that many pixels.
    #[track_caller]
    pub fn start(width: u32, height: u32) -> Self {
        sound(Self::new(width, height))
    }

    /// Like [`Browser::start`], for callers that report errors.
    pub fn new(width: u32, height: u32) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("browser-").tempdir()?;
        // The protocol is read from descriptor 3 and written to descriptor 4.
        let script = "exec chromium-headless-shell \"$@\" 3<&0 4>&1 >/dev/null 2>&1 </dev/null";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting `sh`")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the browser has no pipes");
        };
        let mut browser = Self {
            child,
            input,
            output: BufReader::new(output),
            session: None,
            next: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", &attach)?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}))?;
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.ask("Emulation.setDeviceMetricsOverride", &size)?;
        Ok(browser)
    }

    /// Sends one command of the protocol and returns its answer.
    pub fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).context("writing to the browser")?;
        loop {
            let mut answer = Vec::new();
            if self.output.read_until(0, &mut answer).context("reading from the browser")? == 0 {
                bail!("the browser ended before it answered {method}");
            }
            answer.pop();
            let mut answer: Value = serde_json::from_slice(&answer).context("the browser's answer")?;
            if answer["id"] == id {
                if answer["error"].is_object() {
                    bail!("{method}: {}", answer["error"]["message"]);
                }
                return Ok(answer["result"].take());
            }
            self.events.push(answer);
        }
    }

    /// Opens a file and waits until `ready`, an expression of JavaScript, is true.
    #[track_caller]
    pub fn open(&mut self, page: &Path, ready: &str) {
        sound(self.ask("Page.navigate", &json!({"url": format!("file://{}", page.display())})));
        self.wait(ready);
    }

    /// Waits until an expression is true; while the page is being opened it may have no value at all.
    ///
    /// # Panics
    /// Where it is not true within a minute.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) {
        let end = Instant::now() + Duration::from_secs(PATIENCE);
        while !self.evaluate(expression).is_ok_and(|value| value == json!(true)) {
            assert!(Instant::now() < end, "{expression} does not become true; {:?}", self.complaints());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the value of an expression of JavaScript; a promise is waited for.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        sound(self.evaluate(expression))
    }

    fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let question = json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut answer = self.ask("Runtime.evaluate", &question)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression}: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].take())
    }

    /// Clicks into the middle of the first element that a CSS selector finds, as a mouse does.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let middle = self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'nearest'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        self.click_at(middle[0].as_f64().unwrap_or_default(), middle[1].as_f64().unwrap_or_default());
    }

    /// Clicks at a point of the page.
    #[track_caller]
    pub fn click_at(&mut self, x: f64, y: f64) {
        for (kind, button, clicks) in
            [("mouseMoved", "none", 0), ("mousePressed", "left", 1), ("mouseReleased", "left", 1)]
        {
            let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": clicks});
            sound(self.ask("Input.dispatchMouseEvent", &event));
        }
    }

    /// Types text into what has the focus.
    #[track_caller]
    pub fn type_text(&mut self, text: &str) {
        sound(self.ask("Input.insertText", &json!({"text": text})));
    }

    /// Presses a key: `Enter`, `ArrowDown`, `/`.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            sound(self.ask("Input.dispatchKeyEvent", &json!({"type": kind, "key": key})));
        }
    }

    /// Makes the page believe that its reader likes it dark, or light; or, with `print`, that it is printed.
    #[track_caller]
    pub fn media(&mut self, dark: bool, print: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let media = if print { "print" } else { "" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        sound(self.ask("Emulation.setEmulatedMedia", &json!({"media": media, "features": features})));
    }

    /// Returns a picture of the page as PNG.
    #[track_caller]
    pub fn picture(&mut self) -> Vec<u8> {
        let picture = sound(self.ask("Page.captureScreenshot", &json!({"format": "png"})));
        from_base64(picture["data"].as_str().unwrap_or_default())
    }

    /// Returns what the page has asked the network for, its own file apart.
    pub fn requests(&self) -> Vec<String> {
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(url).filter(|url| !url.starts_with("file:")).collect()
    }

    /// Returns errors and warnings of the page: what its console has, exceptions, what its policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        let methods = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let is_one = |event: &&Value| methods.iter().any(|method| event["method"] == *method);
        self.events.iter().filter(is_one).map(|event| event["params"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // `sh` became the browser, whose own processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads RFC 4648 base64; what is no digit of it is passed over.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for value in text.bytes().filter_map(digit) {
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    out
}
