//! What modules answer to: their identifier, their source file, the directives they bring.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::known::{Names, is_own};
use super::object::Object;

use crate::httpd::Mpm;
use crate::httpd::directives::{Directive, Group, Table, is_evasive};
use crate::tree::Files;

/// Names of the modules of httpd 2.4's own source tree whose identifier is `NAME_module` and whose source file is
/// `mod_NAME.c`.
const STOCK: &str = "access_compat actions alias allowmethods asis auth_basic auth_digest auth_form authn_anon \
    authn_core authn_dbd authn_dbm authn_file authn_socache authnz_fcgi authnz_ldap authz_core authz_dbd authz_dbm \
    authz_groupfile authz_host authz_owner authz_user autoindex brotli bucketeer buffer cache cache_disk \
    cache_socache case_filter case_filter_in cern_meta cgi cgid charset_lite data dav dav_fs dav_lock dbd deflate \
    dialup dir dumpio echo env example_hooks example_ipc expires ext_filter file_cache filter headers heartbeat \
    heartmonitor http2 ident imagemap include info isapi journald lbmethod_bybusyness lbmethod_byrequests \
    lbmethod_bytraffic lbmethod_heartbeat log_config log_debug log_forensic logio lua macro md mime mime_magic \
    negotiation optional_fn_export optional_fn_import optional_hook_export optional_hook_import policy privileges \
    proxy proxy_ajp proxy_balancer proxy_connect proxy_express proxy_fcgi proxy_fdpass proxy_ftp proxy_hcheck \
    proxy_html proxy_http proxy_http2 proxy_scgi proxy_uwsgi proxy_wstunnel ratelimit reflector remoteip reqtimeout \
    request rewrite sed session session_cookie session_crypto session_dbd setenvif slotmem_plain slotmem_shm so \
    socache_dbm socache_dc socache_memcache socache_redis socache_shmcb speling ssl ssl_ct status substitute suexec \
    systemd tls unique_id unixd userdir usertrack version vhost_alias watchdog xml2enc";

/// Identifiers and source files that do not follow the rule, of httpd and of well-known modules beside it.
const ODD: &[(&str, &str)] = &[
    ("core_module", "core.c"),
    ("http_module", "http_core.c"),
    ("mpm_event_module", "event.c"),
    ("mpm_worker_module", "worker.c"),
    ("mpm_prefork_module", "prefork.c"),
    ("ldap_module", "util_ldap.c"),
    // PHP 8 dropped the number from both names.
    ("php_module", "mod_php.c"),
    ("php5_module", "mod_php5.c"),
    ("php7_module", "mod_php7.c"),
    ("mpm_itk_module", "mpm_itk.c"),
];

/// Returns the source file of a module whose source file is known from its identifier and its `.so`.
fn known_source(identifier: &str, path: &str) -> Option<String> {
    if let Some((_, source)) = ODD.iter().find(|(odd, _)| *odd == identifier) {
        return Some((*source).to_owned());
    }
    let name = identifier.strip_suffix("_module")?;
    if is_stock(name) {
        return Some(format!("mod_{name}.c"));
    }
    // mod_evasive is built from a source file named after its `.so`, whatever its identifier says.
    name.starts_with("evasive").then(|| source_of_object(path)).flatten()
}

/// Returns the source file that a `.so` is usually built from: its name with another ending.
fn source_of_object(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?.strip_suffix(".so")?;
    Some(format!("{name}.c"))
}

fn is_stock(name: &str) -> bool {
    is_in(STOCK, name)
}

/// Tells whether an identifier is that of a module of httpd's own source tree.
pub(super) fn is_stock_identifier(identifier: &str) -> bool {
    identifier.strip_suffix("_module").is_some_and(is_stock)
}

