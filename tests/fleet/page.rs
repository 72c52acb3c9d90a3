//! The page in a real browser: content, filter, order, keyboard, plot, print, and that nothing of a host is ever obeyed.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_hosts::Browser;

use crate::support::{facts, fleet, line, tuning_facts};

/// The script that puts the page's own state into one value.
const SEEN: &str = "({
    title: document.title, heading: document.getElementById('heading').textContent,
    dry: !document.getElementById('dry').hidden, shown: document.getElementById('shown').textContent,
    groups: [...document.querySelectorAll('#groups button')].map((b) => b.textContent),
    rows: [...document.querySelectorAll('#rows .row')].sort((a, b) => a.dataset.place - b.dataset.place)
        .map((r) => [...r.children].map((c) => c.textContent)),
    count: document.getElementById('table').getAttribute('aria-rowcount'),
    detail: document.getElementById('detail').innerText, hash: location.hash,
    focus: document.activeElement.id, images: document.querySelectorAll('img').length,
})";

const READY: &str = "document.documentElement.dataset.ready !== undefined";

/// Names of hosts that would like to be more than names.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=window.taken=1>",
    "</script><script>window.taken=1</script>",
    "esc\u{1b}[2Jape",
    "right\u{202e}left",
    "'\"&amp;--><!--",
];

struct Page {
    browser: Browser,
    file: PathBuf,
    _dir: TempDir,
}

impl Page {
    /// Makes the page of a fleet of 400 hosts in three zones and opens it.
    fn open(more: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let (mut lines, mut vars) = (Vec::new(), serde_json::Map::new());
        for number in 0..400_usize {
            let mut tuning = tuning_facts();
            tuning["limits"]["memory_mb"]["value"] = json!([1024, 2048, 4096, 8192][number % 4]);
            if number % 20 == 1 {
                tuning["mpm"]["configured"] = json!("worker");
            }
            if number % 50 == 3 {
                tuning["php"] = json!("mod_php");
                tuning["modules"] = json!(["mpm_event_module", "php_module"]);
            }
            let host = match HOSTILE.get(number) {
                Some(name) => (*name).to_owned(),
                None => format!("web{number:03}.example.org"),
            };
            lines.push(line(&host, &facts(tuning)));
            vars.insert(host, json!({"zone": format!("z{}", number % 3)}));
        }
        let at = |name: &str| dir.path().join(name);
        fs::write(at("facts.jsonl"), lines.join("\n")).unwrap();
        fs::write(at("i.json"), json!({"_meta": {"hostvars": vars}}).to_string()).unwrap();
        let desired = json!({"mpm": "event", "memory": {"per_worker": "4M"}, "keepalive": {"timeout": 2},
            "settings": {"server_limit": 8, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 512}});
        fs::write(at("d.json"), desired.to_string()).unwrap();
        let base = [
            "d.json",
            "--facts",
            "facts.jsonl",
            "--inventory",
            "i.json",
            "--by",
            "zone",
            "--html",
            "page.html",
        ];
        let ran = fleet(dir.path(), &[&base[..], more].concat());
        assert!(ran.err.is_empty(), "{}", ran.err);
        let mut browser = Browser::start(1400, 900);
        let file = at("page.html");
        browser.open(&file, READY);
        // The plot is drawn after the first frame and moves what is below it: a click before that misses.
        browser.value("new Promise((done) => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 50)), 150)))");
        Self { browser, file, _dir: dir }
    }

    fn seen(&mut self) -> Value {
        self.browser.value(SEEN)
    }

    fn rows(&mut self) -> Vec<Vec<String>> {
        serde_json::from_value(self.seen()["rows"].take()).unwrap()
    }

    fn filter(&mut self, text: &str) {
        self.browser.click("#search");
        self.browser.value("document.getElementById('search').select()");
        self.browser.type_text(text);
    }

    /// Holds that the page asked nobody for anything and nothing went wrong in it.
    fn end(self) {
        assert_eq!(self.browser.requests(), Vec::<String>::new());
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn the_page_shows_each_host_once_and_only_rows_that_are_seen_exist() {
    let mut page = Page::open(&[]);
    let seen = page.seen();
    assert_eq!(seen["title"], "DRY RUN: 400 hosts");
    assert_eq!(
        (&seen["dry"], &seen["shown"], &seen["count"]),
        (&json!(true), &json!("400 hosts"), &json!("401"))
    );
    let rows = page.rows();
    assert!(rows.len() > 10 && rows.len() <= 100, "{} rows exist", rows.len());
    // Every host comes by while the table is scrolled from the top to the end.
    let names = page.browser.value(
        "(async () => { const names = new Set(), at = document.getElementById('scroll');
            for (let y = 0; y < at.scrollHeight; y += 150) { at.scrollTop = y;
                await new Promise((done) => setTimeout(done, 30));
                for (const row of document.querySelectorAll('#rows .row')) names.add(row.children[0].textContent); }
            return [...names]; })()",
    );
    let names: Vec<String> = serde_json::from_value(names).unwrap();
    assert_eq!(names.len(), 400);
    assert!(names.iter().any(|name| name == "<img src=x onerror=window.taken=1>"));
    for escaped in ["esc\\u{1b}[2Jape", "right\\u{202e}left"] {
        assert!(names.iter().any(|name| name == escaped), "{escaped}");
    }
    assert_eq!(page.browser.value("window.taken === undefined && document.images.length === 0"), json!(true));
    page.end();
}

