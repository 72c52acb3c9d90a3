//! The history belongs to one server, and a record that is damaged costs itself alone.

use std::fs;
use std::path::{Path, PathBuf};

use apache_tuning::apply::{self, Cause, Lock, Options};
use apache_tuning::tree::Role;

use super::{SHORT, edit, options, path, roll_back, root, run, swap};

const HISTORY: &str = "var/lib/apache-tuning/history";

/// What happens to a record's text.
type Harm = fn(&str) -> String;

/// Runs three changes of one file and returns their ids.
fn three(root: &Path) -> Vec<String> {
    [("", "1"), ("1", "2"), ("2", "3")]
        .into_iter()
        .map(|(before, after)| run(root, &edit(before, after), &options()).unwrap().transaction)
        .collect()
}

fn record(root: &Path, id: &str) -> PathBuf {
    root.join(HISTORY).join(format!("{id}.json"))
}

#[test]
fn an_altered_or_damaged_record_costs_itself_alone() {
    let harmful: [(&str, Harm); 4] = [
        ("altered", |text| text.replace("\"text\":\"1\"", "\"text\":\"#\"")),
        ("a path changed", |text| text.replace("conf-available/x.conf", "conf-available/y.conf")),
        ("cut", |text| text[..text.len() / 2].to_owned()),
        ("empty", |_| String::new()),
    ];
    for (what, harm) in harmful {
        let root = root();
        let ids = three(root.path());
        let spoil = |id: &str| {
            let at = record(root.path(), id);
            let text = fs::read_to_string(&at).unwrap();
            assert_ne!(harm(&text), text, "{what}");
            fs::write(&at, harm(&text)).unwrap();
        };
        // The oldest: nothing newer needs it.
        spoil(&ids[0]);
        fs::write(root.path().join(HISTORY).join("zz.json"), "{}").unwrap();
        let (readable, damaged) = apply::history(root.path()).unwrap();
        let left: Vec<&str> = readable.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(left, [&ids[1], &ids[2]], "{what}");
        let named: Vec<Option<&str>> = damaged.iter().map(|one| one.id.as_deref()).collect();
        assert_eq!(named, [Some(ids[0].as_str()), None], "{what}");
        let error = roll_back(root.path(), Some(&ids[0])).unwrap_err().to_string();
        assert!(error.contains(&ids[0]) && error.contains(&ids[2]) && error.contains("remove it"), "{error}");
        assert_eq!(roll_back(root.path(), None).unwrap(), 1, "{what}");

        // The newest: what was done last cannot be told, so nothing else is taken for it.
        let newest = run(root.path(), &edit("2", "4"), &options()).unwrap().transaction;
        let at = record(root.path(), &newest);
        fs::write(&at, fs::read_to_string(&at).unwrap().replace('4', "5")).unwrap();
        let error = roll_back(root.path(), None).unwrap_err();
        assert!(
            matches!(&error.cause, Cause::Unreadable { record, .. } if record.id.as_ref() == Some(&newest)),
            "{what}: {error}"
        );
        assert!(error.to_string().contains("name what to undo with transaction"), "{error}");
        fs::remove_file(&at).unwrap();
        // Its file is as it left it, which the older record does not know.
        assert!(matches!(roll_back(root.path(), Some(&ids[1])).unwrap_err().cause, Cause::Moved { .. }));
    }
}

#[test]
fn the_history_is_the_instance_s() {
    let root = root();
    let blue = Options { instance: Some("blue"), keep: 1, ..options() };
    let main = run(root.path(), &edit("", "1"), &options()).unwrap().transaction;
    let mut blues = Vec::new();
    for (before, after) in [("1", "2"), ("2", "3")] {
        blues.push(run(root.path(), &edit(before, after), &blue).unwrap().transaction);
    }
    // A busy instance pushes nothing of another one out.
    let (history, _) = apply::history(root.path()).unwrap();
    let kept: Vec<(&str, Option<&str>)> =
        history.iter().map(|one| (one.id.as_str(), one.instance.as_deref())).collect();
    assert_eq!(kept, [(main.as_str(), None), (blues[1].as_str(), Some("blue"))]);

    for (instance, id, said) in
        [(None, &blues[1], "set instance to blue"), (Some("blue"), &main, "leave instance out")]
    {
        let error = apply::plan_rollback(root.path(), instance, Some(id), &[]).unwrap_err();
        assert!(matches!(error.cause, Cause::OtherInstance { .. }), "{error}");
        assert!(error.to_string().contains(id.as_str()) && error.to_string().contains(said), "{error}");
    }
    // The newest of each is its own, whichever came last.
    let undo = apply::plan_rollback(root.path(), Some("blue"), None, &[]).unwrap();
    assert_eq!(undo.undoes, [blues[1].clone()]);
    apply::apply_rollback(undo, &blue, &Lock::take(root.path(), SHORT).unwrap()).unwrap();
    let none = apply::plan_rollback(root.path(), Some("green"), None, &[]).unwrap();
    assert!(none.changes.is_empty() && none.undone.is_none());
}

#[test]
fn a_second_rollback_names_what_is_left() {
    let root = root();
    let ids = three(root.path());
    assert_eq!(roll_back(root.path(), None).unwrap(), 1);
    let again = apply::plan_rollback(root.path(), None, None, &[]).unwrap();
    let said = again.undone.unwrap();
    assert!(again.changes.is_empty() && ids.iter().all(|id| said.contains(id.as_str())), "{said}");
}

#[test]
fn a_record_of_the_first_layout_is_read_and_undone() {
    let root = root();
    let id = run(root.path(), &swap(), &options()).unwrap().transaction;
    let at = record(root.path(), &id);
    let mut old: serde_json::Value = serde_json::from_slice(&fs::read(&at).unwrap()).unwrap();
    old["version"] = 1.into();
    for key in ["checksum", "instance"] {
        old.as_object_mut().unwrap().remove(key).unwrap();
    }
    for entry in old["entries"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("role").unwrap();
    }
    fs::write(&at, old.to_string()).unwrap();
    let (history, damaged) = apply::history(root.path()).unwrap();
    assert!(damaged.is_empty());
    let role_of = |name: &str| {
        let found = history[0].changes.iter().find(|change| change.path == path(name));
        found.unwrap().role.clone()
    };
    let load = Role::Load { module: "mpm_event".to_owned(), needs: Vec::new() };
    assert_eq!(role_of("mods-enabled/mpm_event.load"), load);
    assert_eq!(role_of("conf-enabled/zz-apache-tuning.conf"), Role::Conf);
    assert_eq!(roll_back(root.path(), None).unwrap(), swap().len());
}

#[test]
fn a_journal_that_cannot_be_read_names_the_way_out() {
    for (content, said) in [("", "is empty"), ("{\"version\":2,", "damaged"), ("{}", "damaged")] {
        let root = root();
        drop(Lock::take(root.path(), SHORT).unwrap());
        fs::write(root.path().join("var/lib/apache-tuning/journal"), content).unwrap();
        let error = apply::recover(&Lock::take(root.path(), SHORT).unwrap()).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("remove the journal and run again"), "{error}");
    }
}
