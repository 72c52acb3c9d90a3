//! What a module's `.so` says about itself: its source file and its directives.
//!
//! `LoadModule` finds the structure of the module's name in the file's dynamic symbols. Its third field is the name
//! of the source file, a later one the table of directives. Both are pointers, which the dynamic linker fills in;
//! here they are read from the relocations that it would apply. 64-bit little-endian ELF only; where anything is
//! out of the ordinary, nothing is said.
//!
//! Source: `include/http_config.h` of httpd 2.4 (`module_struct`, `command_struct`) and the System V ABI.

/// Offset of the source file's name in the module structure.
const NAME: u64 = 16;
/// Offset of the pointer to the table of directives.
const COMMANDS: u64 = 88;
/// Size of one row of that table; its first field points to the directive's name.
const ROW: u64 = 40;
/// More rows than any module has.
const MAX_ROWS: u64 = 4096;

/// More relocations than any of them has.
const MAX_RELOCATIONS: usize = 1 << 20;

const SHT_RELA: u32 = 4;
const SHT_DYNSYM: u32 = 11;
const PT_LOAD: u32 = 1;
const STT_OBJECT: u32 = 1;
/// `R_X86_64_RELATIVE`, `R_AARCH64_RELATIVE`: the value is the addend alone.
const RELATIVE: [u64; 2] = [8, 1027];
/// `R_X86_64_64`, `R_AARCH64_ABS64`: the value is that of a symbol and the addend.
const ABSOLUTE: [u64; 2] = [1, 257];

/// A file that holds a module: its `.so`, or httpd itself for one that is built in.
pub(super) struct Object<'a> {
    bytes: &'a [u8],
    /// Address of the module structure.
    module: u64,
    /// What the dynamic linker leaves at which address, in the order of addresses; `None` where that depends on other
    /// files.
    relocations: Vec<(u64, Option<u64>)>,
}

impl<'a> Object<'a> {
    /// Finds a module's structure in its file.
    pub(super) fn open(bytes: &'a [u8], identifier: &str) -> Option<Self> {
        let mut object = Self::empty(bytes)?;
        let symbols = object.section(SHT_DYNSYM)?;
        let found = object.symbols(&symbols).find(|symbol| symbol.name == identifier.as_bytes())?.value;
        object.module = found;
        object.relocations = object.relocated(&symbols)?;
        Some(object)
    }

    /// Returns the names of the directives of all modules that are built into httpd, whose program this is; `None` where
    /// they cannot be told.
    pub(super) fn built_in(bytes: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let mut object = Self::empty(bytes)?;
        let symbols = object.section(SHT_DYNSYM)?;
        object.relocations = object.relocated(&symbols)?;
        // Functions and pointers to them end in the same word.
        let is_module = |symbol: &Symbol<'a>| symbol.size > COMMANDS && symbol.name.ends_with(b"_module");
        let modules: Vec<Symbol<'a>> = object.symbols(&symbols).filter(is_module).collect();
        // Where the core's is not there, the others are not either.
        modules.iter().find(|symbol| symbol.name == b"core_module")?;
        let mut names = Vec::new();
        for symbol in modules {
            object.module = symbol.value;
            names.extend(object.directives()?);
        }
        Some(names)
    }

    /// Takes an ELF file with 64 bits, little-endian.
    fn empty(bytes: &'a [u8]) -> Option<Self> {
        bytes.strip_prefix(b"\x7fELF\x02\x01")?;
        Some(Self { bytes, module: 0, relocations: Vec::new() })
    }

    fn section(&self, kind: u32) -> Option<Section> {
        self.sections().find(|section| section.kind == kind)
    }