/// Tells whether `name` is one of the words of a list that single blanks part.
fn is_in(list: &str, name: &str) -> bool {
    let is_blank = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == b' ');
    let bytes = list.as_bytes();
    !name.is_empty()
        && !name.contains(' ')
        && memchr::memmem::find_iter(bytes, name).any(|at| {
            is_blank(at.checked_sub(1).map(|before| &bytes[before])) && is_blank(bytes.get(at + name.len()))
        })
}

/// Tells whether a source file name belongs to a module of httpd's own tree.
fn is_stock_source(source: &str) -> bool {
    ODD.iter().any(|(_, odd)| *odd == source)
        || source.strip_prefix("mod_").and_then(|rest| rest.strip_suffix(".c")).is_some_and(is_stock)
}

/// One module, loaded or built in.
struct Entry {
    identifier: String,
    /// Its source file, where it is known without looking into the `.so`.
    source: Option<String>,
    /// Absolute path of its `.so`; `None` for one that is built in.
    path: Option<PathBuf>,
    /// Its content, once it was asked for.
    content: OnceCell<Option<Arc<[u8]>>>,
}

/// The modules that are loaded so far.
#[derive(Default)]
pub(super) struct Modules {
    /// The directives that are managed or watched.
    table: &'static Table,
    entries: Vec<Entry>,
    by_identifier: FxHashMap<String, usize>,
    /// What was asked since the last module was loaded.
    answers: RefCell<FxHashMap<String, bool>>,
}

impl Modules {
    pub(super) fn new(table: &'static Table) -> Self {
        Self { table, ..Self::default() }
    }

    /// Adds a module that is built in.
    pub(super) fn build_in(&mut self, identifier: &str, source: &str) {
        self.push(identifier, Some(source.to_owned()), None);
    }

    /// Adds a module that `LoadModule` names; `written` is its path as written.
    pub(super) fn load(&mut self, identifier: &str, written: &str, path: PathBuf) {
        self.push(identifier, known_source(identifier, written), Some(path));
    }

    fn push(&mut self, identifier: &str, source: Option<String>, path: Option<PathBuf>) {
        self.answers.get_mut().clear();
        self.by_identifier.insert(identifier.to_owned(), self.entries.len());
        self.entries.push(Entry {
            identifier: identifier.to_owned(),
            source,
            path,
            content: OnceCell::new(),
        });
    }

    /// Tells whether a module is loaded, by its identifier.
    pub(super) fn has(&self, identifier: &str) -> bool {
        self.by_identifier.contains_key(identifier)
    }

    /// Returns the source file of a module that is built in.
    pub(super) fn built_in_source(&self, identifier: &str) -> Option<&str> {
        let entry = &self.entries[*self.by_identifier.get(identifier)?];
        entry.source.as_deref().filter(|_| entry.path.is_none())
    }

    /// Tells whether `<IfModule name>` is true: `name` is an identifier or a source file, byte for byte.
    pub(super) fn answers_to(&self, files: &dyn Files, name: &str) -> bool {
        // Thousands of virtual hosts ask the same few questions.
        if let Some(&answer) = self.answers.borrow().get(name) {
            return answer;
        }
        let answer = self.has_source(files, name);
        self.answers.borrow_mut().insert(name.to_owned(), answer);
        answer
    }

    fn has_source(&self, files: &dyn Files, name: &str) -> bool {
        if self.has(name) {
            return true;
        }
        if self.entries.iter().any(|entry| entry.source.as_deref() == Some(name)) {
            return true;
        }
        // Only a module from elsewhere can still have this source file; its `.so` tells.
        let is_source = name.strip_suffix(".c").is_some();
        is_source
            && !is_stock_source(name)
            && self.entries.iter().any(|entry| entry.is_built_from(files, name))
    }

    /// Returns the identifier or source file of a loaded module that differs from `name` only in case.
    pub(super) fn in_other_case(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .flat_map(|entry| std::iter::once(entry.identifier.as_str()).chain(entry.source.as_deref()))
            .find(|known| *known != name && known.eq_ignore_ascii_case(name))
    }

