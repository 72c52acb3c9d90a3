//! The variables that a start script reads before httpd, without running a shell.
//!
//! Debian's `envvars` is a shell script. As shipped it holds assignments, `export`, `unset`, and one `if` that
//! derives a suffix from the configuration directory's name. That much is evaluated; whatever else stands there
//! could mean anything and is reported.

use std::collections::BTreeMap;

/// A line that only a shell could evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Construct {
    /// Its 1-based line.
    pub line: u32,
    /// The line, cut at both ends.
    pub text: String,
}

/// What a file of variables sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envvars {
    /// The variables that httpd sees: exported ones, and those it was given that are still set.
    pub environment: BTreeMap<String, String>,
    /// What was not evaluated.
    pub constructs: Vec<Construct>,
}

/// Reads a file of variables on top of an environment.
///
/// `given` is what the start script itself is given, such as `APACHE_CONFDIR` for a second instance.
pub fn read(content: &[u8], given: &BTreeMap<String, String>) -> Envvars {
    let text = String::from_utf8_lossy(content);
    let mut shell = Shell {
        values: given.clone(),
        exported: given.keys().cloned().collect(),
        constructs: Vec::new(),
        branches: Vec::new(),
        left_out: 0,
        unknown: 0,
    };
    let mut lines = text.lines().zip(1_u32..);
    while let Some((line, number)) = lines.next() {
        let mut line = line.trim().to_owned();
        while line.ends_with('\\') && !line.starts_with('#') {
            line.pop();
            let Some((next, _)) = lines.next() else { break };
            line.push_str(next);
        }
        shell.line(line.trim(), number);
    }
    let Shell { mut values, exported, constructs, .. } = shell;
    values.retain(|name, _| exported.contains(name));
    Envvars { environment: values, constructs }
}

/// The state of reading.
struct Shell {
    values: BTreeMap<String, String>,
    exported: std::collections::BTreeSet<String>,
    constructs: Vec<Construct>,
    /// For each open `if`, whether its lines count.
    branches: Vec<Branch>,
    /// How many of them are not taken, and how many are not understood: counted, because a file may open very many.
    left_out: usize,
    unknown: usize,
}

/// Where an `if` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    Taken,
    /// The lines are left out; the other branch, if there is one, is taken.
    Skipped,
    /// The condition is not understood: no line of either branch counts.
    Unknown,
}

impl Shell {
    fn line(&mut self, line: &str, number: u32) {
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        if let Some(condition) = line.strip_prefix("if ") {
            let branch = match self.condition(condition) {
                _ if self.left_out > 0 => Branch::Unknown,
                Some(true) => Branch::Taken,
                Some(false) => Branch::Skipped,
                None => {
                    self.report(line, number);
                    Branch::Unknown
                }
            };
            self.open(branch);
            return;
        }
        match line.trim_end_matches([';', ' ']) {
            "then" => return,
            "else" => {
                if let Some(branch) = self.close() {
                    self.open(match branch {
                        Branch::Taken => Branch::Skipped,
                        Branch::Skipped => Branch::Taken,
                        Branch::Unknown => Branch::Unknown,
                    });
                }
                return;
            }
            "fi" => {
                self.close();
                return;
            }
            _ => {}
        }
        if self.left_out > 0 {
            // What an unknown branch would set is reported, what a false one would set is not.
            if self.unknown > 0 {
                self.report(line, number);
            }
            return;
        }
        if self.command(line).is_none() {
            self.report(line, number);
        }
    }

    fn open(&mut self, branch: Branch) {
        self.left_out += usize::from(branch != Branch::Taken);
        self.unknown += usize::from(branch == Branch::Unknown);
        self.branches.push(branch);
    }

    fn close(&mut self) -> Option<Branch> {
        let branch = self.branches.pop()?;
        self.left_out -= usize::from(branch != Branch::Taken);
        self.unknown -= usize::from(branch == Branch::Unknown);
        Some(branch)
    }

    fn report(&mut self, line: &str, number: u32) {
        self.constructs.push(Construct { line: number, text: line.to_owned() });
    }

