//! From a load to sizes and back: worked examples, and what holds for every load and host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use apache_tuning::capacity::{
    Demand, Http2, MemoryNeed, Proposal, Refusal, Server, ServerNeed, assess, exceeded, held_idle,
    largest_need, refusal_text, size, text,
};
use apache_tuning::facts::{Consumer, Known, Machine, Measured};
use apache_tuning::httpd::normalise::{Written, normalise};
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params;
use apache_tuning::units::Bytes;
use proptest::prelude::*;

#[allow(clippy::unnecessary_wraps)] // facts are optional
fn known<T>(value: T, name: &str) -> Option<Known<T>> {
    Some(Known { value, source: format!("facts.{name}") })
}

/// A host with 4 processors and so much memory, on which nothing else is limited.
fn host(memory_gib: u64) -> Machine {
    Machine {
        memory: known(Bytes(memory_gib << 30), "memory_mb"),
        cpus: known(4, "cpus"),
        ..Machine::default()
    }
}

fn given(per_worker: &str, reserve: &str) -> MemoryNeed {
    let asked = params::Memory { per_worker: Some(per_worker.into()), reserve: Some(reserve.into()) };
    MemoryNeed::new(Some(&asked), None).unwrap()
}

fn ask(
    mpm: Mpm,
    connections: u64,
    active: Option<u64>,
    host: &Machine,
    memory: &MemoryNeed,
) -> Result<Proposal, Box<Refusal>> {
    size(Demand { connections, active }, Server::new(mpm, Version::NEWEST_KNOWN), host, memory)
}

#[test]
fn four_thousand_workers_of_ten_megabytes_do_not_fit_into_eight_gigabytes() {
    let refusal = ask(Mpm::Worker, 4025, None, &host(8), &given("10M", "512M")).unwrap_err();
    assert_eq!(refusal.binding, "memory");
    assert_eq!(refusal.largest, 768, "(8192 - 512) / 10");
    assert!(refusal.message.contains("39.8 GiB"), "{}", refusal.message);
    assert!(refusal.message.contains("8.0 GiB (facts.memory_mb)"), "{}", refusal.message);
    assert!(refusal.hint.contains("768"), "{}", refusal.hint);
    let memory = refusal.bounds.iter().find(|bound| bound.name == "memory").unwrap();
    assert_eq!((memory.needs, memory.limit), (4025 * 10 + 512, 8192));

    let fits = ask(Mpm::Worker, 4025, None, &host(40), &given("10M", "512M")).unwrap();
    assert_eq!(fits.value("MaxRequestWorkers"), Some(4025));
    assert_eq!(fits.value("ThreadsPerChild"), Some(25));
    assert_eq!(fits.value("ServerLimit"), Some(161));
    assert_eq!(fits.capacity.memory_mb, Some(40_762));
}

#[test]
fn five_thousand_connections_of_which_four_hundred_are_active_fit_into_four_hundred_workers() {
    let fits = ask(Mpm::Event, 5000, Some(400), &host(8), &given("10M", "512M")).unwrap();
    let workers = fits.value("MaxRequestWorkers").unwrap();
    assert!((400..=480).contains(&workers), "{workers}");
    assert!(fits.capacity.connections.unwrap() >= 5000);
    assert_eq!(fits.value("StartServers"), fits.capacity.processes);
}

#[test]
fn event_holds_five_thousand_connections_with_at_most_four_hundred_threads() {
    for cpus in [1, 2, 4, 8, 64] {
        let machine = Machine { cpus: known(cpus, "cpus"), ..Machine::default() };
        let fits = ask(Mpm::Event, 5000, None, &machine, &MemoryNeed::default()).unwrap();
        let processes = fits.capacity.processes.unwrap();
        let threads = fits.capacity.workers.unwrap() + 2 * processes;
        assert!(threads <= 400, "{threads} on {cpus} processors");
        assert!(fits.notes.iter().any(|note| note.contains("313 of 5000")), "what was assumed is told");
    }
}

#[test]
fn limits_that_are_not_known_are_told_with_what_they_have_to_allow() {
    let told = |machine: &Machine| {
        ask(Mpm::Worker, 1000, None, machine, &MemoryNeed::default()).unwrap().notes.join("\n")
    };
    let mut machine = host(8);
    let unknown = told(&machine);
    assert!(unknown.contains("a process may have 59 open"), "9 + 25 x 2: {unknown}");
    assert!(unknown.contains("the server may have 1081"), "40 x (25 + 2) + 1: {unknown}");
    machine.open_files = known(8192, "open_files");
    machine.tasks_max = known(9000, "tasks_max");
    let all = told(&machine);
    assert!(!all.contains("open files") && !all.contains("limit of tasks"), "{all}");
}

