//! Certificates: read after the test, and a server that has no use for one ends.

use super::super::{Check, Reporter, Rule, View};
use super::pem::{Pem, Public};
use super::{Gate, is_open};
use crate::httpd::read::Scope;
use crate::httpd::read::startup::{Line, Startup};

/// Tells whether a server speaks TLS.
fn speaks_tls(startup: &Startup, server: Scope) -> bool {
    startup.deciding("SSLEngine", server).is_some_and(|line| line.first().eq_ignore_ascii_case("on"))
}

/// Returns the servers that speak TLS, where nothing but httpd's own lines gives them certificates.
pub(super) fn tls_servers(gate: &Gate<'_, '_>) -> Vec<Scope> {
    let startup = gate.startup();
    if !gate.view.has("ssl_module") {
        return Vec::new();
    }
    startup.servers().filter(|server| speaks_tls(startup, *server)).collect()
}

/// Tells whether certificates may come from elsewhere: `mod_md` has its own, and OpenSSL's commands can name some.
fn has_other_source(gate: &Gate<'_, '_>) -> bool {
    gate.view.has("md_module") || gate.startup().of("SSLOpenSSLConfCmd").next().is_some()
}

pub(crate) static GATE_003: Rule = Rule {
    id: "GATE-003",
    setting: "SSLUseStapling",
    summary: "stapling is on for a server with TLS, and there is no cache for it",
    source: "httpd 2.4 modules/ssl/ssl_util_stapling.c, modssl_init_stapling; AH01958, seen on 2.4.68 and 2.4.71",
    example: "SSLUseStapling on",
    instead: "SSLStaplingCache shmcb:/run/apache2/ssl_stapling(32768)",
    after_change: true,
    check: Check::View(stapling_without_cache),
    ..Rule::NEW
};

fn stapling_without_cache(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    let startup = gate.startup();
    if startup.of("SSLStaplingCache").next().is_some() || view.has("md_module") {
        return;
    }
    for server in tls_servers(&gate) {
        let stapling = startup.deciding("SSLUseStapling", server);
        if let Some(line) = stapling.filter(|line| line.first().eq_ignore_ascii_case("on")) {
            gate.tell(
                out,
                line,
                Some("AH01958"),
                |place| format!("SSLUseStapling on ({place}) has no SSLStaplingCache"),
                "write SSLStaplingCache in the main server, or SSLUseStapling off",
            );
        }
    }
}

pub(crate) static GATE_005: Rule = Rule {
    id: "GATE-005",
    setting: "SSLEngine",
    summary: "a server speaks TLS and has no certificate",
    source: "httpd 2.4 modules/ssl/ssl_engine_init.c, ssl_init_server_ctx; AH02572, seen on 2.4.71",
    example: "SSLEngine on",
    instead: "SSLCertificateFile /etc/ssl/certs/site.pem",
    after_change: true,
    check: Check::View(tls_without_certificate),
    ..Rule::NEW
};

fn tls_without_certificate(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    let startup = gate.startup();
    if has_other_source(&gate) {
        return;
    }
    for server in tls_servers(&gate) {
        if startup.of_server("SSLCertificateFile", server).next().is_some() {
            continue;
        }
        if let Some(line) = startup.deciding("SSLEngine", server) {
            gate.tell(
                out,
                line,
                Some("AH02572"),
                |place| format!("SSLEngine on ({place}) has no SSLCertificateFile"),
                "name the certificate and its key, or take SSLEngine out",
            );
        }
    }
}

pub(crate) static GATE_004: Rule = Rule {
    id: "GATE-004",
    setting: "SSLCertificateKeyFile",
    summary: "the key does not belong to the certificate, or is not there",
    source: "httpd 2.4 modules/ssl/ssl_engine_init.c, ssl_init_server_certs; AH02565, AH02564, AH02562, seen on 2.4.71",
    after_change: true,
    check: Check::View(key_of_another_certificate),
    ..Rule::NEW
};

fn key_of_another_certificate(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    let startup = gate.startup();
    if has_other_source(&gate) {
        return;
    }
    for server in tls_servers(&gate) {
        // The first key belongs to the first certificate; a certificate beyond them has its key in its own file.
        let keys: Vec<&Line> = startup.of_server("SSLCertificateKeyFile", server).collect();
        for (index, certificate) in startup.of_server("SSLCertificateFile", server).enumerate() {
            let key = keys.get(index).copied().unwrap_or(certificate);
            if let Some((code, why)) = mismatch(&gate, certificate, key) {
                gate.tell(
                    out,
                    key,
                    Some(code),
                    |place| format!("{why} ({place}, certificate {})", certificate.first()),
                    "name the key that was made with the certificate; several belong together in their order",
                );
            }
        }
    }
}

/// Returns why a certificate and a key cannot be used together; `None` where they can, or where that is not known.
fn mismatch(gate: &Gate<'_, '_>, certificate: &Line, key: &Line) -> Option<(&'static str, String)> {
    let read = |line: &Line| {
        // Keys in hardware have names of their own, and some builds ask a program for them.
        let known = !line.first().contains(':') && !is_open(line.first());
        let content = gate.start.files.read(&gate.startup().path(line.first())).ok().filter(|_| known)?;
        Some(Pem::parse(&String::from_utf8_lossy(&content)))
    };
    let (of_certificate, of_key) = (read(certificate)?, read(key)?);
    if of_certificate.is_empty() || of_key.is_empty() {
        // DER, which httpd reads as well.
        return None;
    }
    let Some(public) = &of_certificate.certificate else {
        return Some(("AH02562", format!("{} holds no certificate", certificate.first())));
    };
    if !of_key.has_key {
        return Some(("AH02564", format!("{} holds no private key", key.first())));
    }
    match (public, of_key.key.as_ref()?) {
        (Public::Other, _) | (_, Public::Other) => None,
        (one, other) if one == other => None,
        _ => Some(("AH02565", format!("the key {} belongs to another certificate", key.first()))),
    }
}
