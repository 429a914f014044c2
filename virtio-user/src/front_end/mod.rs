//! The front-end: the driver's side of a vhost-user socket, as a transport for drivers.
//!
//! ```text
//!   connect, accept ──▶ handshake ──▶ VhostUser ──────────── a driver's transport
//!   place.rs            what the      transport.rs, steps.rs features, queues, reset
//!   listener.rs         back-end      doorbell.rs            kick: eventfds that are never closed
//!                       can           │
//!                       kind.rs       state.rs ◀──── Link    is it up, and if not, why?
//!                       config.rs     the connection ◀── Vector    call: files that say that something came
//!                                     control_queue.rs             a network card's commands, which are carried out here
//! ```

mod config;
mod connect_error;
mod control_bell;
mod control_queue;
mod doorbell;
mod handshake;
mod kind;
mod link;
mod listener;
mod place;
mod settings;
mod state;
mod steps;
#[allow(unsafe_code, reason = "the contract that memory rests on")]
mod transport;
mod vectors;
mod vhost_user;

pub use connect_error::ConnectError;
pub use link::Link;
pub use listener::Listener;
pub(crate) use place::Place;
pub use settings::Settings;
pub use vectors::Vector;
pub use vhost_user::VhostUser;
