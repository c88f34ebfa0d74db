//! `http`: any path answers 200, with a body of the size asked for.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use anyhow::Result;

use super::arguments::{Arguments, Listen};
use super::{Builtin, accept};

/// The registry's entry.
pub const HTTP: Builtin = Builtin {
    name: "http",
    usage: "[ADDRESS:]PORT [size=BYTES]   any path answers 200, with a body of that size (3 bytes without)",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["size"]);
    let listen: Listen = arguments.next_as("port")?;
    let size = arguments.value("size", 3_usize)?;
    arguments.end()?;
    let body: Arc<[u8]> = b"ok\n".iter().copied().cycle().take(size).collect();
    accept::each(listen, move |stream| {
        let _ = exchange(&stream, &body);
    })
}

/// Answers requests until the client closes or asks to close.
fn exchange(stream: &TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && !head.ends_with("\n\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: u64 = field("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let first = head.lines().next().unwrap_or_default();
        let last = field("connection:") == Some("close") || !first.ends_with("http/1.1");
        let connection = if last { "close" } else { "keep-alive" };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        )?;
        if !first.starts_with("head ") {
            stream.write_all(body)?;
        }
        if last {
            stream.shutdown(Shutdown::Write)?;
            std::io::copy(&mut reader, &mut std::io::sink())?;
            return Ok(());
        }
    }
}
