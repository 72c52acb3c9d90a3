//! A load to sizes, and sizes to the bounds of the host.
