//! The format of an access log's lines: `LogFormat` as httpd reads it, turned round to read what it wrote.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

/// Debian's and httpd's own formats, the longest first.
pub const KNOWN: [(&str, &str); 5] = [
    ("vhost_combined", r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
    ("combined", r#"%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
    ("combinedio", r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#),
    ("common", r#"%h %l %u %t "%r" %>s %O"#),
    ("vhost_common", r#"%v %h %l %u %t "%r" %>s %b"#),
];

/// What of a line is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// `%h` or `%a`.
    Client,
    /// `%t`: the second at which the request began; its brackets belong to the text around it.
    Time,
    /// `%{sec}t`, `%{msec}t`, `%{usec}t`: the same as a number, in units of so many microseconds.
    Epoch(u64),
    /// `%{msec_frac}t`, `%{usec_frac}t`: the part of the second, in units of so many microseconds.
    Fraction(u64),
    /// `%D`, `%T` and their kin: the time that the request took, in units of so many microseconds.
    Took(u64),
    /// `%b`, `%B`: bytes of the body.
    Body,
    /// `%O`: bytes sent, headers too.
    Sent,
    /// `%{User-Agent}i`.
    Agent,
    /// Whatever else.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Field(Field),
}

/// A format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    parts: Vec<Part>,
}

/// Microseconds of a second.
pub const SECOND: u64 = 1_000_000;

/// One request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// Its client, as a hash of the address.
    pub client: u64,
    /// When it began, in microseconds since the epoch.
    pub began: u64,
    /// Whether the log tells which part of the second that was.
    pub exact: bool,
    /// How long it took, in microseconds, where the log tells.
    pub took: Option<u64>,
    /// Bytes sent.
    pub bytes: u64,
    /// Whether its client says that it is a robot.
    pub robot: bool,
}

impl Format {
    /// Reads a format as `LogFormat` has it, its quotes escaped or not.
    ///
    /// # Errors
    /// What is wrong with it, or what it lacks: without `%t` and `%h` or `%a` nothing can be counted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut bytes = text.bytes().peekable();
        let mut literal = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => match bytes.next() {
                    Some(b't') => literal.push(b'\t'),
                    Some(b'n') => return Err("it writes several lines for a request".to_owned()),
                    Some(other) => literal.push(other),
                    None => return Err("it ends in a backslash".to_owned()),
                },
                b'%' if bytes.peek() == Some(&b'%') => {
                    bytes.next();
                    literal.push(b'%');
                }
                b'%' => {
                    let mut argument = String::new();
                    let directive = loop {
                        match bytes.next() {
                            Some(b'{') => {
                                argument =
                                    bytes.by_ref().take_while(|byte| *byte != b'}').map(char::from).collect();
                            }
                            Some(b'<' | b'>' | b'!' | b',' | b'0'..=b'9') => {}
                            Some(b'^') => {
                                bytes.next();
                                bytes.next();
                                break b'^';
                            }
                            Some(letter) if letter.is_ascii_alphabetic() => break letter,
                            _ => return Err("a % in it has no directive".to_owned()),
                        }
                    };
                    let field = field(directive, &argument);
                    if field == Field::Time {
                        literal.push(b'[');
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    } else if matches!(parts.last(), Some(Part::Field(_))) {
                        return Err(
                            "two directives in it follow each other without anything between them".to_owned()
                        );
                    }
                    parts.push(Part::Field(field));
                    if field == Field::Time {
                        literal.push(b']');
                    }
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let mut format = Self { parts };
        if !format.has(|field| matches!(field, Field::Time | Field::Epoch(_))) {
            return Err("it has no %t: when a request came is not known".to_owned());
        }
        if !format.has(|field| field == Field::Client) {
            return Err("it has no %h or %a: whose a request was is not known".to_owned());
        }
        if format.has(|field| field == Field::Sent) {
            // What was sent says more than the body.
            for part in &mut format.parts {
                if *part == Part::Field(Field::Body) {
                    *part = Part::Field(Field::Other);
                }
            }
        }
        Ok(format)
    }

    fn has(&self, wanted: impl Fn(Field) -> bool) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Field(field) if wanted(*field)))
    }

    /// Tells whether lines say how long a request took.
    pub fn has_duration(&self) -> bool {
        self.has(|field| matches!(field, Field::Took(_)))
    }

    /// Returns how much a line of this format says: of two that read the same lines the one that says more is theirs.
    pub(super) fn says(&self) -> usize {
        self.parts.len()
    }

    /// Reads a line, without its end; `None` where it is not of this format.
    pub fn read(&self, line: &[u8], known: &mut Known) -> Option<Request> {
        let mut request = Request::default();
        let mut fraction = None;
        let mut rest = line;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            let field = match part {
                Part::Literal(text) => {
                    rest = rest.strip_prefix(text.as_slice())?;
                    continue;
                }
                Part::Field(field) => *field,
            };
            let end = match parts.peek() {
                None => rest.len(),
                Some(Part::Field(_)) => return None,
                Some(Part::Literal(text)) => match text.as_slice() {
                    [b'"', ..] => quote(rest)?,
                    [one] => memchr::memchr(*one, rest)?,
                    // A user's name may have spaces in it.
                    [first, ..] => memchr::memchr_iter(*first, rest)
                        .find(|at| rest.get(*at..).is_some_and(|rest| rest.starts_with(text)))?,
                    [] => return None,
                },
            };
            let (text, after) = rest.split_at_checked(end)?;
            rest = after;
            match field {
                Field::Client => {
                    if text.is_empty() {
                        return None;
                    }
                    request.client = hash(text);
                }
                Field::Time => request.began = known.calendar.seconds(text)?.checked_mul(SECOND)?,
                Field::Epoch(unit) => {
                    request.began = number(text)?.checked_mul(unit)?;
                    request.exact |= unit < SECOND;
                }
                Field::Fraction(unit) => fraction = number(text)?.checked_mul(unit),
                Field::Took(unit) => request.took = Some(number(text)?.saturating_mul(unit)),
                Field::Body | Field::Sent if text == b"-" => {}
                Field::Body | Field::Sent => request.bytes = number(text)?,
                Field::Agent => request.robot = known.agents.robot(text),
                Field::Other => {}
            }
        }
        if let Some(fraction) = fraction
            && !request.exact
        {
            request.began += fraction.min(SECOND - 1);
            request.exact = true;
        }
        (rest.is_empty() && request.began < LATEST).then_some(request)
    }
}

