//! Configuration trees made up by chance, the same for the same number.
//!
//! Most are made so that httpd accepts them, because only then does it tell everything; about a third get a
//! mistake, to see that both find the same one first.

use std::fmt::Write as _;

use apache_tuning::httpd::Mpm;

use crate::oracle::MODULES;

/// A tree of configuration files.
#[derive(Debug, Default)]
pub struct Tree {
    /// Absolute paths inside the bed and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// Symbolic links and their texts.
    pub links: Vec<(String, String)>,
    /// The main file.
    pub main: String,
    /// Names given with `-D`.
    pub defines: Vec<String>,
}

/// A small generator of chance, the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Returns a number below `count`.
    fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from(self.next() % count).unwrap_or(0)
    }

    /// Is true `percent` times of a hundred.
    fn once_in(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Where a line stands, for what is allowed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Main,
    Vhost,
    Section,
}

/// One tree in the making.
struct Maker<'a> {
    chance: Chance,
    folder: &'a str,
    available: &'a [String],
    mpm: Mpm,
    /// Modules that are loaded for certain, by the name in their identifier.
    loaded: Vec<&'static str>,
    /// Whether mistakes may be made.
    faulty: bool,
    tree: Tree,
    /// The last three digits of the last port listened on.
    port: u16,
}

/// Directories of included files, by how deep they are and what may be in them. A file includes only from
/// directories further down the list, so that there is an end.
const FOLDERS: &[(&str, Context)] = &[
    ("mods", Context::Main),
    ("conf.d", Context::Main),
    ("sites", Context::Main),
    ("deep/one", Context::Main),
    ("shared", Context::Vhost),
    ("deep/two", Context::Vhost),
    ("plain", Context::Section),
];

const NAMES: &[&str] = &[
    "a.conf",
    "10-x.conf",
    "9-y.conf",
    "B.conf",
    "é.conf",
    ".hidden.conf",
    "a.conf~",
    "x.conf.bak",
    "z.load",
    "b",
];

/// Modules that load beside any other and ask for nothing.
const HARMLESS: &[&str] =
    &["env", "setenvif", "headers", "expires", "dir", "alias", "mime", "reqtimeout", "macro", "status"];

/// Tells whether the last line goes on with what a backslash continues. Behind a macro and without its line feed
/// such a line is lost, and half a name is left, which no one but httpd can know to be nobody's directive.
fn last_is_continued(text: &[u8]) -> bool {
    let before =
        text.strip_suffix(b"\n").and_then(|line| Some(&line[..line.iter().rposition(|&b| b == b'\n')?]));
    before.is_some_and(|before| before.ends_with(b"\\") || before.ends_with(b"\\\r"))
}

/// Makes tree `number` in `folder`, an absolute path inside the bed; `available` are the names of the `.so` files.
pub fn tree(number: u64, folder: &str, available: &[String]) -> Tree {
    let mut chance = Chance(number.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f);
    let mpm = chance.of(&Mpm::ALL);
    let faulty = chance.once_in(35);
    let mut maker = Maker {
        chance,
        folder,
        available,
        mpm,
        loaded: vec!["version"],
        faulty,
        tree: Tree::default(),
        port: 100,
    };
    maker.make();
    maker.tree
}

