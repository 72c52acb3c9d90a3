//! A run that finds everything in the desired state costs next to nothing: it starts no process and writes nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use test_hosts::{Flavour, Host, Release};

const TASK: &str = r#"{
    "mpm": "event", "mod_php": "disable",
    "settings": {"server_limit": 17, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 1024},
    "keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
    "evasive": {"enabled": true, "page_count": 5, "site_count": 100}
}"#;

/// One run of the program in a host, as `strace` saw it.
struct Traced {
    /// What the program answered.
    answer: serde_json::Value,
    /// The system calls that make a process, of the program or of one it started.
    started: Vec<String>,
    /// The system calls that change a file.
    written: Vec<String>,
}

fn traced(host: &Host, program: &Path, task: &Path) -> Traced {
    let log = host.path("/root/trace");
    let calls = "execve,execveat,clone,clone3,fork,vfork,openat,open,rename,renameat,renameat2,mkdirat,mkdir,\
                 unlink,unlinkat,symlinkat,linkat,fchmod,fchmodat,fchown,fchownat,utimensat,ftruncate,mount";
    // Seccomp lets the calls that nobody asks about run at full speed.
    let mut command = host.machine_command("strace");
    command.args(["-f", "--seccomp-bpf", "-s", "300", "-e", calls, "-o"]).arg(&log);
    command.arg("chroot").arg(host.root()).arg(program).arg(task);
    let output = command.output().unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let trace = fs::read_to_string(&log).unwrap();
    let own = format!("execve(\"{}\"", program.display());
    let after: Vec<&str> = trace.lines().skip_while(|line| !line.contains(&own)).skip(1).collect();
    assert!(
        after.iter().any(|line| line.contains("openat") || line.contains("open(")),
        "nothing traced: {trace}"
    );
    let call = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let opens_to_read =
        |line: &str| line.contains("O_RDONLY") && call(line).starts_with("open") && !line.contains("O_CREAT");
    let makes =
        |line: &str| ["exec", "clone", "fork", "vfork"].iter().any(|name| call(line).starts_with(name));
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let calls = after.iter().filter(|line| line.contains('(') && !line.contains("resumed"));
        calls.filter(|line| wanted(line)).map(|line| (*line).to_owned()).collect()
    };
    Traced { answer, started: of(&makes), written: of(&|line| !makes(line) && !opens_to_read(line)) }
}

#[test]
fn an_unchanged_run_starts_no_process_and_writes_nothing() {
    for release in Release::ALL {
        let host = Host::of(release, Flavour::Php);
        let program = host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        let task = Path::new("/root/task.json");
        host.write(task, TASK);

        // What is looked for is there in a run that changes something.
        let first = traced(&host, &program, task);
        assert_eq!(first.answer["changed"], true, "{}", first.answer);
        assert!(!first.started.is_empty() && !first.written.is_empty(), "the trace shows nothing");

        let second = traced(&host, &program, task);
        assert_eq!(second.answer["changed"], false, "{}", second.answer);
        assert_eq!(second.started, Vec::<String>::new(), "{release:?}");
        assert_eq!(second.written, Vec::<String>::new(), "{release:?}");
    }
}
