//! A tree in memory that is asked for things, again and again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apache_tuning::httpd::Mpm;
use apache_tuning::httpd::read::{self, Configuration};
use apache_tuning::operate::{self, Evaluation, Mode};
use apache_tuning::params::{self, Asked, Params};
use apache_tuning::plan::lines;
use apache_tuning::registry::FEATURES;
use apache_tuning::report::Report;
use apache_tuning::tree::{self, Files, Kind, Memory, Node};
use serde_json::{Value, json};

/// One release's tree and what is to be expected of it.
pub(crate) struct Host {
    /// The release.
    pub(crate) name: &'static str,
    /// Its files.
    pub(crate) files: Memory,
    /// The MPMs that can be had.
    pub(crate) mpms: &'static [Mpm],
    /// The file that chooses the MPM.
    pub(crate) switch: &'static str,
    /// Every file that may change when everything is asked for.
    pub(crate) writes: &'static [&'static str],
    /// What may change when the numbers go to the drop-in.
    pub(crate) drop_in: &'static [&'static str],
    /// Whether mod_evasive is there, and whether it is the fork.
    pub(crate) evasive: Option<bool>,
}

impl Host {
    /// Returns the parameters of everything at once.
    pub(crate) fn wishes(&self, mpm: Mpm) -> Value {
        let settings = match mpm {
            Mpm::Prefork => json!({
                "start_servers": 8, "server_limit": 400, "max_request_workers": 400, "min_spare_servers": 8,
                "max_spare_servers": 16, "max_connections_per_child": 5000
            }),
            _ => json!({
                "start_servers": 4, "server_limit": 16, "thread_limit": 25, "threads_per_child": 25,
                "max_request_workers": 400, "min_spare_threads": 50, "max_spare_threads": 150,
                "max_connections_per_child": 5000
            }),
        };
        let mut wishes = json!({
            "mpm": mpm.name(),
            "settings": settings,
            "keepalive": {"enabled": true, "timeout": "7s", "max_requests": 200},
            "waive": ["PHP-004", "PHP-005"]
        });
        if self.evasive.is_some() {
            wishes["evasive"] = json!({"enabled": true, "page_count": 9, "site_count": 90});
        }
        wishes
    }

    /// Returns what httpd is to read after that.
    pub(crate) fn expected(&self, mpm: Mpm) -> Vec<(&'static str, &'static str)> {
        let mut expected = vec![
            ("ServerLimit", if mpm == Mpm::Prefork { "400" } else { "16" }),
            ("MaxRequestWorkers", "400"),
            ("MaxConnectionsPerChild", "5000"),
            ("KeepAlive", "On"),
            ("KeepAliveTimeout", "7s"),
            ("MaxKeepAliveRequests", "200"),
        ];
        match self.evasive {
            Some(true) => expected.extend([("DOSEnabled", "true"), ("DOSPageCount", "9")]),
            Some(false) => expected.extend([("DOSPageCount", "9"), ("DOSSiteCount", "90")]),
            None => {}
        }
        expected
    }
}

/// A host on which things are tried.
#[derive(Clone)]
pub(crate) struct Tried {
    name: &'static str,
    first: BTreeMap<PathBuf, Node>,
    pub(crate) files: Memory,
}

pub(crate) fn parameters(asked: &Value) -> Params {
    match params::parse(asked.to_string().as_bytes(), FEATURES) {
        Ok((Asked::Tuning(params), _)) => *params,
        other => panic!("{asked}: {other:?}"),
    }
}

impl Tried {
    pub(crate) fn new(host: &Host) -> Self {
        Self { name: host.name, first: everything(&host.files), files: host.files.clone() }
    }

    pub(crate) fn asks(&self, asked: &Value) -> Evaluation {
        match operate::evaluate(&self.files, &parameters(asked), Mode::default(), None) {
            Ok(evaluation) => evaluation,
            Err(report) => panic!("{}: {asked}: {}", self.name, report.msg),
        }
    }

    /// Tells whether what is asked for is refused.
    pub(crate) fn is_refused(&self, asked: &Value) -> bool {
        operate::evaluate(&self.files, &parameters(asked), Mode::default(), None)
            .map_or(true, |evaluation| evaluation.refused())
    }

