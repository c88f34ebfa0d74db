//! Constant folding before the verifier sees a program: what does not change on this kernel becomes a number in its code
//! (offsets that the loader found, addresses of arrays with one entry). A program that runs for every packet then loads and calls less.
//!
//! Only what the compiler writes side by side is touched; anything else stays as it was and means the same.

use aya_obj::generated::bpf_insn;
use std::collections::{HashMap, HashSet};

const LOAD_64_IMMEDIATE: u8 = 0x18;
const LOAD_32: u8 = 0x61;
const MOVE_32_IMMEDIATE: u8 = 0xb4;
const CALL: u8 = 0x85;
const JUMP: u8 = 0x05;
/// A jump whose way is its immediate.
const JUMP_FAR: u8 = 0x06;
const EXIT: u8 = 0x95;
/// Classes of instructions that jump.
const JUMPS: u8 = 0x05;
const JUMPS_32: u8 = 0x06;
/// What the immediate of a 64-bit load stands for: a map, or an address in a map's first value.
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;
/// What a call of a function in the same program has for a source.
const OWN_FUNCTION: u8 = 1;
/// The helper `bpf_map_lookup_elem`.
const LOOKUP: i32 = 1;

/// The maps that are constant, by descriptor.
#[derive(Debug, Default)]
pub struct Constants<'a> {
    /// Content of maps that are frozen.
    pub frozen: HashMap<i32, &'a [u8]>,
    /// Arrays with one entry, which is only ever looked up at 0.
    pub single: HashSet<i32>,
}

/// Folds a program, and leaves out what is no longer needed. (The verifier would do so too, one instruction at a time, and move
/// all that follows each time.)
pub fn fold(program: &mut Vec<bpf_insn>, constants: &Constants<'_>) {
    replace(program, constants);
    leave_out_nothings(program);
}

/// Replaces in place. What is no longer needed becomes a jump to the next instruction.
fn replace(program: &mut [bpf_insn], constants: &Constants<'_>) {
    let targets = targets(program);
    for at in 0..program.len().saturating_sub(2) {
        let [load, upper, user] = [program[at], program[at + 1], program[at + 2]];
        if load.code != LOAD_64_IMMEDIATE || targets.contains(&(at + 2)) {
            continue;
        }
        if load.src_reg() == MAP_VALUE
            && user.code == LOAD_32
            && user.src_reg() == load.dst_reg()
            && let Some(content) = constants.frozen.get(&load.imm)
            && let Some(value) = word(content, i64::from(upper.imm) + i64::from(user.off))
        {
            if user.dst_reg() == load.dst_reg() {
                program[at] = nothing();
                program[at + 1] = nothing();
            }
            program[at + 2] = instruction(MOVE_32_IMMEDIATE, user.dst_reg(), 0, value);
        } else if load.src_reg() == MAP
            && load.dst_reg() == 1
            && user.code == CALL
            && user.src_reg() == 0
            && user.imm == LOOKUP
            && constants.single.contains(&load.imm)
        {
            program[at] = instruction(LOAD_64_IMMEDIATE, 0, MAP_VALUE, load.imm);
            program[at + 1] = instruction(0, 0, 0, 0);
            program[at + 2] = nothing();
        }
    }
}

/// Where jumps lead.
fn targets(program: &[bpf_insn]) -> HashSet<usize> {
    let all = program.iter().enumerate();
    all.filter_map(|(at, jump)| target(at, *jump)).collect()
}

/// Where an instruction jumps to, if it does.
fn target(at: usize, jump: bpf_insn) -> Option<usize> {
    let jumps = matches!(jump.code & 0x07, JUMPS | JUMPS_32) && !matches!(jump.code, CALL | EXIT);
    let way = match jump.code {
        JUMP_FAR => i64::from(jump.imm),
        _ => i64::from(jump.off),
    };
    usize::try_from(at as i64 + 1 + way).ok().filter(|_| jumps)
}

/// Leaves out jumps to the next instruction, and lets the others lead to where they led. A program that calls functions of its own,
/// whose distance would change too, stays as it is.
fn leave_out_nothings(program: &mut Vec<bpf_insn>) {
    let is_own_call = |one: &bpf_insn| one.code == CALL && one.src_reg() == OWN_FUNCTION;
    if program.iter().any(|one| is_own_call(one) || one.code == JUMP_FAR) {
        return;
    }
    // Where each instruction is in what is left; the one behind the last, too.
    let mut places = Vec::with_capacity(program.len() + 1);
    let mut left = Vec::with_capacity(program.len());
    for (at, one) in program.iter().enumerate() {
        places.push(left.len());
        if !is_nothing(*one) {
            left.push((at, *one));
        }
    }
    places.push(left.len());
    for (now, (at, one)) in left.iter_mut().enumerate() {
        let Some(to) = target(*at, *one) else { continue };
        let Some(place) = places.get(to) else { return };
        let Ok(way) = i16::try_from(*place as i64 - now as i64 - 1) else {
            return;
        };
        one.off = way;
    }
    *program = left.into_iter().map(|(_, one)| one).collect();
}

