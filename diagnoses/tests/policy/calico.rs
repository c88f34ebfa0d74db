use super::{Allowed, Denied, Is, Unknown, denial, expect, lets_in, lets_nothing_in, with};
use diagnoses::kubernetes::policy::DenialForm;
use model::missing::Known;

fn check(what: &str, objects: &str, cases: &[(&str, Is)]) {
    // As its own API server shows them, and as they are stored.
    for version in ["projectcalico.org/v3", "crd.projectcalico.org/v1"] {
        expect(&with(version, objects), what, cases);
    }
}

const WEB_TO_DB: &str = "shop/web shop/db 80 tcp";
const MON_TO_DB: &str = "ops/mon shop/db 80 tcp";
const OUTSIDE_TO_DB: &str = "203.0.113.9 shop/db 80 tcp";

#[test]
fn what_a_policy_selects_is_closed_but_for_what_it_allows() {
    check(
        "of a namespace",
        "NetworkPolicy shop/p {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [80, '8000:8010', pg]}}]}",
        &[
            (WEB_TO_DB, Allowed),
            ("shop/web shop/db 8010 tcp", Allowed),
            ("shop/web shop/db 5432 tcp", Allowed),
            ("shop/web shop/db 81 tcp", Denied),
            ("shop/web shop/db 80 udp", Denied),
            ("shop/web shop/db 0 icmp", Denied),
            (MON_TO_DB, Denied),
            (OUTSIDE_TO_DB, Denied),
            ("shop/db ops/mon 80 tcp", Allowed),
            ("shop/db shop/db 80 tcp", Allowed),
            ("172.31.0.2 shop/db 80 tcp", Allowed),
            ("172.31.0.1 shop/db 80 tcp", Denied),
        ],
    );
    check(
        "without a selector: all of its namespace",
        "NetworkPolicy shop/p {types: [Ingress]}",
        &[(WEB_TO_DB, Denied), ("shop/db ops/mon 80 tcp", Allowed)],
    );
    check(
        "of the cluster, by namespace",
        "GlobalNetworkPolicy p {namespaceSelector: team == 'a', types: [Egress]}",
        &[(WEB_TO_DB, Denied), (MON_TO_DB, Allowed)],
    );
    check(
        "of the cluster, by namespace's name",
        "GlobalNetworkPolicy p {namespaceSelector: \"projectcalico.org/name in {'ops'}\", types: [Egress]}",
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Denied)],
    );
    check(
        "types follow from the rules, if the API gave them none",
        "NetworkPolicy shop/p {selector: all(), ingress: [{action: Allow}]}",
        &[(WEB_TO_DB, Unknown), (MON_TO_DB, Allowed)],
    );
}

#[test]
fn the_first_rule_that_fits_decides() {
    check(
        "deny one, allow the rest",
        "NetworkPolicy shop/p {selector: all(), types: [Ingress], ingress: [{action: Deny, source: {namespaceSelector: team == 'b'}}, {action: Log}, {action: Allow}]}",
        &[(MON_TO_DB, Denied), (WEB_TO_DB, Allowed), (OUTSIDE_TO_DB, Allowed)],
    );
    check(
        "logging decides nothing",
        "NetworkPolicy shop/p {selector: all(), types: [Ingress], ingress: [{action: Log}]}",
        &[(WEB_TO_DB, Denied)],
    );
    check(
        "an action that nobody knows",
        "NetworkPolicy shop/p {selector: all(), types: [Ingress], ingress: [{action: Shrug}]}",
        &[(WEB_TO_DB, Unknown)],
    );
}

