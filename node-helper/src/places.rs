//! Names for the places where events happen: whose namespace, which interface, which process. Looked up where an event
//! tells a number that is new, and remembered, because many events follow from the same place.

use crate::namespaces::Namespaces;
use crate::netns::within;
use crate::owner::Owners;
use model::event::Event;
use nix::net::if_::if_nameindex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A namespace is looked at again for an interface that is new at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known so far.
#[derive(Default)]
pub struct Places {
    owners: Owners,
    interfaces: HashMap<(u32, u32), String>,
    looked: HashMap<u32, Instant>,
    processes: HashMap<u32, Option<String>>,
}

impl Places {
    /// Fills in the names that an event lacks.
    pub fn name(&mut self, event: &mut Event) {
        if event.netns != 0 {
            event.owner = self.owners.of_netns(event.netns);
            if event.ifindex != 0 {
                event.interface = self.interface(event.netns, event.ifindex);
            }
        }
        if event.pid != 0 {
            event.process = self.process(event.pid);
        }
    }

    fn interface(&mut self, netns: u32, index: u32) -> Option<String> {
        if !self.interfaces.contains_key(&(netns, index))
            && self
                .looked
                .get(&netns)
                .is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN)
        {
            self.looked.insert(netns, Instant::now());
            self.look(netns);
        }
        self.interfaces.get(&(netns, index)).cloned()
    }

    fn look(&mut self, netns: u32) {
        let namespaces = Namespaces::scan();
        let Some(namespace) = namespaces.by_inode(netns) else {
            return;
        };
        let list = || -> Vec<(u32, String)> {
            let interfaces = if_nameindex();
            interfaces
                .iter()
                .flat_map(|list| list.iter())
                .map(|interface| (interface.index(), interface.name().to_string_lossy().into_owned()))
                .collect()
        };
        // A namespace that cannot be entered leaves its interfaces as numbers.
        let named = within(namespace, list).unwrap_or_default();
        self.interfaces
            .extend(named.into_iter().map(|(index, name)| ((netns, index), name)));
    }

    fn process(&mut self, pid: u32) -> Option<String> {
        self.processes
            .entry(pid)
            .or_insert_with(|| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
                Some(name.trim_end().to_owned())
            })
            .clone()
    }
}
