//! What text is written to: whether it takes colour, and how wide it is.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

/// Where a command prints.
pub(super) struct Screen {
    /// Whether control sequences for colour are wanted.
    colour: bool,
    /// Columns; `None` where lines may have any length, as in a pipe.
    width: Option<usize>,
}

/// Fewer columns than these are no width to fold to: nearly every word would stand alone.
const NARROWEST: usize = 40;

impl Screen {
    /// Returns what standard output is: colour on a terminal where `NO_COLOR` is not set; the terminal's width, which
    /// `COLUMNS` gives for a pipe.
    pub(super) fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let columns = if terminal {
            rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col))
        } else {
            std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok())
        };
        Self {
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: columns.filter(|columns| *columns >= NARROWEST),
        }
    }

    /// Returns one without colour on which lines may have any length.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colour: false, width: None }
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn red(&self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn green(&self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn yellow(&self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    /// Folds the lines of a text between words, so that none is wider than the screen unless one word is. What does not
    /// fit goes on below the line's last column.
    pub(super) fn folded(&self, text: &str) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        text.split_inclusive('\n').map(|line| folded(line, width)).collect()
    }
}

/// Returns the columns that a text takes, without its control sequences.
fn columns(text: &str) -> usize {
    let mut count = 0;
    let mut in_sequence = false;
    for c in text.chars() {
        match c {
            '\x1b' => in_sequence = true,
            'm' if in_sequence => in_sequence = false,
            '\n' => {}
            _ if !in_sequence => count += 1,
            _ => {}
        }
    }
    count
}

/// Returns where the last column of a line begins in which there is room: behind the last two blanks of its left half.
fn last_column(line: &str, width: usize) -> usize {
    let (mut at, mut blanks, mut column) = (0, 0, 2);
    let mut in_sequence = false;
    for c in line.chars() {
        match c {
            '\x1b' => in_sequence = true,
            'm' if in_sequence => in_sequence = false,
            _ if in_sequence => {}
            _ => {
                if c != ' ' && blanks >= 2 && at <= width / 2 {
                    column = at;
                }
                blanks = if c == ' ' { blanks + 1 } else { 0 };
                at += 1;
            }
        }
    }
    column
}

fn folded(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let indent = last_column(line, width);
    let mut out = String::with_capacity(line.len() + 4 * indent);
    let (mut at, mut follows, mut went_on) = (0, false, false);
    for word in line.split(' ') {
        let long = columns(word);
        if follows && at > indent && at + 1 + long > width {
            let _ = write!(out, "\n{:indent$}", "");
            (at, follows, went_on) = (indent, false, true);
        }
        if went_on && !follows && word.is_empty() {
            continue;
        }
        if follows {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += long;
        follows = true;
    }
    out
}

/// Returns text that can only be read: control characters, which could command a terminal, are shown by name.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_below_its_last_column() {
        let screen = |width| Screen { colour: false, width };
        let line = "  ServerLimit  17  enough for the wanted workers and a few that are ending\n";
        assert_eq!(screen(None).folded(line), line);
        assert_eq!(screen(Some(80)).folded(line), line);
        assert_eq!(
            screen(Some(44)).folded(line),
            "  ServerLimit  17  enough for the wanted\n                   workers and a few that\n                   are ending\n"
        );
        assert_eq!(screen(Some(40)).folded(&"x".repeat(50)), "x".repeat(50));
    }

    #[test]
    fn control_sequences_take_no_room_and_every_word_stays() {
        let screen = Screen { colour: true, width: Some(40) };
        let text = format!("{}  {}", screen.red("error"), screen.dim(&"some words ".repeat(12)));
        let folded = screen.folded(&text);
        assert!(folded.lines().all(|line| columns(line) <= 40), "{folded}");
        assert!(folded.lines().skip(1).all(|line| line.starts_with("       ")), "{folded}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&folded), words(&text));
    }
}
