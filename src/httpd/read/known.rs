//! Directives that nothing else here asks for, and whether httpd knows them: it refuses to start over a word that is
//! misspelled, or whose module is not loaded any more.
//!
//! What a module brings is told by a table for those of httpd's own source tree, and by the module's `.so` for all
//! others. Where one of them does not tell, nothing is said.
//!
//! Source: `ap_walk_config` in `server/config.c` of httpd 2.4; the table is what the modules of 2.4.71 hold, which the
//! tests read from the real ones.

use std::collections::hash_map::Entry;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::lines::Place;
use crate::httpd::hash::of as hash;

/// More names than any configuration has; what is met beyond is not looked at.
const MAX_NAMES: usize = 10_000;

/// Makes a row of the table: the names become their hashes when the program is built, so that no run has to.
macro_rules! row {
    ($module:expr, $names:expr $(,)?) => {
        ($module, &hashes::<{ count($names) }>($names))
    };
}

/// The directives of httpd's core and of the modules that every distribution builds in, in lower case.
static BUILT_IN: &[u64] = row!(
    "",
    "<directory <directorymatch <else <elseif <files <filesmatch <if <ifdefine <ifdirective <iffile <ifmodule \
     <ifsection <limit <limitexcept <location <locationmatch <virtualhost acceptfilter acceptpathinfo accessfilename \
     adddefaultcharset allowencodedslashes allowoverride allowoverridelist bufferedlogs cgipassauth cgivar chrootdir \
     contentdigest coredumpdirectory customlog defaultruntimedir defaulttype define documentroot enablemmap \
     enablesendfile error errordocument errorlog errorlogformat extendedstatus fileetag flushmaxpipelined \
     flushmaxthreshold forcetype globallog group hostnamelookups httpprotocoloptions include includeoptional keepalive \
     keepalivetimeout limitinternalrecursion limitrequestbody limitrequestfields limitrequestfieldsize \
     limitrequestline limitxmlrequestbody listen listenbacklog listencoresbucketsratio loadfile loadmodule logformat \
     logiotrackttfb loglevel maxkeepaliverequests maxrangeoverlaps maxrangereversals maxranges mergeslashes \
     mergetrailers mutex namevirtualhost options pidfile port protocol protocols protocolshonororder \
     qualifyredirecturl readbuffersize regexdefaultoptions registerhttpmethod rlimitcpu rlimitmem rlimitnproc \
     seerequesttail serveradmin serveralias servername serverpath serverroot serversignature servertokens sethandler \
     setinputfilter setoutputfilter stricthostcheck suexec timeout traceenable transferlog undefine usecanonicalname \
     usecanonicalphysicalport user"
)
.1;

