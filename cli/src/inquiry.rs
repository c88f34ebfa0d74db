//! A question as it was asked, before the site has said what the names in it are.

use crate::gather::Question;
use crate::kubernetes::Via;
use crate::plan::Protocol;
use model::evidence::Intent;

/// What is open is decided by what is found.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The question; its intent and protocol are those asked for, or the usual ones.
    pub question: Question,
    /// What for, where that was said.
    pub intent: Option<Intent>,
    /// What to send, where that was said.
    pub protocol: Option<Protocol>,
    /// By which address of a service.
    pub via: Via,
}

impl Inquiry {
    /// Takes what was found to be meant.
    pub fn settle(&mut self, intent: Intent, protocol: Protocol) {
        self.question.intent = intent;
        self.question.wish.protocol = protocol;
    }
}
