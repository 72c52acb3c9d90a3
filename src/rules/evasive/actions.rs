//! What mod_evasive does when it blocks a client: lock files, mail and a command.

use super::{Check, Reporter, Rule, View, active, text};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&EV_012, &EV_013, &EV_014, &EV_015, &EV_016, &EV_017];

/// Programs that only root may use, or that ask for it.
const ROOT_PROGRAMS: [&str; 11] = [
    "sudo",
    "doas",
    "iptables",
    "ip6tables",
    "nft",
    "ufw",
    "firewall-cmd",
    "ipset",
    "ip",
    "route",
    "fail2ban-client",
];

/// Directories in which everybody may write.
const WORLD: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

pub(crate) static EV_012: Rule = Rule {
    id: "EV-012",
    severity: Severity::Error,
    setting: "evasive.log_dir",
    summary: "missing, not writable by the web server's user, or writable by everybody",
    source: "mod_evasive, access_checker",
    check: Check::View(log_dir_unusable),
    ..Rule::NEW
};

fn log_dir_unusable(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none() {
        return;
    }
    let Some(dir) = text(view, "DOSLogDir") else { return };
    let plain = dir.trim_end_matches('/');
    let why = match view.host.log_dir {
        _ if WORLD.contains(&plain) => {
            Some("is writable by everybody, who can then keep clients from being blocked")
        }
        Some(facts) if !facts.exists => Some("does not exist: there will be no mail, no command and no log"),
        Some(facts) if facts.world_writes => {
            Some("is writable by everybody, who can then keep clients from being blocked")
        }
        Some(facts) if !facts.web_user_writes => {
            Some("cannot be written by the web server's user: there will be no mail, no command and no log")
        }
        _ => None,
    };
    if let Some(why) = why {
        out.on(view, "DOSLogDir").value(dir).emit(
            format!("DOSLogDir {dir} {why}"),
            format!(
                "make a directory of {} with mode 0750 and name it in {}",
                view.layout.user,
                view.name("DOSLogDir")
            ),
        );
    }
}

pub(crate) static EV_013: Rule = Rule {
    id: "EV-013",
    severity: Severity::Warning,
    setting: "evasive.log_dir",
    summary: "left out; lock files are created in /tmp under predictable names",
    source: "mod_evasive, DEFAULT_LOG_DIR",
    check: Check::View(lock_files_in_tmp),
    ..Rule::NEW
};

fn lock_files_in_tmp(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_some() && text(view, "DOSLogDir").is_none() {
        out.on(view, "DOSLogDir").value("left out").effective("/tmp").emit(
            "DOSLogDir is left out: lock files are created in /tmp under predictable names",
            format!("set {} to a directory that only {} may write", view.name("DOSLogDir"), view.layout.user),
        );
    }
}

pub(crate) static EV_014: Rule = Rule {
    id: "EV-014",
    severity: Severity::Warning,
    setting: "evasive.system_command, evasive.email_notify",
    summary: "runs once for each address as long as nobody removes the lock files",
    source: "mod_evasive, access_checker",
    check: Check::View(runs_once_for_each_address),
    ..Rule::NEW
};

/// Tells whether mod_evasive can note nothing, so that it neither mails nor runs a command.
fn notes_nothing(view: &View<'_>) -> bool {
    view.host.log_dir.is_some_and(|dir| !dir.exists || !dir.web_user_writes)
}

fn runs_once_for_each_address(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none() || notes_nothing(view) {
        return;
    }
    for directive in ["DOSSystemCommand", "DOSEmailNotify"] {
        if let Some(value) = text(view, directive) {
            out.on(view, directive).value(value).emit(
                format!("{directive} runs once for each address and never again: nobody removes its lock file dos-ADDRESS"),
                "remove old dos-* files from log_dir regularly, such as by systemd-tmpfiles",
            );
        }
    }
}

pub(crate) static EV_015: Rule = Rule {
    id: "EV-015",
    severity: Severity::Error,
    setting: "evasive.system_command",
    summary: "not exactly one %s, or another single %; the address is missing or undefined",
    source: "mod_evasive, access_checker, snprintf",
    check: Check::View(command_with_wrong_placeholders),
    ..Rule::NEW
};

fn command_with_wrong_placeholders(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(command) = active(view).and_then(|_| text(view, "DOSSystemCommand")) else { return };
    let (mut addresses, mut others) = (0, 0);
    let mut rest = command.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            match rest.next() {
                Some(b's') => addresses += 1,
                Some(b'%') => {}
                _ => others += 1,
            }
        }
    }
    if addresses != 1 || others != 0 {
        out.on(view, "DOSSystemCommand").value(command).emit(
            format!(
                "DOSSystemCommand has {addresses} times %s and {others} other %: mod_evasive prints with it, once, the \
                 client's address"
            ),
            "write exactly one %s, and %% for every other percent sign",
        );
    }
}

pub(crate) static EV_016: Rule = Rule {
    id: "EV-016",
    severity: Severity::Warning,
    setting: "evasive.system_command",
    summary: "a program that needs root; it runs as the web server's user while a worker waits",
    source: "mod_evasive, access_checker, system",
    check: Check::View(command_needs_root),
    ..Rule::NEW
};

fn command_needs_root(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(command) = active(view).and_then(|_| text(view, "DOSSystemCommand")) else { return };
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if ROOT_PROGRAMS.contains(&name) && !notes_nothing(view) {
        out.on(view, "DOSSystemCommand").value(command).emit(
            format!(
                "{name} needs root, but the command runs as {}, and the worker waits for it",
                view.layout.user
            ),
            "write the address to a file or socket that a service of root watches",
        );
    }
}

pub(crate) static EV_017: Rule = Rule {
    id: "EV-017",
    severity: Severity::Error,
    setting: "evasive.email_notify",
    summary: "shell characters, which run; or no mail program",
    source: "mod_evasive, access_checker, MAILER",
    check: Check::View(mail_address_unusable),
    ..Rule::NEW
};

fn mail_address_unusable(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(address) = active(view).and_then(|_| text(view, "DOSEmailNotify")) else { return };
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-=%".contains(c);
    if address.is_empty() || address.starts_with('-') || !address.chars().all(plain) {
        out.on(view, "DOSEmailNotify").value(address).emit(
            format!(
                "DOSEmailNotify {address:?} has characters that the shell would take for commands or options"
            ),
            "write one plain mail address",
        );
    } else if view.host.mail_program == Some(false) {
        out.on(view, "DOSEmailNotify").value(address).emit(
            "DOSEmailNotify needs the program mail, which is not installed: no mail will be sent",
            "install a package with mail, such as bsd-mailx, or leave it out",
        );
    }
}
