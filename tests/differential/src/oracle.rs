//! httpd's own answers about its configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::{Bed, inside, write};

/// Where Debian keeps the modules.
pub const MODULES: &str = "/usr/lib/apache2/modules";

/// One configuration to ask about.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its folder inside the bed; answers are put there.
    pub folder: String,
    /// Its main file, absolute inside the bed.
    pub main: String,
    /// Names given with `-D`.
    pub defines: Vec<String>,
    /// Lines of shell that bring the files to their place.
    pub prepare: String,
    /// Where the variables come from.
    pub variables: Variables,
}

/// The environment of httpd.
#[derive(Debug, Clone)]
pub enum Variables {
    /// These.
    Given(BTreeMap<String, String>),
    /// What Debian's script of variables sets, a path inside the bed.
    Script(String),
}

/// One directive or section as `-D DUMP_CONFIG` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    /// The file, or `macro '...` for a line that a macro made.
    pub file: String,
    /// The last of its physical lines.
    pub line: u32,
    /// The sections around it, outermost first, as indices of the list.
    pub parents: Vec<usize>,
    /// Its name; of a section with `<`.
    pub name: String,
    /// What follows, variables replaced; of a section with `>`.
    pub arguments: String,
}

/// One file as `-D DUMP_INCLUDES` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Include depth; 0 for the main file.
    pub depth: usize,
    /// The last physical line of its `Include`; 0 for the main file.
    pub line: u32,
    /// Its path.
    pub path: String,
}

/// All that httpd says about one case.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Whether `-t` says that all is well.
    pub accepted: bool,
    /// The files it read, up to an error.
    pub files: Vec<Included>,
    /// The modules it loaded, `mod_info` left out; empty unless accepted.
    pub modules: Vec<String>,
    /// The directives left for the walk; empty unless accepted.
    pub config: Vec<Dumped>,
    /// What it says against it.
    pub stderr: String,
}

/// Asks httpd about many cases in one shell.
pub fn ask(bed: &Bed<'_>, cases: &[Case]) -> Result<Vec<Answer>> {
    let mut script =
        String::from("PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; LC_ALL=C; export LC_ALL\n");
    for case in cases {
        let Case { folder, main, defines, prepare, variables } = case;
        let mut call = String::new();
        match variables {
            Variables::Given(list) => {
                for (name, value) in list {
                    write!(call, "{name}='{value}'; export {name}; ")?;
                }
            }
            Variables::Script(path) => write!(call, ". {path}; ")?,
        }
        let defines = defines.iter().fold(String::new(), |text, name| text + " -D " + name);
        writeln!(
            script,
            "{prepare}\n( {call}apache2 -f {main}{defines} \
             -C 'LoadModule info_module {MODULES}/mod_info.so' \
             -t -D DUMP_INCLUDES -D DUMP_MODULES -D DUMP_CONFIG >{folder}/stdout 2>{folder}/stderr; \
             echo $? >{folder}/status )"
        )?;
    }
    if let Some(case) = cases.first() {
        let path = format!("{}/ask.sh", case.folder);
        write(&inside(bed.root, &path), script.as_bytes())?;
        (bed.shell)(&format!("sh {path}"))?;
    }
    cases
        .iter()
        .map(|case| {
            let read = |name: &str| {
                let path = inside(bed.root, &format!("{}/{name}", case.folder));
                let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
            };
            let accepted = read("status")?.trim() == "0";
            let stdout = read("stdout")?;
            Ok(Answer {
                accepted,
                files: files(&stdout),
                modules: if accepted { modules(&stdout) } else { Vec::new() },
                config: if accepted { config(&stdout) } else { Vec::new() },
                stderr: if accepted { String::new() } else { read("stderr")? },
            })
        })
        .collect()
}

/// Reads `  (12) /etc/...`, two spaces for each level.
fn files(stdout: &str) -> Vec<Included> {
    stdout
        .lines()
        .skip_while(|line| *line != "Included configuration files:")
        .skip(1)
        .map_while(|line| {
            let rest = line.trim_start_matches(' ');
            let depth = (line.len() - rest.len()) / 2;
            let (number, path) = rest.strip_prefix('(')?.split_once(") ")?;
            let line = if number == "*" { 0 } else { number.parse().ok()? };
            // The main file stands one level in; `(*)` stands for no line at all.
            Some(Included { depth: depth.checked_sub(1)?, line, path: path.to_owned() })
        })
        .collect()
}

fn modules(stdout: &str) -> Vec<String> {
    stdout
        .lines()
        .skip_while(|line| *line != "Loaded Modules:")
        .skip(1)
        .map_while(|line| line.strip_prefix(' ')?.split_once(" (").map(|(name, _)| name.to_owned()))
        .filter(|name| name != "info_module")
        .collect()
}

/// Reads `# In file: F`, `#   12:` and the directive below it. Nesting is told by indentation alone: a section
/// without content has no closing tag there.
fn config(stdout: &str) -> Vec<Dumped> {
    let mut list: Vec<Dumped> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut file = String::new();
    let mut number = None;
    for line in stdout.lines() {
        if line == "Loaded Modules:" {
            break;
        }
        if let Some(name) = line.strip_prefix("# In file: ") {
            name.clone_into(&mut file);
            continue;
        }
        let text = line.trim_start_matches(' ');
        if number.is_none() {
            number = text.strip_prefix('#').and_then(|rest| rest.trim().strip_suffix(':')?.parse().ok());
            continue;
        }
        let depth = (line.len() - text.len()) / 2;
        parents.truncate(depth);
        let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
        list.push(Dumped {
            file: file.clone(),
            line: number.take().unwrap_or_default(),
            parents: parents.clone(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        });
        parents.push(list.len() - 1);
    }
    list
}
