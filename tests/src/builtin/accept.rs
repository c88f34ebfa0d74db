//! What the TCP servers share: listen, say `ready`, and a thread for every connection.
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::arguments::Listen;
use super::ready;

/// Hands every connection to a thread of its own, for ever; an accept that fails (no descriptors left) is tried again.
pub fn each(listen: Listen, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Result<()> {
    let listener = listen.listener(1024)?;
    ready()?;
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let serve = serve.clone();
        let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || serve(stream));
    }
}
