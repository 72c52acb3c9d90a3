//! Blocks of lines between two marker lines, and managed lines taken over: how a file that is not ours alone is
//! edited with every other byte kept.
//!
//! A block looks like this, and its markers are all that identifies it:
//!
//! ```text
//! # BEGIN apache-tuning mpm. These lines are written by apache-tuning (webfleet.apache.tuning);
//! # change the task's parameters instead: lines between the markers are replaced by the next run.
//! ...
//! # END apache-tuning mpm.
//! ```

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

/// Returns the marker line that opens the block of a feature.
fn opening(name: &str) -> String {
    format!("# BEGIN apache-tuning {name}.")
}

/// Returns the marker line that closes it.
fn closing(name: &str) -> String {
    format!("# END apache-tuning {name}.")
}

/// Returns `text` with the block of `name` holding `body`, or without it for `None`.
///
/// An existing block is replaced where it stands; a new one goes to the end. A second block of the same name, left
/// by a merge, goes. A marker without its partner is an ordinary comment and stays.
pub fn put(text: &[u8], name: &str, body: Option<&str>) -> Vec<u8> {
    let rendered = body.map(|body| {
        format!(
            "{} These lines are written by apache-tuning (webfleet.apache.tuning);\n\
             # change the task's parameters instead: lines between the markers are replaced by the next run.\n\
             {}{}\n",
            opening(name),
            body,
            closing(name)
        )
    });
    let found = ranges(text, name);
    let mut out = Vec::with_capacity(text.len() + rendered.as_ref().map_or(0, String::len));
    let mut at = 0;
    for (index, range) in found.iter().enumerate() {
        out.extend_from_slice(&text[at..range.start]);
        if index == 0
            && let Some(rendered) = &rendered
        {
            out.extend_from_slice(rendered.as_bytes());
        }
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    if found.is_empty()
        && let Some(rendered) = &rendered
    {
        out.extend_from_slice(line_end(&out).as_bytes());
        out.extend_from_slice(rendered.as_bytes());
    }
    out
}

/// Tells whether `text` has the block of `name`.
pub fn has(text: &[u8], name: &str) -> bool {
    !ranges(text, name).is_empty()
}

/// Returns the first word of each line in the first block of `name`.
pub fn first_words<'a>(text: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let block = block(text, name).unwrap_or_default();
    logical_lines(block).map(move |line| first_word(&block[line]))
}

/// Returns where the first block of `name` starts.
pub fn start(text: &[u8], name: &str) -> Option<usize> {
    Some(ranges(text, name).first()?.start)
}

/// Returns where the first marker line of this tool stands, whatever the block's name.
pub fn first(text: &[u8]) -> Option<usize> {
    lines(text).find(|line| text[line.clone()].starts_with(b"# BEGIN apache-tuning ")).map(|line| line.start)
}

/// Returns where the blocks of `name` stand, markers and line ends included.
fn ranges(text: &[u8], name: &str) -> Vec<Range<usize>> {
    let (opening, closing) = (opening(name), closing(name));
    let mut found = Vec::new();
    let mut open = None;
    for line in lines(text) {
        let content = text[line.clone()].trim_ascii();
        if content.starts_with(opening.as_bytes()) {
            open = Some(line.start);
        } else if content == closing.as_bytes()
            && let Some(start) = open.take()
        {
            found.push(start..line.end);
        }
    }
    found
}

/// Returns the physical lines, line ends included.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < text.len()).then(|| {
            let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at + 1);
            let line = start..end;
            start = end;
            line
        })
    })
}

/// Returns the lines as httpd joins them: with those that continue them, line ends included.
pub fn logical_lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut physical = lines(text);
    std::iter::from_fn(move || {
        let mut logical = physical.next()?;
        while continued(&text[logical.clone()])
            && let Some(next) = physical.next()
        {
            logical.end = next.end;
        }
        Some(logical)
    })
}

/// Returns what has to follow `text` before a line of its own can: nothing, or line ends where the last line has
/// none or would be continued.
pub fn line_end(text: &[u8]) -> &'static str {
    if text.is_empty() {
        return "";
    }
    // Only the last line is looked at: this is asked for every line of a file that is put together.
    let before = text.strip_suffix(b"\n").unwrap_or(text);
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    match (text.ends_with(b"\n"), continued(&text[start..])) {
        (true, false) => "",
        (true, true) | (false, false) => "\n",
        (false, true) => "\n\n",
    }
}

