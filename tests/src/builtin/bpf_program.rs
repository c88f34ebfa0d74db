//! `bpf-program`: writes an eBPF program that drops everything, or nothing, as an ELF object, for `ip`, `tc` and `bpftool` to load; no
//! compiler is needed for two instructions.
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::Builtin;
use super::arguments::Arguments;

/// The registry's entry.
pub const BPF_PROGRAM: Builtin = Builtin {
    name: "bpf-program",
    usage: "tc|xdp|cgroup FILE [pass]   writes an object whose section of that name drops (pass: lets through) every packet",
    stays: false,
    run,
};

const HEADER: usize = 64;

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let kind = arguments.next("kind of program")?;
    // TC_ACT_OK and TC_ACT_SHOT, XDP_PASS and XDP_DROP, and what a cgroup program answers for yes and no.
    let verdict = match (kind.as_str(), arguments.flag("pass")) {
        ("tc", true) | ("cgroup", false) => 0,
        ("tc", false) | ("xdp", true) => 2,
        ("xdp", false) | ("cgroup", true) => 1,
        (other, _) => bail!("no kind of program `{other}` (they are tc, xdp, cgroup)"),
    };
    let file = arguments.next("file")?;
    arguments.end()?;
    fs::write(&file, object(&kind, verdict)).with_context(|| format!("writing {file}"))
}

/// The object: `r0 = verdict; exit` in section `kind`, a licence, and a symbol for the function.
fn object(kind: &str, verdict: i32) -> Vec<u8> {
    let program = [
        &[0xb7, 0, 0, 0][..],
        &verdict.to_le_bytes(),
        &[0x95, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let names = format!("\0{kind}\0license\0.symtab\0.strtab\0all\0");
    let name = |text: &str| names.find(&format!("\0{text}\0")).map_or(0, |at| at as u32 + 1);
    // The null symbol, then a global function of 16 bytes in section 1.
    let function = [
        &name("all").to_le_bytes()[..],
        &[0x12, 0, 1, 0],
        &[0; 8],
        &16_u64.to_le_bytes(),
    ]
    .concat();
    let symbols = [vec![0; 24], function].concat();
    let contents: [&[u8]; 4] = [&program, b"GPL\0", &symbols, names.as_bytes()];
    // Type, flags, link, info, alignment, size of an entry.
    let kinds: [(&str, u32, u64, u32, u32, u64); 4] = [
        (kind, 1, 6, 0, 0, 8),
        ("license", 1, 3, 0, 0, 0),
        (".symtab", 2, 0, 4, 1, 24),
        (".strtab", 3, 0, 0, 0, 0),
    ];
    let mut body = Vec::new();
    let mut sections = vec![0; 64];
    for (content, (section, kind, flags, link, info, entry)) in contents.into_iter().zip(kinds) {
        body.resize(body.len().next_multiple_of(8), 0);
        let (at, size) = ((HEADER + body.len()) as u64, content.len() as u64);
        body.extend(content);
        sections.extend(name(section).to_le_bytes());
        sections.extend(kind.to_le_bytes());
        sections.extend([flags, 0, at, size].map(u64::to_le_bytes).concat());
        sections.extend([link, info].map(u32::to_le_bytes).concat());
        sections.extend([8, entry].map(u64::to_le_bytes).concat());
    }
    body.resize(body.len().next_multiple_of(8), 0);
    // 64 bit, little endian; relocatable, for the machine EM_BPF (247); sections after the body, names in the last one.
    let ident = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let start = (HEADER + body.len()) as u64;
    let header = [
        &ident[..],
        &[1, 247].map(u16::to_le_bytes).concat(),
        &1_u32.to_le_bytes(),
        &[0, 0, start].map(u64::to_le_bytes).concat(),
        &0_u32.to_le_bytes(),
        &[HEADER as u16, 0, 0, 64, 5, 4].map(u16::to_le_bytes).concat(),
    ]
    .concat();
    [header, body, sections].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_sections_where_its_header_says() {
        let object = object("xdp", 1);
        let start = u64::from_le_bytes(object[40..48].try_into().unwrap()) as usize;
        assert_eq!(object.len(), start + 5 * 64);
        let program = start + 64;
        let at = u64::from_le_bytes(object[program + 24..program + 32].try_into().unwrap()) as usize;
        assert_eq!(object[at..at + 8], [0xb7, 0, 0, 0, 1, 0, 0, 0]);
    }
}
