//! Both ends, completed: to what the site knows of them, the helpers of their nodes add namespaces, processes and who owns an
//! address.

use crate::conversation::session::Session;
use crate::exit::{NotThere, not_found};
use crate::inquiry::known_ends::KnownEnds;
use anyhow::{Result, anyhow};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::facts::ResolvConf;
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::protocol::Request;

/// Completes both ends and all backends, each by the helper of its node, at once.
pub async fn complete(session: &mut Session, intent: Intent, ends: KnownEnds) -> Result<()> {
    session.progress.stage("finding both ends");
    let KnownEnds {
        source,
        destination,
        backends,
        nodes: _,
        inventory,
        settled: _,
    } = ends;
    let at_source = session.state.named(&source.node).unwrap_or(0);
    let vouched = |end: &Endpoint| !end.node.is_empty() || end.object.is_some();
    let source_vouched = vouched(&source);
    let mut all = vec![source, destination];
    all.extend(backends);
    let asked: Vec<Option<(usize, String)>> = all
        .iter()
        .enumerate()
        .map(|(index, end)| {
            // For a lookup the other end is found when the source's resolv.conf is known.
            if index == 1 && intent == Intent::Dns {
                return None;
            }
            let node = if end.node.is_empty() {
                Some(at_source)
            } else {
                session.state.named(&end.node)
            };
            Some((node?, question(end)?))
        })
        .collect();
    let from = question(&all[0]);
    let found = ask(session, from, asked.clone()).await?;
    for (index, ((end, asked), found)) in all.iter_mut().zip(asked).zip(found).enumerate() {
        match (asked, found) {
            (_, Some(Known::Known(found))) => complement(end, found),
            (Some((_, asked)), found) if !vouched(end) => {
                return Err(match found {
                    Some(Known::Missing(missing)) => not_found(&asked, &missing),
                    _ => unsaid(session, &asked),
                });
            }
            // A site that knows it better: it may have gone meanwhile. Of other backends than those on the way nothing is lost.
            (Some((node, _)), Some(Known::Missing(missing))) if index < 2 => {
                let name = session.state.evidence.nodes[node].name.clone();
                session.state.evidence.missing.push(Missing {
                    node: Some(name),
                    ..missing
                });
            }
            _ => {}
        }
    }
    let mut all = all.into_iter();
    let source = all.next().unwrap_or_default();
    let mut destination = all.next().unwrap_or_default();
    if source.netns.is_none() && !source_vouched {
        return Err(NotThere::error(format!(
            "{} has no network namespace on this machine to send from",
            source.asked
        )));
    }
    // A loopback address is the source's own.
    if let (EndpointKind::Address, [address]) = (destination.kind, destination.addresses.as_slice())
        && address.is_loopback()
    {
        destination.name = address.to_string();
        destination.node.clone_from(&source.node);
        (destination.netns, destination.pid) = (source.netns, source.pid);
        destination.owner = source.owner.clone();
    }
    let evidence = &mut session.state.evidence;
    (evidence.source, evidence.destination, evidence.inventory) = (source, destination, inventory);
    session.state.backends = all.collect();
    Ok(())
}

/// What to ask a helper so that it finds this end; nothing for what no helper can know.
fn question(end: &Endpoint) -> Option<String> {
    match (end.kind, &end.owner) {
        (_, Owner::Pod { uid, .. }) => Some(format!("pod/{uid}")),
        (EndpointKind::Node, _) | (_, Owner::Host) => Some("host".to_owned()),
        (EndpointKind::Netns | EndpointKind::Pid | EndpointKind::Container | EndpointKind::Host, _) => {
            Some(end.asked.clone())
        }
        (EndpointKind::Address, _) => {
            let address = end.addresses.first().filter(|address| !address.is_loopback())?;
            Some(address.to_string())
        }
        (EndpointKind::Name | EndpointKind::Pod | EndpointKind::Service, _) => None,
    }
}

