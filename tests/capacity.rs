//! From a load to sizes and back: worked examples, and what holds for every load and host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use apache_tuning::capacity::{
    About, Demand, Http2, MemoryNeed, Proposal, Refusal, Server, ServerNeed, assess, exceeded, held_idle,
    largest_need, refusal_text, size, text,
};
use apache_tuning::facts::{Consumer, Known, Machine, Measured, Served};
use apache_tuning::httpd::normalise::{Written, normalise};
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params;
use apache_tuning::report::CapacityReport;
use apache_tuning::units::Bytes;
use proptest::prelude::*;
use std::cmp::Ordering;

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
    size(Demand { connections, active, burst: None }, Server::new(mpm, Version::NEWEST_KNOWN), host, memory)
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
fn five_thousand_connections_of_which_four_hundred_are_active_fit_and_the_burst_that_does_not_is_told() {
    let fits = ask(Mpm::Event, 5000, Some(400), &host(8), &given("10M", "512M")).unwrap();
    let workers = fits.value("MaxRequestWorkers").unwrap();
    assert!((400..=768).contains(&workers), "(8192 - 512) / 10 workers: {workers}");
    assert!(fits.capacity.connections.unwrap() >= 5000);
    assert_eq!(fits.value("StartServers"), fits.capacity.processes);
    assert_eq!(fits.burst, 1250, "a quarter of the connections");
    let survives = fits.capacity.burst.unwrap();
    assert!((250..400).contains(&survives), "{survives}");
    assert_eq!(fits.capacity.binding.as_deref(), Some("memory"));
    let told = fits.notes.join("\n");
    assert!(
        told.contains(&format!("survive a burst of {survives} requests at one moment, not of 1250")),
        "{told}"
    );
    assert!(told.contains("8.0 GiB (facts.memory_mb)"), "{told}");
    assert!(!fits.refuses_burst());
    assert!(fits.larger.unwrap().binding.as_deref() == Some("memory"));

    // With the memory that four hundred at once need in the worst split, they are carried.
    let more = ask(Mpm::Event, 5000, Some(400), &host(11), &given("10M", "512M")).unwrap();
    assert!(more.capacity.burst.unwrap() >= 400, "{:?}", more.capacity);
    let all = ask(Mpm::Event, 5000, Some(400), &host(64), &given("10M", "512M")).unwrap();
    assert!(all.capacity.burst.unwrap() >= 1250 && all.value("AsyncRequestWorkerFactor") == Some(2));
}

#[test]
fn a_burst_that_is_asked_for_is_carried_or_refused_with_the_one_that_is() {
    let ask = |burst| {
        let demand = Demand { connections: 5000, active: Some(400), burst: Some(burst) };
        size(demand, Server::new(Mpm::Event, Version::NEWEST_KNOWN), &host(8), &given("10M", "512M")).unwrap()
    };
    let refused = ask(1250);
    assert!(refused.refuses_burst());
    let survives = refused.capacity.burst.unwrap();
    let told = refused.notes.join("\n");
    assert!(told.contains(&format!("or ask for a burst of {survives}")), "{told}");
    let fits = ask(survives);
    assert!(!fits.refuses_burst() && fits.capacity.burst.unwrap() >= survives, "{:?}", fits.capacity);
}

#[test]
fn event_carries_five_thousand_connections_and_their_burst_with_few_workers_and_a_low_ceiling() {
    for cpus in [1, 2, 4, 8, 64] {
        let machine = Machine { cpus: known(cpus, "cpus"), ..Machine::default() };
        let fits = ask(Mpm::Event, 5000, None, &machine, &MemoryNeed::default()).unwrap();
        let workers = fits.capacity.workers.unwrap();
        assert!(workers <= 3200, "1250 + 5000 / 3 and one a process: {workers} on {cpus} processors");
        assert!(fits.capacity.burst.unwrap() >= 1250, "{:?}", fits.capacity);
        assert!(fits.capacity.connections.unwrap() <= 2 * (5000 + 1250), "{:?}", fits.capacity);
        assert!(fits.notes.iter().any(|note| note.contains("313 of 5000")), "what was assumed is told");
        assert!(fits.notes.iter().any(|note| note.contains("1250 requests at one moment are counted")));
        assert_eq!(fits.value("MaxConnectionsPerChild"), Some(10_000));
        let (smaller, larger) = (fits.smaller.unwrap(), fits.larger.unwrap());
        assert!(smaller.workers < workers && workers < larger.workers);
        assert!(smaller.burst < larger.burst && smaller.binding.is_none() && larger.binding.is_none());
    }
}

