use super::{Allowed, Denied, Is, Unknown, denial, expect, lets_in, lets_nothing_in, with};
use diagnoses::kubernetes::policy::DenialForm;
use model::inventory::{IpBlock, PolicyPeer};
use model::missing::Known;

fn check(what: &str, objects: &str, cases: &[(&str, Is)]) {
    expect(&with("cilium.io/v2", objects), what, cases);
}

const WEB_TO_DB: &str = "shop/web shop/db 80 tcp";
const MON_TO_DB: &str = "ops/mon shop/db 80 tcp";
const OUTSIDE_TO_DB: &str = "203.0.113.9 shop/db 80 tcp";

#[test]
fn a_rule_closes_what_it_selects_in_its_direction() {
    check(
        "ingress of app=db",
        "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}",
        &[
            (WEB_TO_DB, Allowed),
            (MON_TO_DB, Denied),
            (OUTSIDE_TO_DB, Denied),
            ("shop/db ops/mon 80 tcp", Allowed),
            ("shop/db shop/db 80 tcp", Allowed),
            ("shop/web shop/db 0 icmp", Allowed),
            ("ops/mon shop/db 0 icmp", Denied),
            // A node reaches its own pods.
            ("172.31.0.2 shop/db 80 tcp", Allowed),
            ("172.31.0.1 shop/db 80 tcp", Denied),
        ],
    );
    check(
        "an empty rule closes and allows nothing",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{}]}",
        &[(WEB_TO_DB, Denied), ("shop/db ops/mon 80 tcp", Allowed)],
    );
    check(
        "no rules close nothing",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [], egress: [{toEntities: [all]}]}",
        &[(WEB_TO_DB, Allowed)],
    );
    check(
        "it says itself that it does not close",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEndpoints: [{matchLabels: {app: mon}}]}]}",
        &[(WEB_TO_DB, Allowed)],
    );
    check(
        "of another namespace",
        "CiliumNetworkPolicy ops/p {endpointSelector: {}, ingress: [{}]}",
        &[(WEB_TO_DB, Allowed)],
    );
    check(
        "rules for nodes are about no pods",
        "CiliumClusterwideNetworkPolicy p {nodeSelector: {}, ingress: [{}]}",
        &[(WEB_TO_DB, Allowed)],
    );
}

#[test]
fn peers_are_of_the_policys_namespace_unless_they_say_otherwise() {
    check(
        "any endpoint of the namespace",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}",
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Denied), (OUTSIDE_TO_DB, Denied)],
    );
    check(
        "no endpoint",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: []}]}",
        &[(WEB_TO_DB, Denied)],
    );
    check(
        "a namespace by name",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': ops, 'k8s:app': mon}}]}]}",
        &[(MON_TO_DB, Allowed), (WEB_TO_DB, Denied)],
    );
    check(
        "namespaces by label",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: b}}]}]}",
        &[(MON_TO_DB, Allowed), (WEB_TO_DB, Denied)],
    );
    check(
        "of the cluster: any endpoint, and nobody else",
        "CiliumClusterwideNetworkPolicy p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{}]}]}",
        &[
            (MON_TO_DB, Allowed),
            (OUTSIDE_TO_DB, Denied),
            ("shop/agent shop/web 80 tcp", Allowed),
            ("10.244.1.77 shop/db 80 tcp", Unknown),
        ],
    );
    check(
        "expressions",
        "CiliumClusterwideNetworkPolicy p {endpointSelector: {matchExpressions: [{key: 'io.kubernetes.pod.namespace', operator: NotIn, values: [ops]}, {key: tier, operator: Exists}]}, ingress: [{}]}",
        &[
            (WEB_TO_DB, Denied),
            ("shop/db shop/web 80 tcp", Allowed),
            ("shop/db ops/mon 80 tcp", Allowed),
        ],
    );
    check(
        "a service account that is known, and one that is not",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: web}}]}]}",
        &[(WEB_TO_DB, Allowed), ("shop/db shop/web 80 tcp", Unknown)],
    );
    check(
        "labels that Cilium passes over unless it is told otherwise",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {topology.kubernetes.io/zone: a}}]}]}",
        &[(WEB_TO_DB, Unknown)],
    );
}