#[test]
fn policies_have_an_order() {
    let two = |allow: &str, deny: &str| {
        format!(
            "NetworkPolicy shop/let {{{allow} selector: all(), types: [Ingress], ingress: [{{action: Allow}}]}}
             GlobalNetworkPolicy not {{{deny} selector: all(), types: [Ingress], ingress: [{{action: Deny}}]}}"
        )
    };
    check("allow first", &two("order: 1,", "order: 2,"), &[(WEB_TO_DB, Allowed)]);
    check("deny first", &two("order: 2,", "order: 1.5,"), &[(WEB_TO_DB, Denied)]);
    check("without an order: last", &two("order: 2,", ""), &[(WEB_TO_DB, Allowed)]);
    check("of one order", &two("order: 2,", "order: 2,"), &[(WEB_TO_DB, Unknown)]);
}

#[test]
fn tiers_have_an_order_and_pass() {
    let with_tier = |spec: &str, rules: &str| {
        format!(
            "Tier security {spec}
             GlobalNetworkPolicy security.p {{tier: security, order: 10, selector: app == 'db', types: [Ingress], ingress: [{rules}]}}
             NetworkPolicy shop/p {{selector: all(), types: [Ingress], ingress: [{{action: Allow, source: {{selector: app == 'web'}}}}]}}"
        )
    };
    let first = "{order: 100}";
    check(
        "it denies first",
        &with_tier(first, "{action: Deny, source: {selector: app == 'web'}}"),
        &[(WEB_TO_DB, Denied)],
    );
    check(
        "it allows first",
        &with_tier(first, "{action: Allow, source: {nets: [203.0.113.0/24]}}"),
        &[(OUTSIDE_TO_DB, Allowed), (WEB_TO_DB, Denied)],
    );
    check(
        "it passes",
        &with_tier(first, "{action: Pass}"),
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Denied)],
    );
    check(
        "what selects and decides nothing denies, unless the tier passes",
        &with_tier(first, ""),
        &[(WEB_TO_DB, Denied), ("shop/web ops/mon 80 tcp", Allowed)],
    );
    check(
        "its default action",
        &with_tier("{order: 100, defaultAction: Pass}", ""),
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Denied)],
    );
    check(
        "without an order it is last",
        &with_tier("{}", "{action: Deny}"),
        &[(WEB_TO_DB, Allowed)],
    );
    check(
        "a tier that was not read",
        "GlobalNetworkPolicy p {tier: other, selector: all(), types: [Ingress], ingress: [{action: Allow}]}",
        &[(WEB_TO_DB, Unknown)],
    );
}

#[test]
fn network_policies_stand_at_1000_in_the_default_tier() {
    let rule = |order: &str, action: &str| {
        format!(
            "GlobalNetworkPolicy p {{{order} selector: all(), types: [Ingress], ingress: [{{action: {action}, source: {{selector: app == 'web'}}}}]}}"
        )
    };
    let cases = [
        ("order: 900,", "Deny", Denied),
        ("order: 900,", "Allow", Allowed),
        ("order: 1100,", "Deny", Allowed),
        ("", "Deny", Allowed),
        ("order: 1000,", "Deny", Unknown),
        ("order: 1000,", "Allow", Allowed),
    ];
    for (order, action, expected) in cases {
        let mut inventory = with("projectcalico.org/v3", &rule(order, action));
        inventory.policies = Known::Known(vec![lets_in("let", Some("app=web"), None)]);
        expect(&inventory, &rule(order, action), &[(WEB_TO_DB, expected)]);
    }
    // What a NetworkPolicy does not allow goes on to those behind it, and is denied at the tier's end.
    let mut inventory = with("projectcalico.org/v3", &rule("order: 1100,", "Allow"));
    inventory.policies = Known::Known(vec![lets_nothing_in("closed")]);
    expect(
        &inventory,
        "behind it",
        &[(WEB_TO_DB, Allowed), (OUTSIDE_TO_DB, Denied)],
    );
    let (policies, form, _) = denial(&inventory, OUTSIDE_TO_DB);
    assert_eq!(policies, ["NetworkPolicy shop/closed", "GlobalNetworkPolicy /p"]);
    assert_eq!(form, DenialForm::NothingAllows);
}

