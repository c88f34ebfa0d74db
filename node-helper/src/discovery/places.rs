//! Names for the places where events happen: whose namespace, which interface, which process. Looked up where an event
//! tells a number that is new, and remembered, because many events follow from the same place.

use super::owners::Owners;
use crate::facts;
use crate::identity::namespaces::Namespaces;
use crate::identity::namespaces::sees_all_pids;
use crate::identity::owner::of_pid;
use crate::servants::usher::{self, SocketKind};
use crate::system::door;
use crate::system::netlink::Netlink;
use model::event::Event;
use model::owner::Owner;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A namespace is looked at again for an interface that is new at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known so far.
pub struct Places {
    sees_all_pids: bool,
    owners: Owners,
    interfaces: HashMap<(u32, u32), String>,
    looked: HashMap<u32, Instant>,
    processes: HashMap<u32, Process>,
}

#[derive(Clone, Default)]
struct Process {
    name: Option<String>,
    owner: Owner,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sees_all_pids: sees_all_pids(),
            owners: Owners::default(),
            interfaces: HashMap::new(),
            looked: HashMap::new(),
            processes: HashMap::new(),
        }
    }
}

impl Places {
    /// Looks at who lives here, before there are events.
    pub fn look_around(&mut self) {
        self.owners.look();
    }

    /// Fills in the names that an event lacks; `cgroup` is its record's.
    pub fn name(&mut self, event: &mut Event, cgroup: u64) {
        // The kernel's number of a process is another one's, or nobody's, where the node is a container itself.
        let pid = if self.sees_all_pids { event.pid } else { 0 };
        let process = self.process(pid);
        event.process = process.name;
        event.owner = self.owners.of(event, cgroup, &process.owner);
        if event.netns != 0 && event.ifindex != 0 {
            event.interface = self.interface(event.netns, event.ifindex);
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
        let named = usher::socket(namespace, SocketKind::Route)
            .and_then(Netlink::over)
            .and_then(|mut route| facts::interfaces(&mut route));
        // A namespace that cannot be entered leaves its interfaces as numbers.
        let named = named.unwrap_or_default();
        self.interfaces
            .extend(named.into_iter().map(|(index, name)| ((netns, index), name)));
    }

    fn process(&mut self, pid: u32) -> Process {
        if pid == 0 {
            return Process::default();
        }
        let look = || Process {
            name: door::text(format!("/proc/{pid}/comm"), door::FEW_LINES)
                .ok()
                .map(|name| name.trim_end().to_owned()),
            owner: of_pid(pid),
        };
        self.processes.entry(pid).or_insert_with(look).clone()
    }
}
