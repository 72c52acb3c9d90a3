//! Real Debian hosts for the tests.
//!
//! A host is a folder tree made by debootstrap, with the packages a web server has. It is built once for each
//! release and kept ([`template`]); a test takes its own copy of it ([`Host`]), runs programs there, looks at
//! what became of the files ([`Listing`]), and drops it. What runs in a host runs in mount, network, PID and
//! UTS namespaces of its own, whose first process ends when the test ends, however it ends: no mount, no
//! process and no open port is left behind.
//!
//! ```no_run
//! let host = test_hosts::Host::debian12();
//! let before = host.listing();
//! assert_eq!(host.run(&["a2query", "-M"]).ok(), "prefork");
//! assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());
//! ```
//!
//! Root rights are needed, and debootstrap; a machine without them gets an error that says so: a test that
//! cannot have its host fails, it is never skipped.

pub mod ansible;
pub mod apt;
pub mod browser;
pub mod folders;
pub mod memory;
pub mod template;

mod apache;
mod host;
mod inside;
mod listing;
mod ssh;

pub use ansible::Ansible;
pub use browser::Browser;
pub use host::{Host, Ran};
pub use listing::{Entry, Kind, Listing};
pub use ssh::SshHost;
pub use template::{Flavour, Release};

/// Set in the environment for long runs.
pub const LONG_VARIABLE: &str = "APACHE_TUNING_LONG";

/// Set in the environment to let every system call of a change fail in every way, not in one of them; long runs do.
pub const EXHAUSTIVE_VARIABLE: &str = "APACHE_TUNING_EXHAUSTIVE";

/// Returns how many random cases a test should try: `usual`, or `long` in a long run (`cargo xtask test --long`).
pub fn cases(usual: u32, long: u32) -> u32 {
    if std::env::var_os(LONG_VARIABLE).is_some() { long } else { usual }
}
