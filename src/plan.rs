//! The differences between the host and what it shall be.
