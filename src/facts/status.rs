//! What the running server says about itself: `mod_status`, and the messages about limits in its error log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::http::Silence;
use crate::url::Url;

/// What `mod_status` tells. JSON: `{"busy_workers": 1, "idle_workers": 49, "connections": 12, ...,
/// "scoreboard": {"waiting": 49, "sending": 1, "open_slots": 350}}`; what a release or an MPM does not tell is null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The server's version and modules, `ServerVersion`.
    pub version: Option<String>,
    /// The MPM, `ServerMPM`.
    pub mpm: Option<String>,
    /// Seconds since it was started.
    pub uptime: Option<u64>,
    /// How often it has taken its configuration up since then, `ParentServerConfigGeneration`.
    pub generation: Option<u64>,
    /// Requests answered since then, `Total Accesses`; with `ExtendedStatus`.
    pub requests: Option<u64>,
    /// Workers that serve a request or hold a connection.
    pub busy_workers: Option<u64>,
    /// Workers that wait.
    pub idle_workers: Option<u64>,
    /// Processes that serve or finish, `Processes`.
    pub processes: Option<u64>,
    /// Processes that finish, `Stopping`.
    pub stopping: Option<u64>,
    /// Connections of all kinds, event.
    pub connections: Option<u64>,
    /// Connections that wait for the client to take data, event.
    pub writing: Option<u64>,
    /// Idle kept connections, event.
    pub keep_alive: Option<u64>,
    /// Connections that are being closed, event.
    pub closing: Option<u64>,
    /// How many slots of the scoreboard are in which state; states that no slot is in are left out.
    pub scoreboard: BTreeMap<&'static str, u64>,
}

/// The letters of the scoreboard, in the order of `mod_status`'s own key.
const STATES: [(u8, &str); 11] = [
    (b'_', "waiting"),
    (b'S', "starting"),
    (b'R', "reading"),
    (b'W', "sending"),
    (b'K', "keep_alive"),
    (b'D', "dns"),
    (b'C', "closing"),
    (b'L', "logging"),
    (b'G', "finishing"),
    (b'I', "idle_cleanup"),
    (b'.', "open_slots"),
];

/// Reads the page that `mod_status` gives for `?auto`; `None` where it is another page.
///
/// Lines are `Name: value`. Names differ between releases; whatever is missing stays `None`.
pub fn parse(page: &str) -> Option<Status> {
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, value)) = line.split_once(": ") {
            fields.insert(name, value.trim());
        }
    }
    let number = |name: &str| fields.get(name)?.parse().ok();
    let text = |name: &str| fields.get(name).map(|value| (*value).to_owned());
    let slots = fields.get("Scoreboard")?;
    let mut scoreboard = BTreeMap::new();
    for slot in slots.bytes() {
        let (_, state) = STATES.iter().find(|(letter, _)| *letter == slot)?;
        *scoreboard.entry(*state).or_insert(0) += 1;
    }
    Some(Status {
        version: text("ServerVersion"),
        mpm: text("ServerMPM"),
        uptime: number("ServerUptimeSeconds").or_else(|| number("Uptime")),
        generation: number("ParentServerConfigGeneration"),
        requests: number("Total Accesses"),
        busy_workers: number("BusyWorkers"),
        idle_workers: number("IdleWorkers"),
        processes: number("Processes"),
        stopping: number("Stopping"),
        connections: number("ConnsTotal"),
        writing: number("ConnsAsyncWriting"),
        keep_alive: number("ConnsAsyncKeepAlive"),
        closing: number("ConnsAsyncClosing"),
        scoreboard,
    })
}