/// The directives of httpd's loadable modules in lower case, by the module's identifier. Those that have a row in
/// [`crate::httpd::directives`] are left out.
static OF_MODULES: &[(&str, &[u64])] = &[
    row!("access_compat_module", "allow deny order satisfy"),
    row!("actions_module", "action script"),
    row!(
        "alias_module",
        "alias aliasmatch aliaspreservepath redirect redirectmatch redirectpermanent redirectrelative \
         redirecttemp scriptalias scriptaliasmatch",
    ),
    row!("allowmethods_module", "allowmethods"),
    row!(
        "auth_basic_module",
        "authbasicauthoritative authbasicfake authbasicprovider authbasicusedigestalgorithm",
    ),
    row!(
        "auth_digest_module",
        "authdigestalgorithm authdigestdomain authdigestnccheck authdigestnoncelifetime authdigestprovider \
         authdigestqop authdigestshmemsize",
    ),
    row!(
        "auth_form_module",
        "authformauthoritative authformbody authformdisablenostore authformfakebasicauth authformlocation \
         authformloginrequiredlocation authformloginsuccesslocation authformlogoutlocation authformmethod \
         authformmimetype authformpassword authformprovider authformsitepassphrase authformsize \
         authformusername",
    ),
    row!(
        "authn_anon_module",
        "anonymous anonymous_logemail anonymous_mustgiveemail anonymous_nouserid anonymous_verifyemail",
    ),
    row!("authn_core_module", "<authnprovideralias authname authtype"),
    row!("authn_dbd_module", "authdbduserpwquery authdbduserrealmquery"),
    row!("authn_dbm_module", "authdbmtype authdbmuserfile"),
    row!("authn_file_module", "authuserfile"),
    row!(
        "authn_socache_module",
        "authncachecontext authncacheenable authncacheprovidefor authncachesocache authncachetimeout",
    ),
    row!("authnz_fcgi_module", "authnzfcgicheckauthnprovider authnzfcgidefineprovider"),
    row!(
        "authz_core_module",
        "<authzprovideralias <requireall <requireany <requirenone authmerging authzsendforbiddenonfailure \
         require",
    ),
    row!("authz_dbd_module", "authzdbdlogintoreferer authzdbdquery authzdbdredirectquery"),
    row!("authz_dbm_module", "authdbmgroupfile authzdbmtype"),
    row!("authz_groupfile_module", "authgroupfile"),
    row!(
        "autoindex_module",
        "addalt addaltbyencoding addaltbytype adddescription addicon addiconbyencoding addiconbytype \
         defaulticon fancyindexing headername indexheadinsert indexignore indexignorereset indexoptions \
         indexorderdefault indexstylesheet readmename",
    ),
    row!(
        "brotli_module",
        "brotlialteretag brotlicompressionmaxinputblock brotlicompressionquality brotlicompressionwindow \
         brotlifilternote",
    ),
    row!("buffer_module", "buffersize"),
    row!(
        "cache_disk_module",
        "cachedirlength cachedirlevels cachemaxfilesize cacheminfilesize cachereadsize cachereadtime \
         cacheroot",
    ),
    row!(
        "cache_module",
        "cachedefaultexpire cachedetailheader cachedisable cacheenable cacheheader cacheignorecachecontrol \
         cacheignoreheaders cacheignorenolastmod cacheignorequerystring cacheignoreurlsessionidentifiers \
         cachekeybaseurl cachelastmodifiedfactor cachelock cachelockmaxage cachelockpath cachemaxexpire \
         cacheminexpire cachequickhandler cachestaleonerror cachestoreexpired cachestorenostore \
         cachestoreprivate",
    ),
    row!(
        "cache_socache_module",
        "cachesocache cachesocachemaxsize cachesocachemaxtime cachesocachemintime cachesocachereadsize \
         cachesocachereadtime",
    ),
    row!("case_filter_in_module", "casefilterin"),
    row!("case_filter_module", "casefilter"),
    row!("cern_meta_module", "metadir metafiles metasuffix"),
    row!("cgi_module", "cgiscripttimeout scriptlog scriptlogbuffer scriptloglength"),
    row!("cgid_module", "cgidscripttimeout scriptlog scriptlogbuffer scriptloglength scriptsock"),
    row!("charset_lite_module", "charsetdefault charsetoptions charsetsourceenc"),
    row!("dav_fs_module", "davlockdb"),
    row!("dav_lock_module", "davgenericlockdb"),
    row!("dav_module", "dav davbasepath davdepthinfinity davlockdiscovery davmintimeout"),
    row!(
        "dbd_module",
        "dbdexptime dbdinitsql dbdkeep dbdmax dbdmin dbdparams dbdpersist dbdpreparesql dbdriver"
    ),
    row!(
        "deflate_module",
        "deflatealteretag deflatebuffersize deflatecompressionlevel deflatefilternote \
         deflateinflatelimitrequestbody deflateinflateratioburst deflateinflateratiolimit deflatememlevel \
         deflatewindowsize",
    ),
    row!("dialup_module", "modemstandard"),
    row!(
        "dir_module",
        "directorycheckhandler directoryindex directoryindexredirect directoryslash fallbackresource",
    ),
    row!("dumpio_module", "dumpioinput dumpiooutput"),
    row!("echo_module", "protocolecho"),
    row!("env_module", "passenv setenv unsetenv"),
    row!("expires_module", "expiresactive expiresbytype expiresdefault"),
    row!("ext_filter_module", "extfilterdefine extfilteroptions"),
    row!("file_cache_module", "cachefile mmapfile"),
    row!(
        "filter_module",
        "addoutputfilterbytype filterchain filterdeclare filterprotocol filterprovider filtertrace",
    ),
    row!("headers_module", "header requestheader"),
    row!("heartbeat_module", "heartbeataddress"),
    row!("heartmonitor_module", "heartbeatlisten heartbeatmaxservers heartbeatstorage"),
    row!(
        "http2_module",
        "h2copyfiles h2direct h2earlyhint h2earlyhints h2maxdataframelen h2maxheaderblocklen \
         h2maxsessionstreams h2maxstreamerrors h2maxworkeridleseconds h2moderntlsonly h2outputbuffering \
         h2padding h2proxyrequests h2push h2pushdiarysize h2pushpriority h2pushresource h2serializeheaders \
         h2sessionextrafiles h2streammaxmemsize h2streamtimeout h2tlscooldownsecs h2tlswarmupsize h2upgrade \
         h2websockets h2windowsize",
    ),
    row!("ident_module", "identitycheck identitychecktimeout"),
    row!(
        "include_module",
        "ssiendtag ssierrormsg ssietag ssilastmodified ssilegacyexprparser ssistarttag ssitimeformat \
         ssiundefinedecho xbithack",
    ),
    row!("info_module", "addmoduleinfo"),
    row!("lbmethod_heartbeat_module", "heartbeatstorage"),
    row!("log_debug_module", "logmessage"),
    row!("log_forensic_module", "forensiclog"),
    row!(
        "lua_module",
        "<luahookaccesschecker <luahookauthchecker <luahookcheckuserid <luahookfixups <luahookmaptostorage \
         <luahookpretranslatename <luahooktranslatename <luahooktypechecker <luaquickhandler luaauthzprovider \
         luacodecache luahookaccesschecker luahookauthchecker luahookcheckuserid luahookfixups \
         luahookinsertfilter luahooklog luahookmaptostorage luahookpretranslatename luahooktranslatename \
         luahooktypechecker luainherit luainputfilter luamaphandler luaoutputfilter luapackagecpath \
         luapackagepath luaquickhandler luaroot luascope",
    ),
    row!("macro_module", "<macro macroignorebadnesting macroignoreemptyargs undefmacro use"),
    row!(
        "md_module",
        "<mdomain <mdomainset mdactivationdelay mdbaseserver mdcacertificatefile mdcachallenges \
         mdcertificateagreement mdcertificateauthority mdcertificatecheck mdcertificatefile \
         mdcertificatekeyfile mdcertificateprotocol mdcertificatestatus mdchallengedns01 \
         mdchallengedns01version mdcheckinterval mdcontactemail mddrivemode mdexternalaccountbinding \
         mdhttpproxy mdhttpproxycacertificatefile mdinitialdelay mdmatchnames mdmember mdmembers mdmessagecmd \
         mdmuststaple mdnotifycmd mdomain mdportmap mdprivatekeys mdprofile mdprofilemandatory mdrenewmode \
         mdrenewviaari mdrenewwindow mdrequirehttps mdretrydelay mdretryfailover mdserverstatus \
         mdstapleothers mdstapling mdstaplingkeepresponse mdstaplingrenewwindow mdstoredir mdstorelocks \
         mdwarnwindow",
    ),
    row!("mime_magic_module", "mimemagicfile"),
    row!(
        "mime_module",
        "addcharset addencoding addhandler addinputfilter addlanguage addoutputfilter addtype defaultlanguage \
         modmimeusepathinfo multiviewsmatch removecharset removeencoding removehandler removeinputfilter \
         removelanguage removeoutputfilter removetype typesconfig",
    ),
    row!("negotiation_module", "cachenegotiateddocs forcelanguagepriority languagepriority"),
    row!("php_module", "php_admin_flag php_admin_value php_flag php_value phpinidir"),
    row!("proxy_connect_module", "allowconnect"),
    row!("proxy_express_module", "proxyexpressdbmfile proxyexpressdbmtype proxyexpressenable"),
    row!("proxy_fcgi_module", "proxyfcgibackendtype proxyfcgisetenvif"),
    row!("proxy_ftp_module", "proxyftpdircharset proxyftpescapewildcards proxyftplistonwildcard"),
    row!("proxy_hcheck_module", "proxyhcexpr proxyhctemplate proxyhctpsize"),
    row!(
        "proxy_html_module",
        "proxyhtmlbufsize proxyhtmlcharsetout proxyhtmldoctype proxyhtmlenable proxyhtmlevents \
         proxyhtmlextended proxyhtmlfixups proxyhtmlinterp proxyhtmllinks proxyhtmlmeta \
         proxyhtmlstripcomments proxyhtmlurlmap",
    ),
    row!(
        "proxy_module",
        "<proxy <proxymatch balancergrowth balancerinherit balancermember balancerpersist noproxy \
         proxy100continue proxyaddheaders proxybadheader proxyblock proxydomain proxyerroroverride \
         proxyiobuffersize proxymaxforwards proxypass proxypassinherit proxypassinterpolateenv proxypassmatch \
         proxypassreverse proxypassreversecookiedomain proxypassreversecookiepath proxypreservehost \
         proxyreceivebuffersize proxyremote proxyremotematch proxyrequests proxyset proxysourceaddress \
         proxystatus proxytimeout proxyvia",
    ),
    row!("proxy_scgi_module", "proxyscgiinternalredirect proxyscgisendfile"),
    row!("proxy_wstunnel_module", "proxywebsocketfallbacktoproxyhttp"),
    row!("reflector_module", "reflectorheader"),
    row!(
        "remoteip_module",
        "remoteipheader remoteipinternalproxy remoteipinternalproxylist remoteipproxiesheader \
         remoteipproxyprotocol remoteipproxyprotocolexceptions remoteiptrustedproxy remoteiptrustedproxylist",
    ),
    row!("request_module", "keptbodysize"),
    row!("rewrite_module", "rewritebase rewritecond rewriteengine rewritemap rewriteoptions rewriterule"),
    row!("sed_module", "inputsed outputsed"),
    row!("session_cookie_module", "sessioncookiename sessioncookiename2 sessioncookieremove"),
    row!(
        "session_crypto_module",
        "sessioncryptocipher sessioncryptodriver sessioncryptopassphrase sessioncryptopassphrasefile",
    ),
    row!(
        "session_dbd_module",
        "sessiondbdcookiename sessiondbdcookiename2 sessiondbdcookieremove sessiondbddeletelabel \
         sessiondbdinsertlabel sessiondbdperuser sessiondbdselectlabel sessiondbdupdatelabel",
    ),
    row!(
        "session_module",
        "session sessionenv sessionexclude sessionexpiryupdateinterval sessionheader sessioninclude \
         sessionmaxage",
    ),
    row!("setenvif_module", "browsermatch browsermatchnocase setenvif setenvifexpr setenvifnocase"),
    row!("socache_memcache_module", "memcacheconnttl"),
    row!("socache_redis_module", "redisconnpoolttl redistimeout"),
    row!("speling_module", "checkbasenamematch checkcaseonly checkspelling"),
    row!(
        "ssl_module",
        "sslcacertificatefile sslcacertificatepath sslcadnrequestfile sslcadnrequestpath sslcarevocationcheck \
         sslcarevocationfile sslcarevocationpath sslcertificatechainfile sslcertificatefile \
         sslcertificatekeyfile sslciphersuite sslcompression sslcryptodevice sslengine sslfips \
         sslhonorcipherorder sslinsecurerenegotiation ssllog sslloglevel sslocspdefaultresponder \
         sslocspenable sslocspnoverify sslocspoverrideresponder sslocspproxyurl \
         sslocsprespondercertificatefile sslocsprespondertimeout sslocspresponsemaxage \
         sslocspresponsetimeskew sslocspuserequestnonce sslopensslconfcmd ssloptions sslpassphrasedialog \
         sslprotocol sslproxycacertificatefile sslproxycacertificatepath sslproxycarevocationcheck \
         sslproxycarevocationfile sslproxycarevocationpath sslproxycheckpeercn sslproxycheckpeerexpire \
         sslproxycheckpeername sslproxyciphersuite sslproxyengine sslproxymachinecertificatechainfile \
         sslproxymachinecertificatefile sslproxymachinecertificatepath sslproxyprotocol sslproxyverify \
         sslproxyverifydepth sslrandomseed sslrenegbuffersize sslrequire sslrequiressl sslsessioncache \
         sslsessioncachetimeout sslsessionticketkeyfile sslsessiontickets sslsrpunknownuserseed \
         sslsrpverifierfile sslstaplingcache sslstaplingerrorcachetimeout sslstaplingfaketrylater \
         sslstaplingforceurl sslstaplingrespondertimeout sslstaplingresponsemaxage \
         sslstaplingresponsetimeskew sslstaplingreturnrespondererrors sslstaplingstandardcachetimeout \
         sslstrictsnivhostcheck sslusername sslusestapling sslverifyclient sslverifydepth sslvhostsnipolicy",
    ),
    row!("substitute_module", "substitute substituteinheritbefore substitutemaxlinelength"),
    row!("suexec_module", "suexecusergroup"),
    row!("userdir_module", "userdir"),
    row!(
        "usertrack_module",
        "cookiedomain cookieexpires cookiehttponly cookiename cookiesamesite cookiesecure cookiestyle \
         cookietracking",
    ),
    row!("version_module", "<ifversion"),
    row!(
        "vhost_alias_module",
        "virtualdocumentroot virtualdocumentrootip virtualscriptalias virtualscriptaliasip",
    ),
    row!("watchdog_module", "watchdoginterval"),
    row!("xml2enc_module", "xml2encalias xml2encdefault xml2startparse"),
];

