//! A pod that was named is not running, or has no address.
//!
//! Why it happens: it is not scheduled, its image cannot be pulled, one of its containers crashes again and again, it has
//! ended, it was evicted, or it is being deleted.
//!
//! How it knows: from the cluster's API: the pod's phase, what its containers wait for, how they ended last, its
//! conditions, and the events that warn of it. A pod whose phase is `Running` counts only if one of its containers does not run, and the attempts met nothing
//! else than a closed port. Without a cluster, from the addresses of the destination's namespace: it has none that others can
//! send to.
//!
//! Remedy: do what the reason says: correct the image, read the container's log, make room.
//!
//! Silent on: pods that run, even if they are not ready (a closed port there is `port-closed`), containers that were restarted
//! and run again, and pods that answered.

use crate::case::Case;
use crate::case::observations;
use crate::kernel::drops::Class;
use crate::kubernetes::pods::{self, pod_of};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::count;
use crate::words::shell::command;
use model::endpoint::EndpointKind;
use model::inventory::{Container, Pod};
use model::report::Direction;

pub const NEEDS: &[Need] = &[];

/// Events that warn of a pod and are told, at most.
const WARNINGS_TOLD: usize = 2;

pub fn check(case: &Case<'_>) -> Checked {
    if !case.worked().is_empty() {
        return Ok(Vec::new());
    }
    if case.inventory().is_none() {
        return Ok(unaddressed(case).or_else(|| tentative(case)).into_iter().collect());
    }
    let ends = [&case.evidence.source, &case.evidence.destination];
    let named = ends.into_iter().filter(|end| end.kind == EndpointKind::Pod);
    let pods = named.filter_map(|end| pod_of(case.evidence, end));
    Ok(pods.filter_map(|pod| finding(case, pod)).collect())
}

/// The destination's namespace was looked into, and holds no address but those that end at its own links.
fn unaddressed(case: &Case<'_>) -> Option<Finding> {
    let end = &case.evidence.destination;
    let netns = end.netns.filter(|_| end.addresses.is_empty())?;
    let facts = &case.evidence.netns(netns)?.before;
    let own = facts.addresses.ok()?;
    let links: Vec<&str> = facts.links.ok()?.iter().map(|link| link.name.as_str()).collect();
    if own.iter().any(|own| !own.address.is_loopback() && !own.link_scope) {
        return None;
    }
    let name = case.name(netns);
    Some(
        fatal(
            "pod-not-running",
            format!("{name} has no address, so that nothing can be sent to it"),
        )
        .at(case.node(netns), &name)
        .remedy(Remedy::from("see why its CNI gave it none, or give it one").run(
            ": ",
            case.command(netns, "ip address add ADDRESS/LENGTH dev INTERFACE", &[]),
        ))
        .because(match own.len() {
            0 => format!("its interfaces ({}) have no address at all", links.join(", ")),
            _ => format!(
                "its interfaces ({}) have only loopback and link-local addresses",
                links.join(", ")
            ),
        }),
    )
}

/// The destination's IPv6 address is still being checked for duplicates: its kernel takes no packet for it (RFC 4862, 5.4).
fn tentative(case: &Case<'_>) -> Option<Finding> {
    let netns = case.evidence.destination.netns?;
    let addresses = case.before(netns, "addresses", |facts| &facts.addresses).ok()?;
    let failed = case.failed();
    let own = addresses.iter().find(|own| {
        own.tentative && !own.dad_failed && failed.iter().any(|tried| tried.attempt.flow.dst() == own.address)
    })?;
    let arrived = |id: u32| case.leg(id, Direction::Request).is_some_and(|leg| leg.reached(netns));
    let of: Vec<u32> = failed
        .iter()
        .filter(|tried| tried.attempt.flow.dst() == own.address && arrived(tried.attempt.id))
        .map(|tried| tried.attempt.id)
        .collect();
    if of.is_empty() {
        return None;
    }
    let name = case.name(netns);
    Some(
        fatal(
            "pod-not-running",
            format!(
                "{name} may not use {} yet: it is still being checked for duplicates",
                own.address
            ),
        )
        .at(case.node(netns), &name)
        .of(of)
        .remedy(
            "ask again in a second or two; if it is still the same, add the address without that check (nodad of ip -6 address add)",
        )
        .because(format!(
            "{} of {name} was tentative when the first packet was sent",
            own.address
        ))
        .and_if(failed.first().map(|tried| observations::met(tried))),
    )
}

/// Why a pod does not run, and what to do.
struct Why {
    says: String,
    remedy: Remedy,
}

