//! smoltcp on the card, and sleep while neither has anything to do.

use alloc::string::{String, ToString};
use core::ops::ControlFlow;
use core::time::Duration;

use example_platform::devices::Interrupts;
use example_platform::interrupts::wait;
use example_platform::{clock, println};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address, Ipv4Cidr};
use virtio_guest::ring::Rearmed;

use crate::card::Card;
use crate::{options, random};

/// The longest sleep, if nothing is to happen at any time.
const NAP: Duration = Duration::from_secs(1);

/// A card with a network stack on it.
pub struct Stack {
    card: Card,
    interface: Interface,
    pub sockets: SocketSet<'static>,
    pub gateway: Ipv4Address,
    /// What this machine's pings are known by.
    pub identifier: u16,
}

impl Stack {
    /// A stack with the addresses that the command line says.
    pub fn new(mut card: Card) -> Result<Self, String> {
        let address = options::value("address", Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24))?;
        let gateway = options::value("gateway", Ipv4Address::new(10, 0, 2, 2))?;
        let mut config = Config::new(EthernetAddress(card.packets.mac()).into());
        let random = random::numbers()?;
        config.random_seed = random.seed;
        let mut interface = Interface::new(config, &mut card.packets, now());
        let mut is_full = false;
        interface.update_ip_addrs(|addresses| is_full = addresses.push(IpCidr::Ipv4(address)).is_err());
        if is_full {
            return Err("the stack has no room for an address".into());
        }
        interface.routes_mut().add_default_ipv4_route(gateway).map_err(|error| error.to_string())?;
        println!("network: {address}, gateway {gateway}");
        let (sockets, identifier) = (SocketSet::new(alloc::vec![]), random.identifier);
        Ok(Self { card, interface, sockets, gateway, identifier })
    }

    /// Lets card and sockets talk, again and again, and sleeps in between. `act` looks at the sockets after each turn, and ends it.
    pub fn run(
        &mut self,
        mut act: impl FnMut(&mut SocketSet<'static>) -> Result<ControlFlow<(), Option<Duration>>, String>,
    ) -> Result<(), String> {
        loop {
            self.interface.poll(now(), &mut self.card.packets, &mut self.sockets);
            let ControlFlow::Continue(limit) = act(&mut self.sockets)? else { return Ok(()) };
            self.card.look_at_link()?;
            self.look_at_queues()?;
            let delay = self.interface.poll_delay(now(), &self.sockets).map(Duration::from);
            let delay = delay.unwrap_or(NAP).min(limit.unwrap_or(NAP));
            // Interrupts are taken inside of a wait only, so none is lost between the last look and the sleep.
            if delay > Duration::ZERO && self.card.packets.rearm() == Rearmed::Quiet {
                match self.card.wiring.kind {
                    Interrupts::None => core::hint::spin_loop(),
                    Interrupts::Messages | Interrupts::Line => wait(clock::now() + delay),
                }
            }
        }
    }

    /// A stack does not say why nothing arrives any more.
    fn look_at_queues(&mut self) -> Result<(), String> {
        let packets = &mut self.card.packets;
        let broken = packets.receive_queue().broken().or(packets.transmit_queue().broken());
        broken.map_or(Ok(()), |broken| Err(alloc::format!("the card misbehaves: {broken}")))
    }

    /// What the card and its driver are, for people.
    pub fn about(&self) -> &str {
        &self.card.about
    }

    /// The card, for the way down.
    pub fn into_card(self) -> Card {
        self.card
    }
}

/// The time, as smoltcp has it.
fn now() -> Instant {
    Instant::from_micros(i64::try_from(clock::now().as_micros()).unwrap_or(i64::MAX))
}