/// Why there is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStatus {
    /// The address is not of the loopback.
    #[error("`{0}` is not an address of the loopback: the status of another host is not this host's")]
    Elsewhere(String),
    /// There was no answer.
    #[error(transparent)]
    Silent(#[from] Silence),
    /// There was an answer, but no status page.
    #[error(
        "{url} answered {status}, not a page of mod_status; load status_module and allow it for local requests"
    )]
    NotStatus {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Asks `mod_status` at a loopback address, `?auto` added where the address has no query.
///
/// # Errors
/// [`NoStatus`]; the caller goes on without a status.
pub fn ask(url: &str, timeout: Duration) -> Result<Status, NoStatus> {
    let address = Url::parse(url).map_err(Silence::from)?.or_query("auto");
    if !address.is_loopback() {
        return Err(NoStatus::Elsewhere(url.to_owned()));
    }
    let answer = address.get(timeout)?;
    let page = String::from_utf8_lossy(&answer.body);
    let status = if answer.status == 200 { parse(&page) } else { None };
    status.ok_or_else(|| NoStatus::NotStatus { url: url.to_owned(), status: answer.status })
}

/// A message about a limit in the error log. JSON: `{"code": "AH00484", "count": 1, "meaning": "...", "last": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogMessage {
    /// httpd's code.
    pub code: &'static str,
    /// How often it stands in what was read.
    pub count: u64,
    /// What it means, in this tool's words.
    pub meaning: &'static str,
    /// The newest line that has it, at most 300 bytes.
    pub last: String,
}

/// The codes looked for: what each says about the sizes.
///
/// Those for "reached" and "within" are written once in a parent's life: that none is in a rotated log proves nothing.
const CODES: [(&str, &str); 17] = [
    ("AH00484", "all workers were busy: MaxRequestWorkers was reached"),
    ("AH00286", "all workers were busy: MaxRequestWorkers was reached"),
    ("AH00161", "all processes were busy: MaxRequestWorkers was reached"),
    ("AH10159", "fewer than MinSpareThreads workers were left below MaxRequestWorkers"),
    ("AH00287", "fewer than MinSpareThreads workers were left below MaxRequestWorkers"),
    ("AH03490", "no process slot was free although workers were missing: ServerLimit is too low"),
    ("AH00288", "no process slot was free although workers were missing: ServerLimit is too low"),
    ("AH00486", "processes were started fast: more idle ones are needed"),
    ("AH00289", "processes were started fast: more idle ones are needed"),
    ("AH00162", "processes were started fast: more idle ones are needed"),
    ("AH00159", "a process could not be started: tasks or memory ran out"),
    ("AH00283", "a process could not be started: tasks or memory ran out"),
    ("AH00481", "a process could not be started: tasks or memory ran out"),
    ("AH00480", "a thread could not be started: tasks or memory ran out"),
    ("AH03104", "a thread could not be started: tasks or memory ran out"),
    ("AH02179", "a process had no file descriptor left for a new connection"),
    ("AH00004", "the scoreboard could not be had: ServerLimit x ThreadLimit is too large"),
];

/// Those of the codes that say that all workers were busy.
pub const MRW_REACHED: [&str; 3] = ["AH00484", "AH00286", "AH00161"];

/// The most bytes of a log that are read, from its end.
pub const LOG_TAIL: u64 = 1 << 20;

/// Returns the messages about limits in a log's text, in the order of the table; the first line may be cut.
pub fn messages(log: &[u8]) -> Vec<LogMessage> {
    let mut found: Vec<LogMessage> = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        // Only the first code of a line is httpd's own; what a client sent may be behind it.
        let own = line.windows(8).find(|eight| {
            eight.starts_with(b"AH") && eight[2..7].iter().all(u8::is_ascii_digit) && eight[7] == b':'
        });
        let Some((code, meaning)) =
            own.and_then(|own| CODES.iter().find(|(code, _)| code.as_bytes() == &own[..7]))
        else {
            continue;
        };
        let last = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
        match found.iter_mut().find(|message| message.code == *code) {
            Some(message) => {
                message.count += 1;
                message.last = last;
            }
            None => found.push(LogMessage { code, count: 1, meaning, last }),
        }
    }
    found.sort_by_key(|message| CODES.iter().position(|(code, _)| *code == message.code));
    found
}

