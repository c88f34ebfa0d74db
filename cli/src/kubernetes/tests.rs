//! From names to both ends, against an API server that answers well, badly, or not at all.

use super::capture_scope::ScopeRequest;
use super::fake_server::{FakeAnswer, FakeServer};
use super::list::MOST;
use super::new_pods::NewPods;
use super::refusal::RefusalKind;
use super::resolved_ends::{EndsQuery, ResolvedEnds, resolve};
use crate::exit::{self, Exit};
use crate::inquiry::attempt_plan::Protocol;
use crate::inquiry::named_end::{Grammar, NamedEnd};
use crate::inquiry::question::Via;
use model::endpoint::EndpointKind;
use model::evidence::Intent;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/shop/pods";
const SERVICES: &str = "/api/v1/namespaces/shop/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies";

fn pod(name: &str, node: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn node(name: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": "10.200.0.11"}],
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "kernelVersion": "6.8", "bootID": "b",
                "machineID": "", "systemUUID": "", "osImage": "", "containerRuntimeVersion": "", "kubeletVersion": "",
                "kubeProxyVersion": ""}},
    })
}

fn lease(name: &str, renewed: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"renewTime": renewed}})
}

/// Pods `a` on n1 and `b` on n2, and service `web` in front of `b`.
fn shop() -> FakeServer {
    let (a, b) = (pod("a", "n1", "10.244.1.2"), pod("b", "n2", "10.244.2.2"));
    let mut fake = FakeServer::default()
        .object("/apis", json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}))
        .object(&format!("{PODS}/a"), a.clone())
        .object(&format!("{PODS}/b"), b.clone())
        .list(&format!("{PODS}?"), &json!([a, b]))
        .list("/api/v1/pods?&fieldSelector=spec.nodeName%3Dn1", &json!([a]))
        .list("/api/v1/pods?&fieldSelector=spec.nodeName%3Dn2", &json!([b]))
        .list("/api/v1/pods?&fieldSelector=status.podIP", &json!([]))
        .list(&format!("{SERVICES}?"), &json!([{"metadata": {"name": "web", "namespace": "shop"}}]))
        .list("/api/v1/services?", &json!([]))
        .list(&format!("{SLICES}?"), &json!([]))
        .list(&format!("{SLICES}?&labelSelector=kubernetes.io%2Fservice-name%3Dweb"), &json!([{
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.244.2.2"], "conditions": {"ready": true}, "nodeName": "n2",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "b"}}],
        }]))
        .object(&format!("{SERVICES}/web"), json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "type": "ClusterIP", "selector": {"app": "b"},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]},
        }))
        .list(POLICIES, &json!([]))
        .object("/api/v1/namespaces/shop", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
        .list("/api/v1/namespaces?", &json!([{"metadata": {"name": "shop"}}, {"metadata": {"name": "default"}}]));
    for name in ["n1", "n2"] {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
        fake = fake
            .object(&format!("/api/v1/nodes/{name}"), node(name, "True"))
            .object(&path, lease(name, "2026-11-23T08:00:15.000000Z"));
    }
    fake
}

async fn ask(
    fake: &FakeServer,
    intent: Option<Intent>,
    source: &str,
    destination: &str,
) -> anyhow::Result<ResolvedEnds> {
    ask_via(fake, intent, source, destination, Via::ClusterIp).await
}

async fn ask_via(
    fake: &FakeServer,
    intent: Option<Intent>,
    source: &str,
    destination: &str,
    via: Via,
) -> anyhow::Result<ResolvedEnds> {
    let target = |text| Grammar::Cluster.destination(text).unwrap();
    let (source, destination): (NamedEnd, NamedEnd) = (target(source), target(destination));
    let asked = EndsQuery {
        intent,
        source: &source,
        destination: &destination,
        protocol: None,
        via,
        api_only: false,
    };
    resolve(&fake.cluster(), &asked).await
}

