//! Which edges sockets of pods make: through services, directly, denied, to the outside.

use super::{MapEnds, TrafficFold, TrafficSeen, permitted, traffic_map};
use diagnoses::conversations::ConversationTable;
use model::endpoint::Endpoint;
use model::evidence::{Evidence, NetnsEvidence};
use model::facts::{NetnsFacts, SocketPeer};
use model::inventory::{
    Inventory, LabelSelector, NetworkPolicy, Pod, PolicyPeer, PolicyRule, Port, Service, ServicePort,
};
use model::missing::Known;
use model::object_ref::ObjectRef;
use model::traffic_map::{EdgeRuling, EdgeSource, MapEdge};
use std::collections::BTreeMap;
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn labels(app: &str) -> BTreeMap<String, String> {
    [("app".to_owned(), app.to_owned())].into()
}

fn pod(app: &str, at: u8) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: format!("{app}-{at}"),
        uid: format!("uid-{at}"),
        labels: labels(app),
        workload: Some(ObjectRef {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: app.to_owned(),
        }),
        addresses: vec![address(&format!("10.0.0.{at}"))],
        phase: "Running".to_owned(),
        ..Pod::default()
    }
}

fn inventory() -> Inventory {
    Inventory {
        pods: vec![pod("web", 1), pod("web", 2), pod("db", 3)],
        services: vec![Service {
            namespace: "shop".to_owned(),
            name: "db".to_owned(),
            cluster_ips: vec![address("10.96.0.7")],
            selector: labels("db"),
            ports: vec![ServicePort {
                name: String::new(),
                protocol: "TCP".to_owned(),
                port: 5432,
                target: Port::Number(15_432),
                node_port: None,
            }],
            ..Service::default()
        }],
        policies: Known::Known(Vec::new()),
        namespaces: Known::Known(Vec::new()),
        ..Inventory::default()
    }
}

fn peer(is_server: bool, client: &str, server: &str, port: u16, connections: u32, sent_bytes: u64) -> SocketPeer {
    SocketPeer {
        is_server,
        client: address(client),
        server: address(server),
        port,
        protocol: model::flow::TCP,
        connections,
        opening: 0,
        rtt_p50_us: 100 * connections,
        sent_bytes,
        received_bytes: 0,
        unread_bytes: 0,
        unacknowledged_bytes: 0,
        resent: 0,
    }
}

/// Places with their sockets before and after.
fn edges(inventory: &Inventory, places: Vec<(u32, &str, Vec<SocketPeer>, Vec<SocketPeer>)>) -> Vec<MapEdge> {
    let target = |(netns, name, ..): &(u32, &str, Vec<SocketPeer>, Vec<SocketPeer>)| Endpoint {
        netns: Some(*netns),
        name: (*name).to_owned(),
        addresses: vec![address(&format!("10.0.0.{netns}"))],
        ..Endpoint::default()
    };
    let targets: Vec<Endpoint> = places.iter().map(target).collect();
    let facts = |peers| NetnsFacts {
        peers: Known::Known(peers),
        ..NetnsFacts::default()
    };
    let read = |(id, _, before, after)| NetnsEvidence {
        id,
        before: facts(before),
        after: facts(after),
        ..NetnsEvidence::default()
    };
    let evidence = Evidence {
        netns: places.into_iter().map(read).collect(),
        ..Evidence::default()
    };
    let fold = TrafficFold::of(ConversationTable::of(&targets, |_| Vec::new()), &targets);
    let ends = MapEnds::new(&targets, Some(inventory));
    let (permitted, _) = permitted(inventory, &targets);
    let seen = TrafficSeen {
        targets: &targets,
        fold: &fold,
        evidence: &evidence,
        ends: &ends,
        inventory: Some(inventory),
        permitted: &permitted,
        end_ns: 1,
    };
    traffic_map(&seen).1
}

fn edge<'a>(edges: &'a [MapEdge], source: &str, destination: &str) -> &'a MapEdge {
    edges
        .iter()
        .find(|edge| edge.source == source && edge.destination == destination)
        .unwrap()
}

const WEB: &str = "Deployment/shop/web";
const DB: &str = "Deployment/shop/db";
const SERVICE: &str = "Service/shop/db";

#[test]
fn what_goes_through_a_service_is_an_edge_to_it_and_one_from_it() {
    let asks = |connections, bytes| vec![peer(false, "10.0.0.1", "10.96.0.7", 5432, connections, bytes)];
    let answers = vec![peer(true, "10.0.0.1", "10.0.0.3", 15_432, 4, 0)];
    let places = vec![
        (1, "shop/web-1", asks(2, 1_000), asks(4, 1_500)),
        (3, "shop/db-3", Vec::new(), answers),
    ];
    let edges = edges(&inventory(), places);
    assert_eq!(edges.len(), 2, "{edges:?}");
    let asked = edge(&edges, WEB, SERVICE);
    assert_eq!(
        (asked.port, asked.open, asked.sent_bytes, asked.rtt_p50_us),
        (5432, 4, 500, Some(400))
    );
    assert_eq!(asked.ruling, EdgeRuling::Allowed);
    let behind = edge(&edges, SERVICE, DB);
    assert_eq!((behind.port, behind.open), (15_432, 4));
    assert_eq!(behind.known, [EdgeSource::Observed, EdgeSource::Declared]);
}

