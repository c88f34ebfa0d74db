//! `tcp-connect`: a client that connects, sends, waits and closes (or aborts), once or over and over.
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use socket2::{SockRef, TcpKeepalive};

use super::Builtin;
use super::arguments::Arguments;

/// The registry's entry.
pub const TCP_CONNECT: Builtin = Builtin {
    name: "tcp-connect",
    usage: "ADDRESS:PORT [count=N] [every=MS] [send=BYTES] [get] [hold=MS] [keepalive=SECONDS] [linger0]   connects, sends (get: asks for / by HTTP), reads what comes for as long as it holds, closes (linger0: with a reset); count=0: for ever; count>1 connections are held at the same time",
    stays: false,
    run,
};

#[derive(Clone, Copy)]
struct Client {
    to: SocketAddr,
    send: usize,
    hold: Duration,
    keepalive: u64,
    abort: bool,
    get: bool,
}

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["count", "every", "send", "hold", "keepalive"]);
    let count = arguments.value("count", 1_u64)?;
    let every = Duration::from_millis(arguments.value("every", 0)?);
    let (abort, get) = (arguments.flag("linger0"), arguments.flag("get"));
    let client = Client {
        to: arguments.next_as("address and port")?,
        send: arguments.value("send", 0)?,
        hold: Duration::from_millis(arguments.value("hold", 0)?),
        keepalive: arguments.value("keepalive", 0)?,
        abort,
        get,
    };
    arguments.end()?;
    if count == 1 {
        return client.connect();
    }
    let mut open = Vec::new();
    let mut started = 0;
    while count == 0 || started < count {
        let one = thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || client.connect())
            .context("starting a thread")?;
        started += 1;
        if count == 0 && every.is_zero() {
            let _ = one.join();
        } else {
            open.push(one);
        }
        if !every.is_zero() {
            thread::sleep(every);
        }
    }
    for one in open {
        let _ = one.join();
    }
    Ok(())
}

impl Client {
    fn connect(self) -> Result<()> {
        let started = Instant::now();
        let mut stream = TcpStream::connect(self.to)
            .with_context(|| format!("connecting to {} ({:?})", self.to, started.elapsed()))?;
        let socket = SockRef::from(&stream);
        if self.keepalive > 0 {
            let each = Duration::from_secs(self.keepalive);
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(each).with_interval(each))?;
        }
        if self.abort {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        if self.get {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context("asking")?;
        }
        stream.write_all(&vec![b'x'; self.send]).context("sending")?;
        let mut buffer = [0; 4096];
        let opened = Instant::now();
        while let Some(left) = self.hold.checked_sub(opened.elapsed()).filter(|left| !left.is_zero()) {
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("reading"),
            }
        }
        Ok(())
    }
}