#[test]
fn policies_of_admins_have_their_own_tiers() {
    let mut inventory = with(
        "projectcalico.org/v3",
        "Tier early {order: 10}
         GlobalNetworkPolicy p {tier: early, selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'web'}}, {action: Pass}]}",
    );
    let admin = super::object(
        "policy.networking.k8s.io/v1alpha2",
        "ClusterNetworkPolicy strict {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
    );
    inventory.policy_objects.objects.push(admin);
    inventory
        .policy_objects
        .groups
        .push("policy.networking.k8s.io".to_owned());
    expect(
        &inventory,
        "a tier of order 10 comes before",
        &[(WEB_TO_DB, Allowed), (MON_TO_DB, Denied)],
    );
}

#[test]
fn ends_are_named_by_nets_selectors_and_accounts() {
    let from = |entity: &str| {
        format!(
            "NetworkPolicy shop/p {{selector: all(), types: [Ingress], ingress: [{{action: Allow, source: {{{entity}}}}}]}}"
        )
    };
    check(
        "nets",
        &from("nets: [203.0.113.0/24, 10.244.1.5], notNets: [203.0.113.128/25]"),
        &[
            (OUTSIDE_TO_DB, Allowed),
            ("203.0.113.200 shop/db 80 tcp", Denied),
            (WEB_TO_DB, Allowed),
        ],
    );
    check(
        "other nets",
        &from("notNets: [203.0.113.0/24]"),
        &[(OUTSIDE_TO_DB, Denied), (WEB_TO_DB, Allowed)],
    );
    check(
        "not a selector: in a namespace's policy only of that namespace",
        &from("notSelector: app == 'web'"),
        &[
            (WEB_TO_DB, Denied),
            (MON_TO_DB, Denied),
            ("shop/agent shop/web 80 tcp", Denied),
        ],
    );
    check(
        "a selector and other namespaces",
        &from("selector: app == 'mon', namespaceSelector: all()"),
        &[(MON_TO_DB, Allowed), (WEB_TO_DB, Denied), (OUTSIDE_TO_DB, Denied)],
    );
    check(
        "global() means no pods",
        &from("namespaceSelector: global()"),
        &[(MON_TO_DB, Denied), (WEB_TO_DB, Denied)],
    );
    check(
        "service accounts by name, known and not",
        &from("serviceAccounts: {names: [web]}"),
        &[(WEB_TO_DB, Allowed), ("shop/db shop/web 80 tcp", Unknown)],
    );
    check(
        "and by their labels, which nobody read",
        &from("serviceAccounts: {selector: role == 'x'}"),
        &[(WEB_TO_DB, Unknown), (MON_TO_DB, Denied)],
    );
    check(
        "services are not evaluated",
        &from("services: {name: web}"),
        &[(WEB_TO_DB, Unknown)],
    );
    check(
        "an address of pods that nobody named",
        &from("selector: app == 'x'"),
        &[("10.244.1.77 shop/db 80 tcp", Unknown)],
    );
    check(
        "a selector that is none",
        &from("selector: app = 'x'"),
        &[(WEB_TO_DB, Unknown)],
    );
    check(
        "a policy about a selector that is none",
        "NetworkPolicy shop/p {selector: app = 'db', types: [Ingress]}",
        &[(WEB_TO_DB, Unknown)],
    );
}

#[test]
fn selectors_mean_sets_of_addresses_too() {
    check(
        "of the cluster",
        "GlobalNetworkSet partners {labels_of_the_object: 'role=partner', nets: [203.0.113.0/24]}
         NetworkSet ops/others {labels_of_the_object: 'role=partner', nets: [198.51.100.0/24]}
         GlobalNetworkPolicy p {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: {selector: role == 'partner'}}]}",
        &[
            (OUTSIDE_TO_DB, Allowed),
            ("198.51.100.1 shop/db 80 tcp", Allowed),
            ("192.0.2.1 shop/db 80 tcp", Denied),
        ],
    );
    check(
        "of a namespace",
        "NetworkSet ops/others {labels_of_the_object: 'role=partner', nets: [198.51.100.0/24]}
         NetworkPolicy shop/p {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: {selector: role == 'partner'}}]}",
        &[("198.51.100.1 shop/db 80 tcp", Denied)],
    );
    check(
        "global()",
        "GlobalNetworkSet partners {labels_of_the_object: 'role=partner', nets: [203.0.113.0/24]}
         NetworkPolicy shop/p {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: {selector: role == 'partner', namespaceSelector: global()}}]}",
        &[(OUTSIDE_TO_DB, Allowed)],
    );
}