#[tokio::test]
async fn two_pods_cost_few_calls_and_none_that_lists_all_pods() {
    let fake = shop();
    let ResolvedEnds {
        ends, intent, protocol, ..
    } = ask(&fake, None, "a", "b:http").await.unwrap();
    assert_eq!((intent, protocol), (Intent::PodToPod, Protocol::Tcp));
    assert_eq!((ends.source.name.as_str(), ends.source.node.as_str()), ("shop/a", "n1"));
    assert_eq!(
        (ends.destination.port, ends.destination.port_name.as_deref()),
        (Some(8080), Some("http"))
    );
    assert_eq!(ends.nodes, ["n1", "n2"]);
    let inventory = ends.inventory.get().unwrap();
    assert_eq!(inventory.node("n1").unwrap().lease_age_s, Some(5));
    assert!(inventory.read_at_s.is_some(), "by the API server's clock");
    assert_eq!(inventory.pods.len(), 2);
    assert!(inventory.missing.is_empty(), "{:?}", inventory.missing);
    let asked = fake.asked();
    assert!(asked.len() <= 4 + 3 * 2, "{asked:#?}");
    let lists: Vec<_> = asked.iter().filter(|path| path.starts_with("/api/v1/pods")).collect();
    assert!(lists.iter().all(|path| path.contains("spec.nodeName")), "{lists:?}");
}

#[tokio::test]
async fn a_bare_name_is_a_pod_else_a_service() {
    let fake = shop();
    let ResolvedEnds {
        ends, intent, notes, ..
    } = ask(&fake, None, "a", "web").await.unwrap();
    assert_eq!(intent, Intent::PodToService);
    assert!(notes.iter().any(|note| note.contains("pod-to-service")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("80/tcp")), "{notes:?}");
    assert_eq!(
        (ends.destination.kind, ends.destination.port),
        (EndpointKind::Service, Some(80))
    );
    assert_eq!(ends.destination.addresses[0].to_string(), "10.96.0.7");
    let [backend] = &ends.backends[..] else {
        panic!("{:?}", ends.backends)
    };
    assert_eq!(
        (backend.name.as_str(), backend.port, backend.node.as_str()),
        ("shop/b", Some(8080), "n2")
    );
    assert_eq!(backend.kind, EndpointKind::Pod);
    assert_eq!(ends.nodes, ["n1", "n2"], "the nodes behind the service are looked at");
}

