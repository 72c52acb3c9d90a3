//! Parameters and the host put together: what shall be, complete.
