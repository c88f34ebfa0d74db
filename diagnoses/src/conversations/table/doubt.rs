//! What nobody knows of conversations where some of what happened was not told.

use super::ConversationTable;
use crate::conversations::connection::ObservedConnection;
use crate::conversations::lookup::ObservedLookup;

impl ConversationTable {
    /// So many changes of sockets were not told: where they can explain every connection of which nothing tells that it was made,
    /// nobody knows whether one was not.
    pub fn doubt(&mut self, lost: u64) {
        let connections = self
            .conversations
            .values_mut()
            .flat_map(|own| own.connections.values_mut());
        let untold = |connection: &ObservedConnection| {
            let told = connection.dropped > 0 || connection.resent > 0 || connection.errno.is_some();
            !told && connection.connected_ns.is_none() && !connection.existed
        };
        let untold: Vec<&mut ObservedConnection> = connections.filter(|connection| untold(connection)).collect();
        if untold.len() as u64 <= lost {
            for connection in untold {
                connection.is_unsure = true;
            }
        }
    }

    /// So many messages of lookups were not told: where they can be all that would have ended well those that did not, nobody knows
    /// whether a later name was found, or an answer came.
    pub fn doubt_lookups(&mut self, lost: u64) {
        let open = |lookup: &ObservedLookup| !lookup.found();
        let conversations = self.conversations.values_mut();
        let failed: usize = conversations
            .map(|own| own.lookups.iter().filter(|own| open(own)).count())
            .sum();
        if failed as u64 > lost {
            return;
        }
        for conversation in self.conversations.values_mut() {
            let all = conversation.lookups.len();
            conversation.lookups.retain(|lookup| !open(lookup));
            let doubted = all - conversation.lookups.len();
            conversation.tried = conversation.tried.saturating_sub(doubted as u32);
        }
    }

    /// Where changes of sockets are not told, a connection was certainly not made only where its first packet was lost to the last.
    /// So many that were sent again were not told.
    pub fn doubt_untold(&mut self, lost_resent: u64) {
        if self.told.changes {
            return;
        }
        let is_whole = self.told.resent && lost_resent == 0;
        let connections = self
            .conversations
            .values_mut()
            .flat_map(|own| own.connections.values_mut());
        for connection in connections {
            connection.is_unsure = !(is_whole && connection.is_lost_to_the_last());
        }
    }
}
