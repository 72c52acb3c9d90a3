#![allow(clippy::unwrap_used)]
use super::*;
use crate::tree::Memory;

/// Returns what is exported, the lines that were not carried out, and what is not known.
fn shell(files: Memory, text: &str, given: &[(&str, &str)]) -> (Vec<String>, Vec<u32>, Vec<String>) {
    let given = given.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let files = files.file("/envvars", text);
    let read = read(&files, Path::new("/envvars"), &given, &BTreeMap::new());
    let mut unknown: Vec<String> = read.unknown.names.into_iter().collect();
    if read.unknown.every {
        unknown.push("*".to_owned());
    }
    (
        read.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        read.constructs.into_iter().map(|construct| construct.line).collect(),
        unknown,
    )
}

const DEBIAN: &str = "# envvars - default environment variables for apache2ctl\n\
    \n\
    unset HOME\n\
    if [ \"${APACHE_CONFDIR##/etc/apache2-}\" != \"${APACHE_CONFDIR}\" ] ; then\n\
    \tSUFFIX=\"-${APACHE_CONFDIR##/etc/apache2-}\"\n\
    else\n\
    \tSUFFIX=\n\
    fi\n\
    export APACHE_RUN_USER=www-data\n\
    export APACHE_PID_FILE=/var/run/apache2$SUFFIX/apache2.pid\n\
    export APACHE_RUN_DIR=/var/run/apache2$SUFFIX\n\
    export LANG=C\n\
    export LANG\n\
    #. /etc/default/locale\n";

#[test]
fn debians_file_is_read_for_the_first_and_for_a_second_instance() {
    let (first, constructs, unknown) = shell(Memory::new(), DEBIAN, &[("HOME", "/root")]);
    assert_eq!((constructs, unknown), (vec![], vec![]));
    assert_eq!(
        first,
        [
            "APACHE_PID_FILE=/var/run/apache2/apache2.pid",
            "APACHE_RUN_DIR=/var/run/apache2",
            "APACHE_RUN_USER=www-data",
            "LANG=C",
        ]
    );
    let (second, _, _) = shell(Memory::new(), DEBIAN, &[("APACHE_CONFDIR", "/etc/apache2-two")]);
    assert!(second.contains(&"APACHE_RUN_DIR=/var/run/apache2-two".to_owned()), "{second:?}");
}

#[test]
fn defaults_hold_variables_and_leave_what_is_given_alone() {
    let image = "S=-x\n: ${A:=/run/apache2$S}\nexport A\n: \"${B=b}\" ${C:=\"c d\"}\nexport B C\n: ${D:=${A}/pid}\nexport D\n";
    for (given, want) in [
        (&[][..], ["A=/run/apache2-x", "B=b", "C=c d", "D=/run/apache2-x/pid"]),
        (&[("A", "/srv"), ("B", "")], ["A=/srv", "B=", "C=c d", "D=/srv/pid"]),
        (&[("A", ""), ("C", "7")], ["A=/run/apache2-x", "B=b", "C=7", "D=/run/apache2-x/pid"]),
    ] {
        assert_eq!(shell(Memory::new(), image, given), (want.map(str::to_owned).to_vec(), vec![], vec![]));
    }
}

/// Text of the file, what is exported, the lines that were not carried out, what is not known.
type Row = (&'static str, &'static [&'static str], &'static [u32], &'static [&'static str]);