#[test]
fn worker_and_prefork_have_a_worker_for_each_connection_and_each_new_one_of_a_burst() {
    for mpm in [Mpm::Worker, Mpm::Prefork] {
        let fits = ask(mpm, 1000, None, &host(64), &given("10M", "512M")).unwrap();
        assert_eq!((fits.value("MaxRequestWorkers"), fits.capacity.burst), (Some(1250), Some(250)), "{mpm}");
        let full = ask(mpm, 1000, None, &host(11), &given("10M", "512M")).unwrap();
        assert!(full.capacity.burst.unwrap() < 250);
        assert!(full.notes.iter().any(|note| note.contains("new connections wait")), "{:?}", full.notes);
    }
    let none = ask(Mpm::Worker, 4025, None, &host(40), &given("10M", "512M")).unwrap();
    assert!(none.notes.iter().any(|note| note.contains("no room for a burst of new connections")));
}

#[test]
fn limits_that_are_not_known_are_told_with_what_they_have_to_allow() {
    let told = |machine: &Machine| {
        ask(Mpm::Worker, 1000, None, machine, &MemoryNeed::default()).unwrap().notes.join("\n")
    };
    let mut machine = host(8);
    let unknown = told(&machine);
    assert!(unknown.contains("a process may have 59 open"), "9 + 25 x 2: {unknown}");
    assert!(unknown.contains("the server may have 1351"), "50 x (25 + 2) + 1: {unknown}");
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
    assert!(tight >= free && tight < 4000, "{free} {tight}");
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
    assert!(fits.notes.iter().any(|note| note.contains("may need up to 1.6 MiB")), "{:?}", fits.notes);
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
        served: Served { seconds: 90, requests: Some(12), milliseconds: 40, peak: Bytes(0) },
        others: vec![Consumer { name: "php-fpm8.2".into(), processes: 4, memory: Bytes(300 << 20) }],
    };
    let asked = params::Memory { per_worker: Some("measured".into()), reserve: None };
    let memory = MemoryNeed::new(Some(&asked), Some(&measured)).unwrap();
    let fits = ask(Mpm::Worker, 100, None, &host(8), &memory).unwrap();
    assert_eq!(fits.capacity.memory_mb, Some(125 * 2 + 125 + 5 * 4 + 10 + 300));
    let told = fits.notes.join("\n");
    assert!(told.contains("is a lower bound: measured 90 s after the server's start"), "{told}");
    assert!(told.contains("has answered 12 requests") && told.contains("needs at most 63.1 MiB"), "{told}");
    let busy = Measured { served: Served { requests: Some(100_000), ..measured.served }, ..measured.clone() };
    let told = MemoryNeed::new(Some(&asked), Some(&busy)).unwrap().worth.unwrap();
    assert!(!told.lower_bound && told.seen.contains("100000 requests"), "{told:?}");

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
        MemoryNeed { server, reserve: Bytes(reserve), ..MemoryNeed::default() }
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
    let burst = prop::option::weighted(0.3, 1_u64..10_000);
    (connections, prop::option::of(1_u64..10_000), burst).prop_map(|(connections, active, burst)| Demand {
        connections,
        active,
        burst,
    })
}

