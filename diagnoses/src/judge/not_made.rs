//! Attempts that were meant and not made: what they would have met is not known, whatever the others met.

use crate::case::Case;
use crate::judge::early_end::is_asked;
use crate::words;
use model::attempt::{AttemptSpec, Outcome};
use model::missing::Missing;

/// Attempts of what was asked that were not made, or of which nothing was told. One beside them (an echo) changes nothing.
pub fn not_made(case: &Case<'_>) -> Vec<Missing> {
    let evidence = case.evidence;
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    let mut count = |why| match reasons.iter_mut().find(|(known, _)| *known == why) {
        Some((_, times)) => *times += 1,
        None => reasons.push((why, 1)),
    };
    for tried in case.asked() {
        if let Outcome::NotTried { why } = &tried.attempt.outcome {
            count(why);
        }
    }
    let meant: Vec<&AttemptSpec> = evidence.specs.iter().filter(|spec| is_asked(evidence, spec)).collect();
    for spec in &meant {
        if !evidence.attempts.iter().any(|attempt| attempt.id == spec.id) {
            count("the helper did not say what became of it");
        }
    }
    let all = meant.len().max(case.asked().count());
    let lack = |(why, times): (&str, usize)| {
        let what = format!("{times} of {}", words::count(all, "attempt"));
        Missing::new(what, why).remedy("run it again")
    };
    reasons.into_iter().map(lack).collect()
}

#[cfg(test)]
mod tests {
    use crate::scenes::Scene;
    use crate::{Judgement, judge};
    use model::attempt::{AttemptSpec, Exchange, Outcome, Sending};
    use model::report::Conclusion;

    /// Three connections that were made, and what is changed of them.
    fn three(change: impl Fn(&mut Scene)) -> Judgement {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let spec = |id| AttemptSpec {
            id,
            netns: crate::scenes::A,
            pid: None,
            start_ms: 0,
            timeout_ms: 2_000,
            send: Sending::Tcp {
                to: crate::scenes::ip("10.90.2.2"),
                port: 80,
                hold_ms: 200,
                exchange: Exchange::None,
            },
        };
        scene.evidence.specs = (0..3).map(spec).collect();
        change(&mut scene);
        judge(&scene.evidence)
    }

    fn not_tried() -> Outcome {
        Outcome::NotTried {
            why: "the process that made it ended too early".to_owned(),
        }
    }

    #[test]
    fn what_was_not_tried_leaves_the_answer_open_though_the_others_worked() {
        assert_eq!(three(|_| {}).outcome, Conclusion::Healthy);
        let judgement = three(|scene| scene.evidence.attempts[2].outcome = not_tried());
        assert_eq!(judgement.outcome, Conclusion::Inconclusive);
        assert!(
            judgement.missing.iter().any(|lack| lack.what == "1 of 3 attempts"),
            "{:?}",
            judgement.missing
        );
    }

    #[test]
    fn what_nothing_was_told_of_was_not_seen() {
        let judgement = three(|scene| drop(scene.evidence.attempts.pop()));
        assert_eq!(judgement.outcome, Conclusion::Inconclusive);
    }

    #[test]
    fn an_echo_beside_them_that_could_not_be_sent_changes_nothing() {
        let judgement = three(|scene| {
            let mut echo = scene.evidence.attempts[0].clone();
            (echo.id, echo.kind, echo.outcome) = (9, "echo".to_owned(), not_tried());
            echo.flow.protocol = model::flow::ICMP;
            scene.evidence.attempts.push(echo);
        });
        assert_eq!(judgement.outcome, Conclusion::Healthy);
    }

    #[test]
    fn a_fault_that_was_met_stays_one() {
        let judgement = three(|scene| {
            scene.refused(1);
            scene.evidence.attempts[0].outcome = not_tried();
        });
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert!(!judgement.missing.is_empty());
    }
}