    /// Returns the dynamic symbols that the file defines.
    fn symbols(&self, section: &Section) -> impl Iterator<Item = Symbol<'a>> {
        let strings = usize::try_from(section.link).ok().and_then(|link| self.sections().nth(link));
        let (offset, count) = (section.offset, section.size / 24);
        // A size that is a lie ends where the file does.
        let rows = (0..count).map_while(move |index| {
            let row = offset.checked_add(index.checked_mul(24)?)?;
            let [name, kind] = [self.u32(row)?, self.u32(row.checked_add(4)?)? & 0xf];
            Some((name, kind, self.u64(row.checked_add(8)?)?, self.u64(row.checked_add(16)?)?))
        });
        rows.filter(|&(_, _, value, _)| value != 0).filter_map(move |(name, kind, value, size)| {
            let name = self.text(strings.as_ref()?.offset.checked_add(u64::from(name))?)?;
            Some(Symbol { name, value, size: if kind == STT_OBJECT { size } else { 0 } })
        })
    }

    /// Returns the name of the module's source file, without its directories.
    pub(super) fn source(&self) -> Option<&'a [u8]> {
        let text = self.text(self.place(self.pointer(self.module.checked_add(NAME)?)?)?)?;
        text.rsplit(|byte| matches!(byte, b'/' | b'\\')).next()
    }

    /// Returns the names of the module's directives as the module writes them; `None` where they cannot be told.
    pub(super) fn directives(&self) -> Option<Vec<&'a [u8]>> {
        let table = self.pointer(self.module.checked_add(COMMANDS)?)?;
        let mut names = Vec::new();
        if table == 0 {
            return Some(names);
        }
        for row in 0..MAX_ROWS {
            let name = self.pointer(table.checked_add(row * ROW)?)?;
            if name == 0 {
                return Some(names);
            }
            names.push(self.text(self.place(name)?)?);
        }
        None
    }

    /// Reads the relocations of the file.
    fn relocated(&self, symbols: &Section) -> Option<Vec<(u64, Option<u64>)>> {
        let mut list = Vec::new();
        for section in self.sections().filter(|section| section.kind == SHT_RELA) {
            for index in 0..section.size / 24 {
                let entry = section.offset.checked_add(index * 24)?;
                let (address, info, addend) = (self.u64(entry)?, self.u64(entry + 8)?, self.u64(entry + 16)?);
                let kind = info & 0xffff_ffff;
                let value = if RELATIVE.contains(&kind) {
                    Some(addend)
                } else if ABSOLUTE.contains(&kind) {
                    let symbol = symbols.offset.checked_add((info >> 32) * 24 + 8)?;
                    self.u64(symbol).filter(|&value| value != 0).map(|value| value.wrapping_add(addend))
                } else {
                    None
                };
                if list.len() == MAX_RELOCATIONS {
                    return None;
                }
                list.push((address, value));
            }
        }
        list.sort_unstable_by_key(|&(address, _)| address);
        Some(list)
    }

    /// Returns the pointer that the dynamic linker would leave at an address: from a relocation, or, where
    /// relocations are packed, from the file itself.
    fn pointer(&self, address: u64) -> Option<u64> {
        match self.relocations.binary_search_by_key(&address, |&(address, _)| address) {
            Ok(at) => self.relocations[at].1,
            Err(_) => self.u64(self.place(address)?),
        }
    }

    /// Returns where in the file an address is.
    fn place(&self, address: u64) -> Option<u64> {
        let (table, size, count) = (self.u64(32)?, u64::from(self.u16(54)?), u64::from(self.u16(56)?));
        (0..count).find_map(|index| {
            let header = table.checked_add(index * size)?;
            let (offset, start, length) =
                (self.u64(header + 8)?, self.u64(header + 16)?, self.u64(header + 32)?);
            let inside = address.checked_sub(start).filter(|&inside| inside < length)?;
            (self.u32(header)? == PT_LOAD).then_some(offset.checked_add(inside)?)
        })
    }

    fn sections(&self) -> impl Iterator<Item = Section> {
        let table = self.u64(40).unwrap_or(0);
        let size = u64::from(self.u16(58).unwrap_or(0));
        let count = u64::from(self.u16(60).unwrap_or(0));
        (0..count).map_while(move |index| {
            let header = table.checked_add(index * size)?.min(u64::MAX / 2);
            Some(Section {
                kind: self.u32(header + 4)?,
                offset: self.u64(header + 24)?,
                size: self.u64(header + 32)?,
                link: self.u32(header + 40)?,
            })
        })
    }

    fn at<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, offset: u64) -> Option<u16> {
        self.at(offset).map(u16::from_le_bytes)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        self.at(offset).map(u32::from_le_bytes)
    }

    fn u64(&self, offset: u64) -> Option<u64> {
        self.at(offset).map(u64::from_le_bytes)
    }

    /// Returns the C string at a place in the file.
    fn text(&self, offset: u64) -> Option<&'a [u8]> {
        let rest = self.bytes.get(usize::try_from(offset).ok()?..)?;
        rest.get(..memchr::memchr(0, rest)?)
    }
}

struct Symbol<'a> {
    name: &'a [u8],
    value: u64,
    /// Its size in bytes, if it is data.
    size: u64,
}

