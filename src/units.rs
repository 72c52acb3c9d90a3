//! Quantities with their unit in the type.

use std::fmt;

/// An amount of memory in whole bytes. JSON: a string with a binary suffix (`"10M"` is 10 × 1024² bytes) or an
/// integer of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// One mebibyte.
    pub const MIB: u64 = 1024 * 1024;

    /// Reads `512M`, `8G`, `1.5G`, `900k`, `1048576`; the suffix may be followed by `B` or `iB`, case is free.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, suffix) = text.split_at(split);
        let scale: u64 = match suffix.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return None,
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 || fraction.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut total = whole.checked_mul(scale)?;
        if !fraction.is_empty() {
            let numerator: u64 = fraction.parse().ok()?;
            let denominator = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
            total = total.checked_add(
                u64::try_from(u128::from(numerator) * u128::from(scale) / u128::from(denominator)).ok()?,
            )?;
        }
        Some(Self(total))
    }

    /// Returns whole mebibytes, rounded up.
    pub const fn mib(self) -> u64 {
        self.0.div_ceil(Self::MIB)
    }
}

impl fmt::Display for Bytes {
    /// Writes the largest binary unit that keeps one decimal meaningful: `512.0 MiB`, `39.8 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut scale: u64 = 1;
        while unit + 1 < UNITS.len() && self.0 >= scale * 1024 {
            scale *= 1024;
            unit += 1;
        }
        if unit == 0 {
            return write!(f, "{} B", self.0);
        }
        let tenths = (u128::from(self.0) * 10 + u128::from(scale) / 2) / u128::from(scale);
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A time span in whole milliseconds. Apache text: `5` (seconds) or `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl fmt::Display for Millis {
    /// Writes httpd's shortest form: whole seconds without a unit, else `ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}ms", self.0) }
    }
}