/// Tells how many names a list has.
const fn count(names: &str) -> usize {
    let names = names.as_bytes();
    let (mut count, mut at) = (1, 0);
    while at < names.len() {
        count += (names[at] == b' ') as usize;
        at += 1;
    }
    count
}

/// Returns the hashes of the names in a list.
const fn hashes<const N: usize>(names: &str) -> [u64; N] {
    let mut rest = names.as_bytes();
    let mut hashes = [0; N];
    let mut index = 0;
    while index < N {
        let mut end = 0;
        while end < rest.len() && rest[end] != b' ' {
            end += 1;
        }
        let (name, behind) = rest.split_at(end);
        hashes[index] = hash(name);
        rest = if behind.is_empty() { behind } else { behind.split_at(1).1 };
        index += 1;
    }
    hashes
}

/// Returns the hashes of the directives that one of httpd's own modules brings.
pub(super) fn of_module(identifier: &str) -> Option<&'static [u64]> {
    let at = OF_MODULES.binary_search_by_key(&identifier, |(module, _)| module).ok()?;
    Some(OF_MODULES[at].1)
}

/// Tells whether httpd's core, or one of these modules as httpd has it, brings a directive.
pub(super) fn is_own<'a>(name: &[u8], mut modules: impl Iterator<Item = &'a str>) -> bool {
    let name = hash(name);
    BUILT_IN.contains(&name)
        || modules.any(|module| of_module(module).is_some_and(|list| list.contains(&name)))
}

