//! Ctrl-C and friends: whatever lab or stage stands is taken down before the process ends.
use std::process::exit;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::kubernetes::stage;
use crate::lab;

/// From now on SIGINT, SIGTERM and SIGHUP take down this process's labs and stages and end it with 128 + the signal's number.
/// To be called before any other thread is started.
pub fn take_down_labs() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("blocking signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let signal = signals.wait();
            lab::take_down_all();
            stage::take_down_all();
            exit(128 + signal.map_or(0, |signal| signal as i32));
        })
        .context("starting the thread that waits for signals")?;
    Ok(())
}
