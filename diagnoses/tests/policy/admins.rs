use super::{Allowed, Denied, Is, Unknown, denial, expect, lets_in, lets_nothing_in, with};
use diagnoses::kubernetes::policy::DenialForm;
use model::missing::Known;

fn first(what: &str, objects: &str, cases: &[(&str, Is)]) {
    expect(&with("policy.networking.k8s.io/v1alpha1", objects), what, cases);
}

fn second(what: &str, objects: &str, cases: &[(&str, Is)]) {
    expect(&with("policy.networking.k8s.io/v1alpha2", objects), what, cases);
}

const WEB_TO_DB: &str = "shop/web shop/db 80 tcp";

#[test]
fn the_first_rule_that_fits_decides() {
    first(
        "deny one, allow the rest",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}, {action: Allow, from: [{namespaces: {}}]}]}",
        &[("ops/mon shop/db 80 tcp", Denied), (WEB_TO_DB, Allowed)],
    );
    first(
        "allow comes before deny",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}",
        &[("ops/mon shop/db 80 tcp", Allowed)],
    );
    first(
        "no rule of a direction says nothing of it",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, egress: []}",
        &[(WEB_TO_DB, Allowed)],
    );
}

#[test]
fn the_lowest_priority_comes_first() {
    let two = |allow: u16, deny: u16| {
        format!(
            "AdminNetworkPolicy let {{priority: {allow}, subject: {{namespaces: {{}}}}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}]}}]}}
             AdminNetworkPolicy not {{priority: {deny}, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}"
        )
    };
    first("allow first", &two(5, 50), &[(WEB_TO_DB, Allowed)]);
    first("deny first", &two(50, 5), &[(WEB_TO_DB, Denied)]);
    first("neither", &two(5, 5), &[(WEB_TO_DB, Unknown)]);
}

#[test]
fn subjects_and_peers_are_pods_of_namespaces_and_none_of_nodes() {
    first(
        "by the labels of pods and of namespaces",
        "AdminNetworkPolicy a {priority: 10, subject: {pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: db}}}}, ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: In, values: [web, mon]}]}}}]}]}",
        &[
            (WEB_TO_DB, Denied),
            ("ops/mon shop/db 80 tcp", Denied),
            ("shop/db shop/web 80 tcp", Allowed),
            ("shop/agent shop/web 80 tcp", Allowed),
            // Pods on their node's network are no peers, and neither is an address outside.
            ("172.31.0.1 shop/db 80 tcp", Allowed),
            ("203.0.113.9 shop/db 80 tcp", Allowed),
            // Somebody has this address.
            ("10.244.1.77 shop/db 80 tcp", Unknown),
        ],
    );
}

#[test]
fn ports_are_numbers_ranges_and_names() {
    first(
        "v1alpha1",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}, {portRange: {start: 8000, end: 8010}}, {namedPort: pg}]}]}",
        &[
            (WEB_TO_DB, Denied),
            ("shop/web shop/db 80 udp", Allowed),
            ("shop/web shop/db 8010 tcp", Denied),
            ("shop/web shop/db 8011 tcp", Allowed),
            ("shop/web shop/db 5432 tcp", Denied),
            ("shop/db shop/web 5432 tcp", Allowed),
            ("shop/web shop/db 0 icmp", Allowed),
        ],
    );
    second(
        "v1alpha2",
        "ClusterNetworkPolicy a {tier: Admin, priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {tcp: {destinationPort: {range: {start: 8000, end: 8010}}}}, {udp: {}}, {destinationNamedPort: pg}]}]}",
        &[
            (WEB_TO_DB, Denied),
            ("shop/web shop/db 8005 tcp", Denied),
            ("shop/web shop/db 81 tcp", Allowed),
            ("shop/web shop/db 53 udp", Denied),
            ("shop/web shop/db 5432 tcp", Denied),
        ],
    );
    first(
        "what a rule without ports means for an echo, nobody says",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
        &[("shop/web shop/db 0 icmp", Unknown)],
    );
}

