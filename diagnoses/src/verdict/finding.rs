//! A conclusion under construction. [`Claim::because`] is the only way from a claim to a finding, so nothing is
//! concluded without a proof.

use crate::verdict::remedy::Remedy;
use model::inventory::Pod;
use model::object_ref::ObjectRef;
use model::report::{Place, RulePlace, Severity, Verdict};

/// What a rule wants to say, without its proof yet.
#[derive(Clone, Debug)]
#[must_use]
pub struct Claim {
    rule: &'static str,
    severity: Severity,
    place: Place,
    says: String,
    remedy: Remedy,
    attempts: Vec<u32>,
}

/// A claim with at least one proof.
#[derive(Clone, Debug)]
pub struct Finding {
    claim: Claim,
    because: Vec<String>,
    symptom: bool,
    beside_objects: bool,
}

/// It does not work: `says` is one plain sentence without a full stop.
pub fn fatal(rule: &'static str, says: impl Into<String>) -> Claim {
    Claim::new(rule, Severity::Fatal, says.into())
}

/// It works badly, or will break.
pub fn warning(rule: &'static str, says: impl Into<String>) -> Claim {
    Claim::new(rule, Severity::Warning, says.into())
}

/// Worth knowing; never a cause and never a change of the outcome.
pub fn info(rule: &'static str, says: impl Into<String>) -> Claim {
    Claim::new(rule, Severity::Info, says.into())
}

impl Claim {
    fn new(rule: &'static str, severity: Severity, says: String) -> Self {
        Self {
            rule,
            severity,
            place: Place::default(),
            says,
            remedy: Remedy::default(),
            attempts: Vec::new(),
        }
    }

    /// Where it is: the node and namespace, by their names for people.
    pub fn at(mut self, node: impl Into<String>, netns: impl Into<String>) -> Self {
        let node = node.into();
        self.place.node = (!node.is_empty()).then_some(node);
        self.place.netns = Some(netns.into());
        self
    }

    /// At this interface.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.place.interface = (!name.is_empty()).then_some(name);
        self
    }

    /// On this node.
    pub fn node(mut self, name: &str) -> Self {
        self.place.node = (!name.is_empty()).then(|| name.to_owned());
        self
    }

    /// This pod, on its node.
    pub fn pod(mut self, pod: &Pod) -> Self {
        self.place.pod = Some(pod.full_name());
        self.place.object.get_or_insert_with(|| pod.object());
        self.node(&pod.node)
    }

    /// The Kubernetes object to look at.
    pub fn object(mut self, object: ObjectRef) -> Self {
        self.place.object = Some(object);
        self
    }

    /// Sets the netfilter rule or chain that it happened at.
    pub fn rule(mut self, rule: RulePlace) -> Self {
        self.place.rule = Some(rule);
        self
    }

    /// The command or the object to change.
    pub fn remedy(mut self, remedy: impl Into<Remedy>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The attempts it explains; none means all of them.
    pub fn of(mut self, attempts: impl IntoIterator<Item = u32>) -> Self {
        self.attempts.extend(attempts);
        self.attempts.sort_unstable();
        self.attempts.dedup();
        self
    }

    /// Its first proof: a thing seen.
    pub fn because(self, fact: impl Into<String>) -> Finding {
        Finding {
            claim: self,
            because: vec![fact.into()],
            symptom: false,
            beside_objects: false,
        }
    }
}

impl Finding {
    /// A further proof.
    #[must_use]
    pub fn and(mut self, fact: impl Into<String>) -> Self {
        let fact = fact.into();
        if !fact.is_empty() && !self.because.contains(&fact) {
            self.because.push(fact);
        }
        self
    }

    /// A further proof, where there is one.
    #[must_use]
    pub fn and_if(self, fact: Option<String>) -> Self {
        match fact {
            Some(fact) => self.and(fact),
            None => self,
        }
    }

    /// It can only follow from something else, even where that was not found.
    #[must_use]
    pub fn symptom(mut self) -> Self {
        self.symptom = true;
        self
    }

    /// What the state of no object explains: it was seen on the way, and stands beside an object's fault.
    #[must_use]
    pub fn beside_objects(mut self) -> Self {
        self.beside_objects = true;
        self
    }

    /// It stands beside an object's fault.
    pub fn is_beside_objects(&self) -> bool {
        self.beside_objects
    }

    /// The rule that says it.
    pub fn rule(&self) -> &'static str {
        self.claim.rule
    }

    /// How bad.
    pub fn severity(&self) -> Severity {
        self.claim.severity
    }

    /// The attempts it explains; none means all of them.
    pub fn attempts(&self) -> &[u32] {
        &self.claim.attempts
    }

    /// Said by its rule to be no cause.
    pub fn is_symptom(&self) -> bool {
        self.symptom
    }

    /// It is about an attempt that the other is about too.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.attempts(), other.attempts());
        mine.is_empty() || theirs.is_empty() || mine.iter().any(|id| theirs.contains(id))
    }

    /// The same rule at the same place: one cause that was met twice, for example over both address families.
    pub fn is_twin_of(&self, other: &Self) -> bool {
        let (one, two) = (&self.claim.place, &other.claim.place);
        self.rule() == other.rule()
            && (&one.netns, &one.interface, &one.rule, &one.object)
                == (&two.netns, &two.interface, &two.rule, &two.object)
    }

    /// Takes over what a twin proves.
    pub fn absorb(&mut self, twin: Self) {
        self.claim.severity = self.claim.severity.min(twin.claim.severity);
        self.claim.attempts.extend(twin.claim.attempts);
        for fact in twin.because {
            if !self.because.contains(&fact) {
                self.because.push(fact);
            }
        }
    }

    /// Says on which node the commands of its remedy are to be run.
    pub fn name_node(&mut self) {
        if let Some(node) = self.claim.place.node.clone() {
            self.claim.remedy.on_node(&node);
        }
    }

    /// As the report prints it.
    pub fn into_verdict(self, cause: bool) -> Verdict {
        let Self {
            claim,
            because,
            symptom: _,
            beside_objects: _,
        } = self;
        Verdict {
            rule: claim.rule.to_owned(),
            severity: claim.severity,
            cause,
            place: claim.place,
            says: claim.says,
            because,
            remedy: claim.remedy.into_text(),
            conversations: Vec::new(),
        }
    }
}
