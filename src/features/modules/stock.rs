//! The modules of httpd's own source tree that can be taken out.

use crate::feature::Module;

/// Makes the row of each module from its name.
macro_rules! stock {
    ($($name:literal)*) => {
        [$(&Module::stock($name, |identifier| identifier == concat!($name, "_module"))),*]
    };
}

/// One row a module, in the order of their names.
pub(super) static ALL: [&Module; 110] = stock! {
    "access_compat" "actions" "alias" "allowmethods" "asis" "auth_basic" "auth_digest" "auth_form"
    "authn_anon" "authn_core" "authn_dbd" "authn_dbm" "authn_file" "authn_socache" "authnz_fcgi" "authnz_ldap"
    "authz_dbd" "authz_dbm" "authz_groupfile" "authz_host" "authz_owner" "authz_user" "autoindex" "brotli"
    "buffer" "cache" "cache_disk" "cache_socache" "cgi" "cgid" "charset_lite" "data" "dav" "dav_fs" "dav_lock"
    "dbd" "deflate" "dialup" "dumpio" "echo" "env" "expires" "ext_filter" "file_cache" "filter" "headers"
    "heartbeat" "heartmonitor" "http2" "ident" "imagemap" "include" "info" "lbmethod_bybusyness"
    "lbmethod_byrequests" "lbmethod_bytraffic" "lbmethod_heartbeat" "ldap" "log_debug" "log_forensic" "logio"
    "lua" "macro" "md" "mime_magic" "negotiation" "proxy" "proxy_ajp" "proxy_balancer" "proxy_connect"
    "proxy_express" "proxy_fcgi" "proxy_fdpass" "proxy_ftp" "proxy_hcheck" "proxy_html" "proxy_http"
    "proxy_http2" "proxy_scgi" "proxy_uwsgi" "proxy_wstunnel" "ratelimit" "reflector" "remoteip" "request"
    "rewrite" "sed" "session" "session_cookie" "session_crypto" "session_dbd" "setenvif" "slotmem_plain"
    "slotmem_shm" "socache_dbm" "socache_memcache" "socache_redis" "socache_shmcb" "speling" "ssl" "status"
    "substitute" "suexec" "unique_id" "userdir" "usertrack" "version" "vhost_alias" "watchdog" "xml2enc"
};
