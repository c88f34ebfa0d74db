//! The expressions that `nf_tables`' rules are made of, typed (`linux/netfilter/nf_tables.h`).
//!
//! A rule is a little program: expressions load bytes into registers, others change or compare them, and the rule ends
//! where a comparison fails.

/// The place of a register among 16 of four bytes each. Wider values take those behind it too.
pub type Register = u8;

/// Bytes of a register.
pub const REGISTER_BYTES: usize = 4;
/// How many registers there are.
pub const REGISTERS: usize = 16;

/// A value, or what to do with the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes as they are compared.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(NftVerdict),
}

/// What to do with the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NftVerdict {
    /// Accept it in this base chain.
    Accept,
    /// Drop it.
    Drop,
    /// To user space; the queue's number.
    Queue(u16),
    /// Next rule.
    Continue,
    /// Next rule, the rest of this one is left out.
    Break,
    /// To a chain and back.
    Jump(String),
    /// To a chain.
    Goto(String),
    /// Back to the caller.
    Return,
    /// A code this version does not know.
    Other(i32),
}

/// How bytes are compared, as unsigned numbers in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// The header that an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// Link layer.
    Link,
    /// Network.
    Network,
    /// Transport.
    Transport,
    /// Behind the transport header.
    Inner,
}

/// A calculation on bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bits {
    /// `(value & mask) ^ xor`.
    Mask {
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// Shifted by so many bits.
    Left(u32),
    Right(u32),
    /// With another register.
    With {
        op: &'static str,
        other: Option<Register>,
    },
}

/// Where a translation leads: registers that hold the first and last address and port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatRegisters {
    pub address: Option<Register>,
    pub address_last: Option<Register>,
    pub port: Option<Register>,
    pub port_last: Option<Register>,
    /// `NF_NAT_RANGE_*`.
    pub flags: u32,
}

/// What comes of a hash or a number generator is below `modulus`, plus `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub modulus: u32,
    pub offset: u32,
}

/// One expression. `into` and `from` are registers; keys are the kernel's own numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Payload {
        base: Base,
        offset: u32,
        len: u32,
        into: Register,
    },
    PayloadSet {
        base: Base,
        offset: u32,
        len: u32,
        from: Register,
    },
    Meta {
        key: u32,
        into: Register,
    },
    MetaSet {
        key: u32,
        from: Register,
    },
    Ct {
        key: u32,
        direction: Option<u8>,
        into: Register,
    },
    CtSet {
        key: u32,
        direction: Option<u8>,
        from: Register,
    },
    Cmp {
        from: Register,
        op: Op,
        data: Vec<u8>,
    },
    Range {
        from: Register,
        inverted: bool,
        low: Vec<u8>,
        high: Vec<u8>,
    },
    /// `into` for a map; `Verdict` when the map's values are verdicts.
    Lookup {
        set: String,
        from: Register,
        into: Option<Destination>,
        inverted: bool,
    },
    Immediate {
        into: Register,
        data: Vec<u8>,
    },
    Verdict(NftVerdict),
    Bitwise {
        from: Register,
        into: Register,
        len: u32,
        bits: Bits,
    },
    Byteorder {
        from: Register,
        into: Register,
        len: u32,
        size: u32,
    },
    Counter {
        packets: u64,
        bytes: u64,
    },
    Limit {
        rate: u64,
        per_s: u64,
        burst: u32,
        bytes: bool,
        inverted: bool,
    },
    Quota {
        bytes: u64,
        used: u64,
        inverted: bool,
    },
    Connlimit {
        count: u32,
        inverted: bool,
    },
    Last,
    Numgen {
        random: bool,
        spread: Spread,
        into: Register,
    },
    /// `from` for jhash (with the bytes it reads), `None` for symhash.
    Hash {
        from: Option<(Register, u32)>,
        seed: Option<u32>,
        spread: Spread,
        into: Register,
    },
    Fib {
        result: u32,
        flags: u32,
        into: Register,
    },
    Rt {
        key: u32,
        into: Register,
    },
    Socket {
        key: u32,
        level: u32,
        into: Register,
    },
    /// An extension header (`op` 0), TCP option (1), IP option (2), SCTP chunk (3), DCCP option (4).
    Exthdr {
        op: u32,
        kind: u8,
        offset: u32,
        len: u32,
        present: bool,
        into: Register,
    },
    /// Writes into such an option; without `from` it is taken away.
    ExthdrSet {
        op: u32,
        kind: u8,
        offset: u32,
        len: u32,
        from: Option<Register>,
    },
    Nat {
        source: bool,
        family: u32,
        target: NatRegisters,
    },
    Masq {
        target: NatRegisters,
    },
    Redir {
        target: NatRegisters,
    },
    Reject {
        kind: u32,
        code: u8,
    },
    Queue {
        number: u16,
        total: u16,
        flags: u16,
        from: Option<Register>,
    },
    Log {
        prefix: String,
        group: Option<u16>,
        /// Bytes of each packet that are copied.
        snaplen: Option<u32>,
        /// Packets that are handed over at once.
        threshold: Option<u16>,
    },
    /// A named object; `from` where a map says which.
    Objref {
        kind: u32,
        name: String,
    },
    ObjrefMap {
        set: String,
        from: Register,
    },
    Dynset {
        set: String,
        op: u32,
        key: Register,
        data: Option<Register>,
        exprs: Vec<Expr>,
        inverted: bool,
    },
    Tproxy {
        family: u32,
        address: Option<Register>,
        port: Option<Register>,
    },
    Synproxy,
    Fwd,
    Dup,
    Notrack,
    FlowOffload {
        table: String,
    },
    /// A match of xtables: its name, revision and own struct.
    XtMatch {
        name: String,
        revision: u32,
        info: Vec<u8>,
    },
    /// A target of xtables.
    XtTarget {
        name: String,
        revision: u32,
        info: Vec<u8>,
    },
    /// One that this version does not decode. What it does to registers is unknown.
    Unknown {
        name: String,
    },
}

/// Where a map's value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Register(Register),
    Verdict,
}
