//! The real httpd: how it is started, and what its configuration test said.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::start::Made;
use crate::report::ConfigTest;

/// How long a test may take before it is ended. Name lookups of a large configuration on a host without an
/// answering name server take the longest.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How httpd is started on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Httpd {
    /// The host's root directory.
    pub root: PathBuf,
    /// The binary on the host, absolute: `/usr/sbin/apache2`.
    pub binary: PathBuf,
    /// Arguments before `-t`, such as `-d /etc/apache2-blue`.
    pub arguments: Vec<String>,
    /// The variables that the start script would give it, and nothing else is given.
    pub environment: BTreeMap<String, String>,
    /// Directories that the start script makes before it starts httpd.
    #[serde(default)]
    pub makes: Vec<Made>,
    /// How long it may run.
    pub timeout: Duration,
    /// The program that starts it contained; `None` is this one. For tests.
    pub helper: Option<PathBuf>,
}

/// What the configuration test said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Whether httpd would start, as far as it tests.
    pub ok: bool,
    /// What it printed on both streams, at most 64 KiB.
    pub output: String,
    /// The message codes in the output, in order: `AH00513`.
    pub codes: Vec<String>,
    /// The file and line that a syntax error names.
    pub place: Option<(PathBuf, u32)>,
}

impl Httpd {
    /// Returns the variables of the start script, with what every program expects added.
    pub(crate) fn full_environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        for (name, value) in [("PATH", path), ("LANG", "C")] {
            environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        environment
    }
}

impl Tested {
    /// Reads what httpd printed.
    pub fn parse(ok: bool, output: String) -> Self {
        let mut codes = Vec::new();
        let mut rest = output.as_str();
        while let Some(at) = rest.find("AH") {
            let code =
                rest.get(at..at + 7).filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()));
            if let Some(code) = code {
                codes.push(code.to_owned());
            }
            rest = &rest[at + 2..];
        }
        let place = output.lines().find_map(|line| {
            // The including file's line comes first, the line that is wrong last.
            let (_, rest) = line.rsplit_once("yntax error on line ")?;
            let (number, rest) = rest.split_once(" of ")?;
            let file = rest.split_once(": ").map_or(rest.trim_end_matches(':'), |(file, _)| file);
            Some((PathBuf::from(file), number.parse().ok()?))
        });
        Self { ok, output, codes, place }
    }

    /// Returns it as the report has it.
    pub fn report(&self) -> ConfigTest {
        ConfigTest {
            ran: true,
            ok: Some(self.ok),
            output: self.output.trim_end().to_owned(),
            ..ConfigTest::default()
        }
    }
}

/// Returns a test's report, or that it did not run and why.
pub fn report(tested: &Result<Tested, String>) -> ConfigTest {
    match tested {
        Ok(tested) => tested.report(),
        Err(reason) => ConfigTest { reason: Some(reason.clone()), ..ConfigTest::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output, the codes in it, and the place it names.
    type Row = (&'static str, &'static [&'static str], Option<(&'static str, u32)>);

    #[test]
    fn codes_and_the_place_of_an_error_are_read_from_what_httpd_prints() {
        let table: [Row; 5] = [
            ("Syntax OK\n", &[], None),
            (
                "AH00526: Syntax error on line 7 of /etc/apache2/mods-enabled/mpm_event.conf:\nInvalid command 'x'\n",
                &["AH00526"],
                Some(("/etc/apache2/mods-enabled/mpm_event.conf", 7)),
            ),
            (
                "apache2: Syntax error on line 146 of /etc/apache2/apache2.conf: \
                 Syntax error on line 2 of /etc/a b:c.load: Cannot load x: no such file\n",
                &[],
                Some(("/etc/a b:c.load", 2)),
            ),
            (
                "AH00513: WARNING: MaxRequestWorkers of 410\n multiple\nAH00558: apache2: name\nSyntax OK\n",
                &["AH00513", "AH00558"],
                None,
            ),
            ("AHA AH12 AH0051\u{e9} AH", &[], None),
        ];
        for (output, codes, place) in table {
            let tested = Tested::parse(true, output.to_owned());
            assert_eq!(tested.codes, codes, "{output}");
            assert_eq!(tested.place, place.map(|(file, line)| (PathBuf::from(file), line)), "{output}");
        }
    }
}
