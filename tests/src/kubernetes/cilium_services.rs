//! Which addresses Cilium's datapath of a node knows as services and as their endpoints, read from its own maps.
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::cluster::TestCluster;

/// A service's address is the first thing in a key, an endpoint's the first in a value.
const DUMP: &str =
    "for map in services_v2 backends_v3; do bpftool -j map dump pinned /sys/fs/bpf/tc/globals/cilium_lb4_$map; done";

/// An entry of a map as `bpftool` shows it: each byte in hex. What it says by the map's types is not read.
#[derive(Deserialize)]
struct Entry {
    key: Vec<String>,
    value: Vec<String>,
}

/// All of these addresses. They carry no names of services.
pub fn read(cluster: &TestCluster, node: &str) -> Result<Vec<String>> {
    let dumped = cluster.on_node(node, DUMP)?;
    addresses(&dumped).with_context(|| format!("reading Cilium's maps of {node}"))
}

fn addresses(dumped: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let maps = serde_json::Deserializer::from_str(dumped).into_iter::<Vec<Entry>>();
    for (number, map) in maps.enumerate() {
        let of_entry = |entry: Entry| address(if number == 0 { &entry.key } else { &entry.value });
        found.extend(map?.into_iter().filter_map(of_entry));
    }
    Ok(found)
}

fn address(bytes: &[String]) -> Option<String> {
    let byte = |text: &String| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let bytes: Vec<u8> = bytes.iter().take(4).map_while(byte).collect();
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_in_keys_and_endpoints_in_values() {
        let dumped = r#"[{"key":["0x0a","0x60","0x00","0x07","0x00","0x50"],"value":["0x01","0x00","0x00","0x00"],"formatted":{}}]
[{"key":["0x01","0x00","0x00","0x00"],"value":["0x0a","0xf4","0x02","0x02","0x1f","0x90"]}]
"#;
        assert_eq!(addresses(dumped).unwrap(), ["10.96.0.7", "10.244.2.2"]);
        assert!(addresses("[]\n[]\n").unwrap().is_empty());
        assert!(addresses("{\"error\": \"no such map\"}").is_err());
    }
}