#[tokio::test]
async fn a_name_that_matches_nothing_ends_with_near_names_and_the_exit_code_of_a_wrong_use() {
    for (source, destination, says) in [
        ("aa", "b:80", "did you mean `a`"),
        ("a", "wbe:80", "did you mean `web`"),
        ("a", "shpo/b:80", "did you mean `shop`"),
        ("a", "deploy/b:80", "no Deployment `b`"),
        ("a", "b:htpp", "http 8080/tcp"),
        ("node/n3", "b:80", "no node `n3`"),
    ] {
        let error = ask(&shop(), None, source, destination).await.unwrap_err();
        assert_eq!(exit::of(&error), Exit::Usage, "{error}");
        assert!(error.is::<exit::NotThere>(), "no help knows more of it: {error}");
        assert!(error.to_string().contains(says), "{source} {destination}: {error}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_answer_with_those_that_are() {
    let ResolvedEnds { ends, .. } = ask(&shop(), Some(Intent::PodToService), "a", "wbe:80").await.unwrap();
    assert_eq!(ends.destination.object.as_ref().unwrap().name, "wbe");
    assert!(ends.nodes.is_empty() && ends.destination.addresses.is_empty());
    assert_eq!(ends.inventory.get().unwrap().services[0].name, "web");
}

#[tokio::test]
async fn a_pod_that_does_not_run_is_evidence_and_nothing_is_sent() {
    let mut pending = pod("b", "", "10.244.2.2");
    pending["status"] = json!({"phase": "Pending"});
    let mut done = pod("b", "n2", "10.244.2.2");
    done["status"]["phase"] = json!("Succeeded");
    for b in [pending, done] {
        let fake = shop().object(&format!("{PODS}/b"), b);
        let ResolvedEnds { ends, .. } = ask(&fake, Some(Intent::PodToPod), "a", "b:80").await.unwrap();
        assert!(ends.nodes.is_empty() && ends.destination.addresses.is_empty());
        assert!(ends.inventory.get().unwrap().pod("shop", "b").is_some());
    }
}

#[tokio::test]
async fn events_are_read_of_an_end_that_is_not_ready_and_of_no_other() {
    let mut pending = pod("b", "n2", "10.244.2.2");
    pending["status"] = json!({"phase": "Pending"});
    let warning = |reason: &str, last: &str, says: &str| {
        json!({"metadata": {}, "involvedObject": {}, "type": "Warning", "reason": reason, "message": says,
            "lastTimestamp": last, "source": {"component": "kubelet"}})
    };
    let fake = shop().object(&format!("{PODS}/b"), pending).list(
        "/api/v1/namespaces/shop/events?&fieldSelector=involvedObject.uid%3Duid-b%2Ctype%3DWarning",
        &json!([
            warning("FailedMount", "2026-11-23T07:59:00Z", "once"),
            warning("FailedMount", "2026-11-23T08:00:10Z", "secret \"keys\" not found"),
            warning("Slow", "2026-11-23T07:58:00Z", "earlier"),
        ]),
    );
    let ResolvedEnds { ends, .. } = ask(&fake, Some(Intent::PodToPod), "a", "b:80").await.unwrap();
    let inventory = ends.inventory.get().unwrap();
    let told = |name: &str| -> Vec<(String, String)> {
        let warnings = inventory.pod("shop", name).unwrap().warnings.iter();
        warnings
            .map(|warning| (warning.reason.clone(), warning.message.clone()))
            .collect()
    };
    let (mount, slow) = (
        ("FailedMount".to_owned(), "secret \"keys\" not found".to_owned()),
        ("Slow".to_owned(), "earlier".to_owned()),
    );
    assert_eq!(told("b"), [mount, slow], "the newest first, each reason once");
    assert_eq!(told("a"), []);
    let about_events = fake.asked().iter().filter(|asked| asked.contains("/events?")).count();
    assert_eq!(about_events, 1, "{:?}", fake.asked());
}

#[tokio::test]
async fn on_a_node_that_is_not_heard_of_nothing_is_started() {
    let unready = shop().object("/api/v1/nodes/n2", node("n2", "Unknown"));
    let stale = shop().object(
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2",
        lease("n2", "2026-11-23T07:59:50.000000Z"),
    );
    for (fake, why) in [(unready, "not Ready"), (stale, "30 s ago")] {
        let ResolvedEnds { ends, .. } = ask(&fake, None, "a", "b:80").await.unwrap();
        assert_eq!(ends.nodes, ["n1"]);
        let missing = &ends.inventory.get().unwrap().missing;
        assert!(
            missing
                .iter()
                .any(|one| one.node.as_deref() == Some("n2") && one.why.contains(why)),
            "{missing:?}"
        );
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_missing_and_only_what_is_asked_about_ends_the_run() {
    let forbidden = |what: &str| {
        let message = format!(
            r#"{what} is forbidden: User "eve" cannot list resource "{what}" in API group "" in the namespace "shop""#
        );
        FakeAnswer::Status(403, message)
    };
    let fake = shop()
        .with(POLICIES, forbidden("networkpolicies"))
        .with("/api/v1/nodes/", forbidden("nodes"))
        .with("/api/v1/nodes/n1", forbidden("nodes"))
        .with("/api/v1/nodes/n2", forbidden("nodes"))
        .with("/api/v1/pods?&fieldSelector=spec.nodeName%3Dn1", forbidden("pods"));
    let ResolvedEnds { ends, .. } = ask(&fake, None, "a", "b:80").await.unwrap();
    let inventory = ends.inventory.get().unwrap();
    let why = &inventory.policies.get().unwrap_err().why;
    assert!(why.contains("networkpolicies is forbidden"), "{why}");
    assert!(
        inventory
            .missing
            .iter()
            .any(|one| one.remedy.contains("kubectl auth can-i list pods"))
    );
    assert_eq!(ends.nodes, ["n1", "n2"], "a node that nobody may read may well be fit");

    let fake = shop().with(&format!("{PODS}/a"), forbidden("pods"));
    let error = ask(&fake, None, "a", "b:80").await.unwrap_err();
    assert_eq!(exit::of(&error), Exit::Inconclusive);
    assert!(error.to_string().contains("kubectl auth can-i"), "{error}");
}

#[tokio::test]
async fn a_server_that_answers_badly_is_told_with_the_way_out() {
    let cases = [
        (
            FakeAnswer::Status(500, "etcdserver: request timed out".into()),
            "failed (500): etcdserver",
        ),
        (
            FakeAnswer::Status(429, "too many requests".into()),
            "429 Too Many Requests",
        ),
        (FakeAnswer::Status(401, "Unauthorized".into()), "may have expired"),
        (
            FakeAnswer::Text(200, "<html>login</html>".into()),
            "no Kubernetes object",
        ),
        (FakeAnswer::Text(502, "bad gateway".into()), "answered 502"),
        (
            FakeAnswer::Text(404, "404 page not found".into()),
            "no Kubernetes object",
        ),
        (FakeAnswer::Silence, "did not answer within 200ms"),
    ];
    for (answer, says) in cases {
        let mut cluster = shop().with(&format!("{PODS}/a"), answer).cluster();
        if says.contains("429") {
            cluster.patience = std::time::Duration::from_secs(5);
        }
        let error = cluster
            .find(
                &Grammar::Cluster.source("a").unwrap().place,
                super::named_object::BareName::Pod,
            )
            .await
            .unwrap_err();
        assert_eq!(exit::of(&error), Exit::Inconclusive, "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

#[tokio::test]
async fn a_list_that_is_gone_between_its_pages_is_begun_anew() {
    let page = |items: Value, next: &str| json!({"kind": "List", "metadata": {"continue": next}, "items": items});
    let fake = FakeServer::default()
        .object(POLICIES, page(json!([{"metadata": {"name": "p"}}]), "more"))
        .with(
            &format!("{POLICIES}?&limit=500&continue=more"),
            FakeAnswer::Status(410, "expired".into()),
        );
    let refused = fake.cluster().policies("shop").await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Gone);
    assert_eq!(fake.asked().len(), 4, "once anew, and not for ever");
}

#[tokio::test]
async fn a_way_into_a_service_that_it_does_not_have_is_a_wrong_use() {
    for (via, says) in [
        (Via::NodePort, "no node port"),
        (Via::External, "no external IP"),
        (Via::LoadBalancer, "no load balancer"),
    ] {
        let error = ask_via(&shop(), Some(Intent::PodToService), "a", "web:80", via)
            .await
            .unwrap_err();
        assert_eq!(exit::of(&error), Exit::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn by_a_node_port_a_service_has_another_port_and_the_own_nodes_address() {
    let fake = shop().object(
        &format!("{SERVICES}/web"),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.7", "type": "NodePort", "selector": {"app": "b"},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": 30080}]},
        }),
    );
    let ResolvedEnds { ends, .. } = ask_via(&fake, Some(Intent::PodToService), "a", "web:80", Via::NodePort)
        .await
        .unwrap();
    assert_eq!(ends.destination.port, Some(30080));
    assert_eq!(ends.destination.addresses[0].to_string(), "10.200.0.11");
    assert_eq!(ends.backends[0].port, Some(8080));
}

/// The cluster serves these groups, each with its versions, the preferred one first.
fn groups(served: &[(&str, &[&str])]) -> Value {
    let group = |(name, versions): &(&str, &[&str])| {
        let each: Vec<Value> = versions
            .iter()
            .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
            .collect();
        json!({"name": name, "versions": each, "preferredVersion": each[0]})
    };
    let all: Vec<Value> = served.iter().map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

#[tokio::test]
async fn policies_of_other_kinds_are_read_whole_in_a_version_that_is_evaluated() {
    let policy = json!({"metadata": {"name": "deny-all", "namespace": "shop", "annotations": {"a": "b"}, "labels": {"c": "d"}},
        "spec": {"endpointSelector": {}, "ingress": [{}]}, "status": {"conditions": []}});
    let admins = |name: &str, spec: Value| json!([{"metadata": {"name": name}, "spec": spec}]);
    let fake = shop()
        .object(
            "/apis",
            groups(&[
                ("cilium.io", &["v2", "v2alpha1"]),
                ("policy.networking.k8s.io", &["v1alpha2", "v1alpha1"]),
            ]),
        )
        .list(
            "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies",
            &json!([policy]),
        )
        .with(
            "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
            // As a server answers of a kind that its release of the group lacks.
            FakeAnswer::Text(404, "404 page not found\n".into()),
        )
        .list(
            "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
            &admins("old", json!({"priority": 1})),
        )
        .list(
            "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
            &admins("new", json!({"priority": 2})),
        );
    let ResolvedEnds { ends, .. } = ask(&fake, None, "a", "b:80").await.unwrap();
    let inventory = ends.inventory.get().unwrap();
    let read = &inventory.policy_objects;
    assert_eq!(read.groups, ["cilium.io", "policy.networking.k8s.io"]);
    let names = read
        .objects
        .iter()
        .map(|one| (one.object.kind.as_str(), one.object.name.as_str()));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            ("CiliumNetworkPolicy", "deny-all"),
            ("AdminNetworkPolicy", "old"),
            ("ClusterNetworkPolicy", "new")
        ]
    );
    let first = &read.objects[0];
    assert_eq!(
        (first.api_version.as_str(), first.object.namespace.as_str()),
        ("cilium.io/v2", "shop")
    );
    assert_eq!(first.spec, json!({"endpointSelector": {}, "ingress": [{}]}));
    assert_eq!(first.labels.len(), 1);
    assert!(read.unread.is_empty() && inventory.other_policies.is_empty() && inventory.missing.is_empty());
    assert!(inventory.namespaces.ok().is_some(), "{:?}", inventory.namespaces);
}

#[tokio::test]
async fn calicos_objects_are_read_by_its_own_server_where_it_has_one() {
    let set = json!([{"metadata": {"name": "partners", "labels": {"role": "partner"}}, "spec": {"nets": ["203.0.113.0/24"]}}]);
    let stored = shop()
        .object("/apis", groups(&[("crd.projectcalico.org", &["v1"])]))
        .list("/apis/crd.projectcalico.org/v1/globalnetworksets", &set);
    let ResolvedEnds { ends, .. } = ask(&stored, None, "a", "b:80").await.unwrap();
    let objects = &ends.inventory.get().unwrap().policy_objects.objects;
    assert_eq!(objects[0].object.kind, "GlobalNetworkSet.crd.projectcalico.org");
    assert_eq!(
        (objects[0].kind(), objects[0].group()),
        ("GlobalNetworkSet", "crd.projectcalico.org")
    );

    let both = shop()
        .object(
            "/apis",
            groups(&[("crd.projectcalico.org", &["v1"]), ("projectcalico.org", &["v3"])]),
        )
        .list(
            "/apis/projectcalico.org/v3/namespaces/shop/networkpolicies",
            &json!([{"metadata": {"name": "p", "namespace": "shop"}, "spec": {}}]),
        );
    let ResolvedEnds { ends, .. } = ask(&both, None, "a", "b:80").await.unwrap();
    let objects = &ends.inventory.get().unwrap().policy_objects.objects;
    assert_eq!(objects[0].object.kind, "NetworkPolicy.projectcalico.org");
    let asked = both.asked();
    assert!(
        !asked.iter().any(|path| path.contains("/crd.projectcalico.org/")),
        "{asked:?}"
    );
    // Kinds of groups that are not served cost no call.
    assert!(!asked.iter().any(|path| path.contains("cilium")), "{asked:?}");
}

#[tokio::test]
async fn policies_that_are_not_evaluated_are_named_and_those_that_may_not_be_read_are_missing() {
    let named = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
        "items": [{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "strict"}}]});
    let fake = shop()
        .object(
            "/apis",
            groups(&[
                ("crd.antrea.io", &["v1beta1"]),
                ("cilium.io", &["v3"]),
                ("projectcalico.org", &["v3"]),
            ]),
        )
        .object("/apis/crd.antrea.io/v1beta1/clusternetworkpolicies", named.clone())
        // A version that nobody here knows.
        .object("/apis/cilium.io/v3/ciliumclusterwidenetworkpolicies", named)
        .with(
            "/apis/projectcalico.org/v3/tiers",
            FakeAnswer::Status(403, "tiers is forbidden".into()),
        );
    let ResolvedEnds { ends, .. } = ask(&fake, None, "a", "b:80").await.unwrap();
    let inventory = ends.inventory.get().unwrap();
    let kinds: Vec<&str> = inventory.other_policies.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy.crd.antrea.io"]
    );
    let [lack] = &inventory.policy_objects.unread[..] else {
        panic!("{:?}", inventory.policy_objects.unread)
    };
    assert!(lack.what.starts_with("Tier.projectcalico.org objects"), "{lack:?}");
    assert!(lack.why.contains("forbidden"), "{lack:?}");
}

