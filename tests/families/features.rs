//! Features that need nothing but their own file and their row: each on a tree of every family, and gone again.

use std::path::{Path, PathBuf};

use apache_tuning::distro::{ModuleSwitch, Site};
use apache_tuning::feature::Feature;
use apache_tuning::registry::FEATURES;
use apache_tuning::tree::{self, Files as _, Memory};
use serde_json::{Value, json};

use super::hosts;
use super::tried::{Host, Tried};

/// Returns a host whose module of this name is there and not loaded.
fn with_module(host: Host, name: &str, conf: &str) -> Host {
    let site = Tried::new(&host).asks(&json!({})).host.site;
    let Host { mut files, .. } = host;
    let line = |program: &str| format!("LoadModule {name}_module {program}\n");
    files = match site.layout.modules {
        ModuleSwitch::LinkFarm => {
            let program = format!("/usr/lib/apache2/modules/mod_{name}.so");
            files
                .file(format!("/etc/apache2/mods-available/{name}.load"), line(&program))
                .file(format!("/etc/apache2/mods-available/{name}.conf"), conf)
                .file(program, "")
        }
        ModuleSwitch::Lines { .. } => {
            let file = load_file(&site, &files);
            let program = site.layout.mpm_program.replace("mpm_{mpm}", name);
            let text = String::from_utf8(files.read(&file).unwrap().to_vec()).unwrap();
            // Where each family's own file has it: among the other modules, before anything is guarded by them.
            let text = format!("#{}{text}", line(&program));
            let program = site.server_root.join(&program);
            let dir = tree::resolve(&files, program.parent().unwrap()).unwrap();
            files.file(file, text).file(dir.join(program.file_name().unwrap()), "")
        }
        ModuleSwitch::Sysconfig { .. } => files.file(format!("/usr/lib64/apache2/mod_{name}.so"), ""),
        ModuleSwitch::BuiltIn => files,
    };
    Host { files, ..host }
}

/// Returns a file of the tree that loads modules.
fn load_file(site: &Site, files: &Memory) -> PathBuf {
    let mut found = Vec::new();
    for pattern in site.layout.module_load {
        if let Some((dir, _)) = pattern.split_once("/*") {
            let dir = site.path(dir);
            found.extend(files.list(&dir).unwrap_or_default().iter().map(|name| dir.join(name)));
        } else {
            found.push(site.path(&pattern.replace("{module}", "none")));
        }
    }
    found.into_iter().find(|file| files.is_file(file)).unwrap()
}

fn loads(tried: &Tried, identifier: &str) -> bool {
    tried.configuration().has_module(identifier)
}

#[test]
fn slow_clients_are_cut_off_and_let_be_again() {
    let conf = "<IfModule reqtimeout_module>\nRequestReadTimeout header=20-40,minrate=500\n</IfModule>\n";
    for host in hosts() {
        let host = with_module(host, "reqtimeout", conf);
        let mut tried = Tried::new(&host);
        if matches!(tried.asks(&json!({})).host.site.layout.modules, ModuleSwitch::BuiltIn) {
            let (rule, _) = tried.refuses(&json!({"slow_clients": {"enabled": true}}));
            assert_eq!(rule, "MOD-010", "{}", host.name);
            continue;
        }
        // SUSE loads it as shipped.
        let shipped = loads(&tried, "reqtimeout_module");
        let idle = tried.asks(&json!({"slow_clients": {"timeout": 60}})).report;
        assert_eq!(idle.findings.iter().any(|finding| finding.rule == "RRT-007"), !shipped, "{}", host.name);

        let asked = json!({"slow_clients": {
            "enabled": true, "handshake": 5, "header": {"initial": 5, "max": 15}, "body": {"min_rate": 300},
            "timeout": 61,
        }});
        let report = tried.does(&asked);
        assert!(loads(&tried, "reqtimeout_module"), "{}", host.name);
        let read = &report.effective["RequestReadTimeout"];
        assert_eq!(read.used, "handshake=5 header=5-15,MinRate=500 body=20,MinRate=300", "{}", host.name);
        assert_eq!(report.effective["Timeout"].used, "61", "{}", host.name);
        tried.does_nothing(&asked);

        // One key less, the rest as it was; the module stays.
        let fewer = json!({"slow_clients": {"header": {"initial": 10}}});
        let report = tried.does(&fewer);
        assert_eq!(report.effective["RequestReadTimeout"].used, "header=10-40,MinRate=500", "{}", host.name);
        assert!(loads(&tried, "reqtimeout_module"), "{}", host.name);
        tried.does_nothing(&fewer);

        let mut off = tried.clone();
        off.does(&json!({"slow_clients": {"enabled": false}}));
        off.does_nothing(&json!({"slow_clients": {"enabled": false}}));
        off.is_as_at_first();
        tried.does(&json!({"state": "absent"}));
        tried.is_as_at_first();
    }
}

