//! The program's a2enmod against Debian's own script: random hosts, random calls, and each intended difference.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod host;
mod script;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use apache_tuning::facts::disk::Disk;
use apache_tuning::httpd::Mpm;
use apache_tuning::modules::{Action, Done, Farm, Kind, Options, Problem, ToolRun};
use apache_tuning::tree::Draft;
use test_hosts::Release;

use host::{Host, drafted};
use script::{Call, Compiled, Said};

/// Hosts compared in one run; `A2ENMOD_HOSTS` asks for more.
const HOSTS: u64 = 2_100;

const PLAIN: Options = Options { force: false, purge: false };

fn farm(dir: &Path) -> Farm {
    Farm { config_dir: dir.join("etc/apache2"), state_dir: dir.join("var/lib/apache2") }
}

/// Runs the program's side of a call.
fn ours(draft: &mut Draft, dir: &Path, call: &Call) -> ToolRun {
    let names: Vec<&str> = call.names.iter().map(String::as_str).collect();
    farm(dir).run_tool(draft, call.action, call.kind, &names, call.options)
}

/// How a comparison ended.
enum Verdict {
    Same,
    /// The script would never end.
    Circle,
    Differs(String),
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("no difference any more"),
            Self::Circle => f.write_str("a circle"),
            Self::Differs(text) => f.write_str(text),
        }
    }
}

/// How often each thing happened, to see that the random hosts reach everything.
type Tally = BTreeMap<&'static str, usize>;

/// Makes the calls on the host with both, one after the other, and compares after each.
fn compare(
    dir: &Path,
    host: &Host,
    calls: &[Call],
    tally: &mut Tally,
    script: &mut dyn FnMut(&Path, &Call) -> Said,
) -> Verdict {
    host.write(dir).unwrap();
    let disk = Disk::new(Path::new("/"));
    for call in calls {
        let before = Host::read(&disk, dir).unwrap();
        let mut draft = Draft::new(&disk);
        let ran = ours(&mut draft, dir, call);
        if ran.problems.iter().any(|problem| matches!(problem, Problem::Circle { .. })) {
            return Verdict::Circle;
        }
        count(tally, &ran);
        let ours = drafted(&draft, dir);
        let said = script(dir, call);
        let theirs = Host::read(&disk, dir).unwrap();

        let mut text = String::new();
        if ours != theirs {
            let _ = writeln!(text, "files, program -> script:\n{}", ours.difference(&theirs));
        }
        if said.status != ran.status.to_string() {
            let _ = writeln!(text, "status: program {}, script {}", ran.status, said.status);
        }
        let pairs = [
            ("refusals", problems(&ran), refusals(&said.err)),
            ("steps", steps(&ran, call.kind), reported(&said.out)),
        ];
        for (what, program, script) in pairs {
            if program != script {
                let _ = writeln!(text, "{what}:\n  program {program:?}\n  script  {script:?}");
            }
        }
        if !text.is_empty() {
            return Verdict::Differs(format!(
                "{} {}\n{text}on\n{before}the script said\n{}{}",
                call.program(),
                call.arguments().join(" "),
                said.out,
                said.err
            ));
        }
    }
    Verdict::Same
}

