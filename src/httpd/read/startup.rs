//! The lines that decide whether httpd starts and what it serves, beside those that are read for their values: read only
//! where a change is to be made or a host is looked at closely, because an unchanged run needs none of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use super::engine::Reader;
use super::{Configuration, FileId, Scope, Start, known, modules};
use crate::httpd::directives::Directive;
use crate::httpd::hash::of as hash;
use crate::tree::Files;

/// A section that a line stands in: `<Location "/x">`. Conditions and virtual hosts are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name as written, without `<`.
    pub name: String,
    /// Its first argument, unquoted; empty where it has none.
    pub argument: String,
}

/// A directive line that decides about the start, or about what is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The directive as written.
    pub directive: String,
    /// Its arguments, variables expanded, split and unquoted.
    pub words: Vec<String>,
    /// The file it stands in.
    pub file: FileId,
    /// 1-based number of its first physical line.
    pub line: u32,
    /// Where it stands.
    pub scope: Scope,
    /// The virtual host it counts for, also from within a section: index into [`Configuration::vhosts`]. `None` is the
    /// main server.
    pub server: Option<u32>,
    /// The sections it stands in, the outermost first.
    pub sections: Vec<Section>,
}

impl Line {
    /// Returns the argument of the innermost section of this name that it stands in.
    pub fn within(&self, section: &str) -> Option<&str> {
        let found = self.sections.iter().rev().find(|one| one.name.eq_ignore_ascii_case(section));
        found.map(|one| one.argument.as_str())
    }

    /// Tells whether it is this directive, as httpd compares names.
    pub fn is(&self, directive: &str) -> bool {
        self.directive.eq_ignore_ascii_case(directive)
    }

