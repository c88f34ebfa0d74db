//! Ctrl-C and SIGTERM: the first ends the work in order, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Exit code of a program that was interrupted, as shells have it (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Tells whether the user wants it to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to listen. It has a thread of its own, so that a second Ctrl-C works while a write to a full pipe blocks.
    #[must_use]
    pub fn listen() -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return; // the default action of the signal stays: it ends the program
            };
            runtime.block_on(async {
                if signalled().await.is_ok() {
                    told.store(true, Ordering::Relaxed);
                    if signalled().await.is_ok() {
                        // The helper ends by itself when its standard input closes.
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        });
        Self(asked)
    }

    /// It was asked to end.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
