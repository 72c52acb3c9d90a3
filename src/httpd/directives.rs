//! What is known of a directive: one row, from which reading, effective values, defaults, corrections and the need of
//! a restart follow. The rows themselves stand in [`super::core_directives`] and with the features that set them.

use super::{Mpm, Version, hash};

/// How httpd turns the text of a value into a number or a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parser {
    /// C's `atoi`: stops silently at the first other character, wraps to 32 bits.
    Atoi,
    /// `strtol` base 10; only negative values and overflow are refused.
    Strtol,
    /// `strtod` over the whole argument.
    Strtod,
    /// `ap_timeout_parameter_parse`: digits and a unit.
    Duration,
    /// `On` or `Off`, further words ignored.
    Flag,
    /// `strtol` base 0: octal and hexadecimal too.
    Strtol0,
    /// A list of words, repeatable.
    Iterate,
    /// The rest of the line, split by the module itself.
    Raw,
    /// One string.
    Text,
}

/// Which group of parameters a directive belongs to: the group's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub &'static str);

impl Group {
    /// The multi-processing module's own numbers.
    pub const MPM: Self = Self("settings");
    /// Watched because rules need it, never written: HTTP/2's numbers, the sizes of sockets.
    pub const WATCHED: Self = Self("");
}

/// What brings a changed value into a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// A graceful reload.
    Reload,
    /// A graceful reload; but a stop and start where nothing is left of it, because a reload that ends it may end the
    /// server.
    RestartToEnd,
    /// A stop and start: the parent keeps the old value for its whole life.
    Restart,
    /// A stop and start, because the open listening socket keeps its own value.
    Socket,
}

/// The modules that are loaded, for what depends on them.
pub trait Loaded {
    /// Tells whether the identifier of some loaded module is accepted.
    fn any_module(&self, is: &dyn Fn(&str) -> bool) -> bool;
}

/// No module at all, where only the MPM matters.
#[derive(Debug, Clone, Copy)]
pub struct NoModules;

impl Loaded for NoModules {
    fn any_module(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }
}

/// One directive of httpd.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// Canonical spelling, as in httpd's documentation.
    pub name: &'static str,
    /// Older spelling that writes the same variable.
    pub alias: Option<&'static str>,
    /// The parameter's key in its group; empty where it cannot be set.
    pub key: &'static str,
    /// The group it belongs to.
    pub group: Group,
    /// The MPMs under which httpd knows the name.
    pub mpms: &'static [Mpm],
    /// Accepts the identifiers of the modules that bring it; `None` for httpd's core and the MPMs.
    pub module: Option<fn(&str) -> bool>,
    /// The first release of httpd 2.4 that knows it; 0 for all.
    pub since: u16,
    /// How its value is read.
    pub parser: Parser,
    /// Whether it takes more words than the one that counts.
    pub more_words: bool,
    /// Whether a virtual host may have its own value.
    pub in_vhost: bool,
    /// Whether a section such as `<Location>` may have its own value.
    pub in_section: bool,
    /// Accepts the identifiers of the modules that keep one value for the whole process, whichever virtual host sets it.
    pub process_wide: fn(&str) -> bool,
    /// The value that counts where no line sets it.
    pub default: fn(Mpm, &dyn Loaded) -> &'static str,
    /// Whether the default counts too where the number is not above zero.
    pub positive: bool,
    /// Whether it is worked out from a load.
    pub sized: bool,
    /// Whether it is one of the sizes that are one set: where one is asked for, one that is left out is not written.
    pub one_set: bool,
    /// What brings a changed value into a running server.
    pub takes: Takes,
}

impl Directive {
    /// Returns the row of a directive that only the main server may have, under any MPM.
    pub const fn new(name: &'static str, group: Group, parser: Parser) -> Self {
        Self {
            name,
            alias: None,
            key: "",
            group,
            mpms: &Mpm::ALL,
            module: None,
            since: 0,
            parser,
            more_words: false,
            in_vhost: false,
            in_section: false,
            process_wide: |_| false,
            default: |_, _| "",
            positive: false,
            sized: false,
            one_set: false,
            takes: Takes::Reload,
        }
    }

    /// Sets the parameter's key.
    #[must_use]
    pub const fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// Sets the older spelling.
    #[must_use]
    pub const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// Restricts it to some MPMs.
    #[must_use]
    pub const fn mpms(self, mpms: &'static [Mpm]) -> Self {
        Self { mpms, ..self }
    }

    /// Says which modules bring it.
    #[must_use]
    pub const fn module(self, module: fn(&str) -> bool) -> Self {
        Self { module: Some(module), ..self }
    }

    /// Sets the first release of httpd 2.4 that knows it.
    #[must_use]
    pub const fn since(self, since: u16) -> Self {
        Self { since, ..self }
    }

    /// Says that it takes more words than the one that counts.
    #[must_use]
    pub const fn more_words(self) -> Self {
        Self { more_words: true, ..self }
    }

    /// Says that a virtual host may have its own value.
    #[must_use]
    pub const fn in_vhosts(self) -> Self {
        Self { in_vhost: true, ..self }
    }

