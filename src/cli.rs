//! Front 2: the same operations for a person.

mod fleet;
mod papers;
mod screen;
mod size;
mod text;
mod unified;
mod watch;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use screen::Screen;
use serde_json::{Value as Json, json};

use crate::operate::{self, Mode};
use crate::params::{self, Asked, Context, Params};
use crate::registry::FEATURES;
use crate::report::Report;
use crate::{ansible, apply, plan, rules};

/// One subcommand: its name, what follows it, what it does, and its function.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(lexopt::Parser) -> Result<Outcome, Failure>,
}

/// The subcommands, in the order in which help lists them.
const COMMANDS: &[Command] = &[
    Command {
        name: "preview",
        usage: "DESIRED.json [--root DIR] [--facts FILE] [--diff] [--exit-code]",
        about: "the plan: findings, diff, effective settings before and after; nothing is touched",
        run: preview,
    },
    Command {
        name: "apply",
        usage: "DESIRED.json [--root DIR] [--diff]",
        about: "the same, done",
        run: apply_,
    },
    Command {
        name: "info",
        usage: "[--root DIR] [--facts FILE] [--instance NAME]",
        about: "what is configured, what runs, what it can carry and what limits it",
        run: info,
    },
    Command { name: "size", usage: size::USAGE, about: size::ABOUT, run: size::run },
    Command { name: "watch", usage: watch::USAGE, about: watch::ABOUT, run: watch::run },
    Command { name: "fleet", usage: fleet::USAGE, about: fleet::ABOUT, run: fleet::run },
    Command {
        name: "rollback",
        usage: "[ID] [--root DIR]",
        about: "undo the newest transaction, or all back to before ID",
        run: rollback,
    },
    Command {
        name: "history",
        usage: "[--root DIR]",
        about: "what can be undone, newest first",
        run: history,
    },
    Command {
        name: "rules",
        usage: "[ID]",
        about: "the rule table, or one rule with its source",
        run: rules_,
    },
    Command {
        name: "schema",
        usage: "params|result|info|info-result|facts|host-facts|fleet",
        about: "the JSON Schema of what goes in and what comes out",
        run: schema,
    },
    Command { name: "man", usage: "", about: "the manual page, for man -l", run: man },
    Command {
        name: "completions",
        usage: "bash|zsh|fish",
        about: "what a shell completes a command line with",
        run: completions,
    },
];

/// What each option of the commands means.
const OPTIONS: &[(&str, &str)] = &[
    ("--active", "connections that are served at one moment"),
    ("--burst", "requests at one moment that no idle connection is closed for"),
    ("--by", "the inventory's variable that the table counts by"),
    ("--compare", "an earlier table to compare with"),
    ("--connections", "connections that are open at one moment"),
    ("--cpus", "processors of the host"),
    ("--diff", "show each link in the difference too, not only by name"),
    ("--exit-code", "exit with 3 when a change is due"),
    ("--facts", "a file of host facts to use instead of the host's; of a fleet, the cached facts"),
    ("--for", "how long: 10m; on a terminal until Enter"),
    ("--from-log", "access logs, plain or gzip, in any order; - is standard input"),
    ("--group", "show one group of hosts"),
    ("--html", "write the table as a page for a browser: one file that needs no network"),
    ("--instance", "a second server of this host, by its name"),
    ("--interval", "the time between two looks: 2s"),
    ("--inventory", "the inventory of the hosts"),
    ("--json", "print the machine form"),
    ("--keepalive-timeout", "seconds that a connection is kept after an answer; else the host's"),
    ("--limits", "a directory to write lists of hosts into, for ansible-playbook --limit"),
    ("--log-format", "the logs' format as LogFormat has it; else told by the lines"),
    ("--max-age", "the age beyond which cached facts are too old"),
    ("--mean-size", "bytes of an answer on average"),
    ("--memory", "memory of the host"),
    ("--mpm", "event, worker or prefork"),
    ("--order", "the order in which hosts are shown"),
    ("--per-worker", "memory that one worker needs"),
    ("--prefix", "what is there before a host's name in the cache"),
    ("--rate", "requests a second"),
    ("--reserve", "memory to leave to everything else"),
    ("--results", "results of a run to report"),
    ("--root", "another root directory, such as an image"),
    ("--samples", "hosts to show of each group"),
    ("--status-url", "where mod_status answers; found where it is left out"),
    ("--svg", "a file to draw the load over time into"),
];

