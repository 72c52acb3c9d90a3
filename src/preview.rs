//! The staged test: the real `httpd -t` on the planned files, before anything is touched.
