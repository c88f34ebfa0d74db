//! How many events one core reads, attributes and prints: records of drops and hops of several flows and namespaces,
//! as they come from the ring, to lines of JSON.

use criterion::{Criterion, criterion_group, criterion_main};
use model::flow::{TCP, mapped};
use model::word::{Hook, What};
use node_helper::capture::decode::KernelNames;
use node_helper::capture::pump::RecordReader;
use node_helper::kernel::btf::Layout;
use std::hint::black_box;

const RECORDS: u32 = 1024;
const TAIL_BYTES: u16 = 20;

/// A record as the kernel side writes it.
fn record(number: u32) -> Vec<u8> {
    let what = if number.is_multiple_of(4) {
        What::Drop {
            reason: 12,
            state: 10,
            location: 0xffff_ffff_8100_0000 + u64::from(number % 8) * 4096,
        }
    } else {
        What::Hop {
            hook: Hook::Queue as u8,
            learned: false,
        }
    };
    let (tag, a, b) = what.encode();
    let mut bytes = Vec::new();
    for long in [
        u64::from(number),
        0,
        0xffff_8880_0000_0000 + u64::from(number) * 256,
        0,
        a,
        b,
    ] {
        bytes.extend(long.to_ne_bytes());
    }
    for word in [4_026_531_840 + number % 5, 2, 0] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(tag.to_ne_bytes());
    bytes.extend(TAIL_BYTES.to_ne_bytes());
    bytes.extend(mapped([10, 90, 1, 2]));
    bytes.extend(mapped([10, 90, 2, (number % 200) as u8]));
    bytes.extend((40_000 + number as u16).to_ne_bytes());
    bytes.extend(8080u16.to_ne_bytes());
    bytes.extend([TCP, 1, 0, 0]);
    for word in [number, 0, 60] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend([0, 0, 0xff, 0xff, 2, 64, 0, 0]);
    bytes
}

fn decode_attribute_json(criterion: &mut Criterion) {
    let records: Vec<Vec<u8>> = (0..RECORDS).map(record).collect();
    let mut reader = RecordReader::new(KernelNames::new(&Layout::default()));
    let mut line = Vec::with_capacity(1024);
    let mut told = 0u64;
    criterion.bench_function("decode_attribute_json", |bencher| {
        let mut next = records.iter().cycle();
        bencher.iter(|| {
            let record = next.next().map_or(&[][..], Vec::as_slice);
            if let Some(event) = reader.event("path", black_box(record)) {
                line.clear();
                told += u64::from(serde_json::to_writer(&mut line, &event).is_ok());
                black_box(&line);
            }
        });
    });
    assert!(told > 0, "no record was understood");
}

criterion_group!(benches, decode_attribute_json);
criterion_main!(benches);
