//! How much memory a line of a helper will take, before it is read. Pure.

/// About how many bytes of memory the reply of a line takes, before it is parsed; more than any line may where it is nested too
/// deep to be read.
///
/// Text takes what it is long. What stands in a list takes the room of the largest structure there is of its kind, however
/// little of it is written down: an object becomes one with all its fields. An object with more names than any structure has
/// is a map, of which each entry takes room.
pub fn weight(line: &[u8]) -> usize {
    /// Bytes of a list's item that is no object, with its place in the list.
    const ITEM: usize = 48;
    /// Bytes of a map's entry.
    const ENTRY: usize = 96;
    let mut weight = line.len();
    let mut open: Vec<Open> = Vec::new();
    let mut in_text = false;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match (byte, open.last_mut()) {
            (b'"', _) => in_text = true,
            (b',', Some(Open::List { .. })) => weight += ITEM,
            (b',', Some(Open::Object { names })) => {
                *names += 1;
                weight += if *names > NAMES { ENTRY } else { 0 };
            }
            (b'{', within) => {
                weight += match within {
                    Some(Open::List { object }) => *object,
                    _ => 0,
                };
                open.push(Open::Object { names: 1 });
            }
            (b'[', _) => {
                let object = if line[..at].ends_with(b"\"matches\":") {
                    MATCH
                } else {
                    OBJECT
                };
                weight += ITEM;
                open.push(Open::List { object });
            }
            (b'}' | b']', _) => drop(open.pop()),
            _ => {}
        }
        if open.len() > DEEPEST {
            return usize::MAX;
        }
    }
    weight
}

/// What a part of a line is in.
enum Open {
    /// An object with so many names so far.
    Object { names: usize },
    /// A list whose objects take so many bytes each.
    List { object: usize },
}

/// The largest structure that stands in a list, in bytes; and a rule's match, of which there are many more than of any other.
const OBJECT: usize = 472;
const MATCH: usize = 64;
/// No structure has more names.
const NAMES: usize = 24;
/// What is nested deeper is not read anyway.
const DEEPEST: usize = 127;

#[cfg(test)]
mod tests {
    use super::{MATCH, OBJECT, weight};

    #[test]
    fn what_lists_hold_takes_no_more_than_is_reckoned() {
        use model::{attempt, facts, protocol};
        let largest = [
            size_of::<facts::Link>(),
            size_of::<facts::Qdisc>(),
            size_of::<facts::Address>(),
            size_of::<facts::Route>(),
            size_of::<facts::NextHop>(),
            size_of::<facts::RoutingRule>(),
            size_of::<facts::Neighbour>(),
            size_of::<facts::FdbEntry>(),
            size_of::<facts::Socket>(),
            size_of::<facts::RouteLookup>(),
            size_of::<facts::ConntrackEntry>(),
            size_of::<facts::BpfAttachment>(),
            size_of::<facts::CiliumCount>(),
            size_of::<facts::Chain>(),
            size_of::<facts::NetfilterRule>(),
            size_of::<protocol::ProbeStatus>(),
            size_of::<protocol::Total>(),
            size_of::<protocol::Lost>(),
            size_of::<model::series::Series>(),
            size_of::<attempt::WatchedFlow>(),
            size_of::<attempt::DnsExchange>(),
            size_of::<attempt::IcmpError>(),
            size_of::<model::missing::Missing>(),
        ];
        assert!(largest.iter().all(|bytes| *bytes <= OBJECT), "{largest:?}");
        assert!(size_of::<facts::Match>() <= MATCH);
    }

    #[test]
    fn a_line_weighs_what_stands_in_its_lists_and_maps() {
        let of = |text: &str| weight(text.as_bytes()) - text.len();
        assert_eq!(
            of(r#"{"a":{"b":{}},"c":"[{},{}]"}"#),
            0,
            "structures in structures, and text"
        );
        assert_eq!(of("[ {}, {} ]"), 2 * (48 + OBJECT));
        assert_eq!(of(r#"["\\",1,"\"[{",null]"#), 4 * 48);
        assert_eq!(of(r#"{"matches":[{"in":{}}]}"#), 48 + MATCH);
        let map: Vec<String> = (0..30).map(|name| format!("\"{name}\":1")).collect();
        assert_eq!(of(&format!("{{{}}}", map.join(","))), 6 * 96);
        assert_eq!(weight(&[b'['; 200]), usize::MAX);
    }
}