impl Command {
    /// The text of `--help` behind its name.
    fn help(&self) -> String {
        let mut text =
            format!("usage: apache-tuning {} {} [--json]\n\n{}\n\n", self.name, self.usage, self.about);
        for option in self.options() {
            let about = OPTIONS.iter().find(|(name, _)| *name == option).map_or("", |(_, about)| about);
            let _ = writeln!(text, "  {option:<14} {about}");
        }
        text
    }
}

/// What a command printed and how it ends.
struct Outcome {
    text: String,
    code: u8,
}

/// A wrong call (exit 2) or a refusal (exit 1).
enum Failure {
    Usage(String),
    Failed(String),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Tells whether a word is a subcommand or an option rather than a file of parameters. A bare word that is no file
/// is a misspelt subcommand: Ansible's files are absolute paths.
pub fn is_command(word: &OsStr) -> bool {
    let Some(word) = word.to_str() else { return false };
    if word == "-" {
        return false;
    }
    word.starts_with('-')
        || word == "help"
        || COMMANDS.iter().any(|command| command.name == word)
        || (!word.contains(['/', '.']) && !Path::new(word).exists())
}

/// Runs a command line. Exit 0 in order, 1 refused or failed, 2 wrong usage; `preview --exit-code` gives 3 when a
/// change is due.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let mut parser = lexopt::Parser::from_args(arguments);
    match dispatch(&mut parser) {
        Ok(outcome) => {
            // A reader that went away is no failure of ours.
            let _ = io::stdout().write_all(outcome.text.as_bytes());
            ExitCode::from(outcome.code)
        }
        Err(Failure::Usage(message)) => {
            let _ = writeln!(io::stderr(), "apache-tuning: {}", message.trim_end());
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            let _ = writeln!(io::stderr(), "apache-tuning: {message}");
            ExitCode::from(1)
        }
    }
}

fn dispatch(parser: &mut lexopt::Parser) -> Result<Outcome, Failure> {
    match parser.next()? {
        None => Err(Failure::Usage(format!("missing command\n\n{}", help()))),
        Some(Long("help") | Short('h')) => done(help()),
        Some(Long("version") | Short('V')) => done(format!("apache-tuning {}\n", env!("CARGO_PKG_VERSION"))),
        Some(Value(word)) => {
            let word = word.to_string_lossy().into_owned();
            if word == "help" {
                return done(help());
            }
            let command = COMMANDS.iter().find(|command| command.name == word).ok_or_else(|| {
                let names = COMMANDS.iter().map(|command| command.name);
                let meant = params::nearest(&word, names)
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                Failure::Usage(format!("there is no command `{word}`{meant}\n\n{}", help()))
            })?;
            let rest: Vec<OsString> = parser.raw_args()?.collect();
            if rest.iter().any(|word| word == "--help" || word == "-h") {
                return done(command.help());
            }
            (command.run)(lexopt::Parser::from_args(rest)).map_err(|failure| match failure {
                Failure::Usage(message) => Failure::Usage(format!("{message}\n\n{}", command.help())),
                failed @ Failure::Failed(_) => failed,
            })
        }
        Some(other) => Err(Failure::Usage(format!("{}\n\n{}", other.unexpected(), help()))),
    }
}

/// An outcome without anything wrong. A `Result`, because every command ends in one.
#[allow(clippy::unnecessary_wraps)]
fn done(text: String) -> Result<Outcome, Failure> {
    Ok(Outcome { text, code: 0 })
}

/// The text of `--help`.
fn help() -> String {
    let mut text = String::from(
        "apache-tuning: Apache performance settings that are right on every host\n\n\
         As an Ansible module:\n  apache-tuning ARGS.json     parameters in a file, the result as JSON on stdout\n  \
         apache-tuning -             the same from standard input\n\nBy hand:\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "  {} {}\n      {}", command.name, command.usage, command.about);
    }
    text.push_str(
        "\nEach takes --json for the machine form. Colour only on a terminal and never with NO_COLOR.\n",
    );
    text
}

/// The options that `preview` and `apply` share.
#[derive(Default)]
struct Desired {
    file: Option<PathBuf>,
    root: Option<OsString>,
    facts: Option<PathBuf>,
    json: bool,
    diff: bool,
    exit_code: bool,
}

