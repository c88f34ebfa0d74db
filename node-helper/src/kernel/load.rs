//! From an embedded ELF to attached programs: set what this kernel's BTF says, create maps, load, attach the first hook
//! that this kernel has. A loader of our own over `aya-obj`, because a general one parses all of the kernel's BTF.

use super::btf::Layout;
use super::fold::{Constants, fold};
use crate::system::bpf::{self, MapShape, ProgramKind};
use crate::system::door;
use anyhow::{Context, anyhow};
use aya_obj::Object;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// One way to see something in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramHook {
    /// A raw tracepoint; the program reads everything by checked reads.
    Raw {
        /// The tracepoint.
        at: &'static str,
        /// The program in the ELF.
        program: &'static str,
    },
    /// The same tracepoint, with arguments the verifier knows (`tp_btf`), where plain loads pay.
    Typed {
        /// The tracepoint.
        at: &'static str,
        /// The program in the ELF.
        program: &'static str,
    },
    /// A function's entry by trampoline (fentry).
    Function {
        /// The function.
        at: &'static str,
        /// The program in the ELF.
        program: &'static str,
    },
    /// A function's entry by breakpoint (kprobe).
    Kprobe {
        /// The function.
        at: &'static str,
        /// The program in the ELF.
        program: &'static str,
    },
}

impl Loaded {
    /// All of its programs.
    pub fn all_programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.programs.iter().chain(&self.stand_ins).chain(&self.silent)
    }
}

impl ProgramHook {
    /// The hook as it is shown, e.g. `raw_tp:kfree_skb`.
    pub fn label(self) -> String {
        match self {
            Self::Raw { at, .. } => format!("raw_tp:{at}"),
            Self::Typed { at, .. } => format!("tp_btf:{at}"),
            Self::Function { at, .. } => format!("fentry:{at}"),
            Self::Kprobe { at, .. } => format!("kprobe:{at}"),
        }
    }

    /// What it needs to be there.
    pub fn at(self) -> &'static str {
        match self {
            Self::Raw { at, .. } | Self::Typed { at, .. } | Self::Function { at, .. } | Self::Kprobe { at, .. } => at,
        }
    }

    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Raw { program, .. }
            | Self::Typed { program, .. }
            | Self::Function { program, .. }
            | Self::Kprobe { program, .. } => program,
        }
    }

    /// The program that stands in where the kernel leaves [`Self::program`] out, if its ELF has one of that name
    /// (`node_helper_ebpf::stand_in`).
    pub fn again(self) -> String {
        format!("{}_again", self.program())
    }

    /// Whether its program tells nothing and only keeps what others know in order, as its name says: what the kernel leaves out of
    /// such a program is no loss.
    pub fn is_silent(self) -> bool {
        self.program().starts_with("forget_")
    }

    /// Why this kernel does not have it, if it does not.
    pub fn absent(self, layout: &Layout) -> Option<String> {
        match self {
            Self::Raw { at, .. } | Self::Typed { at, .. } => {
                (!layout.tracepoints.contains_key(at)).then(|| format!("no tracepoint {at} in this kernel"))
            }
            Self::Function { at, .. } => {
                (!layout.functions.contains_key(at)).then(|| format!("no function {at} in this kernel"))
            }
            Self::Kprobe { at, .. } => {
                if kprobe_type().is_none() {
                    Some("this kernel was built without kprobes".to_owned())
                } else {
                    (!layout.functions.contains_key(at)).then(|| format!("no function {at} in this kernel"))
                }
            }
        }
    }

    fn kind(self, layout: &Layout) -> Option<ProgramKind> {
        Some(match self {
            Self::Raw { .. } => bpf::RAW_TRACEPOINT,
            Self::Typed { at, .. } => bpf::traced_tracepoint(layout.tracepoints.get(at)?.id),
            Self::Function { at, .. } => bpf::function_entry(*layout.functions.get(at)?),
            Self::Kprobe { .. } => bpf::KPROBE,
        })
    }
}

/// The number under which this kernel offers kprobes, if it does.
fn kprobe_type() -> Option<u32> {
    door::text("/sys/bus/event_source/devices/kprobe/type", door::FEW_LINES)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// A number that the loader sets in an ELF, by name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `struct__field`, `args__tracepoint` or `set__name`.
    pub name: String,
    section: usize,
    offset: usize,
}

