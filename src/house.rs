//! What holds the parts of the program apart: which of them may import which, which may start programs, and how long a
//! file may be. `docs/architecture.md` has the map.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The page that says which room may import which. Its table is what holds.
const MAP: &str = include_str!("../docs/architecture.md");

/// The rooms that start programs.
const STARTERS: [&str; 2] = ["apply", "sandbox"];

/// The most lines of a file.
const LONGEST: usize = 600;

/// Files that are longer still, and the most lines each may have. A file that has become shorter gets the smaller
/// number, or leaves the list.
const LONGER: [(&str, usize); 0] = [];

/// Returns the files of the program below `src`, without those that only tests compile.
fn sources() -> Vec<(PathBuf, String)> {
    fn add(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    add(&root, &mut found);
    let only_tests = |path: &PathBuf| path.ends_with("tests.rs") || path.ends_with("house.rs");
    let files = found.into_iter().filter(|path| !only_tests(path));
    files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\nmod tests {").next().unwrap_or_default().to_owned();
            (path.strip_prefix(&root).unwrap().to_owned(), code)
        })
        .collect()
}

/// Returns the room of a file: the first name of its path.
fn room(file: &Path) -> String {
    let first = file.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Returns the rooms that a file names by `crate::`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
    };
    let code =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => {
                found.insert(word(rest));
            }
        }
    }
    // A macro's own `$crate` and names of items at the root are no rooms.
    found
        .into_iter()
        .filter(|name| !name.is_empty() && name.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

/// Returns the rooms of the map, each with what it may import.
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms = BTreeMap::new();
    for row in MAP.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [names, _, imports] = cells[..] else { panic!("not three cells: {row}") };
        let imports: BTreeSet<String> = imports.split_whitespace().map(str::to_owned).collect();
        for name in names.split_whitespace() {
            rooms.insert(name.trim_matches('`').to_owned(), imports.clone());
        }
    }
    rooms
}

#[test]
fn rooms_import_what_the_map_allows() {
    let map = map();
    let mut wrong = Vec::new();
    for (file, code) in sources().into_iter().filter(|(file, _)| file != Path::new("lib.rs")) {
        let own = room(&file);
        let Some(allowed) = map.get(&own) else {
            wrong.push(format!("{own} is no room of docs/architecture.md"));
            continue;
        };
        for import in imports(&code).into_iter().filter(|import| *import != own && !allowed.contains(import))
        {
            wrong.push(format!(
                "{} imports {import}, which docs/architecture.md does not allow",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_that_the_map_names_are_there() {
    let quoted: Vec<&str> = MAP.split('`').skip(1).step_by(2).collect();
    let mut named = 0;
    for pair in quoted.windows(2) {
        let [file, function] = [pair[0], pair[1]];
        if !file.starts_with("src/")
            || Path::new(file).extension().is_none_or(|end| end != "rs")
            || function.contains(['/', '.', '{'])
        {
            continue;
        }
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let is_there = ["(", "<"].iter().any(|next| text.contains(&format!("fn {function}{next}")));
        assert!(is_there, "{file} has no {function}");
        named += 1;
    }
    assert!(named > 20, "the way of one number is not told any more");
}

#[test]
fn what_the_page_of_measures_names_is_there() {
    const PAGE: &str = include_str!("../docs/measures.md");
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with(" |"))
        .skip(2)
        .map(|line| line.split('|').map(str::trim).skip(1).collect())
        .collect();
    assert!(rows.len() > 15, "{} rows", rows.len());
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schema/params.json")).unwrap();
    for row in rows {
        let [_, parameters, rules, shown, ..] = row.as_slice() else { panic!("{row:?}") };
        for parameter in parameters.split('`').skip(1).step_by(2).filter(|word| !word.contains([' ', '.'])) {
            assert!(schema["properties"].get(parameter).is_some(), "no parameter {parameter}");
        }
        for id in rules.split(", ").filter(|id| !id.is_empty()) {
            assert!(crate::rules::all().any(|rule| rule.id == id), "no rule {id}");
        }
        let shown: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        let file = if shown[0].starts_with("bench/") {
            top.join(shown[0])
        } else {
            top.join("tests").join(shown[0])
        };
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Some(function) = shown.get(1) {
            assert!(text.contains(&format!("fn {function}(")), "{} has no {function}", file.display());
        }
    }
}

#[test]
fn programs_are_started_by_the_sandbox_and_by_apply_alone() {
    let starts = ["process::Command", "Command::new(", "execve", "posix_spawn", "fexecve"];
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(file, code)| {
            !STARTERS.contains(&room(file).as_str()) && starts.iter().any(|call| code.contains(call))
        })
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let most = LONGER.iter().find(|(name, _)| file == Path::new(name)).map_or(LONGEST, |(_, most)| *most);
        let lines = code.lines().count();
        if lines > most {
            wrong.push(format!("{} has {lines} lines, at most {most}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