/// Returns the messages about limits at the end of a log file. A pipe or a device is not a log.
///
/// # Errors
/// Those of opening and reading it.
pub fn log_messages(path: &Path) -> io::Result<Vec<LogMessage>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail)?;
    Ok(messages(&tail))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Written after the page of httpd 2.4.71 with the event MPM.
    const PAGE: &str = "localhost\nServerVersion: Apache/2.4.71 (Debian)\nServerMPM: event\nServer Built: x\n\
        ParentServerConfigGeneration: 4\nServerUptimeSeconds: 61\nTotal Accesses: 3\nBusyWorkers: 2\nGracefulWorkers: 0\nIdleWorkers: 3\nProcesses: 1\n\
        Stopping: 0\nConnsTotal: 12\nConnsAsyncWriting: 1\nConnsAsyncKeepAlive: 9\nConnsAsyncClosing: 0\n\
        Scoreboard: _W_R_.....\n";

    #[test]
    fn the_page_is_read_and_the_scoreboard_summed() {
        let status = parse(PAGE).unwrap();
        assert_eq!(status.mpm.as_deref(), Some("event"));
        assert_eq!((status.busy_workers, status.idle_workers), (Some(2), Some(3)));
        assert_eq!((status.connections, status.keep_alive, status.uptime), (Some(12), Some(9), Some(61)));
        assert_eq!(status.generation, Some(4));
        let sums: Vec<_> = status.scoreboard.into_iter().collect();
        assert_eq!(sums, [("open_slots", 5), ("reading", 1), ("sending", 1), ("waiting", 3)]);
    }

    #[test]
    fn an_older_or_other_mpms_page_lacks_some_numbers() {
        let status =
            parse("Total Accesses: 3\nUptime: 5\nBusyWorkers: 1\nIdleWorkers: x\nScoreboard: W\n").unwrap();
        assert_eq!((status.connections, status.idle_workers, status.uptime), (None, None, Some(5)));
    }

    #[test]
    fn another_page_is_no_status() {
        for page in ["", "<html>Scoreboard: </html>", "BusyWorkers: 1\n", "Scoreboard: <b>hello</b>\n"] {
            assert_eq!(parse(page), None, "{page:?}");
        }
    }

    #[test]
    fn another_hosts_status_is_not_asked_for() {
        for url in ["http://192.0.2.1/server-status", "http://example.org/"] {
            assert_eq!(ask(url, Duration::from_secs(1)), Err(NoStatus::Elsewhere(url.into())));
        }
        assert!(matches!(ask("https://localhost/", Duration::from_secs(1)), Err(NoStatus::Silent(_))));
    }

    #[test]
    fn messages_about_limits_are_counted_from_the_end_of_the_log() {
        let log = "cut off AH00484: server reached\n\
            [x] [mpm_event:error] [pid 1:tid 1] AH03490: scoreboard is full, not at MaxRequestWorkers.Increase ServerLimit.\n\
            [x] [core:error] [client 127.0.0.1] AH00126: Invalid URI in request GET /AH00484: HTTP/1.1\n\
            [y] [mpm_event:error] [pid 1:tid 1] AH03490: scoreboard is full, again\n\
            AH0048\nAH99999: x\n";
        let found = messages(log.as_bytes());
        let told: Vec<_> = found.iter().map(|message| (message.code, message.count)).collect();
        assert_eq!(told, [("AH00484", 1), ("AH03490", 2)]);
        assert!(found[1].last.ends_with("again"));
        assert_eq!(messages(b"all is well\n"), []);
    }

    #[test]
    fn only_the_tail_of_a_long_log_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.log");
        let mut log = b"AH00161: early\n".to_vec();
        log.resize(usize::try_from(LOG_TAIL).unwrap() + 100, b'\n');
        log.extend_from_slice(b"AH00286: late\n");
        std::fs::write(&path, &log).unwrap();
        let codes: Vec<_> = log_messages(&path).unwrap().iter().map(|message| message.code).collect();
        assert_eq!(codes, ["AH00286"]);
        assert!(log_messages(dir.path()).is_err());
        assert!(log_messages(&dir.path().join("none")).is_err());
    }
}
