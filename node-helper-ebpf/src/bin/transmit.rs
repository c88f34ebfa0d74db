//! `transmit`: when packets of watched flows leave the queue of a device for its driver.
#![no_std]
#![no_main]

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use model::word::Hook;
use node_helper_ebpf::direct_access::address;
use node_helper_ebpf::meeting::{may_concern, met};

node_helper_ebpf::license!();

#[btf_tracepoint(function = "net_dev_start_xmit")]
fn net_dev_start_xmit(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if may_concern(skb, false) {
        met(address(skb), Hook::Transmit, 0);
    }
    0
}