/// The end of the year 9999, in microseconds since the epoch.
const LATEST: u64 = 253_402_300_800 * SECOND;

/// What was worked out for earlier lines.
#[derive(Debug, Default)]
pub struct Known {
    calendar: Calendar,
    agents: Agents,
}

fn field(directive: u8, argument: &str) -> Field {
    match (directive, argument.strip_prefix("begin:").unwrap_or(argument)) {
        (b'h' | b'a', _) => Field::Client,
        (b't', "") => Field::Time,
        (b't', "sec") => Field::Epoch(SECOND),
        (b't', "msec") => Field::Epoch(1000),
        (b't', "usec") => Field::Epoch(1),
        (b't', "msec_frac") => Field::Fraction(1000),
        (b't', "usec_frac") => Field::Fraction(1),
        (b'D', _) | (b'T', "us") => Field::Took(1),
        (b'T', "ms") => Field::Took(1000),
        (b'T', _) => Field::Took(SECOND),
        (b'b' | b'B', _) => Field::Body,
        (b'O', _) => Field::Sent,
        (b'i', name) if name.eq_ignore_ascii_case("user-agent") => Field::Agent,
        _ => Field::Other,
    }
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Returns where the quote is that ends a field; httpd writes a quote inside as `\"`.
fn quote(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'"', text).find(|at| {
        let slashes = text[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        slashes % 2 == 0
    })
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// Which of the last programs said that they are robots: the same ones come again and again.
#[derive(Debug)]
struct Agents(Vec<(u64, bool)>);

impl Default for Agents {
    fn default() -> Self {
        Self(vec![(0, false); 1024])
    }
}

impl Agents {
    fn robot(&mut self, agent: &[u8]) -> bool {
        let name = hash(agent);
        let places = self.0.len() as u64;
        let Some(place) = usize::try_from((name >> 32) % places).ok().and_then(|at| self.0.get_mut(at))
        else {
            return robot(agent);
        };
        if place.0 != name {
            *place = (name, robot(agent));
        }
        place.1
    }
}

/// Tells whether a client says that it is a robot.
fn robot(agent: &[u8]) -> bool {
    let lower = agent.to_ascii_lowercase();
    [&b"bot"[..], b"spider", b"crawl", b"slurp"]
        .iter()
        .any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// Turns `10/Oct/2000:13:55:36 -0700` into seconds since the epoch; lines of one minute share the work.
#[derive(Debug, Default)]
struct Calendar {
    minute: Vec<u8>,
    zone: Vec<u8>,
    began: u64,
}

impl Calendar {
    fn seconds(&mut self, text: &[u8]) -> Option<u64> {
        // 10/Oct/2000:13:55 :36 -0700
        let (minute, rest) = text.split_at_checked(17)?;
        let (seconds, zone) = rest.strip_prefix(b":")?.split_at_checked(2)?;
        let zone = zone.strip_prefix(b" ")?;
        let seconds = number(seconds).filter(|seconds| *seconds < 61)?;
        if minute != self.minute || zone != self.zone {
            self.began = minute_of(minute, zone)?;
            minute.clone_into(&mut self.minute);
            zone.clone_into(&mut self.zone);
        }
        Some(self.began + seconds)
    }
}

/// Returns the second at which a minute began.
fn minute_of(minute: &[u8], zone: &[u8]) -> Option<u64> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let part = |from: usize, to: usize| number(minute.get(from..to)?);
    let (day, year, hour, minutes) = (part(0, 2)?, part(7, 11)?, part(12, 14)?, part(15, 17)?);
    let month = MONTHS.iter().position(|month| Some(*month) == minute.get(3..6))? as u64 + 1;
    let apart = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':')];
    if apart.iter().any(|(at, byte)| minute.get(*at) != Some(byte)) || !(1..=31).contains(&day) {
        return None;
    }
    if !(1970..=9999).contains(&year) || hour > 23 || minutes > 59 {
        return None;
    }
    // Days since the epoch; years begin in March so that leap days come last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let local = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minutes * 60;
    let (sign, offset) = zone.split_first()?;
    let offset =
        number(offset.get(..2)?)? * 3600 + number(offset.get(2..4).filter(|_| offset.len() == 4)?)? * 60;
    match sign {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"192.0.2.7 - bob [10/Oct/2000:13:55:36 -0700] "GET /a\"b HTTP/1.1" 200 2326 "-" "Mozilla/5.0 (compatible; Googlebot/2.1)" 1500"#;

    #[test]
    fn a_line_is_read_by_the_format_that_wrote_it() {
        for (format, took) in [("%D", 1500), ("%{us}T", 1500), ("%{ms}T", 1_500_000), ("%T", 1_500_000_000)] {
            let text =
                format!(r#"%h %l %u %t \"%r\" %>s %b \"%{{Referer}}i\" \"%{{User-agent}}i\" {format}"#);
            let format = Format::parse(&text).unwrap();
            let request = format.read(LINE, &mut Known::default()).unwrap();
            assert_eq!((request.began, request.took, request.bytes), (971_211_336_000_000, Some(took), 2326));
            assert!(request.robot && format.has_duration());
        }
        // Another format does not take it for its own.
        for (name, known) in KNOWN {
            assert_eq!(Format::parse(known).unwrap().read(LINE, &mut Known::default()), None, "{name}");
        }
    }

    #[test]
    fn a_moment_within_the_second_is_exact() {
        for (format, line) in [
            ("%h %{msec}t", &b"h 971211336250"[..]),
            ("%h %{begin:usec}t", b"h 971211336250000"),
            ("%h %t.%{msec_frac}t", b"h [10/Oct/2000:13:55:36 -0700].250"),
            ("%h %{sec}t %{usec_frac}t", b"h 971211336 250000"),
        ] {
            let request = Format::parse(format).unwrap().read(line, &mut Known::default()).unwrap();
            assert_eq!((request.began, request.exact), (971_211_336_250_000, true), "{format}");
        }
        // A user may have spaces and brackets in the name, and what was sent counts before the body.
        let format = Format::parse("%h %u %t %b %O").unwrap();
        let line = b"h a b[c [10/Oct/2000:13:55:36 -0700] 5 300";
        assert_eq!(format.read(line, &mut Known::default()).map(|request| request.bytes), Some(300));
    }

    #[test]
    fn every_known_format_reads_itself() {
        for (name, known) in KNOWN {
            let line = known
                .replace("%h", "2001:db8::1")
                .replace("%t", "[29/Feb/2024:00:00:59 +0530]")
                .replace("%>s", "304")
                .replace("%r", "GET / HTTP/2.0")
                .replace("%O", "17")
                .replace("%b", "-")
                .replace("%I", "9");
            let read = Format::parse(known).unwrap().read(line.as_bytes(), &mut Known::default());
            assert_eq!(read.unwrap().began, 1_709_145_059_000_000, "{name}: {line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, why) in [
            ("%h %r", "no %t"),
            ("%t %>s", "no %h"),
            ("%h%r %t", "follow each other"),
            ("%h %t\\n%r", "several lines"),
            ("%h %", "no directive"),
            ("%h %t \\", "backslash"),
        ] {
            assert!(Format::parse(text).unwrap_err().contains(why), "{text}");
        }
        let combined = Format::parse(KNOWN[1].1).unwrap();
        for line in [
            &b""[..],
            b"\0\0\0",
            b"192.0.2.7 - - [10/Oct/2000:13:55",
            br#"- - - [32/Foo/2000:13:55:36 -0700] "" 200 1 "" """#,
            br#"h - - [10/Oct/2000:13:55:99 -0700] "" 200 1 "" """#,
            br#"h - - [10/Oct/2000:13:55:36 -0700] "" 200 x "" """#,
            br#" - - [10/Oct/2000:13:55:36 -0700] "" 200 1 "" """#,
        ] {
            assert_eq!(combined.read(line, &mut Known::default()), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
