//! The hash by which names of directives are looked up.

/// Returns the hash of a name in any case: eight bytes at a time, because names are short and lines are many. Letters
/// of both cases are one, and so are some bytes that no name has.
pub(super) const fn of(name: &[u8]) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let (mut rest, mut hash) = (name, name.len() as u64);
    loop {
        let (chunk, behind) = if let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
            (*chunk, behind)
        } else {
            let mut last = [0; 8];
            last.split_at_mut(rest.len()).0.copy_from_slice(rest);
            (last, rest.split_at(rest.len()).1)
        };
        hash =
            (hash ^ (u64::from_le_bytes(chunk) | LOWER)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if rest.len() < 8 {
            return hash ^ (hash >> 32);
        }
        rest = behind;
    }
}
