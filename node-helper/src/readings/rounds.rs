//! Rounds: all probes read all places, at once when the window opens, at its interval, and a last time when it closes.

use super::place::ReadPlace;
use super::sink::{NumberSink, SeriesIds};
use super::{READINGS, ReadingProbe};
use crate::facts::block_io;
use crate::identity::namespaces::{Namespaces, NetworkNamespace};
use crate::identity::owner::{of_namespace, of_pid};
use crate::kernel::histograms::{Buckets, HistogramMap, TimesKey};
use crate::system::{block_device, clock};
use anyhow::Context as _;
use model::missing::Missing;
use model::protocol::{Filter, ProbeStatus, Reply};
use model::series::{Round, Sample, Series, Whose};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No probe reads more often.
const SHORTEST: Duration = Duration::from_millis(100);
/// Places whose numbers are read, at most.
const PLACES_MAX: usize = 1_024;

/// Who is told.
pub type TellRound = Box<dyn Fn(&Reply) + Send>;

/// Probes at work. Dropping it ends them without a last round.
#[derive(Debug)]
pub struct Rounds {
    statuses: Vec<ProbeStatus>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Go,
    Stop,
}

/// The numbers of a place as they were last told.
struct Told {
    place: ReadPlace,
    met: bool,
    values: HashMap<u32, u64>,
    buckets: HashMap<u32, Buckets>,
    missing: BTreeSet<(String, String)>,
}

/// Times that were counted in the kernel, by namespace, as they were at the beginning of a round; or why they are not known.
#[derive(Default)]
struct CountedTimes {
    by_namespace: BTreeMap<u32, Vec<(TimesKey, Buckets)>>,
    missing: BTreeSet<(String, String)>,
}

struct Reader {
    window: u32,
    probes: Vec<&'static ReadingProbe>,
    histograms: Vec<HistogramMap>,
    /// The namespaces asked for; none for all.
    wanted: Vec<u32>,
    node: Told,
    places: BTreeMap<u32, Told>,
    ids: SeriesIds,
    number: u64,
    say: TellRound,
}

