//! One path that differs between the host and its desired state, and what the path is for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Node;

/// What a changed path does, as the plan that makes the change knows it. The order of steps, what a running server
/// needs, the diff and the staged test follow from it. JSON: `"file"`, `{"load": {"module": "php8.2", "needs": []}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A file that httpd reads, or a link that switches nothing.
    #[default]
    File,
    /// The file whose lines choose the MPM, beside whatever else stands in it.
    ChooseMpm,
    /// The link that loads a module.
    Load {
        /// The module, as a2enmod calls it: `mpm_event`.
        module: String,
        /// The modules that it declares to need.
        needs: Vec<String>,
    },
    /// The link to a module's own settings.
    ModuleConf {
        /// The module, as a2enmod calls it.
        module: String,
    },
    /// The link to a snippet of configuration.
    Conf,
    /// The file of variables of the start script: a running server keeps those that it was started with.
    Variables,
    /// A file that another program reads and httpd never does.
    Beside,
    /// A record of who switched what, which httpd never reads.
    Marker,
    /// This tool's own memory, which httpd never reads and the result does not list.
    State,
}

impl Role {
    /// Tells whether httpd reads what is there.
    pub fn is_read_by_httpd(&self) -> bool {
        !matches!(self, Self::Marker | Self::State | Self::Beside)
    }

    /// Returns the module that a link is about.
    pub fn module(&self) -> Option<&str> {
        match self {
            Self::Load { module, .. } | Self::ModuleConf { module } => Some(module),
            _ => None,
        }
    }

    /// Returns the role that a path has by the names in it on a Debian host where no directory is a link. Only for
    /// what was recorded before roles were, and for tests: a plan knows better.
    pub fn by_debian_name(path: &Path) -> Self {
        if path.starts_with("/var/lib/apache-tuning") {
            return Self::State;
        }
        if path.starts_with("/var/lib") {
            return Self::Marker;
        }
        let text = |name: Option<&OsStr>| name.and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let (dir, module) = (text(path.parent().and_then(Path::file_name)), text(path.file_stem()));
        match (dir.as_str(), path.extension().and_then(OsStr::to_str)) {
            ("mods-enabled", Some("load")) => Self::Load { module, needs: Vec::new() },
            ("mods-enabled", Some("conf")) => Self::ModuleConf { module },
            ("conf-enabled", _) => Self::Conf,
            _ => Self::File,
        }
    }
}

/// One path that differs between the host and its desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute path on the managed host; its directory is free of links.
    pub path: PathBuf,
    /// What is there now.
    pub before: Node,
    /// What is to be there.
    pub after: Node,
    /// What it is for.
    pub role: Role,
    /// The features that asked for it, in the order in which they did.
    pub features: Vec<String>,
    /// Whether what is there or stood there is a file that not everybody may read: its text is not shown. A plan's own
    /// look at the path counts beside it.
    pub private: bool,
}

impl Change {
    /// Returns a change of a file that httpd reads.
    pub fn new(path: impl Into<PathBuf>, before: Node, after: Node) -> Self {
        Self { path: path.into(), before, after, role: Role::File, features: Vec::new(), private: false }
    }

    /// Returns the change with another role.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }
}
