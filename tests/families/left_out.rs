//! What a key that is left out means, on every family and in both places: the sizes of an MPM are one set; any other
//! key is for itself, is not changed, and restores the earlier value once it is taken out of the task again.

use serde_json::{Value, json};

use crate::hosts;
use crate::tried::{Host, Tried};

/// Directives that an administrator set in the distribution's own file, with the key and the value of a task.
const OWN: [(&str, &str, &str, i64); 4] = [
    ("MaxConnectionsPerChild", "1234", "max_connections_per_child", 5000),
    ("MaxMemFree", "512", "max_mem_free", 1024),
    ("ListenBacklog", "300", "listen_backlog", 600),
    ("GracefulShutdownTimeout", "7", "graceful_shutdown_timeout", 9),
];

/// Returns the host after an administrator wrote these lines behind all others of the file with the MPM's numbers.
fn with_own_lines(host: &Host) -> Option<Tried> {
    let mut tried = Tried::new(host);
    let evaluation = tried.asks(&json!({}));
    let mpm = evaluation.host.mpm()?;
    let file = evaluation.host.site.mpm_file(mpm);
    let path = file.to_str()?;
    if !tried.is_a_file(path) {
        return None;
    }
    let lines: String = OWN.iter().map(|(directive, own, ..)| format!("{directive} {own}\n")).collect();
    let text = format!("{}{lines}", tried.text(path));
    tried.files = tried.files.clone().file(path, text);
    Some(tried)
}

fn value(report: &apache_tuning::report::Report, directive: &str) -> String {
    report.effective[directive].value.clone()
}

#[test]
fn a_setting_that_is_no_size_stays_as_it_stands_and_comes_back() {
    let mut tried_hosts = 0;
    for host in hosts() {
        for placement in ["distribution", "drop_in"] {
            let Some(mut tried) = with_own_lines(&host) else { continue };
            tried_hosts += 1;
            let task =
                |settings: Value| json!({"settings": settings, "placement": placement, "waive": ["OVR-003"]});
            let sizes = json!({"max_request_workers": 100});
            let report = tried.does(&task(sizes.clone()));
            for (directive, own, ..) in OWN {
                assert_eq!(value(&report, directive), own, "{} {placement} {directive}", host.name);
            }
            tried.does_nothing(&task(sizes.clone()));
            for (directive, own, key, asked) in OWN {
                let mut more = sizes.clone();
                more[key] = json!(asked);
                let report = tried.does(&task(more.clone()));
                assert_eq!(value(&report, directive), asked.to_string(), "{} {placement}", host.name);
                for (other, own, ..) in OWN.iter().filter(|row| row.0 != directive) {
                    assert_eq!(value(&report, other), *own, "{} {placement} {other}", host.name);
                }
                tried.does_nothing(&task(more));
                let report = tried.does(&task(sizes.clone()));
                assert_eq!(value(&report, directive), own, "{} {placement} {directive}", host.name);
                assert_eq!(value(&report, "MaxRequestWorkers"), "100", "{} {placement}", host.name);
                tried.does_nothing(&task(sizes.clone()));
            }
        }
    }
    assert!(tried_hosts > 20, "{tried_hosts}");
}

#[test]
fn a_line_that_somebody_changed_meanwhile_is_theirs_when_the_key_goes() {
    for host in hosts() {
        let Some(mut tried) = with_own_lines(&host) else { continue };
        let file = tried.asks(&json!({})).host;
        let file = file.site.mpm_file(file.mpm().unwrap());
        let path = file.to_str().unwrap();
        let task = |settings: Value| json!({"settings": settings, "waive": ["OVR-001", "OVR-003"]});
        tried.does(&task(json!({"max_request_workers": 100, "listen_backlog": 600})));
        let text = tried.text(path);
        tried.files = tried.files.clone().file(path, format!("{text}ListenBacklog 333\n"));
        let report = tried.does(&task(json!({"max_request_workers": 100})));
        assert_eq!(value(&report, "ListenBacklog"), "333", "{}", host.name);
        assert!(!tried.text(path).contains("ListenBacklog 300"), "{}: {}", host.name, tried.text(path));
    }
}