struct Section {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

/// Makes files that look enough like a module for [`Object`].
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod sample {
    /// Returns an object with one module: its source file and its directives.
    pub(in crate::httpd::read) fn object(identifier: &str, source: &str, directives: &[&str]) -> Vec<u8> {
        const BASE: u64 = 0x1000;
        let mut file = vec![0; 64];
        let text = |file: &mut Vec<u8>, text: &str| {
            let at = file.len() as u64;
            file.extend_from_slice(text.as_bytes());
            file.push(0);
            at
        };
        let source = text(&mut file, source);
        let names: Vec<u64> = directives.iter().map(|name| text(&mut file, name)).collect();
        let strings = file.len() as u64;
        file.push(0);
        file.extend_from_slice(identifier.as_bytes());
        file.push(0);
        file.resize(file.len().next_multiple_of(8), 0);
        let module = file.len() as u64;
        file.resize(file.len() + 120, 0);
        let table = file.len() as u64;
        file.resize(file.len() + 40 * (names.len() + 1), 0);
        let symbols = file.len() as u64;
        file.resize(file.len() + 24, 0);
        file.extend_from_slice(&1_u32.to_le_bytes());
        file.extend_from_slice(&[0x11, 0, 1, 0]);
        file.extend_from_slice(&(BASE + module).to_le_bytes());
        file.extend_from_slice(&120_u64.to_le_bytes());
        // Half of the pointers are relocated, the other half stand in place, as packed relocations have them.
        let relocations = file.len() as u64;
        for (at, to) in [(module + 16, source), (module + 88, table)] {
            file.extend_from_slice(&(BASE + at).to_le_bytes());
            file.extend_from_slice(&8_u64.to_le_bytes());
            file.extend_from_slice(&(BASE + to).to_le_bytes());
        }
        for (row, name) in names.iter().enumerate() {
            let at = usize::try_from(table).unwrap() + row * 40;
            file[at..at + 8].copy_from_slice(&(BASE + name).to_le_bytes());
        }
        let sections = file.len() as u64;
        for (kind, offset, size, link) in
            [(3_u32, strings, module - strings, 0_u32), (11, symbols, 48, 0), (4, relocations, 48, 0)]
        {
            file.extend_from_slice(&[0; 4]);
            file.extend_from_slice(&kind.to_le_bytes());
            file.extend_from_slice(&[0; 16]);
            file.extend_from_slice(&offset.to_le_bytes());
            file.extend_from_slice(&size.to_le_bytes());
            file.extend_from_slice(&link.to_le_bytes());
            file.extend_from_slice(&[0; 20]);
        }
        let programs = file.len() as u64;
        let length = programs + 56;
        for value in [1_u64, 0, BASE, BASE, length, length, 0] {
            file.extend_from_slice(&value.to_le_bytes());
        }
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&programs.to_le_bytes());
        file[40..48].copy_from_slice(&sections.to_le_bytes());
        for (at, value) in [(54, 56_u16), (56, 1), (58, 64), (60, 3)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_its_source_file_and_its_directives() {
        let file = sample::object("proxy_module", "/build/mod_proxy.c", &["ProxyPass", "<Proxy"]);
        let object = Object::open(&file, "proxy_module");
        assert_eq!(object.as_ref().and_then(Object::source), Some(&b"mod_proxy.c"[..]));
        let directives = object.as_ref().and_then(Object::directives);
        assert_eq!(directives, Some(vec![&b"ProxyPass"[..], b"<Proxy"]));
        assert!(Object::open(&file, "other_module").is_none());
        assert_eq!(Object::built_in(&file), None, "it is not httpd");
        let httpd = sample::object("core_module", "core.c", &["Listen"]);
        assert_eq!(Object::built_in(&httpd), Some(vec![&b"Listen"[..]]));
    }

    #[test]
    fn a_damaged_file_says_nothing_and_does_no_harm() {
        let file = sample::object("core_module", "mod_x.c", &["X"]);
        let has_y = |names: Option<Vec<&[u8]>>| names.is_some_and(|names| names.contains(&&b"Y"[..]));
        for length in 0..file.len() {
            let short = Object::open(&file[..length], "core_module");
            let _ = short.as_ref().and_then(Object::source);
            assert!(!has_y(short.and_then(|object| object.directives())));
            assert!(!has_y(Object::built_in(&file[..length])));
        }
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let object = Object::open(&damaged, "core_module");
                let _ = object.as_ref().and_then(Object::source);
                assert!(!has_y(object.and_then(|object| object.directives())));
                assert!(!has_y(Object::built_in(&damaged)));
            }
        }
    }
}