/// The names of plain directives, each where it was met first.
pub(super) struct Names {
    by_hash: FxHashMap<u64, usize>,
    met: Vec<Met>,
}

struct Met {
    name: Box<[u8]>,
    place: Place,
    known: bool,
}

impl Names {
    pub(super) fn new() -> Self {
        // A usual configuration has about a hundred.
        Self { by_hash: FxHashMap::with_capacity_and_hasher(200, FxBuildHasher), met: Vec::new() }
    }

    /// Notes a name, whose hash is given, and returns its index, if it is new. Called for each plain line of thousands of
    /// virtual hosts.
    pub(super) fn meet(&mut self, name: &[u8], hash: u64, place: Place) -> Option<usize> {
        let index = self.met.len();
        match self.by_hash.entry(hash) {
            Entry::Vacant(entry) if index < MAX_NAMES => {
                entry.insert(index);
                self.met.push(Met { name: name.into(), place, known: false });
                Some(index)
            }
            _ => None,
        }
    }

    /// Notes that httpd knows what its core and those of its own modules bring that are loaded.
    pub(super) fn strike_own<'a>(&mut self, modules: impl Iterator<Item = &'a str>) {
        for hash in modules.filter_map(of_module).chain([BUILT_IN]).flatten() {
            self.strike_hash(*hash);
        }
    }

    /// Notes that httpd knows a name.
    pub(super) fn strike(&mut self, name: &[u8]) {
        self.strike_hash(hash(name));
    }

    fn strike_hash(&mut self, hash: u64) {
        if let Some(&index) = self.by_hash.get(&hash) {
            self.met[index].known = true;
        }
    }

    /// Notes that it cannot be told what httpd knows.
    pub(super) fn strike_all(&mut self) {
        self.met.iter_mut().for_each(|met| met.known = true);
    }

    /// Tells whether httpd knows all of them.
    pub(super) fn all_known(&self) -> bool {
        self.met.iter().all(|met| met.known)
    }

    /// Returns a name and where it was met, if httpd does not know it.
    pub(super) fn unknown(&self, index: usize) -> Option<(&[u8], Place)> {
        self.met.get(index).filter(|met| !met.known).map(|met| (&*met.name, met.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_in_any_case() {
        let mut names = Names::new();
        let place = Place { file: 0, line: 1 };
        let met = [
            "KeepAlives",
            "keepaliveX",
            "Alias",
            "AuthLDAPRemoteUserAttribute",
            "AuthLDAPRemoteUserXttribute",
        ];
        for (index, name) in met.into_iter().enumerate() {
            assert_eq!(names.meet(name.as_bytes(), hash(name.as_bytes()), place), Some(index), "{name}");
            let again = name.to_ascii_uppercase();
            assert_eq!(names.meet(again.as_bytes(), hash(again.as_bytes()), place), None, "{name}");
        }
        names.strike_own(["alias_module", "no_module"].into_iter());
        names.strike(b"keepAlivex");
        let unknown = |index| names.unknown(index).map(|(name, _)| name);
        assert_eq!((unknown(0), unknown(1), unknown(2)), (Some(&b"KeepAlives"[..]), None, None));
        assert!(!names.all_known());
    }

    #[test]
    fn the_table_is_in_order_and_holds_the_hashes_of_each_name() {
        assert!(OF_MODULES.is_sorted_by_key(|(module, _)| module));
        assert_eq!(
            hashes::<{ count("a bcd <directorymatch") }>("a bcd <directorymatch"),
            [hash(b"A"), hash(b"bcd"), hash(b"<DirectoryMatch")]
        );
        let all = || OF_MODULES.iter().flat_map(|(_, list)| *list).chain(BUILT_IN);
        let different: std::collections::HashSet<_> = all().collect();
        // Some directives are brought by two modules.
        assert!(all().count() - different.len() < 10, "{} {}", all().count(), different.len());
        assert!(
            is_own(b"AliasMatch", ["alias_module"].into_iter()) && !is_own(b"AliasMatch", [].into_iter())
        );
        assert!(is_own(b"<virtualhost", [].into_iter()) && !is_own(b"", [].into_iter()));
    }
}