#[test]
fn ports_belong_to_their_protocol() {
    check(
        "numbers, ranges, names",
        "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '80', protocol: TCP}, {port: '8000', endPort: 8010, protocol: UDP}, {port: pg}]}]}]}",
        &[
            (WEB_TO_DB, Allowed),
            ("shop/web shop/db 80 udp", Denied),
            ("shop/web shop/db 8010 udp", Allowed),
            ("shop/web shop/db 8010 tcp", Denied),
            ("shop/web shop/db 5432 tcp", Allowed),
            ("shop/web shop/db 0 icmp", Denied),
        ],
    );
    check(
        "ports alone mean any peer",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80', protocol: ANY}]}]}]}",
        &[(OUTSIDE_TO_DB, Allowed), ("203.0.113.9 shop/db 81 tcp", Denied)],
    );
    check(
        "port 0 means all",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '0', protocol: TCP}]}]}]}",
        &[(WEB_TO_DB, Allowed), ("shop/web shop/db 80 udp", Denied)],
    );
    check(
        "echoes",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}], icmps: [{fields: [{family: IPv4, type: 8}]}]}]}",
        &[("shop/web shop/db 0 icmp", Allowed), (WEB_TO_DB, Denied)],
    );
}

#[test]
fn addresses_mean_what_is_outside() {
    check(
        "with exceptions",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, egress: [{toCIDRSet: [{cidr: 0.0.0.0/0, except: [203.0.113.0/24]}]}]}",
        &[
            ("shop/web 198.51.100.1 443 tcp", Allowed),
            ("shop/web 203.0.113.9 443 tcp", Denied),
            // Pods are never meant by an address; nodes are where it is so configured.
            (WEB_TO_DB, Denied),
            ("shop/web 172.31.0.2 443 tcp", Unknown),
        ],
    );
    check(
        "bare addresses",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, egress: [{toCIDR: [203.0.113.9]}]}",
        &[
            ("shop/web 203.0.113.9 443 tcp", Allowed),
            ("shop/web 203.0.113.8 443 tcp", Denied),
        ],
    );
    check(
        "groups of addresses are not evaluated",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupRef: partners}]}]}",
        &[("shop/web 203.0.113.9 443 tcp", Unknown), (WEB_TO_DB, Denied)],
    );
}

#[test]
fn entities() {
    let of = |entity: &str| {
        format!("CiliumNetworkPolicy shop/p {{endpointSelector: {{}}, egress: [{{toEntities: [{entity}]}}]}}")
    };
    let cases = [
        ("all", [Allowed, Allowed, Allowed, Allowed]),
        ("world", [Denied, Denied, Denied, Allowed]),
        ("world-ipv6", [Denied, Denied, Denied, Denied]),
        ("cluster", [Allowed, Allowed, Allowed, Denied]),
        ("host", [Denied, Allowed, Denied, Denied]),
        ("remote-node", [Denied, Denied, Allowed, Denied]),
        ("kube-apiserver", [Denied, Unknown, Unknown, Unknown]),
        ("none", [Denied, Denied, Denied, Denied]),
    ];
    let to = ["shop/db", "172.31.0.1", "172.31.0.2", "203.0.113.9"];
    for (entity, expected) in cases {
        for (to, expected) in to.into_iter().zip(expected) {
            check(entity, &of(entity), &[(&format!("shop/web {to} 443 tcp"), expected)]);
        }
    }
    check(
        "as a label",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {'reserved:world': ''}}]}]}",
        &[("shop/web 203.0.113.9 443 tcp", Allowed), (WEB_TO_DB, Denied)],
    );
}

#[test]
fn a_denial_comes_before_all_that_allows() {
    check(
        "all but one",
        "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]}",
        &[(WEB_TO_DB, Denied), (MON_TO_DB, Allowed)],
    );
    check(
        "of another policy, on a port",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEntities: [all]}]}
         CiliumClusterwideNetworkPolicy q {endpointSelector: {}, ingressDeny: [{fromEntities: [world], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}",
        &[(OUTSIDE_TO_DB, Denied), ("203.0.113.9 shop/db 81 tcp", Allowed), (WEB_TO_DB, Allowed)],
    );
    check(
        "a denial alone closes the pod too",
        "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: mon}}]}]}",
        &[(WEB_TO_DB, Denied)],
    );
}

#[test]
fn it_adds_up_with_network_policies() {
    let let_mon = "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: ops}}]}]}";
    let mut inventory = with("cilium.io/v2", let_mon);
    inventory.policies = Known::Known(vec![lets_in("web", Some("app=web"), Some(80))]);
    expect(
        &inventory,
        "either allows",
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Allowed), (OUTSIDE_TO_DB, Denied)],
    );
    let (policies, form, _) = denial(&inventory, OUTSIDE_TO_DB);
    assert_eq!(policies, ["NetworkPolicy shop/web", "CiliumNetworkPolicy shop/p"]);
    assert_eq!(form, DenialForm::NothingAllows);

    let not_web = "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]}";
    let mut inventory = with("cilium.io/v2", not_web);
    inventory.policies = Known::Known(vec![lets_in("all", None, None)]);
    expect(
        &inventory,
        "a denial before it",
        &[(WEB_TO_DB, Denied), (MON_TO_DB, Allowed)],
    );
    inventory.policies = Known::Known(vec![lets_nothing_in("closed")]);
    expect(&inventory, "closed by it alone", &[(MON_TO_DB, Denied)]);
}

