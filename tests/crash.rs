//! Killed, or failing, at every system call that changes files: Apache starts, with the old configuration or the new
//! one, and the next run finishes or undoes the work.
//!
//! The real program changes a real Debian host under `strace`, which counts its calls and then, run by run, kills it
//! at the first, second, third … of each kind, or lets that one fail. Calls that only read need no run of their own:
//! what is on disk is the same at the next call that changes something.
//!
//! In a third kind of run the power is cut: the recorded calls are done again without those that no sync covers.
//!
//! A matrix over layouts and ways of failing, each with an undo after it, is in `crash/matrix.rs`.
//!
//! Every errno at every call takes long; by default each call fails with one of them in turn, and with
//! `APACHE_TUNING_EXHAUSTIVE=1`, or in `cargo xtask test --long`, with each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use apache_tuning::apply::{self, Lock};
use apache_tuning::httpd::binary::{Httpd, TIMEOUT};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use test_hosts::{EXHAUSTIVE_VARIABLE, Host};

#[path = "crash/matrix.rs"]
mod matrix;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// The calls that change what is on disk, and those whose failure or absence makes a change last or not.
const CHANGING: &str = "mkdirat,symlinkat,linkat,unlinkat,renameat,renameat2,write,fsync,fchmod,fchown,\
                        fsetxattr,fremovexattr,utimensat,ftruncate,flock";

/// What a full, broken, forbidden or read-only file system answers.
const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EACCES", "EROFS"];

/// Folders that the program may change, and the one with its own state.
const CHANGED: [&str; 4] = ["etc/apache2", "etc/apache2-blue", "srv/web", "var/lib/apache2"];
const STATE: &str = "var/lib/apache-tuning";

/// The program and its parameters, in the host.
const RUN: [&str; 2] = ["/usr/local/bin/apache-tuning", "/root/parameters.json"];

/// A host, what is asked of it, and how it looks before and after.
struct Bed {
    host: Host,
    saved: tempfile::TempDir,
    old: Vec<String>,
    new: Vec<String>,
    /// What tells httpd which server it is.
    arguments: Vec<String>,
    /// What `apache2 -t` said to a state, by the state.
    starts: HashMap<Vec<String>, Result<(), String>>,
}

impl Bed {
    /// Runs the program once undisturbed on a prepared host, and gives the host back its state.
    fn new(host: Host, mut parameters: Value) -> (Self, Vec<(String, usize)>) {
        let saved = tempfile::tempdir().unwrap();
        for folder in CHANGED.iter().chain([&STATE]) {
            let from = host.path(format!("/{folder}"));
            if from.symlink_metadata().is_ok() {
                copy(&from, &saved.path().join(folder));
            }
        }
        parameters["config_test"] = false.into();
        install(&host, &parameters);
        let arguments = match parameters["instance"].as_str() {
            Some(name) => vec!["-d".to_owned(), format!("/etc/apache2-{name}")],
            None => Vec::new(),
        };
        let mut bed =
            Self { host, saved, old: Vec::new(), new: Vec::new(), arguments, starts: HashMap::new() };
        bed.old = bed.tree();
        let trace = bed.saved.path().join("trace");
        let result = bed.run(&["-o", trace.to_str().unwrap()]).expect("an undisturbed run");
        assert_eq!(result["changed"], true, "{}", result["msg"]);
        bed.new = bed.tree();
        assert_ne!(bed.old, bed.new);
        for state in [bed.old.clone(), bed.new.clone()] {
            bed.must_start(&state, "undisturbed");
        }
        bed.reset();
        assert_eq!(bed.tree(), bed.old);

        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        let trace = fs::read_to_string(&trace).unwrap();
        let exchanges = trace.matches("RENAME_EXCHANGE").count();
        assert!(
            exchanges <= 1,
            "what refuses to be exchanged is built and tried once, not {exchanges} times"
        );
        for line in trace.lines() {
            let call = line.split('(').next().unwrap_or_default();
            if CHANGING.split(',').any(|name| name.trim() == call) {
                *calls.entry(call.to_owned()).or_default() += 1;
            }
        }
        let points = calls.into_iter().flat_map(|(name, count)| (1..=count).map(move |n| (name.clone(), n)));
        (bed, points.collect())
    }

