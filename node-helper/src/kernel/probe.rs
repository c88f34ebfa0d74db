//! What a probe is, and what of it a kernel can carry.

use super::btf::Layout;
use super::load::{self, ProgramHook};
use model::missing::Missing;
use model::protocol::ProbeStatus;

/// What a probe is.
#[derive(Debug)]
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// What it sees.
    pub about: &'static str,
    /// What it costs, in words.
    pub cost: &'static str,
    /// Its programs.
    pub elf: &'static [u8],
    /// For each thing to see, the ways to see it, best first.
    pub places: &'static [&'static [ProgramHook]],
    /// What it can do without.
    pub details: &'static [Detail],
    /// Room for events that wait for the helper.
    pub ring_bytes: u32,
}

/// Something that not every kernel gives, and what is lacking without it.
#[derive(Debug)]
pub struct Detail {
    need: Need,
    lacks: &'static str,
    /// Further hooks, all of which together see what is lacking.
    pub stand_ins: &'static [ProgramHook],
}

#[derive(Debug)]
enum Need {
    Field(&'static str, &'static str),
    Arguments(&'static str, u32),
    Tracepoint(&'static str),
    NoTracepoint(&'static str),
    Hooks,
}

impl Detail {
    /// A field of a structure.
    pub const fn field(of: &'static str, field: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::Field(of, field),
            lacks,
            stand_ins: &[],
        }
    }

    /// A tracepoint with that many arguments.
    pub const fn argument(tracepoint: &'static str, arguments: u32, lacks: &'static str) -> Self {
        Self {
            need: Need::Arguments(tracepoint, arguments),
            lacks,
            stand_ins: &[],
        }
    }

    /// A tracepoint: a hook in its place says less.
    pub const fn tracepoint(name: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::Tracepoint(name),
            lacks,
            stand_ins: &[],
        }
    }

    /// Something that only the function behind a tracepoint is told: lacking where the tracepoint is used.
    pub const fn behind(tracepoint: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::NoTracepoint(tracepoint),
            lacks,
            stand_ins: &[],
        }
    }

    /// Something that nothing but these hooks sees, all of which together are needed.
    pub const fn seen_at(hooks: &'static [ProgramHook], lacks: &'static str) -> Self {
        Self {
            need: Need::Hooks,
            lacks,
            stand_ins: hooks,
        }
    }

    /// Further hooks, all of which together see what is lacking.
    #[must_use]
    pub const fn or_seen_at(mut self, stand_ins: &'static [ProgramHook]) -> Self {
        self.stand_ins = stand_ins;
        self
    }

    /// The further hooks to use on this kernel: none where nothing is lacking, or where one of them is not there either.
    pub fn stand_ins(&self, layout: &Layout) -> &'static [ProgramHook] {
        let all = self.stand_ins.iter().all(|hook| hook.absent(layout).is_none());
        if all && self.is_lacking(layout) {
            self.stand_ins
        } else {
            &[]
        }
    }

    fn is_lacking(&self, layout: &Layout) -> bool {
        match self.need {
            Need::Field(of, field) => !layout.fields.contains_key(&(of.to_owned(), field.to_owned())),
            Need::Arguments(tracepoint, arguments) => layout
                .tracepoints
                .get(tracepoint)
                .is_none_or(|found| found.arguments < arguments),
            Need::Tracepoint(name) => !layout.tracepoints.contains_key(name),
            Need::NoTracepoint(tracepoint) => layout.tracepoints.contains_key(tracepoint),
            Need::Hooks => true,
        }
    }
}

impl Probe {
    /// The hooks that this kernel has, or why one that is needed is not there.
    pub fn hooks(&self, layout: &Layout) -> Result<Vec<ProgramHook>, String> {
        let fields = load::globals(self.elf).map_err(|error| format!("{error:#}"))?;
        for global in fields {
            if let Some((of, field)) = load::as_field(&global.name)
                && !layout.fields.contains_key(&(of.clone(), field.clone()))
                && !self.can_do_without(&of, &field)
            {
                return Err(format!("no {of}.{field} in this kernel"));
            }
        }
        self.places
            .iter()
            .map(|place| {
                let there = place.iter().find(|hook| hook.absent(layout).is_none());
                there.copied().ok_or_else(|| {
                    let reasons: Vec<String> = place.iter().filter_map(|hook| hook.absent(layout)).collect();
                    reasons.join("; ")
                })
            })
            .collect()
    }

    fn can_do_without(&self, of: &str, field: &str) -> bool {
        self.details
            .iter()
            .any(|detail| matches!(detail.need, Need::Field(known, name) if known == of && name == field))
    }

    /// What it can do on this kernel, or why it can do nothing.
    pub fn status(&self, layout: &Layout) -> ProbeStatus {
        let mut status = ProbeStatus {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            cost: self.cost.to_owned(),
            ..ProbeStatus::default()
        };
        match self.hooks(layout) {
            Ok(hooks) => {
                let stand_ins = self.details.iter().flat_map(|detail| detail.stand_ins(layout)).copied();
                status.hooks = hooks.into_iter().chain(stand_ins).map(ProgramHook::label).collect();
                status.lacks = self.lacks(layout, |detail| detail.stand_ins(layout).is_empty());
            }
            Err(why) => status.unsupported = Some(self.missing(why)),
        }
        status
    }

    /// What is lacking on this kernel, of the details that count.
    pub fn lacks(&self, layout: &Layout, counts: impl Fn(&Detail) -> bool) -> Vec<String> {
        let lacking = self
            .details
            .iter()
            .filter(|detail| detail.is_lacking(layout) && counts(detail));
        lacking.map(|detail| detail.lacks.to_owned()).collect()
    }

    /// What it would have seen, for this reason.
    pub fn missing(&self, why: impl Into<String>) -> Missing {
        Missing::new(format!("probe {}", self.name), why)
    }
}
