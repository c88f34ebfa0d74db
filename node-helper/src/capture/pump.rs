//! The thread that reads the probes' rings: it waits for records, makes events of them, hands them to the sink, and refills
//! budgets. Nothing else reads a ring.

use super::decode::{KernelNames, bare, is_dns, split};
use super::dns_dialogue::{Dialogue, message};
use crate::discovery::places::Places;
use crate::system::clock::monotonic_ns;
use aya::maps::{MapData, RingBuf};
use model::event::{Event, Seen};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::system::mapped::Mapped;

/// How long the rings may fill after they were emptied. A wake-up per event would cost more than the event.
const NAP_MS: u8 = 5;

/// The longest sleep while nothing happens: a query is known to be unanswered some time after it is. Looking at empty rings as
/// often as at full ones would cost the traffic of a virtual machine more than our programs do, by keeping its processors from
/// idling as they like.
const DOZE_MS: u8 = 100;

/// A ring and its budget.
#[derive(Debug)]
pub struct Source {
    /// The probe's name.
    pub probe: &'static str,
    /// Its records.
    pub ring: Ring,
    /// What it may still send.
    pub budget: Mapped,
}

/// A ring of records.
pub struct Ring(pub RingBuf<MapData>);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

/// Reads records: what they say, where it was, and to whom it belongs.
pub struct RecordReader {
    names: KernelNames,
    dialogue: Dialogue,
    places: Places,
}

impl RecordReader {
    /// With the names of this kernel.
    pub fn new(names: KernelNames) -> Self {
        Self {
            names,
            dialogue: Dialogue::default(),
            places: Places::default(),
        }
    }

    /// The event of a record; none when it is cut, unknown, or was told already.
    pub fn event(&mut self, probe: &str, bytes: &[u8]) -> Option<Event> {
        let (record, tail) = split(bytes)?;
        let mut event = if is_dns(&record) {
            let event = bare(probe, &record, Seen::RetransmitSynAck);
            self.dialogue.take(event, message(tail)?)?
        } else {
            self.names.event(probe, &record, tail)?
        };
        self.places.name(&mut event, record.cgroup);
        Some(event)
    }

    /// Queries that nobody answered in time, or, at the end, at all.
    fn unanswered(&mut self, is_end: bool) -> Vec<Event> {
        let mut events = self.dialogue.unanswered(monotonic_ns(), is_end);
        for event in &mut events {
            self.places.name(event, 0);
        }
        events
    }
}

/// Takes events as they come.
pub type Sink = Box<dyn FnMut(Event) + Send>;

/// The pump while it runs.
#[derive(Debug)]
pub struct Pump {
    thread: Option<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
    /// Rung to end it.
    bell: Arc<EventFd>,
    events: Arc<AtomicU64>,
}

impl Pump {
    /// Starts it.
    pub fn start(
        mut sources: Vec<Source>,
        names: KernelNames,
        per_second: u32,
        mut sink: Sink,
    ) -> std::io::Result<Self> {
        let mut reader = RecordReader::new(names);
        let ending = Arc::new(AtomicBool::new(false));
        let events = Arc::new(AtomicU64::new(0));
        let (end, count) = (Arc::clone(&ending), Arc::clone(&events));
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let rung = Arc::clone(&bell);
        let thread = std::thread::Builder::new().name("pump".to_owned()).spawn(move || {
            reader.places.look_around();
            let mut last = Instant::now();
            loop {
                // Read before the rings: what was sent until then is in them.
                let ended = end.load(Ordering::Acquire);
                let mut said = 0;
                for source in &mut sources {
                    while let Some(item) = source.ring.0.next() {
                        if let Some(event) = reader.event(source.probe, &item) {
                            said += 1;
                            sink(event);
                        }
                    }
                }
                for event in reader.unanswered(ended) {
                    said += 1;
                    sink(event);
                }
                count.fetch_add(said, Ordering::Relaxed);
                if ended {
                    return;
                }
                let quiet = refill(&sources, per_second, &mut last) && said == 0;
                let rings = sources.iter().filter(|_| quiet).map(|source| source.ring.0.as_fd());
                let mut awaited: Vec<PollFd<'_>> = rings
                    .chain([rung.as_fd()])
                    .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
                    .collect();
                // Woken by a signal, it looks a little earlier.
                let _ = poll(&mut awaited, if quiet { DOZE_MS } else { NAP_MS });
            }
        })?;
        Ok(Self {
            thread: Some(thread),
            ending,
            bell,
            events,
        })
    }

    /// Empties the rings a last time and ends. Tells how many events were given to the sink.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.events.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It cannot be full, and without it the thread ends after its sleep.
            let _ = self.bell.write(1);
            // A sink that panics has taken its thread along; the events up to there are counted.
            let _ = thread.join();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.end();
    }
}

/// Adds what the time since `last` allows, up to what one second allows. Tells whether all have that.
fn refill(sources: &[Source], per_second: u32, last: &mut Instant) -> bool {
    let full = i64::from(per_second);
    let earned = last.elapsed().as_millis() as i64 * full / 1000;
    if earned > 0 {
        *last = Instant::now();
    }
    let mut all_full = true;
    for source in sources {
        let budget = source.budget.word();
        let left = budget.load(Ordering::Relaxed).max(0);
        if left < full && earned > 0 {
            budget.store((left + earned).min(full), Ordering::Relaxed);
        }
        all_full &= left + earned >= full;
    }
    all_full
}
