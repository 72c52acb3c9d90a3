//! The cases that were observed on a real host, and the differences from the script, one by one.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::tree::{Change, Memory, Node};

const FORCE: Options = Options { force: true, purge: false };
const PURGE: Options = Options { force: false, purge: true };
const PLAIN: Options = Options { force: false, purge: false };

fn farm() -> Farm {
    Farm::new("/etc/apache2")
}

/// The modules of the tests as Debian 12 ships them: name, head, whether there is a `.conf`.
const MODULES: &[(&str, &str, bool)] = &[
    ("alias", "", true),
    ("cgi", "", false),
    ("cgid", "", true),
    ("headers", "", false),
    ("mpm_event", "# Conflicts: mpm_worker mpm_prefork\n", true),
    ("mpm_itk", "# Depends: mpm_prefork\n", false),
    ("mpm_prefork", "# Conflicts: mpm_event mpm_worker\n", true),
    ("mpm_worker", "# Conflicts: mpm_event mpm_prefork\n", true),
    ("php8.2", "# Conflicts: php5\n# Depends: mpm_prefork\n", true),
    ("proxy", "", true),
    ("proxy_fcgi", "# Depends: proxy\n", false),
    ("proxy_html", "# Depends: proxy xml2enc\n", true),
    ("rewrite", "", false),
    ("security2", "# Depends: unique_id\n", true),
    ("setenvif", "", true),
    ("unique_id", "", false),
    ("xml2enc", "# Depends: proxy\n", false),
];

