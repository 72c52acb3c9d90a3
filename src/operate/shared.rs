//! Files that several servers of one host read: a change for one of them would reach the others unasked, at a moment of
//! their own, and a reload across a change of the MPM ends a server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::start::{Known, launch, reads_from};
use crate::distro::{self, Site};
use crate::httpd::Version;
use crate::httpd::read;
use crate::report::Finding;
use crate::rules;
use crate::tree::{Change, Draft, Files, resolve};

/// The most paths that are named for one server.
const NAMED: usize = 3;

/// Refuses changes of files that another server of the host reads, before the change or after it. `numbers` is the file
/// that only the MPM's numbers are written to, where they could go to the drop-in as well.
pub(super) fn judge(
    files: &dyn Files,
    draft: &Draft<'_>,
    site: &Site,
    version: Version,
    changes: &[Change],
    numbers: Option<&Path>,
) -> Vec<Finding> {
    let mut told = Vec::new();
    for other in distro::others(files, site) {
        let mut read = read_by(files, &other, version);
        read.extend(read_by(draft, &other, version));
        let shared: Vec<&Path> = changes
            .iter()
            .filter(|change| change.role.is_read_by_httpd() && read.contains(&change.path))
            .map(|change| change.path.as_path())
            .collect();
        if shared.is_empty() {
            continue;
        }
        let mut paths: Vec<String> =
            shared.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        if shared.len() > NAMED {
            paths.push(format!("{} more", shared.len() - NAMED));
        }
        let (name, setting) = match &other.instance {
            Some(name) => (format!("the instance {name}"), name.clone()),
            None => ("the main server".to_owned(), String::new()),
        };
        told.push(rules::host::SYS_007.finding(
            ("instance", &setting),
            format!(
                "{} reads {} too: it would have the change at its next reload, unasked",
                name,
                paths.join(", ")
            ),
            format!(
                "{}; or waive SYS-007 where {name} is to have the change too, and restart {} yourself",
                if numbers.is_some_and(|file| shared == [file]) && !read.contains(&site.drop_in()) {
                    format!("set placement to drop_in: {} is for this server alone", site.drop_in().display())
                } else {
                    "give each server files of its own".to_owned()
                },
                other.unit()
            ),
        ));
    }
    told
}

/// Returns every path that a server reads: as it is named, its directory's links followed, and where its own link leads.
fn read_by(files: &dyn Files, site: &Site, version: Version) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    let launch = launch(files, site, Known::default());
    for file in read::read(files, &reads_from(site, &launch, version)).files {
        if let (Some(dir), Some(name)) = (file.path.parent(), file.path.file_name())
            && let Ok(dir) = resolve(files, dir)
        {
            paths.insert(dir.join(name));
        }
        paths.extend(resolve(files, &file.path));
        paths.insert(file.path);
    }
    paths
}
