//! The question of a diagnosis, and the inquiry as the user wrote it, in which parts may still be open.

use super::attempt_plan::{AttemptPlan, IpFamily, Protocol};
use super::named_end::NamedEnd;
use model::evidence::{Intent, Limits};
use std::time::Duration;

/// What the user asked.
#[derive(Clone, Debug)]
pub struct DiagnosisQuestion {
    /// What for.
    pub intent: Intent,
    /// The end that sends.
    pub source: NamedEnd,
    /// The end that should answer; for a lookup its name.
    pub destination: NamedEnd,
    /// How to try.
    pub plan: AttemptPlan,
    /// One IP version only.
    pub family: Option<IpFamily>,
    /// Send nothing; watch the user's own traffic.
    pub passive: bool,
    /// Look this long.
    pub length: Option<Duration>,
    /// Begin anew every second until an attempt fails.
    pub until_fault: bool,
    /// What counts as slow.
    pub limits: Limits,
}

impl DiagnosisQuestion {
    /// The longest that asking it may take, with all facts around the window: a lookup of the name first, then the attempts.
    pub fn longest(&self) -> Duration {
        const FACTS: Duration = Duration::from_secs(20);
        let plan = &self.plan;
        let window = self
            .length
            .unwrap_or_else(|| plan.timeout * 2 + Duration::from_secs(plan.rounds.max(1).into()));
        window + plan.timeout * 2 + Duration::from_millis(100) * plan.attempts + FACTS
    }
}

/// What is open is decided by what is found.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The question; its intent and protocol are those asked for, or the usual ones.
    pub question: DiagnosisQuestion,
    /// What for, where that was given.
    pub intent: Option<Intent>,
    /// What to send, where that was given.
    pub protocol: Option<Protocol>,
    /// The address of a service that is used.
    pub via: Via,
}

impl Inquiry {
    /// Takes what was found to be meant.
    pub fn settle(&mut self, intent: Intent, protocol: Protocol) {
        self.question.intent = intent;
        self.question.plan.protocol = protocol;
    }
}

/// By which address a service is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// The cluster IP; for a headless service, the addresses of its endpoints.
    #[default]
    #[value(name = "clusterip")]
    ClusterIp,
    /// The node port, on the source's own node.
    #[value(name = "nodeport")]
    NodePort,
    /// The external IP.
    External,
    /// The address of its load balancer.
    #[value(name = "lb")]
    LoadBalancer,
}

/// The name of an intent, as it is typed.
#[must_use]
pub const fn intent_name(intent: Intent) -> &'static str {
    match intent {
        Intent::PodToPod => "pod-to-pod",
        Intent::Dns => "dns",
        Intent::PodToService => "pod-to-service",
        Intent::PodToNode => "pod-to-node",
        Intent::PodToExternal => "pod-to-external",
        Intent::NodeToPod => "node-to-pod",
        Intent::Pod => "pod",
        Intent::Node => "node",
        Intent::Service => "service",
        Intent::Namespace => "namespace",
    }
}