    /// Runs the program under `strace`; `None` where it was killed or printed no result.
    fn run(&self, options: &[&str]) -> Option<Value> {
        let mut command = Command::new("strace");
        command.args(["-qq", "-e", &format!("trace={CHANGING}")]).args(options);
        command.arg("chroot").arg(self.host.root()).args(RUN);
        let output = command.output().expect("strace is installed");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Gives the host the state back that it had before the change.
    fn reset(&self) {
        for folder in CHANGED.iter().chain([&STATE]) {
            let there = self.host.path(format!("/{folder}"));
            let _ = fs::remove_dir_all(&there);
            let from = self.saved.path().join(folder);
            if from.symlink_metadata().is_ok() {
                copy(&from, &there);
            }
        }
    }

    fn tree(&self) -> Vec<String> {
        let mut out = Vec::new();
        for folder in CHANGED {
            let folder = self.host.path(format!("/{folder}"));
            if folder.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                walk(self.host.root(), &folder, &mut out);
            }
        }
        out.sort();
        out
    }

    /// Asks the real httpd about the state on disk, once for each different one.
    fn must_start(&mut self, state: &[String], at: &str) {
        // What is staged has another random name each time; what is in a staged folder no glob of Debian's reaches.
        let key: Vec<String> = state.iter().filter_map(|line| without_token(line)).collect();
        let (host, starts) = (&self.host, &mut self.starts);
        let said = starts.entry(key).or_insert_with(|| {
            let variables = [
                ("APACHE_RUN_DIR", "/var/run/apache2"),
                ("APACHE_LOCK_DIR", "/var/lock/apache2"),
                ("APACHE_LOG_DIR", "/var/log/apache2"),
                ("APACHE_RUN_USER", "www-data"),
                ("APACHE_RUN_GROUP", "www-data"),
                ("APACHE_PID_FILE", "/var/run/apache2/apache2.pid"),
            ];
            let httpd = Httpd {
                root: host.root().to_owned(),
                binary: "/usr/sbin/apache2".into(),
                arguments: self.arguments.clone(),
                environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                timeout: TIMEOUT,
                makes: Vec::new(),
                helper: Some(PROGRAM.into()),
            };
            let tested = httpd.test().expect("apache2 -t runs in the host");
            if tested.ok { Ok(()) } else { Err(tested.output) }
        });
        if let Err(output) = said {
            panic!("{at}: Apache does not start: {output}\n{}", difference(&self.old, state));
        }
    }

    /// Checks the state that a disturbed run left: Apache starts, and recovering brings it to the old state or the
    /// new one to the byte. Returns whether the new one is there.
    fn settle(&mut self, at: &str) -> bool {
        let left = self.tree();
        let states = self.starts.len();
        self.must_start(&left, at);
        let recovered =
            Lock::take(self.host.root(), Duration::from_secs(1)).and_then(|lock| apply::recover(&lock));
        if let Err(error) = recovered {
            panic!("{at}: {error}");
        }
        let now = self.tree();
        let is_new = now == self.new;
        assert!(is_new || now == self.old, "{at}: neither old nor new\n{}", difference(&self.old, &now));
        assert!(!apply::is_interrupted(self.host.root()), "{at}");
        if self.starts.len() > states {
            // Whatever was left, the next run has nothing in its way.
            let next = self.run(&["-o", "/dev/null"]).expect(at);
            assert_eq!(next["changed"], !is_new, "{at}: {}", next["msg"]);
            assert_eq!(self.tree(), self.new, "{at}");
        }
        is_new
    }
}