#[test]
fn egress_may_name_addresses_and_nodes() {
    second(
        "addresses mean pods too",
        "ClusterNetworkPolicy a {tier: Admin, priority: 10, subject: {namespaces: {}}, egress: [{action: Pass, to: [{namespaces: {}}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        &[(WEB_TO_DB, Allowed), ("shop/web 203.0.113.9 443 tcp", Denied)],
    );
    second(
        "without the first rule",
        "ClusterNetworkPolicy a {tier: Admin, priority: 10, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        &[(WEB_TO_DB, Denied)],
    );
    first(
        "all nodes, and nodes by labels that nobody read",
        "AdminNetworkPolicy a {priority: 10, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}, egress: [{action: Deny, to: [{nodes: {}}]}]}
         AdminNetworkPolicy b {priority: 20, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: mon}}}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {role: edge}}}]}]}",
        &[
            ("shop/web 172.31.0.2 22 tcp", Denied),
            ("ops/mon 172.31.0.2 22 tcp", Unknown),
            ("ops/mon shop/db 22 tcp", Allowed),
        ],
    );
    first(
        "names are not evaluated",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, egress: [{action: Allow, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        &[("shop/web 203.0.113.9 443 tcp", Unknown)],
    );
}

#[test]
fn admins_come_before_network_policies_and_the_baseline_behind_them() {
    let baseline = "BaselineAdminNetworkPolicy default {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}";
    let mut inventory = with("policy.networking.k8s.io/v1alpha1", baseline);
    expect(&inventory, "nothing else", &[(WEB_TO_DB, Denied)]);
    inventory.policies = Known::Known(vec![lets_in("let", Some("app=web"), None)]);
    // Where a NetworkPolicy selects the pod, it has the last word. That the baseline is heeded at all, nobody needs to know here.
    expect(
        &inventory,
        "NetworkPolicy",
        &[(WEB_TO_DB, Allowed), ("ops/mon shop/db 80 tcp", Denied)],
    );

    let tier = |action: &str| {
        format!(
            "ClusterNetworkPolicy a {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]}}
             ClusterNetworkPolicy b {{tier: Admin, priority: 2, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}
             ClusterNetworkPolicy c {{tier: Baseline, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {{matchLabels: {{team: b}}}}}}]}}]}}"
        )
    };
    second("an admin denies", &tier("Deny"), &[(WEB_TO_DB, Denied)]);
    second(
        "an admin passes: the second policy is skipped, the baseline is not",
        &tier("Pass"),
        &[(WEB_TO_DB, Allowed), ("ops/mon shop/db 80 tcp", Denied)],
    );
    let mut inventory = with("policy.networking.k8s.io/v1alpha2", &tier("Accept"));
    expect(&inventory, "an admin accepts", &[(WEB_TO_DB, Allowed)]);
    inventory.policies = Known::Known(vec![lets_nothing_in("closed")]);
    // A plug-in that does not know the kind denies it all the same.
    expect(&inventory, "against a NetworkPolicy", &[(WEB_TO_DB, Unknown)]);
    inventory.policies = Known::Known(vec![]);
    for group in ["cilium.io", "projectcalico.org"] {
        let mut inventory = with("policy.networking.k8s.io/v1alpha2", &tier("Deny"));
        inventory.policy_objects.groups.push(group.to_owned());
        let expected = if group == "cilium.io" { Unknown } else { Denied };
        expect(&inventory, group, &[(WEB_TO_DB, expected)]);
    }
}

#[test]
fn what_is_written_in_another_way_is_unknown() {
    let odd = [
        "AdminNetworkPolicy a {priority: 10, subject: {services: {}}, ingress: []}",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{}]}]}",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Shrug, from: [{namespaces: {}}]}]}",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], weather: fair}]}",
        "AdminNetworkPolicy a {priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 99999}}]}]}",
    ];
    for policy in odd {
        first(policy, policy, &[(WEB_TO_DB, Unknown)]);
    }
}

#[test]
fn a_denial_names_the_policy_and_the_rule() {
    let inventory = with(
        "policy.networking.k8s.io/v1alpha1",
        "AdminNetworkPolicy strict {priority: 7, subject: {namespaces: {}}, ingress: [{name: no-mon, action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}",
    );
    let (policies, form, why) = denial(&inventory, "ops/mon shop/db 80 tcp");
    assert_eq!(policies, ["AdminNetworkPolicy /strict"]);
    assert_eq!(form, DenialForm::Rule { first: true });
    assert_eq!(
        why,
        ["AdminNetworkPolicy strict, priority 7: rule 1 (no-mon) of Ingress denies it"]
    );
}