#[test]
fn what_is_typed_and_clicked_chooses_hosts_and_stands_in_the_address() {
    let mut page = Page::open(&[]);
    page.filter("WEB01");
    let rows = page.rows();
    assert_eq!(rows.len(), 10, "{rows:?}");
    assert!(rows.iter().all(|row| row[0].starts_with("web01")), "{rows:?}");
    page.filter("PHP-001");
    assert!(page.rows().iter().all(|row| row[1] == "refused" && row[6].contains("PHP-001")));
    page.browser.press("Escape");
    assert_eq!(page.seen()["shown"], "400 hosts");
    let refused = "[...document.querySelectorAll('#verdicts button')].find((b) => b.textContent.includes('refused')).id = 'r'";
    page.browser.value(refused);
    page.browser.click("#r");
    let seen = page.seen();
    assert!(seen["hash"].as_str().unwrap().contains("v=refused"), "{seen}");
    assert!(page.rows().iter().all(|row| row[1] == "refused"));
    page.browser.press("Escape");
    page.browser.value("document.getElementById('zone').value = '1'; document.getElementById('zone').dispatchEvent(new Event('change'))");
    assert!(page.rows().iter().all(|row| row[2] == "z1"));
    page.browser.press("Escape");
    // A group, by a click: its hosts, its differences, and a link that shows the same elsewhere.
    page.browser.value("[...document.querySelectorAll('#groups button')].find((b) => b.textContent.includes('MPM worker')).id = 'w'");
    page.browser.click("#w");
    let seen = page.seen();
    assert!(seen["detail"].as_str().unwrap().contains("MPM worker → event"), "{seen}");
    assert!(page.rows().len() < 100);
    let hash = seen["hash"].as_str().unwrap().to_owned();
    assert!(hash.starts_with("#g="), "{hash}");
    let mut other = Browser::start(1000, 700);
    other.open(&page.file, READY);
    other.value(&format!("location.hash = {hash:?}"));
    other.wait(&format!("document.getElementById('shown').textContent === {}", seen["shown"]));
    assert_eq!(other.value(SEEN)["detail"], seen["detail"]);
    page.end();
}

#[test]
fn columns_order_the_hosts() {
    let mut page = Page::open(&[]);
    page.browser.click("#head > :nth-child(1) button");
    // The rows are drawn with the next frame.
    let since = std::time::Instant::now();
    while page.rows()[0][0] != "web399.example.org" {
        assert!(since.elapsed().as_secs() < 20, "{:?}", page.rows()[0]);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    page.browser.click("#head > :nth-child(5) button");
    let load = |row: &Vec<String>| row[4].trim_end_matches(" %").parse::<u32>().unwrap_or(0);
    let loads: Vec<u32> = page.rows().iter().map(load).collect();
    assert!(loads.windows(2).all(|pair| pair[0] >= pair[1]) && loads[0] > 100, "{loads:?}");
    let sorted =
        page.browser.value("document.querySelector('#head > :nth-child(5)').getAttribute('aria-sort')");
    assert_eq!(sorted, "descending");
    page.end();
}

#[test]
fn the_keyboard_does_all_that_the_mouse_does() {
    let mut page = Page::open(&[]);
    page.browser.press("/");
    assert_eq!(page.seen()["focus"], "search");
    page.browser.type_text("web1");
    page.browser.press("ArrowDown");
    page.browser.press("ArrowDown");
    let active = page.browser.value(
        "document.getElementById(document.getElementById('table').getAttribute('aria-activedescendant')).children[0].textContent",
    );
    assert_eq!(active, "web101.example.org");
    page.browser.press("End");
    let active = page.browser.value(
        "(async () => { await new Promise((done) => setTimeout(done, 300)); const t = document.getElementById('table'); \
         const row = document.getElementById(t.getAttribute('aria-activedescendant')); \
         const box = row.getBoundingClientRect(), all = document.getElementById('scroll').getBoundingClientRect(); \
         return [row.children[0].textContent, box.bottom <= all.bottom + 1]; })()",
    );
    assert_eq!(active, json!(["web199.example.org", true]));
    page.browser.press("Enter");
    let seen = page.seen();
    assert!(
        seen["hash"].as_str().unwrap().starts_with("#g=") && seen["detail"].as_str().unwrap().len() > 10,
        "{seen}"
    );
    page.browser.press("Escape");
    assert_eq!(page.seen()["shown"], "400 hosts");
    page.end();
}

#[test]
fn a_click_into_the_plot_chooses_the_hosts_that_lie_there() {
    let mut page = Page::open(&[]);
    page.browser.wait("document.querySelector('.u-over') !== null");
    // 512 workers of 4 MiB on hosts with 1 GiB: the leftmost points, which have the colour of a refusal, by their pixels.
    let points = page.browser.value(
        "(() => { const c = document.querySelector('#plot canvas'), b = c.getBoundingClientRect(); \
         const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
         const over = document.querySelector('.u-over').getBoundingClientRect(); \
         for (let x = Math.round(over.left - b.left) + 2; x < c.width; x++) for (let y = 9, run = 0; y < c.height - 40; y++) { \
           const p = 4 * (y * c.width + x); \
           run = d[p + 3] > 90 && d[p] > d[p + 1] + 60 && d[p] > d[p + 2] + 60 ? run + 1 : 0; \
           if (run === 6) return [b.left + x + 1, b.top + y - 2]; } return [c.width, c.height]; })()",
    );
    page.browser.click_at(points[0].as_f64().unwrap(), points[1].as_f64().unwrap());
    let seen = page.seen();
    assert!(seen["shown"].as_str().unwrap().contains(" of 400 hosts"), "{points} {seen}");
    let rows = page.rows();
    assert!(!rows.is_empty() && rows.iter().all(|row| row[4] == "200 %" && row[1] == "refused"), "{rows:?}");
    page.end();
}

