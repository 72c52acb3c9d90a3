//! What is found while a change is sized, tested and activated.

use super::{Check, Reporter, Rule, View};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &TST_001, &TST_002, &TST_003, &TST_004, &TST_005, &TST_006, &TST_007, &CAP_001, &CAP_002, &CAP_003,
    &CAP_004, &CAP_005, &CAP_006, &ACT_001, &ACT_002, &ACT_003, &ACT_004, &HLT_001, &HLT_002, &HLT_003,
    &VER_001,
];

pub(crate) static TST_001: Rule = Rule {
    id: "TST-001",
    severity: Severity::Info,
    setting: "config_test",
    summary: "httpd -t says Syntax OK although httpd corrects sizes",
    source: "httpd 2.4 server/main.c",
    check: Check::View(test_passes_corrected_sizes),
    ..Rule::NEW
};

fn test_passes_corrected_sizes(view: &View<'_>, out: &mut Reporter<'_>) {
    let codes: Vec<&str> = view.normal.corrections.iter().filter_map(|fix| fix.code).collect();
    if !codes.is_empty() && view.after.errors.is_empty() {
        out.about("config_test").value(codes.join(", ")).emit(
            format!(
                "httpd -t says Syntax OK to these values and exits 0, though it corrects them ({})",
                codes.join(", ")
            ),
            "nothing to do: the findings above say what to change",
        );
    }
}

pub(crate) static TST_002: Rule = Rule {
    id: "TST-002",
    severity: Severity::Error,
    setting: "config_test",
    summary: "the existing configuration already fails `httpd -t`; this change does not fix it",
    source: "httpd -t on the files as they are",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static TST_003: Rule = Rule {
    id: "TST-003",
    severity: Severity::Error,
    setting: "config_test",
    summary: "httpd refuses the planned configuration",
    source: "httpd -t on the staged files",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static TST_004: Rule = Rule {
    id: "TST-004",
    severity: Severity::Error,
    setting: "config_test",
    summary: "`httpd -t` reports a correction that no rule predicted",
    source: "httpd -t on the staged files",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static TST_005: Rule = Rule {
    id: "TST-005",
    severity: Severity::Error,
    setting: "config_test",
    summary: "httpd -t passes, and httpd does not start with the planned configuration, or dies of the first request",
    source: "the real httpd, started with the staged files in private namespaces",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static TST_006: Rule = Rule {
    id: "TST-006",
    severity: Severity::Error,
    setting: "config_test",
    summary: "httpd -t passes, and httpd does not start with the files as they are either",
    source: "the real httpd, started in private namespaces",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static TST_007: Rule = Rule {
    id: "TST-007",
    severity: Severity::Error,
    setting: "config_test",
    summary: "with the planned configuration the server answers 500, as it does not with the files as they are",
    source: "the real httpd, started with the staged files in private namespaces",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_001: Rule = Rule {
    id: "CAP-001",
    severity: Severity::Error,
    setting: "capacity",
    summary: "the load does not fit the host; the bound in the way is named",
    source: "the arithmetic of capacity, shown by apache-tuning size",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_002: Rule = Rule {
    id: "CAP-002",
    severity: Severity::Info,
    setting: "capacity",
    summary: "a load was sized with a number that was not given: requests served at one moment, or a burst",
    source: "the arithmetic of capacity, shown by apache-tuning size",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_003: Rule = Rule {
    id: "CAP-003",
    severity: Severity::Warning,
    setting: "capacity.burst",
    summary: "the host does not carry the burst that is counted by default; beyond the smaller one that it carries idle \
         connections are closed or new ones wait",
    source: "httpd 2.4 server/mpm/event/event.c, connections_above_limit and listener_thread",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_004: Rule = Rule {
    id: "CAP-004",
    severity: Severity::Error,
    setting: "capacity.burst",
    summary: "the host does not carry the burst that was asked for; the bound in the way is named",
    source: "httpd 2.4 server/mpm/event/event.c, connections_above_limit and listener_thread",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_005: Rule = Rule {
    id: "CAP-005",
    severity: Severity::Info,
    setting: "memory.per_worker",
    summary: "what the measurement of the running server is worth: its age, what it had served, its busiest moment",
    source: "/proc/PID/stat, /proc/PID/status, mod_status",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static CAP_006: Rule = Rule {
    id: "CAP-006",
    severity: Severity::Warning,
    setting: "memory.per_worker",
    summary: "measured on a server that has hardly served: a lower bound",
    source: "/proc/PID/stat, /proc/PID/status, mod_status",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static ACT_001: Rule = Rule {
    id: "ACT-001",
    severity: Severity::Warning,
    setting: "activation",
    summary: "the running server does not use an earlier change yet; a reload ends it or keeps old limits",
    source: "httpd 2.4 server/mpm_common.c, AH00534; the running parent's maps and start against the history",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static ACT_002: Rule = Rule {
    id: "ACT-002",
    severity: Severity::Warning,
    setting: "activation",
    summary: "activation is deferred although the change takes a stop and start",
    source: "httpd 2.4 server/mpm_common.c, AH00534",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static ACT_003: Rule = Rule {
    id: "ACT-003",
    severity: Severity::Error,
    setting: "activation",
    summary: "the change takes a stop and start, and something else keeps the running server in the foreground: a container, a \
              supervisor; waived, its activation is deferred",
    source: "the running parent's command line and control group; httpd 2.4 server/mpm_unix.c, -D FOREGROUND",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static ACT_004: Rule = Rule {
    id: "ACT-004",
    severity: Severity::Warning,
    setting: "recovered",
    summary: "a run was interrupted; the next one gives back what it had changed before it does anything else",
    source: "the journal in /var/lib/apache-tuning",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static HLT_001: Rule = Rule {
    id: "HLT-001",
    severity: Severity::Error,
    setting: "health",
    summary: "the health address is not one of this host",
    source: "the routing table, /etc/hosts and the virtual hosts' names",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static HLT_002: Rule = Rule {
    id: "HLT-002",
    severity: Severity::Error,
    setting: "health",
    summary: "the running server does not answer the health question before the change",
    source: "one question to the health address, before anything is touched",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static HLT_003: Rule = Rule {
    id: "HLT-003",
    severity: Severity::Warning,
    setting: "health",
    summary: "the health question is not asked, because the server does not run",
    source: "/proc",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static VER_001: Rule = Rule {
    id: "VER-001",
    severity: Severity::Error,
    setting: "state",
    summary: "the host, read again after the change, is not in the desired state; the change is undone",
    source: "the files as they are after the change",
    check: Check::Planned,
    ..Rule::NEW
};