    /// Does what is asked for, which must be possible.
    pub(crate) fn does(&mut self, asked: &Value) -> Report {
        let evaluation = self.asks(asked);
        assert!(!evaluation.refused(), "{}: {asked}: {}", self.name, evaluation.report.msg);
        self.files.apply(&evaluation.changes);
        evaluation.report
    }

    /// Returns the rule and the words by which something is refused, of the first error.
    pub(crate) fn refuses(&self, asked: &Value) -> (String, String) {
        match operate::evaluate(&self.files, &parameters(asked), Mode::default(), None) {
            Ok(evaluation) => {
                assert!(evaluation.refused(), "{}: {asked} is not refused", self.name);
                (evaluation.report.findings[0].rule.clone(), evaluation.report.msg)
            }
            Err(report) => (report.findings[0].rule.clone(), report.msg.clone()),
        }
    }

    /// Asserts that nothing is left to do.
    pub(crate) fn does_nothing(&self, asked: &Value) {
        let changes = self.asks(asked).changes;
        assert!(changes.is_empty(), "{}: {asked} changes {changes:?} again", self.name);
    }

    pub(crate) fn configuration(&self) -> Configuration {
        let start = self.asks(&json!({})).host.start;
        read::read(&self.files, &start)
    }

    pub(crate) fn mpm(&self) -> Option<Mpm> {
        self.asks(&json!({"keepalive": {}})).host.mpm()
    }

    pub(crate) fn has_evasive(&self) -> bool {
        self.configuration().evasive().is_some()
    }

    /// Asserts that nothing else than these paths and this tool's own state differs from the first tree.
    pub(crate) fn only_these_changed(&self, paths: &[&str]) {
        let now = everything(&self.files);
        for path in now.keys().chain(self.first.keys()) {
            if now.get(path) != self.first.get(path) {
                let own = path.starts_with("/var/lib/apache-tuning");
                assert!(
                    own || paths.iter().any(|known| Path::new(known) == path),
                    "{}: {}",
                    self.name,
                    path.display()
                );
            }
        }
    }

    /// Asserts that the first tree stands again, byte for byte.
    pub(crate) fn is_as_at_first(&self) {
        let now = everything(&self.files);
        for path in now.keys().chain(self.first.keys()) {
            assert_eq!(now.get(path), self.first.get(path), "{}: {}", self.name, path.display());
        }
    }

    /// Tells whether the first tree had a file there.
    pub(crate) fn was_a_file(&self, path: &str) -> bool {
        matches!(self.first.get(Path::new(path)), Some(Node::File(_)))
    }

    pub(crate) fn is_a_file(&self, path: &str) -> bool {
        self.files.is_file(Path::new(path))
    }

    /// Returns the text of a file of the first tree.
    pub(crate) fn first_text(&self, path: &str) -> String {
        match self.first.get(Path::new(path)) {
            Some(Node::File(text)) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.read(Path::new(path)).unwrap_or_else(|error| panic!("{}: {path}: {error}", self.name))
    }

    pub(crate) fn read(&self, path: &Path) -> std::io::Result<String> {
        Ok(String::from_utf8(self.files.read(path)?.to_vec()).unwrap())
    }
}

/// Adds an empty file in `dir` for each program that a line of the tree loads, or would without its `#`.
pub(crate) fn with_programs(mut files: Memory, dir: &str) -> Memory {
    for node in everything(&files).into_values() {
        let Node::File(text) = node else { continue };
        for line in lines::load_lines(&text) {
            let name = line.program.rsplit('/').next().unwrap();
            files = files.file(format!("{dir}/{name}"), "");
        }
    }
    files
}

/// Returns every file and link of a tree.
pub(crate) fn everything(files: &Memory) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![PathBuf::from("/")];
    while let Some(dir) = dirs.pop() {
        for name in files.list(&dir).unwrap() {
            let path = dir.join(name);
            if files.link_kind(&path).unwrap() == Kind::Dir {
                dirs.push(path);
            } else {
                let node = tree::node(files, &path).unwrap();
                found.insert(path, node);
            }
        }
    }
    found
}