/// Kills the program at every changing call in turn.
fn killed(name: &str, host: Host, parameters: Value) {
    let (mut bed, points) = Bed::new(host, parameters);
    let mut news = 0;
    for (call, n) in &points {
        bed.reset();
        let at = format!("{name}, killed at {call} {n}");
        let result = bed.run(&["-o", "/dev/null", "-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
        let is_new = bed.settle(&at);
        assert!(result.is_none() || is_new, "{at}: not killed: {result:?}");
        news += usize::from(is_new);
    }
    let states = bed.starts.len();
    eprintln!(
        "{name}: killed at {} calls, {news} times after the last change; {states} states",
        points.len()
    );
    assert!(points.len() > 40 && news < points.len());
}

/// Lets every changing call fail in turn.
fn failing(name: &str, host: Host, parameters: Value) {
    let (mut bed, points) = Bed::new(host, parameters);
    let all = std::env::var_os(EXHAUSTIVE_VARIABLE).is_some();
    let mut tried = 0;
    for (index, (call, n)) in points.iter().enumerate() {
        let errors = if all { &ERRORS[..] } else { &ERRORS[index % ERRORS.len()..][..1] };
        for error in errors {
            bed.reset();
            let at = format!("{name}, {error} at {call} {n}");
            let inject = format!("inject={call}:error={error}:when={n}");
            // The kernel stops the program only at these calls then; for a kill it has to stop it at all.
            let result = bed.run(&["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", &inject]);
            let left = bed.tree();
            let is_new = bed.settle(&at);
            if let Some(result) = result {
                // It knows what it left: all, or nothing that the recovery had to take out.
                assert_eq!(result["changed"], is_new, "{at}: {}", result["msg"]);
                assert_eq!(result.get("failed").is_some(), !is_new, "{at}: {}", result["msg"]);
                assert_eq!(
                    left,
                    if is_new { bed.new.clone() } else { bed.old.clone() },
                    "{at}: {}",
                    result["msg"]
                );
            } else {
                assert_eq!(call, "write", "{at}: only the result's own write may keep it from being printed");
            }
            tried += 1;
        }
    }
    eprintln!("{name}: {tried} failures at {} calls", points.len());
    assert!(tried > 40);
}

/// Puts the program and its parameters into the host.
fn install(host: &Host, parameters: &Value) {
    host.install_binary(PROGRAM);
    host.write(RUN[1], parameters.to_string());
}

/// One recorded call, its paths as seen from this machine.
#[derive(Debug, Clone)]
enum Op {
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Mode(PathBuf, u32),
    Symlink(PathBuf, OsString),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, bool),
    MakeDir(PathBuf),
    Sync(PathBuf),
}

impl Op {
    /// Reads a line of `strace -y -xx`; `None` for calls that change nothing, and those outside `root`.
    fn parse(line: &str, root: &Path) -> Option<Self> {
        let (call, rest) = line.split_once('(')?;
        let (arguments, answer) = rest.rsplit_once(" = ")?;
        if answer.starts_with('-') {
            return None;
        }
        let arguments: Vec<&str> = arguments.trim_end().trim_end_matches(')').split(", ").collect();
        // `"\x61"` is a text, `5<\x2f\x61>` a descriptor with its path.
        let text = |at: usize| arguments.get(at).map(|word| unhex(word.trim_matches('"')));
        let fd = |at: usize| {
            let (_, path) = arguments.get(at)?.split_once('<')?;
            let path = PathBuf::from(OsString::from_vec(unhex(path.trim_end_matches('>'))));
            path.starts_with(root).then_some(path)
        };
        let below = |dir: usize, name: usize| Some(fd(dir)?.join(OsString::from_vec(text(name)?)));
        let number = |at: usize| arguments.get(at).and_then(|word| u32::from_str_radix(word, 8).ok());
        Some(match call {
            "openat" if line.contains("O_CREAT") => Self::Create(below(0, 1)?),
            "write" => Self::Write(fd(0)?, text(1)?),
            "fchmod" => Self::Mode(fd(0)?, number(1)?),
            "symlinkat" => Self::Symlink(below(1, 2)?, OsString::from_vec(text(0)?)),
            "linkat" => Self::Link(below(0, 1)?, below(2, 3)?),
            "unlinkat" => Self::Remove(below(0, 1)?),
            "renameat" | "renameat2" => {
                Self::Rename(below(0, 1)?, below(2, 3)?, line.contains("RENAME_EXCHANGE"))
            }
            "mkdirat" => Self::MakeDir(below(0, 1)?),
            "fsync" => Self::Sync(fd(0)?),
            _ => return None,
        })
    }

    /// Tells whether syncing `path` makes this last: the file itself for its content, its folder for its name.
    fn lasts_by(&self, path: &Path) -> bool {
        match self {
            Self::Write(at, _) | Self::Mode(at, _) => at == path,
            Self::Create(at)
            | Self::Symlink(at, _)
            | Self::Link(_, at)
            | Self::Remove(at)
            | Self::Rename(_, at, _)
            | Self::MakeDir(at) => at.parent() == Some(path),
            Self::Sync(_) => true,
        }
    }

    /// Does it again. What it needs may have been lost; then it is lost too.
    fn replay(&self) {
        let _ = match self {
            Self::Create(at) => fs::OpenOptions::new().create(true).append(true).open(at).map(drop),
            Self::Write(at, bytes) => {
                fs::OpenOptions::new().append(true).open(at).and_then(|mut file| file.write_all(bytes))
            }
            Self::Mode(at, mode) => fs::set_permissions(at, fs::Permissions::from_mode(*mode)),
            Self::Symlink(at, target) => std::os::unix::fs::symlink(target, at),
            Self::Link(from, to) => fs::hard_link(from, to),
            // A folder that is gone has nothing in it, whether what emptied it was synced or not.
            Self::Remove(at) => fs::remove_file(at).or_else(|_| fs::remove_dir_all(at)),
            Self::Rename(from, to, exchange) => {
                let flags = if *exchange { RenameFlags::EXCHANGE } else { RenameFlags::empty() };
                renameat_with(CWD, from, CWD, to, flags).map_err(Into::into)
            }
            Self::MakeDir(at) => fs::create_dir(at),
            Self::Sync(_) => Ok(()),
        };
    }
}

/// Returns the call that made what the call at `index` renames.
fn first_name(ops: &[Op], index: usize) -> Option<usize> {
    let Op::Rename(from, _, false) = &ops[index] else { return None };
    ops[..index].iter().rposition(|op| matches!(op, Op::Create(at) | Op::Symlink(at, _) if at == from))
}

/// Tells whether a path is in a staged folder.
fn is_staged(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.to_string_lossy().contains("/.apache-tuning-"))
}

fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap()).collect()
}

/// Cuts the power after every recorded call in turn: what no sync covers is lost, all of it or all but one call.
fn power_cut(name: &str, host: Host, parameters: Value) {
    let (mut bed, _) = Bed::new(host, parameters);
    let trace = bed.saved.path().join("trace");
    let kinds = format!("trace={CHANGING},openat");
    let options = ["-y", "-xx", "-s", "1000000", "-e", &kinds, "-o", trace.to_str().unwrap()];
    assert_eq!(bed.run(&options).expect(name)["changed"], true);
    let text = fs::read_to_string(&trace).unwrap();
    let ops: Vec<Op> = text.lines().filter_map(|line| Op::parse(line, bed.host.root())).collect();

    // The recording is whole: all of it makes the new state.
    bed.reset();
    ops.iter().for_each(Op::replay);
    let replayed = bed.tree();
    assert_eq!(replayed, bed.new, "{name}: {}", difference(&bed.new, &replayed));

    let mut cuts = 0;
    let mut seen = std::collections::BTreeSet::new();
    for end in 1..=ops.len() {
        let lasts = |index: usize| {
            let op = &ops[index];
            let synced = |later: &Op| matches!(later, Op::Sync(path) if op.lasts_by(path));
            ops[index + 1..end].iter().any(synced)
        };
        let kept: Vec<usize> = (0..end).filter(|index| lasts(*index)).collect();
        // A folder that is being staged is nothing yet, whichever of its entries are there.
        let staged = |op: &Op| matches!(op, Op::Link(..)) || matches!(op, Op::Remove(at) if is_staged(at));
        let unsynced = (0..end).filter(|index| {
            !kept.contains(index) && !staged(&ops[*index]) && !matches!(ops[*index], Op::Sync(_))
        });
        for extra in std::iter::once(None).chain(unsynced.map(Some)) {
            let mut survivors = kept.clone();
            survivors.extend(extra);
            // A name that lasts is the name of a file that does, however little its first name does.
            let first_names: Vec<usize> =
                survivors.iter().filter_map(|index| first_name(&ops, *index)).collect();
            survivors.extend(first_names);
            survivors.sort_unstable();
            survivors.dedup();
            survivors.retain(|index| !matches!(ops[*index], Op::Sync(_)));
            if !seen.insert(survivors.clone()) {
                continue;
            }
            bed.reset();
            for index in &survivors {
                ops[*index].replay();
            }
            bed.settle(&format!("{name}, power cut after {:?}, kept {extra:?}", ops[end - 1]));
            cuts += 1;
        }
    }
    eprintln!("{name}: {cuts} power cuts over {} calls; {} states", ops.len(), bed.starts.len());
    assert!(cuts > 20);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    // Into the directory itself where it stands: one that is a mount point stays.
    assert!(Command::new("cp").arg("-aT").arg(from).arg(to).status().unwrap().success());
}

fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let at = entry.unwrap().path();
        let meta = fs::symlink_metadata(&at).unwrap();
        let what = if meta.is_symlink() {
            format!("link {}", fs::read_link(&at).unwrap().display())
        } else if meta.is_dir() {
            walk(root, &at, out);
            "folder".to_owned()
        } else {
            format!("file {}", String::from_utf8_lossy(&fs::read(&at).unwrap()))
        };
        let name = at.strip_prefix(root).unwrap().display();
        out.push(format!("{name} {:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid()));
    }
}

/// Returns a line of a state with the random part of a staged name taken out; `None` for what is in a staged folder,
/// and for what is kept for an undo.
fn without_token(line: &str) -> Option<String> {
    match line.split_once(".apache-tuning-") {
        Some((_, after)) if after.get(16..).is_some_and(|rest| rest.starts_with(['/', '-'])) => None,
        Some((before, after)) => Some(format!("{before}STAGED{}", after.get(16..).unwrap_or_default())),
        None => Some(line.to_owned()),
    }
}

fn difference(old: &[String], now: &[String]) -> String {
    let gone = old.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"));
    let come = now.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}

/// From prefork with mod_php to event with php-fpm: modules, snippets, numbers, the drop-in, markers.
fn swap() -> Value {
    json!({
        "mpm": "event", "mod_php": "disable", "activation": "defer",
        "settings": {"server_limit": 17, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 1024},
        "keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
    })
}

/// Numbers of the MPM that is on already, and the drop-in for the first time.
fn numbers() -> Value {
    json!({
        "activation": "defer",
        "settings": {"max_request_workers": 200, "threads_per_child": 25},
        "keepalive": {"enabled": false},
        "evasive": {"enabled": true, "page_count": 5, "site_count": 100},
    })
}

/// A host whose `mods-enabled` cannot be exchanged as a whole.
fn stepwise(host: Host) -> Host {
    fs::create_dir(host.path("/etc/apache2/mods-enabled/local")).unwrap();
    host
}

/// A host after the swap.
fn swapped(host: Host) -> Host {
    install(&host, &swap());
    let output = Command::new("chroot").arg(host.root()).args(RUN).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["changed"], true, "{}", result["msg"]);
    host
}

macro_rules! disturbed {
    ($($kill:ident, $fail:ident, $cut:ident: $host:expr, $parameters:expr;)*) => {$(
        #[test]
        fn $kill() {
            killed(stringify!($kill), $host, $parameters);
        }

        #[test]
        fn $fail() {
            failing(stringify!($fail), $host, $parameters);
        }

        #[test]
        fn $cut() {
            power_cut(stringify!($cut), $host, $parameters);
        }
    )*};
}

disturbed! {
    a_killed_swap_leaves_old_or_new, a_failing_swap_is_undone,
    a_power_cut_in_swap_leaves_old_or_new:
        Host::debian12(), swap();
    a_killed_stepwise_swap_leaves_old_or_new, a_failing_stepwise_swap_is_undone,
    a_power_cut_in_stepwise_swap_leaves_old_or_new:
        stepwise(Host::debian12()), swap();
    a_killed_change_of_numbers_leaves_old_or_new, a_failing_change_of_numbers_is_undone,
    a_power_cut_in_change_of_numbers_leaves_old_or_new:
        Host::debian12_event(), numbers();
    a_killed_rollback_leaves_old_or_new, a_failing_rollback_is_undone,
    a_power_cut_in_rollback_leaves_old_or_new:
        swapped(Host::debian12()), json!({"state": "rolled_back", "activation": "defer"});
    a_killed_stepwise_rollback_leaves_old_or_new, a_failing_stepwise_rollback_is_undone,
    a_power_cut_in_stepwise_rollback_leaves_old_or_new:
        swapped(stepwise(Host::debian12())), json!({"state": "rolled_back", "activation": "defer"});
    a_killed_absent_leaves_old_or_new, a_failing_absent_is_undone,
    a_power_cut_in_absent_leaves_old_or_new:
        swapped(Host::debian12()), json!({"state": "absent", "activation": "defer"});
}
