//! The traffic that is measured: `bench traffic KIND ...`, run inside a namespace, prints how much it sent and the
//! processor time it took, in nanoseconds. What the kernel does for the sender, down to the receiver's queue, is in that time;
//! what else the machine does is not.

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The port that sinks listen on.
pub const PORT: u16 = 9000;
/// The port on which they answer.
const ANSWERING_PORT: u16 = 9001;
const REQUEST_BYTES: usize = 64;

/// The worker's side.
#[expect(clippy::print_stdout, reason = "two numbers for the parent")]
pub fn main(args: &[String]) -> Result<()> {
    let [kind, to, amount] = args else {
        bail!("usage: bench traffic KIND ADDRESS:PORT AMOUNT")
    };
    let to: SocketAddr = to.parse()?;
    let amount: u64 = amount.parse()?;
    let start = processor_time()?;
    let sent = match kind.as_str() {
        "flood" => flood(to, amount)?,
        "bulk" => bulk(to, Duration::from_millis(amount))?,
        "packets" => packets(to, Duration::from_millis(amount))?,
        "exchange" => exchange(to, Duration::from_millis(amount))?,
        "sink" => return sink(to),
        "sockets" => return sockets(to, amount),
        other => bail!("no traffic of kind `{other}`"),
    };
    println!("{sent} {}", processor_time()?.saturating_sub(start).as_nanos());
    Ok(())
}

/// The processor time of this process.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .context("read the processor's time")?
        .into())
}

/// Datagrams to a port where nobody listens.
fn flood(to: SocketAddr, count: u64) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for _ in 0..count {
        socket.send_to(b"0123456789abcdef", to)?;
    }
    Ok(count)
}

/// Bytes of one TCP connection.
fn bulk(to: SocketAddr, time: Duration) -> Result<u64> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    let block = vec![0u8; 128 * 1024];
    let (start, mut bytes) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        stream.write_all(&block)?;
        bytes += block.len() as u64;
    }
    Ok(bytes)
}

/// Small datagrams to a socket that takes them.
fn packets(to: SocketAddr, time: Duration) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        for _ in 0..64 {
            sent += u64::from(socket.send_to(b"0123456789abcdef", to).is_ok());
        }
    }
    Ok(sent)
}

/// Requests of one TCP connection, each sent when the one before it was answered.
fn exchange(to: SocketAddr, time: Duration) -> Result<u64> {
    let to = SocketAddr::new(to.ip(), ANSWERING_PORT);
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_nodelay(true)?;
    let (start, mut answered, mut block) = (Instant::now(), 0, [0u8; REQUEST_BYTES]);
    while start.elapsed() < time {
        stream.write_all(&block)?;
        stream.read_exact(&mut block)?;
        answered += 1;
    }
    Ok(answered)
}

