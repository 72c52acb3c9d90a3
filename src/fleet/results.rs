//! Results of real or check-mode runs, from whatever kept them: this collection's callback, the JSON callbacks of
//! `ansible.posix`, the events of ansible-runner and AWX, own lines of other engines, and the tree callback.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::plan::{Kind, Outcome, Predicted, Verdict};
use crate::report::Need;

/// What a run said of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResult {
    /// The host.
    pub host: String,
    /// Its outcome and the differences.
    pub predicted: Predicted,
    /// Whether it was a run in check mode, where that is known.
    pub check: Option<bool>,
}

/// Everything read, in the order of the runs: a host's last result counts.
#[derive(Debug, Default)]
pub struct Results {
    /// The hosts' results.
    pub hosts: HashMap<String, HostResult>,
    /// What is worth a warning, each once.
    pub warnings: Vec<String>,
    /// Texts that could not be read, with their place.
    pub damaged: Vec<(String, String)>,
    /// Bodies that the callback wrote once.
    bodies: HashMap<String, Predicted>,
}

/// The module's result, as far as it is asked for.
#[derive(Debug, Default, Deserialize)]
struct TaskResult {
    #[serde(default)]
    changed: bool,
    #[serde(default)]
    failed: bool,
    #[serde(default)]
    unreachable: bool,
    #[serde(default)]
    skipped: bool,
    msg: Option<String>,
    activation: Option<ActivationPart>,
    #[serde(default)]
    findings: Vec<FindingPart>,
    capacity: Option<CapacityPart>,
    #[serde(default)]
    diff: Vec<DiffPart>,
    action: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ActivationPart {
    #[serde(default)]
    needed: Need,
}

#[derive(Debug, Deserialize)]
struct FindingPart {
    rule: String,
    severity: String,
    #[serde(default)]
    waived: bool,
}

#[derive(Debug, Deserialize)]
struct CapacityPart {
    binding: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DiffPart {
    before_header: String,
    after_header: String,
    before: String,
    after: String,
}

/// One JSON object of any of the forms.
#[derive(Debug, Deserialize)]
struct Any {
    // The callback, and own lines.
    host: Option<String>,
    status: Option<String>,
    check: Option<bool>,
    result: Option<TaskResult>,
    body: Option<String>,
    // ansible.posix.jsonl
    #[serde(rename = "_event")]
    posix_event: Option<String>,
    hosts: Option<HashMap<String, TaskResult>>,
    // ansible.posix.json
    plays: Option<Vec<Play>>,
    // ansible-runner, and a page of AWX
    event: Option<String>,
    event_data: Option<EventData>,
    results: Option<Vec<Event>>,
    // The tree callback: the result itself.
    changed: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Play {
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Debug, Deserialize)]
struct Task {
    #[serde(default)]
    hosts: HashMap<String, TaskResult>,
}

#[derive(Debug, Deserialize)]
struct Event {
    event: Option<String>,
    event_data: Option<EventData>,
}

#[derive(Debug, Deserialize)]
struct EventData {
    host: Option<String>,
    res: Option<TaskResult>,
    resolved_action: Option<String>,
    task_action: Option<String>,
}

/// Reads results from files and directories.
///
/// # Errors
/// A path that is not there.
pub fn read_results(paths: &[PathBuf]) -> Result<Results, String> {
    let mut results = Results::default();
    for path in paths {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(failed)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            // The events of a runner are numbered: 2-… comes before 10-….
            files.sort_by_key(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let number: Option<u64> = name.split('-').next().and_then(|digits| digits.parse().ok());
                (number, name)
            });
            for file in files {
                results.read_file(&file);
            }
        } else {
            results.read_file(path);
        }
    }
    Ok(results)
}