/// The numbers that an ELF's programs use. They are the constants of `node_helper_ebpf::fields` that the linker kept.
pub fn globals(elf: &[u8]) -> anyhow::Result<Vec<Global>> {
    const PLACE: &str = "6fields";
    let file = object::File::parse(elf).context("an embedded program is no ELF")?;
    let read_only: HashSet<usize> = file
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name == ".rodata"))
        .map(|section| section.index().0)
        .collect();
    Ok(file
        .symbols()
        .filter_map(|symbol| {
            let section = symbol.section_index()?.0;
            let mangled = symbol.name().ok()?;
            let (_, rest) = mangled.split_once(PLACE)?;
            let digits = rest.find(|character: char| !character.is_ascii_digit())?;
            let length: usize = rest.get(..digits)?.parse().ok()?;
            let name = rest.get(digits..digits + length)?.to_owned();
            read_only.contains(&section).then_some(Global {
                name,
                section,
                offset: symbol.address() as usize,
            })
        })
        .collect())
}

/// The maps that an ELF's programs use, of all that the linker kept. Whoever sends events has a budget.
fn used_maps(elf: &[u8]) -> anyhow::Result<HashSet<String>> {
    let file = object::File::parse(elf).context("an embedded program is no ELF")?;
    let relocations = file.sections().flat_map(|section| section.relocations());
    let targets = relocations.filter_map(|(_, relocation)| match relocation.target() {
        RelocationTarget::Symbol(symbol) => file.symbol_by_index(symbol).ok()?.name().ok(),
        _ => None,
    });
    let mut used: HashSet<String> = targets.map(str::to_owned).collect();
    if used.contains("EVENTS") {
        used.insert("BUDGET".to_owned());
    }
    Ok(used)
}

/// A field as (structure, field): `sk_buff___skb_refdst` is (`sk_buff`, `_skb_refdst`).
pub fn as_field(global: &str) -> Option<(String, String)> {
    let (of, field) = global.split_once("__")?;
    (of != "args" && of != "set").then(|| (of.to_owned(), field.to_owned()))
}

/// A tracepoint whose number of arguments is asked for.
pub fn as_arguments(global: &str) -> Option<&str> {
    global.strip_prefix("args__")
}

/// Maps that several programs share, by name.
pub type SharedMaps = HashMap<String, Arc<OwnedFd>>;

/// What a probe was loaded with.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Its maps by name; the shared ones too.
    pub maps: SharedMaps,
    /// The programs that tell what they see.
    pub programs: Vec<OwnedFd>,
    /// Programs that stand in for one of them (see [`ProgramHook::again`]).
    pub stand_ins: Vec<OwnedFd>,
    /// Programs that tell nothing (see [`ProgramHook::is_silent`]).
    pub silent: Vec<OwnedFd>,
    /// What keeps them attached.
    pub links: Vec<OwnedFd>,
    /// The hooks in use.
    pub hooks: Vec<ProgramHook>,
}

/// What to load and how.
#[derive(Debug)]
pub struct LoadPlan<'a> {
    /// The ELF.
    pub elf: &'a [u8],
    /// For each thing to see, the ways to see it, best first.
    pub places: &'a [&'a [ProgramHook]],
    /// Bytes of the ring.
    pub ring_bytes: u32,
    /// Events it may send before the helper refills its budget.
    pub budget: u32,
    /// What the helper asks for, without `set__`.
    pub settings: &'a [(&'a str, u32)],
}

const RODATA_FLAGS: u32 = 1 << 7; // BPF_F_RDONLY_PROG
const ARRAY: u32 = 2; // BPF_MAP_TYPE_ARRAY

/// A map of constants, frozen before programs are loaded.
pub fn is_constant(map: &str) -> bool {
    map.starts_with(".rodata")
}

