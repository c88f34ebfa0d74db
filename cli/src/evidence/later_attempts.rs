//! Attempts that are sent in a window that is open already: its probes watch them, and a window of their own ends them.

use super::flow_forms;
use crate::conversation::session::Session;
use model::attempt::AttemptSpec;
use model::protocol::Request;

/// Has a node send them while `window` is open. Tells the number of their own window, which is still to be closed.
pub async fn send(session: &mut Session, node: usize, window: u32, attempts: Vec<AttemptSpec>) -> u32 {
    let id = session.number();
    session.ask_at(node, Request::Plan { id, attempts });
    let others = session.living_besides(node);
    if !others.is_empty() {
        let known = session.state.evidence.watched.len();
        session.planned(node, id).await;
        let flows = session.state.evidence.watched.split_off(known);
        for other in others {
            let flows = flow_forms::flows(&session.state, &flows);
            session.ask_at(other, Request::Watch { id: window, flows });
        }
        session.state.evidence.watched.extend(flows);
    }
    session.ask_at(node, Request::Go { id });
    id
}