/// Returns a host with all of `MODULES` available and these enabled, `BY:NAME` with its marker.
fn host(enabled: &[&str]) -> Memory {
    let mut tree = Memory::new();
    for (name, head, conf) in MODULES {
        let load = format!("{head}LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        tree = tree.file(farm().available(Kind::Module, name), load);
        if *conf {
            tree = tree.file(format!("/etc/apache2/mods-available/{name}.conf"), "");
        }
    }
    for entry in enabled {
        let (by, name) = entry.split_once(':').unwrap();
        tree = linked(tree, name).file(format!("/var/lib/apache2/module/enabled_by_{by}/{name}"), "");
    }
    tree
}

/// Adds the links of an enabled module.
fn linked(mut tree: Memory, name: &str) -> Memory {
    let conf = MODULES.iter().any(|(other, _, conf)| *other == name && *conf);
    for suffix in if conf { &["load", "conf"][..] } else { &["load"] } {
        let file = format!("{name}.{suffix}");
        tree = tree.link(format!("/etc/apache2/mods-enabled/{file}"), format!("../mods-available/{file}"));
    }
    tree
}

fn fresh() -> Memory {
    host(&["maint:mpm_event"])
}

fn prefork() -> Memory {
    host(&["admin:mpm_prefork"])
}

fn php() -> Memory {
    host(&["maint:mpm_prefork", "maint:php8.2"])
}

/// Removes paths from a tree.
fn without(mut tree: Memory, paths: &[&str]) -> Memory {
    for path in paths {
        tree.apply(&[Change::new(*path, Node::Absent, Node::Absent)]);
    }
    tree
}

/// Says each change in a word: `+x.load` for a link as a2enmod makes it, `-x.load`, `+enabled_by_admin/x`.
fn said(changes: &[Change]) -> String {
    let mut words: Vec<String> = Vec::new();
    for change in changes {
        let path = change.path.to_str().unwrap();
        let word = path
            .strip_prefix("/etc/apache2/mods-enabled/")
            .or_else(|| path.strip_prefix("/var/lib/apache2/module/"))
            .or_else(|| path.strip_prefix("/etc/apache2/"))
            .or_else(|| path.strip_prefix("/var/lib/apache2/"))
            .unwrap_or(path);
        words.push(match &change.after {
            Node::Absent => format!("-{word}"),
            Node::Link(text) => {
                let file = change.path.file_name().unwrap().to_str().unwrap();
                let dir = if path.contains("/conf-enabled/") { "conf" } else { "mods" };
                assert_eq!(text.to_str().unwrap(), format!("../{dir}-available/{file}"));
                format!("+{word}")
            }
            Node::File(content) => {
                assert!(content.is_empty() && path.starts_with("/var/lib/apache2/"), "{path} is no marker");
                format!("+{word}")
            }
        });
    }
    words.join(" ")
}

/// What is tried, the host, the call, its exit status and what it changes.
type Case = (&'static str, Memory, Action, &'static [&'static str], Options, u8, &'static str);

#[test]
fn the_script_s_observed_cases_come_out_the_same() {
    use Action::{Disable, Enable};
    let foreign = |tree: Memory| {
        tree.file("/root/my.load", "").link("/etc/apache2/mods-enabled/mpm_event.load", "/root/my.load")
    };
    let real = |tree: Memory, file: &str| tree.file(format!("/etc/apache2/mods-enabled/{file}"), "");
    let gone = || without(fresh(), &["/etc/apache2/mods-available/mpm_event.load"]);
    let dangling = || {
        fresh()
            .link("/etc/apache2/mods-enabled/foo.load", "../mods-available/foo.load")
            .link("/etc/apache2/mods-enabled/foo.conf", "../mods-available/foo.conf")
    };
    let swap_off = "-mpm_event.conf -mpm_event.load +disabled_by_admin/mpm_event -enabled_by_maint/mpm_event";
    let event_file_kept = "-mpm_event.conf +disabled_by_admin/mpm_event -enabled_by_maint/mpm_event";
    let event_conf_kept = "-mpm_event.load +disabled_by_admin/mpm_event -enabled_by_maint/mpm_event";
    let prefork_on = "+mpm_prefork.conf +mpm_prefork.load +enabled_by_admin/mpm_prefork";
    let all_proxy_off = "-proxy.conf -proxy.load -proxy_fcgi.load -proxy_html.conf -proxy_html.load -xml2enc.load \
                         +disabled_by_admin/proxy +disabled_by_admin/proxy_fcgi +disabled_by_admin/proxy_html \
                         +disabled_by_admin/xml2enc -enabled_by_admin/proxy -enabled_by_admin/proxy_fcgi \
                         -enabled_by_admin/proxy_html -enabled_by_admin/xml2enc";
    let proxies = || host(&["admin:proxy", "admin:proxy_fcgi", "admin:proxy_html", "admin:xml2enc"]);

    let cases: &[Case] = &[
        ("a conflict", fresh(), Enable, &["mpm_worker"], PLAIN, 1, ""),
        ("a conflict is not forced", fresh(), Enable, &["mpm_prefork"], FORCE, 1, ""),
        ("off", fresh(), Disable, &["mpm_event"], PLAIN, 0, swap_off),
        ("a dependency in conflict", fresh(), Enable, &["php8.2"], PLAIN, 1, ""),
        ("something depends on it", php(), Disable, &["mpm_prefork"], PLAIN, 1, ""),
        (
            "force takes the dependents along",
            php(),
            Disable,
            &["mpm_prefork"],
            FORCE,
            0,
            "-mpm_prefork.conf -mpm_prefork.load -php8.2.conf -php8.2.load +disabled_by_admin/mpm_prefork \
             +disabled_by_admin/php8.2 -enabled_by_maint/mpm_prefork -enabled_by_maint/php8.2",
        ),
        (
            "a dependency is pulled in",
            host(&[]),
            Enable,
            &["php8.2"],
            PLAIN,
            0,
            "+mpm_prefork.conf +mpm_prefork.load +php8.2.conf +php8.2.load +enabled_by_admin/mpm_prefork \
             +enabled_by_admin/php8.2",
        ),
        (
            "the wrong order leaves half",
            php(),
            Disable,
            &["mpm_prefork", "php8.2"],
            PLAIN,
            1,
            "-php8.2.conf -php8.2.load +disabled_by_admin/php8.2 -enabled_by_maint/php8.2",
        ),
        ("on already", fresh(), Enable, &["mpm_event"], PLAIN, 0, ""),
        ("off already", fresh(), Disable, &["mpm_prefork"], PLAIN, 0, ""),
        ("nothing of that name to enable", fresh(), Enable, &["nosuch"], PLAIN, 1, ""),
        ("nothing of that name to disable", fresh(), Disable, &["nosuch"], PLAIN, 1, ""),
        (
            "one of three fails",
            fresh(),
            Enable,
            &["headers", "nosuch", "rewrite"],
            PLAIN,
            1,
            "+headers.load +rewrite.load +enabled_by_admin/headers +enabled_by_admin/rewrite",
        ),
        ("a file as .load, on", real(fresh(), "mpm_event.load"), Enable, &["mpm_event"], PLAIN, 1, ""),
        (
            "a file as .load, off",
            real(fresh(), "mpm_event.load"),
            Disable,
            &["mpm_event"],
            PLAIN,
            0,
            event_file_kept,
        ),
        (
            "a file hides a conflict",
            real(fresh(), "mpm_event.load"),
            Enable,
            &["mpm_prefork"],
            PLAIN,
            0,
            prefork_on,
        ),
        (
            "a file as .conf, off",
            real(fresh(), "mpm_event.conf"),
            Disable,
            &["mpm_event"],
            PLAIN,
            0,
            event_conf_kept,
        ),
        ("a file as .conf, on", real(fresh(), "mpm_event.conf"), Enable, &["mpm_event"], PLAIN, 1, ""),
        (
            "an absolute link is as good",
            fresh().link(
                "/etc/apache2/mods-enabled/mpm_event.load",
                "/etc/apache2/mods-available/mpm_event.load",
            ),
            Enable,
            &["mpm_event", "mpm_prefork"],
            PLAIN,
            1,
            "",
        ),
        ("a foreign link, on", foreign(fresh()), Enable, &["mpm_event"], PLAIN, 1, ""),
        ("a foreign link hides a conflict", foreign(fresh()), Enable, &["mpm_prefork"], PLAIN, 0, prefork_on),
        ("a foreign link, off", foreign(fresh()), Disable, &["mpm_event"], PLAIN, 0, swap_off),
        (
            "the .conf alone is added",
            without(fresh(), &["/etc/apache2/mods-enabled/mpm_event.conf"]),
            Enable,
            &["mpm_event"],
            PLAIN,
            0,
            "+mpm_event.conf",
        ),
        (
            "a stale .conf is removed",
            without(fresh(), &["/etc/apache2/mods-enabled/mpm_event.load"]),
            Disable,
            &["mpm_event"],
            PLAIN,
            0,
            "-mpm_event.conf",
        ),
        ("dangling links, off", dangling(), Disable, &["foo"], PLAIN, 0, "-foo.conf -foo.load"),
        ("dangling links, on", dangling(), Enable, &["foo"], PLAIN, 1, ""),
        ("a lost .load, off", gone(), Disable, &["mpm_event"], PLAIN, 0, "-mpm_event.load"),
        (
            "a lost .load is no conflict",
            gone(),
            Enable,
            &["mpm_prefork"],
            PLAIN,
            0,
            "-mpm_event.load +mpm_prefork.conf +mpm_prefork.load +enabled_by_admin/mpm_prefork",
        ),
        (
            "cgi with threads",
            fresh(),
            Enable,
            &["cgi"],
            PLAIN,
            0,
            "+cgid.conf +cgid.load +enabled_by_admin/cgid",
        ),
        ("cgi with processes", prefork(), Enable, &["cgi"], PLAIN, 0, "+cgi.load +enabled_by_admin/cgi"),
        (
            "dependencies once each",
            fresh(),
            Enable,
            &["proxy_fcgi", "proxy_html"],
            PLAIN,
            0,
            "+proxy.conf +proxy.load +proxy_fcgi.load +proxy_html.conf +proxy_html.load +xml2enc.load \
             +enabled_by_admin/proxy +enabled_by_admin/proxy_fcgi +enabled_by_admin/proxy_html \
             +enabled_by_admin/xml2enc",
        ),
        ("three depend on it", proxies(), Disable, &["proxy"], PLAIN, 1, ""),
        ("three depend on it, forced", proxies(), Disable, &["proxy"], FORCE, 0, all_proxy_off),
        (
            "security2 needs unique_id",
            fresh(),
            Enable,
            &["security2"],
            PLAIN,
            0,
            "+security2.conf +security2.load +unique_id.load +enabled_by_admin/security2 +enabled_by_admin/unique_id",
        ),
        ("itk needs prefork", fresh(), Enable, &["mpm_itk"], PLAIN, 1, ""),
        (
            "itk on prefork",
            prefork(),
            Enable,
            &["mpm_itk"],
            PLAIN,
            0,
            "+mpm_itk.load +enabled_by_admin/mpm_itk",
        ),
        ("prefork under itk", linked(prefork(), "mpm_itk"), Disable, &["mpm_prefork"], PLAIN, 1, ""),
        (
            "purged",
            host(&["admin:headers"]),
            Disable,
            &["headers"],
            PURGE,
            0,
            "-headers.load -enabled_by_admin/headers",
        ),
        (
            "an essential one, nobody answers",
            host(&["maint:alias"]),
            Disable,
            &["alias", "headers"],
            PLAIN,
            1,
            "",
        ),
        (
            "an essential one, forced",
            host(&["maint:alias"]),
            Disable,
            &["alias"],
            FORCE,
            0,
            "-alias.conf -alias.load +disabled_by_admin/alias -enabled_by_maint/alias",
        ),
    ];
    for (what, tree, action, names, options, status, want) in cases {
        let mut draft = Draft::new(tree);
        let ran = farm().run_tool(&mut draft, *action, Kind::Module, names, *options);
        assert_eq!(said(&draft.changes().unwrap()), *want, "{what}: {:?}", ran.problems);
        assert_eq!(ran.status, *status, "{what}: {:?}", ran.problems);
        if *status != 0 && *what != "an essential one, nobody answers" {
            assert!(!ran.problems.is_empty(), "{what}: refused without a reason");
        }
    }
}

#[test]
fn a_snippet_of_configuration_is_linked_and_marked() {
    let tree = fresh().file("/etc/apache2/conf-available/zz-tune.conf", "");
    let mut draft = Draft::new(&tree);
    let steps = farm().enable(&mut draft, Kind::Conf, "zz-tune").unwrap();
    assert_eq!(steps, [Step { name: "zz-tune".into(), done: Done::Enabled }]);
    assert_eq!(said(&draft.changes().unwrap()), "+conf-enabled/zz-tune.conf +conf/enabled_by_admin/zz-tune");
    assert_eq!(farm().state(&draft, Kind::Conf, "zz-tune").unwrap(), State::Enabled);
    assert_eq!(farm().list_enabled(&draft, Kind::Conf, |_| true).unwrap(), ["zz-tune"]);

    farm().disable(&mut draft, Kind::Conf, "zz-tune", PURGE).unwrap();
    assert_eq!(said(&draft.changes().unwrap()), "");
}

#[test]
fn a_snippet_whose_module_is_off_is_refused() {
    let tree = fresh().file("/etc/apache2/conf-available/zz-tune.conf", "# Depends: headers\n");
    let mut draft = Draft::new(&tree);
    let problems = farm().enable(&mut draft, Kind::Conf, "zz-tune").unwrap_err();
    assert_eq!(problems, [Problem::NotEnabled { name: "zz-tune".into(), needs: "headers".into() }]);
    assert_eq!(said(&draft.changes().unwrap()), "");
}

#[test]
fn an_instance_has_links_of_its_own_and_shares_the_markers() {
    let tree = fresh()
        .file("/etc/apache2-foo/mods-available/headers.load", "")
        .file("/var/lib/apache2/module/disabled_by_maint/headers", "");
    let mut draft = Draft::new(&tree);
    Farm::new("/etc/apache2-foo").enable(&mut draft, Kind::Module, "headers").unwrap();
    assert_eq!(
        said(&draft.changes().unwrap()),
        "+/etc/apache2-foo/mods-enabled/headers.load -disabled_by_maint/headers +enabled_by_admin/headers"
    );
}

#[test]
fn a_head_is_read_as_the_script_reads_it() {
    let cases: &[(&[u8], &[&str], &[&str])] = &[
        (b"# Depends: a  b\t c\nLoadModule x y\n", &["a", "b", "c"], &[]),
        (b"# Conflicts: php5\n# Depends: mpm_prefork\n", &["mpm_prefork"], &["php5"]),
        (b"\n   \n  # words\n# Depends: a\n", &["a"], &[]),
        (b"#Depends: a\n # Depends: b\n# depends: c\n# Depends:d\n#  Depends: e\n", &[], &[]),
        (b"LoadModule x y\n# Depends: a\n", &[], &[]),
        (b"# Depends: a\n# Depends: b\n", &["a"], &[]),
        (b"# Depends: \n# Depends: b\n", &[], &[]),
        (b"# Depends:\n# Depends: b\n", &["b"], &[]),
        (b"# Depends: a, b\n", &["a,", "b"], &[]),
        (b"# Depends: a\r\n# Conflicts: b\r\n", &["a"], &["b"]),
        (b"# Depends: a\xa0b\n\x85\n# Conflicts: c", &["a", "b"], &["c"]),
        (b"", &[], &[]),
    ];
    for (content, depends, conflicts) in cases {
        let header = Header::parse(content);
        assert_eq!(header.depends, *depends, "{}", content.escape_ascii());
        assert_eq!(header.conflicts, *conflicts, "{}", content.escape_ascii());
    }
}

#[test]
fn an_mpm_is_swapped_in_one_go() {
    for from in Mpm::ALL {
        for to in Mpm::ALL {
            let before = host(&[&format!("maint:{}", from.debian())]);
            let mut draft = Draft::new(&before);
            farm().switch_mpm(&mut draft, to).unwrap();
            assert_eq!(farm().enabled_mpms(&draft).unwrap(), [to], "{from} to {to}");
            let changes = draft.changes().unwrap();
            assert_eq!(changes.is_empty(), from == to, "{from} to {to}");

            // What the script leaves after both of its calls, the old one off first.
            let mut after_tool = Draft::new(&before);
            if from != to {
                farm().run_tool(&mut after_tool, Action::Disable, Kind::Module, &[from.debian()], PLAIN);
            }
            farm().run_tool(&mut after_tool, Action::Enable, Kind::Module, &[to.debian()], PLAIN);
            assert_eq!(changes, after_tool.changes().unwrap(), "{from} to {to}");
        }
    }
}

#[test]
fn a_swap_repairs_no_mpm_two_mpms_and_left_over_links() {
    let two = host(&["maint:mpm_event", "maint:mpm_prefork"]);
    let stale = without(
        host(&["maint:mpm_event", "admin:mpm_worker"]),
        &["/etc/apache2/mods-enabled/mpm_worker.load"],
    );
    let lost = without(host(&["maint:mpm_prefork"]), &["/etc/apache2/mods-available/mpm_prefork.load"]);
    let bare = without(fresh(), &["/etc/apache2/mods-enabled/mpm_event.conf"]);
    let odd = without(fresh(), &["/etc/apache2/mods-available/mpm_worker.conf"])
        .link("/etc/apache2/mods-enabled/mpm_worker.conf", "../mods-available/mpm_worker.conf");
    for (what, tree) in [
        ("no MPM", host(&[])),
        ("two", two),
        ("stale .conf", stale),
        ("lost .load", lost),
        ("no .conf", bare),
        ("dangling .conf", odd),
    ] {
        let mut draft = Draft::new(&tree);
        farm().switch_mpm(&mut draft, Mpm::Event).unwrap();
        assert_eq!(farm().state(&draft, Kind::Module, "mpm_event").unwrap(), State::Enabled, "{what}");
        let left: Vec<_> = draft.list(Path::new("/etc/apache2/mods-enabled")).unwrap();
        assert_eq!(left, ["mpm_event.conf", "mpm_event.load"], "{what}");
        let mut again = Draft::new(&draft);
        assert_eq!(farm().switch_mpm(&mut again, Mpm::Event).unwrap(), [], "{what}");
        assert_eq!(again.changes().unwrap(), [], "{what}");
    }
}

#[test]
fn modules_that_need_the_old_mpm_are_named_and_nothing_changes() {
    for tree in [linked(php(), "mpm_itk"), linked(linked(fresh(), "php8.2"), "mpm_itk")] {
        let mut draft = Draft::new(&tree);
        let problems = farm().switch_mpm(&mut draft, Mpm::Event).unwrap_err();
        let by = vec!["mpm_itk".to_owned(), "php8.2".to_owned()];
        assert_eq!(problems, [Problem::NeededBy { name: "mpm_prefork".into(), by }]);
        assert_eq!(draft.changes().unwrap(), []);
        assert_eq!(
            problems[0].to_string(),
            "module `mpm_prefork` cannot be disabled while others need it: disable `mpm_itk`, `php8.2` first"
        );
    }
}

#[test]
fn files_and_foreign_links_in_the_way_are_reported_and_left_alone() {
    let link = |file: &str| format!("/etc/apache2/mods-enabled/{file}");
    let file = |name: &str| fresh().file(link(name), "").file("/root/my", "");
    let foreign = |name: &str| fresh().file("/root/my", "").link(link(name), "/root/my");
    for name in ["mpm_event.load", "mpm_event.conf", "mpm_prefork.load", "mpm_prefork.conf"] {
        for (tree, is_file) in [(file(name), true), (foreign(name), false)] {
            let mut draft = Draft::new(&tree);
            let problems = farm().switch_mpm(&mut draft, Mpm::Prefork).unwrap_err();
            let path = PathBuf::from(link(name));
            let available = PathBuf::from(format!("/etc/apache2/mods-available/{name}"));
            let want = if is_file {
                Problem::RealFile { path, available }
            } else {
                Problem::ForeignLink { link: path, target: PathBuf::from("/root/my"), available }
            };
            assert_eq!(problems, [want], "{name}");
            assert_eq!(draft.changes().unwrap(), [], "{name}");
        }
    }
}

#[test]
fn a_conflict_is_seen_behind_a_file_and_behind_a_foreign_link() {
    let file = fresh().file("/etc/apache2/mods-enabled/mpm_event.load", "");
    let foreign = fresh().file("/root/my", "").link("/etc/apache2/mods-enabled/mpm_event.load", "/root/my");
    for tree in [file, foreign] {
        let mut draft = Draft::new(&tree);
        assert_eq!(farm().enable(&mut draft, Kind::Module, "mpm_prefork").unwrap_err().len(), 1);
        assert_eq!(draft.changes().unwrap(), []);
    }
}

#[test]
fn a_refusal_leaves_no_dependency_half_enabled() {
    let tree = fresh().file("/etc/apache2/mods-available/late.load", "# Depends: headers nosuch\n");
    let mut draft = Draft::new(&tree);
    let problems = farm().enable(&mut draft, Kind::Module, "late").unwrap_err();
    assert_eq!(draft.changes().unwrap(), []);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "module `nosuch` does not exist: there is no /etc/apache2/mods-available/nosuch.load; install the \
             package that brings it",
            "module `late` cannot be enabled because `nosuch` cannot be",
        ]
    );

    // The script enables the first dependency and keeps it.
    farm().run_tool(&mut draft, Action::Enable, Kind::Module, &["late"], PLAIN);
    assert_eq!(said(&draft.changes().unwrap()), "+headers.load +enabled_by_admin/headers");
}

