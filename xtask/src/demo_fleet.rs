//! `cargo xtask demo --fleet`: twelve bundled hosts, predicted from their facts alone, proved on samples, rolled out until
//! one fails, and shown as a page before and after. No root, no Apache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_hosts::{Ansible, Browser, Listing, folders};

use crate::steps::debug_binary;

const HOSTS: usize = 12;

/// The host that will fail: its state directory cannot be made, which no fact tells.
const FAILS: &str = "web05";

/// The host of which no facts are collected.
const SILENT: &str = "web12";

/// What the fleet is to be.
fn desired() -> Value {
    json!({
        "apache_tuning_mpm": "event",
        "apache_tuning_mod_php": "disable",
        "apache_tuning_settings": {"server_limit": 17, "thread_limit": 64, "threads_per_child": 64,
            "max_request_workers": 1024, "max_connections_per_child": 10000},
        "apache_tuning_memory": {"per_worker": "3M"},
        "apache_tuning_keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
    })
}

/// The demonstration's folder, Ansible and program.
struct Demo {
    at: PathBuf,
    ansible: Ansible,
    program: PathBuf,
}

pub(crate) fn run(pictures: Option<&Path>) -> Result<ExitCode> {
    let program = debug_binary()?;
    let at = folders::target().join("demo/fleet");
    folders::remove_tree(&at)?;
    fs::create_dir_all(&at)?;
    let demo = Demo { at, ansible: Ansible::new(&program)?, program };
    demo.make_hosts()?;

    heading("1. The facts of eleven hosts, by Ansible; nothing is changed");
    let fresh = demo.listings()?;
    ensure!(
        demo.play("facts", &["--limit", &format!("!{SILENT}")], None)? == 0,
        "the facts were not collected"
    );

    heading("2. What would become of each host, from the facts alone: no host is asked");
    let inventory = demo
        .ansible
        .command("ansible-inventory")
        .args(["-i"])
        .arg(demo.at.join("hosts.json"))
        .arg("--list")
        .output()?;
    fs::write(demo.at.join("inventory.json"), &inventory.stdout)?;
    let predict = ["--facts", "facts", "--inventory", "inventory.json", "--by", "zone"];
    demo.fleet(&[&predict[..], &["--html", "before.html"]].concat(), &mut std::io::stdout())?;

    heading("3. The proof: check mode on one host of each group");
    let mut sample = Vec::new();
    demo.fleet(&[&predict[..], &["--samples", "1"]].concat(), &mut sample)?;
    fs::write(demo.at.join("sample.txt"), &sample)?;
    demo.play("preview", &["--limit", "@sample.txt"], Some("checked.jsonl"))?;
    let proofs = [&predict[..], &["--results", "checked.jsonl", "--html", "before.html"]].concat();
    demo.fleet(&proofs, &mut std::io::stdout())?;
    let touched = demo.changes_since(&fresh)?;
    ensure!(touched.is_empty(), "a preview has touched hosts: {touched:?}");

    heading("4. The rollout: one host that changes first, then batches over the zones; one host will fail");
    let mut order = Vec::new();
    demo.fleet(&[&predict[..], &["--order", "zone,seed=7"]].concat(), &mut order)?;
    fs::write(demo.at.join("order.json"), &order)?;
    let code = demo.play("rollout", &["-e", "@order.json"], Some("rollout.jsonl"))?;
    ensure!(code != 0, "the rollout went on although {FAILS} fails");

    heading("5. The report of the rollout");
    let report = [
        "--results",
        "rollout.jsonl",
        "--inventory",
        "inventory.json",
        "--by",
        "zone",
        "--html",
        "after.html",
        "--limits",
        ".",
    ];
    demo.fleet(&report, &mut std::io::stdout())?;
    let count = demo.counts(&report)?;
    let touched = demo.changes_since(&fresh)?;
    let changed = count.get("change").copied().unwrap_or(0);
    ensure!(count.get("failed") == Some(&1), "the failed host is not told: {count:?}");
    ensure!(touched.len() == changed && changed > 0, "changed are {touched:?}, the report says {changed}");
    ensure!(!touched.iter().any(|host| host == FAILS), "{FAILS} failed and was changed all the same");
    let remaining = fs::read_to_string(demo.at.join("remaining.txt"))?;
    if let Some(folder) = pictures {
        demo.take_pictures(folder)?;
    }
    println!(
        "\n{HOSTS} hosts predicted without asking one, proved on {} samples; the rollout changed {changed} and stopped at \
         {FAILS}, {} remain; the pages: {} and after.html",
        String::from_utf8_lossy(&sample).lines().count(),
        remaining.lines().count(),
        demo.at.join("before.html").display(),
    );
    Ok(ExitCode::SUCCESS)
}

fn heading(text: &str) {
    println!("\n=== {text}");
}

