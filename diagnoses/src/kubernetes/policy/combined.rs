//! How the fits of the parts of a rule make that of the whole.

use super::fits::PolicyFit;

impl PolicyFit {
    /// It fits or not, in words.
    pub fn when(fits: bool, miss: impl Into<String>) -> Self {
        if fits { Self::Yes } else { Self::No(miss.into()) }
    }

    /// All parts must fit: one that does not decides, whatever is not known of the others.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut doubt = None;
        for part in parts {
            match part {
                Self::Yes => {}
                Self::Maybe(why) => doubt = doubt.or(Some(why)),
                Self::No(_) => return part,
            }
        }
        doubt.map_or(Self::Yes, Self::Maybe)
    }

    /// One part must fit; these are the words where none does.
    pub fn any(parts: impl IntoIterator<Item = Self>, miss: impl FnOnce() -> String) -> Self {
        let mut doubt = None;
        for part in parts {
            match part {
                Self::Yes => return Self::Yes,
                Self::Maybe(why) => doubt = doubt.or(Some(why)),
                Self::No(_) => {}
            }
        }
        doubt.map_or_else(|| Self::No(miss()), Self::Maybe)
    }

    /// The opposite.
    pub fn not(self, miss: impl Into<String>) -> Self {
        match self {
            Self::Yes => Self::No(miss.into()),
            Self::No(_) => Self::Yes,
            Self::Maybe(_) => self,
        }
    }

    /// It would fit, if something held that is not evaluated.
    pub fn only_if(self, doubt: Option<String>) -> Self {
        Self::all([self, doubt.map_or(Self::Yes, Self::Maybe)])
    }
}
