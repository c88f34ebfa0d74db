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
        "sink" => return sink(to),
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

/// Takes what comes, over TCP and UDP, until killed.
#[expect(clippy::print_stdout, reason = "tells the parent that it listens")]
fn sink(at: SocketAddr) -> Result<()> {
    let (listener, datagrams) = (TcpListener::bind(at)?, UdpSocket::bind(at)?);
    println!("ready");
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
    sink: Option<Child>,
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
            sink: None,
        };
        ip(&format!("-n {} link set lo up", net.names[0]))?;
        Ok(net)
    }

    /// Two namespaces joined by a veth, 10.99.0.1 and 10.99.0.2, with a sink in the second.
    pub fn pair() -> Result<Self> {
        let names: Vec<String> = ["p", "q"]
            .iter()
            .map(|end| format!("skoopbench{}{end}", std::process::id()))
            .collect();
        let mut net = Self {
            names: Vec::new(),
            sink: None,
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
        let mut sink = net.command(1, "sink", "10.99.0.2", 0)?.stdout(Stdio::piped()).spawn()?;
        let mut said = [0u8; 6];
        sink.stdout
            .as_mut()
            .context("the sink has no output")?
            .read_exact(&mut said)
            .context("wait for the sink")?;
        net.sink = Some(sink);
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

    /// Runs traffic in the first namespace; tells how much was sent in a second of processor time: the sender's, and in
    /// bulk the receiver's as well, whose reading is what keeps bulk going.
    pub fn run(&self, kind: &str, to: &str, amount: u64) -> Result<f64> {
        let before = self.sink_ns()?;
        let output = self.command(0, kind, to, amount)?.stderr(Stdio::inherit()).output()?;
        let read = if kind == "bulk" { self.sink_ns()? - before } else { 0.0 };
        let text = String::from_utf8_lossy(&output.stdout);
        let (sent, ns) = text
            .trim()
            .split_once(' ')
            .with_context(|| format!("take `{kind}` traffic"))?;
        Ok(sent.parse::<f64>()? / (ns.parse::<f64>()? + read) * 1e9)
    }

    /// The sink's processor time so far, all its threads together.
    fn sink_ns(&self) -> Result<f64> {
        let Some(sink) = &self.sink else { return Ok(0.0) };
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
        use std::os::unix::fs::MetadataExt as _;
        Ok(std::fs::metadata(format!("/run/netns/{}", self.names[0]))?.ino() as u32)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some(mut sink) = self.sink.take() {
            let _ = sink.kill();
            let _ = sink.wait();
        }
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