#[test]
fn open_files_cost_workers_before_they_refuse() {
    let mut machine = host(8);
    let workers = |machine: &Machine| {
        ask(Mpm::Event, 5000, Some(400), machine, &MemoryNeed::default())
            .map(|fits| fits.value("MaxRequestWorkers").unwrap())
    };
    let free = workers(&machine).unwrap();
    machine.open_files = known(1024, "open_files");
    let tight = workers(&machine).unwrap();
    assert!(tight > free && tight < 1000, "{free} {tight}");
    machine.open_files = known(12, "open_files");
    let refusal = workers(&machine).unwrap_err();
    assert_eq!((refusal.binding.as_str(), refusal.largest), ("open_files", 0));
    assert!(refusal.message.ends_with("not even one connection fits"), "{}", refusal.message);
}

#[test]
fn the_bound_in_the_way_is_named() {
    for (mpm, limit, binding) in [
        (Mpm::Prefork, "tasks_max", "tasks"),
        (Mpm::Worker, "threads_max", "threads_max"),
        (Mpm::Event, "pid_max", "pid_max"),
    ] {
        let mut machine = Machine::default();
        let few = known(614, limit);
        match limit {
            "tasks_max" => machine.tasks_max = few,
            "threads_max" => machine.threads_max = few,
            _ => machine.pid_max = few,
        }
        let refusal = ask(mpm, 2_000_000, None, &machine, &MemoryNeed::default()).unwrap_err();
        assert_eq!(refusal.binding, binding, "{mpm}: {}", refusal.message);
        assert!(refusal.message.contains("614"), "{}", refusal.message);
        let fits = ask(mpm, refusal.largest, None, &machine, &MemoryNeed::default());
        assert!(fits.is_ok(), "{mpm}: the largest load told fits");
    }
    let refusal = ask(Mpm::Prefork, 200_001, None, &Machine::default(), &MemoryNeed::default()).unwrap_err();
    assert_eq!(refusal.binding, "scoreboard");
}

#[test]
fn nothing_is_refused_for_memory_whose_need_is_not_known() {
    let fits = ask(Mpm::Worker, 4025, None, &host(8), &MemoryNeed::default()).unwrap();
    assert_eq!(fits.capacity.memory_mb, None);
    assert!(fits.capacity.bounds.iter().all(|bound| bound.name != "memory"));
    assert!(fits.notes.iter().any(|note| note.contains("may need up to 2.0 MiB")), "{:?}", fits.notes);
    assert_eq!(largest_need(4025, &host(8), Bytes(0)), Some(Bytes((8 << 30) / 4025)));
    assert_eq!(largest_need(4025, &Machine::default(), Bytes(0)), None);
    assert_eq!(largest_need(1, &host(1), Bytes(2 << 30)), Some(Bytes(0)), "the reserve takes it all");
}

#[test]
fn measured_memory_counts_by_process_and_worker() {
    let measured = Measured {
        parent: Bytes(1 << 20),
        processes: 2,
        workers: 50,
        connections: 30,
        rss: Bytes(0),
        pss: Bytes(0),
        private: Bytes(0),
        shared: Bytes(10 << 20),
        per_process: Bytes(4 << 20),
        per_worker: Bytes(2 << 20),
        per_connection: Bytes(1 << 20),
        others: vec![Consumer { name: "php-fpm8.2".into(), processes: 4, memory: Bytes(300 << 20) }],
    };
    let asked = params::Memory { per_worker: Some("measured".into()), reserve: None };
    let memory = MemoryNeed::new(Some(&asked), Some(&measured)).unwrap();
    let fits = ask(Mpm::Worker, 100, None, &host(8), &memory).unwrap();
    assert_eq!(fits.capacity.memory_mb, Some(100 * 2 + 100 + 4 * 4 + 10 + 300));

    let nothing = MemoryNeed::new(Some(&asked), None).unwrap();
    assert_eq!(nothing.server, None);
    assert!(nothing.missing.unwrap().contains("no server runs"));
}

#[test]
fn what_is_no_amount_of_memory_is_named_by_its_path() {
    let asked = params::Memory { per_worker: Some("0".into()), reserve: Some("many".into()) };
    let errors = MemoryNeed::new(Some(&asked), None).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["memory.reserve", "memory.per_worker"]);
    assert!(
        MemoryNeed::new(Some(&params::Memory { per_worker: None, reserve: Some("0".into()) }), None).is_ok()
    );
}