    /// Returns the identifier of the loaded mod_evasive, of whatever generation.
    pub(super) fn evasive(&self) -> Option<&str> {
        self.entries.iter().map(|entry| entry.identifier.as_str()).find(|name| is_evasive(name))
    }

    /// Tells whether a directive or section (`<proxy`) is known, as `<IfDirective>` and `<IfSection>` ask.
    pub(super) fn has_directive(&self, files: &dyn Files, name: &str) -> bool {
        let name = name.as_bytes();
        if is_own(name, self.identifiers()) || self.table.find(name).is_some_and(|row| self.knows(row)) {
            return true;
        }
        let brings = |entry: &Entry| {
            let told = entry.object(files).and_then(|object| object.directives());
            told.is_some_and(|list| list.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        self.entries.iter().any(brings)
    }

    fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.identifier.as_str())
    }

    /// Strikes out the names of the directives that httpd knows with these modules; all of them, where one of the
    /// modules does not tell its directives. `binary` is httpd itself.
    pub(super) fn strike(&self, files: &dyn Files, binary: &Path, names: &mut Names) {
        names.strike_own(self.identifiers());
        if names.all_known() {
            return;
        }
        // Modules from elsewhere first, because a release rarely gives one of httpd's own a new directive. Those built in
        // are in httpd itself, also those that this family's row does not know of.
        let own = |entry: &&Entry| entry.source.as_deref().is_some_and(is_stock_source);
        let (own, others): (Vec<&Entry>, Vec<&Entry>) =
            self.entries.iter().filter(|entry| entry.path.is_some()).partition(own);
        // This one makes directives at run time.
        let mut silent = self.has("perl_module");
        for entry in others.into_iter().map(Some).chain([None]).chain(own.into_iter().map(Some)) {
            if silent || names.all_known() {
                break;
            }
            let httpd;
            let list = if let Some(entry) = entry {
                entry.object(files).and_then(|object| object.directives())
            } else {
                httpd = files.read(binary).unwrap_or_default();
                Object::built_in(&httpd)
            };
            match list {
                Some(list) => list.iter().for_each(|name| names.strike(name)),
                None => silent = true,
            }
        }
        if silent {
            names.strike_all();
        }
    }

    /// Tells whether the loaded modules know a directive of the table.
    pub(super) fn knows(&self, row: &Directive) -> bool {
        match row.module {
            Some(module) => self.identifiers().any(module),
            None => row.group != Group::MPM || row.mpms.iter().any(|mpm| self.has(mpm.module())),
        }
    }
}

