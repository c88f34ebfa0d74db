//! Reads without calls, for programs that meet every packet: fields of an skb the verifier knows, and bytes of headers
//! where it allows plain loads (since 6.17).

#![expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the verifier, not the caller, answers for these pointers"
)]

use crate::fields::*;
use core::mem::MaybeUninit;

/// A field of an object that the verifier knows.
#[inline(always)]
pub fn load<T: Copy>(object: *const u8, field: &'static u32) -> T {
    load_at(object, given(field))
}

/// What lies at an offset of an object that the verifier knows.
#[inline(always)]
pub fn load_at<T: Copy>(object: *const u8, offset: u32) -> T {
    // SAFETY: a field of the object, by this kernel's offsets; the verifier checks them.
    unsafe { core::ptr::read_volatile(object.add(offset as usize).cast()) }
}

/// A byte of the packet.
#[inline(always)]
pub fn byte(header: *const u8, at: usize) -> u8 {
    if given(&set__direct) != 0 {
        // SAFETY: the verifier guards the load; what is not mapped reads as zero.
        unsafe { core::ptr::read_volatile(header.add(at)) }
    } else {
        read(header as u64 + at as u64).unwrap_or(0)
    }
}

/// Four bytes of the packet, as they lie there.
#[inline(always)]
pub fn four(header: *const u8, at: usize) -> u32 {
    if given(&set__direct) != 0 {
        // SAFETY: as above; this machine reads what is not aligned.
        unsafe { core::ptr::read_volatile(header.add(at).cast()) }
    } else {
        read(header as u64 + at as u64).unwrap_or(0)
    }
}

/// The number that no protocol has (RFC 3692): what is behind no IP header, or is not asked for.
pub const NO_PROTOCOL: u8 = 255;

/// The protocol behind an IP header, and the header's length. That of IPv4 is read as the caller does it.
#[inline(always)]
pub fn ip_header(header: *const u8, protocol_of_v4: impl FnOnce() -> u8) -> (u8, usize) {
    let first = byte(header, 0);
    let length = if first >> 4 == 4 {
        usize::from(first & 0xf) * 4
    } else {
        40
    };
    let protocol = match first >> 4 {
        4 => protocol_of_v4(),
        6 => byte(header, 6),
        _ => NO_PROTOCOL,
    };
    (protocol, length)
}

/// Source and destination port at the start of a layer-4 header, as numbers below 65536, which the verifier must know too.
#[inline(always)]
pub fn ports(header: *const u8, at: usize) -> (usize, usize) {
    let both = four(header, at);
    (bounded(both as u16), bounded((both >> 16) as u16))
}

/// The first of them alone.
#[inline(always)]
pub fn port(header: *const u8, at: usize) -> usize {
    bounded(four(header, at) as u16)
}

#[inline(always)]
fn bounded(port: u16) -> usize {
    if given(&set__direct) != 0 {
        return usize::from(u16::from_be(port));
    }
    // Older verifiers lose the bounds when bytes are swapped, and find them when they are loaded again.
    let mut swapped = MaybeUninit::<u16>::uninit();
    // SAFETY: two bytes of our stack, written before they are read.
    let swapped = unsafe {
        swapped.as_mut_ptr().write_volatile(u16::from_be(port));
        swapped.as_ptr().read_volatile()
    };
    usize::from(swapped)
}

/// Where the network header is. `at_data`: on the way in, before the kernel has noted it, the packet starts there.
#[inline(always)]
pub fn network_header(skb: *const u8, at_data: bool) -> *const u8 {
    if at_data {
        return load(skb, &sk_buff__data);
    }
    let head: *const u8 = load(skb, &sk_buff__head);
    let offset: u16 = load(skb, &sk_buff__network_header);
    // SAFETY: an address only; loads from it are guarded.
    unsafe { head.add(usize::from(offset)) }
}

/// The lower half of the skb's address as a number. The verifier lets nobody calculate with a pointer it trusts; a pointer
/// that lay on the stack and lost a byte there is a number to it. That byte is the highest, which is 0xff in every address
/// of the kernel. (The half is read beside the byte just written, so the processor need not wait for it.)
#[inline(always)]
pub fn low_address(skb: *const u8) -> u32 {
    let mut spilt = MaybeUninit::<u64>::uninit();
    let place = spilt.as_mut_ptr();
    // SAFETY: eight bytes of our stack, written before they are read.
    unsafe {
        place.cast::<*const u8>().write_volatile(skb);
        place.cast::<u8>().add(7).write_volatile(0xff);
        place.cast::<u32>().read_volatile()
    }
}

/// The skb's whole address as a number.
#[inline(always)]
pub fn address(skb: *const u8) -> u64 {
    let mut spilt = MaybeUninit::<u64>::uninit();
    let place = spilt.as_mut_ptr();
    // SAFETY: as above.
    unsafe {
        place.cast::<*const u8>().write_volatile(skb);
        place.cast::<u8>().add(7).write_volatile(0xff);
        place.read_volatile()
    }
}
