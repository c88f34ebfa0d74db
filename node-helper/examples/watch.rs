//! Attaches probes and prints what they see: `watch SECONDS PROBE[,PROBE] [NETNS-INODE PROTOCOL SPORT]`.
#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints")]

use model::attempt::WatchedFlow;
use model::flow::Flow;
use model::protocol::Filter;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match watch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn watch() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds: f64 = arguments.first().map_or(Ok(1.0), |text| text.parse())?;
    let probes: Vec<String> = arguments.get(1).map_or(vec!["drop".to_owned()], |names| {
        names.split(',').map(str::to_owned).collect()
    });
    let mut filter = Filter {
        events_per_second: std::env::var("RATE")
            .ok()
            .and_then(|rate| rate.parse().ok())
            .unwrap_or(0),
        ..Filter::default()
    };
    if let [netns, protocol, sport] = arguments.get(2..).unwrap_or(&[]) {
        filter.flows.push(WatchedFlow {
            attempt: 1,
            netns: netns.parse()?,
            flow: Flow {
                protocol: protocol.parse()?,
                sport: sport.parse()?,
                ..Flow::default()
            },
        });
    }
    let start = Instant::now();
    let armed = node_helper::capture::armed::arm(
        &probes,
        &filter,
        Box::new(|event| println!("{}", serde_json::to_string(&event).unwrap_or_default())),
    )?;
    eprintln!("armed after {:?}", start.elapsed());
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
    {
        eprintln!("{line}");
    }
    for status in armed.probes() {
        eprintln!("{status:?}");
    }
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
    {
        eprintln!("{line}");
    }
    let summary = armed.stop();
    eprintln!("{summary:?}");
    Ok(())
}
