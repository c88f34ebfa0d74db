//! `top` with the real helper: processes, peers, who holds a table of connections, and probes that are switched while it goes on.
//!
//! Needs root and a client that finds its helper: `SKOOP_BIN`, or a `node-helper` beside the one under test.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are a test's")]
#![cfg(target_os = "linux")]

#[path = "skoop/netns.rs"]
mod netns;
mod skoop;

use netns::Netns;
use serde_json::Value;
use skoop::{Run, with_helper};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

/// `a` (10.99.8.1) beside `b` (10.99.8.2), which tracks connections.
fn neighbours(test: &str) -> (Netns, Netns) {
    let (a, b) = (
        Netns::new(&format!("top-{test}-a")),
        Netns::new(&format!("top-{test}-b")),
    );
    b.inside("iptables -A INPUT -m conntrack --ctstate INVALID -j DROP");
    a.inside(&format!("ip link add eth0 type veth peer name eth0 netns {}", b.name));
    for (netns, address) in [(&a, "10.99.8.1"), (&b, "10.99.8.2")] {
        netns.inside(&format!(
            "ip link set lo up && ip addr add {address}/24 dev eth0 && ip link set eth0 up"
        ));
    }
    (a, b)
}

#[test]
fn who_opened_thousands_of_flows_is_named_with_the_number_and_where_they_lead() {
    if with_helper("").is_none() {
        return;
    }
    let (a, b) = neighbours("flows");
    a.inside(
        "python3 -c \"import socket\nfor port in range(20000, 23000):\n  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n  \
         s.bind(('10.99.8.1', port))\n  s.sendto(b'x', ('10.99.8.2', 53))\n  s.close()\"",
    );
    let ask = format!("netns/{} netns/{} --local --for 500ms", a.name, b.name);
    let run = Run::of(
        with_helper(&format!("top {ask} --view conntrack -o json"))
            .unwrap()
            .output()
            .unwrap(),
    );
    let top: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
    let holders = top["holders"].as_array().unwrap();
    let held_by = |by: &str| holders.iter().find(|holder| holder["by"] == by).unwrap();
    let named = format!("netns/{} (10.99.8.1)", a.name);
    let pair = held_by("pair");
    assert_eq!(
        (&pair["table"], &pair["source"]),
        (&format!("netns/{}", b.name).into(), &named.clone().into())
    );
    assert_eq!(pair["destination"], format!("netns/{} (10.99.8.2) port 53/udp", b.name));
    assert_eq!((&pair["entries"], &pair["growth"]), (&3000.into(), &0.into()));
    assert_eq!(held_by("source")["entries"], 3000);
    let shown = Run::of(
        with_helper(&format!("top {ask} --view conntrack"))
            .unwrap()
            .output()
            .unwrap(),
    );
    assert!(shown.out.contains(&named) && shown.out.contains("3000"), "{shown:?}");
    let inspected = Run::of(
        with_helper(&format!("inspect netns/{} --local --for 500ms", b.name))
            .unwrap()
            .output()
            .unwrap(),
    );
    assert!(
        inspected.out.contains("3000  holders.by_source (10.99.8.1)"),
        "{inspected:?}"
    );
}

#[test]
fn a_row_is_a_process_or_a_peer_where_that_is_asked_for() {
    if with_helper("").is_none() {
        return;
    }
    let (a, b) = neighbours("parts");
    let serve = "import socket\nserver = socket.create_server(('10.99.8.2', 80))\nprint('ready', flush=True)\n\
        connection, _ = server.accept()\nprint('accepted', flush=True)\nserver.accept()";
    let call = "import socket\nconnection = socket.create_connection(('10.99.8.2', 80))\nconnection.sendall(b'x' * 100000)\n\
        print('ready', flush=True)\ninput()";
    let mut server = inhabitant(&b, serve);
    let mut client = inhabitant(&a, call);
    let ask = format!("netns/{} netns/{} --local --for 500ms -o json", a.name, b.name);
    let rows = |by: &str| {
        let run = Run::of(with_helper(&format!("top {ask} --by {by}")).unwrap().output().unwrap());
        let top: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
        top["pods"].as_array().unwrap().clone()
    };
    let processes = rows("process");
    assert_eq!(processes.len(), 2, "{processes:?}");
    let slow = &processes[0];
    assert_eq!(
        (&slow["part"], &slow["values"]["conns"]),
        (&format!("{} python3", server.id()).into(), &1.0.into())
    );
    let worst = slow["worst"].as_str().unwrap();
    assert!(
        worst.starts_with("has not read ") && worst.ends_with(" that came"),
        "{worst}"
    );
    let peers = rows("peer");
    let of = |part: &str| {
        peers
            .iter()
            .find(|row| row["part"] == part)
            .unwrap_or_else(|| panic!("{part}: {peers:?}"))
    };
    assert_eq!(
        of(&format!("to netns/{} (10.99.8.2) port 80/tcp", b.name))["values"]["conns"],
        1.0
    );
    assert!(
        of(&format!("from netns/{} (10.99.8.1) to port 80/tcp", a.name))["worst"]
            .as_str()
            .unwrap()
            .contains("no program has read")
    );
    for child in [&mut server, &mut client] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A program of Python's that lives there, and has said its last word before it waits.
fn inhabitant(netns: &Netns, script: &str) -> std::process::Child {
    let mut child = std::process::Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", netns.name))
        .args(["python3", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line.trim(), "ready");
    child
}

#[test]
fn a_line_on_standard_input_switches_probes_while_it_goes_on() {
    let netns = match with_helper("") {
        Some(_) => Netns::new("top-lines"),
        None => return,
    };
    let ask = format!(
        "top netns/{} --local --view sockets -w --interval 500ms -o json",
        netns.name
    );
    let mut child = with_helper(&ask)
        .unwrap()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["pods"][0]["values"].clone();
    let first = next();
    assert!(
        first.get("udp").is_some() && first.get("rx_bytes_per_s").is_none(),
        "{first}"
    );
    input.write_all(b"+netdev\n").unwrap();
    until("the columns of netdev", || next().get("rx_bytes_per_s").is_some());
    input.write_all(b"-sock\n+no-such-probe\n").unwrap();
    until("the end of the columns of sock", || {
        let values = next();
        values.get("udp").is_none() && values.get("rx_bytes_per_s").is_some()
    });
    input.write_all(b"q\n").unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("there is no probe `no-such-probe`"), "{run:?}");
}

/// Within so many readings it comes.
#[track_caller]
fn until(what: &str, mut comes: impl FnMut() -> bool) {
    assert!((0..20).any(|_| comes()), "{what} did not come");
}