impl Maker<'_> {
    fn make(&mut self) {
        let mut main = format!("ServerRoot {}\nServerName case\nErrorLog /dev/null\n", self.folder);
        if self.chance.once_in(30) {
            self.tree.defines.push("GIVEN".to_owned());
        }
        main += "Define ALWAYS\nDefine N5 5\nDefine N9 9\nDefine Sub shared\nDefine PORT 8080\nDefine Words \"x  y\"\n";
        let mpm = self.load(self.mpm.debian());
        let early = self.chance.once_in(80);
        if early {
            main += &mpm;
        }
        for module in HARMLESS {
            if self.chance.once_in(60) {
                main += &self.load(module);
                self.loaded.push(module);
            }
        }
        for (name, so) in [("evasive20", "mod_evasive20.so"), ("evasive", "mod_evasive.so")] {
            if self.available.iter().any(|known| known == so) && self.chance.once_in(60) {
                let _ = writeln!(main, "LoadModule {name}_module {MODULES}/{so}");
                self.loaded.push(name);
            }
        }
        if self.loaded.contains(&"macro") {
            main += "<Macro Keep $n @text>\n# not kept\nKeepAliveTimeout $n\nTimeout \\\n $n\nMaxKeepAliveRequests @text\n</Macro>\n\
                     <macro Limits $a $ab>\nStartServers $a\n<IfDefine ALWAYS>\nServerLimit $ab\n</IfDefine>\nUse keep $a '$ab'\n</MACRO>\n";
        }
        let mut content = main.into_bytes();
        let count = 6 + self.chance.below(14);
        self.block(&mut content, Context::Main, 0, count, 0);
        if !early {
            content.extend_from_slice(mpm.as_bytes());
        }
        if self.chance.once_in(20) {
            content.extend_from_slice(mpm.as_bytes());
        }
        self.finish_file("main.conf", content, Context::Main);
        self.tree.main = format!("{}/main.conf", self.folder);
        for (level, &(folder, context)) in FOLDERS.iter().enumerate() {
            for (index, name) in NAMES.iter().enumerate() {
                // `a.conf` is in every directory, so that an include of it finds something.
                if index > 0 && self.chance.once_in(55) {
                    continue;
                }
                let mut content = Vec::new();
                let count = 1 + self.chance.below(6);
                self.block(&mut content, context, level + 1, count, 0);
                self.finish_file(&format!("{folder}/{name}"), content, context);
            }
        }
        if self.chance.once_in(30) {
            let link = format!("{}/sites/link.conf", self.folder);
            self.tree.links.push((link, "../shared/a.conf".to_owned()));
        }
        if self.chance.once_in(20) {
            self.tree.links.push((format!("{}/linked", self.folder), "plain".to_owned()));
        }
    }

    fn load(&mut self, module: &str) -> String {
        let name = self.chance.of(&["LoadModule", "loadmodule", "LOADMODULE"]);
        let path = format!("{MODULES}/mod_{module}.so");
        let path = if self.chance.once_in(10) { format!("\"{path}\"") } else { path };
        format!("{name} {module}_module\t{path}\n")
    }

    fn finish_file(&mut self, path: &str, mut text: Vec<u8>, context: Context) {
        if self.chance.once_in(8) {
            text.extend_from_slice(b"<IfDefine ALWAYS>\n");
            self.line(&mut text, context, 1);
        }
        if self.faulty && self.chance.once_in(6) {
            self.mistake(&mut text);
        }
        if self.chance.once_in(10) {
            let mut other = Vec::with_capacity(text.len());
            for byte in text {
                if byte == b'\n' {
                    other.push(b'\r');
                }
                other.push(byte);
            }
            text = other;
        }
        if self.chance.once_in(10) && text.last() == Some(&b'\n') && !last_is_continued(&text) {
            text.pop();
        }
        self.tree.files.push((format!("{}/{path}", self.folder), text));
    }

    /// Appends `count` things that may be in a context.
    fn block(&mut self, out: &mut Vec<u8>, context: Context, level: usize, count: usize, depth: usize) {
        for _ in 0..count {
            // A plain line where nothing else is said.
            match self.chance.below(100) {
                35..=44 => self.comment(out),
                45..=64 if depth < 4 => self.condition(out, context, level, depth),
                65..=74 if context == Context::Main && depth < 3 => self.virtual_host(out, level, depth),
                75..=80 if context != Context::Section && depth < 4 => self.section(out, level, depth),
                81..=90 => self.include(out, context, level),
                91..=95 => self.definition(out),
                96 | 97 => self.use_macro(out, context),
                98 if context == Context::Main => {
                    let module = self.chance.of(HARMLESS);
                    let line = self.load(module);
                    self.put(out, &line);
                }
                _ => self.line(out, context, level),
            }
        }
    }

    /// Appends a line, in one of the ways people and programs write it.
    fn put(&mut self, out: &mut Vec<u8>, line: &str) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let mut text = line.to_owned();
        if self.chance.once_in(25) {
            text.insert_str(0, self.chance.of(&["  ", "\t", " \t "]));
        }
        if self.chance.once_in(8) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).collect();
            // Not before a white space that would then begin the next line's argument; anywhere else.
            let at = self.chance.of(&places);
            text.insert_str(at, "\\\n");
        }
        if self.chance.once_in(10) {
            text.push_str(self.chance.of(&[" ", "\t", "  "]));
        }
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }

    fn in_some_case(&mut self, name: &str) -> String {
        match self.chance.below(10) {
            0 => name.to_ascii_lowercase(),
            1 => name.to_ascii_uppercase(),
            2 => format!("\"{name}\""),
            3 if self.chance.once_in(20) => format!("{name}>"),
            _ => name.to_owned(),
        }
    }

    fn number(&mut self) -> String {
        let number = self.chance.below(300) + 1;
        match self.chance.below(14) {
            0 => format!("\"{number}\""),
            1 => format!("'{number}'"),
            2 => format!("{number}x"),
            3 => format!("{number}#glued"),
            4 => "${N5}".to_owned(),
            5 => "${n5}0".to_owned(),
            6 => format!("${{N5}}{number}"),
            _ => number.to_string(),
        }
    }

    fn line(&mut self, out: &mut Vec<u8>, context: Context, level: usize) {
        let (name, value) = match context {
            Context::Section => {
                let line = self.chance.of(&[
                    "Options None",
                    "LimitRequestBody 5",
                    "DefaultType none",
                    "ServerSignature Off",
                ]);
                self.put(out, line);
                return;
            }
            Context::Main if self.chance.once_in(60) => self.main_line(level == 0),
            Context::Main | Context::Vhost => self.server_line(),
        };
        let name = self.in_some_case(name);
        self.put(out, &format!("{name} {value}"));
    }

    fn main_line(&mut self, read_once: bool) -> (&'static str, String) {
        let both =
            &["StartServers", "ServerLimit", "MaxRequestWorkers", "MaxClients", "MaxConnectionsPerChild"];
        let more = &[
            "MaxRequestsPerChild",
            "ThreadStackSize",
            "MaxMemFree",
            "ListenBacklog",
            "GracefulShutdownTimeout",
        ];
        let threaded = &["ThreadLimit", "ThreadsPerChild", "MinSpareThreads", "MaxSpareThreads"];
        let prefork = &["MinSpareServers", "MaxSpareServers"];
        let name = match self.chance.below(10) {
            0..=4 => self.chance.of(both),
            5 => self.chance.of(more),
            6 if read_once => {
                // The same port twice is refused.
                self.port += 1;
                let host = self.chance.of(&["", "127.0.0.1:"]);
                return (
                    "Listen",
                    format!("{host}{}{}", if self.chance.once_in(30) { "${N9}" } else { "9" }, self.port),
                );
            }
            7 if self.mpm == Mpm::Event => {
                return ("AsyncRequestWorkerFactor", self.chance.of(&["2", "1.5", "\"3\""]).to_owned());
            }
            8 => return ("ReceiveBufferSize", self.chance.of(&["0", "1024x"]).to_owned()),
            _ if self.mpm == Mpm::Prefork => self.chance.of(prefork),
            _ => self.chance.of(threaded),
        };
        (name, self.number())
    }

    fn server_line(&mut self) -> (&'static str, String) {
        match self.chance.below(14) {
            0..=2 => {
                let value = self.chance.of(&["On", "off", "OFF", "Off # more", "\"On\" Off", "'off'"]);
                ("KeepAlive", value.to_owned())
            }
            3 | 4 => {
                let value = self.chance.of(&["5", "300ms", "1min", "2s", "\"7\"", "${N5}", "5sec", "0"]);
                ("KeepAliveTimeout", value.to_owned())
            }
            5 | 6 => ("MaxKeepAliveRequests", self.number()),
            7 => ("Timeout", self.number()),
            8 if self.loaded.contains(&"reqtimeout") => {
                let value = self.chance.of(&[
                    "header=20-40,MinRate=500 body=20,minrate=500",
                    "header=${N5}",
                    "body=10",
                ]);
                ("RequestReadTimeout", value.to_owned())
            }
            9 if self.loaded.contains(&"evasive20") => self.evasive_line(),
            10 => {
                let value = self.chance.of(&["a.example", "\"b.example\"", "c${N5}.example"]);
                ("ServerName", value.to_owned())
            }
            11 => ("ServerAdmin", self.chance.of(&["\"a # b\"", "x@example", "\"${Words}\""]).to_owned()),
            12 => ("DocumentRoot", "/".to_owned()),
            _ => ("UseCanonicalName", "Off".to_owned()),
        }
    }

    fn evasive_line(&mut self) -> (&'static str, String) {
        match self.chance.below(6) {
            0 => ("DOSPageCount", self.number()),
            1 => ("DOSSiteInterval", self.number()),
            2 => (
                "DOSWhitelist",
                self.chance.of(&["127.0.0.1 10.0.0.*", "192.168.*.* # home", "\"1.2.3.4\""]).to_owned(),
            ),
            3 => ("DOSLogDir", self.chance.of(&["/tmp", "\"/var/log/a b\"", "\"${LOW}\""]).to_owned()),
            4 => ("DOSSystemCommand", "\"echo \\\"%s\\\" \\\\ ${LOW}\"".to_owned()),
            _ => ("DOSBlockingPeriod", self.number()),
        }
    }

    fn comment(&mut self, out: &mut Vec<u8>) {
        let text: &[u8] = self.chance.of(&[
            &b"# plain"[..],
            b"#KeepAlive Off",
            b"# swallows \\\nKeepAlive Off",
            b"# b\xe9te \xff\xfe",
            b"",
            b"   \t",
            b"# <VirtualHost *:80>",
            b"  #MaxRequestWorkers 7",
            b"# ends \\ ",
            b"#LoadModule mpm_prefork_module modules/mod_mpm_prefork.so",
            b"# two \\\\\n# lines",
        ]);
        out.extend_from_slice(text);
        out.push(b'\n');
    }

    fn condition(&mut self, out: &mut Vec<u8>, context: Context, level: usize, depth: usize) {
        let (name, argument) = match self.chance.below(12) {
            0..=5 => ("IfModule", self.module_name()),
            6 | 7 => {
                let name =
                    self.chance.of(&["ALWAYS", "GIVEN", "NEVER", "always", "N5", "Sub", "${N5}", "MADE"]);
                ("IfDefine", name.to_owned())
            }
            8 => {
                let path = self.chance.of(&[
                    "main.conf",
                    "shared",
                    "missing",
                    "/etc/passwd",
                    "plain/a.conf",
                    "shared/*.conf",
                    "../",
                ]);
                ("IfFile", path.to_owned())
            }
            9 => {
                let version = self.chance.of(&[
                    ">= 2.4",
                    "< 2.4",
                    "2.4",
                    "!= 2.4.1",
                    "> 2.4.66",
                    "<= 2.4.68",
                    "~ ^2\\.4",
                    "= /4.7/",
                    "!~ 2.2",
                ]);
                self.body(out, context, level, depth, "IfVersion", version);
                return;
            }
            10 => {
                let name = self.chance.of(&[
                    "KeepAlive",
                    "serverlimit",
                    "MinSpareServers",
                    "ThreadLimit",
                    "Foo",
                    "Header",
                    "DOSPageCount",
                    "Use",
                    "ExpiresActive",
                ]);
                ("IfDirective", name.to_owned())
            }
            _ => {
                let name =
                    self.chance.of(&["VirtualHost", "Foo", "Macro", "IfVersion", "directory", "Proxy"]);
                ("IfSection", name.to_owned())
            }
        };
        let argument = match self.chance.below(10) {
            0 | 1 => format!("!{argument}"),
            2 => format!("! {argument}"),
            3 => format!("\"{argument}\""),
            4 => format!("{argument} more words"),
            _ => argument,
        };
        self.body(out, context, level, depth, name, &argument);
    }

    fn module_name(&mut self) -> String {
        let known = [
            "mpm_event_module",
            "mpm_worker_module",
            "mpm_prefork_module",
            "event.c",
            "worker.c",
            "prefork.c",
            "mod_mpm_event.c",
            "mpm_event.c",
            "MPM_event_module",
            "core.c",
            "http_core.c",
            "http_module",
            "mod_so.c",
            "core_module",
            "mod_evasive20.c",
            "mod_evasive24.c",
            "mod_evasive.c",
            "evasive20_module",
            "mod_php8.c",
            "none.c",
        ];
        if self.chance.once_in(60) {
            return self.chance.of(&known).to_owned();
        }
        let module = self.chance.of(HARMLESS);
        if self.chance.once_in(50) { format!("{module}_module") } else { format!("mod_{module}.c") }
    }

    /// Appends a condition with its body and its closing tag.
    fn body(
        &mut self,
        out: &mut Vec<u8>,
        context: Context,
        level: usize,
        depth: usize,
        name: &str,
        argument: &str,
    ) {
        let shown = match self.chance.below(8) {
            0 => name.to_ascii_lowercase(),
            1 => name.to_ascii_uppercase(),
            _ => name.to_owned(),
        };
        let after = if self.chance.once_in(5) { " # after" } else { "" };
        self.put(out, &format!("<{shown} {argument}>{after}"));
        let count = 1 + self.chance.below(4);
        self.block(out, context, level, count, depth + 1);
        if argument == "NEVER" && self.chance.once_in(50) {
            self.put(out, "Nonsense <here> \"and there");
            self.put(out, "<Unknown a b>");
            self.put(out, "</Unknown>");
        }
        let shown = if self.chance.once_in(10) { name.to_ascii_lowercase() } else { name.to_owned() };
        let indent = if self.chance.once_in(20) { "  " } else { "" };
        out.extend_from_slice(format!("{indent}</{shown}>\n").as_bytes());
    }

    fn virtual_host(&mut self, out: &mut Vec<u8>, level: usize, depth: usize) {
        let address =
            self.chance.of(&["*:80", "127.0.0.1:${PORT}", "_default_:443", "*:80 127.0.0.2:81", "\"*:90\""]);
        let name = self.chance.of(&["VirtualHost", "virtualhost", "VirtualHost"]);
        self.put(out, &format!("<{name} {address}>"));
        let count = self.chance.below(5);
        self.block(out, Context::Vhost, level, count, depth + 1);
        let after = self.chance.of(&["", "", " # end", " "]);
        self.put(out, &format!("</VirtualHost>{after}"));
    }

    fn section(&mut self, out: &mut Vec<u8>, level: usize, depth: usize) {
        let (name, argument) = self.chance.of(&[
            ("Directory", "/srv"),
            ("Location", "/x"),
            ("Files", "*.x"),
            ("If", "\"true\""),
            ("LocationMatch", "\"^/x\""),
        ]);
        self.put(out, &format!("<{name} {argument}>"));
        let count = self.chance.below(3);
        self.block(out, Context::Section, level, count, depth + 1);
        let name = if self.chance.once_in(20) { name.to_ascii_uppercase() } else { name.to_owned() };
        self.put(out, &format!("</{name}>"));
    }

    fn include(&mut self, out: &mut Vec<u8>, context: Context, level: usize) {
        let rank = |context| match context {
            Context::Main => 0,
            Context::Vhost => 1,
            Context::Section => 2,
        };
        let fitting: Vec<&str> = FOLDERS
            .iter()
            .skip(level)
            .filter(|(_, other)| {
                if context == Context::Section {
                    *other == context
                } else {
                    rank(*other) >= rank(context) && *other != Context::Section
                }
            })
            .map(|(folder, _)| *folder)
            .collect();
        if fitting.is_empty() {
            return;
        }
        let folder = self.chance.of(&fitting);
        let root = self.folder.to_owned();
        let line = match self.chance.below(16) {
            0..=3 => format!("Include {folder}/*.conf"),
            4 | 5 => format!("Include {folder}/a.conf"),
            6 => format!("Include {root}/{folder}/a.conf"),
            7 => format!("Include \"{folder}\""),
            8 => format!("Include {folder}/"),
            9 => format!("IncludeOptional {folder}/[0-9]*"),
            10 => format!("IncludeOptional {folder}/?.conf"),
            11 => format!("include ./{folder}//../{}/*", folder.rsplit('/').next().unwrap_or_default()),
            12 => "IncludeOptional missing/*.conf".to_owned(),
            13 => "IncludeOptional missing.conf".to_owned(),
            14 if context != Context::Section && level < 4 => "IncludeOptional ${Sub}/[!a].conf".to_owned(),
            14 if context == Context::Section => "IncludeOptional linked*/*.conf".to_owned(),
            _ => format!("IncludeOptional {folder}/[!a-z]*.conf"),
        };
        self.put(out, &line);
    }

    fn definition(&mut self, out: &mut Vec<u8>) {
        let line = self.chance.of(&[
            "Define MADE",
            "Define N5 6",
            "define n5 \"7\"",
            "UnDefine MADE",
            "UnDefine N5",
            "Define N5 5",
            "Define EMPTY \"\"",
            "Define PORT 8082",
            "Undefine given",
        ]);
        self.put(out, line);
        // The others rely on it.
        if line == "UnDefine N5" {
            self.put(out, "Define N5 8");
        }
    }

    fn use_macro(&mut self, out: &mut Vec<u8>, context: Context) {
        if !self.loaded.contains(&"macro") || context == Context::Section {
            return;
        }
        let number = self.chance.below(90) + 1;
        let line = if context == Context::Main && self.chance.once_in(50) {
            format!("Use Limits {number} {number}5")
        } else {
            format!("use KEEP {number} \"{number}6\"")
        };
        self.put(out, &line);
    }

    /// Appends something that httpd refuses, in most places.
    fn mistake(&mut self, out: &mut Vec<u8>) {
        let other = if self.mpm == Mpm::Prefork { "MinSpareThreads 5" } else { "MinSpareServers 5" };
        let line: &str = self.chance.of(&[
            "Include missing.conf",
            "Include missing/*.conf",
            "Include shared/*.none",
            "Include shared/a.conf plain/a.conf",
            "ServerLimit 5 6",
            "ServerLimit 5 # five",
            "KeepAlive",
            "KeepAlive maybe",
            "KeepAliveTimeout \"\"",
            other,
            "<VirtualHost *:80>\nServerLimit 5\n</VirtualHost>",
            "<Directory /x>\nKeepAlive On\n</Directory>",
            "<VirtualHost *:80>\n",
            "</VirtualHost>",
            "</IfModule>",
            "<IfModule core.c>\nKeepAlive On\n</IfModule >",
            "<IfModule core.c>\n<VirtualHost *:81>\n</IfModule>",
            "<IfModule none.c>\nKeepAlive On",
            "<IfModule none.c>\n<a>\n</b>\n</IfModule>",
            "<IfModule core.c\nKeepAlive On",
            "<IfModule>\n</IfModule>",
            "<IfVersion >=2.4>\n</IfVersion>",
            "LoadModule none_module modules/none.so",
            "LoadModule version_module modules/mod_version.so",
            "LoadModule one",
            "Use",
            "Define a:b c",
            "Define a b c",
            "Error \"stop\"",
            "\u{feff}KeepAlive On",
            "KeepAlive\u{a0}On",
            "5 KeepAlive",
            "ServerRoot /missing",
            "<Macro twice $a $a>\n</Macro>",
            "<VirtualHost *:80>\n<VirtualHost *:81>\n</VirtualHost>\n</VirtualHost>",
            "RequestReadTimeout",
            "DOSPageCount 5 6",
        ]);
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
}
