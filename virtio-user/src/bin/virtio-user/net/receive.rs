//! `virtio-user net receive`: counts what comes.
//!
//! And looks whether numbered frames are all there.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::numbered::{BYTES_MAX, Tally};
use super::{BURST, OfCard, Rate, pools};
use crate::connection::seconds;
use crate::failure::Failure;
use crate::progress::again;

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// Ends after so many frames with numbers; it is a failure if fewer come in time
    #[arg(long, value_name = "FRAMES")]
    count: Option<u64>,
    /// How long (without, and without a number of frames: until it is ended)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    #[command(flatten)]
    card: OfCard,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { socket, count, seconds, card: settings } = options;
    let memory = settings.connection.memory()?;
    let pools = pools(&memory, settings.connection.queues)?;
    let mut card = settings.connect(socket, &memory, &pools, settings.address())?;
    eprintln!("receiving");
    let (mut tally, mut room, mut rate) = (Tally::default(), [0; BYTES_MAX], Rate::new("received"));
    while count.is_none_or(|count| tally.numbered < count) && !rate.is_over(tally.frames, *seconds) {
        let mut came = 0;
        for pair in 0..card.pairs() {
            came += card.receive_burst(pair, BURST, |frame| tally.add(&frame, &mut room))?;
        }
        if came == 0 {
            settings.rest(&mut card);
        }
    }
    let Tally { frames, numbered, missing, late, wrong, .. } = tally;
    println!(
        "{}; of {numbered} with numbers {missing} missing, {late} late, {wrong} wrong{}",
        rate.total(frames),
        again(card.restarts())
    );
    match count {
        Some(count) if numbered < *count => Err(Failure::with(
            format_args!("{numbered} of {count} frames came in time"),
            "give it more time with --seconds, or see whether the back-end forwards to this port",
        )),
        _ if wrong > 0 => Err(Failure::new("frames came with other contents than they were sent with")),
        _ => Ok(()),
    }
}
