//! Keeps an answer readable where a host says the same thing a thousand times, as one with many virtual hosts does:
//! the first ones stand for all, and the others are counted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Overridden, Severity};

/// The most findings of one rule about one setting; of more the first [`SHOWN`] are kept.
const CROWD: usize = 20;
const SHOWN: usize = 10;

/// The most lines of one setting that are listed as winning, in one file and in all.
const IN_ONE_FILE: usize = 10;
const IN_ALL_FILES: usize = 50;

/// The most characters of a value, and of a sentence.
const VALUE: usize = 300;
const SENTENCE: usize = 2000;

/// Shortens findings that are alike, and long texts in them. To findings that it has shortened it does nothing more.
pub(super) fn findings(findings: &mut Vec<Finding>) {
    fn kind(finding: &Finding) -> (String, Severity, Option<String>, bool) {
        (finding.rule.clone(), finding.severity, finding.setting.clone(), finding.waived)
    }
    if findings.len() > CROWD {
        let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
        for finding in findings.iter() {
            *sizes.entry(kind(finding)).or_default() += 1;
        }
        let mut seen: BTreeMap<_, usize> = BTreeMap::new();
        findings.retain_mut(|finding| {
            let kind = kind(finding);
            let size = sizes.get(&kind).copied().unwrap_or_default();
            if size <= CROWD {
                return true;
            }
            let seen = seen.entry(kind).or_default();
            *seen += 1;
            if *seen == SHOWN + 1 {
                finding.message = format!("and {} more like these", size - SHOWN);
            }
            *seen <= SHOWN + 1
        });
    }
    for finding in findings.iter_mut() {
        cut(&mut finding.message, SENTENCE);
        cut(&mut finding.hint, SENTENCE);
        for value in [&mut finding.value, &mut finding.effective].into_iter().flatten() {
            cut(value, VALUE);
        }
    }
}

/// Shortens a list of lines that win: by file, then in all.
pub(crate) fn overridden(list: &mut Vec<Overridden>) {
    if list.len() <= IN_ONE_FILE {
        return;
    }
    let mut by_file: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut by_setting: BTreeMap<String, usize> = BTreeMap::new();
    // What is left out, by setting: how many, and in which files.
    let mut left_out: BTreeMap<String, (usize, BTreeSet<String>, Overridden)> = BTreeMap::new();
    list.retain(|entry| {
        let file = by_file.entry((entry.setting.clone(), entry.file.clone())).or_default();
        let all = by_setting.entry(entry.setting.clone()).or_default();
        if *file < IN_ONE_FILE && *all < IN_ALL_FILES {
            *file += 1;
            *all += 1;
            return true;
        }
        let (count, files, _) =
            left_out.entry(entry.setting.clone()).or_insert_with(|| (0, BTreeSet::new(), entry.clone()));
        *count += 1;
        files.insert(entry.file.clone());
        false
    });
    for (_, (count, files, first)) in left_out {
        let place = match files.len() {
            1 => "this file".to_owned(),
            several => format!("{several} files, of which this is the first"),
        };
        list.push(Overridden { scope: format!("and {count} more in {place}"), ..first });
    }
    for entry in list {
        cut(&mut entry.effective, VALUE);
        cut(&mut entry.wanted, VALUE);
        cut(&mut entry.scope, VALUE);
    }
}

fn cut(text: &mut String, most: usize) {
    // A character is a byte at least: nearly every text is known to be short without counting.
    if text.len() <= most {
        return;
    }
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn finding(rule: &str, setting: &str, message: &str) -> Finding {
        Finding {
            rule: rule.to_owned(),
            severity: Severity::Warning,
            setting: Some(setting.to_owned()),
            value: None,
            effective: None,
            httpd: None,
            message: message.to_owned(),
            hint: String::new(),
            waived: false,
            standing: false,
        }
    }

    fn line(file: &str, line: u32) -> Overridden {
        Overridden {
            setting: "KeepAlive".to_owned(),
            wanted: "On".to_owned(),
            effective: "Off".to_owned(),
            file: file.to_owned(),
            line,
            scope: format!("host{line}"),
        }
    }

    #[test]
    fn of_a_thousand_findings_alike_ten_are_told_and_the_others_counted() {
        for (given, told, last) in
            [(20, 20, "n19"), (21, 11, "and 11 more like these"), (1000, 11, "and 990 more like these")]
        {
            let mut list: Vec<Finding> =
                (0..given).map(|n| finding("OVR-002", "keepalive.enabled", &format!("n{n}"))).collect();
            list.push(finding("OVR-002", "keepalive.timeout", "other"));
            for _ in 0..2 {
                findings(&mut list);
                assert_eq!(list.len(), told + 1, "{given}");
                assert_eq!(list[told - 1].message, last, "{given}");
                assert_eq!(list[told].message, "other");
            }
        }
    }

    #[test]
    fn of_a_thousand_lines_that_win_ten_of_a_file_and_fifty_in_all_are_listed() {
        let mut one: Vec<Overridden> = (0..1007).map(|number| line("mass.conf", number)).collect();
        overridden(&mut one);
        assert_eq!((one.len(), one[10].scope.as_str()), (11, "and 997 more in this file"));

        let mut many: Vec<Overridden> =
            (0..500).map(|number| line(&format!("{number:03}.conf"), 1)).collect();
        overridden(&mut many);
        assert_eq!(many.len(), 51);
        assert_eq!(many[50].scope, "and 450 more in 450 files, of which this is the first");
        assert_eq!(many[50].file, "050.conf");

        let mut few: Vec<Overridden> = (0..10).map(|number| line("few.conf", number)).collect();
        overridden(&mut few);
        assert_eq!(few, (0..10).map(|number| line("few.conf", number)).collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut list = vec![finding("GRM-001", "x", &"ä".repeat(3000))];
        list[0].value = Some("ö".repeat(400));
        findings(&mut list);
        assert_eq!(list[0].message.chars().count(), 2001);
        assert_eq!(list[0].value.as_ref().unwrap().chars().count(), 301);
    }
}