/// Returns parameters that make a feature do something, and the modules that it needs.
fn sample(feature: &str) -> (Value, &'static [&'static str]) {
    match feature {
        "keepalive" => (json!({"timeout": "7s"}), &[]),
        "evasive" => (json!({"enabled": true, "page_count": 9}), &[]),
        "slow_clients" => {
            (json!({"enabled": true, "header": {"initial": 9}, "timeout": 61}), &["reqtimeout"])
        }
        "status" => (json!({"enabled": true, "listen": "127.0.0.1:8081", "extended": false}), &["status"]),
        "http2" => (json!({"enabled": true, "max_streams": 50, "push": false}), &["http2"]),
        "compression" => {
            (json!({"enabled": true, "br_quality": 4, "gzip_level": 5}), &["filter", "deflate", "brotli"])
        }
        "cache_disk" => (
            json!({"enabled": true, "root": "/srv/cache", "paths": ["/app"], "except": ["/app/me"], "header": true}),
            &["cache", "cache_disk"],
        ),
        "balancers" => (
            json!([{
                "name": "app", "members": [{"url": "http://10.0.0.11:8080"}, {"url": "http://[fd00::1]", "weight": 3}],
                "sticky": {"cookie": "ROUTE"}, "health": {"uri": "/up"}, "map": [{"path": "/app"}],
                "pool": {"max": 4},
            }]),
            &[
                "proxy",
                "proxy_http",
                "slotmem_shm",
                "proxy_balancer",
                "lbmethod_byrequests",
                "proxy_hcheck",
                "headers",
            ],
        ),
        // Where each family has the rules is another test's.
        "modsecurity" => (
            json!({"enabled": true, "engine": "on", "rules": "none", "exclude": ["942100", "943000-943999"]}),
            &["unique_id", "security2"],
        ),
        // Whatever is loaded and used there; that it is used is another test's.
        "modules" => (json!({"remove": ["data", "dumpio", "userdir"]}), &[]),
        "logs" => (json!({"directory": "/srv/log", "access": "CLF", "buffered": true}), &[]),
        "tls" => (json!({"session_cache": "2M", "tickets": false, "protocols": "1.2"}), &[]),
        other => panic!("no sample for {other}"),
    }
}

/// Returns the parameters that take out what a feature put in.
fn off(feature: &Feature) -> Value {
    if feature.list { json!([]) } else { json!({"enabled": false}) }
}

/// Returns every host with the modules of a feature, and what each is asked for first: an MPM that all features go with.
fn hosts_with(modules: &[&str]) -> impl Iterator<Item = (Host, Value)> {
    hosts().into_iter().filter_map(move |host| {
        let mut host = modules.iter().fold(host, |host, name| with_module(host, name, ""));
        host.files = host.files.file("/srv/cache/.keep", "").file("/srv/log/.keep", "");
        let tried = Tried::new(&host);
        let built_in = matches!(tried.asks(&json!({})).host.site.layout.modules, ModuleSwitch::BuiltIn);
        let mpm = host.mpms.iter().copied().find(|mpm| mpm.threaded())?;
        let first = json!({"mpm": mpm.name(), "waive": ["PHP-004", "PHP-005", "MOD-103"]});
        (!built_in).then_some((host, first))
    })
}

#[test]
fn each_feature_comes_about_once_and_goes_to_the_byte() {
    for feature in FEATURES.iter().filter(|feature| feature.name != "evasive") {
        let (asked, modules) = sample(feature.name);
        for (host, first) in hosts_with(modules) {
            let mut tried = Tried::new(&host);
            tried.does(&first);
            let before = super::tried::everything(&tried.files);
            let task = |group: &Value| {
                let mut task = first.clone();
                task[feature.name] = group.clone();
                task
            };
            tried.does(&task(&asked));
            tried.does_nothing(&task(&asked));
            let errors = tried.configuration().errors;
            assert!(errors.is_empty(), "{} {}: {errors:?}", host.name, feature.name);
            for name in modules {
                assert!(loads(&tried, &format!("{name}_module")), "{} {name}", host.name);
            }
            let switched = feature.list || feature.fields.iter().any(|field| field.key == "enabled");
            if switched && feature.name != "keepalive" {
                let mut without = tried.clone();
                without.does(&task(&off(feature)));
                without.does_nothing(&task(&off(feature)));
                for (path, node) in super::tried::everything(&without.files) {
                    let own = path.starts_with("/var/lib/apache-tuning");
                    assert!(
                        own || before.get(&path) == Some(&node),
                        "{} {}: {}",
                        host.name,
                        feature.name,
                        path.display()
                    );
                }
            }
            tried.does(&json!({"state": "absent"}));
            tried.is_as_at_first();
        }
    }
}