/// Counts what one call did and refused.
fn count(tally: &mut Tally, ran: &ToolRun) {
    let problems = ran.problems.iter().map(|problem| match problem {
        Problem::Missing { .. } => "missing",
        Problem::Dangling { .. } => "dangling",
        Problem::Conflict { .. } => "conflict",
        Problem::NeededBy { .. } => "needed",
        Problem::RealFile { .. } => "file",
        Problem::ForeignLink { .. } => "foreign",
        Problem::Dependency { .. } => "dependency",
        Problem::NotEnabled { .. } => "unmet",
        Problem::Essential { .. } | Problem::Circle { .. } | Problem::Unreadable { .. } => "other",
    });
    let steps = ran.steps.iter().map(|step| match step.done {
        Done::Enabled if step.name == "cgid" => "cgid on",
        Done::Enabled => "on",
        Done::Disabled => "off",
        Done::ConfLinked => ".conf on",
        Done::ConfUnlinked => ".conf off",
        Done::DanglingRemoved => "dangling removed",
    });
    let ends = match (ran.status, ran.problems.is_empty(), ran.steps.is_empty()) {
        (0, true, true) => "nothing to do",
        (0, true, false) => "done",
        (0, false, _) => "done with complaints",
        (_, true, _) => "essential",
        (_, false, true) => "refused",
        (_, false, false) => "half done",
    };
    for what in problems.chain(steps).chain([ends]) {
        *tally.entry(what).or_default() += 1;
    }
}

/// What random hosts must have reached, each many times.
const REACHED: &[&str] = &[
    "missing",
    "dangling",
    "conflict",
    "needed",
    "file",
    "foreign",
    "dependency",
    "unmet",
    "cgid on",
    "on",
    "off",
    ".conf on",
    ".conf off",
    "dangling removed",
    "nothing to do",
    "done",
    "done with complaints",
    "essential",
    "refused",
    "half done",
];

/// Says the program's problems in the words of `refusals`.
fn problems(ran: &ToolRun) -> Vec<String> {
    let path = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    ran.problems
        .iter()
        .map(|problem| match problem {
            Problem::Missing { name, .. } => format!("missing {name}"),
            Problem::Dangling { link, .. } => format!("dangling {}", path(link)),
            Problem::Conflict { with, .. } => format!("conflict {with}"),
            Problem::NeededBy { name, by } => format!("{name} needed {}", by.join(" ")),
            Problem::RealFile { path: file, .. } => format!("file {}", path(file)),
            Problem::ForeignLink { link, .. } => format!("foreign {}", path(link)),
            Problem::Dependency { name, on, .. } => format!("{name} on {on}"),
            Problem::NotEnabled { name, needs } => format!("{name} wants {needs}"),
            Problem::Essential { .. } | Problem::Circle { .. } | Problem::Unreadable { .. } => {
                problem.to_string()
            }
        })
        .collect()
}

/// Reads what the script wrote to standard error: what is refused, and over what.
fn refusals(err: &str) -> Vec<String> {
    // Some of its messages lack their newline.
    let err = err.replace("ERROR: ", "\nERROR: ").replace("WARNING: ", "\nWARNING: ");
    let messages = err.lines().filter(|line| line.starts_with("ERROR: ") || line.starts_with("WARNING: "));
    let mut found = Vec::new();
    for message in messages {
        let words: Vec<&str> = message.split_whitespace().collect();
        let file = |word: &str| word.rsplit('/').next().unwrap().to_owned();
        let place = |before: &str| file(words[words.iter().position(|word| *word == before).unwrap() - 1]);
        found.push(if message.contains("does not exist!") {
            format!("missing {}", words[2])
        } else if message.contains("dangling symlink") {
            format!("dangling {}", file(words[1]))
        } else if message.contains("due to conflicts") {
            format!("conflict {}", words[2])
        } else if let Some((head, by)) = message.split_once(" and need to be disabled first: ") {
            format!("{} needed {by}", head.rsplit(' ').next().unwrap())
        } else if message.contains("is a real file") || message.contains("is not a symbolic link") {
            format!("file {}", place("is"))
        } else if message.contains("does not point to") {
            format!("foreign {}", place("exists"))
        } else if message.contains("Could not") {
            format!("{} on {}", words[7].strip_suffix(',').unwrap(), words[5])
        } else if message.contains("depends on it") {
            format!("{} wants {}", words[7], words[2])
        } else if message.contains("Can't open") || message.contains("Can't determine") {
            // A dangling link among the enabled ones, and CGI without an MPM: remarks, not refusals.
            continue;
        } else {
            message.to_owned()
        });
    }
    found
}