    /// Evaluates `[ "A" != "B" ]` and `[ "A" = "B" ]`, with or without `; then` behind it.
    fn condition(&self, text: &str) -> Option<bool> {
        let text = text.trim_end();
        let text = text.strip_suffix("then").map_or(text, str::trim_end);
        let text = text.trim_end_matches([';', ' ']);
        let inner = text.strip_prefix("[ ")?.strip_suffix(" ]")?;
        let (left, rest) = self.word(inner.trim_start())?;
        let rest = rest.trim_start();
        let (negated, rest) = match rest.strip_prefix("!=") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?),
        };
        let (right, rest) = self.word(rest.trim_start())?;
        rest.trim().is_empty().then_some((left == right) != negated)
    }

    /// Carries out assignments, `export` and `unset`; `None` for everything else.
    fn command(&mut self, line: &str) -> Option<()> {
        let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match verb {
            "export" => self.assignments(rest, true),
            "unset" => {
                let names: Vec<&str> =
                    rest.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
                if names.is_empty() || !names.iter().all(|name| is_name(name)) {
                    return None;
                }
                for name in names {
                    self.values.remove(name);
                    self.exported.remove(name);
                }
                Some(())
            }
            // `: "${NAME:=default}"` is how scripts give a default.
            ":" => {
                let (_, rest) = self.default(rest.trim_start())?;
                is_end(rest).then_some(())
            }
            _ => self.assignments(line, false),
        }
    }

    fn assignments(&mut self, mut text: &str, export: bool) -> Option<()> {
        let mut found = Vec::new();
        loop {
            text = text.trim_start();
            if is_end(text) {
                break;
            }
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            if !is_name(name) {
                return None;
            }
            if let Some(value) = rest.strip_prefix('=') {
                let (value, rest) = self.word(value)?;
                found.push((name.to_owned(), Some(value)));
                text = rest;
            } else if export {
                found.push((name.to_owned(), None));
                text = rest;
            } else {
                return None;
            }
            if !text.is_empty() && !text.starts_with([' ', '\t', ';']) {
                return None;
            }
        }
        if found.is_empty() {
            return None;
        }
        for (name, value) in found {
            if let Some(value) = value {
                self.values.insert(name.clone(), value);
            }
            if export {
                self.exported.insert(name);
            }
        }
        Some(())
    }

    /// Carries out `"${NAME:=value}"` or `${NAME:=value}`.
    fn default<'t>(&mut self, text: &'t str) -> Option<(String, &'t str)> {
        let bare = text.strip_prefix('"').unwrap_or(text);
        let inner = bare.strip_prefix("${")?;
        let (body, rest) = inner.split_once('}')?;
        let rest = if bare.len() < text.len() { rest.strip_prefix('"')? } else { rest };
        let (name, value) = body.split_once(":=")?;
        if !is_name(name) || value.contains(['$', '`', '"', '\'', '\\']) {
            return None;
        }
        if self.values.get(name).is_none_or(String::is_empty) {
            self.values.insert(name.to_owned(), value.to_owned());
        }
        Some((value.to_owned(), rest))
    }

    /// Takes one shell word and expands the variables in it.
    fn word<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        let mut value = String::new();
        let mut rest = text;
        let mut quoted = false;
        loop {
            let Some(first) = rest.chars().next() else {
                return (!quoted).then_some((value, rest));
            };
            let after = &rest[first.len_utf8()..];
            match first {
                '"' => quoted = !quoted,
                '\'' if !quoted => {
                    let (literal, behind) = after.split_once('\'')?;
                    value.push_str(literal);
                    rest = behind;
                    continue;
                }
                '\\' => {
                    let escaped = after.chars().next()?;
                    if quoted && !matches!(escaped, '$' | '`' | '"' | '\\') {
                        value.push('\\');
                    }
                    value.push(escaped);
                    rest = &after[escaped.len_utf8()..];
                    continue;
                }
                '$' => {
                    let (expanded, behind) = self.variable(after)?;
                    // Without quotes the shell would split the value and look for file names in it.
                    value.push_str(&expanded);
                    rest = behind;
                    continue;
                }
                '`' => return None,
                ' ' | '\t' | ';' if !quoted => return Some((value, rest)),
                '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '[' if !quoted => return None,
                '~' if !quoted && value.is_empty() => return None,
                other => value.push(other),
            }
            rest = after;
        }
    }

    /// Takes what follows a `$`: `NAME`, `{NAME}`, `{NAME:-default}`, `{NAME-default}` or `{NAME##text}`.
    fn variable<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        let Some(inner) = text.strip_prefix('{') else {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            return is_name(name).then(|| (self.values.get(name).cloned().unwrap_or_default(), rest));
        };
        let (body, rest) = inner.split_once('}')?;
        let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
        let (name, operation) = body.split_at(end);
        let value = self.values.get(name);
        let plain = |text: &str| !text.contains(['$', '`', '"', '\'', '\\', '*', '?', '[']);
        if !is_name(name) {
            return None;
        }
        let expanded = if operation.is_empty() {
            value.cloned().unwrap_or_default()
        } else if let Some(default) = operation.strip_prefix(":-").filter(|text| plain(text)) {
            value.filter(|value| !value.is_empty()).cloned().unwrap_or_else(|| default.to_owned())
        } else if let Some(prefix) = operation.strip_prefix('#').filter(|text| plain(text)) {
            let prefix = prefix.strip_prefix('#').unwrap_or(prefix);
            let value = value.map_or("", String::as_str);
            value.strip_prefix(prefix).unwrap_or(value).to_owned()
        } else if let Some(default) = operation.strip_prefix('-').filter(|text| plain(text)) {
            value.cloned().unwrap_or_else(|| default.to_owned())
        } else {
            return None;
        };
        Some((expanded, rest))
    }
}