/// So many connections of this process with itself, until killed.
#[expect(clippy::print_stdout, reason = "tells the parent that they are there")]
fn sockets(at: SocketAddr, count: u64) -> Result<()> {
    let listener = TcpListener::bind(at)?;
    let mut open = Vec::new();
    for _ in 0..count / 2 {
        open.push(TcpStream::connect(at)?);
        open.push(listener.accept()?.0);
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Takes what comes, over TCP and UDP, and answers on one port more, until killed.
#[expect(clippy::print_stdout, reason = "tells the parent that it listens")]
fn sink(at: SocketAddr) -> Result<()> {
    let (listener, datagrams) = (TcpListener::bind(at)?, UdpSocket::bind(at)?);
    let answering = TcpListener::bind(SocketAddr::new(at.ip(), ANSWERING_PORT))?;
    println!("ready");
    std::thread::spawn(move || {
        for mut stream in answering.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            let mut block = [0u8; REQUEST_BYTES];
            while stream.read_exact(&mut block).is_ok() && stream.write_all(&block).is_ok() {}
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0u8; 2048];
        while datagrams.recv(&mut buffer).is_ok() {}
    });
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut buffer = vec![0u8; 256 * 1024];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
    Ok(())
}

/// Namespaces of this run, taken down on drop.
pub struct Net {
    names: Vec<String>,
    /// What runs in them: of a pair the sink.
    others: Vec<Child>,
}

fn ip(args: &str) -> Result<()> {
    let status = Command::new("ip").args(args.split(' ')).status().context("run ip")?;
    if status.success() {
        Ok(())
    } else {
        bail!("`ip {args}` failed; benches need root and iproute2")
    }
}

impl Net {
    /// One namespace with loopback only.
    pub fn alone() -> Result<Self> {
        let name = format!("skoopbench{}f", std::process::id());
        ip(&format!("netns add {name}"))?;
        let net = Self {
            names: vec![name],
            others: Vec::new(),
        };
        ip(&format!("-n {} link set lo up", net.names[0]))?;
        Ok(net)
    }

    /// So many namespaces with loopback only, in each a process with so many TCP sockets.
    pub fn crowd(namespaces: usize, sockets: u64) -> Result<Self> {
        let mut net = Self {
            names: Vec::new(),
            others: Vec::new(),
        };
        for index in 0..namespaces {
            let name = format!("skoopbench{}c{index}", std::process::id());
            ip(&format!("netns add {name}"))?;
            net.names.push(name);
            ip(&format!("-n {} link set lo up", net.names[index]))?;
            net.start(index, "sockets", "127.0.0.1", sockets)?;
        }
        Ok(net)
    }

    /// Starts what stays, and waits until it is ready.
    fn start(&mut self, index: usize, kind: &str, to: &str, amount: u64) -> Result<()> {
        let child = self.command(index, kind, to, amount)?.stdout(Stdio::piped()).spawn()?;
        self.others.push(child);
        let mut said = [0u8; 6];
        let output = self.others.last_mut().and_then(|child| child.stdout.as_mut());
        output
            .context("it has no output")?
            .read_exact(&mut said)
            .with_context(|| format!("wait for {kind}"))
    }

    /// Two namespaces joined by a veth, 10.99.0.1 and 10.99.0.2, with a sink in the second.
    pub fn pair() -> Result<Self> {
        let names: Vec<String> = ["p", "q"]
            .iter()
            .map(|end| format!("skoopbench{}{end}", std::process::id()))
            .collect();
        let mut net = Self {
            names: Vec::new(),
            others: Vec::new(),
        };
        for name in names {
            ip(&format!("netns add {name}"))?;
            net.names.push(name);
        }
        let (p, q) = (net.names[0].clone(), net.names[1].clone());
        ip(&format!("-n {p} link add eth0 type veth peer name eth0 netns {q}"))?;
        for (name, address) in [(&p, "10.99.0.1/24"), (&q, "10.99.0.2/24")] {
            ip(&format!("-n {name} addr add {address} dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        net.start(1, "sink", "10.99.0.2", 0)?;
        Ok(net)
    }

    fn command(&self, index: usize, kind: &str, to: &str, amount: u64) -> Result<Command> {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.names[index]])
            .arg(std::env::current_exe()?);
        command.args(["traffic", kind, &format!("{to}:{PORT}"), &amount.to_string()]);
        Ok(command)
    }

    /// Runs traffic in the first namespace; tells how much was sent in a second of processor time: the sender's, and in bulk and
    /// exchanges the receiver's as well, whose reading is what keeps them going.
    pub fn run(&self, kind: &str, to: &str, amount: u64) -> Result<f64> {
        let before = self.sink_ns()?;
        let output = self.command(0, kind, to, amount)?.stderr(Stdio::inherit()).output()?;
        let read = match kind {
            "bulk" | "exchange" => self.sink_ns()? - before,
            _ => 0.0,
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let (sent, ns) = text
            .trim()
            .split_once(' ')
            .with_context(|| format!("take `{kind}` traffic"))?;
        Ok(sent.parse::<f64>()? / (ns.parse::<f64>()? + read) * 1e9)
    }

    /// The sink's processor time so far, all its threads together.
    fn sink_ns(&self) -> Result<f64> {
        let Some(sink) = self.others.first() else {
            return Ok(0.0);
        };
        let mut sum = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", sink.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let running = text.split(' ').next().unwrap_or_default();
            sum += running.parse::<f64>().context("read the sink's processor time")?;
        }
        Ok(sum)
    }

    /// Inode of the first namespace.
    pub fn inode(&self) -> Result<u32> {
        self.inodes()?.first().copied().context("there is no namespace")
    }

    /// Inodes of all.
    pub fn inodes(&self) -> Result<Vec<u32>> {
        use std::os::unix::fs::MetadataExt as _;
        let inode = |name: &String| Ok(std::fs::metadata(format!("/run/netns/{name}"))?.ino() as u32);
        self.names.iter().map(inode).collect()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for other in &mut self.others {
            let _ = other.kill();
            let _ = other.wait();
        }
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
