//! dev
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "dev")]
fn main() {
    for path in std::env::args().skip(1) {
        let evidence: model::evidence::Evidence = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let j = diagnoses::judge(&evidence);
        println!("== {path}\n{:?} {}", j.outcome, j.headline);
        for v in &j.verdicts {
            println!(
                "  {}{} {:?} [{:?} {:?} {:?}]",
                if v.cause { "CAUSE " } else { "  - " },
                v.rule,
                v.severity,
                v.place.netns,
                v.place.interface,
                v.place.rule.as_ref().map(|r| r.text.clone())
            );
            println!("      {}", v.says);
            for b in &v.because {
                println!("      * {b}");
            }
            println!("      > {}", v.remedy);
        }
        for p in &j.proven {
            println!("  proven: {p}");
        }
        for h in &j.path {
            println!("  path {:?} {}  {}", h.direction, h.flow, h.says);
        }
        for m in &j.missing {
            println!("  missing: {}: {} [{}]", m.what, m.why, m.remedy);
        }
    }
}