fn written(pairs: &[(&'static str, &str)]) -> Written {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[test]
fn given_sizes_are_told_what_they_carry_and_what_binds() {
    let stock = written(&[
        ("StartServers", "2"),
        ("MinSpareThreads", "25"),
        ("MaxSpareThreads", "75"),
        ("MaxRequestWorkers", "150"),
    ]);
    let normal = normalise(Mpm::Event, Version::NEWEST_KNOWN, &stock);
    let server = Server::new(Mpm::Event, Version::NEWEST_KNOWN);
    let machine = Machine {
        tasks_max: known(200, "tasks_max"),
        open_files: known(8192, "open_files"),
        somaxconn: known(128, "somaxconn"),
        threads_max: known(u64::MAX, "threads_max"),
        ..host(8)
    };
    let report = assess(&server, &normal, None, &machine, &given("20M", "1G"));
    assert_eq!((report.connections, report.workers, report.processes), (Some(450), Some(150), Some(6)));
    assert_eq!(report.memory_mb, Some(150 * 20 + 1024));
    assert_eq!(held_idle(&normal.sizes), (150, 2), "idle connections start no process");
    let bounds: Vec<_> = report.bounds.iter().map(|bound| (bound.name.as_str(), bound.needs)).collect();
    assert_eq!(
        bounds,
        [
            ("memory", 4024),
            ("open_files", 9 + 25 * 4),
            ("tasks", 1 + 6 * 27),
            ("somaxconn", 511),
            ("scoreboard", 16)
        ],
        "what is not limited is no bound"
    );
    assert_eq!(report.binding.as_deref(), Some("somaxconn"), "the kernel cuts the backlog");
    assert_eq!(exceeded(&report).count(), 0, "a shorter backlog is no fault");

    let http2 = Server { http2: Http2::AsWorkers, ..server };
    let report = assess(&http2, &normal, None, &machine, &given("100M", "0"));
    let over: Vec<_> = exceeded(&report).map(|bound| bound.name.as_str()).collect();
    assert_eq!(over, ["memory", "tasks"]);
    assert_eq!(report.binding.as_deref(), Some("memory"), "1.8 times too much, tasks 1.6 times");
}

#[test]
fn a_proposal_reads_as_a_table_and_bars() {
    let machine =
        Machine { somaxconn: known(4096, "somaxconn"), open_files: known(8192, "open_files"), ..host(8) };
    let fits = ask(Mpm::Event, 5000, Some(400), &machine, &given("10M", "512M")).unwrap();
    insta::assert_snapshot!(text(&fits));
    let refused = ask(Mpm::Worker, 4025, None, &machine, &given("10M", "512M")).unwrap_err();
    insta::assert_snapshot!(refusal_text(&refused));
}

/// A limit of a host, often none and often tight.
fn limit(values: std::ops::Range<u64>) -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(u64::MAX)), 4 => values.prop_map(Some)]
}

prop_compose! {
    fn hosts()(
        memory in limit(0..64 << 30),
        cpus in limit(0..130),
        open_files in limit(0..20_000),
        tasks in limit(0..40_000),
        threads in limit(0..200_000),
        pids in limit(0..70_000),
        somaxconn in limit(0..9000),
    ) -> Machine {
        let fact = |value: Option<u64>| value.map(|value| Known { value, source: "facts".to_owned() });
        Machine {
            memory: memory.map(|value| Known { value: Bytes(value), source: "facts".to_owned() }),
            cpus: fact(cpus),
            open_files: fact(open_files),
            tasks_max: fact(tasks),
            threads_max: fact(threads),
            pid_max: fact(pids),
            somaxconn: fact(somaxconn),
            ..Machine::default()
        }
    }
}

prop_compose! {
    fn needs()(
        server in prop::option::weighted(0.8, (1_u64..200 << 20, 0_u64..1 << 20, 0_u64..50 << 20, 0_u64..100 << 20)),
        reserve in 0_u64..4 << 30,
    ) -> MemoryNeed {
        let server = server.map(|(worker, connection, process, once)| ServerNeed {
            per_worker: Bytes(worker),
            per_connection: Bytes(connection),
            per_process: Bytes(process),
            once: Bytes(once),
            source: "given".to_owned(),
        });
        MemoryNeed { server, reserve: Bytes(reserve), missing: None }
    }
}

fn servers() -> impl Strategy<Value = Server> {
    let http2 = prop_oneof![4 => Just(Http2::Off), 1 => Just(Http2::AsWorkers), 1 => (1_u64..300).prop_map(Http2::Workers)];
    (prop::sample::select(Mpm::ALL.to_vec()), 6_u16..72, 0_u64..500, http2).prop_map(
        |(mpm, patch, extra_files, http2)| Server { mpm, version: Version::v24(patch), extra_files, http2 },
    )
}

