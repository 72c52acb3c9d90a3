//! argv to one of two fronts, print, exit code.

mod heap;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use apache_tuning::{ansible, apply, cli};

#[global_allocator]
static ALLOCATOR: heap::Heap = heap::Heap::new();

fn main() -> ExitCode {
    apache_tuning::signals::survive_file_size_limit();
    // A second start of ourselves: it becomes httpd or what starts it, or waits for the end of the first.
    let second = || apply::clean().or_else(apply::guard);
    if let Some(code) = apache_tuning::sandbox::contained().or_else(second) {
        return code;
    }
    std::panic::set_hook(Box::new(|panic| {
        // Ansible reads one JSON object and nothing else, whatever happens. The place is enough to find the defect;
        // the panic's own words may hold values of the task.
        let place =
            panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let text = serde_json::json!({
            "changed": false,
            "failed": true,
            "msg": format!("internal error in apache-tuning{place}; please report this bug"),
        });
        let _ = writeln!(std::io::stdout(), "{text}");
    }));
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(only), None) if !cli::is_command(&only) => {
            let (json, failed) = ansible::run(Path::new(&only));
            let written = writeln!(std::io::stdout(), "{json}");
            if failed || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        _ => cli::run(std::env::args_os().skip(1).collect()),
    }
}
