//! `cargo xtask bench log|run|rules|size|vhosts`: what a run costs, held against its limits. Nothing here depends on the machine's speed but
//! the times, and those count only as ratios.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use test_hosts::apt::{self, Need};
use test_hosts::{Flavour, Host, Release, folders};

use crate::dist::LINKING;
use crate::measure_log;
use crate::steps::{cargo, run as go};

/// What measuring needs of this machine besides the hosts.
pub(crate) const NEEDS: &[Need] = &[
    Need {
        package: "valgrind",
        purpose: "counts instructions",
        programs: &["valgrind"],
        met: || apt::there("/usr/bin/valgrind.bin"),
    },
    Need {
        package: "strace",
        purpose: "counts processes",
        programs: &["strace"],
        met: || apt::there("/usr/bin/strace"),
    },
    Need {
        package: "goaccess",
        purpose: "reads the same access log",
        programs: &["goaccess"],
        met: || apt::there("/usr/bin/goaccess"),
    },
];

/// The target of the binaries that are shipped.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Bytes of the shipped binary.
const MOST_BYTES: u64 = 800_000;
/// Instructions of an unchanged run, start of the process included.
const MOST_INSTRUCTIONS: u64 = 3_000_000;
/// Instructions of all rules over one host.
const MOST_RULE_INSTRUCTIONS: u64 = 1_000_000;
/// Share of the time of `apache2 -t` on the same files.
const MOST_OF_CONFIG_TEST: f64 = 0.1;
/// Memory at its peak, in KiB.
const MOST_MEMORY: u64 = 64 * 1024;

const TASK: &str = r#"{
    "mpm": "event", "mod_php": "disable",
    "settings": {"server_limit": 17, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 1024,
        "max_connections_per_child": 10000, "async_request_worker_factor": 2},
    "keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
    "evasive": {"enabled": true, "page_count": 5, "site_count": 100}
}"#;

/// Where the task stands in a host.
const TASK_FILE: &str = "/root/task.json";

/// One thing to measure.
pub(crate) type Measure = fn() -> Result<ExitCode>;

/// Returns the measurement of that name.
pub(crate) fn named(name: &str) -> Option<Measure> {
    Some(match name {
        "run" => || measured(unchanged),
        "rules" => || measured(rules),
        "size" => || measured(size),
        "log" => || measured(measure_log::log),
        "vhosts" => || measured(vhosts),
        _ => return None,
    })
}