fn finding(case: &Case<'_>, pod: &Pod) -> Option<Finding> {
    let why = why(case, pod)?;
    let mut finding = fatal("pod-not-running", format!("pod {} {}", pod.full_name(), why.says))
        .pod(pod)
        .of(case.failed_ids())
        .remedy(why.remedy)
        .because(format!(
            "its phase is {}{}",
            pod.phase,
            if pod.reason.is_empty() {
                String::new()
            } else {
                format!(", reason {}", pod.reason)
            }
        ));
    for container in pod
        .containers
        .iter()
        .filter(|container| container.state != "running" && !container.state.is_empty())
    {
        finding = finding.and(container_words(container));
    }
    for warning in pod.warnings.iter().take(WARNINGS_TOLD) {
        finding = finding.and(pods::warning_words(warning));
    }
    Some(
        finding
            .and_if((!pod.message.is_empty()).then(|| pod.message.clone()))
            .and_if(case.failed().first().map(|tried| observations::met(tried))),
    )
}

fn why(case: &Case<'_>, pod: &Pod) -> Option<Why> {
    let describe = |why: &str| {
        Remedy::from(why).run(
            ": ",
            command("kubectl -n {} describe pod {}", &[&pod.namespace, &pod.name]),
        )
    };
    let stuck = pod.containers.iter().find(|container| stuck(container));
    let why = match (pod.phase.as_str(), stuck) {
        ("Succeeded", _) => Why {
            says: "has ended: its phase is Succeeded".to_owned(),
            remedy: "name a pod that runs".into(),
        },
        ("Failed", _) if pod.reason.is_empty() => Why {
            says: "has failed".to_owned(),
            remedy: describe("see why"),
        },
        ("Failed", _) => Why {
            says: format!("has failed: {}", pod.reason),
            remedy: describe("see why"),
        },
        ("Running", Some(container)) if !pod.ready && only_closed(case) => crashed(pod, container),
        ("Running", _) if !pod.addresses.is_empty() => return None,
        (_, Some(container)) if is_image(container) => Why {
            says: format!("does not run: container {} waits: {}", container.name, container.reason),
            remedy: describe("correct the image or the credentials for it"),
        },
        (_, Some(container)) if never_started(container) => Why {
            says: format!(
                "does not run: container {} waits: {}{}",
                container.name,
                container.reason,
                because(newest_warning(pod))
            ),
            remedy: describe("see what it waits for"),
        },
        (_, Some(container)) => crashed(pod, container),
        _ if pod.node.is_empty() => Why {
            says: format!("is not scheduled{}", because(&pod.reason)),
            remedy: describe("see what it waits for"),
        },
        (phase, None) => Why {
            says: format!(
                "is not running: its phase is {phase}{}",
                because(
                    Some(newest_warning(pod))
                        .filter(|newest| !newest.is_empty())
                        .unwrap_or(&pod.reason)
                )
            ),
            remedy: describe("see what it waits for"),
        },
    };
    Some(why)
}

/// It waits for something, or has ended and is not started again; not one that has done its work before the others.
fn stuck(container: &Container) -> bool {
    match container.state.as_str() {
        "waiting" => !matches!(container.reason.as_str(), "PodInitializing" | ""),
        "terminated" => !container.init || container.exit_code.is_some_and(|code| code != 0),
        _ => false,
    }
}

/// It waits for what it needs, and has no log.
fn never_started(container: &Container) -> bool {
    container.state == "waiting" && container.restarts == 0 && container.exit_code.is_none()
}

/// The reason of what was warned of last.
fn newest_warning(pod: &Pod) -> &str {
    pod.warnings.first().map_or("", |warning| warning.reason.as_str())
}

fn is_image(container: &Container) -> bool {
    matches!(
        container.reason.as_str(),
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError"
    )
}

fn crashed(pod: &Pod, container: &Container) -> Why {
    let (name, reason) = (&container.name, &container.reason);
    let verb = if container.state == "waiting" {
        "waits"
    } else {
        "has ended"
    };
    let times = if container.restarts > 0 {
        format!(", restarted {}", count(container.restarts as usize, "time"))
    } else {
        String::new()
    };
    Why {
        says: format!("does not run: container {name} {verb}: {reason}{times}"),
        remedy: Remedy::from("see why it ended").run(
            ": ",
            command(
                "kubectl -n {} logs {} -c {} --previous",
                &[&pod.namespace, &pod.name, name],
            ),
        ),
    }
}

/// Nothing was met on the way but a port that nothing listens on.
fn only_closed(case: &Case<'_>) -> bool {
    case.accusing().all(|drop| drop.class == Class::NoSocket) && case.silent.is_empty()
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    }
}

