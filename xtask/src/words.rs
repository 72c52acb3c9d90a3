//! `cargo xtask words`: no banned word where a user or a newcomer reads.
//!
//! The list is `docs/vocabulary.md`, so that who is stopped by it reads the better word and the reason in one place. A
//! phrase is found over the end of a line too: comment markers and the backslash that continues a string count as space.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

pub(crate) const HELP: &str =
    "find words that docs/vocabulary.md bans in sources, messages and documentation";

/// Where words are read: what a user or a newcomer sees. Tests quote other programs, so they are not read.
const READ: &[&str] = &[
    "src",
    "xtask/ansible",
    "xtask/src",
    "bench",
    "ansible",
    "schema",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];

/// Ends of the names of files that hold words.
const KINDS: &[&str] = &[".rs", ".md", ".yml", ".json", ".py"];

/// The list, for people and for this check.
const LIST: &str = "docs/vocabulary.md";

/// Files that quote banned words on purpose.
const QUOTES: &[&str] = &[LIST, "xtask/src/words.rs"];

/// One row of the list: a phrase in lower case, and what to say instead.
struct Banned {
    phrase: String,
    instead: String,
}

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    check()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads every file of the project that has words.
///
/// # Errors
/// Names each place of a banned word, with what to say instead.
pub(crate) fn check() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the project")?;
    let list = banned(&fs::read_to_string(root.join(LIST))?)?;
    let mut files = Vec::new();
    for name in READ {
        collect(&root.join(name), &mut files)?;
    }
    files.sort();
    ensure!(files.len() > 50, "only {} files with words were found below {}", files.len(), root.display());

    let mut places = Vec::new();
    for file in files {
        let shown = file.strip_prefix(root)?.display().to_string();
        if QUOTES.contains(&shown.as_str()) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (line, one) in find(&text, &list) {
            places.push(format!("{shown}:{line}: `{}`: say {}", one.phrase, one.instead));
        }
    }
    ensure!(places.is_empty(), "{} banned words (see {LIST}):\n{}", places.len(), places.join("\n"));
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name();
            if name != "target" && name != "node_modules" && !entry.file_type()?.is_symlink() {
                collect(&entry.path(), files)?;
            }
        }
    } else if path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| KINDS.iter().any(|end| name.ends_with(end)))
    {
        files.push(path.to_owned());
    }
    Ok(())
}

/// Returns the phrases of the table under `## Banned`.
fn banned(list: &str) -> Result<Vec<Banned>> {
    let (_, table) = list.split_once("## Banned").context("no section `Banned`")?;
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [phrases, instead, because] = cells[..] else { anyhow::bail!("not three columns: {line}") };
        ensure!(!because.is_empty(), "no reason: {line}");
        rows.extend(
            phrases
                .split(", ")
                .map(|phrase| Banned { phrase: phrase.to_lowercase(), instead: instead.to_owned() }),
        );
    }
    ensure!(!rows.is_empty(), "no row under `Banned`");
    Ok(rows)
}

/// Returns the line and the row of each banned phrase in a text.
fn find<'a>(text: &str, list: &'a [Banned]) -> Vec<(usize, &'a Banned)> {
    // All words of the text, separated by one space each, and the line of each byte.
    let (mut words, mut lines) = (String::from(" "), vec![1]);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches(['/', '!', '#']).trim_end_matches('\\');
        for word in line
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '\'')))
            .filter(|word| !word.is_empty())
        {
            words.push_str(&word.to_lowercase());
            words.push(' ');
            lines.resize(words.len(), index + 1);
        }
    }
    let mut found: Vec<_> = list
        .iter()
        .flat_map(|one| {
            words
                .match_indices(&format!(" {} ", one.phrase))
                .map(|(at, _)| (lines[at + 1], one))
                .collect::<Vec<_>>()
        })
        .collect();
    found.sort_by_key(|(line, _)| *line);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## Banned\n\n| banned | say | because |\n| --- | --- | --- |\n\
                         | shall | must | why |\n| without a word, mutely | silently | why |\n";

    #[test]
    fn a_phrase_is_found_in_any_case_and_over_the_end_of_a_line() -> Result<()> {
        let list = banned(TABLE)?;
        let text = "/// It Shall be.\n// cut without\n    /// a word.\n\"and without a \\\n   word\"\nmarshall, shall_not, shall-less";
        let found: Vec<_> =
            find(text, &list).iter().map(|(line, one)| (*line, one.phrase.as_str())).collect();
        assert_eq!(found, [(1, "shall"), (2, "without a word"), (4, "without a word")]);
        Ok(())
    }

    #[test]
    fn a_row_has_what_to_say_and_why() {
        assert!(
            banned("## Banned\n\n| banned | say | because |\n| --- | --- | --- |\n| shall | must |\n")
                .is_err()
        );
        assert!(banned("nothing").is_err());
    }

    #[test]
    fn the_project_keeps_to_its_vocabulary() -> Result<()> {
        check()
    }
}
