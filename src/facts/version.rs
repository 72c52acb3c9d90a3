//! httpd's version, read without running it.

use std::path::Path;

use super::Known;
use crate::distro::Site;
use crate::httpd::Version;
use crate::tree::Files;

/// Returns the version that the server's binary carries as text, else that of Debian's package database.
pub fn httpd_version(files: &dyn Files, site: &Site, told: Option<&str>) -> Option<Known<Version>> {
    if let Some(version) = told.and_then(Version::parse) {
        return Some(Known { value: version, source: "facts.httpd_version".to_owned() });
    }
    let binary = site.layout.binary;
    let mut found = None;
    // The binary has most of a megabyte, which would be most of the memory that an unchanged run touches.
    let scanned = files.scan_back(Path::new(binary), NAME.len() + LONGEST, &mut |piece, last| {
        found = after(piece, last);
        found.is_some()
    });
    if let (Ok(()), Some(version)) = (scanned, found) {
        return Some(Known { value: version, source: binary.to_owned() });
    }
    let database = "/var/lib/dpkg/status";
    let content = files.read(Path::new(database)).ok()?;
    let package = find(&content, format!("Package: {}\n", site.layout.package).as_bytes())?;
    let entry = &content[package..];
    let entry = &entry[..find(entry, b"\n\n").unwrap_or(entry.len())];
    let line = find(entry, b"\nVersion: ")?;
    let value = &entry[line + "\nVersion: ".len()..];
    let text = std::str::from_utf8(value.split(|byte| *byte == b'\n').next()?).ok()?;
    Some(Known { value: Version::parse(text)?, source: database.to_owned() })
}

/// The product's name in a binary, with the first two bytes of the version.
const NAME: &[u8] = b"Apache/2.";

/// The most bytes of a version.
const LONGEST: usize = 16;

/// Returns the version that follows the product's name in a piece of a binary. Where the piece is not the last, a name
/// so near its end that the version may be cut stood whole in the piece behind it.
fn after(content: &[u8], last: bool) -> Option<Version> {
    let mut at = 0;
    while let Some(found) = find(&content[at..], NAME) {
        let start = at + found + NAME.len() - 2;
        if !last && start + LONGEST > content.len() {
            return None;
        }
        let tail = &content[start..content.len().min(start + LONGEST)];
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        if let Some(version) = std::str::from_utf8(&tail[..digits]).ok().and_then(Version::parse)
            && version.patch > 0
        {
            return Some(version);
        }
        at = start;
    }
    None
}

/// Returns where `needle` first stands. The binary has half a megabyte, so the search must be a fast one.
fn find(content: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(content, needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::distro::detect;
    use crate::tree::Memory;

    #[test]
    fn facts_come_before_the_binary_and_the_binary_before_the_database() {
        let host = Memory::new().file("/etc/apache2/apache2.conf", "");
        let site = detect(&host, None, None, None).unwrap();
        assert_eq!(httpd_version(&host, &site, None), None);
        let status =
            "Package: apache2-bin\nVersion: 1\n\nPackage: apache2\nStatus: x\nVersion: 2.4.58-1ubuntu8\n\n";
        let host = host.file("/var/lib/dpkg/status", status);
        assert_eq!(httpd_version(&host, &site, None).unwrap().value, Version::v24(58));
        let host = host.file("/usr/sbin/apache2", b"\x7fELF Apache/2.x \0Apache/2.4.71 (Debian)\0");
        assert_eq!(httpd_version(&host, &site, None).unwrap().value, Version::v24(71));
        assert_eq!(httpd_version(&host, &site, Some("2.4.6")).unwrap().value, Version::v24(6));
    }
}
