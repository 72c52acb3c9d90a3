//! `<Macro>` and `Use`: what `mod_macro` puts into the configuration.
//!
//! Source: `modules/core/mod_macro.c` of httpd 2.4.

use super::FileId;

/// A macro's definition.
pub(super) struct Macro {
    /// The file that defines it.
    pub(super) file: FileId,
    /// The names of its parameters, with their `$`, `%` or `@`.
    pub(super) parameters: Vec<Vec<u8>>,
    /// Its lines without comments, and the line each stands at.
    pub(super) lines: Vec<(Vec<u8>, u32)>,
}

/// The room `mod_macro` has for one line, in bytes.
const LINE_ROOM: usize = 8192;

impl Macro {
    /// Returns the parameters' fault that httpd refuses: an empty name or one given twice.
    pub(super) fn fault(&self) -> Option<String> {
        for (index, name) in self.parameters.iter().enumerate() {
            if name.is_empty() {
                return Some(format!("parameter {} has an empty name", index + 1));
            }
            if self.parameters[..index].contains(name) {
                return Some(format!("two parameters are called `{}`", crate::tree::text(name)));
            }
        }
        None
    }

    /// Returns the lines with each parameter replaced; `None` where a line gets longer than `mod_macro`
    /// has room for.
    pub(super) fn expand(&self, values: &[Vec<u8>]) -> Option<Vec<(Vec<u8>, u32)>> {
        self.lines
            .iter()
            .map(|(line, number)| self.replace(line, values).map(|line| (line, *number)))
            .collect()
    }

    /// Replaces from left to right; where two names begin at one place, the longest.
    fn replace(&self, line: &[u8], values: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut text = line.to_vec();
        let mut from = 0;
        while let Some((at, index)) = self.next_parameter(&text, from) {
            let (name, value) = (&self.parameters[index], &values[index]);
            if name != value {
                let value = if name[0] == b'@' { quoted(value) } else { value.clone() };
                text.splice(at..at + name.len(), value);
                // The line feed at its end and the closing NUL need room as well.
                if text.len() + 1 >= LINE_ROOM {
                    return None;
                }
            }
            // mod_macro goes on behind the bare value, without its quotes and escapes.
            from = (at + value.len()).min(text.len());
        }
        Some(text)
    }

    fn next_parameter(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = |name: &[u8]| memchr::memmem::find(&text[from..], name).map(|at| at + from);
        self.parameters
            .iter()
            .enumerate()
            .filter_map(|(index, name)| found(name).map(|at| (at, index)))
            .min_by_key(|&(at, index)| (at, std::cmp::Reverse(self.parameters[index].len())))
    }
}

/// Returns a value in double quotes.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expand(parameters: &[&str], line: &str, values: &[&str]) -> Option<String> {
        let list = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let macro_ =
            Macro { file: 0, parameters: list(parameters), lines: vec![(line.as_bytes().to_vec(), 1)] };
        let lines = macro_.expand(&list(values))?;
        Some(String::from_utf8(lines[0].0.clone()).unwrap())
    }

    #[test]
    fn parameters_are_replaced_as_mod_macro_does() {
        for (parameters, line, values, expected) in [
            (&["$n"][..], "MaxRequestWorkers $n", &["5"][..], "MaxRequestWorkers 5"),
            (&["$n", "$name"], "$name $n", &["1", "2"], "2 1"),
            (&["$a", "$b"], "$a$b", &["$b", "x"], "$bx"),
            (&["@p"], "DOSLogDir @p", &["a \"b\\"], "DOSLogDir \"a \\\"b\\\\\""),
            (&["%x"], "%x%x", &[""], ""),
            (&["$a"], "$a", &["$a"], "$a"),
            (&["word"], "a word in words", &["W"], "a W in Ws"),
            (&[], "KeepAlive Off", &[], "KeepAlive Off"),
        ] {
            assert_eq!(expand(parameters, line, values).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(expand(&["$a"], "$a$a", &[&"x".repeat(5000)]), None);
    }

    #[test]
    fn parameters_without_a_name_or_with_one_name_are_a_fault() {
        for (parameters, fault) in [(&["$a", "$b"][..], false), (&["$a", "$a"], true), (&[""], true)] {
            let parameters = parameters.iter().map(|name| name.as_bytes().to_vec()).collect();
            assert_eq!(Macro { file: 0, parameters, lines: Vec::new() }.fault().is_some(), fault);
        }
    }
}