#[tokio::test]
async fn more_nodes_than_are_meant_are_refused_with_both_ways_out() {
    let fake = shop();
    let wish = |max_nodes, all_nodes| ScopeRequest {
        all_nodes,
        max_nodes,
        ..ScopeRequest::default()
    };
    let error = fake.cluster().scope(&wish(1, false)).await.unwrap_err();
    assert_eq!(exit::of(&error), Exit::Usage);
    let says = error.to_string();
    assert!(
        says.contains("2 nodes") && says.contains("--max-nodes 2") && says.contains("--all-nodes"),
        "{says}"
    );
    let scope = fake.cluster().scope(&wish(2, false)).await.unwrap();
    assert_eq!(scope.nodes.keys().collect::<Vec<_>>(), ["n1", "n2"]);
    let fake = fake.list(
        "/api/v1/nodes?",
        &json!([node("n1", "True"), node("n2", "True"), node("n3", "True")]),
    );
    let scope = fake.cluster().scope(&wish(1, true)).await.unwrap();
    assert_eq!(scope.nodes.len(), 3, "all nodes were asked for");
}

#[tokio::test]
async fn a_pod_that_came_later_is_asked_for_once_and_told_of() {
    let fake = shop();
    let mut newcomers = NewPods::of(fake.cluster());
    newcomers.ask("n2");
    newcomers.ask("n2");
    let mut pods = newcomers.arrived();
    while pods.is_empty() {
        tokio::task::yield_now().await;
        pods = newcomers.arrived();
    }
    assert_eq!(pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(fake.asked().len(), 1, "{:?}", fake.asked());
}

/// A namespace of 100 000 pods on 5 000 nodes.
fn big() -> FakeServer {
    let pod = |number: usize| pod(&format!("p{number}"), &format!("n{}", number % 5_000), "10.244.1.2");
    shop().pages(&format!("{PODS}?"), 100_000, pod)
}

#[tokio::test]
async fn too_many_nodes_are_refused_before_all_pods_are_read() {
    let fake = big();
    for selector in [None, Some("app=web".to_owned())] {
        let wish = ScopeRequest {
            selector,
            max_nodes: 20,
            ..ScopeRequest::default()
        };
        let error = fake.cluster().scope(&wish).await.unwrap_err();
        assert_eq!(exit::of(&error), Exit::Usage);
        let says = error.to_string();
        assert!(says.contains("more than 20 nodes (21 by the first 21 pods)"), "{says}");
        assert!(says.contains("--max-nodes") && says.contains("--all-nodes"), "{says}");
    }
    assert_eq!(fake.asked().len(), 2, "one page each: {:?}", fake.asked());
    assert!(
        fake.asked().iter().all(|path| path.contains("limit=500")),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn pods_that_have_ended_are_not_read_to_find_those_that_run() {
    let fake = shop();
    let wish = ScopeRequest {
        max_nodes: 2,
        ..ScopeRequest::default()
    };
    fake.cluster().scope(&wish).await.unwrap();
    let asked = fake.asked();
    let listed: Vec<_> = asked.iter().filter(|path| path.starts_with(PODS)).collect();
    assert!(
        listed
            .iter()
            .all(|path| path.contains("fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed")),
        "{listed:?}"
    );
}

#[tokio::test]
async fn of_a_list_without_end_no_more_is_read_than_can_be_meant() {
    let fake = big();
    let refused = fake.cluster().pods("shop", None).await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::TooMany);
    assert!(
        refused.says.contains("more than 10000 pods in namespace shop"),
        "{refused}"
    );
    assert_eq!(fake.asked().len(), MOST / 500 + 1);
}

#[tokio::test]
async fn what_is_no_list_is_not_taken_for_an_empty_one() {
    for body in ["{}", "[]", r#"{"items": 3}"#] {
        let fake = FakeServer::default().with(POLICIES, FakeAnswer::Text(200, body.to_owned()));
        let refused = fake.cluster().policies("shop").await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Garbage, "{body}");
    }
    let none = FakeServer::default().with(POLICIES, FakeAnswer::Text(200, r#"{"items": null}"#.to_owned()));
    assert_eq!(none.cluster().policies("shop").await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_a_bound() {
    let fake = FakeServer::default().with(POLICIES, FakeAnswer::Text(200, " ".repeat((64 << 20) + 1)));
    let mut cluster = fake.cluster();
    cluster.patience = std::time::Duration::from_mins(1);
    let refused = cluster.policies("shop").await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::TooMany, "{refused}");
    assert!(refused.says.contains("longer than 64 MiB"), "{refused}");
}

/// Every list that a question or a capture asks for.
#[tokio::test]
async fn every_list_is_asked_for_in_pages() {
    let fake = shop();
    ask(&fake, None, "a", "web").await.unwrap();
    ask(&fake, Some(Intent::Dns), "a", "example.com").await.unwrap();
    for targets in [vec![], vec!["svc/web".to_owned()], vec!["selector/app=a".to_owned()]] {
        let wish = ScopeRequest {
            targets,
            max_nodes: 20,
            ..ScopeRequest::default()
        };
        fake.cluster().scope(&wish).await.unwrap();
    }
    let asked = fake.asked();
    let lists: Vec<_> = asked.iter().filter(|path| path.contains('?')).collect();
    assert!(lists.len() > 10, "{asked:#?}");
    assert!(lists.iter().all(|path| path.contains("limit=")), "{lists:#?}");
}