impl Desired {
    fn parse(mut parser: lexopt::Parser, previews: bool) -> Result<Self, Failure> {
        let mut desired = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("root") => desired.root = Some(parser.value()?),
                Long("facts") if previews => desired.facts = Some(PathBuf::from(parser.value()?)),
                Long("diff") => desired.diff = true,
                Long("exit-code") if previews => desired.exit_code = true,
                Long("json") => desired.json = true,
                Value(file) if desired.file.is_none() => desired.file = Some(PathBuf::from(file)),
                other => return Err(other.unexpected().into()),
            }
        }
        if desired.file.is_none() {
            return Err(Failure::Usage("the file of wanted settings is missing".to_owned()));
        }
        Ok(desired)
    }

    /// Reads the parameters with root and facts of the command line in place of the file's.
    fn params(&self) -> Result<Result<(Params, Context), Box<Report>>, Failure> {
        let content = read(self.file.as_deref().unwrap_or(Path::new("-")))?;
        if self.root.is_none() && self.facts.is_none() {
            return Ok(typed(&content));
        }
        let parsed = std::str::from_utf8(&content).ok().and_then(|text| params::json::parse(text).ok());
        let mut value = match parsed {
            Some((value, twice)) if twice.is_empty() => value,
            // The module's own reading tells the error with its place.
            _ => return Ok(typed(&content)),
        };
        if let Some(object) = value.as_object_mut() {
            if let Some(root) = &self.root {
                let root = fs::canonicalize(root).map_err(|error| {
                    Failure::Failed(format!("--root {}: {error}", root.to_string_lossy()))
                })?;
                object.insert("root".to_owned(), json!(root.to_string_lossy()));
            }
            if let Some(file) = &self.facts {
                let facts: Json = serde_json::from_slice(&read(file)?)
                    .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
                object.insert("facts".to_owned(), facts);
            }
        }
        Ok(typed(value.to_string().as_bytes()))
    }
}

/// Types and checks the parameters.
fn typed(content: &[u8]) -> Result<(Params, Context), Box<Report>> {
    match params::parse(content, FEATURES) {
        Ok((Asked::Tuning(params), flags)) => Ok((*params, flags)),
        Ok((Asked::Info(_), _)) => Err(Box::new(Report {
            failed: true,
            msg: "these are parameters of tuning_info; take the module's name out".to_owned(),
            ..Report::default()
        })),
        Err(refused) => Err(Box::new(ansible::structural(refused))),
    }
}

/// Reads a file, or standard input for `-`.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let content = if file == Path::new("-") {
        ansible::bounded(io::stdin().lock())
    } else {
        // A pipe of the shell's as well: `<(…)`.
        fs::File::open(file).and_then(ansible::bounded)
    };
    content.map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))
}

fn preview(parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let desired = Desired::parse(parser, true)?;
    let report = match desired.params()? {
        Ok((params, _)) => operate::tuning(&params, Mode { check: true, diff: true }),
        Err(report) => *report,
    };
    Ok(told(&report, &desired))
}

fn apply_(parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let desired = Desired::parse(parser, false)?;
    let report = match desired.params()? {
        // Parameters saved from a task may hold its check mode; a flag that protects holds for a person too.
        Ok((params, flags)) => operate::tuning(&params, Mode { check: flags.check_mode, diff: true }),
        Err(report) => *report,
    };
    Ok(told(&report, &desired))
}

fn info(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let mut wanted = json!({"_ansible_module_name": "tuning_info"});
    let mut as_json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("root") => wanted["root"] = absolute(&parser.value()?)?,
            Long("instance") => wanted["instance"] = parser.value()?.string()?.into(),
            Long("facts") => {
                let file = PathBuf::from(parser.value()?);
                wanted["facts"] = serde_json::from_slice(&read(&file)?)
                    .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            }
            Long("json") => as_json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let params = match params::parse(wanted.to_string().as_bytes(), FEATURES) {
        Ok((Asked::Info(params), _)) => params,
        Ok(_) => return Err(Failure::Failed("these are not parameters of info".to_owned())),
        Err(refused) => return Err(Failure::Failed(ansible::structural(refused).msg)),
    };
    let report = operate::info(&params);
    let code = u8::from(report.failed);
    let text = if as_json {
        format!("{}\n", ansible::json(&report))
    } else {
        text::info(&report, &Screen::stdout())
    };
    Ok(Outcome { text, code })
}