/// Says the program's steps in the words of `reported`.
fn steps(ran: &ToolRun, kind: Kind) -> Vec<String> {
    let suffix = if kind == Kind::Module { "load" } else { "conf" };
    ran.steps
        .iter()
        .map(|step| match step.done {
            Done::Enabled => format!("on {}", step.name),
            Done::Disabled => format!("off {}", step.name),
            Done::ConfLinked => format!("on {}.conf", step.name),
            Done::ConfUnlinked => format!("off {}.conf", step.name),
            Done::DanglingRemoved => format!("gone {}.{suffix}", step.name),
        })
        .collect()
}

/// Reads what the script wrote to standard output: what it did.
fn reported(out: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // Its question, and one of its remarks, lack their newline.
    for line in out.replace("Enabling ", "\nEnabling ").replace("removing ", "\nremoving ").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Enabling", "config", "file", name] | ["Enabling", "module" | "conf", name] => {
                found.push(format!("on {}", name.trim_end_matches('.')));
            }
            ["Disabling", "stale", "config", "file", name] => {
                found.push(format!("off {}", name.trim_end_matches('.')));
            }
            ["Module" | "Conf", name, "disabled."] => found.push(format!("off {name}")),
            ["removing", "dangling", "symlink", path] => {
                let file = path.rsplit('/').next().unwrap();
                // The link to its `.conf` goes along with that to its `.load`.
                let along = file.strip_suffix("conf").map(|stem| format!("gone {stem}load"));
                if along.is_none() || found.last() != along.as_ref() {
                    found.push(format!("gone {file}"));
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn links_markers_and_refusals_are_the_script_s_on_random_hosts() {
    let scripts = Release::ALL.map(script::of);
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let only = number("A2ENMOD_SEED");
    let hosts = number("A2ENMOD_HOSTS").unwrap_or(HOSTS);
    let next = AtomicU64::new(only.unwrap_or(0));
    let end = only.map_or(hosts, |seed| seed + 1);
    let worker = || {
        let place = host::place();
        let dir = place.path().join("host");
        let mut perls = scripts.each_ref().map(|script| Compiled::new(script));
        let mut tally = Tally::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return tally;
            }
            // Each release's script in turn.
            let perl = &mut perls[usize::try_from(seed).unwrap() % Release::ALL.len()];
            let mut run = |dir: &Path, call: &Call| perl.run(dir, call);
            let (host, calls) = host::random(seed);
            match compare(&dir, &host, &calls, &mut tally, &mut run) {
                Verdict::Same => {}
                Verdict::Circle => *tally.entry("circle").or_default() += 1,
                Verdict::Differs(_) => {
                    next.store(end, Ordering::Relaxed);
                    let mut ignored = Tally::new();
                    let mut again =
                        |host: &Host, calls: &[Call]| compare(&dir, host, calls, &mut ignored, &mut run);
                    let mut fails =
                        |host: &Host, calls: &[Call]| matches!(again(host, calls), Verdict::Differs(_));
                    let (host, calls) = host::shrunk(host, calls, &mut fails);
                    panic!("A2ENMOD_SEED={seed}, as small as it gets: {:?}", again(&host, &calls));
                }
            }
        }
    };
    let mut total = Tally::new();
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let tally = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (what, count) in tally {
                *total.entry(what).or_default() += count;
            }
        }
    });
    if only.is_none() && hosts >= HOSTS {
        let circles = u64::try_from(total.remove("circle").unwrap_or(0)).unwrap();
        assert!(
            hosts - circles >= 2_000,
            "{circles} of {hosts} hosts have circles, which only the program ends"
        );
        let rare: Vec<_> =
            REACHED.iter().filter(|what| total.get(*what).is_none_or(|&count| count < 20)).collect();
        assert!(
            rare.is_empty() && !total.contains_key("other"),
            "hardly or wrongly reached {rare:?}: {total:?}"
        );
    }
}

