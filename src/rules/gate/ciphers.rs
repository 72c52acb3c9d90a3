//! Ciphers and versions of TLS: OpenSSL chooses them after the test, and a server for which nothing is left ends.

use super::super::{Check, Reporter, Rule, View};
use super::certificates::tls_servers;
use super::{Gate, is_open};

pub(crate) static GATE_006: Rule = Rule {
    id: "GATE-006",
    setting: "SSLCipherSuite",
    summary: "a list of ciphers that matches none",
    source: "httpd 2.4 modules/ssl/ssl_engine_init.c, ssl_init_ctx_cipher_suite; AH01898, AH10127, seen on 2.4.71 with OpenSSL 3.5",
    example: "SSLCipherSuite Modern",
    instead: "SSLCipherSuite HIGH:!aNULL",
    after_change: true,
    check: Check::View(no_cipher),
    ..Rule::NEW
};

fn no_cipher(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    for server in tls_servers(&gate) {
        let lines: Vec<_> = gate.startup().of_server("SSLCipherSuite", server).collect();
        for tls13 in [false, true] {
            let suite = lines.iter().rev().find_map(|line| match line.words.as_slice() {
                [list] if !tls13 => Some((*line, list)),
                [protocol, list] if protocol.eq_ignore_ascii_case("TLSv1.3") == tls13 => Some((*line, list)),
                _ => None,
            });
            let Some((line, list)) = suite.filter(|(_, list)| !is_open(list)) else { continue };
            let matches = if tls13 { has_suite(list) } else { may_match(list) };
            if !matches {
                gate.tell(
                    out,
                    line,
                    Some(if tls13 { "AH10127" } else { "AH01898" }),
                    |place| format!("SSLCipherSuite {} ({place}) matches no cipher", line.words.join(" ")),
                    "write names that `openssl ciphers` knows, such as HIGH:!aNULL",
                );
            }
        }
    }
}

/// The suites of TLS 1.3.
fn has_suite(list: &str) -> bool {
    list.split(':').any(|name| {
        name.starts_with("TLS_")
            && !name.contains("_WITH_")
            && name[4..].split('_').all(|part| WORDS.contains(&part))
    })
}