#[test]
fn an_essential_module_is_refused_with_words_instead_of_a_question() {
    let tree = host(&["maint:alias"]);
    let mut draft = Draft::new(&tree);
    let problems = farm().disable(&mut draft, Kind::Module, "alias", PLAIN).unwrap_err();
    assert_eq!(problems, [Problem::Essential { name: "alias".into() }]);
    assert_eq!(draft.changes().unwrap(), []);
    farm().disable(&mut draft, Kind::Module, "alias", FORCE).unwrap();
    assert_eq!(farm().state(&draft, Kind::Module, "alias").unwrap(), State::Disabled);
}

#[test]
fn a_circle_of_dependencies_is_refused() {
    let tree = Memory::new()
        .file("/etc/apache2/mods-available/a.load", "# Depends: b\n")
        .file("/etc/apache2/mods-available/b.load", "# Depends: c\n")
        .file("/etc/apache2/mods-available/c.load", "# Depends: b\n");
    let mut draft = Draft::new(&tree);
    let problems = farm().enable(&mut draft, Kind::Module, "a").unwrap_err();
    assert_eq!(problems[0], Problem::Circle { names: vec!["b".into(), "c".into(), "b".into()] });
    assert_eq!(draft.changes().unwrap(), []);
}

#[test]
fn what_is_no_name_is_refused() {
    let tree = fresh();
    for name in ["", "*", "mpm_*", "../x", "a/b", "a b", "-f", ".x", "a\n", "$(x)", "\"", "[a]", "~"] {
        let mut draft = Draft::new(&tree);
        let problems = farm().enable(&mut draft, Kind::Module, name).unwrap_err();
        assert!(matches!(problems[..], [Problem::Missing { .. }]), "{name:?}: {problems:?}");
    }
}