#[test]
fn a_declared_word_that_is_no_name_is_purged_in_silence_as_the_script_does() {
    let place = host::place();
    let mut perl = Compiled::new(&script::of(Release::Bookworm));
    let host = Host::default().module("a", "# Depends: \u{fc}");
    for options in [PLAIN, Options { force: false, purge: true }] {
        let calls = [Call::new(Action::Enable, Kind::Module, options, &["a"])];
        let mut run = |dir: &Path, call: &Call| perl.run(dir, call);
        let verdict = compare(&place.path().join("host"), &host, &calls, &mut Tally::new(), &mut run);
        assert!(matches!(verdict, Verdict::Same), "{verdict:?}");
    }
}

#[test]
fn dependents_come_in_the_order_of_the_script_s_wildcard() {
    let place = host::place();
    let mut perl = Compiled::new(&script::of(Release::Bookworm));
    let mut host = Host::default().module("base", "");
    for name in ["a", "B", "b1", "C", "a-b", "a_b", "a.b", "A", "aa", "b"] {
        host = host.module(name, "# Depends: base").enabled(name);
    }
    for force in [false, true] {
        let options = Options { force, purge: false };
        let calls = [Call::new(Action::Disable, Kind::Module, options, &["base"])];
        let mut run = |dir: &Path, call: &Call| perl.run(dir, call);
        let verdict = compare(&place.path().join("host"), &host, &calls, &mut Tally::new(), &mut run);
        assert!(matches!(verdict, Verdict::Same), "{verdict:?}");
    }
}

#[test]
fn a_script_run_as_a_program_does_the_same() {
    let script = script::of(Release::Bookworm);
    let place = host::place();
    let dir = place.path().join("host");
    // Where CGI is asked for, the answer hangs on the machine's own Apache.
    let independent = |(host, calls): &(Host, Vec<Call>)| {
        !host.to_string().contains("cgi")
            && !calls.iter().any(|call| call.arguments().join(" ").contains("cgi"))
    };
    let cases: Vec<_> = (0..10_000).map(host::random).filter(independent).take(20).collect();
    assert_eq!(cases.len(), 20);
    let mut tally = Tally::new();
    for (host, calls) in cases {
        let verdict =
            compare(&dir, &host, &calls, &mut tally, &mut |dir, call| script::run(&script, dir, call));
        assert!(!matches!(verdict, Verdict::Differs(_)), "{verdict:?}");
    }
    assert!(tally.contains_key("on") && tally.contains_key("off"), "{tally:?}");
}

/// One host, changed by the script and by the program.
struct Pair {
    place: tempfile::TempDir,
    before: Host,
}

impl Pair {
    fn new(before: Host) -> Self {
        Self { place: host::place(), before }
    }

    fn dir(&self) -> &Path {
        self.place.path()
    }

    /// Returns what the script leaves of the host, and its exit status for each call.
    fn script(&self, calls: &[(Action, &[&str])]) -> (Host, String) {
        let (script, dir) = (script::of(Release::Bookworm), self.dir().join("script"));
        self.before.write(&dir).unwrap();
        let call = |(action, names): &(Action, &[&str])| Call::new(*action, Kind::Module, PLAIN, names);
        let ends: Vec<String> =
            calls.iter().map(|words| script::run(&script, &dir, &call(words)).status).collect();
        (Host::read(&Disk::new(Path::new("/")), &dir).unwrap(), ends.join(" "))
    }

    /// Returns what the program would leave of the host, and its problems.
    fn program<T>(
        &self,
        work: impl FnOnce(&Farm, &mut Draft) -> Result<T, Vec<Problem>>,
    ) -> (Host, Vec<Problem>) {
        let dir = self.dir().join("program");
        self.before.write(&dir).unwrap();
        let disk = Disk::new(Path::new("/"));
        let mut draft = Draft::new(&disk);
        let problems = work(&farm(&dir), &mut draft).err().unwrap_or_default();
        (drafted(&draft, &dir), problems)
    }

