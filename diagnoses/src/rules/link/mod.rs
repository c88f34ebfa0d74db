//! Causes at interfaces, bridges and tunnels: down, detached, blocked, without the entry for the far end.
//!
//! They read links, forwarding entries and what was dropped at a device. Who answers ARP or ND is `neighbour/`, how large or how
//! fast packets may be is `quality/`.

pub mod bridge_blocked;
pub mod interface_detached;
pub mod interface_down;
pub mod overlay_broken;