#[test]
fn every_marker_of_the_name_goes_and_its_neighbours_stay() {
    let tree = host(&["maint:headers", "admin:headers", "admin:rewrite"])
        .file("/var/lib/apache2/module/disabled_by_maint/headers", "words")
        .file("/var/lib/apache2/module/kept/deep/headers", "")
        .file("/var/lib/apache2/conf/enabled_by_admin/headers", "")
        .file("/root/headers", "")
        .link("/var/lib/apache2/module/linked/headers", "/root/headers");
    let mut draft = Draft::new(&tree);
    farm().disable(&mut draft, Kind::Module, "headers", PLAIN).unwrap();
    assert_eq!(
        said(&draft.changes().unwrap()),
        "-headers.load +disabled_by_admin/headers -disabled_by_maint/headers -enabled_by_admin/headers \
         -enabled_by_maint/headers -kept/deep/headers"
    );
}

#[test]
fn a_link_is_judged_by_where_it_ends_when_its_directory_is_a_link() {
    let tree = host(&[])
        .link("/etc/apache2/mods-enabled", "/srv/enabled")
        .link("/srv/enabled/headers.load", "../mods-available/headers.load")
        .file("/srv/mods-available/headers.load", "");
    let state = farm().state(&tree, Kind::Module, "headers").unwrap();
    assert!(matches!(state, State::ForeignLink { .. }), "{state:?}");
}

