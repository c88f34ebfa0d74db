use super::{Allowed, Denied, Is, Unknown, ask, expect, party, world};
use diagnoses::kubernetes::policy::{Connection, Ruling, ruling};
use model::inventory::NetworkPolicy;
use model::missing::{Known, Missing};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Policies of namespace shop, written as `spec`s in Kubernetes' own YAML, one document each.
fn policies(specs: &str) -> Vec<NetworkPolicy> {
    let documents = specs.split("---").filter(|text| !text.trim().is_empty());
    documents
        .enumerate()
        .map(|(index, text)| {
            let spec: Value = serde_yaml::from_str(text).unwrap();
            let mut policy: NetworkPolicy = serde_json::from_value(in_our_names(spec)).unwrap();
            "shop".clone_into(&mut policy.namespace);
            policy.name = format!("policy-{index}");
            policy
        })
        .collect()
}

fn in_our_names(value: Value) -> Value {
    let rename = |key: String| match key.as_str() {
        "podSelector" => "pod_selector".to_owned(),
        "namespaceSelector" => "namespace_selector".to_owned(),
        "matchLabels" => "match_labels".to_owned(),
        "matchExpressions" => "match_expressions".to_owned(),
        "ipBlock" => "ip_block".to_owned(),
        "policyTypes" => "policy_types".to_owned(),
        "endPort" => "end_port".to_owned(),
        "from" | "to" => "peers".to_owned(),
        _ => key,
    };
    match value {
        Value::Object(map) => {
            let renamed: Map<String, Value> = map
                .into_iter()
                .map(|(key, value)| (rename(key), in_our_names(value)))
                .collect();
            Value::Object(renamed)
        }
        Value::Array(items) => items.into_iter().map(in_our_names).collect(),
        other => other,
    }
}

/// Connections `FROM TO PORT PROTOCOL`, held against policies.
fn check(what: &str, specs: &str, cases: &[(&str, Is)]) {
    let mut inventory = world();
    inventory.policies = Known::Known(policies(specs));
    expect(&inventory, what, cases);
}

#[test]
fn pods_that_nothing_selects_may_do_anything() {
    check(
        "no policy",
        "",
        &[
            ("shop/web shop/db 5432 tcp", Allowed),
            ("203.0.113.9 shop/db 5432 tcp", Allowed),
        ],
    );
    check(
        "a policy for another pod",
        "{podSelector: {matchLabels: {app: cache}}, policyTypes: [Ingress, Egress]}",
        &[("shop/web shop/db 5432 tcp", Allowed)],
    );
    check(
        "a policy of another namespace",
        "{podSelector: {}, policyTypes: [Ingress]}",
        &[
            ("shop/db ops/mon 9090 tcp", Allowed),
            ("ops/mon shop/db 5432 tcp", Denied),
        ],
    );
}

#[test]
fn the_documentations_example() {
    let spec = "
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress, Egress]
        ingress:
        - from:
          - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
          - namespaceSelector: {matchLabels: {team: b}}
          - podSelector: {matchLabels: {app: web}}
          ports: [{protocol: TCP, port: 6379}]
        egress:
        - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
          ports: [{protocol: TCP, port: 5978}]";
    check(
        "the documentation's example",
        spec,
        &[
            ("shop/web shop/db 6379 tcp", Allowed),
            ("ops/mon shop/db 6379 tcp", Allowed),
            ("dev/web shop/db 6379 tcp", Denied),
            ("172.17.2.9 shop/db 6379 tcp", Allowed),
            ("172.17.1.9 shop/db 6379 tcp", Denied),
            ("203.0.113.9 shop/db 6379 tcp", Denied),
            ("shop/web shop/db 6380 tcp", Denied),
            ("shop/web shop/db 6379 udp", Denied),
            ("shop/db 10.0.0.9 5978 tcp", Allowed),
            ("shop/db 10.0.1.9 5978 tcp", Denied),
            ("shop/db 10.0.0.9 5979 tcp", Denied),
            ("shop/db shop/web 80 tcp", Denied),
        ],
    );
}