impl Rounds {
    /// Opens what these probes read at the places of a filter; each is tried once, and one that can be read nowhere says why.
    /// `names` are probes of [`READINGS`]; `histograms` is what attached probes count, which is told with the rest.
    pub fn arm(
        window: u32,
        names: &[String],
        histograms: Vec<HistogramMap>,
        filter: &Filter,
        say: TellRound,
    ) -> anyhow::Result<Self> {
        allow_many_files();
        let probes = READINGS
            .iter()
            .filter(|probe| names.iter().any(|name| name == probe.name));
        let mut reader = Reader::new(window, probes.copied().collect(), histograms, filter, say)?;
        let statuses = reader.try_all();
        let interval = match filter.interval_ms {
            0 => None,
            ms => Some(Duration::from_millis(ms.into()).max(SHORTEST)),
        };
        let (orders, heard) = channel();
        let thread = std::thread::Builder::new()
            .name("rounds".into())
            .spawn(move || reader.serve(&heard, interval))
            .context("cannot start a thread")?;
        Ok(Self {
            statuses,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Each probe asked for, and why it cannot be read where it cannot.
    pub fn probes(&self) -> &[ProbeStatus] {
        &self.statuses
    }

    /// The window is open: the first round.
    pub fn go(&self) {
        if let Some(orders) = &self.orders {
            // A thread that is gone has told why.
            let _ = orders.send(Order::Go);
        }
    }

    /// The last round, and the end.
    pub fn stop(mut self) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(Order::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        // Its end is what the thread waits for.
        self.orders = None;
    }
}

impl Told {
    fn of(place: ReadPlace) -> Self {
        Self {
            place,
            met: false,
            values: HashMap::new(),
            buckets: HashMap::new(),
            missing: BTreeSet::new(),
        }
    }
}

impl Reader {
    fn new(
        window: u32,
        probes: Vec<&'static ReadingProbe>,
        histograms: Vec<HistogramMap>,
        filter: &Filter,
        say: TellRound,
    ) -> anyhow::Result<Self> {
        let namespaces = Namespaces::scan();
        let host = namespaces
            .by_name("host")
            .context("the node's own namespace is not there")?;
        let mut reader = Self {
            window,
            probes,
            histograms,
            wanted: filter.netns.clone(),
            node: Told::of(ReadPlace::new(host.clone())),
            places: BTreeMap::new(),
            ids: SeriesIds::default(),
            number: 0,
            say,
        };
        reader.look_around(&namespaces);
        reader.tell_owners(&namespaces)?;
        Ok(reader)
    }

    /// Which places there are now.
    fn look_around(&mut self, namespaces: &Namespaces) {
        let wanted = |namespace: &&NetworkNamespace| self.wanted.is_empty() || self.wanted.contains(&namespace.inode);
        let here: Vec<&NetworkNamespace> = namespaces.all().filter(wanted).take(PLACES_MAX).collect();
        self.places
            .retain(|inode, _| here.iter().any(|namespace| namespace.inode == *inode));
        for namespace in here {
            self.places
                .entry(namespace.inode)
                .or_insert_with(|| Told::of(ReadPlace::new(namespace.clone())))
                .place
                .meet(&namespace.pids);
        }
    }

    /// Tells the probes that want to know it which cgroups are whose: of all pods, since what is another's is not nobody's.
    fn tell_owners(&mut self, namespaces: &Namespaces) -> anyhow::Result<()> {
        if !self.histograms.iter().any(HistogramMap::wants_owners) {
            return Ok(());
        }
        let pods = namespaces.all().filter(|namespace| namespace.name != "host");
        let owners = pods.filter_map(|namespace| {
            let first = namespace.pids.first()?;
            Some((block_io::charged_group(*first)?, namespace.inode))
        });
        let owners = owners.collect();
        self.histograms
            .iter_mut()
            .try_for_each(|times| times.set_owners(&owners))
    }

    /// Reads all once and tells nothing, but which probes cannot be read at any place.
    fn try_all(&mut self) -> Vec<ProbeStatus> {
        let mut ids = SeriesIds::default();
        let mut statuses = Vec::new();
        for probe in &self.probes {
            let mut status = probe.status();
            let mut why = None;
            let places = std::iter::once(&mut self.node).filter(|_| probe.of_node);
            let others = self.places.values_mut().filter(|_| !probe.of_node);
            for told in places.chain(others) {
                match (probe.read)(&mut told.place, &mut NumberSink::new(&mut ids)) {
                    Ok(()) => {
                        why = None;
                        break;
                    }
                    Err(error) => why = Some(format!("{error:#}")),
                }
            }
            // What was read at one place at least can be read, whatever was thought before.
            status.unsupported = why.map(|why| probe.missing(why));
            statuses.push(status);
        }
        self.probes.retain(|probe| {
            let status = statuses.iter().find(|status| status.name == probe.name);
            status.is_some_and(|status| status.unsupported.is_none())
        });
        statuses
    }

    fn serve(mut self, orders: &Receiver<Order>, interval: Option<Duration>) {
        if !matches!(orders.recv(), Ok(Order::Go)) {
            return;
        }
        let mut due = Instant::now();
        loop {
            self.round(due);
            due = interval.map_or(due, |interval| due + interval);
            let order = match interval {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(interval) => {
                    // What could not be read in time is left out, not made up for.
                    while due + interval < Instant::now() {
                        due += interval;
                    }
                    orders.recv_timeout(due.saturating_duration_since(Instant::now()))
                }
            };
            match order {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) => return self.round(Instant::now()),
                Ok(Order::Go) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn round(&mut self, due: Instant) {
        let (began, cpu) = (Instant::now(), clock::own_cpu_ns());
        self.number += 1;
        let mut unknown = None;
        if self.number > 1 {
            let namespaces = Namespaces::scan();
            self.look_around(&namespaces);
            unknown = self.tell_owners(&namespaces).err();
        }
        let mut times = CountedTimes::read(&self.histograms);
        let what = "which pods the kernel reads and writes for".to_owned();
        times.missing.extend(unknown.map(|error| (what, format!("{error:#}"))));
        let (window, probes, say) = (self.window, &self.probes, &self.say);
        for (inode, told) in &mut self.places {
            let times = times.by_namespace.remove(inode).unwrap_or_default();
            let probes = probes.iter().filter(|probe| !probe.of_node);
            read_place(
                window,
                *inode,
                told,
                (probes, times),
                BTreeSet::new(),
                &mut self.ids,
                say,
            );
        }
        let of_node = probes.iter().filter(|probe| probe.of_node);
        let of_node = (of_node, times.by_namespace.remove(&0).unwrap_or_default());
        // The node answers for what is of no place.
        times.no_place();
        read_place(window, 0, &mut self.node, of_node, times.missing, &mut self.ids, say);
        say(&Reply::Round(Round {
            window,
            number: self.number,
            at_ns: clock::monotonic_ns(),
            took_us: began.elapsed().as_micros() as u64,
            cpu_us: (clock::own_cpu_ns() - cpu) / 1_000,
            late_us: began.saturating_duration_since(due).as_micros() as u64,
        }));
    }
}

/// Each place takes some ten descriptors, and a thousand are soon used up: as many as the process may have at all. Where that cannot be
/// had, places that do not fit say so.
fn allow_many_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

impl CountedTimes {
    fn read(histograms: &[HistogramMap]) -> Self {
        let mut all = Self::default();
        for histogram in histograms {
            match histogram.read() {
                Ok(counted) => {
                    for (times, buckets) in counted {
                        all.by_namespace.entry(times.netns).or_default().push((times, buckets));
                    }
                }
                Err(error) => {
                    let what = format!("numbers of probe {}", histogram.probe());
                    all.missing.insert((what, format!("{error:#}")));
                }
            }
        }
        all
    }

    /// What is left was counted in namespaces that nobody reads.
    fn no_place(&mut self) {
        if !self.by_namespace.is_empty() {
            let what = format!("times of {} network namespaces", self.by_namespace.len());
            let why = "no process lives in them, or there are more than are read".to_owned();
            self.missing.insert((what, why));
        }
    }
}

/// Reads one place and tells what changed: what probes read there, and the times that were counted.
fn read_place<'a>(
    window: u32,
    netns: u32,
    told: &mut Told,
    (probes, times): (
        impl Iterator<Item = &'a &'static ReadingProbe>,
        Vec<(TimesKey, Buckets)>,
    ),
    mut missing: BTreeSet<(String, String)>,
    ids: &mut SeriesIds,
    say: &TellRound,
) {
    let at_ns = clock::monotonic_ns();
    told.place.begin_round();
    let mut sink = NumberSink::new(ids);
    for (times, buckets) in times {
        let device = times.measure.is_of_device().then(|| block_device::name(times.of));
        let of_device = device.as_deref().map(|device| ("device", device));
        let labels: Vec<_> = times.measure.labels().iter().copied().chain(of_device).collect();
        sink.set_buckets(times.measure.name(), &labels, buckets);
    }
    for probe in probes {
        if let Err(error) = (probe.read)(&mut told.place, &mut sink) {
            let what = format!("{} of {}", probe.name, told.place.namespace().name);
            missing.insert((what, format!("{error:#}")));
        }
    }
    if sink.left_out > 0 {
        let what = format!("{} numbers of {}", sink.left_out, told.place.namespace().name);
        missing.insert((what, "there are more than one session tells of".to_owned()));
    }
    let (values, buckets) = (sink.values, sink.buckets);
    for series in ids.fresh() {
        say(&Reply::Describe(Series { window, ..series }));
    }
    let mut sample = Sample {
        window,
        netns,
        at_ns,
        ..Sample::default()
    };
    if !told.met {
        told.met = true;
        sample.whose = Some(Whose {
            name: told.place.namespace().name.clone(),
            owner: of_namespace(told.place.namespace(), of_pid),
            processes: told.place.pids().len() as u32,
            addresses: told.place.addresses(),
        });
    }
    let changed = values.iter().filter(|(id, value)| told.values.get(id) != Some(value));
    sample.values = changed.map(|(id, value)| (*id, *value)).collect();
    sample.values.sort_unstable();
    let gone = told.values.keys().filter(|id| !values.contains_key(id));
    sample.gone = gone.copied().collect();
    sample.gone.sort_unstable();
    for (id, counts) in &buckets {
        let before = told.buckets.get(id);
        let changed = counts.iter().filter(|(bucket, count)| {
            let before = before.and_then(|before| before.get(bucket));
            before != Some(count)
        });
        let changed: Vec<(u16, u64)> = changed.map(|(bucket, count)| (*bucket, *count)).collect();
        if !changed.is_empty() {
            sample.buckets.push((*id, changed));
        }
    }
    sample.buckets.sort_unstable();
    if missing != told.missing {
        sample.missing = missing.iter().map(|(what, why)| Missing::new(what, why)).collect();
        told.missing = missing;
    }
    told.values = values;
    told.buckets = buckets;
    say(&Reply::Series(sample));
}