#[test]
fn each_state_has_its_name() {
    let path = |file: &str| PathBuf::from(format!("/etc/apache2/mods-enabled/{file}"));
    let tree = host(&["maint:mpm_event", "maint:headers"])
        .link(path("proxy.load"), "../mods-available/proxy.load")
        .link(path("cgid.conf"), "../mods-available/cgid.conf")
        .link(path("lost.load"), "../mods-available/lost.load")
        .link(path("round.load"), "round.load")
        .file(path("rewrite.load"), "")
        .link(path("unique_id.load"), "../mods-available/rewrite.load");
    for (name, want, loaded) in [
        ("mpm_event", State::Enabled, true),
        ("headers", State::Enabled, true),
        ("mpm_worker", State::Disabled, false),
        ("nosuch", State::Missing, false),
        ("proxy", State::WithoutConf, true),
        ("cgid", State::StaleConf, false),
        ("lost", State::Dangling { link: path("lost.load") }, false),
        ("round", State::Dangling { link: path("round.load") }, false),
        ("rewrite", State::RealFile { path: path("rewrite.load") }, true),
        (
            "unique_id",
            State::ForeignLink {
                link: path("unique_id.load"),
                target: "../mods-available/rewrite.load".into(),
            },
            true,
        ),
    ] {
        assert_eq!(farm().state(&tree, Kind::Module, name).unwrap(), want, "{name}");
        assert_eq!(farm().is_loaded(&tree, Kind::Module, name).unwrap(), loaded, "{name}");
    }
    assert_eq!(
        farm().list_enabled(&tree, Kind::Module, |_| true).unwrap(),
        ["headers", "mpm_event", "proxy", "rewrite", "unique_id"]
    );
}