#[test]
fn what_goes_to_a_pod_itself_is_told_once_and_its_service_was_not_asked() {
    let asks = vec![peer(false, "10.0.0.1", "10.0.0.3", 15_432, 1, 10)];
    let answers = vec![peer(true, "10.0.0.1", "10.0.0.3", 15_432, 1, 0)];
    let places = vec![
        (1, "shop/web-1", Vec::new(), asks),
        (3, "shop/db-3", Vec::new(), answers),
    ];
    let edges = edges(&inventory(), places);
    assert_eq!(edges.len(), 2, "{edges:?}");
    assert_eq!(edge(&edges, WEB, DB).open, 1);
    assert_eq!(edge(&edges, SERVICE, DB).known, [EdgeSource::Declared]);
}

#[test]
fn pods_of_one_workload_are_one_end_and_a_policy_that_denies_is_named() {
    let mut inventory = inventory();
    inventory.policies = Known::Known(vec![NetworkPolicy {
        namespace: "shop".to_owned(),
        name: "lockdown".to_owned(),
        pod_selector: LabelSelector {
            match_labels: labels("db"),
            ..LabelSelector::default()
        },
        policy_types: vec!["Ingress".to_owned()],
        ..NetworkPolicy::default()
    }]);
    let asks = |from: &str| vec![peer(false, from, "10.96.0.7", 5432, 1, 0)];
    let places = vec![
        (1, "shop/web-1", Vec::new(), asks("10.0.0.1")),
        (2, "shop/web-2", Vec::new(), asks("10.0.0.2")),
    ];
    let edges = edges(&inventory, places);
    assert_eq!(edges.len(), 1, "{edges:?}");
    assert_eq!((edges[0].open, edges[0].ruling), (2, EdgeRuling::Denied));
    assert_eq!(edges[0].denied_by, ["shop/lockdown"]);
}

#[test]
fn an_address_that_nobody_has_is_outside() {
    let asks = vec![peer(false, "10.0.0.1", "203.0.113.9", 443, 1, 0)];
    let edges = edges(&inventory(), vec![(1, "shop/web-1", Vec::new(), asks)]);
    assert_eq!(edges[0].destination, "203.0.113.9");
    assert_eq!(edges[0].ruling, EdgeRuling::Allowed, "no policy selects the pod");
}

/// `db` is closed to all but `web`, by a policy.
fn guarded() -> Inventory {
    let mut inventory = inventory();
    let only = |app: &str| LabelSelector {
        match_labels: labels(app),
        ..LabelSelector::default()
    };
    let from_web = PolicyRule {
        peers: vec![PolicyPeer {
            pod_selector: Some(only("web")),
            ..PolicyPeer::default()
        }],
        ..PolicyRule::default()
    };
    inventory.policies = Known::Known(vec![NetworkPolicy {
        namespace: "shop".to_owned(),
        name: "from-web".to_owned(),
        pod_selector: only("db"),
        policy_types: vec!["Ingress".to_owned()],
        ingress: vec![from_web],
        ..NetworkPolicy::default()
    }]);
    inventory
}

#[test]
fn what_policies_permit_and_nobody_was_seen_to_use_is_an_edge_of_its_own() {
    let quiet = || {
        vec![
            (1, "shop/web-1", Vec::new(), Vec::new()),
            (3, "shop/db-3", Vec::new(), Vec::new()),
        ]
    };
    let permitted = edges(&guarded(), quiet());
    let to_db = edge(&permitted, WEB, DB);
    assert_eq!((to_db.port, &to_db.known[..]), (15_432, &[EdgeSource::Permitted][..]));
    assert_eq!(to_db.ruling, EdgeRuling::Allowed);
    assert!(
        !permitted.iter().any(|edge| edge.source == DB),
        "no policy selects web: {permitted:?}"
    );
    let open = edges(&inventory(), quiet());
    assert!(open.iter().all(|edge| edge.known == [EdgeSource::Declared]), "{open:?}");
}

#[test]
fn a_permission_that_was_used_by_way_of_the_service_is_none_unused() {
    let asks = vec![peer(false, "10.0.0.1", "10.96.0.7", 5432, 1, 0)];
    let places = vec![
        (1, "shop/web-1", Vec::new(), asks),
        (3, "shop/db-3", Vec::new(), Vec::new()),
    ];
    let edges = edges(&guarded(), places);
    assert!(edge(&edges, WEB, SERVICE).is_observed());
    assert!(
        !edges
            .iter()
            .any(|edge| (edge.source.as_str(), edge.destination.as_str()) == (WEB, DB)),
        "{edges:?}"
    );
}