    /// Returns the first argument.
    pub fn first(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// What a directive's argument says about files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Nothing that is written to.
    Nothing,
    /// The file of its first argument, and what is made beside it.
    File,
    /// The directory of its first argument.
    Dir,
    /// `type:file(size)` or `type:file`, as caches and mutexes have it.
    Typed,
}

/// The directives, and where they let httpd write.
const DIRECTIVES: &[(&str, Writes)] = &[
    ("AddHandler", Writes::Nothing),
    ("AddOutputFilter", Writes::Nothing),
    ("AddOutputFilterByType", Writes::Nothing),
    ("AddType", Writes::Nothing),
    ("Allow", Writes::Nothing),
    ("AllowOverride", Writes::Nothing),
    ("AllowOverrideList", Writes::Nothing),
    ("AuthBasicProvider", Writes::Nothing),
    ("AuthDigestProvider", Writes::Nothing),
    ("AuthnCacheSOCache", Writes::Nothing),
    ("AuthType", Writes::Nothing),
    ("BalancerMember", Writes::Nothing),
    ("CacheDisable", Writes::Nothing),
    ("CacheEnable", Writes::Nothing),
    ("CacheIgnoreCacheControl", Writes::Nothing),
    ("CacheIgnoreHeaders", Writes::Nothing),
    ("CacheRoot", Writes::Dir),
    ("CacheSocache", Writes::Typed),
    ("CacheStoreNoStore", Writes::Nothing),
    ("CacheStorePrivate", Writes::Nothing),
    ("CustomLog", Writes::File),
    ("DavLockDB", Writes::File),
    ("Deny", Writes::Nothing),
    ("DocumentRoot", Writes::Nothing),
    ("DOSLogDir", Writes::Dir),
    ("ErrorLog", Writes::File),
    ("FcgidIPCDir", Writes::Dir),
    ("FcgidProcessTableFile", Writes::File),
    ("ForensicLog", Writes::File),
    ("GlobalLog", Writes::File),
    ("Header", Writes::Nothing),
    ("JkLogFile", Writes::File),
    ("JkShmFile", Writes::File),
    ("LogFormat", Writes::Nothing),
    ("Mutex", Writes::Typed),
    ("Options", Writes::Nothing),
    ("PidFile", Writes::File),
    ("ProxyPass", Writes::Nothing),
    ("ProxyPassInherit", Writes::Nothing),
    ("ProxyPassMatch", Writes::Nothing),
    ("ProxyPreserveHost", Writes::Nothing),
    ("ProxyRequests", Writes::Nothing),
    ("ProxySet", Writes::Nothing),
    ("ProxyTimeout", Writes::Nothing),
    ("RemoteIPHeader", Writes::Nothing),
    ("Require", Writes::Nothing),
    ("RewriteCond", Writes::Nothing),
    ("RewriteEngine", Writes::Nothing),
    ("RewriteRule", Writes::Nothing),
    ("Satisfy", Writes::Nothing),
    ("ScoreBoardFile", Writes::File),
    ("ScriptLog", Writes::File),
    ("ScriptSock", Writes::File),
    ("SecAction", Writes::Nothing),
    ("SecAuditLog", Writes::File),
    ("SecAuditLogStorageDir", Writes::Dir),
    ("SecDataDir", Writes::Dir),
    ("SecDebugLog", Writes::File),
    ("SecResponseBodyAccess", Writes::Nothing),
    ("SecResponseBodyLimit", Writes::Nothing),
    ("SecRule", Writes::Nothing),
    ("SecRuleEngine", Writes::Nothing),
    ("SecRuleRemoveById", Writes::Nothing),
    ("SecTmpDir", Writes::Dir),
    ("SecUploadDir", Writes::Dir),
    ("SetHandler", Writes::Nothing),
    ("SetInputFilter", Writes::Nothing),
    ("SetOutputFilter", Writes::Nothing),
    ("SSLCertificateFile", Writes::Nothing),
    ("SSLCertificateKeyFile", Writes::Nothing),
    ("SSLCipherSuite", Writes::Nothing),
    ("SSLEngine", Writes::Nothing),
    ("SSLOpenSSLConfCmd", Writes::Nothing),
    ("SSLProtocol", Writes::Nothing),
    ("SSLProxyEngine", Writes::Nothing),
    ("SSLSessionCache", Writes::Typed),
    ("SSLStaplingCache", Writes::Typed),
    ("SSLUseStapling", Writes::Nothing),
    ("TransferLog", Writes::File),
    ("User", Writes::Nothing),
    ("WSGISocketPrefix", Writes::File),
];

/// The section whose lines belong to the backend or balancer that it names: kept as a line where it opens, and as
/// [`PROXY_END`] where it closes.
pub const PROXY: &str = "<Proxy";
/// The end of [`PROXY`].
pub const PROXY_END: &str = "</Proxy>";

/// The variable by which the Core Rule Set knows that its setup was read.
pub const CRS_SETUP: &str = "tx.crs_setup_version";

/// Tells whether a line of a directive that matters is kept: of thousands of rules those that have an id, not the parts
/// of a chain.
pub(super) fn is_kept(name: &[u8], rest: &[u8]) -> bool {
    let rule = [&b"SecRule"[..], b"SecAction"].iter().any(|known| name.eq_ignore_ascii_case(known));
    !rule || rest.windows(3).any(|three| three.eq_ignore_ascii_case(b"id:"))
}

/// Tells whether a line of this directive is one of them.
pub(super) fn matters(name: &[u8]) -> bool {
    DIRECTIVES.iter().any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
}

/// What decides whether httpd starts and what it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Startup {
    /// The configuration as it is read in any case.
    pub configuration: Configuration,
    /// The lines, in reading order.
    pub lines: Vec<Line>,
    /// The directory that relative paths are below.
    pub server_root: PathBuf,
    /// The hash of each directive and section (`<Proxy`) that is carried out, and the file it stands in.
    pub carried_out: FxHashSet<(u64, FileId)>,
}

/// Reads a configuration for what decides about the start and what is served.
pub fn read(files: &dyn Files, start: &Start) -> Startup {
    Reader::new(files, start).run_startup()
}

