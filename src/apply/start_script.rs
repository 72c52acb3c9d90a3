//! The families' start scripts, called where no service manager starts the server.

use std::collections::BTreeMap;
use std::path::Path;

use crate::distro::Site;
use crate::httpd::binary::Httpd;
use crate::httpd::start::Script;
use crate::tree::Files;

/// Returns the program and the arguments that start the server: the family's own script, which sets limits and makes
/// directories. Of another instance most scripts know nothing; then it is the binary itself.
pub(super) fn start_command<'a>(
    view: &dyn Files,
    site: &'a Site,
    httpd: &'a Httpd,
) -> (&'a Path, Vec<&'a str>) {
    match site.layout.control {
        [script, words @ ..]
            if (site.instance.is_none() || site.layout.script == Script::StartApache2)
                && view.is_file(Path::new(script)) =>
        {
            (Path::new(script), words.iter().copied().chain(["start"]).collect())
        }
        _ => {
            let arguments = httpd.arguments.iter().map(String::as_str);
            (&httpd.binary, arguments.chain(["-k", "start"]).collect())
        }
    }
}

/// Returns the command that writes the list of modules of `APACHE_MODULES`, which httpd reads at its start and at each
/// reload: SUSE's script writes it whatever it is called for, here for a test. `None` where no script does.
pub(super) fn writes_modules<'a>(view: &dyn Files, site: &'a Site) -> Option<(&'a Path, [&'static str; 1])> {
    let script = Path::new(*site.layout.control.first()?);
    (site.layout.script == Script::StartApache2 && view.is_file(script)).then_some((script, ["-t"]))
}

/// Returns the environment that a start script is called in; SUSE's is told the instance by a variable.
pub(super) fn environment(site: &Site, httpd: &Httpd) -> BTreeMap<String, String> {
    let mut environment = httpd.full_environment();
    if let (Script::StartApache2, Some(name)) = (site.layout.script, &site.instance) {
        environment.insert("START_APACHE_INSTANCE".to_owned(), name.clone());
    }
    environment
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::distro::LAYOUTS;
    use crate::tree::Memory;

    #[test]
    fn a_server_is_started_by_its_own_familys_script() {
        // All of them are there: what counts is the family.
        let scripts = [
            "/usr/sbin/apache2ctl",
            "/usr/sbin/apachectl",
            "/usr/bin/apachectl",
            "/usr/local/sbin/apachectl",
            "/usr/sbin/start_apache2",
        ];
        let all = scripts.iter().fold(Memory::default(), |files, path| files.file(path, ""));
        let none = Memory::default();
        for (family, start) in [
            ("debian", "/usr/sbin/apache2ctl start"),
            ("redhat", "/sbin/own -D X -k start"),
            ("suse", "/usr/sbin/start_apache2 -k start"),
            ("arch", "/usr/bin/apachectl start"),
            ("alpine", "/usr/sbin/apachectl start"),
            ("freebsd", "/usr/local/sbin/apachectl start"),
            ("gentoo", "/usr/sbin/apache2ctl start"),
        ] {
            let layout = LAYOUTS.iter().find(|layout| layout.name == family).unwrap();
            let httpd = Httpd {
                root: "/".into(),
                binary: "/sbin/own".into(),
                arguments: vec!["-D".to_owned(), "X".to_owned()],
                environment: BTreeMap::new(),
                timeout: crate::httpd::binary::TIMEOUT,
                makes: Vec::new(),
                helper: None,
            };
            let told = |view: &dyn Files, instance: Option<&str>| {
                let site = Site {
                    layout,
                    instance: instance.map(str::to_owned),
                    config_dir: layout.config_dir.into(),
                    server_root: layout.server_root.into(),
                    main: None,
                    distribution: String::new(),
                    distribution_version: String::new(),
                };
                let (program, arguments) = start_command(view, &site, &httpd);
                format!("{} {}", program.display(), arguments.join(" "))
            };
            assert_eq!(told(&all, None), start, "{family}");
            let of_instance = if family == "suse" { start } else { "/sbin/own -D X -k start" };
            assert_eq!(told(&all, Some("blue")), of_instance, "{family}");
            assert_eq!(told(&none, None), "/sbin/own -D X -k start", "{family}");
        }
    }
}
