//! What happens to the other MPMs' numbers, over any series of wishes, edits by hand, and a lost memory.

use apache_tuning::httpd::Mpm;
use apache_tuning::report::{Cause, Report};
use apache_tuning::state_dir;
use apache_tuning::tree::{Change, Node};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tried::{Host, Tried};

/// One thing that happens to a host.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Numbers are asked for: of the MPM by this index, in the drop-in or not.
    Numbers(usize, bool),
    /// Another person adds a line to the file that holds the MPM's numbers.
    Edit,
    /// This tool's memory is lost.
    Forget,
}

fn numbers(host: &Host, mpm: Mpm, drop_in: bool) -> Value {
    let wishes = host.wishes(mpm);
    let placement = if drop_in { "drop_in" } else { "distribution" };
    json!({"mpm": mpm.name(), "settings": wishes["settings"], "placement": placement, "waive": wishes["waive"]})
}

/// Returns the MPM's numbers that httpd would read if that MPM alone were chosen.
fn counted(tried: &Tried, mpm: Mpm) -> Vec<(String, String)> {
    let mut tried = tried.clone();
    let Report { effective, .. } = tried.does(&json!({"mpm": mpm.name(), "waive": ["PHP-004", "PHP-005"]}));
    effective.into_iter().map(|(name, entry)| (name, entry.value)).collect()
}

/// Returns the file with the MPM's numbers.
fn file(tried: &Tried, mpm: Mpm) -> std::path::PathBuf {
    tried.asks(&json!({})).host.site.mpm_file(mpm)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            6 => (0..3_usize, any::<bool>()).prop_map(|(mpm, drop_in)| Step::Numbers(mpm, drop_in)),
            2 => Just(Step::Edit),
            1 => Just(Step::Forget),
        ],
        1..5,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn each_mpm_gets_its_own_numbers_back_whatever_happened(at in any::<prop::sample::Index>(), steps in steps()) {
        static HOSTS: std::sync::OnceLock<Vec<Host>> = std::sync::OnceLock::new();
        let host = at.get(HOSTS.get_or_init(crate::hosts));
        let mut tried = Tried::new(host);
        let first = tried.mpm();
        let (mut edited, mut lost) = (false, false);
        let mut last = None;
        for step in steps {
            match step {
                Step::Numbers(mpm, drop_in) => {
                    let mpm = host.mpms[mpm % host.mpms.len()];
                    let report = tried.does(&numbers(host, mpm, drop_in));
                    prop_assert_eq!(&report.effective["MaxRequestWorkers"].value, "400");
                    last = Some(mpm);
                }
                Step::Edit => {
                    let Some(mpm) = last.or(first) else { continue };
                    let path = file(&tried, mpm);
                    if let Ok(text) = tried.read(&path) {
                        tried.files = tried.files.clone().file(path, text + "# mine\n");
                        edited = true;
                    }
                }
                Step::Forget => {
                    let path = &state_dir::originals(None);
                    if let Ok(before) = tried.read(path) {
                        let before = Node::text(before);
                        tried.files.apply(&[Change::new(path, before, Node::Absent)]);
                        lost = true;
                    }
                }
            }
        }
        tried.does(&json!({"state": "absent"}));
        if !edited && !lost {
            tried.is_as_at_first();
        }
        // Where nothing is known of the numbers but what was there there, only the memory has them.
        if !lost || host.name != "gentoo" {
            for &mpm in host.mpms {
                prop_assert_eq!(counted(&tried, mpm), counted(&Tried::new(host), mpm), "{} {}", host.name, mpm);
            }
        }
    }
}

#[test]
fn numbers_of_one_mpm_stand_as_if_no_other_had_been_asked_for() {
    for host in crate::hosts() {
        for &from in host.mpms {
            for &to in host.mpms.iter().filter(|to| **to != from) {
                let mut tried = Tried::new(&host);
                tried.does(&numbers(&host, from, false));
                tried.does(&numbers(&host, to, false));
                let mut straight = Tried::new(&host);
                straight.does(&numbers(&host, to, false));
                let path = file(&tried, to);
                let (found, want) = (tried.read(&path).unwrap(), straight.read(&path).unwrap());
                assert_eq!(found, want, "{} {from} {to}", host.name);
            }
        }
    }
}

#[test]
fn a_number_that_somebody_set_since_is_not_overruled_by_what_stood_before() {
    for host in crate::hosts() {
        let mut tried = Tried::new(&host);
        let mpm = host.mpms[0];
        tried.does(&numbers(&host, mpm, false));
        let path = file(&tried, mpm);
        let theirs = format!("<IfModule {}>\nMaxConnectionsPerChild 77\n</IfModule>\n", mpm.module());
        let text = tried.read(&path).unwrap() + &theirs;
        tried.files = tried.files.clone().file(&path, text);
        tried.does(&json!({"state": "absent"}));
        let counted = counted(&tried, mpm);
        let found =
            counted.iter().find(|(name, _)| name == "MaxConnectionsPerChild").map(|(_, value)| &**value);
        assert_eq!(found, Some("77"), "{}", host.name);
    }
}

#[test]
fn a_difference_is_told_with_its_cause() {
    for host in crate::hosts() {
        let mut tried = Tried::new(&host);
        let mpm = host.mpms[0];
        let cause = |tried: &Tried, of: &Value| tried.asks(of).report.cause;
        let asked = host.wishes(mpm);
        assert_eq!(cause(&tried, &asked), Some(Cause::First), "{}", host.name);
        let stock = tried.read(&file(&tried, mpm)).ok();
        tried.does(&asked);
        assert_eq!(cause(&tried, &asked), None, "{}", host.name);
        let mut other = asked.clone();
        other["keepalive"] = json!({"timeout": "9s"});
        assert_eq!(cause(&tried, &other), Some(Cause::Desired), "{}", host.name);
        assert_eq!(cause(&tried, &json!({"state": "absent"})), Some(Cause::Desired), "{}", host.name);

        let path = file(&tried, mpm);
        let ours = tried.read(&path).unwrap();
        let with = |text: String| {
            let mut changed = tried.clone();
            changed.files = changed.files.clone().file(&path, text);
            cause(&changed, &asked)
        };
        // Somebody takes a line of ours out, or puts the file back that was there before.
        let (kept, block) = ours.split_once("# BEGIN apache-tuning mpm").unwrap();
        let (number, _) = block.split_once("MaxRequestWorkers").unwrap();
        let edited = format!("{kept}# BEGIN apache-tuning mpm{number}MaxRequestWorkers 1\n{}", {
            let (_, rest) = block.split_once("MaxRequestWorkers").unwrap();
            rest.split_once('\n').unwrap().1
        });
        assert_eq!(with(edited), Some(Cause::Drift), "{}", host.name);
        let Some(stock) = stock else { continue };
        assert_eq!(with(stock.clone()), Some(Cause::Drift), "{}", host.name);
        // A package's new release replaces it.
        assert_eq!(with(stock + "# of the new release\n"), Some(Cause::Upgrade), "{}", host.name);
    }
}
