//! `test` and `[`.

use std::path::Path;

use crate::tree::{Files, Kind};

/// Evaluates the words between `[` and `]`; `None` where only a shell could tell.
pub(super) fn test(files: &dyn Files, words: &[String]) -> Option<bool> {
    if let Some(at) = operator(words, "-o") {
        let (left, right) = (test(files, &words[..at]), test(files, &words[at + 1..]));
        return match (left, right) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
    }
    if let Some(at) = operator(words, "-a") {
        let (left, right) = (test(files, &words[..at]), test(files, &words[at + 1..]));
        return match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Some(false),
        [text] | ["-n", text] => Some(!text.is_empty()),
        ["!", rest @ ..] if rest.len() < 3 || rest.len() == 3 => {
            let rest: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
            Some(!test(files, &rest)?)
        }
        ["-z", text] => Some(text.is_empty()),
        [option, path] => file(files, option, Path::new(path)),
        [left, operator, right] => compare(left, operator, right),
        _ => None,
    }
}

/// Returns where words are joined; a word at either end is no operator, nor one beside a comparison.
fn operator(words: &[String], operator: &str) -> Option<usize> {
    let inner = words.len().checked_sub(3)?;
    (1..=inner + 1).find(|at| words[*at] == operator)
}

fn file(files: &dyn Files, option: &str, path: &Path) -> Option<bool> {
    if !path.is_absolute() {
        return None;
    }
    let kind = files.kind(path).ok()?;
    match option {
        "-e" | "-r" | "-w" | "-a" => Some(kind != Kind::Absent),
        "-f" => Some(kind == Kind::File),
        "-d" => Some(kind == Kind::Dir),
        "-s" => Some(kind == Kind::File && !files.read(path).ok()?.is_empty()),
        "-L" | "-h" => Some(files.link_kind(path).ok()? == Kind::Link),
        "-x" => match (kind, files.status(path)) {
            (Kind::Absent, _) => Some(false),
            (Kind::Dir, _) => Some(true),
            (_, status) => Some(status?.mode & 0o111 != 0),
        },
        _ => None,
    }
}

fn compare(left: &str, operator: &str, right: &str) -> Option<bool> {
    let numbers = || Some((left.trim().parse::<i64>().ok()?, right.trim().parse::<i64>().ok()?));
    Some(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "-eq" => numbers().map(|(left, right)| left == right)?,
        "-ne" => numbers().map(|(left, right)| left != right)?,
        "-gt" => numbers().map(|(left, right)| left > right)?,
        "-ge" => numbers().map(|(left, right)| left >= right)?,
        "-lt" => numbers().map(|(left, right)| left < right)?,
        "-le" => numbers().map(|(left, right)| left <= right)?,
        _ => return None,
    })
}
