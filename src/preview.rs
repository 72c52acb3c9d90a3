//! The staged test: the real `httpd -t` on the planned files, before anything is touched.

use crate::httpd::binary::{Httpd, Tested};
use crate::sandbox::Overlay;
use crate::tree::Change;

/// Runs the real configuration test on the files as `changes` would make them. The host is not touched.
///
/// # Errors
/// Why the test could not run here, in words for the result; the caller then tests after the change.
pub fn staged_test(httpd: &Httpd, changes: &[Change]) -> Result<Tested, String> {
    httpd.test_with(Overlay::new(changes))
}
