//! How httpd is started: read, never assumed.

pub mod command_line;