    /// Checks that the program refuses and leaves everything as it is; returns its reasons.
    fn refused<T>(&self, work: impl FnOnce(&Farm, &mut Draft) -> Result<T, Vec<Problem>>) -> Vec<Problem> {
        let (left, problems) = self.program(work);
        assert_eq!(self.before.difference(&left), "");
        assert!(!problems.is_empty());
        problems
    }
}

/// A host on the event MPM, with prefork at hand.
fn event() -> Host {
    Host::default()
        .module("mpm_event", "# Conflicts: mpm_prefork")
        .module("mpm_prefork", "# Conflicts: mpm_event")
        .enabled("mpm_event")
}

fn enabled(host: &Host, file: &str) -> bool {
    host.0.contains_key(&format!("etc/apache2/mods-enabled/{file}"))
}

const EVENT_LOAD: &str = "etc/apache2/mods-enabled/mpm_event.load";

#[test]
fn the_script_leaves_dependencies_of_a_refused_module_and_the_program_does_not() {
    let pair = Pair::new(Host::default().module("late", "# Depends: first nosuch").module("first", ""));
    let (left, status) = pair.script(&[(Action::Enable, &["late"])]);
    assert_eq!(
        (enabled(&left, "first.load"), enabled(&left, "late.load"), status.as_str()),
        (true, false, "1")
    );
    pair.refused(|farm, draft| farm.enable(draft, Kind::Module, "late"));
}

#[test]
fn the_script_leaves_no_mpm_after_half_a_swap_and_the_program_does_not() {
    let mut host = event();
    host.0.remove("etc/apache2/mods-available/mpm_prefork.load");
    let pair = Pair::new(host);
    let (left, status) =
        pair.script(&[(Action::Disable, &["mpm_event"]), (Action::Enable, &["mpm_prefork"])]);
    assert_eq!((enabled(&left, "mpm_event.load"), enabled(&left, "mpm_prefork.load")), (false, false));
    assert_eq!(status, "0 1");
    pair.refused(|farm, draft| farm.switch_mpm(draft, Mpm::Prefork));
}

#[test]
fn a_sound_swap_leaves_the_same_host_with_both() {
    let pair = Pair::new(event().file("var/lib/apache2/module/enabled_by_maint/mpm_event", ""));
    let (theirs, status) =
        pair.script(&[(Action::Disable, &["mpm_event"]), (Action::Enable, &["mpm_prefork"])]);
    let (ours, problems) = pair.program(|farm, draft| farm.switch_mpm(draft, Mpm::Prefork));
    assert_eq!((status.as_str(), problems), ("0 0", Vec::new()));
    assert_eq!(theirs.difference(&ours), "");
}

#[test]
fn the_script_overlooks_a_conflict_behind_a_file_or_a_foreign_link_and_the_program_does_not() {
    let file = event().file(EVENT_LOAD, "LoadModule");
    let foreign = event().file("outside/my.load", "").link(EVENT_LOAD, "@/outside/my.load");
    for host in [file, foreign] {
        let pair = Pair::new(host);
        let (left, status) = pair.script(&[(Action::Enable, &["mpm_prefork"])]);
        assert!(enabled(&left, "mpm_event.load") && enabled(&left, "mpm_prefork.load"), "two MPMs");
        assert_eq!(status, "0");
        pair.refused(|farm, draft| farm.enable(draft, Kind::Module, "mpm_prefork"));
        pair.refused(|farm, draft| farm.switch_mpm(draft, Mpm::Prefork));
    }
}