/// Moves a directory of the tree and leaves a link to it.
fn moved(tree: &Memory, dir: &str, to: &str, link: &str) -> Memory {
    let mut out = Memory::new();
    let mut dirs = vec![PathBuf::from("/")];
    while let Some(at) = dirs.pop() {
        for name in tree.list(&at).unwrap() {
            let path = at.join(name);
            let new = path.strip_prefix(dir).map_or_else(|_| path.clone(), |rest| Path::new(to).join(rest));
            match tree.link_kind(&path).unwrap() {
                crate::tree::Kind::Dir => dirs.push(path),
                crate::tree::Kind::Link => out = out.link(new, tree.read_link(&path).unwrap()),
                _ => out = out.file(new, tree.read(&path).unwrap()),
            }
        }
    }
    out.link(dir, link)
}

#[test]
fn a_change_knows_its_role_whatever_its_directory_is_really_called() {
    for (dir, to, link, text) in [
        ("/etc/apache2/mods-enabled", "/etc/apache2/modules.site", "modules.site", "../mods-available"),
        // The script's text would lead to a place that is not there.
        ("/etc/apache2/mods-enabled", "/srv/web/enabled", "/srv/web/enabled", "/etc/apache2/mods-available"),
        ("/etc/apache2", "/var/lib/web", "/var/lib/web", "../mods-available"),
    ] {
        let mut tree = host(&[]);
        for file in ["mpm_prefork.load", "mpm_prefork.conf", "php8.2.load", "php8.2.conf"] {
            let target = format!("/etc/apache2/mods-available/{file}");
            tree = tree.link(format!("/etc/apache2/mods-enabled/{file}"), target);
        }
        let tree = moved(&tree, dir, to, link);
        let mut draft = Draft::new(&tree);
        farm().disable(&mut draft, Kind::Module, "php8.2", Options::default()).unwrap();
        farm().switch_mpm(&mut draft, Mpm::Event).unwrap();
        let changes = draft.changes().unwrap();
        let of = |name: &str| {
            changes
                .iter()
                .find(|change| change.path.ends_with(name))
                .unwrap_or_else(|| panic!("{dir}: {name}"))
        };
        let load = |module: &str, needs: &[&str]| Role::Load {
            module: module.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        };
        assert_eq!(of("php8.2.load").role, load("php8.2", &["mpm_prefork"]), "{dir}");
        assert_eq!(of("mpm_event.load").role, load("mpm_event", &[]), "{dir}");
        assert_eq!(of("mpm_event.conf").role, Role::ModuleConf { module: "mpm_event".to_owned() }, "{dir}");
        assert_eq!(of("enabled_by_admin/mpm_event").role, Role::Marker, "{dir}");
        assert_eq!(of("mpm_event.load").after, Node::Link(Path::new(text).join("mpm_event.load")), "{dir}");
        for change in &changes {
            let role = farm().role(&tree, &change.path);
            assert_eq!(role, change.role, "{}", change.path.display());
            let leads = draft.kind(&change.path).unwrap() != crate::tree::Kind::Absent;
            assert_eq!(leads, change.after != Node::Absent, "{}", change.path.display());
        }
    }
}