impl Demo {
    /// Unpacks the hosts and writes their inventory.
    fn make_hosts(&self) -> Result<()> {
        let bundled = folders::workspace().join("tests/fixtures/debian12/root");
        let mut hosts = serde_json::Map::new();
        for number in 1..=HOSTS {
            let name = format!("web{number:02}");
            let root = self.at.join(&name);
            folders::run("cp", ["-rP".into(), "--".into(), bundled.clone().into(), root.clone().into()])?;
            // Others than the stock: longer waiting, too little memory, a place that is taken.
            if number % 4 == 0 {
                let file = root.join("etc/apache2/apache2.conf");
                let text = fs::read_to_string(&file)?.replace("KeepAliveTimeout 5", "KeepAliveTimeout 15");
                fs::write(file, text)?;
            }
            if name == FAILS {
                fs::write(root.join("var/lib/apache-tuning"), "")?;
            }
            let zone = ["fra", "ams", "lon"][number % 3];
            let memory = [4096, 8192, 16384, 2048][number % 4];
            let memory = if number == 11 { 16384 } else { memory };
            hosts.insert(
                name,
                json!({"zone": zone, "apache_tuning_root": root,
                    "apache_tuning_facts": {"memory_mb": memory, "cpus": 4, "open_files": 8192, "threads_max": 30000,
                        "pid_max": 32768, "somaxconn": 4096}}),
            );
        }
        // One is in order already.
        let done = hosts.get("web11").context("web11")?.clone();
        let mut task = serde_json::Map::new();
        for (name, value) in
            desired().as_object().into_iter().flatten().chain(done.as_object().into_iter().flatten())
        {
            if let Some(name) = name.strip_prefix("apache_tuning_") {
                task.insert(name.to_owned(), value.clone());
            }
        }
        fs::write(self.at.join("web11.json"), Value::Object(task).to_string())?;
        let applied = Command::new(&self.program).arg("apply").arg(self.at.join("web11.json")).output()?;
        ensure!(applied.status.success(), "web11: {}", String::from_utf8_lossy(&applied.stdout));
        let mut vars = desired();
        vars["ansible_connection"] = json!("local");
        fs::write(self.at.join("hosts.json"), json!({"all": {"hosts": hosts, "vars": vars}}).to_string())?;
        Ok(())
    }

    /// Runs a playbook of the collection, shows what Ansible says and returns its exit code.
    fn play(&self, playbook: &str, more: &[&str], results: Option<&str>) -> Result<i32> {
        let variables = json!({"apache_tuning_become": false, "apache_tuning_hosts": "all",
            "apache_tuning_health": {"url": "http://localhost/"}, "apache_tuning_batches": "1,3"});
        let mut command = self.ansible.command("ansible-playbook");
        command.current_dir(&self.at).arg(format!("webfleet.apache.{playbook}")).args([
            "-i",
            "hosts.json",
            "-e",
        ]);
        command.arg(variables.to_string()).args(more);
        command
            .env("ANSIBLE_CACHE_PLUGIN", "jsonfile")
            .env("ANSIBLE_CACHE_PLUGIN_CONNECTION", self.at.join("facts"))
            .env("ANSIBLE_DISPLAY_SKIPPED_HOSTS", "0");
        if let Some(file) = results {
            command
                .env("ANSIBLE_CALLBACKS_ENABLED", "webfleet.apache.fleet")
                .env("APACHE_TUNING_RESULTS", self.at.join(file));
        }
        let status = command.status().context("starting `ansible-playbook`")?;
        status.code().context("`ansible-playbook` was killed")
    }

    /// Runs `apache-tuning fleet`; its words on standard error are shown.
    fn fleet(&self, arguments: &[&str], out: &mut dyn std::io::Write) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("fleet").args(arguments).current_dir(&self.at);
        let ran = command.output().context("starting `apache-tuning`")?;
        out.write_all(&ran.stdout)?;
        // What is refused makes the exit code 1; a wrong call would be 2.
        ensure!(
            ran.status.code() != Some(2) && !ran.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        Ok(())
    }

    /// Returns how many hosts have each verdict.
    fn counts(&self, arguments: &[&str]) -> Result<BTreeMap<String, usize>> {
        let mut lines = Vec::new();
        self.fleet(&[arguments, &["--json"]].concat(), &mut lines)?;
        let text = String::from_utf8(lines)?;
        let summary: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
        Ok(serde_json::from_value(summary["counts"].clone())?)
    }

    fn listings(&self) -> Result<BTreeMap<String, Listing>> {
        (1..=HOSTS)
            .map(|number| format!("web{number:02}"))
            .map(|name| Ok((name.clone(), Listing::of(&self.at.join(name))?)))
            .collect()
    }

    /// Returns the hosts whose files are not as they were.
    fn changes_since(&self, before: &BTreeMap<String, Listing>) -> Result<Vec<String>> {
        let now = self.listings()?;
        let differs = |(name, listing): &(&String, &Listing)| !now[*name].changes_since(listing).is_empty();
        Ok(before.iter().filter(differs).map(|(name, _)| name.clone()).collect())
    }

    /// Shows the page to a browser and keeps pictures of it, light and dark.
    fn take_pictures(&self, folder: &Path) -> Result<()> {
        for (dark, name) in [(false, "fleet-light.png"), (true, "fleet-dark.png")] {
            let mut browser = Browser::new(1360, 860)?;
            browser.media(dark, false);
            browser
                .open(&self.at.join("before.html"), "document.documentElement.dataset.ready !== undefined");
            // The largest group that changes, opened.
            browser.value(
                "[...document.querySelectorAll('#groups button')].find((b) => /^.{0,4}change/.test(b.textContent)).click()",
            );
            browser.value("new Promise((done) => setTimeout(done, 400))");
            fs::write(folder.join(name), browser.picture())?;
        }
        Ok(())
    }
}