fn rollback(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let mut wanted = json!({"state": "rolled_back"});
    let mut desired = Desired::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("root") => wanted["root"] = absolute(&parser.value()?)?,
            Long("json") => desired.json = true,
            Value(id) if wanted.get("transaction").is_none() => {
                wanted["transaction"] = json!(id.to_string_lossy());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let report = match typed(wanted.to_string().as_bytes()) {
        // Parameters saved from a task may hold its check mode; a flag that protects holds for a person too.
        Ok((params, flags)) => operate::tuning(&params, Mode { check: flags.check_mode, diff: true }),
        Err(report) => *report,
    };
    Ok(told(&report, &desired))
}

fn history(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let (mut root, mut as_json) = (json!("/"), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("root") => root = absolute(&parser.value()?)?,
            Long("json") => as_json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let root = root.as_str().unwrap_or("/");
    let (mut generations, damaged) =
        apply::history(Path::new(root)).map_err(|error| Failure::Failed(error.to_string()))?;
    generations.reverse();
    if as_json {
        let list: Vec<Json> = generations
            .iter()
            .map(|one| {
                json!({
                    "id": one.id,
                    "instance": one.instance,
                    "changes": plan::entries(&one.changes),
                    "undoes": one.undoes,
                    "undone_by": one.undone_by,
                })
            })
            .chain(damaged.iter().map(|one| json!({"id": one.id, "path": one.path, "damaged": one.why})))
            .collect();
        return done(format!("{:#}\n", Json::Array(list)));
    }
    done(text::history(&generations, &damaged))
}

/// Returns a directory of the command line as an absolute path.
fn absolute(root: &OsStr) -> Result<Json, Failure> {
    let root = fs::canonicalize(root)
        .map_err(|error| Failure::Failed(format!("--root {}: {error}", root.to_string_lossy())))?;
    Ok(json!(root.to_string_lossy()))
}

/// Prints a report as the options want it.
fn told(report: &Report, desired: &Desired) -> Outcome {
    let code = if report.failed {
        1
    } else if desired.exit_code && report.changed {
        3
    } else {
        0
    };
    let text = if desired.json {
        format!("{}\n", ansible::json(report))
    } else {
        text::report(report, &Screen::stdout(), desired.diff)
    };
    Outcome { text, code }
}

fn rules_(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let (mut id, mut as_json) = (None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => as_json = true,
            Value(word) if id.is_none() => id = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let chosen: Vec<&rules::Rule> = match &id {
        None => rules::all().collect(),
        Some(id) => vec![rules::find(id).ok_or_else(|| {
            let meant =
                rules::nearest_rule(id).map_or(String::new(), |near| format!("; did you mean {near}?"));
            Failure::Failed(format!("there is no rule {id}{meant}"))
        })?],
    };
    if as_json {
        let list: Vec<Json> = chosen
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.id,
                    "severity": rule.severity,
                    "setting": rule.setting,
                    "mpms": rule.mpms,
                    "summary": rule.summary,
                    "source": rule.source,
                    "why": rule.why,
                    "remedy": rule.remedy,
                    "example": rule.example,
                    "instead": rule.instead,
                })
            })
            .collect();
        let value =
            if id.is_some() { list.into_iter().next().unwrap_or_default() } else { Json::Array(list) };
        return done(format!("{value:#}\n"));
    }
    done(if id.is_some() {
        chosen.iter().map(|rule| Screen::stdout().folded(&text::rule(rule))).collect()
    } else {
        text::rules(&chosen)
    })
}

fn man(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    match parser.next()? {
        None => done(papers::man()),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn completions(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let shell = match parser.next()? {
        Some(Value(word)) => word.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(Failure::Usage("the shell is missing: bash, zsh or fish".to_owned())),
    };
    let text = papers::completions(&shell);
    done(text.ok_or_else(|| {
        Failure::Usage(format!("there are no completions for `{shell}`; they are for bash, zsh and fish"))
    })?)
}

fn schema(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let mut name = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => {}
            Value(word) if name.is_none() => name = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let text = match name.as_deref() {
        Some("params") => include_str!("../schema/params.json"),
        Some("result") => include_str!("../schema/result.json"),
        Some("info") => include_str!("../schema/info.json"),
        Some("info-result") => include_str!("../schema/info-result.json"),
        Some("facts") => include_str!("../schema/facts.json"),
        Some("host-facts") => include_str!("../schema/host-facts.json"),
        Some("fleet") => include_str!("../schema/fleet.json"),
        Some(other) => return Err(Failure::Usage(format!("there is no schema `{other}`"))),
        None => return Err(Failure::Usage("missing schema name".to_owned())),
    };
    done(text.to_owned())
}