#[test]
fn the_documentations_defaults() {
    let web_to_db = "shop/web shop/db 5432 tcp";
    let db_to_web = "shop/db shop/web 80 tcp";
    check(
        "deny all ingress",
        "{podSelector: {}, policyTypes: [Ingress]}",
        &[(web_to_db, Denied), ("shop/web 203.0.113.9 443 tcp", Allowed)],
    );
    check(
        "allow all ingress",
        "{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "deny all egress",
        "{podSelector: {}, policyTypes: [Egress]}",
        &[
            ("shop/web 203.0.113.9 443 tcp", Denied),
            ("203.0.113.9 shop/web 80 tcp", Allowed),
        ],
    );
    check(
        "allow all egress",
        "{podSelector: {}, egress: [{}], policyTypes: [Egress]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "deny all of both",
        "{podSelector: {}, policyTypes: [Ingress, Egress]}",
        &[(web_to_db, Denied), (db_to_web, Denied)],
    );
    check(
        "without policyTypes it is about ingress, also when it has no rule",
        "{podSelector: {matchLabels: {app: db}}}",
        &[(web_to_db, Denied), (db_to_web, Allowed)],
    );
    check(
        "and about egress too when it has egress rules",
        "{podSelector: {matchLabels: {app: db}}, egress: [{to: [{podSelector: {matchLabels: {app: cache}}}]}]}",
        &[(web_to_db, Denied), (db_to_web, Denied)],
    );
    check(
        "egress rules of a policy for ingress alone mean nothing",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: cache}}}]}]}",
        &[(db_to_web, Allowed)],
    );
}

#[test]
fn what_the_predecessor_got_wrong() {
    let web_to_db = "shop/web shop/db 80 tcp";
    check(
        "a rule with a port is about the destination's",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{protocol: TCP, port: 80}]}]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "an empty rule allows all",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{}]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "an empty `from` allows all",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [], ports: [{port: 80}]}]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "an empty `to` allows all",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: []}]}",
        &[(web_to_db, Allowed)],
    );
    check(
        "one of several that allows is enough",
        "{podSelector: {}, policyTypes: [Ingress]}
         ---
         {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        &[(web_to_db, Allowed), ("ops/mon shop/db 80 tcp", Denied)],
    );
    check(
        "namespaces by label",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
        &[("ops/mon shop/db 80 tcp", Allowed), (web_to_db, Denied)],
    );
    check(
        "namespaces and pods in one peer: both must fit",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: mon}}}]}]}",
        &[
            ("ops/mon shop/db 80 tcp", Allowed),
            ("dev/web shop/db 80 tcp", Denied),
            (web_to_db, Denied),
        ],
    );
    check(
        "namespaces and pods as two peers: either is enough",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: web}}}]}]}",
        &[
            ("ops/mon shop/db 80 tcp", Allowed),
            (web_to_db, Allowed),
            ("dev/web shop/db 80 tcp", Denied),
        ],
    );
    check(
        "by label without ports, and the default denial",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        &[(web_to_db, Allowed), ("ops/mon shop/db 80 tcp", Denied)],
    );
    check(
        "a port by protocol alone",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{protocol: UDP}]}]}",
        &[
            ("shop/web shop/db 53 udp", Allowed),
            ("shop/web shop/db 53 tcp", Denied),
        ],
    );
    check(
        "a port by name",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: pg}]}]}",
        &[
            ("shop/web shop/db 5432 tcp", Allowed),
            ("shop/web shop/db 5433 tcp", Denied),
        ],
    );
}