fn demands() -> impl Strategy<Value = Demand> {
    let connections = prop_oneof![2 => 1_u64..64, 4 => 1_u64..10_000, 1 => 1_u64..100_000_000];
    (connections, prop::option::of(1_u64..10_000))
        .prop_map(|(connections, active)| Demand { connections, active })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_passes_httpds_checks_and_covers_the_load(demand in demands(), server in servers(), host in hosts(), memory in needs()) {
        match size(demand, server, &host, &memory) {
            Ok(proposal) => {
                let normal = normalise(server.mpm, server.version, &proposal.written());
                prop_assert!(normal.corrections.is_empty(), "{:?} {:?}", normal.corrections, proposal.settings);
                prop_assert!(normal.refusals.is_empty(), "{:?}", normal.refusals);
                let report = assess(&server, &normal, Some(demand.connections), &host, &memory);
                prop_assert_eq!(&report, &proposal.capacity);
                prop_assert!(report.connections.unwrap() >= demand.connections);
                prop_assert!(report.bounds.iter().all(|bound| bound.needs <= bound.limit || bound.limit == 0), "{:?}", report.bounds);
                let sizes = normal.sizes;
                // SPARE-004, SPARE-005, SS-002, SL-004, SL-005, SL-006, TL-004
                prop_assert!(sizes.min_spare < sizes.workers);
                prop_assert!(sizes.max_spare >= sizes.started * sizes.threads);
                prop_assert!(sizes.started <= sizes.processes);
                prop_assert!(sizes.server_limit > sizes.processes || server.mpm != Mpm::Event || server.version < Version::v24(25));
                prop_assert!(sizes.server_limit <= 2 * sizes.processes);
                prop_assert!(sizes.thread_limit <= (4 * sizes.threads).max(64));
                prop_assert!(sizes.factor <= 1000);
                if server.mpm == Mpm::Event {
                    let active = i64::try_from(proposal.active).unwrap();
                    let held = sizes.workers + (sizes.workers - active - sizes.processes) * sizes.factor;
                    let wanted = i64::try_from(demand.connections).unwrap();
                    prop_assert!(sizes.workers >= wanted || held >= wanted, "held while {} are busy: {}", active, held);
                    prop_assert!(sizes.workers >= wanted || held_idle(&sizes).1 == proposal.capacity.processes.unwrap(), "no process is reaped");
                }
            }
            Err(refusal) => {
                prop_assert!(refusal.bounds.iter().any(|bound| bound.name == refusal.binding && bound.needs >= bound.limit), "{:?}", refusal);
                prop_assert!(refusal.largest < demand.connections);
                if refusal.largest > 0 {
                    let fits = size(Demand { connections: refusal.largest, ..demand }, server, &host, &memory);
                    prop_assert!(fits.is_ok(), "the largest load told fits");
                }
                let beyond = size(Demand { connections: refusal.largest + 1, ..demand }, server, &host, &memory);
                prop_assert!(beyond.is_err(), "one more than the largest does not");
            }
        }
    }

    #[test]
    fn a_smaller_load_or_a_larger_host_never_turns_a_yes_into_a_no(
        demand in demands(), server in servers(), host in hosts(), memory in needs(), less in 0.0_f64..1.0, more in 1_u64..1 << 34,
    ) {
        // Where the load itself does not fit, the largest that does is at the very edge of a yes.
        let connections = size(demand, server, &host, &memory).map_or_else(|refusal| refusal.largest, |_| demand.connections);
        if connections == 0 {
            return Ok(());
        }
        let demand = Demand { connections, ..demand };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let fewer = ((demand.connections as f64 * less) as u64).max(1);
        let smaller = size(Demand { connections: fewer, ..demand }, server, &host, &memory);
        prop_assert!(smaller.is_ok(), "{} connections", fewer);
        let fewer_active = Demand { active: demand.active.map(|active| active.div_ceil(2)), ..demand };
        prop_assert!(size(fewer_active, server, &host, &memory).is_ok(), "fewer active");
        let mut larger = host.clone();
        for limit in [&mut larger.open_files, &mut larger.tasks_max, &mut larger.threads_max, &mut larger.pid_max, &mut larger.cpus].into_iter().flatten() {
            limit.value = limit.value.saturating_add(more);
        }
        if let Some(memory) = &mut larger.memory {
            memory.value.0 = memory.value.0.saturating_add(more);
        }
        prop_assert!(size(demand, server, &larger, &memory).is_ok(), "{:?}", larger);
    }
}
