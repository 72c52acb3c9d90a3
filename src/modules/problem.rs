//! Why a module or a configuration snippet cannot be switched.

use std::path::PathBuf;

use super::{Action, Kind};

/// One reason for a refusal: what is there where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing of that name can be enabled.
    #[error("{kind} `{name}` does not exist: there is no {}; install the package that brings it", .available.display())]
    Missing {
        /// Module or snippet.
        kind: Kind,
        /// Its name.
        name: String,
        /// The file that would have to exist.
        available: PathBuf,
    },
    /// The link that enables it leads to nothing.
    #[error(
        "{} leads nowhere: its target {} is missing; install the package that brings it, or remove the link",
        .link.display(), .target.display()
    )]
    Dangling {
        /// The link.
        link: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// Another module that is enabled excludes this one.
    #[error("module `{name}` cannot be enabled beside `{with}`; disable `{with}` first")]
    Conflict {
        /// The module to be enabled.
        name: String,
        /// The enabled one.
        with: String,
    },
    /// Other enabled modules need the one to be disabled.
    #[error("module `{name}` cannot be disabled while others need it: disable `{}` first", .by.join("`, `"))]
    NeededBy {
        /// The module to be disabled.
        name: String,
        /// The modules that declare it, in the order of the directory.
        by: Vec<String>,
    },
    /// A file, not a link, stands in an enabled directory.
    #[error(
        "{} is a file and not a link to {}; it is left alone: remove it, or move it there and link it",
        .path.display(), .available.display()
    )]
    RealFile {
        /// The file.
        path: PathBuf,
        /// Where a link at its place would lead.
        available: PathBuf,
    },
    /// A link in an enabled directory leads elsewhere than a2enmod would have made it.
    #[error(
        "{} leads to {} and not to {}; it is left alone: remove it or point it there",
        .link.display(), .target.display(), .available.display()
    )]
    ForeignLink {
        /// The link.
        link: PathBuf,
        /// Its text.
        target: PathBuf,
        /// Where it should lead.
        available: PathBuf,
    },
    /// Another module that has to be switched first could not be; its own problem stands before this one.
    #[error("module `{name}` cannot be {action}d because `{on}` cannot be")]
    Dependency {
        /// What was to be done to both.
        action: Action,
        /// The module asked for.
        name: String,
        /// The module it hangs on.
        on: String,
    },
    /// A configuration snippet needs a module that is not enabled.
    #[error("configuration `{name}` needs module `{needs}`, which is not enabled; enable `{needs}` first")]
    NotEnabled {
        /// The snippet.
        name: String,
        /// The module.
        needs: String,
    },
    /// Most configurations break without this module.
    #[error(
        "module `{name}` is one that hardly any configuration does without; it is not disabled unless forced"
    )]
    Essential {
        /// The module.
        name: String,
    },
    /// Modules declare each other as dependency.
    #[error("modules `{}` depend on each other in a circle; correct their `# Depends:` lines", .names.join("`, `"))]
    Circle {
        /// The circle, its first member repeated at the end.
        names: Vec<String>,
    },
    /// Something could not be read.
    #[error("{}: {error}", .path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
}
