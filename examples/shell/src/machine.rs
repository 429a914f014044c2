//! What the machine has beside its console.

use alloc::string::String;
use core::fmt;

use crate::balloon::Inflatable;
use crate::card::Card;
use crate::disk::Disk;
use crate::random::Random;

/// Devices that are up; `None` for those that the machine does not have.
pub struct Machine {
    pub disk: Option<Disk>,
    pub card: Option<Card>,
    pub random: Option<Random>,
    pub balloon: Option<Inflatable>,
}

/// Why a device has no answer.
#[derive(Debug)]
pub struct Problem(pub String);

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

impl From<fmt::Error> for Problem {
    fn from(_: fmt::Error) -> Self {
        Self("no room for the answer".into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Machine {
    /// Brings up what is there.
    pub fn bring_up() -> Result<Self, String> {
        let (disk, card, random) = (Disk::bring_up()?, Card::bring_up()?, Random::bring_up()?);
        // It takes the memory that is left.
        Ok(Self { disk, card, random, balloon: Inflatable::bring_up()? })
    }

    /// Does what is to be done while nobody types. Never waits.
    pub fn serve(&mut self) {
        if let Some(balloon) = &mut self.balloon {
            balloon.serve();
        }
    }

    /// The way down, for each.
    pub fn take_down(self) -> Result<(), String> {
        let Self { disk, card, random, balloon } = self;
        disk.map_or(Ok(()), Disk::take_down)?;
        card.map_or(Ok(()), Card::take_down)?;
        random.map_or(Ok(()), Random::take_down)?;
        balloon.map_or(Ok(()), Inflatable::take_down)
    }
}
