//! No answer came, and no rule knows why.
//!
//! Why it happens: the packets were lost where nobody looked (between nodes, in a fabric, in a security group), or the target
//! does not answer.
//!
//! How it knows: the attempt failed. The trail says where its packets were last seen, and where they were never seen.
//!
//! Remedy: look between the last place where they were seen and the next one.
//!
//! Silent on: attempts whose failure another rule explains.

use crate::case::lost_between_nodes;
use crate::case::observations;
use crate::case::{Case, Failure};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::at;
use model::report::{Direction, Happened};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Probe("drop"), Need::Probe("tcpretrans")];

pub fn check(case: &Case<'_>) -> Checked {
    let silent: Vec<_> = case
        .failed()
        .into_iter()
        .filter(|tried| !matches!(tried.failure(), Some(Failure::Refused | Failure::Reset)))
        .collect();
    let Some(first) = silent.first() else {
        return Ok(Vec::new());
    };
    let id = first.attempt.id;
    let request = case.leg(id, Direction::Request);
    let answer = case.leg(id, Direction::Answer);
    let last = request.and_then(|leg| leg.farthest());
    let back = answer.and_then(|leg| leg.farthest());
    let between_nodes = match (last, back) {
        (_, Some(stop)) => lost_between_nodes::lost(case, id, Direction::Answer, stop),
        (Some(stop), None) if answer.is_none() => lost_between_nodes::lost(case, id, Direction::Request, stop),
        _ => None,
    };
    let came_back = back.is_some_and(|stop| Some(stop.netns) == case.evidence.source.netns);
    let says = match (last, back) {
        _ if between_nodes.is_some() => between_nodes.unwrap_or_default(),
        _ if came_back => "answers came back and did not complete the exchange".to_owned(),
        (_, Some(stop)) => format!(
            "an answer was last seen at {} and did not complete the exchange",
            at(&case.name(stop.netns), stop.interface.as_deref())
        ),
        (Some(stop), None) => {
            let place = at(&case.name(stop.netns), stop.interface.as_deref());
            let verb = match stop.happened {
                Happened::Arrived => "arrived at",
                Happened::Delivered => "was read in",
                _ => "left through",
            };
            format!("the request {verb} {place}, was not seen beyond it, and no answer came")
        }
        (None, None) => "no packet of it was seen anywhere, and no answer came".to_owned(),
    };
    let remedy = if came_back {
        format!(
            "see which protocol the program at {} speaks: its answer is not the expected one, or not complete",
            case.target()
        )
    } else {
        let beyond = if back.is_some() { "source" } else { "target" };
        format!(
            "look between the last place on the path and the {beyond}: cables, fabric, security groups, the {beyond} itself"
        )
    };
    let finding = fatal("unexplained-timeout", says)
        .of(silent.iter().map(|tried| tried.attempt.id))
        .remedy(remedy)
        .because(observations::met(first));
    Ok(vec![observations::last_seen(case, finding, id)])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::report::Conclusion;

    #[test]
    fn a_silent_end_says_where_the_packet_was_last_seen() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(&scene.evidence);
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::cause(&judgement), "unexplained-timeout");
        assert!(
            judgement.verdicts[0].says.contains("netns/x up0"),
            "{}",
            judgement.verdicts[0].says
        );
    }
}