impl Results {
    fn read_file(&mut self, path: &Path) {
        let origin = path.display().to_string();
        let file = match std::fs::File::open(path).and_then(|file| Ok((file.metadata()?.is_file(), file))) {
            Ok((true, file)) => file,
            Ok((false, _)) => return,
            Err(error) => return self.damaged.push((origin, error.to_string())),
        };
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        let mut number = 0_u64;
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return self.damaged.push((origin, error.to_string())),
            }
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Any>(&line) {
                Ok(any) => self.take(any, path),
                // A document over several lines: the rest of the file belongs to it.
                Err(error) if error.is_eof() => {
                    if let Err(error) = std::io::Read::read_to_end(&mut reader, &mut line) {
                        return self.damaged.push((origin, error.to_string()));
                    }
                    match serde_json::from_slice::<Any>(&line) {
                        Ok(any) => self.take(any, path),
                        Err(error) => self.damaged.push((format!("{origin}:{number}"), error.to_string())),
                    }
                    return;
                }
                Err(error) => self.damaged.push((format!("{origin}:{number}"), error.to_string())),
            }
        }
    }

    fn take(&mut self, any: Any, path: &Path) {
        if let Some(plays) = any.plays {
            for (host, result) in plays.into_iter().flat_map(|play| play.tasks).flat_map(|task| task.hosts) {
                self.take_result(host, &result, None);
            }
            return;
        }
        if let Some(events) = any.results {
            for event in events {
                self.take_event(event.event.as_deref(), event.event_data);
            }
            return;
        }
        if any.event.is_some() {
            return self.take_event(any.event.as_deref(), any.event_data);
        }
        if any.posix_event.is_some() {
            for (host, result) in any.hosts.into_iter().flatten() {
                self.take_result(host, &result, None);
            }
            return;
        }
        match (any.host, any.body, any.result) {
            (None, Some(id), Some(result)) => {
                self.bodies.insert(id, predicted("", &result, None));
            }
            (Some(host), Some(id), None) => {
                if let Some(body) = self.bodies.get(&id).cloned() {
                    self.hosts.insert(host.clone(), HostResult { host, predicted: body, check: any.check });
                } else {
                    self.damaged.push((host, format!("its result {id} is not in the file")));
                }
            }
            (Some(host), _, Some(result)) => {
                let predicted = predicted(&host, &result, any.status.as_deref());
                self.hosts.insert(host.clone(), HostResult { host, predicted, check: any.check });
            }
            _ if any.changed.is_some() => self.take_tree(path),
            _ => {}
        }
    }

    /// The events of a module's end; `runner_on_file_diff` repeats a diff.
    fn take_event(&mut self, event: Option<&str>, data: Option<EventData>) {
        let Some(EventData { host: Some(host), res, resolved_action, task_action }) = data else { return };
        let ended = ["runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"];
        let Some(event) = event.filter(|event| ended.contains(event)) else { return };
        let mut result = res.unwrap_or_default();
        result.action = resolved_action.or(task_action);
        result.failed |= event == "runner_on_failed";
        result.unreachable |= event == "runner_on_unreachable";
        result.skipped |= event == "runner_on_skipped";
        self.take_result(host, &result, None);
    }

    /// A task's result counts where the task is ours, or did not reach the host.
    fn take_result(&mut self, host: String, result: &TaskResult, check: Option<bool>) {
        let ours = result.action.as_deref().is_some_and(|action| {
            let name = action.rsplit('.').next().unwrap_or(action);
            name == "tuning"
        });
        if ours || result.unreachable {
            let predicted = predicted(&host, result, None);
            // These forms do not say whether it was a check run; the module's own sentence does.
            let says = result.msg.as_deref().is_some_and(|msg| msg.starts_with("would "));
            let check = check.or(says.then_some(true));
            self.hosts.insert(host.clone(), HostResult { host, predicted, check });
        }
    }

    /// A file of the tree callback is the result itself, and says less than the others.
    fn take_tree(&mut self, path: &Path) {
        let Some(host) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return };
        let Ok(content) = std::fs::read(path) else { return };
        let Ok(result) = serde_json::from_slice::<TaskResult>(&content) else { return };
        let warning = "results of --tree or the tree callback have no diff and no `failed`: a refused host is told by its \
                       findings alone; use the callback webfleet.apache.fleet";
        if !self.warnings.iter().any(|known| known == warning) {
            self.warnings.push(warning.to_owned());
        }
        let predicted = predicted(&host, &result, None);
        self.hosts.insert(host.clone(), HostResult { host, predicted, check: None });
    }
}

/// Words one result.
fn predicted(host: &str, result: &TaskResult, status: Option<&str>) -> Predicted {
    let mut rules: Vec<String> = result
        .findings
        .iter()
        .filter(|finding| finding.severity == "error" && !finding.waived)
        .map(|finding| finding.rule.clone())
        .collect();
    rules.sort_unstable();
    rules.dedup();
    let failed = result.failed || status == Some("failed");
    let verdict = if result.unreachable || status == Some("unreachable") {
        Verdict::Unreachable
    } else if result.skipped || status == Some("skipped") {
        Verdict::Skipped
    } else if !rules.is_empty() && !result.changed {
        // The tree callback takes `failed` out: an error that is not waived tells as much.
        Verdict::Refused
    } else if failed {
        Verdict::Failed
    } else if result.changed {
        Verdict::Change
    } else {
        Verdict::Unchanged
    };
    let message = result.msg.as_deref().unwrap_or_default();
    let message = message.lines().next().unwrap_or_default();
    // The rules stand before the message already.
    let message = rules
        .iter()
        .find_map(|rule| message.strip_prefix(rule.as_str())?.strip_prefix(": "))
        .unwrap_or(message);
    let message = anonymous(message, host).into_owned();
    let wanted = |verdict| matches!(verdict, Verdict::Change | Verdict::Refused | Verdict::Failed);
    let activation = result.activation.as_ref().map_or(Need::None, |part| part.needed);
    let detail = result.diff.iter().filter(|part| part.before != part.after).map(|part| {
        let text = format!(
            "--- {}\n+++ {}\n{}",
            part.before_header,
            part.after_header,
            lines_that_differ(&part.before, &part.after)
        );
        anonymous(&text, host).into_owned()
    });
    Predicted {
        outcome: Outcome {
            verdict,
            activation: if verdict == Verdict::Change { activation } else { Need::None },
            rules,
            binding: result
                .capacity
                .as_ref()
                .and_then(|part| part.binding.clone())
                .filter(|_| wanted(verdict)),
            message,
        },
        detail: detail.collect(),
        kind: Kind::default(),
    }
}

/// Takes the host's own name out, so that equal results of several hosts are equal.
fn anonymous<'a>(text: &'a str, host: &str) -> Cow<'a, str> {
    if host.len() > 2 && text.contains(host) {
        text.replace(host, "HOST").into()
    } else {
        Cow::Borrowed(text)
    }
}

/// The lines of both sides that are not in the other, as a diff without context.
fn lines_that_differ(before: &str, after: &str) -> String {
    let only = |text: &str, other: &str, mark: char| -> String {
        let known: std::collections::HashSet<&str> = other.lines().collect();
        text.lines().filter(|line| !known.contains(line)).map(|line| format!("{mark}{line}\n")).collect()
    };
    only(before, after, '-') + &only(after, before, '+')
}