#[test]
fn the_script_removes_a_foreign_link_and_the_program_reports_it() {
    let pair = Pair::new(event().file("outside/my.load", "").link(EVENT_LOAD, "@/outside/my.load"));
    let (left, status) = pair.script(&[(Action::Disable, &["mpm_event"])]);
    assert_eq!((enabled(&left, "mpm_event.load"), status.as_str()), (false, "0"));
    let problems = pair.refused(|farm, draft| farm.disable(draft, Kind::Module, "mpm_event", PLAIN));
    assert!(matches!(problems[..], [Problem::ForeignLink { .. }]), "{problems:?}");
}

#[test]
fn the_script_says_disabled_of_a_file_and_the_program_reports_it() {
    let pair = Pair::new(event().file(EVENT_LOAD, "LoadModule"));
    let (left, status) = pair.script(&[(Action::Disable, &["mpm_event"])]);
    assert_eq!((enabled(&left, "mpm_event.load"), status.as_str()), (true, "0"));
    assert!(left.0.contains_key("var/lib/apache2/module/disabled_by_admin/mpm_event"));
    let problems = pair.refused(|farm, draft| farm.disable(draft, Kind::Module, "mpm_event", PLAIN));
    assert!(matches!(problems[..], [Problem::RealFile { .. }]), "{problems:?}");
}

#[test]
fn the_script_leaves_a_conf_behind_and_the_program_does_not() {
    for lost in ["mpm_event.load", "mpm_event.conf"] {
        let mut host = event();
        host.0.remove(&format!("etc/apache2/mods-available/{lost}"));
        let pair = Pair::new(host);
        let (left, status) = pair.script(&[(Action::Disable, &["mpm_event"])]);
        assert_eq!(
            (enabled(&left, "mpm_event.load"), enabled(&left, "mpm_event.conf")),
            (false, true),
            "{lost}"
        );
        assert_eq!(status, "0");
        let (left, problems) =
            pair.program(|farm, draft| farm.disable(draft, Kind::Module, "mpm_event", PLAIN));
        assert_eq!(
            (enabled(&left, "mpm_event.load"), enabled(&left, "mpm_event.conf")),
            (false, false),
            "{lost}"
        );
        assert_eq!(problems, []);
    }
}

#[test]
fn the_script_asks_before_an_essential_module_and_the_program_gives_a_reason() {
    let pair = Pair::new(Host::default().module("alias", "").enabled("alias"));
    let (left, status) = pair.script(&[(Action::Disable, &["alias"])]);
    assert_eq!((enabled(&left, "alias.load"), status.as_str()), (true, "1"));
    let problems = pair.refused(|farm, draft| farm.disable(draft, Kind::Module, "alias", PLAIN));
    assert!(matches!(problems[..], [Problem::Essential { .. }]), "{problems:?}");
}

#[test]
fn the_script_expands_wildcards_and_strips_suffixes_and_the_program_takes_names() {
    let pair = Pair::new(Host::default().module("first", "").module("further", ""));
    let (left, status) = pair.script(&[(Action::Enable, &["f[iu]r*.load"])]);
    assert_eq!((enabled(&left, "first.load"), enabled(&left, "further.load")), (true, true));
    assert_eq!(status, "0");
    for name in ["f[iu]r*.load", "first.load"] {
        let problems = pair.refused(|farm, draft| farm.enable(draft, Kind::Module, name));
        assert!(matches!(problems[..], [Problem::Missing { .. }]), "{problems:?}");
    }
}

#[test]
fn the_script_follows_a_circle_for_ever_and_the_program_refuses_it() {
    let pair = Pair::new(Host::default().module("a", "# Depends: b").module("b", "# Depends: a"));
    let rounds =
        script::rounds(&script::of(Release::Bookworm), &pair.dir().join("script"), &pair.before, "a", 300);
    assert_eq!(rounds, 300);
    let problems = pair.refused(|farm, draft| farm.enable(draft, Kind::Module, "a"));
    assert!(matches!(problems[0], Problem::Circle { .. }), "{problems:?}");
}