#[test]
fn what_files_of_variables_are_written_in_is_carried_out() {
    let rows: &[Row] = &[
        ("export A=b", &["A=b"], &[], &[]),
        ("A=b\nexport A", &["A=b"], &[], &[]),
        ("A=b", &[], &[], &[]),
        ("export A='x $y' B=\"$C z\" # note", &["A=x $y", "B= z"], &[], &[]),
        ("A=1; export A", &["A=1"], &[], &[]),
        ("export A=1;", &["A=1"], &[], &[]),
        ("export A=${B:-d}", &["A=d"], &[], &[]),
        ("export A=a\\\nb", &["A=ab"], &[], &[]),
        ("export A=b\nunset A", &[], &[], &[]),
        ("set -a\nA=1\nset +a\nB=2\n", &["A=1"], &[], &[]),
        (
            "export A=/x/y.z; export B=${A%.*} C=${A##*/} D=${A:+set} E=${N:+set} F=${A%/*}",
            &["A=/x/y.z", "B=/x/y", "C=y.z", "D=set", "E=", "F=/x"],
            &[],
            &[],
        ),
        // Programs set no variable, whatever they do.
        ("ulimit -n 8192\numask 022\nmkdir -p /run/x >/dev/null 2>&1\nexport A=1", &["A=1"], &[], &[]),
        (
            "[ -f /there ] && export A=b\n[ -f /gone ] && export B=c\n[ -f /gone ] || export C=d",
            &["A=b", "C=d"],
            &[],
            &[],
        ),
        (
            "if [ -f /gone ]; then\nexport A=b\nelif test -d /dir -a -n \"x\"; then export A=d\nelse\nexport A=c\nfi",
            &["A=d"],
            &[],
            &[],
        ),
        ("if [ \"a\" = \"b\" ]; then\nexport A=b\nfi", &[], &[], &[]),
        ("case \"${V:-one}\" in\n  two|o*) export A=1 ;;\n  *) export A=2;;\nesac", &["A=1"], &[], &[]),
        (". /there\nsource /dir/a.sh\nexport A=$THERE B", &["A=yes", "B=2"], &[], &[]),
        (
            "for f in /dir/*.sh; do\n  [ -r \"$f\" ] && . \"$f\"\ndone\nunset f\nexport B",
            &["B=3", "FROM=two"],
            &[],
            &[],
        ),
        ("for f in /none/*.sh; do if [ -r $f ]; then . $f; fi; done; export A=1", &["A=1"], &[], &[]),
        ("for n in one two; do export LAST=$n; done", &["LAST=two"], &[], &[]),
        ("with() { export A=$B; }\nB=7\nwith", &["A=7"], &[], &[]),
        ("(export A=1)\nexport B=2 | cat\n", &[], &[], &[]),
        ("return 0\nexport A=1", &[], &[], &[]),
        // What only a shell can tell.
        ("export A=`hostname` B=1", &["B=1"], &[1], &["A"]),
        ("export A=$(nproc)\nexport B=x$A", &[], &[1, 2], &["A", "B"]),
        (
            "N=$(nproc)\nif [ $N -gt 2 ]; then\nexport A=b\nelse\nexport A=c\nfi\nexport D=e",
            &["D=e"],
            &[1],
            &["A", "N"],
        ),
        ("id -u && export A=b", &[], &[], &["A"]),
        ("C='x y'\n! test -n $C || export A\nA=\n", &[], &[], &["A"]),
        ("export A=b\nid -u && unset A\nA=c\nexport B=d\n", &["B=d"], &[], &["A"]),
        ("id -u && export A\nexport A=b\n", &["A=b"], &[], &[]),
        ("id -u && set -a\nA=b\n", &[], &[1], &["*"]),
        ("export A=b\n. /gone\n", &["A=b"], &[2], &["*"]),
        ("eval A=1\nexport A B=2", &["B=2"], &[1], &["*"]),
        ("export A=1\nwhile read B; do export C=$B; done < /there\n", &["A=1"], &[2], &["B", "C"]),
        ("export A=1\nexport B=\"open\nexport C=1", &["A=1"], &[2], &["*"]),
        ("export A=1\ncat <<END\nx\nEND\n", &["A=1"], &[2], &["*"]),
        ("export A=${B/x/y}", &[], &[1], &["A"]),
        ("while true; do A=1; done\nexport C=2", &["C=2"], &[1], &["A"]),
    ];
    let files = || {
        Memory::new()
            .file("/there", "THERE=yes\n")
            .file("/dir/a.sh", "B=2\n")
            .file("/dir/b.sh", "B=3; export FROM=two\n")
            .file("/dir/c.txt", "B=4\n")
    };
    for (text, exported, constructs, unknown) in rows {
        let (found, lines, names) = shell(files(), text, &[]);
        assert_eq!(found, *exported, "{text}");
        assert_eq!(lines, *constructs, "{text}");
        assert_eq!(names, *unknown, "{text}");
    }
}

#[test]
fn hostile_files_end() {
    let deep = format!("{}:\n{}", "if true; then\n".repeat(50_000), "fi\n".repeat(50_000));
    let loops = "for a in 1 2 3 4 5 6 7 8 9 10; do\n".repeat(8) + "A=1\n" + &"done\n".repeat(8);
    for text in [
        deep.as_str(),
        &loops,
        ". /envvars\n",
        "f() { f; f; }\nf\n",
        &"${A:-".repeat(100_000),
        &"((((".repeat(50_000),
        &"$(".repeat(100_000),
        "\u{feff}export A=\u{e9}\\\u{e9}\n",
    ] {
        let start = std::time::Instant::now();
        shell(Memory::new(), text, &[]);
        assert!(start.elapsed().as_secs() < 5, "{}", &text[..20.min(text.len())]);
    }
}

mod the_real_one {
    //! What a real shell makes of the same texts.
    use super::*;
    use proptest::prelude::*;

    fn line() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "[a-c/.]{0,4}",
            Just("$A".to_owned()),
            Just("\"${B}x\"".to_owned()),
            Just("'$A'".to_owned()),
            Just("${A:-$B}".to_owned()),
            Just("${C:=d}".to_owned()),
            Just("${A#*/}".to_owned()),
            Just("${A%%.*}".to_owned()),
            Just("\"${B:+x y}\"".to_owned()),
            Just("a\\$b".to_owned()),
        ];
        let name = prop_oneof![Just("A"), Just("B"), Just("C")];
        (name, value, 0..12).prop_map(|(name, value, kind)| match kind {
            0 => format!("export {name}={value}"),
            1 => format!("{name}={value}; export {name}"),
            2 => format!("[ -z \"${name}\" ] && {name}={value}"),
            3 => format!("if [ \"${name}\" = \"{value}\" ]; then A=1; else B=2; fi"),
            4 => format!(": ${{{name}:={value}}}"),
            5 => format!("unset {name}"),
            6 => format!("case {value} in a*|/*) {name}=m;; *) {name}=n ;; esac"),
            7 => format!("for x in {value} c; do {name}=$x$B; done"),
            8 => format!("! test -n {value} || export {name}"),
            9 => format!("{{ {name}={value}; }} >/dev/null # x"),
            _ => format!("{name}={value}"),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
        #[test]
        fn agrees(lines in prop::collection::vec(line(), 1..12)) {
            // A default in an unquoted word may be split; `export` in some shells splits as well.
            let text = lines.join("\n") + "\n";
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("envvars");
            std::fs::write(&file, &text).unwrap();
            let run = std::process::Command::new("/bin/sh")
                .args(["-c", ". \"$1\"; exec env -0", "sh"]).arg(&file).env_clear()
                .current_dir(dir.path()).output().unwrap();
            let told: BTreeMap<String, String> = String::from_utf8(run.stdout).unwrap().split('\0')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, _)| ["A", "B", "C"].contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let memory = Memory::new().file("/envvars", text.as_str());
            let read = read(&memory, Path::new("/envvars"), &BTreeMap::new(), &BTreeMap::new());
            if read.unknown == Unknown::default() {
                prop_assert_eq!(&read.environment, &told, "{}", text);
            }
        }
    }
}
