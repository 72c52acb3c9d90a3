//! What a process that runs httpd's program was started for, from the words of its command line.
//!
//! Source: httpd 2.4 `server/main.c`, `AP_SERVER_BASEARGS`; the MPMs' `-k`, `-D FOREGROUND` and the like.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Options that take a value, in the same word or in the next one.
const WITH_VALUE: &[u8] = b"CcDdEefk";

/// Options with which httpd prints or tests something and ends. `-T` is none of them: it only leaves a test out.
const PRINTS_AND_ENDS: &[u8] = b"tSVvMlLh?";

/// Names by which an MPM stays with whoever started it instead of becoming a daemon.
pub(super) const FOREGROUND: [&str; 4] = ["FOREGROUND", "NO_DETACH", "ONE_PROCESS", "DEBUG"];

/// The options of a process that runs httpd's program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Names given with `-D`, in order.
    pub defines: Vec<String>,
    /// The main file given with `-f`.
    pub file: Option<PathBuf>,
    /// ServerRoot given with `-d`.
    pub server_root: Option<PathBuf>,
    /// Directives given with `-C`, read before the main file, in order.
    pub before: Vec<String>,
    /// Directives given with `-c`, read after it, in order.
    pub after: Vec<String>,
    /// What `-k` asks for: `start`, `graceful`.
    pub action: Option<String>,
    /// Whether it only prints or tests something.
    prints_and_ends: bool,
    /// Whether `-X` was given: one process, which stays in the foreground.
    one_process: bool,
}

impl CommandLine {
    /// Reads the words of `/proc/PID/cmdline`, which end with a zero byte each. The first one is the program.
    pub fn parse(cmdline: &[u8]) -> Self {
        let mut found = Self::default();
        let mut words = cmdline.split(|byte| *byte == 0).skip(1);
        while let Some(options) = words.next().and_then(|word| word.strip_prefix(b"-")) {
            for (at, option) in options.iter().enumerate() {
                if WITH_VALUE.contains(option) {
                    let rest = &options[at + 1..];
                    let value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
                    found.take(*option, value);
                    break;
                }
                found.prints_and_ends |= PRINTS_AND_ENDS.contains(option);
                found.one_process |= *option == b'X';
            }
        }
        found
    }

    fn take(&mut self, option: u8, value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        let path = || Some(PathBuf::from(OsStr::from_bytes(value)));
        match option {
            b'C' => self.before.push(text()),
            b'c' => self.after.push(text()),
            b'D' => self.defines.push(text()),
            b'd' => self.server_root = path(),
            b'f' => self.file = path(),
            b'k' => self.action = Some(text()),
            _ => {}
        }
    }

    /// Tells whether a process started so becomes a server. One that is told `-k graceful` or `-k restart` while
    /// none runs does.
    pub fn is_of_a_server(&self) -> bool {
        !self.prints_and_ends && !matches!(self.action.as_deref(), Some("stop" | "graceful-stop"))
    }

    /// Tells whether a server started so stays with whoever started it: a container, a supervisor, a person at a
    /// terminal.
    pub fn stays_in_foreground(&self) -> bool {
        self.one_process || self.defines.iter().any(|name| FOREGROUND.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> CommandLine {
        CommandLine::parse(format!("httpd {words} ").replace(' ', "\0").as_bytes())
    }

    #[test]
    fn what_prints_tests_or_signals_is_no_server() {
        for (words, serves) in [
            ("", true),
            ("-k start", true),
            ("-kstart", true),
            ("-k graceful", true),
            ("-k restart", true),
            ("-k stop", false),
            ("-k graceful-stop", false),
            ("-t", false),
            ("-t -D DUMP_VHOSTS", false),
            ("-S", false),
            ("-M", false),
            ("-V", false),
            ("-v", false),
            ("-l", false),
            ("-L", false),
            ("-h", false),
            ("-T", true),
            ("-Tt", false),
            ("-DSSL -X", true),
            ("-D t", true),
            ("-Dt", true),
            ("-c Timeout -t", false),
            ("-f /etc/t.conf", true),
            ("-C ServerName -DFOREGROUND", true),
            ("word -t", true),
        ] {
            assert_eq!(parsed(words).is_of_a_server(), serves, "{words}");
        }
    }

    #[test]
    fn what_stays_in_the_foreground_is_known_by_its_options() {
        for (words, foreground) in [
            ("-DFOREGROUND", true),
            ("-D FOREGROUND -k start", true),
            ("-D SSL -DNO_DETACH", true),
            ("-X", true),
            ("-TX", true),
            ("-DONE_PROCESS", true),
            ("-k start", false),
            ("-D foreground", false),
            ("-c FOREGROUND", false),
        ] {
            assert_eq!(parsed(words).stays_in_foreground(), foreground, "{words}");
        }
    }

    #[test]
    fn names_and_paths_are_read_wherever_they_stand() {
        let found = parsed("-DA -D B -d /etc/apache2-blue -f conf/x.conf -C LoadModule -kstart -DC");
        assert_eq!(found.defines, ["A", "B", "C"]);
        assert_eq!(found.server_root, Some("/etc/apache2-blue".into()));
        assert_eq!(found.file, Some("conf/x.conf".into()));
        assert_eq!(found.action.as_deref(), Some("start"));
        assert_eq!((found.before, found.after), (vec!["LoadModule".to_owned()], vec![]));
    }
}