/// Loads and attaches. A place none of whose hooks works is an error, which says why each did not.
pub fn load(plan: &LoadPlan<'_>, layout: &Layout, shared: &SharedMaps) -> anyhow::Result<Loaded> {
    let mut object = Object::parse(plan.elf).context("an embedded program cannot be read")?;
    let values: Vec<(Global, u32)> = globals(plan.elf)?
        .into_iter()
        .map(|global| {
            let value = value_of(&global.name, plan.settings, layout);
            (global, value)
        })
        .collect();

    let used = used_maps(plan.elf)?;
    object.maps.retain(|name, _| is_constant(name) || used.contains(name));
    let mut maps = SharedMaps::new();
    for (name, map) in &mut object.maps {
        if let Some(map) = shared.get(name) {
            maps.insert(name.clone(), Arc::clone(map));
            continue;
        }
        let constant = is_constant(name);
        let section = map.section_index();
        for (global, value) in values.iter().filter(|(global, _)| global.section == section) {
            if let Some(place) = map.data_mut().get_mut(global.offset..global.offset + 4) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
        let shape = MapShape {
            kind: map.map_type(),
            key: map.key_size(),
            value: map.value_size(),
            entries: if name == "EVENTS" {
                plan.ring_bytes
            } else {
                map.max_entries()
            },
            flags: map.map_flags() | if constant { RODATA_FLAGS } else { 0 },
        };
        let fd = create(name, shape)?;
        if constant {
            bpf::update_map(fd.as_fd(), &0u32.to_ne_bytes(), map.data())
                .and_then(|()| bpf::freeze_map(fd.as_fd()))
                .with_context(|| format!("cannot fill map {name}"))?;
        }
        if name == "BUDGET" {
            let events = i64::from(plan.budget).to_ne_bytes();
            bpf::update_map(fd.as_fd(), &0u32.to_ne_bytes(), &events).context("cannot set a budget")?;
        }
        maps.insert(name.clone(), Arc::new(fd));
    }

    let single = |(name, map): (&String, &aya_obj::Map)| {
        let shape_is = map.map_type() == ARRAY && map.max_entries() == 1 && !is_constant(name);
        shape_is.then(|| maps.get(name).map(AsRawFd::as_raw_fd)).flatten()
    };
    let contents: Vec<(i32, Vec<u8>)> = object
        .maps
        .iter()
        .filter(|(name, _)| is_constant(name))
        .filter_map(|(name, map)| Some((maps.get(name)?.as_raw_fd(), map.data().to_vec())))
        .collect();
    let constants = Constants {
        frozen: contents.iter().map(|(fd, content)| (*fd, content.as_slice())).collect(),
        single: object.maps.iter().filter_map(single).collect(),
    };

    let code: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let objects = object.maps.clone();
    object
        .relocate_maps(
            objects
                .iter()
                .filter_map(|(name, map)| Some((name.as_str(), maps.get(name)?.as_raw_fd(), map))),
            &code,
        )
        .context("cannot point the programs to their maps")?;
    object
        .relocate_calls(&code)
        .context("cannot link the programs' functions")?;

    let mut loaded = Loaded {
        maps,
        ..Loaded::default()
    };
    // The verifier takes nearly all of the time of arming, and works for each of us at once.
    let attempts = side_by_side(plan.places, |place| best(&object, place, layout, &constants));
    for attempt in attempts {
        let attached = attempt.map_err(|_| anyhow!("a thread that loads a program ended in a panic"))??;
        let programs = if attached.hook.is_silent() {
            &mut loaded.silent
        } else {
            &mut loaded.programs
        };
        programs.push(attached.program);
        loaded.links.push(attached.link);
        loaded.hooks.push(attached.hook);
        if let Some((program, link)) = attached.again {
            loaded.stand_ins.push(program);
            loaded.links.push(link);
        }
    }
    Ok(loaded)
}

/// Does it for each of them in a thread of its own; an `Err` is a thread that ended in a panic.
pub fn side_by_side<I: Sync, T: Send>(items: &[I], each: impl Fn(&I) -> T + Sync) -> Vec<std::thread::Result<T>> {
    std::thread::scope(|scope| {
        let each = &each;
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || each(item))).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    })
}

/// A hook in use: its program, what keeps it attached, and both of the one that stands in for it.
struct Attached {
    hook: ProgramHook,
    program: OwnedFd,
    link: OwnedFd,
    again: Option<(OwnedFd, OwnedFd)>,
}

/// Attaches to the first of these hooks that works.
fn best(
    object: &Object,
    place: &[ProgramHook],
    layout: &Layout,
    constants: &Constants<'_>,
) -> anyhow::Result<Attached> {
    let mut refusals = Vec::new();
    for hook in place {
        match attach(object, *hook, layout, constants) {
            Ok(attached) => return Ok(attached),
            Err(why) => {
                refusals.push(format!("{why:#}"));
                // Who writes a probe wants to know why the best hook is not used.
                if bpf::verifier_lines().is_some() && hook.absent(layout).is_none() {
                    break;
                }
            }
        }
    }
    Err(anyhow!("{}", refusals.join("; ")))
}