/// Fills in what is not known yet.
fn complement(end: &mut Endpoint, found: Endpoint) {
    let fill = |own: &mut String, found: String| {
        if own.is_empty() {
            *own = found;
        }
    };
    fill(&mut end.node, found.node);
    fill(&mut end.name, found.name);
    if end.addresses.is_empty() {
        end.addresses = found.addresses;
    }
    if end.owner == Owner::Unknown {
        end.owner = found.owner;
    }
    if end.resolv.get().is_err() {
        end.resolv = found.resolv;
    }
    (end.netns, end.pid) = (found.netns, found.pid);
}

/// Asks these nodes what these are as seen from the source, all at once; an answer for each question in its place, `None` where there was none.
async fn ask(
    session: &mut Session,
    from: Option<String>,
    asked: Vec<Option<(usize, String)>>,
) -> Result<Vec<Option<Known<Endpoint>>>> {
    let mut wanted = vec![0; session.state.nodes.len()];
    for (node, endpoint) in asked.iter().flatten() {
        if let Some(count) = wanted.get_mut(*node) {
            *count += 1;
            let endpoint = endpoint.clone();
            let from = from.clone();
            session.ask_at(*node, Request::Resolve { endpoint, from });
        }
    }
    session
        .need("finding both ends", |state| {
            let mut nodes = state.nodes.iter().zip(&wanted);
            nodes.all(|(node, wanted)| node.resolved.len() >= *wanted || node.over())
        })
        .await?;
    let answer = |asked: Option<(usize, String)>| session.state.nodes.get_mut(asked?.0)?.resolved.pop_front();
    Ok(asked.into_iter().map(answer).collect())
}

/// What an address is at the source's node: who has it there, if anybody.
pub async fn at_source(session: &mut Session, address: std::net::IpAddr) -> Result<Endpoint> {
    let node = session.state.named(&session.state.evidence.source.node).unwrap_or(0);
    let from = question(&session.state.evidence.source);
    let found = ask(session, from, vec![Some((node, address.to_string()))]).await?;
    let known = found.into_iter().flatten().next().and_then(|known| known.ok().cloned());
    Ok(known.unwrap_or_default())
}

fn unsaid(session: &Session, asked: &str) -> anyhow::Error {
    let why = session.state.why_cut().map_or("", |missing| missing.why.as_str());
    let colon = if why.is_empty() { "" } else { ": " };
    anyhow!("the helper did not say what {asked} is{colon}{why}; run it again with -v")
}

/// The resolv.conf, if there is one that names a server.
pub fn usable(resolv: &Known<ResolvConf>) -> Result<&ResolvConf> {
    match resolv {
        Known::Known(resolv) if resolv.nameservers.is_empty() => Err(anyhow!(
            "{} names no name server; write one there, as `nameserver ADDRESS`",
            resolv.path
        )),
        Known::Known(resolv) => Ok(resolv),
        Known::Missing(missing) => Err(anyhow!("the source's resolv.conf could not be read: {}", missing.why)),
    }
}

/// For a lookup the other end is the first name server.
pub async fn name_server(session: &mut Session, resolv: &ResolvConf) -> Result<()> {
    let Some(&server) = resolv.nameservers.first() else {
        return Ok(());
    };
    let source = session.state.evidence.source.clone();
    let mut endpoint = Endpoint {
        asked: server.to_string(),
        kind: EndpointKind::Address,
        name: format!("name server {server}"),
        addresses: vec![server],
        ..Endpoint::default()
    };
    if server.is_loopback() {
        (endpoint.node, endpoint.netns, endpoint.owner) = (source.node, source.netns, source.owner);
    } else if session.state.evidence.destination.addresses.contains(&server) {
        // The site knows it better.
        endpoint = std::mem::take(&mut session.state.evidence.destination);
    } else {
        let known = at_source(session, server).await?;
        // A server that nobody here owns is looked at from outside.
        if !known.addresses.is_empty() {
            endpoint = known;
        }
    }
    session.state.evidence.destination = endpoint;
    Ok(())
}
