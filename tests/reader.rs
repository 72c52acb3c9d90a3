//! The reader against arbitrary bytes: it never panics, never hangs, and what it says hangs together.

#![allow(clippy::unwrap_used)]

#[path = "support/any_input.rs"]
mod any_input;

use std::path::Path;

use any_input::{check, read_and_check, start};
use apache_tuning::httpd::read::{NoteKind, read};
use apache_tuning::tree::Memory;
use proptest::collection::vec;
use proptest::prelude::*;

/// Pieces that mean something to the reader, so that chance gets deep into it.
const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\n",
    " ",
    "\t",
    "\r\n",
    "\\\n",
    "\\",
    "#",
    "\"",
    "'",
    ">",
    "<",
    "/",
    "!",
    "*",
    "[",
    "]",
    "$",
    "${A}",
    "${a}",
    "${",
    "}",
    "\0",
    "\u{feff}",
    "\u{a0}",
    "0",
    "9",
    "x",
    "KeepAlive",
    "On",
    "ServerLimit",
    "MaxClients",
    "DOSPageCount",
    "RequestReadTimeout",
    "<IfModule",
    "</IfModule>",
    "<IfModule core.c>",
    "<IfModule none.c>",
    "<IfDefine GIVEN>",
    "</IfDefine>",
    "<IfVersion >= 2.4>",
    "</IfVersion>",
    "<IfVersion ~ (2|3)*>",
    "<IfFile main>",
    "</IfFile>",
    "<IfDirective KeepAlive>",
    "</IfDirective>",
    "<VirtualHost *:80>",
    "</VirtualHost>",
    "<Directory /x>",
    "</Directory>",
    "Define A ",
    "UnDefine A",
    "Include ",
    "IncludeOptional ",
    "other",
    "d/*",
    "d",
    "main",
    "LoadModule macro_module m.so",
    "LoadModule mpm_event_module m.so",
    "LoadModule lua_module m.so",
    "<Macro m $a>",
    "</Macro>",
    "Use m ",
    "UndefMacro m",
    "ServerRoot /c",
    "Error ",
    "<LuaHookLog x>",
    "Listen 80",
    "ServerName a",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..6),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn files(main: &[u8], other: &[u8], deep: &[u8]) -> Memory {
    Memory::new()
        .file("/c/main", main)
        .file("/c/other", other)
        .file("/c/d/a", deep)
        .file("/c/d/b~", other)
        .file("/c/m.so", deep)
        .link("/c/d/loop", "../d")
        .link("/c/d/none", "missing")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: test_hosts::cases(200, 5_000), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_harm(main in text(), other in text(), deep in text()) {
        let files = files(&main, &other, &deep);
        let found = read(&files, &start());
        check(&found);
        prop_assert_eq!(&found, &read(&files, &start()), "reading is not the same twice");
    }

    #[test]
    fn comments_and_empty_lines_change_no_value(lines in vec(prop::sample::select(PLAIN), 1..12)) {
        let plain: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let airy: String = lines.iter().map(|line| format!("\n# KeepAlive Off\n   \t{line}  \r\n\n")).collect();
        let values = |text: &str| {
            let found = read(&files(text.as_bytes(), b"", b""), &start());
            found.lines.iter().map(|line| (line.directive, line.words.clone(), line.scope)).collect::<Vec<_>>()
        };
        prop_assert_eq!(values(&plain), values(&airy));
    }
}

/// Lines that may be in any order.
const PLAIN: &[&str] = &[
    "KeepAlive On",
    "ServerLimit 5",
    "Define A 7",
    "KeepAliveTimeout ${a}",
    "<IfModule core.c>",
    "</IfModule>",
    "<IfModule none.c>",
    "<VirtualHost *>",
    "</VirtualHost>",
    "MaxClients \"5\"",
];

#[test]
fn what_grows_without_end_is_stopped() {
    // Each file includes the next one twice: 2^40 files.
    let mut doubling = Memory::new();
    for level in 0..40 {
        let next = format!("Include f{0}\nInclude f{0}\n", level + 1);
        doubling = doubling.file(format!("/c/f{level}"), next);
    }
    doubling = doubling.file("/c/f40", "KeepAlive On\n").file("/c/main", "Include f0\n");
    let found = read(&doubling, &start());
    assert!(found.files.len() <= 1 << 18);
    assert!(found.errors[0].message.contains("reading stopped"), "{:?}", found.errors[0]);

    // Each macro uses the next one twice.
    let mut macros = String::from("LoadModule macro_module /c/m.so\n<Macro m40>\nKeepAlive On\n</Macro>\n");
    for level in (0..40).rev() {
        macros += &format!("<Macro m{level}>\nUse m{0}\nUse m{0}\n</Macro>\n", level + 1);
    }
    let found = read(&files((macros + "Use m0\n").as_bytes(), b"", b""), &start());
    assert!(found.errors.iter().any(|error| error.message.contains("reading stopped")), "{:?}", found.errors);

    // Each variable is the one before, many times.
    let mut variables = String::from("Define V0 xxxxxxxxxxxxxxxx\n");
    for level in 0..30 {
        variables += &format!("Define V{} ${{V{level}}}${{V{level}}}${{V{level}}}${{V{level}}}\n", level + 1);
    }
    let found = read(&files(variables.as_bytes(), b"", b""), &start());
    assert!(found.errors.iter().any(|error| error.message.contains("16 MiB")), "{:?}", found.errors);

    // Sections within sections, true, false and of the tree.
    for tag in ["<IfModule core.c>\n", "<IfModule none.c>\n", "<a>\n", "<a\n"] {
        let found = read(&files(tag.repeat(200_000).as_bytes(), b"", b""), &start());
        assert!(!found.errors.is_empty(), "{tag}");
    }
}

#[test]
fn what_fuzzing_starts_from_is_read_without_harm_whole_or_cut_anywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for folder in ["fuzz/corpus/reader", "tests/configurations"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let input = std::fs::read(entry.unwrap().path()).unwrap();
            // Each line's end, and places within lines.
            let ends = (1..=input.len()).filter(|&end| input[end - 1] == b'\n' || end % 17 == 0);
            for end in ends.chain([0, input.len()]) {
                read_and_check(&input[..end]);
                read += 1;
            }
        }
    }
    assert!(read > 1000, "{read} inputs");
}

/// A directive of several lines that is commented out as a whole is no mistake; one that may be believed in is.
#[test]
fn of_the_lines_that_comments_swallow_only_directives_are_told() {
    for (text, told) in [
        ("# SecRule ARGS \"@rx x\" \\\n    \"id:1,deny\"\n", false),
        ("#SecAction \\\n#  \"id:900000\"\n", false),
        ("# a long remark \\\n  that goes on and on\n", false),
        ("# see C:\\\n\n", false),
        ("# LogFormat \"%h \\\n %l\" combined\n", false),
        ("# off for now \\\nKeepAliveTimeout 5\n", true),
        ("# off for now \\\n  keepalivetimeout 5\n", true),
        ("# sites \\\nInclude other\n", true),
        ("# one \\\n<IfModule core.c>\nKeepAlive Off\n", true),
    ] {
        let found = read(&files(text.as_bytes(), b"", b""), &start());
        let notes = found.notes.iter().filter(|note| note.kind == NoteKind::SwallowingComment);
        assert_eq!(notes.count() == 1, told, "{text}");
    }
}