/// Holds the burst that a proposal tells against the worst split over its processes, counted anew: some processes
/// hold all that they take and the others what is left, and no process has more than twice its even share unless
/// its ceiling is what keeps it from more.
fn carries_its_burst(proposal: &Proposal, demand: Demand) -> Result<(), TestCaseError> {
    let number = |name| proposal.value(name).unwrap_or(0);
    let (workers, threads) = (number("MaxRequestWorkers"), number("ThreadsPerChild").max(1));
    let (processes, held) = (workers / threads, demand.connections);
    let burst = proposal.capacity.burst.unwrap();
    if proposal.mpm != Mpm::Event {
        prop_assert_eq!(burst, workers - held.min(workers));
    } else if burst > 0 {
        let factor = number("AsyncRequestWorkerFactor");
        let most = (threads * (1 + factor)).min(held);
        // New connections, one by one, to whichever process still takes them: full ones take none.
        let full = (held / most).min(processes);
        let split: Vec<u64> = (0..processes)
            .map(|at| match at.cmp(&full) {
                Ordering::Less => most,
                Ordering::Equal => held - full * most,
                Ordering::Greater => 0,
            })
            .collect();
        prop_assert!(split.iter().sum::<u64>() == held || full == processes);
        let takes = |on: u64| {
            // on + k < T + (T - k - 1) x F for the k-th, the process having stopped listening once.
            (0..=threads).take_while(|k| on + k < threads + (threads - k).saturating_sub(1) * factor).count()
                as u64
        };
        let new: u64 = split.iter().map(|on| takes(*on)).sum();
        prop_assert!(new >= burst, "{} new ones taken, {} told: {:?}", new, burst, proposal.settings);
        // Held ones: the fullest process's share and two deviations of it find a worker each.
        #[allow(clippy::cast_precision_loss)]
        let needs = |share: f64| share + 2.0 * share.sqrt();
        #[allow(clippy::cast_precision_loss)]
        let (asking, all) = (burst.min(held) as f64, held as f64);
        #[allow(clippy::cast_precision_loss)]
        let enough = threads as f64 + 0.01;
        #[allow(clippy::cast_precision_loss)]
        let (at_most, twice_even) = (most as f64 * asking / all, 2.0 * asking / processes as f64);
        prop_assert!(
            most <= threads || burst <= threads || needs(at_most) <= enough || needs(twice_even) <= enough,
            "{} of {} with {} x {}, factor {}",
            burst,
            held,
            processes,
            threads,
            factor
        );
    }
    if burst < proposal.burst {
        let told =
            proposal.assumptions.iter().any(|one| matches!(one.about, About::LessBurst | About::NoBurst));
        prop_assert!(told && proposal.capacity.binding.is_some(), "{:?}", proposal.notes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_passes_httpds_checks_and_covers_the_load(demand in demands(), server in servers(), host in hosts(), memory in needs()) {
        match size(demand, server, &host, &memory) {
            Ok(proposal) => {
                let normal = normalise(server.mpm, server.version, &proposal.written());
                prop_assert!(normal.corrections.is_empty(), "{:?} {:?}", normal.corrections, proposal.settings);
                prop_assert!(normal.refusals.is_empty(), "{:?}", normal.refusals);
                let report = assess(&server, &normal, Some(demand.connections), &host, &memory);
                let binding = proposal.capacity.binding.clone();
                prop_assert_eq!(&CapacityReport { binding, ..report.clone() }, &proposal.capacity);
                prop_assert_eq!(size(demand, server, &host, &memory).unwrap(), proposal.clone(), "the same again");
                carries_its_burst(&proposal, demand)?;
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
        let carries_all = |host: &Machine| {
            size(demand, server, host, &memory).is_ok_and(|fits| fits.capacity.burst.unwrap() >= fits.burst)
        };
        let before = carries_all(&host);
        let mut larger = host.clone();
        for limit in [&mut larger.open_files, &mut larger.tasks_max, &mut larger.threads_max, &mut larger.pid_max, &mut larger.cpus].into_iter().flatten() {
            limit.value = limit.value.saturating_add(more);
        }
        if let Some(memory) = &mut larger.memory {
            memory.value.0 = memory.value.0.saturating_add(more);
        }
        prop_assert!(size(demand, server, &larger, &memory).is_ok(), "{:?}", larger);
        if before {
            prop_assert!(carries_all(&larger), "a smaller burst on {:?}", larger);
        }
    }
}
