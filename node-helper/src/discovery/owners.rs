//! To whom an event belongs, by its namespace, cgroup, process and sockets.

use super::host_sockets::HostSockets;
use super::owner_memory::{LOOK_AGAIN, OwnerMemory};
use crate::identity::cgroups;
use crate::identity::namespaces::Namespaces;
use crate::identity::owner::{of_namespace, of_pid};
use model::event::Event;
use model::owner::Owner;
use std::time::Duration;

/// To whom things belong.
#[derive(Default)]
pub struct Owners {
    namespaces: OwnerMemory<u32>,
    cgroups: OwnerMemory<u64>,
    sockets: HostSockets,
}

impl Owners {
    /// Looks at all that lives here now: what has gone when its first event comes is known from here.
    pub fn look(&mut self) {
        self.namespaces.look(namespaces);
        self.cgroups.look(cgroups::contained);
    }

    /// Whose an event of that cgroup (0 where it has none) and of a process of that owner is: the namespace's owner's. In a pod's
    /// namespace the process or the socket's cgroup tells the container; in the node's own they, or the socket at either end of the
    /// flow, tell the pod that lives there (`hostNetwork`).
    pub fn of(&mut self, event: &Event, cgroup: u64, process: &Owner) -> Owner {
        let place = match event.netns {
            0 => Owner::Unknown,
            inode => self.namespaces.of(inode, LOOK_AGAIN, namespaces),
        };
        if matches!(place, Owner::Netns { .. } | Owner::Container { .. }) {
            return place;
        }
        let inhabitant = match cgroup {
            0 => process.clone(),
            // An id is never given twice.
            id => self.cgroups.of(id, Duration::MAX, cgroups::contained),
        };
        match (&place, &inhabitant) {
            (Owner::Pod { uid, .. }, Owner::Pod { uid: own, .. }) if uid == own => inhabitant,
            (Owner::Host | Owner::Unknown, Owner::Pod { .. } | Owner::Container { .. }) => inhabitant,
            (Owner::Host, _) => self.sockets.of(event.netns, &event.flow).unwrap_or(place),
            _ => place,
        }
    }
}

fn namespaces() -> Vec<(u32, Owner)> {
    let namespaces = Namespaces::scan();
    namespaces
        .all()
        .map(|namespace| (namespace.inode, of_namespace(namespace, of_pid)))
        .collect()
}
