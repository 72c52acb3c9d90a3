//! What is read again after the change and is not what was written: the change is undone, and what another program or person wrote
//! is kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use apache_tuning::apply::{self, Cause, HostState, Options};

use super::{options, root, run, swap, tree};

/// Runs the swap; another program or person does `meddle` between it and the look. Returns the message, whether everything stands
/// as before, and the texts that were kept.
fn swapped_while(meddle: impl Fn(&Path)) -> (String, bool, Vec<String>) {
    let root = root();
    let before = tree(root.path());
    let etc = root.path().join("etc/apache2");
    let look = || {
        meddle(&etc);
        Vec::new()
    };
    let error = run(root.path(), &swap(), &Options { look: Some(&look), ..options() }).unwrap_err();
    assert!(matches!(error.cause, Cause::Otherwise { .. }), "{error}");
    assert!(matches!(error.host, HostState::RolledBack), "{error}");
    assert!(!apply::is_interrupted(root.path()));
    let state = fs::read_dir(root.path().join("var/lib/apache-tuning")).unwrap();
    let aside = state
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("aside-")));
    let text = |path: std::path::PathBuf| {
        fs::read_link(&path).map_or_else(
            |_| fs::read_to_string(&path).unwrap(),
            |target| target.to_string_lossy().into_owned(),
        )
    };
    let history = root.path().join("var/lib/apache-tuning/history");
    assert!(!history.exists() || fs::read_dir(history).unwrap().next().is_none(), "it is no transaction");
    (error.to_string(), tree(root.path()) == before, aside.map(text).collect())
}

#[test]
fn a_file_that_is_rewritten_after_the_swap_is_told_with_its_line_and_kept() {
    let theirs = "KeepAlive On\nKeepAliveTimeout 9\n";
    let (message, as_before, kept) = swapped_while(|etc| {
        fs::write(etc.join("conf-available/zz-apache-tuning.conf"), theirs).unwrap();
    });
    assert!(
        message.contains("/etc/apache2/conf-available/zz-apache-tuning.conf:2 has another content"),
        "{message}"
    );
    assert!(message.contains("kept as `/var/lib/apache-tuning/aside-"), "{message}");
    assert!(!message.contains("KeepAliveTimeout"), "{message}");
    assert!(as_before);
    assert_eq!(kept, [theirs]);
}

#[test]
fn a_link_that_leads_elsewhere_after_the_swap_is_told_and_kept() {
    let (message, as_before, kept) = swapped_while(|etc| {
        let link = etc.join("mods-enabled/mpm_event.load");
        fs::remove_file(&link).unwrap();
        symlink("../mods-available/mpm_prefork.load", link).unwrap();
    });
    assert!(
        message.contains(
            "/etc/apache2/mods-enabled/mpm_event.load is a link to ../mods-available/mpm_prefork.load"
        ),
        "{message}"
    );
    assert!(as_before);
    assert_eq!(kept, ["../mods-available/mpm_prefork.load"]);
}

#[test]
fn what_came_back_or_went_after_the_swap_is_told() {
    let (message, as_before, kept) = swapped_while(|etc| {
        symlink("../mods-available/mpm_worker.load", etc.join("mods-enabled/mpm_prefork.load")).unwrap();
        fs::remove_file(etc.join("conf-enabled/zz-apache-tuning.conf")).unwrap();
    });
    for said in ["mpm_prefork.load is there again", "conf-enabled/zz-apache-tuning.conf is not there"] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert!(as_before);
    assert_eq!(kept, ["../mods-available/mpm_worker.load"]);
}

#[test]
fn other_rights_after_the_swap_are_told() {
    let (message, as_before, kept) = swapped_while(|etc| {
        let file = etc.join("mods-available/mpm_event.conf");
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    });
    assert!(message.contains("mpm_event.conf has another owner or mode"), "{message}");
    assert!(as_before);
    assert_eq!(kept, [""; 0]);
}

#[test]
fn what_the_caller_sees_on_the_host_undoes_the_change() {
    let root = root();
    let before = tree(root.path());
    let look = || vec!["MaxRequestWorkers 5 at own.conf:7 wins".to_owned()];
    let error = run(root.path(), &swap(), &Options { look: Some(&look), ..options() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "after the change the host is not in the desired state: MaxRequestWorkers 5 at own.conf:7 wins; all changes were undone"
    );
    assert_eq!(tree(root.path()), before);
}
