//! `virtio-user net ping`: asks a station for an answer.
//!
//! And answers those that ask.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use virtio_guest::device::net::Frame;
use virtio_user::memory::SharedHal;
use virtio_user::session::Card;

use super::numbered::BYTES_MAX;
use super::speech::{Heard, Station};
use super::{BURST, OfCard, pools};
use crate::connection::seconds;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// Whom to ask (without: nobody, it only answers)
    to: Option<Ipv4Addr>,
    /// Our own address
    #[arg(long, value_name = "ADDRESS")]
    from: Ipv4Addr,
    /// How many questions
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// From one question to the next
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// How long an answer may take; without an address to ask, how long to answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    #[command(flatten)]
    card: OfCard,
}

/// Us at the port.
struct Pinging<'o, 'p> {
    options: &'o Options,
    card: Card<'p>,
    own: Station,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { socket, to, from, count, interval, seconds, card: settings } = options;
    let memory = settings.connection.memory()?;
    let pools = pools(&memory, settings.connection.queues)?;
    let own = Station { mac: settings.address(), ip: *from };
    let card = settings.connect(socket, &memory, &pools, own.mac)?;
    let mut pinging = Pinging { options, card, own };
    let Some(to) = to else {
        eprintln!("{from} answers");
        pinging.listen(Instant::now() + *seconds, |_| false)?;
        return Ok(());
    };
    let there = pinging.find(*to)?;
    let mut answered = 0;
    for number in 1..=*count {
        let start = Instant::now();
        pinging.say(&own.question(there, number))?;
        let is_it = |heard: &Heard| *heard == Heard::Answered { ip: *to, number };
        if pinging.listen(start + *seconds, is_it)?.is_some() {
            answered += 1;
            println!("{to} answered question {number} after {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
        } else {
            println!("{to} did not answer question {number} within {seconds:?}");
        }
        if number < *count {
            pinging.listen(start + *interval, |_| false)?;
        }
    }
    println!("{answered} of {count} questions were answered");
    if answered == 0 { Err(Failure::new(format_args!("{to} does not answer"))) } else { Ok(()) }
}

impl Pinging<'_, '_> {
    /// Where that address is.
    fn find(&mut self, ip: Ipv4Addr) -> Result<Station, Failure> {
        let end = Instant::now() + self.options.seconds;
        while Instant::now() < end {
            // Once in a while, for a switch may not forward at first.
            self.say(&self.own.who_has(ip))?;
            let until = end.min(Instant::now() + Duration::from_millis(250));
            let found =
                self.listen(until, |heard| matches!(heard, Heard::IsAt(station) if station.ip == ip))?;
            if let Some(Heard::IsAt(station)) = found {
                return Ok(station);
            }
        }
        Err(Failure::with(
            format_args!("nobody at this port says to be {ip}"),
            "see whether the back-end forwards to where that is, or wait longer with --seconds",
        ))
    }

    /// Answers whoever asks, until what is waited for is heard, or the time is over.
    fn listen(
        &mut self,
        end: Instant,
        mut is_it: impl FnMut(&Heard) -> bool,
    ) -> Result<Option<Heard>, Failure> {
        let (mut heard, mut room) = (Vec::new(), [0; BYTES_MAX]);
        while Instant::now() < end {
            let own = self.own;
            let came = self.card.receive_burst(0, BURST, |frame| {
                heard.extend(bytes(&frame, &mut room).and_then(|bytes| own.hear(bytes)));
            })?;
            for heard in heard.drain(..) {
                match &heard {
                    Heard::Asked(answer) => self.say(answer)?,
                    heard if is_it(heard) => return Ok(Some(heard.clone())),
                    _ => {}
                }
            }
            if came == 0 {
                self.options.card.rest(&mut self.card);
            }
        }
        Ok(None)
    }

    /// Says something, if there is room for it: who is not heard says it again.
    fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(mut frame) = self.card.frame(0) {
            frame.append(bytes).map_err(Failure::new)?;
            drop(self.card.transmit_burst(0, [frame]));
        }
        Ok(())
    }
}

fn bytes<'r>(frame: &Frame<'_, SharedHal>, room: &'r mut [u8; BYTES_MAX]) -> Option<&'r [u8]> {
    let bytes = room.get_mut(..frame.len())?;
    frame.read(0, bytes).ok()?;
    Some(bytes)
}