/// The words of which OpenSSL's names and classes of ciphers are made, of all its versions: a name with another word in it
/// is none.
///
/// Source: `openssl ciphers -V ALL:COMPLEMENTOFALL` and openssl-ciphers(1), of 1.0.2 to 3.5.
const WORDS: [&str; 96] = [
    "128",
    "256",
    "3DES",
    "ADH",
    "AECDH",
    "AES",
    "AES128",
    "AES256",
    "AESCCM",
    "AESCCM8",
    "AESGCM",
    "ALL",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "CBC3",
    "CCM",
    "CCM8",
    "CHACHA20",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "ECDH",
    "ECDHE",
    "ECDSA",
    "ECDHEPSK",
    "EDH",
    "EECDH",
    "FIPS",
    "GCM",
    "GOST12",
    "GOST2001",
    "GOST2012",
    "GOST89",
    "GOST89MAC",
    "GOST89MAC12",
    "GOST94",
    "HIGH",
    "IANA",
    "IDEA",
    "IMIT",
    "KUZNYECHIK",
    "LEGACY",
    "LOW",
    "MAGMA",
    "MD5",
    "MEDIUM",
    "OMAC",
    "POLY1305",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "RSAPSK",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "SUITEB128",
    "SUITEB128C2",
    "SUITEB128ONLY",
    "SUITEB192",
    "TLSv1",
    "TLSv1.0",
    "TLSv1.2",
    "aDSS",
    "aECDH",
    "aECDSA",
    "aGOST",
    "aGOST01",
    "aPSK",
    "aRSA",
    "aSRP",
    "kDHE",
    "kECDHE",
    "kECDHEPSK",
    "kEDH",
    "kEECDH",
    "kGOST",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

/// Tells whether a list may choose a cipher: httpd itself takes those without authentication and encryption out of it.
fn may_match(list: &str) -> bool {
    let mut chooses = false;
    for item in list.split([':', ',', ' ', ';']) {
        match item.as_bytes().first() {
            // Nothing comes in again that was taken out so.
            Some(b'!') if item == "!ALL" => return false,
            None | Some(b'!' | b'-' | b'+' | b'@') => {}
            Some(_) => chooses |= item.split('+').all(is_plausible),
        }
    }
    chooses
}

/// Tells whether a name may be that of a cipher or a class of them. A system's own profile and the names of the standards
/// are left to OpenSSL.
fn is_plausible(name: &str) -> bool {
    if name.contains('=') || name.contains("_WITH_") {
        return true;
    }
    name.split('-').all(|part| WORDS.contains(&part))
}

pub(crate) static GATE_007: Rule = Rule {
    id: "GATE-007",
    setting: "SSLProtocol",
    summary: "no version of TLS is left for a server that speaks it",
    source: "httpd 2.4 modules/ssl/ssl_engine_init.c, ssl_init_ctx_protocol; AH02231, seen on 2.4.71",
    example: "SSLProtocol -all",
    instead: "SSLProtocol -all +TLSv1.2 +TLSv1.3",
    after_change: true,
    check: Check::View(no_protocol),
    ..Rule::NEW
};

fn no_protocol(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    for server in tls_servers(&gate) {
        let Some(line) = gate.startup().deciding("SSLProtocol", server) else { continue };
        if leaves_none(&line.words) {
            gate.tell(
                out,
                line,
                Some("AH02231"),
                |place| format!("SSLProtocol {} ({place}) leaves no version", line.words.join(" ")),
                "write the versions that are wanted: -all +TLSv1.2 +TLSv1.3",
            );
        }
    }
}

/// Tells whether the words of `SSLProtocol` leave nothing. The oldest version is in `all` of no build of today.
fn leaves_none(words: &[String]) -> bool {
    let words = || words.iter().flat_map(|word| word.split_ascii_whitespace());
    if words().any(is_open) {
        return false;
    }
    let mut left = 0_u8;
    for word in words() {
        let (sign, name) = match word.as_bytes().first() {
            Some(sign @ (b'+' | b'-')) => (*sign, &word[1..]),
            _ => (b' ', word),
        };
        let bits = match name.to_ascii_lowercase().as_str() {
            "all" => 0b1111,
            "tlsv1" => 0b0001,
            "tlsv1.1" => 0b0010,
            "tlsv1.2" => 0b0100,
            "tlsv1.3" => 0b1000,
            "sslv2" | "sslv3" => 0,
            // httpd's test refuses it.
            _ => return false,
        };
        left = match sign {
            b'-' => left & !bits,
            b'+' => left | bits,
            _ => bits,
        };
    }
    left == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_a_real_server_took_or_refused() {
        for list in [
            "FOO:HIGH",
            "DEFAULT",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "HIGH:!aNULL:!MD5",
            "EECDH+AESGCM:EDH+AESGCM",
            "PROFILE=SYSTEM",
            "ALL:!ADH:!EXPORT:!SSLv2:RC4+RSA:+HIGH:+MEDIUM:+LOW",
            "AES128-SHA",
            "EDH-RSA-DES-CBC3-SHA",
            "ECDHE-ECDSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:kEDH+AESGCM:AES:CAMELLIA:DES-CBC3-SHA:!PSK",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "DHE-PSK-ARIA128-GCM-SHA256",
            "AES256-CCM8",
            "SUITEB128",
        ] {
            assert!(may_match(list), "{list}");
        }
        for list in [
            "",
            "FOO",
            "eNULL",
            "aNULL",
            "NULL",
            "ALL:!ALL",
            "!ALL",
            "TLSv1.3",
            "TLS_AES_128_GCM_SHA256",
            "@SECLEVEL=1",
            "EXP",
            "kRSA+FOO",
            "ECDHE_RSA",
            "Modern",
            "high",
            "NO-SUCH-CIPHER",
            "-HIGH",
        ] {
            assert!(!may_match(list), "{list}");
        }
        assert!(has_suite("TLS_AES_256_GCM_SHA384:FOO") && has_suite("TLS_CHACHA20_POLY1305_SHA256"));
        assert!(!has_suite("FOO") && !has_suite("HIGH"));
    }

    #[test]
    fn versions_that_a_real_server_took_or_refused() {
        let none = |text: &str| leaves_none(&[text.to_owned()]);
        for text in ["-all", "all -TLSv1 -TLSv1.1 -TLSv1.2 -TLSv1.3", "-all -TLSv1.2", "+TLSv1.2 -all"] {
            assert!(none(text), "{text}");
        }
        for text in
            ["all", "all -SSLv3", "-all +TLSv1.2", "TLSv1.2", "-TLSv1 TLSv1.3", "-all FOO", "${PROTOCOLS}"]
        {
            assert!(!none(text), "{text}");
        }
    }
}