#[test]
fn sizes_are_one_set_in_both_places() {
    for host in hosts() {
        for placement in ["distribution", "drop_in"] {
            let mut tried = Tried::new(&host);
            if tried.mpm().is_none() {
                continue;
            }
            let report = tried.does(&json!({"settings": {}, "placement": placement}));
            let start = value(&report, "StartServers");
            assert!(["3", "5"].contains(&start.as_str()), "{} {placement}: {start}", host.name);
        }
    }
}

#[test]
fn keys_of_keepalive_are_each_for_themselves() {
    for host in hosts() {
        let mut tried = Tried::new(&host);
        let first = tried.asks(&json!({})).report;
        let was = |directive: &str| value(&first, directive);
        let report = tried.does(&json!({"keepalive": {"timeout": "9s", "max_requests": 33}}));
        assert_eq!(value(&report, "KeepAlive"), was("KeepAlive"), "{}", host.name);
        assert_eq!(value(&report, "KeepAliveTimeout"), "9s", "{}", host.name);
        let report = tried.does(&json!({"keepalive": {"max_requests": 33}}));
        assert_eq!(value(&report, "KeepAliveTimeout"), was("KeepAliveTimeout"), "{}", host.name);
        assert_eq!(value(&report, "MaxKeepAliveRequests"), "33", "{}", host.name);
        // Another group leaves it alone, and the group without any key lets the last one go.
        let report = tried.asks(&json!({})).report;
        assert_eq!(value(&report, "MaxKeepAliveRequests"), "33", "{}", host.name);
        let report = tried.does(&json!({"keepalive": {}}));
        assert_eq!(value(&report, "MaxKeepAliveRequests"), was("MaxKeepAliveRequests"), "{}", host.name);
        tried.does_nothing(&json!({"keepalive": {}}));
        tried.is_as_at_first();
    }
}

#[test]
fn keys_of_evasive_are_each_for_themselves() {
    for host in hosts().into_iter().filter(|host| host.evasive.is_some()) {
        let mut tried = Tried::new(&host);
        let task = |keys: Value| {
            let mut evasive = json!({"enabled": true});
            evasive.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            json!({"evasive": evasive, "waive": ["PHP-004", "PHP-005"]})
        };
        let file = tried.asks(&json!({})).host.site;
        let file = file.module_conf("evasive");
        let path = file.to_str().unwrap();
        // An administrator's own values, under the guard that counts on this host.
        let mut enabled = tried.clone();
        enabled.does(&task(json!({})));
        let symbol = enabled.configuration().evasive().unwrap().to_owned();
        let own = format!(
            "<IfModule {symbol}>\n    DOSPageCount 11\n    DOSSiteCount 111\n    DOSWhitelist 192.0.2.1\n</IfModule>\n"
        );
        let text = if tried.is_a_file(path) { tried.text(path) } else { String::new() };
        tried.files = tried.files.clone().file(path, format!("{text}{own}"));
        let report = tried.does(&task(json!({"page_count": 22})));
        assert_eq!(value(&report, "DOSPageCount"), "22", "{}", host.name);
        assert_eq!(value(&report, "DOSSiteCount"), "111", "{}", host.name);
        let report = tried.does(&task(json!({"site_count": 222, "whitelist": ["198.51.100.7"]})));
        assert_eq!(value(&report, "DOSPageCount"), "11", "{}", host.name);
        assert_eq!(value(&report, "DOSSiteCount"), "222", "{}", host.name);
        // Where IPv4 clients come through a socket of both families, its other form is there too.
        let list = value(&report, "DOSWhitelist");
        assert!(list.split(' ').all(|entry| entry.trim_start_matches("::ffff:") == "198.51.100.7"), "{list}");
        let report = tried.does(&task(json!({})));
        assert_eq!(value(&report, "DOSSiteCount"), "111", "{}", host.name);
        assert_eq!(value(&report, "DOSWhitelist"), "192.0.2.1", "{}", host.name);
        tried.does_nothing(&task(json!({})));
    }
}