/// Creates a map, and says what to do where the kernel refuses.
pub fn create(name: &str, shape: MapShape) -> anyhow::Result<OwnedFd> {
    bpf::create_map(name, shape).map_err(|error| {
        if error.raw_os_error() == Some(libc::EPERM) {
            anyhow!("the kernel refuses bpf(2): run as root, or give CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
        } else {
            anyhow!(error).context(format!("cannot create map {name}"))
        }
    })
}

fn value_of(name: &str, settings: &[(&str, u32)], layout: &Layout) -> u32 {
    if let Some(tracepoint) = as_arguments(name) {
        return layout.tracepoints.get(tracepoint).map_or(0, |found| found.arguments);
    }
    if let Some(setting) = name.strip_prefix("set__") {
        return settings
            .iter()
            .find(|(name, _)| *name == setting)
            .map_or(0, |(_, value)| *value);
    }
    as_field(name)
        .and_then(|field| layout.fields.get(&field).copied())
        .unwrap_or(u32::MAX)
}

/// Loads the hook's programs side by side, and attaches them in their order.
fn attach(object: &Object, hook: ProgramHook, layout: &Layout, constants: &Constants<'_>) -> anyhow::Result<Attached> {
    if let Some(absent) = hook.absent(layout) {
        return Err(anyhow!(absent));
    }
    let kind = hook
        .kind(layout)
        .with_context(|| format!("no {} in this kernel", hook.at()))?;
    let again = Some(hook.again()).filter(|name| object.programs.contains_key(name));
    let names: Vec<String> = [hook.program().to_owned()].into_iter().chain(again).collect();
    let mut pairs = Vec::new();
    for program in side_by_side(&names, |name| verified(object, name, kind, constants)) {
        let program = program.map_err(|_| anyhow!("a thread that loads a program ended in a panic"))??;
        let link = link(hook, program.as_fd())?;
        pairs.push((program, link));
    }
    let again = if pairs.len() > 1 { pairs.pop() } else { None };
    let (program, link) = pairs.pop().context("a hook has no program")?;
    Ok(Attached {
        hook,
        program,
        link,
        again,
    })
}

/// Loads one program, which the kernel verifies.
fn verified(object: &Object, name: &str, kind: ProgramKind, constants: &Constants<'_>) -> anyhow::Result<OwnedFd> {
    let program = object
        .programs
        .get(name)
        .with_context(|| format!("there is no program {name} in its ELF"))?;
    let function = object
        .functions
        .get(&program.function_key())
        .with_context(|| format!("program {name} has no code"))?;
    let mut instructions = function.instructions.clone();
    fold(&mut instructions, constants);
    bpf::load_program(name, kind, &instructions, &program.license)
        .with_context(|| format!("the kernel refuses program {name}"))
}

/// Attaches a program to the hook it was loaded for.
fn link(hook: ProgramHook, program: BorrowedFd<'_>) -> anyhow::Result<OwnedFd> {
    match hook {
        ProgramHook::Raw { at, .. } => bpf::open_tracepoint(Some(at), program),
        ProgramHook::Typed { .. } | ProgramHook::Function { .. } => bpf::open_tracepoint(None, program),
        ProgramHook::Kprobe { at, .. } => bpf::open_kprobe(at, kprobe_type().unwrap_or(0), program),
    }
    .with_context(|| format!("cannot attach to {}", hook.label()))
}

#[cfg(test)]
mod tests {
    use super::{as_field, globals, used_maps};

    #[test]
    fn a_global_is_named_after_its_field() {
        let field = |name| as_field(name).map(|(of, field)| format!("{of}.{field}"));
        assert_eq!(field("sk_buff__dev").as_deref(), Some("sk_buff.dev"));
        assert_eq!(field("sk_buff___skb_refdst").as_deref(), Some("sk_buff._skb_refdst"));
        assert_eq!(field("args__kfree_skb"), None);
        assert_eq!(field("set__netns"), None);
    }

    #[test]
    fn an_elf_gets_only_the_maps_its_programs_use() {
        let has = |elf, map| used_maps(elf).unwrap().contains(map);
        assert!(has(crate::kernel::programs::SOCKETLATENCY, "HISTOGRAMS"));
        assert!(!has(crate::kernel::programs::SOCKETLATENCY, "TOTALS"));
        assert!(has(crate::kernel::programs::UDPBUF, "EVENTS"));
        assert!(!has(crate::kernel::programs::UDPBUF, "HISTOGRAMS"));
    }

    #[test]
    fn an_elf_asks_only_for_the_fields_its_programs_read() {
        let names: Vec<String> = globals(crate::kernel::programs::DROP)
            .unwrap()
            .into_iter()
            .map(|global| global.name)
            .collect();
        assert!(names.iter().any(|name| name == "sk_buff__dev"), "{names:?}");
        assert!(!names.iter().any(|name| name == "neighbour__dev"), "{names:?}");
    }
}
