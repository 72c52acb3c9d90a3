//! What the words of a command stand for.

use super::lex::{Change, Part, Word};
use super::{Shell, glob};

impl Shell<'_> {
    /// Returns the fields of words; `None` where they are not known.
    pub(super) fn fields_of(&mut self, words: &[Word]) -> Option<Vec<String>> {
        let mut all = Vec::new();
        let mut known = true;
        for word in words {
            // All of them are looked at: each may set a default.
            match self.fields(word) {
                Some(fields) => all.extend(fields),
                None => known = false,
            }
        }
        known.then_some(all)
    }

    fn fields(&mut self, word: &Word) -> Option<Vec<String>> {
        let mut fields: Vec<(String, bool)> = Vec::new();
        // The field that is being put together, and whether it is a pattern.
        let mut open: Option<(String, bool)> = word.quoted.then(Default::default);
        let mut known = true;
        for part in &word.parts {
            match part {
                Part::Opaque => known = false,
                Part::Text { text, quoted } => {
                    let (field, pattern) = open.get_or_insert_default();
                    field.push_str(text);
                    *pattern |= !quoted && glob::is_pattern(text);
                }
                Part::Variable { name, change, quoted } => {
                    let Some(value) = self.variable(name, change.as_ref()) else {
                        known = false;
                        continue;
                    };
                    if *quoted {
                        open.get_or_insert_default().0.push_str(&value);
                        continue;
                    }
                    let ends = |at: Option<char>| at.is_some_and(char::is_whitespace);
                    if ends(value.chars().next()) {
                        fields.extend(open.take());
                    }
                    for (count, piece) in value.split_whitespace().enumerate() {
                        if count > 0 {
                            fields.extend(open.take());
                        }
                        let (field, pattern) = open.get_or_insert_default();
                        field.push_str(piece);
                        *pattern |= glob::is_pattern(piece);
                    }
                    if ends(value.chars().next_back()) {
                        fields.extend(open.take());
                    }
                }
            }
        }
        if !known {
            return None;
        }
        fields.extend(open.filter(|(field, _)| !field.is_empty() || word.quoted));
        let mut all = Vec::new();
        for (field, pattern) in fields {
            if !pattern || field == "[" {
                all.push(field);
                continue;
            }
            match glob::expand(self.files, &field)? {
                found if found.is_empty() => all.push(field),
                found => all.extend(found),
            }
        }
        Some(all)
    }

    /// Returns the text of a word as an assignment takes it; `None` where it is not known.
    pub(super) fn text(&mut self, word: &Word) -> Option<String> {
        let mut text = Some(String::new());
        for part in &word.parts {
            let piece = match part {
                Part::Opaque => None,
                Part::Text { text, .. } => Some(text.clone()),
                Part::Variable { name, change, .. } => self.variable(name, change.as_ref()),
            };
            text = text.zip(piece).map(|(text, piece)| text + &piece);
        }
        text
    }

    /// Returns what a variable stands for; `None` where it is not known.
    fn variable(&mut self, name: &str, change: Option<&(Change, Word)>) -> Option<String> {
        let value = match self.values.get(name) {
            Some(None) => {
                // A default may set it all the same.
                if let Some((Change::Default { .. } | Change::Assign { .. }, word)) = change {
                    self.text(word);
                }
                return None;
            }
            None if self.read.unknown.every => return None,
            value => value.cloned().flatten(),
        };
        let Some((change, word)) = change else { return Some(value.unwrap_or_default()) };
        let given = |empty: bool| value.clone().filter(|value| !(empty && value.is_empty()));
        match *change {
            Change::Default { empty } => given(empty).map_or_else(|| self.text(word), Some),
            Change::Assign { empty } => {
                if let Some(value) = given(empty) {
                    Some(value)
                } else {
                    let text = self.text(word);
                    self.assign(name, text.clone());
                    text
                }
            }
            Change::Alternative { empty } => match given(empty) {
                Some(_) => self.text(word),
                None => Some(String::new()),
            },
            Change::Required { empty } => given(empty),
            Change::WithoutPrefix { longest } => {
                let (value, pattern) = (value.unwrap_or_default(), self.text(word)?);
                let cut = |at: &usize| value.is_char_boundary(*at) && glob::matches(&pattern, &value[..*at]);
                let mut ends = 0..=value.len();
                let at = if longest { ends.rev().find(cut) } else { ends.find(cut) };
                Some(value[at.unwrap_or(0)..].to_owned())
            }
            Change::WithoutSuffix { longest } => {
                let (value, pattern) = (value.unwrap_or_default(), self.text(word)?);
                let cut = |at: &usize| value.is_char_boundary(*at) && glob::matches(&pattern, &value[*at..]);
                let mut starts = 0..=value.len();
                let at = if longest { starts.find(cut) } else { starts.rev().find(cut) };
                Some(value[..at.unwrap_or(value.len())].to_owned())
            }
        }
    }
}
