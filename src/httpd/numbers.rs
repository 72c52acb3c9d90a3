//! The C number parsers that httpd applies to the text of a value.
