//! htcacheclean, which keeps a cache below its limit: whether the host runs it.

use std::path::{Path, PathBuf};

use crate::distro::Layout;
use crate::httpd::start::shell;
use crate::tree::{Files, Kind};

/// How a family's package runs the cleaner.
struct Packaged {
    /// Its unit.
    unit: &'static str,
    /// The file with its settings.
    settings: &'static str,
    /// The setting that has the directory.
    path: &'static str,
    /// The directory where that is not set.
    usual: &'static str,
}

/// Returns how the package of a family runs it; `None` where there is only the program.
fn packaged(layout: &Layout) -> Option<Packaged> {
    match layout.name {
        "debian" => Some(Packaged {
            unit: "apache-htcacheclean.service",
            settings: "/etc/default/apache-htcacheclean",
            path: "HTCACHECLEAN_PATH",
            usual: "/var/cache/apache2/mod_cache_disk",
        }),
        "redhat" => Some(Packaged {
            unit: "htcacheclean.service",
            settings: "/etc/sysconfig/htcacheclean",
            path: "CACHE_ROOT",
            usual: "/var/cache/httpd/proxy",
        }),
        _ => None,
    }
}

/// Tells whether a cleaner is enabled for this directory: the package's unit or daily job, or a unit or job of another person's
/// own that names the directory.
pub(super) fn cleans(files: &dyn Files, layout: &Layout, root: &Path) -> bool {
    if let Some(packaged) = packaged(layout) {
        let none = std::collections::BTreeMap::new();
        let settings = shell::read(files, Path::new(packaged.settings), &none, &none);
        let own =
            Some(settings.value(packaged.path)).filter(|path| !path.is_empty()).unwrap_or(packaged.usual);
        let link = Path::new("/etc/systemd/system/multi-user.target.wants").join(packaged.unit);
        let enabled = files.link_kind(&link).is_ok_and(|kind| kind != Kind::Absent);
        let daily = settings.value("HTCACHECLEAN_MODE") == "cron";
        if Path::new(own) == root && (enabled || daily) {
            return true;
        }
    }
    let dirs =
        ["/etc/systemd/system", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/periodic/hourly"];
    let cleans_root = |path: PathBuf| {
        let text = files.read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let is_root = |word: &str| Path::new(word.trim_start_matches("-p").trim_matches(['"', '\''])) == root;
        text.contains("htcacheclean") && text.split_ascii_whitespace().any(is_root)
    };
    dirs.iter().map(Path::new).any(|dir| {
        let names = files.list(dir).unwrap_or_default();
        names.iter().map(|name| dir.join(name)).filter(|path| files.is_file(path)).any(cleans_root)
    })
}
