//! The lines that a rule has as its example make it speak on a host of its MPM, and those to write instead do not.

use apache_tuning::httpd::Mpm;
use apache_tuning::report::Severity;
use apache_tuning::rules;
use serde_json::json;

use crate::tried::Tried;

#[test]
fn a_rule_speaks_of_its_example_and_not_of_what_to_write_instead() {
    let host = crate::hosts().into_iter().find(|host| host.name == "debian12").unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for rule in rules::all().filter(|rule| !rule.why.is_empty() && !rule.example.is_empty()) {
        let mpm = if rule.mpms.contains(&Mpm::Event) { Mpm::Event } else { rule.mpms[0] };
        let mut tried = Tried::new(&host);
        tried.does(&json!({"mpm": mpm.name(), "waive": ["PHP-004", "PHP-005"]}));
        for (lines, is_wrong) in [(rule.example, true), (rule.instead, false)] {
            tried.files = tried.files.clone().file("/etc/apache2/conf-enabled/zz.conf", format!("{lines}\n"));
            let findings = tried.asks(&json!({})).report.findings;
            // What is only worth saying is said to a task that manages the directive.
            let speaks = findings.iter().any(|finding| finding.rule == rule.id);
            if speaks != is_wrong && !(is_wrong && rule.severity == Severity::Info) {
                let said: Vec<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
                wrong.push(format!("{} of `{lines}` under {mpm}: {said:?}", rule.id));
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 40, "{count} rules have an example");
}