#[test]
fn ports() {
    check(
        "a range has both its ends",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 32000, endPort: 32768}]}]}",
        &[
            ("shop/web shop/db 31999 tcp", Denied),
            ("shop/web shop/db 32000 tcp", Allowed),
            ("shop/web shop/db 32768 tcp", Allowed),
            ("shop/web shop/db 32769 tcp", Denied),
        ],
    );
    check(
        "a name is resolved by the pod that answers, per protocol",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{ports: [{port: pg}, {port: stat, protocol: UDP}]}]}",
        &[
            ("shop/web shop/db 5432 tcp", Allowed),
            ("shop/web shop/db 8125 udp", Allowed),
            ("shop/web shop/db 8125 tcp", Denied),
            ("shop/db shop/web 5432 tcp", Denied),
            ("shop/web 203.0.113.9 5432 tcp", Denied),
        ],
    );
    check(
        "a name that the pod does not have",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: http}]}]}",
        &[("shop/web shop/db 80 tcp", Denied)],
    );
    check(
        "TCP where no protocol is given",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 53}]}]}",
        &[
            ("shop/web shop/db 53 tcp", Allowed),
            ("shop/web shop/db 53 udp", Denied),
        ],
    );
    check(
        "SCTP",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{protocol: SCTP, port: 7777}]}]}",
        &[
            ("shop/web shop/db 7777 sctp", Allowed),
            ("shop/web shop/db 7777 tcp", Denied),
        ],
    );
}

#[test]
fn selectors() {
    check(
        "expressions",
        "{podSelector: {matchExpressions: [{key: tier, operator: In, values: [data, cache]}]},
          ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [mon]}]}}]}]}",
        &[
            ("shop/web shop/db 80 tcp", Allowed),
            ("dev/web shop/db 80 tcp", Allowed),
            ("ops/mon shop/db 80 tcp", Denied),
            ("ops/mon shop/web 80 tcp", Allowed),
        ],
    );
    check(
        "a pod selector alone means pods of the policy's namespace",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]}]}",
        &[
            ("shop/web shop/db 80 tcp", Allowed),
            ("dev/web shop/db 80 tcp", Denied),
            ("203.0.113.9 shop/db 80 tcp", Denied),
        ],
    );
    check(
        "an empty namespace selector means pods of all namespaces, and nobody outside",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}]}]}",
        &[
            ("dev/web shop/db 80 tcp", Allowed),
            ("203.0.113.9 shop/db 80 tcp", Denied),
        ],
    );
    check(
        "a namespace by its name",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dev}}}]}]}",
        &[("dev/web shop/db 80 tcp", Allowed), ("shop/web shop/db 80 tcp", Denied)],
    );
}

#[test]
fn addresses() {
    check(
        "a block holds for pods by their address, and only for its own family",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 10.244.1.0/24, except: [10.244.1.8/30]}}]}]}",
        &[
            ("shop/web shop/db 80 tcp", Allowed),
            ("ops/mon shop/db 80 tcp", Denied),
            ("fd00:1::5 fd00:2::7 80 tcp", Denied),
        ],
    );
    check(
        "IPv6",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 'fd00:1::/64'}}]}]}",
        &[
            ("fd00:1::5 fd00:2::7 80 tcp", Allowed),
            ("shop/web shop/db 80 tcp", Denied),
        ],
    );
    check(
        "everybody",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
        &[
            ("203.0.113.9 shop/db 80 tcp", Allowed),
            ("fd00:1::5 fd00:2::7 80 tcp", Denied),
        ],
    );
    check(
        "an address of the pods' range that no known pod has may be selected or not",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        &[("10.244.1.77 shop/db 80 tcp", Unknown)],
    );
}