/// Tells whether nothing but a comment or semicolons is left.
fn is_end(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t', ';']);
    text.is_empty() || text.starts_with('#')
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str, given: &[(&str, &str)]) -> (Vec<String>, Vec<(u32, String)>) {
        let given = given.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let found = read(text.as_bytes(), &given);
        (
            found.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            found.constructs.into_iter().map(|construct| (construct.line, construct.text)).collect(),
        )
    }

    const DEBIAN: &str = "# envvars - default environment variables for apache2ctl\n\
        \n\
        unset HOME\n\
        if [ \"${APACHE_CONFDIR##/etc/apache2-}\" != \"${APACHE_CONFDIR}\" ] ; then\n\
        \tSUFFIX=\"-${APACHE_CONFDIR##/etc/apache2-}\"\n\
        else\n\
        \tSUFFIX=\n\
        fi\n\
        export APACHE_RUN_USER=www-data\n\
        export APACHE_PID_FILE=/var/run/apache2$SUFFIX/apache2.pid\n\
        export APACHE_RUN_DIR=/var/run/apache2$SUFFIX\n\
        export LANG=C\n\
        export LANG\n\
        #. /etc/default/locale\n";

    #[test]
    fn debians_file_is_read_for_the_first_and_for_a_second_instance() {
        let (first, constructs) = environment(DEBIAN, &[("HOME", "/root")]);
        assert_eq!(constructs, []);
        assert_eq!(
            first,
            [
                "APACHE_PID_FILE=/var/run/apache2/apache2.pid",
                "APACHE_RUN_DIR=/var/run/apache2",
                "APACHE_RUN_USER=www-data",
                "LANG=C",
            ]
        );
        let (second, _) = environment(DEBIAN, &[("APACHE_CONFDIR", "/etc/apache2-two")]);
        assert!(second.contains(&"APACHE_RUN_DIR=/var/run/apache2-two".to_owned()), "{second:?}");
    }

    #[test]
    fn plain_assignments_are_evaluated_and_shell_is_reported() {
        for (text, expected, reported) in [
            ("export A=b", &["A=b"][..], &[][..]),
            ("A=b\nexport A", &["A=b"], &[]),
            ("A=b", &[], &[]),
            ("export A='x $y' B=\"$C z\" # note", &["A=x $y", "B= z"], &[]),
            ("A=1; export A", &[], &[1]),
            ("export A=1;", &["A=1"], &[]),
            (": \"${A:=y}\"\nexport A", &["A=y"], &[]),
            (": ${A:=y}\nexport A", &["A=y"], &[]),
            ("export A=${B:-d}", &["A=d"], &[]),
            ("export A=a\\\nb", &["A=ab"], &[]),
            ("export A=`hostname`", &[], &[1]),
            ("export A=$(hostname)", &[], &[1]),
            (". /etc/default/locale", &[], &[1]),
            ("ulimit -n 8192", &[], &[1]),
            ("[ -f x ] && export A=b", &[], &[1]),
            ("if [ -f /x ]; then\nexport A=b\nelse\nexport A=c\nfi\nexport D=e", &["D=e"], &[1, 2, 4]),
            ("if [ \"a\" = \"b\" ]; then\nexport A=b\nfi", &[], &[]),
            ("export A=b\nunset A", &[], &[]),
            ("export A=${B/x/y}", &[], &[1]),
            ("export A=\"open", &[], &[1]),
        ] {
            let (found, constructs) = environment(text, &[]);
            assert_eq!(found, expected, "{text}");
            assert_eq!(constructs.iter().map(|(line, _)| *line).collect::<Vec<_>>(), reported, "{text}");
        }
    }

    #[test]
    fn very_many_nested_conditions_are_read_in_one_pass() {
        // Looking at all open ones for each line would be 10^10 steps here.
        let text = format!(
            "{}export A=deep\n{}export B=out\n",
            "if [ a = a ]; then\n".repeat(200_000),
            "fi\n".repeat(200_000)
        );
        assert_eq!(environment(&text, &[]), (vec!["A=deep".into(), "B=out".into()], vec![]));
    }
}