/// Returns `text` without the lines that [`managed`] finds. All else stays byte for byte.
pub fn take_over(
    text: &[u8],
    name: &str,
    ours: impl Fn(&[u8]) -> bool,
    inside: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (line, _) in managed(text, name, ours, inside) {
        out.extend_from_slice(&text[at..line.start]);
        at = line.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// Returns the lines that set one of the directives that `ours` accepts, outside the block of `name`, and whether
/// each stands in a section.
///
/// Only lines that httpd would read as part of the file itself or of a section that `inside` accepts count: `inside`
/// is asked with the section's opening line. Continuation lines belong to the line they continue.
pub fn managed(
    text: &[u8],
    name: &str,
    ours: impl Fn(&[u8]) -> bool,
    inside: impl Fn(&[u8]) -> bool,
) -> Vec<(Range<usize>, bool)> {
    let blocks = ranges(text, name);
    let mut found = Vec::new();
    // One entry an open section: whether lines in it are read.
    let mut sections: Vec<bool> = Vec::new();
    for logical in logical_lines(text) {
        let content = text[logical.clone()].trim_ascii_start();
        let word = first_word(content);
        let in_block = blocks.iter().any(|block| block.contains(&logical.start));
        if word.starts_with(b"</") {
            sections.pop();
        } else if word.starts_with(b"<") {
            sections.push(inside(content.trim_ascii_end()));
        } else if !in_block && sections.iter().all(|read| *read) && ours(word) {
            found.push((logical, !sections.is_empty()));
        }
    }
    found
}

/// The lines of a file up to which the shortest difference is looked for.
const MOST_FOR_SHORTEST: usize = 2000;

/// Returns `now` with those lines of `was` put back where they stood that `wanted` accepts and that are gone since: the
/// lines taken over are given back, and what another program or person changed meanwhile stays as it is. A directive that stands
/// anew where its old line was is not put back.
///
/// `wanted` is asked with a logical line and the opening lines of the sections around it.
pub fn give_back(was: &[u8], now: &[u8], wanted: impl Fn(&[u8], &[&[u8]]) -> bool) -> Vec<u8> {
    // What is compared is what stays on either side: a line to give back never decides what the others are taken for.
    let mut stays: Vec<&[u8]> = Vec::new();
    // Each line to give back, behind how many of those that stay.
    let mut gone: Vec<(usize, &[u8])> = Vec::new();
    let mut sections: Vec<&[u8]> = Vec::new();
    for range in logical_lines(was) {
        let line = &was[range];
        let content = line.trim_ascii();
        if wanted(content, &sections) {
            gone.push((stays.len(), line));
        } else {
            stays.push(line);
        }
        if content.starts_with(b"</") {
            sections.pop();
        } else if content.starts_with(b"<") {
            sections.push(content);
        }
    }
    let new: Vec<&[u8]> = logical_lines(now).map(|line| &now[line]).collect();
    // A last line is the same with and without its end.
    let mut input: InternedInput<&[u8]> = InternedInput::default();
    input.update_before(stays.iter().map(|line| without_end(line)));
    input.update_after(new.iter().map(|line| without_end(line)));
    // The shortest difference: lines that are all still there are all found again, however alike they are. It takes time
    // by the square of what differs, so a file that was made huge gets a good difference rather than the shortest.
    let huge = stays.len().max(new.len()) > MOST_FOR_SHORTEST;
    let diff = Diff::compute(if huge { Algorithm::Histogram } else { Algorithm::MyersMinimal }, &input);
    let mut out = Vec::with_capacity(now.len() + was.len());
    let put = |out: &mut Vec<u8>, line: &[u8]| {
        out.extend_from_slice(line_end(out).as_bytes());
        out.extend_from_slice(line);
    };
    let mut gone = gone.into_iter().peekable();
    // Gives back the lines that stood behind at most `upto` of those that stay, without those that `added` sets anew.
    let mut give = |out: &mut Vec<u8>, upto: usize, added: &[&[u8]]| {
        while let Some((_, line)) = gone.next_if(|(behind, _)| *behind <= upto) {
            if !added.iter().any(|added| first_word(added).eq_ignore_ascii_case(first_word(line))) {
                put(out, line);
            }
        }
    };
    // How many of the lines that stay, and of those that are there now, are passed.
    let (mut old, mut at) = (0, 0);
    for hunk in diff.hunks() {
        let (before, after) = (hunk.before.start as usize..hunk.before.end as usize, hunk.after.clone());
        for line in &new[at..after.start as usize] {
            give(&mut out, old, &[]);
            put(&mut out, line);
            old += 1;
        }
        let added = &new[after.start as usize..after.end as usize];
        // What was there behind the last of lines that others took the place of stands behind those now.
        give(&mut out, before.start.max(before.end.saturating_sub(1)), added);
        for line in added {
            put(&mut out, line);
        }
        give(&mut out, before.end, added);
        (old, at) = (before.end, after.end as usize);
    }
    for line in &new[at..] {
        give(&mut out, old, &[]);
        put(&mut out, line);
        old += 1;
    }
    give(&mut out, usize::MAX, &[]);
    out
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Returns the first word of a line.
pub fn first_word(line: &[u8]) -> &[u8] {
    line.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

/// Returns the first block of `name`, markers included.
pub fn block<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Some(&text[ranges(text, name).into_iter().next()?])
}

/// Tells whether a physical line is continued by the next one.
fn continued(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.ends_with(b"\\")
}

/// Returns a value as one argument of a directive: plain where that is enough, else quoted with `"` and `\` escaped.
/// Control characters never get here: the parameters' validation refuses them.
pub fn argument(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,:/@%+=*?".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn very_many_foreign_lines_stay_and_ours_come_back() {
        let was = "# head\nMaxRequestWorkers 150\n# tail\n";
        let foreign: String = (0..100_000).map(|n| format!("RewriteRule ^/{n} /{}\n", n % 7)).collect();
        let now = format!("# head\n{foreign}# tail\n");
        let back = give_back(was.as_bytes(), now.as_bytes(), |line, _| line.starts_with(b"MaxRequest"));
        assert!(back == format!("# head\nMaxRequestWorkers 150\n{foreign}# tail\n").as_bytes());
    }

    const STOCK: &str =
        "# event MPM\n<IfModule mpm_event_module>\n\tStartServers\t2\n\tMutex default\n</IfModule>\n";

    #[test]
    fn a_block_is_added_replaced_and_taken_out_with_all_else_kept() {
        let with = put(STOCK.as_bytes(), "mpm", Some("ServerLimit 17\n"));
        assert!(with.starts_with(STOCK.as_bytes()));
        assert!(has(&with, "mpm") && !has(&with, "keepalive"));
        let again = put(&with, "mpm", Some("ServerLimit 18\n"));
        assert_eq!(String::from_utf8(again.clone()).unwrap().matches("ServerLimit").count(), 1);
        assert_eq!(put(&again, "mpm", None), STOCK.as_bytes());
        for (text, want) in
            [("", ""), ("a\n", ""), ("a", "\n"), ("a \\\n", "\n"), ("a \\\r\n", "\n"), ("a \\", "\n\n")]
        {
            assert_eq!(line_end(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn managed_lines_are_taken_over_only_where_httpd_reads_them() {
        let ours = |word: &[u8]| word.eq_ignore_ascii_case(b"StartServers");
        let inside = |section: &[u8]| section == b"<IfModule mpm_event_module>";
        for (text, want) in [
            (STOCK, "# event MPM\n<IfModule mpm_event_module>\n\tMutex default\n</IfModule>\n"),
            ("startservers 2\r\nListen 80\r\n", "Listen 80\r\n"),
            ("StartServers \\\n  2\nListen 80", "Listen 80"),
            ("# StartServers 2\n", "# StartServers 2\n"),
            ("# note \\\nStartServers 2\n", "# note \\\nStartServers 2\n"),
            (
                "<IfModule prefork.c>\nStartServers 5\n</IfModule>\n",
                "<IfModule prefork.c>\nStartServers 5\n</IfModule>\n",
            ),
            ("StartServersX 2\n", "StartServersX 2\n"),
        ] {
            let got = take_over(text.as_bytes(), "mpm", ours, inside);
            assert_eq!(String::from_utf8(got).unwrap(), want, "{text:?}");
        }
        let block = put(b"", "mpm", Some("StartServers 2\n"));
        assert_eq!(take_over(&block, "mpm", ours, inside), block);
    }

    #[test]
    fn lines_taken_over_are_given_back_where_they_stood() {
        let stock = STOCK.replace("\tMutex", "\tThreadLimit\t64\n\tMutex");
        let ours = |word: &[u8]| [&b"StartServers"[..], b"ThreadLimit"].contains(&word);
        let wanted = |line: &[u8], _: &[&[u8]]| ours(first_word(line));
        let taken = take_over(stock.as_bytes(), "mpm", ours, |_| true);
        assert_eq!(give_back(stock.as_bytes(), &taken, wanted), stock.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for (edit, with) in [
            (
                "# mine\n# event MPM\n",
                "# mine\n# event MPM\n<IfModule mpm_event_module>\n\tStartServers\t2\n\tThreadLimit",
            ),
            (
                "# event MPM\n# mine\n",
                "# mine\n<IfModule mpm_event_module>\n\tStartServers\t2\n\tThreadLimit\t64\n",
            ),
        ] {
            let edited = text(&taken).replace("# event MPM\n", edit);
            let back = text(&give_back(stock.as_bytes(), edited.as_bytes(), wanted));
            assert!(back.contains(with), "{back}");
            assert_eq!(back.replace(edit, "# event MPM\n"), stock);
        }
        // Another person set one of them anew in its place, and took a comment of the package out.
        let edited =
            text(&taken).replace("\tMutex", "\tThreadLimit\t99\n\tMutex").replace("# event MPM\n", "");
        let back = text(&give_back(stock.as_bytes(), edited.as_bytes(), wanted));
        assert_eq!(
            back,
            "<IfModule mpm_event_module>\n\tStartServers\t2\n\tThreadLimit\t99\n\tMutex default\n</IfModule>\n"
        );
        // Lines alike around those given back, which a diff could take for each other.
        let alike = b"StartServers 2\n# a\nStartServers 2\n# a\n# a\nStartServers 2\n";
        let taken = take_over(alike, "mpm", ours, |_| true);
        assert_eq!(give_back(alike, &taken, wanted), alike);
        assert_eq!(give_back(alike, alike, wanted), alike);
        // Its section was renamed meanwhile: the line stays in it.
        assert_eq!(
            give_back(b"<IfModule a>\nStartServers 2\n</IfModule>\n", b"<IfModule b>\n</IfModule>\n", wanted),
            b"<IfModule b>\nStartServers 2\n</IfModule>\n"
        );
        // A last line without its end.
        assert_eq!(give_back(b"StartServers 2", b"x", wanted), b"StartServers 2\nx");
        assert_eq!(give_back(b"a\nStartServers 2", b"a", wanted), b"a\nStartServers 2");
    }

    proptest! {
        #[test]
        fn what_was_taken_over_comes_back_whatever_else_was_added(
            text in "((StartServers 2|# a|Listen 80|<IfModule mpm_event_module>|</IfModule>|)\n){0,12}",
            added in "(# [a-z]{1,5}\n){0,3}",
        ) {
            let ours = |word: &[u8]| word == b"StartServers";
            let wanted = |line: &[u8], _: &[&[u8]]| ours(first_word(line));
            let taken = take_over(text.as_bytes(), "mpm", ours, |_| true);
            let count = |text: &[u8]| text.split(|byte| *byte == b'\n').filter(|line| ours(first_word(line))).count();
            let back = give_back(text.as_bytes(), &taken, wanted);
            prop_assert_eq!(&back, text.as_bytes());
            let more = [&taken[..], added.as_bytes()].concat();
            let back = give_back(text.as_bytes(), &more, wanted);
            prop_assert_eq!(count(&back), text.matches("StartServers").count());
            let again = give_back(text.as_bytes(), text.as_bytes(), wanted);
            prop_assert_eq!(&again, text.as_bytes());
        }

        #[test]
        fn putting_twice_equals_putting_once(text in "(#? ?[a-zA-Z<>/ ]{0,12}\r?\n){0,12}", body in "([a-z ]{1,9}\n){0,3}") {
            let once = put(text.as_bytes(), "mpm", Some(&body));
            prop_assert_eq!(&put(&once, "mpm", Some(&body)), &once);
            prop_assert!(has(&once, "mpm"));
            let taken = put(&once, "mpm", None);
            prop_assert_eq!(taken, text.into_bytes());
        }

        #[test]
        fn a_value_stays_one_argument(value in "\\PC{0,20}") {
            let written = argument(&value);
            prop_assert!(!written.contains('\n'));
            if written.starts_with('"') {
                let inner = written[1..written.len() - 1].replace("\\\\", "\u{1}").replace("\\\"", "\u{2}");
                prop_assert!(!inner.contains('"') && !inner.ends_with('\\'), "{}", written);
                prop_assert_eq!(inner.replace('\u{1}', "\\").replace('\u{2}', "\""), value);
            } else {
                prop_assert_eq!(written, value);
            }
        }
    }
}
