//! Keeps what is said about bad parameters short, and the work on it linear, however bad they are.

use crate::report::ParameterError;

/// The largest parameters that are read, in bytes; a task's are a few kilobytes.
pub const LARGEST_INPUT: u64 = 16 * 1024 * 1024;

/// The longest text that one parameter may hold, in bytes: httpd's own limit of a line was that for long, and no
/// command, address or path needs more.
pub(crate) const LONGEST_TEXT: usize = 8190;

/// The most errors that are told of one object or list.
pub(crate) const MOST_IN_ONE_PLACE: usize = 20;

/// Beyond so many errors nothing more is looked for.
pub(super) const ENOUGH: usize = 1000;

/// The most errors that are told, and the most bytes that they take as JSON.
const MOST_ERRORS: usize = 50;
const MOST_BYTES: usize = 24 * 1024;

/// The most characters of a value or a key that a message shows.
const MOST_SHOWN: usize = 80;

/// The most characters of one message: only the list of known names comes near it.
const LONGEST_MESSAGE: usize = 2000;

/// Returns text cut where it is long, the rest marked by `…`.
pub(crate) fn cut(text: &str) -> String {
    cut_at(text, MOST_SHOWN)
}

fn cut_at(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns the error that stands for `more` others at `path`, which are `what`.
pub(crate) fn and_more(path: &str, more: usize, what: &str) -> ParameterError {
    let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
    ParameterError { path: path.to_owned(), message: format!("and {more} more {what}{place}") }
}

/// Returns the first errors, as many as a person reads; one at the end says how many there are besides.
pub(super) fn readable(mut errors: Vec<ParameterError>) -> Vec<ParameterError> {
    let mut bytes = 0;
    let mut kept = 0;
    for error in errors.iter_mut().take(MOST_ERRORS) {
        error.path = cut_at(&error.path, 2 * MOST_SHOWN);
        error.message = cut_at(&error.message, LONGEST_MESSAGE);
        // What is escaped needs as much as six times its own length.
        bytes += serde_json::to_string(error).map_or(0, |text| text.len());
        if bytes > MOST_BYTES && kept > 0 {
            break;
        }
        kept += 1;
    }
    let more = errors.len() - kept;
    if more > 0 {
        errors.truncate(kept);
        errors.push(and_more("", more, "errors; correct these first"));
    }
    errors
}
