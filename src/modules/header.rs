//! The comment lines at the top of a module's file that say what it needs and what it cannot live with.

/// What the head of a `.load` or `.conf` file declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Modules that must be enabled too, in the order written.
    pub depends: Vec<String>,
    /// Modules that must not be enabled, in the order written.
    pub conflicts: Vec<String>,
}

impl Header {
    /// Reads a file's head as a2enmod does.
    ///
    /// Only the lines before the first one that is neither blank nor a comment count. A declaration starts in the
    /// first column, spelled `# Depends:` or `# Conflicts:` and followed by white space; the first of each sort
    /// wins, even when it names nothing. Names are parted by white space alone, so a comma belongs to a name.
    pub fn parse(content: &[u8]) -> Self {
        let mut depends = None;
        let mut conflicts = None;
        for line in content.split(|&byte| byte == b'\n') {
            if let Some(names) = declared(line, b"# Depends:") {
                depends.get_or_insert(names);
            } else if let Some(names) = declared(line, b"# Conflicts:") {
                conflicts.get_or_insert(names);
            } else if line.iter().find(|&&byte| !is_space(byte)).is_some_and(|&byte| byte != b'#') {
                break;
            }
        }
        Self { depends: depends.unwrap_or_default(), conflicts: conflicts.unwrap_or_default() }
    }
}

/// Returns the names after `key` where `line` starts with it and white space follows.
fn declared(line: &[u8], key: &[u8]) -> Option<Vec<String>> {
    let rest = line.strip_prefix(key)?;
    is_space(*rest.first()?).then_some(())?;
    let names = rest.split(|&byte| is_space(byte)).filter(|name| !name.is_empty());
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Tells what the script's regular expressions take for white space: they read bytes as Latin-1, where NEL and the
/// no-break space are white space too.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xA0)
}