#[test]
fn protocols_and_messages() {
    let rule = |rule: &str| {
        format!("NetworkPolicy shop/p {{selector: all(), types: [Ingress], ingress: [{{action: Allow, {rule}}}]}}")
    };
    let cases = [
        ("protocol: UDP", [Denied, Allowed, Denied]),
        ("protocol: 6", [Allowed, Denied, Denied]),
        ("notProtocol: TCP", [Denied, Allowed, Allowed]),
        ("protocol: ICMP", [Denied, Denied, Allowed]),
        ("protocol: ICMP, icmp: {type: 8}", [Denied, Denied, Allowed]),
        ("protocol: ICMP, icmp: {type: 3}", [Denied, Denied, Denied]),
        ("protocol: ICMP, notICMP: {type: 8}", [Denied, Denied, Denied]),
        ("ipVersion: 6", [Denied, Denied, Denied]),
        ("ipVersion: 4", [Allowed, Allowed, Allowed]),
        ("destination: {notPorts: [80]}, protocol: TCP", [Denied, Denied, Denied]),
        ("source: {ports: [1024]}, protocol: TCP", [Unknown, Denied, Denied]),
        ("http: {methods: [GET]}", [Unknown, Unknown, Unknown]),
        ("weather: fair", [Unknown, Unknown, Unknown]),
    ];
    for (text, expected) in cases {
        let connections = [WEB_TO_DB, "shop/web shop/db 80 udp", "shop/web shop/db 0 icmp"];
        let cases: Vec<(&str, Is)> = connections.into_iter().zip(expected).collect();
        check(text, &rule(text), &cases);
    }
}

#[test]
fn host_endpoints_are_not_evaluated() {
    let forward = "GlobalNetworkPolicy p {selector: has(node), applyOnForward: true, types: [Ingress], ingress: []}";
    check("none is there", forward, &[(WEB_TO_DB, Allowed)]);
    let with_endpoint = format!("{forward}\n HostEndpoint n1-eth0 {{node: n1}}");
    check("one is", &with_endpoint, &[(WEB_TO_DB, Unknown)]);
    check(
        "before the translation: only for those",
        "GlobalNetworkPolicy p {selector: all(), applyOnForward: true, preDNAT: true, types: [Ingress], ingress: [{action: Deny}]}",
        &[(WEB_TO_DB, Allowed)],
    );
}

#[test]
fn a_denial_names_policy_tier_order_and_rule() {
    let inventory = with(
        "projectcalico.org/v3",
        "Tier security {order: 100}
         GlobalNetworkPolicy security.p {tier: security, order: 10, selector: all(), types: [Ingress], ingress: [{action: Pass, source: {selector: app == 'web'}}, {action: Deny}]}",
    );
    let (policies, form, why) = denial(&inventory, MON_TO_DB);
    assert_eq!(policies, ["GlobalNetworkPolicy /security.p"]);
    assert_eq!(form, DenialForm::Rule { first: true });
    assert_eq!(
        why,
        ["GlobalNetworkPolicy security.p, tier security, order 10: rule 2 of Ingress denies it"]
    );
    let inventory = with(
        "projectcalico.org/v3",
        "NetworkPolicy shop/p {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'api'}}]}",
    );
    let (_, form, why) = denial(&inventory, WEB_TO_DB);
    assert_eq!(form, DenialForm::NothingAllows);
    assert_eq!(
        why,
        ["NetworkPolicy shop/p: no rule of Ingress fits, and tier default denies what none of its rules decides"]
    );
}
