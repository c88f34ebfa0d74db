//! What a tunnel's link tells: its network, its port, its ends, and whether a program chooses them for each packet.

use model::facts::{Tunnel, Vxlan};
use netlink_packet_route::link::{InfoData, InfoGeneve, InfoGre, InfoGre6, InfoIpTunnel, InfoVxlan};
use std::net::IpAddr;

/// VXLAN.
pub(super) fn vxlan(settings: &[InfoVxlan]) -> Vxlan {
    let mut vxlan = Vxlan::default();
    for setting in settings {
        match setting {
            InfoVxlan::Id(id) => vxlan.vni = *id,
            InfoVxlan::Group(v4) => vxlan.remote = given(*v4).or(vxlan.remote),
            InfoVxlan::Group6(v6) => vxlan.remote = given(*v6).or(vxlan.remote),
            InfoVxlan::Local(v4) => vxlan.local = given(*v4).or(vxlan.local),
            InfoVxlan::Local6(v6) => vxlan.local = given(*v6).or(vxlan.local),
            InfoVxlan::Link(lower) => vxlan.lower = Some(*lower).filter(|lower| *lower != 0),
            InfoVxlan::Learning(on) => vxlan.learning = *on,
            InfoVxlan::Port(port) => vxlan.port = *port,
            InfoVxlan::CollectMetadata(on) => vxlan.external = *on,
            _ => {}
        }
    }
    vxlan
}

/// A tunnel of any other kind.
pub(super) fn other(data: &InfoData) -> Option<Tunnel> {
    Some(match data {
        InfoData::Geneve(settings) => settings.iter().fold(Tunnel::default(), geneve),
        InfoData::IpTunnel(settings) => settings.iter().fold(Tunnel::default(), ip_tunnel),
        InfoData::GreTun(settings) | InfoData::GreTap(settings) => settings.iter().fold(Tunnel::default(), gre),
        InfoData::GreTun6(settings) | InfoData::GreTap6(settings) => settings.iter().fold(Tunnel::default(), gre6),
        _ => return None,
    })
}

/// An address that stands for none is none.
fn given(address: impl Into<IpAddr>) -> Option<IpAddr> {
    Some(address.into()).filter(|address| !address.is_unspecified())
}

fn geneve(mut tunnel: Tunnel, setting: &InfoGeneve) -> Tunnel {
    match setting {
        InfoGeneve::Id(id) => tunnel.id = Some(*id),
        InfoGeneve::Remote(v4) => tunnel.remote = given(*v4).or(tunnel.remote),
        InfoGeneve::Remote6(v6) => tunnel.remote = given(*v6).or(tunnel.remote),
        InfoGeneve::Port(port) => tunnel.port = Some(*port),
        InfoGeneve::CollectMetadata => tunnel.external = true,
        _ => {}
    }
    tunnel
}

fn ip_tunnel(mut tunnel: Tunnel, setting: &InfoIpTunnel) -> Tunnel {
    match setting {
        InfoIpTunnel::Local(address) => tunnel.local = given(*address),
        InfoIpTunnel::Remote(address) => tunnel.remote = given(*address),
        InfoIpTunnel::CollectMetadata => tunnel.external = true,
        _ => {}
    }
    tunnel
}

fn gre(mut tunnel: Tunnel, setting: &InfoGre) -> Tunnel {
    match setting {
        InfoGre::Local(v4) => tunnel.local = given(*v4),
        InfoGre::Remote(v4) => tunnel.remote = given(*v4),
        InfoGre::CollectMetadata => tunnel.external = true,
        _ => {}
    }
    tunnel
}

fn gre6(mut tunnel: Tunnel, setting: &InfoGre6) -> Tunnel {
    match setting {
        InfoGre6::Local(v6) => tunnel.local = given(*v6),
        InfoGre6::Remote(v6) => tunnel.remote = given(*v6),
        InfoGre6::CollectMetadata => tunnel.external = true,
        _ => {}
    }
    tunnel
}