impl Startup {
    /// Returns the lines of one directive.
    pub fn of<'a>(&'a self, directive: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.is(directive))
    }

    /// Returns where a line stands: `/etc/apache2/apache2.conf:12`.
    pub fn place(&self, line: &Line) -> String {
        format!("{}:{}", self.configuration.path(line.file).display(), line.line)
    }

    /// Returns the main server and each virtual host.
    pub fn servers(&self) -> impl Iterator<Item = Scope> {
        let vhosts = u32::try_from(self.configuration.vhosts.len()).unwrap_or(u32::MAX);
        std::iter::once(Scope::Main).chain((0..vhosts).map(Scope::Vhost))
    }

    /// Returns the lines of one directive that count for a server, the main server's first: a virtual host has those of
    /// the main server as well, wherever they stand.
    pub fn of_server<'a>(&'a self, directive: &'a str, server: Scope) -> impl Iterator<Item = &'a Line> {
        let of_main = self.of(directive).filter(|line| line.scope == Scope::Main);
        let own = self.of(directive).filter(move |line| server != Scope::Main && line.scope == server);
        of_main.chain(own)
    }

    /// Returns the line of a directive that decides for a server.
    pub fn deciding<'a>(&'a self, directive: &'a str, server: Scope) -> Option<&'a Line> {
        self.of_server(directive, server).last()
    }

    /// Returns a file in which a directive or section (`<Proxy`) is carried out.
    pub fn file_with(&self, directive: &str) -> Option<&Path> {
        self.file_of(&[hash(directive.as_bytes())], |_| true)
    }

    /// Returns a file that `counts` in which a directive of a module is carried out, if any; `None` where the module's
    /// directives are not known.
    pub fn file_with_directive_of(
        &self,
        identifier: &str,
        counts: impl Fn(&Path) -> bool,
    ) -> Option<Option<&Path>> {
        let own = |row: &&Directive| row.module.is_some_and(|is| is(identifier));
        let rows = self.configuration.table.rows().filter(own).map(|row| hash(row.name.as_bytes()));
        let mut names: Vec<u64> = rows.collect();
        match known::of_module(identifier) {
            Some(others) => names.extend(others),
            None if modules::is_stock_identifier(identifier) => {}
            None => return None,
        }
        Some(self.file_of(&names, counts))
    }

    fn file_of(&self, names: &[u64], counts: impl Fn(&Path) -> bool) -> Option<&Path> {
        let files = self.carried_out.iter().filter(|(name, _)| names.contains(name)).map(|(_, file)| *file);
        let mut files: Vec<FileId> = files.collect();
        files.sort_unstable();
        files.into_iter().map(|file| self.configuration.path(file)).find(|path| counts(path))
    }

    /// Returns the absolute path of a file as a directive names it.
    pub fn path(&self, written: &str) -> PathBuf {
        self.server_root.join(written)
    }

    /// Returns the directories in which httpd writes by these lines.
    pub fn written_dirs(&self) -> BTreeSet<PathBuf> {
        self.lines.iter().filter_map(|line| self.written_dir(line)).collect()
    }

    fn written_dir(&self, line: &Line) -> Option<PathBuf> {
        let (_, writes) = DIRECTIVES.iter().find(|(known, _)| line.is(known))?;
        let text = line.first();
        if text.is_empty() || text.starts_with('|') || text.to_ascii_lowercase().starts_with("syslog") {
            return None;
        }
        let file = match writes {
            Writes::Nothing => return None,
            Writes::Dir => return Some(self.path(text)),
            Writes::File => text,
            Writes::Typed => {
                let (kind, file) = text.split_once(':')?;
                // A mutex names a directory, a cache a file; a cache on the network names neither.
                if line.is("Mutex") {
                    return Some(self.path(file));
                }
                if !["shmcb", "dbm", "dc", "shm"].contains(&kind.to_ascii_lowercase().as_str()) {
                    return None;
                }
                file.split_once('(').map_or(file, |(file, _)| file)
            }
        };
        self.path(file).parent().map(Path::to_owned)
    }
}
