//! What may come of a connection at one of its ends: one thing, or several where not all is known.
//!
//! Rules, policies and tiers are walked in their order. Each either decides, or leaves it to what stands behind it. A rule that may
//! fit does both, and the doubt is kept with the reason.

use super::fits::PolicyFit;
use super::{Denial, DenialForm, Party, Side};
use model::inventory::Pod;
use model::object_ref::ObjectRef;

/// What may come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyOutcome {
    allow: bool,
    /// Nothing decided so far.
    next: bool,
    /// A rule left it to the next tier.
    pass: bool,
    deny: Option<Ground>,
    doubt: Option<String>,
}

/// Why it is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// In which way.
    pub form: DenialForm,
    /// By which policies.
    pub policies: Vec<ObjectRef>,
    /// In words.
    pub why: Vec<String>,
}

impl Ground {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        if self.policies.is_empty() {
            return other;
        }
        for (policy, index) in other.policies.into_iter().zip(0..) {
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
                self.why.extend(other.why.get(index).cloned());
            }
        }
        self
    }

    /// One policy, and why it denies.
    #[must_use]
    pub fn of(policy: &ObjectRef, form: DenialForm, why: String) -> Self {
        Self {
            form,
            policies: vec![policy.clone()],
            why: vec![why],
        }
    }
}

impl PolicyOutcome {
    /// It is let through.
    pub fn allow() -> Self {
        Self {
            allow: true,
            ..Self::default()
        }
    }

    /// It is not.
    pub fn deny(ground: Ground) -> Self {
        Self {
            deny: Some(ground),
            ..Self::default()
        }
    }

    /// Nothing here decides.
    pub fn next() -> Self {
        Self {
            next: true,
            ..Self::default()
        }
    }

    /// The next tier decides.
    pub fn pass() -> Self {
        Self {
            pass: true,
            ..Self::default()
        }
    }

    /// It cannot be told, for this reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self {
            allow: true,
            deny: Some(Ground::default()),
            ..Self::default()
        }
        .doubted(why)
    }

    /// What a rule does whose fit this is.
    pub fn when(self, fit: PolicyFit) -> Self {
        match fit {
            PolicyFit::Yes => self,
            PolicyFit::No(_) => Self::next(),
            PolicyFit::Maybe(why) => self.or(Self::next()).doubted(why),
        }
    }

    /// Where nothing decided, what stands behind it does.
    #[must_use]
    pub fn then(mut self, behind: impl FnOnce() -> Self) -> Self {
        if !self.next {
            return self;
        }
        self.next = false;
        self.or(behind())
    }

    /// Either of them.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            allow: self.allow || other.allow,
            next: self.next || other.next,
            pass: self.pass || other.pass,
            deny: match (self.deny, other.deny) {
                (Some(one), Some(another)) => Some(one.and(another)),
                (one, another) => one.or(another),
            },
            doubt: self.doubt.or(other.doubt),
        }
    }

    /// A tier ends: what was left to the next one, and what nothing in it decided, goes on.
    #[must_use]
    pub fn leave_tier(mut self) -> Self {
        self.next |= self.pass;
        self.pass = false;
        self
    }

    /// The outcome of policies among which none comes first. Where they would decide in different ways, it cannot be told which one does.
    pub fn unordered(all: Vec<Self>, tie: impl FnOnce() -> String) -> Self {
        let decisive: Vec<Self> = all.into_iter().filter(|one| !one.decides_nothing()).collect();
        let open = decisive.iter().all(|one| one.next);
        let Some(mut together) = decisive.into_iter().reduce(Self::or) else {
            return Self::next();
        };
        together.next = false;
        if together.ways() > 1 {
            together = together.doubted(tie());
        }
        together.next = open;
        together
    }

    /// Nothing but a denial may come of it.
    pub fn surely_denied(&self) -> bool {
        self.deny.is_some() && self.ways() == 1
    }

    /// It is let through, or nothing decides against it.
    pub fn surely_allowed(&self) -> bool {
        self.deny.is_none()
    }

    /// A rule lets it through, whatever else is not known.
    pub fn surely_allowed_by_a_rule(&self) -> bool {
        self.allow && self.ways() == 1
    }

    /// The answer for the pod at this end; an error where it cannot be told.
    pub fn denial<'a>(self, side: Side, (pod, other): (&'a Pod, Party<'a>)) -> Result<Option<Denial<'a>>, String> {
        let alone = self.surely_denied();
        match self.deny {
            None => Ok(None),
            Some(ground) if alone => Ok(Some(Denial {
                side,
                pod,
                other,
                form: ground.form,
                policies: ground.policies,
                why: ground.why,
            })),
            Some(_) => Err(self.doubt.unwrap_or_default()),
        }
    }

    fn decides_nothing(&self) -> bool {
        self.next && self.ways() == 1
    }

    fn ways(&self) -> usize {
        [self.allow, self.next, self.pass, self.deny.is_some()]
            .into_iter()
            .filter(|way| *way)
            .count()
    }

    fn doubted(mut self, why: impl Into<String>) -> Self {
        self.doubt = self.doubt.or(Some(why.into()));
        self
    }
}