/// Tells whether a guard's name is meant for an MPM but can never be true: `mpm_event.c`, `mod_mpm_event.c`,
/// `mpm_event`, or one of the right names in another case.
pub(super) fn is_dead_mpm_name(name: &str) -> bool {
    let right = Mpm::ALL.iter().any(|mpm| name == mpm.module() || name == mpm.source_file());
    if right {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let plain = lower.strip_prefix("mod_").unwrap_or(&lower);
    let plain = plain.strip_suffix(".c").or_else(|| plain.strip_suffix("_module")).unwrap_or(plain);
    let plain = plain.strip_prefix("mpm_").unwrap_or(plain);
    Mpm::of_name(plain).is_some()
}

impl Entry {
    /// Tells whether a module of unknown source has this source file: by what its `.so` says, or, where that
    /// cannot be read, by how such files are usually called.
    fn is_built_from(&self, files: &dyn Files, source: &str) -> bool {
        if self.source.is_some() {
            return false;
        }
        if let Some(object) = self.object(files) {
            return object.source() == Some(source.as_bytes());
        }
        let plain = self.identifier.strip_suffix("_module").map(|plain| format!("mod_{plain}.c"));
        let object = self.path.as_ref().and_then(|path| source_of_object(&path.to_string_lossy()));
        plain.as_deref() == Some(source) || object.as_deref() == Some(source)
    }

    /// Returns what the `.so` says, read at the first question; `None` where it is no module of this name.
    fn object(&self, files: &dyn Files) -> Option<Object<'_>> {
        let content = self.content.get_or_init(|| files.read(self.path.as_ref()?).ok());
        Object::open(content.as_ref()?, &self.identifier)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::object::sample;
    use super::*;
    use crate::tree::Memory;

    fn loaded(list: &[(&str, &str)]) -> Modules {
        let mut modules = Modules::new(&crate::registry::TABLE);
        modules.build_in("core_module", "core.c");
        for (identifier, path) in list {
            modules.load(identifier, path, PathBuf::from(path));
        }
        modules
    }

    #[test]
    fn a_guard_names_the_identifier_or_the_source_file() {
        let files = Memory::new()
            .file("/m/mod_security2.so", sample::object("security2_module", "mod_security2.c", &[]))
            .file("/m/odd.so", sample::object("odd_module", "/build/src/mod_strange.c", &[]))
            .file("/m/mod_empty.so", b"");
        let modules = loaded(&[
            ("mpm_event_module", "/m/mod_mpm_event.so"),
            ("ldap_module", "/m/mod_ldap.so"),
            ("php_module", "/m/libphp8.2.so"),
            ("evasive20_module", "/m/mod_evasive24.so"),
            ("security2_module", "/m/mod_security2.so"),
            ("odd_module", "/m/odd.so"),
            ("empty_module", "/m/mod_empty.so"),
            ("dir_module", "/m/mod_dir.so"),
        ]);
        for (name, expected) in [
            ("core.c", true),
            ("core_module", true),
            ("mpm_event_module", true),
            ("event.c", true),
            ("mpm_event.c", false),
            ("mod_mpm_event.c", false),
            ("MPM_event_module", false),
            ("Event.c", false),
            ("worker.c", false),
            ("util_ldap.c", true),
            ("mod_ldap.c", false),
            ("mod_php.c", true),
            ("mod_php8.c", false),
            ("mod_evasive24.c", true),
            ("mod_evasive20.c", false),
            ("evasive20_module", true),
            ("mod_security2.c", true),
            ("mod_strange.c", true),
            ("strange.c", false),
            ("mod_odd.c", false),
            ("mod_empty.c", true),
            ("mod_dir.c", true),
            ("mod_ssl.c", false),
        ] {
            assert_eq!(modules.answers_to(&files, name), expected, "{name}");
        }
    }

    #[test]
    fn dead_guards_are_told_from_guards_of_another_mpm() {
        for name in
            ["mpm_event.c", "mod_mpm_event.c", "mpm_event", "event", "worker_module", "MPM_Prefork_Module"]
        {
            assert!(is_dead_mpm_name(name), "{name}");
        }
        for name in ["mpm_event_module", "event.c", "worker.c", "mpm_itk_module", "mod_ssl.c", "mod_php.c"] {
            assert!(!is_dead_mpm_name(name), "{name}");
        }
    }

    #[test]
    fn directives_are_known_through_core_table_and_object_file() {
        let files = Memory::new()
            .file("/m/mod_proxy.so", sample::object("proxy_module", "mod_proxy.c", &["ProxyPass", "<Proxy"]))
            .file("/m/mod_odd.so", sample::object("odd_module", "mod_odd.c", &["OddWord", "<Odd"]));
        let modules = loaded(&[
            ("mpm_prefork_module", "/m/none.so"),
            ("proxy_module", "/m/mod_proxy.so"),
            ("odd_module", "/m/mod_odd.so"),
        ]);
        for (name, expected) in [
            ("keepalive", true),
            ("MinSpareServers", true),
            ("MinSpareThreads", false),
            ("MaxClients", true),
            ("ProxyPass", true),
            ("<proxy", true),
            ("Proxy", false),
            // Only its `.so` tells what a module from elsewhere brings.
            ("oddword", true),
            ("<odd", true),
            ("Odd", false),
            ("DOSPageCount", false),
            ("Use", false),
        ] {
            assert_eq!(modules.has_directive(&files, name), expected, "{name}");
        }
    }
}