#[test]
fn nodes_and_pods_on_their_network() {
    let deny = "{podSelector: {}, policyTypes: [Ingress, Egress]}";
    check(
        "a node always reaches its own pods",
        deny,
        &[
            ("172.31.0.2 shop/db 80 tcp", Allowed),
            ("172.31.0.1 shop/db 80 tcp", Denied),
            ("shop/agent shop/db 80 tcp", Allowed),
            ("shop/agent shop/web 80 tcp", Denied),
        ],
    );
    check(
        "whether a pod always reaches its own node, implementations differ",
        deny,
        &[
            ("shop/db 172.31.0.2 10250 tcp", Unknown),
            ("shop/db 172.31.0.1 10250 tcp", Denied),
        ],
    );
    check(
        "pods on their node's network are not subject to policies",
        deny,
        &[
            ("shop/agent 203.0.113.9 443 tcp", Allowed),
            ("203.0.113.9 shop/agent 80 tcp", Allowed),
        ],
    );
    check(
        "whether a selector means them, implementations differ",
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: agent}}}]}]}",
        &[
            ("shop/agent shop/web 80 tcp", Unknown),
            ("ops/mon shop/web 80 tcp", Denied),
        ],
    );
    check(
        "their address may be allowed",
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 172.31.0.0/24}}]}]}",
        &[("shop/agent shop/web 80 tcp", Allowed)],
    );
}

#[test]
fn a_pod_cannot_be_kept_from_itself() {
    check(
        "itself",
        "{podSelector: {}, policyTypes: [Ingress, Egress]}",
        &[("shop/db shop/db 5432 tcp", Allowed)],
    );
}

#[test]
fn both_ends_must_allow() {
    check(
        "egress of one and ingress of the other",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}
         ---
         {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{ports: [{port: 5432}]}]}",
        &[("shop/web shop/db 5432 tcp", Allowed), ("shop/web shop/db 80 tcp", Denied)],
    );
}

#[test]
fn what_policies_do_not_define() {
    check(
        "other protocols",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        &[
            ("shop/web shop/db 0 icmp", Unknown),
            ("shop/db shop/web 0 icmp", Allowed),
        ],
    );
}

#[test]
fn a_block_that_means_the_services_address_alone_is_left_open() {
    let mut inventory = world();
    inventory.policies = Known::Known(policies(
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.96.0.0/16}}]}]}",
    ));
    let service: IpAddr = "10.96.0.20".parse().unwrap();
    let mut connection = Connection {
        from: party(&inventory, "shop/web"),
        seen_as: None,
        to: party(&inventory, "shop/db"),
        protocol: "tcp",
        port: 5432,
        service: Some(service),
    };
    assert!(matches!(ruling(&inventory, &connection), Ruling::Unknown(_)));
    connection.service = None;
    assert!(matches!(ruling(&inventory, &connection), Ruling::Denied(_)));
}

#[test]
fn what_was_not_read_is_not_guessed() {
    let mut inventory = world();
    inventory.policies = Known::Missing(Missing::new("network policies", "forbidden"));
    assert_eq!(
        ask(&inventory, "shop/web shop/db 80 tcp"),
        Ruling::Unknown("network policies: forbidden".to_owned())
    );
    inventory.policies = Known::Known(policies(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
    ));
    inventory.namespaces = Known::Missing(Missing::new("namespaces", "forbidden"));
    assert!(matches!(ask(&inventory, "ops/mon shop/db 80 tcp"), Ruling::Unknown(_)));
}

#[test]
fn a_denial_says_what_would_be_let_in() {
    let mut inventory = world();
    inventory.policies = Known::Known(policies(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}
         ---
         {podSelector: {}, policyTypes: [Ingress]}
         ---
         {podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: pg}, {port: 9000, endPort: 9010}]}]}",
    ));
    let Ruling::Denied(denials) = ask(&inventory, "shop/web shop/db 80 tcp") else {
        panic!("nothing allows it");
    };
    assert_eq!(denials.len(), 1);
    assert_eq!(
        denials[0].why,
        [
            "shop/policy-0 lets in only pods with app=api of namespace shop; shop/web has app=web",
            "shop/policy-1 lets in nothing",
            "shop/policy-2 lets in only ports pg/TCP (5432), 9000-9010/TCP, not 80/TCP",
        ]
    );
}