fn container_words(container: &Container) -> String {
    let code = container
        .exit_code
        .map_or(String::new(), |code| format!(", last exit code {code}"));
    let message = if container.message.is_empty() {
        String::new()
    } else {
        format!(": {}", container.message)
    };
    let reason = if container.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", container.reason)
    };
    format!(
        "container {} is {}{reason}{code}{message}",
        container.name, container.state
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;
    use model::inventory::PodWarning;
    use model::missing::Known;
    use model::report::Conclusion;

    #[test]
    fn a_namespace_without_an_address_cannot_be_reached() {
        let mut scene = scenes::Scene::two_nodes();
        scene.evidence.destination.addresses.clear();
        assert!(scenes::causes(&judge(&scene.evidence)).is_empty(), "it has one");
        scene.facts(scenes::C, |facts| facts.addresses = Known::Known(Vec::new()));
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["pod-not-running"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn an_address_that_is_still_checked_for_duplicates_takes_no_packets() {
        let mut scene = scenes::Scene::two_nodes().over_ipv6();
        scene.facts(scenes::C, |facts| {
            if let Known::Known(addresses) = &mut facts.addresses {
                addresses
                    .iter_mut()
                    .filter(|own| own.address.is_ipv6())
                    .for_each(|own| own.tentative = true);
            }
        });
        scene.dropped(3, scenes::C, "eth0", "IP_INADDRERRORS", "ip6_forward");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["pod-not-running"]);
        assert!(
            judgement.verdicts[0].says.contains("checked for duplicates"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn what_a_pod_waits_for_is_told_by_the_events_about_it() {
        let mut cluster = pending("ContainerCreating");
        cluster.pod("shop/web-1").warnings = vec![PodWarning {
            component: "kubelet".to_owned(),
            reason: "FailedMount".to_owned(),
            message: "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found".to_owned(),
        }];
        let verdict = judge(cluster.evidence()).verdicts[0].clone();
        assert!(
            verdict
                .says
                .contains("container main waits: ContainerCreating (FailedMount)"),
            "{}",
            verdict.says
        );
        assert!(
            verdict
                .because
                .iter()
                .any(|fact| fact.starts_with("kubelet warns: FailedMount: MountVolume.SetUp failed")),
            "{verdict:?}"
        );
        assert!(
            !verdict.remedy.contains("--previous"),
            "it has no log: {}",
            verdict.remedy
        );
    }

    fn pending(reason: &str) -> Cluster {
        let mut cluster = Cluster::pods();
        cluster.unready("shop/web-1", "waiting", reason).without_helpers();
        let pod = cluster.pod("shop/web-1");
        "Pending".clone_into(&mut pod.phase);
        pod.addresses.clear();
        cluster.scene.evidence.destination.addresses.clear();
        cluster
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_proven_by_the_api_alone() {
        let mut cluster = pending("ImagePullBackOff");
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::causes(&judgement), ["pod-not-running"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict.says.contains("container main waits: ImagePullBackOff"),
            "{}",
            verdict.says
        );
        assert_eq!(verdict.place.pod.as_deref(), Some("shop/web-1"));
        assert_eq!(verdict.place.node.as_deref(), Some("y"));
    }

    #[test]
    fn a_container_that_crashes_again_and_again_is_it_where_its_port_is_closed() {
        let mut cluster = Cluster::pods();
        cluster.unready("shop/web-1", "waiting", "CrashLoopBackOff");
        cluster.pod("shop/web-1").containers[0].restarts = 7;
        cluster.scene.refused(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["pod-not-running"]);
        assert!(judgement.verdicts[0].remedy.contains("logs web-1 -c main --previous"));
    }

    #[test]
    fn a_pod_that_was_not_scheduled_or_has_ended_says_so() {
        for (phase, word) in [
            ("Pending", "is not scheduled"),
            ("Succeeded", "has ended"),
            ("Failed", "has failed: Evicted"),
        ] {
            let mut cluster = Cluster::pods();
            cluster.without_helpers();
            let pod = cluster.pod("shop/web-1");
            phase.clone_into(&mut pod.phase);
            pod.node.clear();
            "Evicted".clone_into(&mut pod.reason);
            pod.addresses.clear();
            let judgement = judge(cluster.evidence());
            assert_eq!(scenes::causes(&judgement), ["pod-not-running"], "{phase}");
            assert!(
                judgement.verdicts[0].says.contains(word),
                "{}",
                judgement.verdicts[0].says
            );
        }
    }

    #[test]
    fn a_crashing_sidecar_is_not_it_where_a_firewall_drops() {
        let mut cluster = Cluster::pods();
        cluster.unready("shop/web-1", "waiting", "CrashLoopBackOff");
        cluster
            .scene
            .dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
    }

    #[test]
    fn a_pod_that_runs_or_answers_is_not_it() {
        let mut cluster = Cluster::pods();
        cluster.pod("shop/web-1").containers[0].restarts = 3;
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"pod-not-running".to_owned()));
        let mut cluster = Cluster::pods();
        let done = model::inventory::Container {
            state: "terminated".to_owned(),
            reason: "Completed".to_owned(),
            exit_code: Some(0),
            ..model::inventory::Container::default()
        };
        cluster.pod("shop/web-1").containers.push(done);
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"pod-not-running".to_owned()));
        let mut cluster = Cluster::pods();
        cluster.unready("shop/web-1", "waiting", "CrashLoopBackOff");
        cluster.scene.connects(3);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), Vec::<String>::new());
    }
}