fn word(content: &[u8], at: i64) -> Option<i32> {
    let at = usize::try_from(at).ok()?;
    let bytes = content.get(at..at + 4)?;
    Some(i32::from_ne_bytes(bytes.try_into().ok()?))
}

fn is_nothing(one: bpf_insn) -> bool {
    (one.code, one.off) == (JUMP, 0)
}

/// A jump to the next instruction.
fn nothing() -> bpf_insn {
    instruction(JUMP, 0, 0, 0)
}

fn instruction(code: u8, to: u8, from: u8, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off: 0,
        imm,
    }
}

#[cfg(test)]
mod tests {
    use super::{CALL, Constants, EXIT, JUMP, LOAD_32, LOAD_64_IMMEDIATE, LOOKUP, MAP, MAP_VALUE};
    use super::{MOVE_32_IMMEDIATE, OWN_FUNCTION, fold, instruction};
    use aya_obj::generated::bpf_insn;

    const NOT_EQUAL: u8 = 0x55;

    fn constants() -> Constants<'static> {
        Constants {
            frozen: [(7, [0, 0, 0, 0, 0x18, 0, 0, 0].as_slice())].into(),
            single: [9].into(),
        }
    }

    /// Code, destination, source and immediate of each instruction.
    fn folded(mut program: Vec<bpf_insn>) -> Vec<(u8, u8, u8, i32)> {
        fold(&mut program, &constants());
        let told = |one: &bpf_insn| (one.code, one.dst_reg(), one.src_reg(), one.imm);
        program.iter().map(told).collect()
    }

    fn offset(to: u8) -> Vec<bpf_insn> {
        vec![
            instruction(LOAD_64_IMMEDIATE, 1, MAP_VALUE, 7),
            instruction(0, 0, 0, 4),
            instruction(LOAD_32, to, 1, 0),
        ]
    }

    #[test]
    fn an_offset_becomes_a_number() {
        assert_eq!(folded(offset(1)), [(MOVE_32_IMMEDIATE, 1, 0, 0x18)]);
        // The address may be needed again where it was not overwritten.
        assert_eq!(folded(offset(2))[0], (LOAD_64_IMMEDIATE, 1, MAP_VALUE, 7));
        assert_eq!(folded(offset(2))[2], (MOVE_32_IMMEDIATE, 2, 0, 0x18));
    }

    #[test]
    fn a_lookup_of_the_only_entry_becomes_its_address() {
        let lookup = |map| {
            folded(vec![
                instruction(LOAD_64_IMMEDIATE, 1, MAP, map),
                instruction(0, 0, 0, 0),
                instruction(CALL, 0, 0, LOOKUP),
            ])
        };
        assert_eq!(lookup(9)[0], (LOAD_64_IMMEDIATE, 0, MAP_VALUE, 9));
        assert_eq!(lookup(9).len(), 2);
        assert_eq!(lookup(8)[2], (CALL, 0, 0, LOOKUP), "a map with more entries");
    }

    #[test]
    fn jumps_over_what_is_left_out_lead_to_where_they_led() {
        let to = |code, off| bpf_insn {
            off,
            ..instruction(code, 1, 0, 0)
        };
        let exit = instruction(EXIT, 0, 0, 0);
        // Over an offset, over another and back over both.
        let mut program = vec![to(NOT_EQUAL, 3)];
        program.extend(offset(1));
        program.push(to(NOT_EQUAL, 3));
        program.extend(offset(1));
        program.extend([to(NOT_EQUAL, -9), exit]);
        fold(&mut program, &constants());
        let ways: Vec<(u8, i16)> = program.iter().map(|one| (one.code, one.off)).collect();
        let number = (MOVE_32_IMMEDIATE, 0);
        let jump = |off| (NOT_EQUAL, off);
        assert_eq!(ways, [jump(1), number, jump(1), number, jump(-5), (EXIT, 0)]);
    }

    #[test]
    fn a_program_with_functions_of_its_own_keeps_its_length() {
        let mut program = offset(1);
        program.push(instruction(CALL, 0, OWN_FUNCTION, 0));
        assert_eq!(folded(program)[0], (JUMP, 0, 0, 0));
    }

    #[test]
    fn what_can_be_jumped_into_is_left_alone() {
        let mut program = offset(1);
        let mut jump = instruction(JUMP, 0, 0, 0);
        jump.off = -2;
        program.push(jump);
        let before: Vec<u8> = program.iter().map(|one| one.code).collect();
        let after: Vec<u8> = folded(program).iter().map(|one| one.0).collect();
        assert_eq!(before, after);
    }
}