#[test]
fn in_a_network_policy_addresses_mean_no_pods_to_cilium() {
    let mut by_address = lets_in("pods", Some("app=none"), None);
    by_address.ingress[0].peers = vec![PolicyPeer {
        ip_block: Some(IpBlock {
            cidr: "0.0.0.0/0".to_owned(),
            except: vec![],
        }),
        ..PolicyPeer::default()
    }];
    let mut inventory = with("cilium.io/v2", "");
    inventory.policies = Known::Known(vec![by_address]);
    expect(
        &inventory,
        "0.0.0.0/0",
        &[
            (WEB_TO_DB, Denied),
            (OUTSIDE_TO_DB, Allowed),
            ("172.31.0.1 shop/db 80 tcp", Unknown),
        ],
    );
    inventory.policy_objects.groups.clear();
    expect(&inventory, "elsewhere they do", &[(WEB_TO_DB, Allowed)]);
}

#[test]
fn what_is_not_evaluated_is_unknown_only_where_it_matters() {
    let http = "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]}";
    check(
        "layer 7",
        http,
        &[(WEB_TO_DB, Unknown), ("shop/web shop/db 81 tcp", Denied)],
    );
    let names = "CiliumNetworkPolicy shop/p {endpointSelector: {}, egress: [{toFQDNs: [{matchName: example.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}, {toEndpoints: [{matchLabels: {app: db}}]}]}";
    check(
        "names",
        names,
        &[
            ("shop/web 203.0.113.9 443 tcp", Unknown),
            ("shop/web 203.0.113.9 80 tcp", Denied),
            (WEB_TO_DB, Allowed),
            ("shop/web ops/mon 443 tcp", Denied),
        ],
    );
    let odd = [
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}], authentication: {mode: required}}]}",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}], fromWeather: [fair]}]}",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, weather: fair, ingress: [{fromEndpoints: [{}]}]}",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{}], fromEntities: [world]}]}",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: [app]}]}]}",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: everything}",
        "CiliumNetworkPolicy shop/p {ingress: [{fromEndpoints: [{}]}], weather: [1]}",
    ];
    for policy in odd {
        check(policy, policy, &[(WEB_TO_DB, Unknown)]);
    }
    // Where it is allowed or denied whatever the rest says, the rest does not matter.
    check(
        "another rule allows it",
        "CiliumNetworkPolicy shop/p {endpointSelector: {}, ingress: [{fromWeather: [fair]}, {fromEndpoints: [{}]}]}",
        &[(WEB_TO_DB, Allowed)],
    );
}

#[test]
fn a_policy_may_have_several_specs() {
    let mut inventory = with("cilium.io/v2", "CiliumNetworkPolicy shop/p ~");
    inventory.policy_objects.objects[0].specs = vec![
        serde_yaml::from_str("{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}")
            .unwrap(),
        serde_yaml::from_str("{endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {app: db}}]}]}").unwrap(),
    ];
    expect(
        &inventory,
        "one for each direction",
        &[(WEB_TO_DB, Allowed), ("shop/db shop/web 80 tcp", Denied)],
    );
}

#[test]
fn a_denial_says_what_would_be_let_in_or_which_rule_denies() {
    let inventory = with(
        "cilium.io/v2",
        "CiliumNetworkPolicy shop/p {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}, {fromEndpoints: [{}], toPorts: [{ports: [{port: '5432', protocol: TCP}]}]}]}",
    );
    let (policies, form, why) = denial(&inventory, WEB_TO_DB);
    assert_eq!(policies, ["CiliumNetworkPolicy shop/p"]);
    assert_eq!(form, DenialForm::NothingAllows);
    assert_eq!(
        why,
        [
            "CiliumNetworkPolicy shop/p lets in only endpoints with app=api; shop/web has app=web; and only ports 5432/TCP, not 80/TCP"
        ]
    );
    let inventory = with(
        "cilium.io/v2",
        "CiliumClusterwideNetworkPolicy q {endpointSelector: {}, ingressDeny: [{fromEntities: [world]}]}",
    );
    let (policies, form, why) = denial(&inventory, OUTSIDE_TO_DB);
    assert_eq!(policies, ["CiliumClusterwideNetworkPolicy /q"]);
    assert_eq!(form, DenialForm::Rule { first: false });
    assert_eq!(
        why,
        ["CiliumClusterwideNetworkPolicy q: rule 1 of ingressDeny denies it"]
    );
}