    /// Says that a virtual host and a section may have their own value.
    #[must_use]
    pub const fn in_sections(self) -> Self {
        Self { in_vhost: true, in_section: true, ..self }
    }

    /// Says which modules keep one value for the whole process, whichever virtual host sets it.
    #[must_use]
    pub const fn process_wide(self, process_wide: fn(&str) -> bool) -> Self {
        Self { process_wide, ..self }
    }

    /// Sets the value that counts where no line sets it.
    #[must_use]
    pub const fn default(self, default: fn(Mpm, &dyn Loaded) -> &'static str) -> Self {
        Self { default, ..self }
    }

    /// Says that the default counts too where the number is not above zero.
    #[must_use]
    pub const fn positive(self) -> Self {
        Self { positive: true, ..self }
    }

    /// Says that it is one of the sizes that are one set, each worked out from a load.
    #[must_use]
    pub const fn size(self) -> Self {
        Self { one_set: true, sized: true, ..self }
    }

    /// Says that it is worked out from a load, and each for itself.
    #[must_use]
    pub const fn sized(self) -> Self {
        Self { sized: true, ..self }
    }

    /// Says what brings a changed value into a running server.
    #[must_use]
    pub const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Returns a word of a parameter as httpd reads it: booleans are `On` and `Off` where it takes those.
    pub fn spelled<'w>(&self, word: &'w str) -> &'w str {
        match (self.parser, word) {
            (Parser::Flag, "true") => "On",
            (Parser::Flag, "false") => "Off",
            _ => word,
        }
    }

    /// Tells whether a name is the directive's or its older alias, in any case, as httpd compares names.
    pub fn is(&self, name: &[u8]) -> bool {
        let is = |known: &str| {
            let known = known.as_bytes();
            let begins = |name: &[u8]| name.first().map(u8::to_ascii_lowercase);
            known.len() == name.len()
                && begins(known) == begins(name)
                && (known == name || known.eq_ignore_ascii_case(name))
        };
        is(self.name) || self.alias.is_some_and(is)
    }

    /// Tells whether a release of httpd is too old for it.
    pub fn is_newer_than(&self, version: Version) -> bool {
        version < Version::v24(self.since)
    }

    /// Tells whether one of the loaded modules keeps one value of it for the whole process.
    pub fn counts_everywhere(&self, loaded: &dyn Loaded) -> bool {
        loaded.any_module(&self.process_wide)
    }
}

/// Tells whether a module identifier is one of mod_evasive's: `evasive20_module`, `evasive24_module`,
/// `evasive_module`.
pub fn is_evasive(identifier: &str) -> bool {
    identifier.starts_with("evasive") && identifier.ends_with("_module")
}

/// How many slots a table has: a few times the names that matter, so that most others meet an empty one.
const SLOTS: usize = 1024;

/// Every directive that is managed or watched, found by its name.
pub struct Table {
    rows: &'static [&'static Directive],
    /// The names that matter, by the upper bits of their hash, else in the next slot that was free: with the hash, one
    /// more than the index of the row, which may have two names.
    slots: [(u64, u16); SLOTS],
}

impl Table {
    /// Makes a table; done when the program is built.
    pub const fn new(rows: &'static [&'static Directive]) -> Self {
        const fn add(slots: &mut [(u64, u16); SLOTS], name: &str, index: usize) {
            assert!(index < SLOTS / 4, "the table is too full to be searched quickly");
            let hash = hash::of(name.as_bytes());
            let mut slot = first_slot(hash);
            while slots[slot].1 != 0 {
                slot = (slot + 1) % SLOTS;
            }
            #[allow(clippy::cast_possible_truncation)]
            let number = index as u16 + 1;
            slots[slot] = (hash, number);
        }
        let mut slots = [(0, 0); SLOTS];
        let mut index = 0;
        while index < rows.len() {
            add(&mut slots, rows[index].name, index);
            if let Some(alias) = rows[index].alias {
                add(&mut slots, alias, index);
            }
            index += 1;
        }
        Self { rows, slots }
    }

    /// Returns the rows in the order in which files and results show them.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &'static Directive> + '_ {
        self.rows.iter().copied()
    }

    /// Returns the row of a directive by its name or its older alias, in any case, as httpd compares names.
    pub fn find(&self, name: &[u8]) -> Option<&'static Directive> {
        self.find_hashed(name, hash::of(name))
    }

    /// Returns what [`Self::find`] does, the hash of the name being given.
    pub fn find_hashed(&self, name: &[u8], hash: u64) -> Option<&'static Directive> {
        let mut slot = first_slot(hash);
        loop {
            let (known, number) = self.slots[slot];
            let index = usize::from(number).checked_sub(1)?;
            if known == hash {
                return self.rows.get(index).copied().filter(|row| row.is(name));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Returns the row of a directive by its canonical name.
    pub fn named(&self, name: &str) -> Option<&'static Directive> {
        self.find(name.as_bytes()).filter(|row| row.name == name)
    }
}

const fn first_slot(hash: u64) -> usize {
    (hash >> 54) as usize % SLOTS
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Table {}

/// A table of nothing.
static EMPTY: Table = Table::new(&[]);

impl Default for &'static Table {
    fn default() -> Self {
        &EMPTY
    }
}
