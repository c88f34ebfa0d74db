//! Ctrl-C, SIGTERM and a closed terminal: the first ends the work in order, the second ends the program at once.

use std::thread;
use tokio::sync::watch;

/// Exit code of a program that was interrupted, as shells have it (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Tells whether the user wants it to end.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen. It has a thread of its own, so that a second Ctrl-C works while a write to a full pipe blocks.
    #[must_use]
    pub fn listen() -> Self {
        let (sender, asked) = watch::channel(false);
        thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return; // the default action of the signal stays: it ends the program
            };
            runtime.block_on(async {
                if signalled().await.is_ok() {
                    let _ = sender.send(true);
                    if signalled().await.is_ok() {
                        // A helper ends by itself when its standard input closes.
                        crate::typed::restore();
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        });
        Self(asked)
    }

    /// Nobody is listened to: a signal ends the program at once.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// It was asked to end.
    #[must_use]
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the user asks for the end.
    pub async fn wait(&self) {
        // Where nobody listens for signals any more, none will come.
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        _ = hangup.recv() => (),
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
