//! Facts as Ansible's caches keep them, made for the tests.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What the program printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `apache-tuning fleet`.
pub(crate) fn fleet(dir: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_apache-tuning"))
        .arg("fleet")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The facts that `tuning_info` leaves of a stock Debian 12 host with the event MPM.
pub(crate) fn tuning_facts() -> Value {
    let line = |value: &str, file: &str, line: u32| json!({"value": value, "used": value, "file": file, "line": line});
    let conf = "/etc/apache2/mods-enabled/mpm_event.conf";
    json!({
        "version": "1.0",
        "collected": 1_790_000_000_u64,
        "distribution": "debian",
        "distribution_version": "12",
        "httpd_version": "2.4.62",
        "mpm": {"configured": "event", "running": "event"},
        "modules": ["authz_core_module", "dir_module", "mime_module", "mpm_event_module"],
        "effective": {
            "KeepAlive": line("On", "/etc/apache2/apache2.conf", 98),
            "KeepAliveTimeout": line("5", "/etc/apache2/apache2.conf", 111),
            "MaxKeepAliveRequests": line("100", "/etc/apache2/apache2.conf", 105),
            "StartServers": line("2", conf, 8),
            "MinSpareThreads": line("25", conf, 9),
            "MaxSpareThreads": line("75", conf, 10),
            "ThreadLimit": line("64", conf, 11),
            "ThreadsPerChild": line("25", conf, 12),
            "MaxRequestWorkers": line("150", conf, 13),
            "MaxConnectionsPerChild": line("0", conf, 14),
            "ServerLimit": {"value": "16", "used": "16", "file": null, "line": null}
        },
        "limits": {
            "memory_mb": {"value": 4096, "source": "/proc/meminfo: MemTotal"},
            "cpus": {"value": 4, "source": "/sys/devices/system/cpu/online"},
            "open_files": {"value": 8192, "source": "apache2ctl"},
            "threads_max": {"value": 32000, "source": "/proc/sys/kernel/threads-max"},
            "pid_max": {"value": 32768, "source": "/proc/sys/kernel/pid_max"},
            "somaxconn": {"value": 4096, "source": "/proc/sys/net/core/somaxconn"}
        },
        "php": "none",
        "overridden": [],
        "managed": []
    })
}

/// Ansible's own facts with those of the collection beside them.
pub(crate) fn facts(tuning: Value) -> Value {
    json!({
        "ansible_distribution": "Debian",
        "ansible_distribution_version": "12.15",
        "ansible_memtotal_mb": 4096,
        "ansible_processor_nproc": 4,
        "ansible_env": {"PATH": "/usr/bin", "SECRET": "do-not-show"},
        "module_setup": true,
        "apache_tuning": tuning
    })
}

/// The form up to ansible-core 2.18.
pub(crate) fn old_form(facts: &Value) -> String {
    serde_json::to_string_pretty(facts).unwrap()
}

/// The form since 2.19.
pub(crate) fn new_form(facts: &Value) -> String {
    json!({"__payload__": facts.to_string()}).to_string()
}

/// One line of JSON lines.
pub(crate) fn line(host: &str, facts: &Value) -> String {
    json!({"host": host, "ansible_facts": facts}).to_string()
}

/// The records of the machine form.
pub(crate) fn records(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each host's verdict and its group's message, from the machine form.
pub(crate) fn verdicts(out: &str) -> std::collections::BTreeMap<String, (String, String)> {
    let records = records(out);
    let message = |id: &Value| -> String {
        let group = records.iter().find(|record| record["record"] == "group" && record["id"] == *id).unwrap();
        group["outcome"]["message"].as_str().unwrap().to_owned()
    };
    records
        .iter()
        .filter(|record| record["record"] == "host")
        .map(|host| {
            let verdict = host["verdict"].as_str().unwrap().to_owned();
            (host["name"].as_str().unwrap().to_owned(), (verdict, message(&host["group"])))
        })
        .collect()
}