#[test]
fn names_are_copied_for_ansible_s_limit_and_those_that_are_patterns_are_left_out() {
    let mut page = Page::open(&[]);
    page.browser
        .value("window.kept = ''; navigator.clipboard.writeText = async (text) => { window.kept = text; }");
    page.browser.click("#copy");
    let names = page.browser.value("window.kept");
    let names: Vec<&str> = names.as_str().unwrap().lines().collect();
    assert_eq!(names.len(), 397);
    assert!(names.iter().all(|name| !name.contains([' ', '[', '&'])), "{names:?}");
    let told = page.browser.value("document.getElementById('copied').textContent");
    assert!(told.as_str().unwrap().contains("3 left out"), "{told}");
    page.end();
}

#[test]
fn it_is_dark_where_the_reader_likes_it_and_prints_groups_and_totals() {
    let mut page = Page::open(&[]);
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = page.browser.value(paper);
    page.browser.media(true, false);
    page.browser.wait("document.documentElement.dataset.theme === 'dark'");
    let dark = page.browser.value(paper);
    assert_ne!(light, dark);
    page.browser.click("#theme");
    assert_eq!(page.browser.value(paper), light);
    page.browser.media(false, true);
    let printed = page.browser.value(
        "['.groups', '#verdicts', 'h1', '.hosts', '.plot', '.tools'].map((s) => document.querySelector(s).getClientRects().length > 0)",
    );
    assert_eq!(printed, json!([true, true, true, false, false, false]));
    page.end();
}

#[test]
fn a_browser_that_is_too_old_gets_a_sentence() {
    let mut page = Page::open(&[]);
    let old = "delete window.DecompressionStream";
    page.browser.ask("Page.addScriptToEvaluateOnNewDocument", &json!({"source": old})).unwrap();
    let file = page.file.clone();
    page.browser.open(&file, "!document.getElementById('why').hidden");
    let why = page.browser.value("document.getElementById('why').innerText");
    assert!(why.as_str().unwrap().contains("DecompressionStream"), "{why}");
    page.end();
}

#[test]
fn the_page_forbids_what_is_not_its_own() {
    let mut page = Page::open(&[]);
    // What a host might get in, were it ever markup.
    page.browser.value(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.taken = 1'; document.body.append(s); \
         const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); })()",
    );
    page.browser.value("new Promise((done) => setTimeout(done, 200))");
    assert_eq!(page.browser.value("window.taken === undefined"), json!(true));
    assert_eq!(
        page.browser.value("fetch('http://127.0.0.1:9/').then(() => 'let through', () => 'forbidden')"),
        "forbidden"
    );
    let complaints = page.browser.complaints().join("\n");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}

#[test]
fn a_page_is_whole_or_not_there() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("one.jsonl"), line("web1", &facts(tuning_facts()))).unwrap();
    fs::write(dir.path().join("k.json"), r#"{"keepalive": {"timeout": 3}}"#).unwrap();
    fs::write(dir.path().join("page.html"), "the page of yesterday").unwrap();
    let full = ["k.json", "--facts", "one.jsonl", "--html", "/dev/full/page.html"];
    assert_eq!(fleet(dir.path(), &full).code, 1);
    // A folder stands where the page should: what is there stays, and nothing is left beside it.
    fs::create_dir(dir.path().join("taken")).unwrap();
    let ran = fleet(dir.path(), &["k.json", "--facts", "one.jsonl", "--html", "taken"]);
    assert!(ran.code == 1 && ran.err.contains("taken"), "{}", ran.err);
    let names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(fleet(dir.path(), &["k.json", "--facts", "one.jsonl", "--html", "page.html"]).code, 0);
    assert!(fs::read_to_string(dir.path().join("page.html")).unwrap().ends_with("</html>\n"));
}