#[test]
fn all_features_together_come_about_and_go_one_by_one() {
    let modules: Vec<&str> = FEATURES.iter().flat_map(|feature| sample(feature.name).1).copied().collect();
    for (host, first) in hosts_with(&modules) {
        let mut tried = Tried::new(&host);
        let mut all = first.clone();
        for feature in FEATURES.iter().filter(|feature| feature.name != "evasive" || host.evasive.is_some()) {
            all[feature.name] = sample(feature.name).0;
        }
        tried.does(&all);
        tried.does_nothing(&all);
        let mut rest = all.clone();
        for feature in FEATURES.iter().filter(|feature| !["evasive", "keepalive"].contains(&feature.name)) {
            rest[feature.name] = off(feature);
            tried.does(&rest);
            tried.does_nothing(&rest);
        }
        tried.does(&json!({"state": "absent"}));
        tried.is_as_at_first();
    }
}

/// Where the rules are is known for two families: there the level is written before them, by a file of its own.
#[test]
fn the_level_of_the_rules_is_written_before_them_where_their_place_is_known() {
    for (family, rules, before) in [
        ("debian", "/usr/share/modsecurity-crs/owasp-crs.load", "/etc/modsecurity"),
        (
            "redhat",
            "/etc/httpd/modsecurity.d/activated_rules/REQUEST-901-INITIALIZATION.conf",
            "/etc/httpd/modsecurity.d",
        ),
    ] {
        let rule = "SecRule &TX:paranoia_level \"@eq 0\" \"id:901120,phase:1,pass,nolog\"\n";
        for host in hosts() {
            let layout = Tried::new(&host).asks(&json!({})).host.site.layout.name;
            if layout != family || host.mpms.iter().all(|mpm| !mpm.threaded()) {
                continue;
            }
            let conf = format!(
                "<IfModule security2_module>\nIncludeOptional {before}/*.conf\nIncludeOptional {rules}\n</IfModule>\n"
            );
            let host = with_module(with_module(host, "unique_id", ""), "security2", &conf);
            let files = host.files.clone().file(rules, rule).file(format!("{before}/own.conf"), "");
            // Red Hat's own file for it stands beside the LoadModule lines.
            let files = match family {
                "redhat" => files.file("/etc/httpd/conf.d/mod_security.conf", &conf),
                _ => files,
            };
            let mut tried = Tried::new(&Host { files, ..host });
            let asked = json!({"modsecurity": {"enabled": true, "paranoia": 2, "exclude": ["901120"]}, "waive": ["SEC-008"]});
            tried.does(&asked);
            tried.does_nothing(&asked);
            let own = tried.files.read(Path::new(&format!("{before}/zz-apache-tuning.conf"))).unwrap();
            assert!(String::from_utf8_lossy(&own).contains("setvar:tx.paranoia_level=2"), "{own:?}");
            tried.does(&json!({"modsecurity": {"enabled": false}}));
            tried.is_as_at_first();
        }
    }
}

#[test]
fn a_module_that_no_file_loads_is_refused_with_its_package() {
    for host in hosts() {
        let tried = Tried::new(&host);
        if loads(&tried, "reqtimeout_module") {
            continue;
        }
        let (rule, message) = tried.refuses(&json!({"slow_clients": {"enabled": true}}));
        let wanted = match tried.asks(&json!({})).host.site.layout.modules {
            ModuleSwitch::LinkFarm => "MOD-001",
            ModuleSwitch::BuiltIn => "MOD-010",
            _ => "PKG-001",
        };
        assert_eq!(rule, wanted, "{}: {message}", host.name);
    }
}

#[test]
fn limits_that_httpd_refuses_are_refused() {
    let host = with_module(hosts().remove(hosts().len() - 1), "reqtimeout", "");
    let tried = Tried::new(&host);
    let limits = |limits: Value| json!({"slow_clients": {"enabled": true, "header": limits}});
    for (asked, rule) in [
        (limits(json!({"initial": 40})), "RRT-001"),
        (limits(json!({"initial": 20, "max": 20})), "RRT-001"),
        (
            json!({"slow_clients": {"enabled": true, "handshake": 5}, "facts": {"httpd_version": "2.4.38"}}),
            "RRT-006",
        ),
    ] {
        let report = tried.asks(&asked).report;
        let told: Vec<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert!(told.contains(&rule), "{asked}: {told:?}");
    }
}

/// A feature is its own file and its row: nothing else names it.
#[test]
fn no_feature_is_named_outside_its_file_and_the_registry() {
    // Their rules stand in `src/rules` still.
    let older = ["keepalive", "evasive"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for feature in FEATURES.iter().filter(|feature| !older.contains(&feature.name)) {
        let keys = feature.fields.iter().map(|field| format!("\"{}.{}", feature.name, field.key));
        let names: Vec<String> = keys.chain([format!("features::{}", feature.name)]).collect();
        let mut folders = vec![source.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let own = path.strip_prefix(source.join("features")).is_ok_and(|path| {
                    path.starts_with(feature.name)
                        || path.file_stem().is_some_and(|stem| stem == feature.name)
                });
                let listed = ["registry.rs", "features/mod.rs"];
                if path.is_dir() {
                    folders.push(path);
                } else if !own && !listed.iter().any(|file| path == source.join(file)) {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let found = names.iter().find(|name| text.contains(*name));
                    assert!(found.is_none(), "{found:?} in {}", path.display());
                }
            }
        }
    }
}
