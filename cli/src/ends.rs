//! What the two ends are: asked of the helper, which knows namespaces, processes and who owns an address.

use crate::exit::Usage;
use crate::gather::Question;
use crate::session::Session;
use crate::target::Place;
use anyhow::{Result, anyhow};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::facts::ResolvConf;
use model::missing::{Known, Missing};
use model::protocol::Request;

/// Resolves both ends at once.
pub async fn both(session: &mut Session, question: &Question) -> Result<(Endpoint, Endpoint)> {
    session.progress.stage("finding both ends");
    session.ask(Request::Resolve {
        endpoint: question.source.asked(),
    });
    let helper_knows = question.intent == Intent::PodToPod
        && match &question.destination.place {
            Place::Site(_) => true,
            Place::Address(address) => !address.is_loopback(),
            Place::Name(_) => false,
        };
    if helper_knows {
        session.ask(Request::Resolve {
            endpoint: question.destination.asked(),
        });
    }
    let hello = session.hello().await?;
    let wanted = if helper_knows { 2 } else { 1 };
    session
        .need("finding both ends", |look| look.resolved.len() >= wanted)
        .await?;
    let mut resolved = std::mem::take(&mut session.look.resolved).into_iter();
    let source = found(resolved.next(), &question.source.asked())?;
    if source.netns.is_none() {
        return Err(Usage::error(format!(
            "{} has no network namespace on this machine to send from",
            source.asked
        )));
    }
    let mut destination = match &question.destination.place {
        _ if helper_knows => found(resolved.next(), &question.destination.asked())?,
        // A loopback address is the source's own.
        Place::Address(address) => Endpoint {
            asked: address.to_string(),
            kind: EndpointKind::Address,
            node: hello.node,
            netns: source.netns,
            name: address.to_string(),
            pid: source.pid,
            addresses: vec![*address],
            owner: source.owner.clone(),
            ..Endpoint::default()
        },
        Place::Name(name) | Place::Site(name) => Endpoint {
            asked: name.clone(),
            kind: EndpointKind::Name,
            name: name.clone(),
            ..Endpoint::default()
        },
    };
    destination.port = question.destination.port;
    Ok((source, destination))
}

fn found(resolved: Option<Known<Endpoint>>, asked: &str) -> Result<Endpoint> {
    match resolved {
        Some(Known::Known(endpoint)) => Ok(endpoint),
        Some(Known::Missing(missing)) => Err(not_found(asked, &missing)),
        None => Err(anyhow!("the helper did not say what {asked} is; run it again with -v")),
    }
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
    let source = session.look.evidence.source.clone();
    let mut endpoint = Endpoint {
        asked: server.to_string(),
        kind: EndpointKind::Address,
        name: format!("name server {server}"),
        addresses: vec![server],
        ..Endpoint::default()
    };
    if server.is_loopback() {
        (endpoint.node, endpoint.netns, endpoint.owner) = (source.node, source.netns, source.owner);
    } else {
        session.ask(Request::Resolve {
            endpoint: server.to_string(),
        });
        session
            .need("finding the name server", |look| !look.resolved.is_empty())
            .await?;
        // A server that nobody here owns is looked at from outside.
        if let Some(Known::Known(known)) = session.look.resolved.pop() {
            endpoint = known;
        }
    }
    session.look.evidence.destination = endpoint;
    Ok(())
}

/// An endpoint that is not there is a slip of the asker.
pub fn not_found(asked: &str, missing: &Missing) -> anyhow::Error {
    let remedy = if missing.remedy.is_empty() {
        String::new()
    } else {
        format!("; {}", missing.remedy)
    };
    Usage::error(format!("{asked} was not found: {}{remedy}", missing.why))
}