/// Measures, and fails where a limit is exceeded.
fn measured(measure: fn() -> Result<bool>) -> Result<ExitCode> {
    apt::provide(NEEDS)?;
    Ok(if measure()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints one measurement beside its limit and tells whether it keeps it.
fn held(what: &str, found: u64, most: u64) -> bool {
    let within = found <= most;
    println!("{what:<44} {found:>12}  (at most {most}){}", if within { "" } else { "  TOO MUCH" });
    within
}

/// Builds the binary that is shipped, or with `symbols` the same with the names of its functions, and returns it.
pub(crate) fn binary(symbols: bool) -> Result<PathBuf> {
    let profile = if symbols { "measure" } else { "release" };
    let words = ["rustc", "--quiet", "--package", "apache-tuning", "--bin", "apache-tuning"];
    go(cargo().args(words).args(["--target", TARGET, "--profile", profile, "--"]).args(LINKING))?;
    Ok(folders::target().join(TARGET).join(profile).join("apache-tuning"))
}

/// Returns a host on which the task has been carried out, and the program's path in it.
fn settled_host(release: Release, program: &Path) -> Result<(Host, PathBuf)> {
    let host = Host::of(release, Flavour::Php);
    let program = host.install_binary(program);
    host.write(TASK_FILE, TASK);
    for changed in ["\"changed\":true", "\"changed\":false"] {
        let ran = host.run(&[&program, Path::new(TASK_FILE)]);
        ensure!(ran.stdout.contains(changed), "expected {changed}: {}{}", ran.stdout, ran.stderr);
    }
    Ok((host, program))
}

/// Counts the processes and the instructions of an unchanged run.
fn unchanged() -> Result<bool> {
    let program = binary(false)?;
    let mut within = true;
    for release in Release::ALL {
        let (host, program) = settled_host(release, &program)?;
        println!("an unchanged run on Debian's {}:", release.suite());
        within &= held("  processes started", processes(&host, &program)?, 0);
        within &= held("  instructions", instructions(&host, &program, &[])?, MOST_INSTRUCTIONS);
    }
    Ok(within)
}

/// Counts the processes that the program starts.
fn processes(host: &Host, program: &Path) -> Result<u64> {
    let log = host.path("/root/trace");
    let mut command = host.machine_command("strace");
    command.args(["-f", "-e", "trace=process", "-o"]).arg(&log);
    command.arg("chroot").arg(host.root()).arg(program).arg(TASK_FILE);
    let output = command.output().context("starting strace")?;
    ensure!(output.status.success(), "strace: {}", String::from_utf8_lossy(&output.stderr));
    let trace = std::fs::read_to_string(&log)?;
    let own = format!("execve(\"{}\"", program.display());
    let mut after = trace.lines().skip_while(|line| !line.contains(&own));
    ensure!(after.next().is_some(), "the program's start is not in the trace: {trace}");
    let makes = |line: &&str| {
        ["clone(", "clone3(", "fork(", "vfork(", "execve("].iter().any(|call| line.contains(call))
    };
    Ok(after.filter(makes).count() as u64)
}

/// Counts the instructions of a run in a host, or of the parts of it that `options` of callgrind choose.
fn instructions(host: &Host, program: &Path, options: &[&str]) -> Result<u64> {
    let tools = host.path("/opt/valgrind");
    if !tools.exists() {
        std::fs::create_dir_all(&tools)?;
        for name in
            ["bin/valgrind.bin", "libexec/valgrind/callgrind-amd64-linux", "libexec/valgrind/default.supp"]
        {
            let from = Path::new("/usr").join(name);
            let to = tools.join(from.file_name().unwrap_or_default());
            std::fs::copy(&from, to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    let mut command = host.command_with(&["VALGRIND_LIB=/opt/valgrind"], "/opt/valgrind/valgrind.bin");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(options)
        .arg(program)
        .arg(TASK_FILE);
    let output = command.output().context("starting valgrind")?;
    let words = String::from_utf8_lossy(&output.stderr);
    let count = words.lines().find_map(|line| line.split_once("Collected : "));
    count.and_then(|(_, number)| number.trim().parse().ok()).with_context(|| format!("valgrind: {words}"))
}

/// Counts the instructions of all rules over one host.
fn rules() -> Result<bool> {
    let (host, program) = settled_host(Release::Bookworm, &binary(true)?)?;
    let found = instructions(&host, &program, &["--toggle-collect=apache_tuning::rules::check*"])?;
    ensure!(found > 0, "the rules are not to be found in the program");
    Ok(held("instructions of all rules", found, MOST_RULE_INSTRUCTIONS))
}

/// Measures the binary that is shipped.
fn size() -> Result<bool> {
    let bytes = std::fs::metadata(binary(false)?)?.len();
    Ok(held("bytes of the binary", bytes, MOST_BYTES))
}

/// Times a run and `apache2 -t` on the same files, in turns, and reads the run's memory at its peak. Prints, for each
/// of both, milliseconds of the fastest run within three seconds, and KiB.
const TIMES: &str = r"
import os, sys, time
def once(words):
    start = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, '/dev/null', os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, (words, status)
    return (time.perf_counter() - start) * 1000, usage.ru_maxrss
ours, test = [sys.argv[1], sys.argv[2]], ['/usr/sbin/apache2', '-t']
end, runs = time.monotonic() + 3, []
while len(runs) < 5 or time.monotonic() < end:
    runs.append((once(ours), once(test)))
print(min(run[0][0] for run in runs), min(run[1][0] for run in runs), max(run[0][1] for run in runs))
";

/// Holds an unchanged run against `apache2 -t` with ever more virtual hosts: in turns for three seconds, the fastest of
/// each, because whatever else the machine does only makes them slower.
fn vhosts() -> Result<bool> {
    let (host, program) = settled_host(Release::Bookworm, &binary(false)?)?;
    // With a log for each of 10,000 virtual hosts, no server starts under Debian's own limit (FD-001).
    let envvars = host.read("/etc/apache2/envvars") + "APACHE_ULIMIT_MAX_FILES='ulimit -n 65536'\n";
    host.write("/etc/apache2/envvars", envvars);
    let mut within = true;
    let mut there = 0;
    println!("{:>8} {:>10} {:>14} {:>7} {:>10}", "vhosts", "run", "apache2 -t", "ratio", "memory");
    for count in [0, 100, 1_000, 10_000] {
        for number in there..count {
            host.write(format!("/etc/apache2/sites-enabled/{number:05}.conf"), vhost(number));
        }
        there = count;
        let line = ". /etc/apache2/envvars && exec python3 - \"$@\"";
        let program = program.to_string_lossy();
        let ran = host.run_with_input(&["sh", "-c", line, "sh", &program, TASK_FILE], TIMES.as_bytes());
        let words: Vec<f64> = ran.ok().split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [ours, test, memory] = words[..] else { bail!("unexpected answer: {}", ran.stdout) };
        let ratio = ours / test;
        println!("{count:>8} {ours:>7.1} ms {test:>11.1} ms {ratio:>7.3} {memory:>6} KiB");
        #[allow(clippy::cast_precision_loss)]
        let kept = ratio <= MOST_OF_CONFIG_TEST && memory < MOST_MEMORY as f64;
        within &= kept;
    }
    println!("at most {MOST_OF_CONFIG_TEST} of the time of `apache2 -t`, and {MOST_MEMORY} KiB");
    Ok(within)
}

/// Returns a virtual host of usual size.
fn vhost(number: u32) -> String {
    format!(
        "<VirtualHost *:80>\n    ServerName site{number}.example\n    ServerAlias www.site{number}.example\n    \
         DocumentRoot /var/www/html\n    <Directory /var/www/html>\n        Options FollowSymLinks\n        \
         AllowOverride None\n        Require all granted\n    </Directory>\n    \
         ErrorLog ${{APACHE_LOG_DIR}}/error.log\n    CustomLog ${{APACHE_LOG_DIR}}/access.log combined\n\
         </VirtualHost>\n"
    )
}
