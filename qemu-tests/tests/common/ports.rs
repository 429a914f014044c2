//! A guest that serves the ports of a console (the kernel `console-check`), and ports that are plugged in and out.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use qemu_tests::{ConsoleDevice, Ended, Machine, Qemu, Qmp, Running, random_seed};
use serde_json::json;

use crate::console::{exchange, first_difference, random_bytes};

/// A guest, and the host's end of its port 0, which takes commands.
pub struct Guest {
    pub running: Running,
    commands: UnixStream,
}

impl Guest {
    /// Boots it, and waits until it serves the ports that are there.
    pub fn boot(machine: Machine, device: ConsoleDevice, words: &str) -> Self {
        let mut running = Qemu::new(machine, "kernel-console-check")
            .append(format!("check=ports {words}"))
            .console(device)
            .boot();
        let commands = running.console_port(0);
        running.wait_for("ports: ready");
        Self { running, commands }
    }

    /// Plugs in a generic port, and waits until the guest has it open and knows its name, which is another one each time.
    pub fn plug(&mut self, qmp: &mut Qmp, number: u32, name: &str) {
        let port = json!({
            "driver": "virtserialport", "bus": ConsoleDevice::BUS, "nr": number, "name": name,
            "id": plug(number, name), "chardev": format!("port{number}"),
        });
        qmp.execute("device_add", &port);
        self.running.wait_for(&format!("port {number}: added"));
        self.running.wait_for(&format!("port {number}: named {name}"));
    }

    /// Takes a port out, and waits until the guest knows, and QEMU has let go of its socket.
    pub fn unplug(&mut self, qmp: &mut Qmp, number: u32, name: &str) {
        let id = plug(number, name);
        qmp.execute("device_del", &json!({ "id": id }));
        qmp.wait_for("DEVICE_DELETED", &id);
        self.running.wait_for(&format!("port {number}: removed"));
    }

    /// Connects to a port, and waits until the guest knows.
    pub fn connect(&mut self, number: u32) -> UnixStream {
        let stream = self.running.console_port(number);
        self.running.wait_for(&format!("port {number}: opened"));
        stream
    }

    /// Lets go of a port, and waits until the guest knows.
    pub fn disconnect(&mut self, number: u32, stream: UnixStream) {
        drop(stream);
        self.running.wait_for(&format!("port {number}: closed"));
    }

    /// Sends so many bytes through a port, which come back.
    pub fn echo(&mut self, number: u32, stream: &mut UnixStream, count: usize) {
        if let Err(problem) = echo(stream, random_seed(), count) {
            self.running.failed(&format!("port {number}: {problem}"));
        }
    }

    /// Ends it. Returns what it printed.
    pub fn end(mut self) -> String {
        self.commands.write_all(b"end\n").expect("port 0 is open");
        self.running.finish(Ended::Success, "console check: done")
    }
}

/// What QEMU calls a port with this name.
fn plug(number: u32, name: &str) -> String {
    format!("plug{number}-{name}")
}

fn echo(stream: &mut UnixStream, seed: u64, count: usize) -> Result<(), String> {
    let bytes = random_bytes(seed, count);
    let back = exchange(stream, &bytes).map_err(|error| error.to_string())?;
    first_difference(&back, &bytes).map_or(Ok(()), |at| Err(format!("another byte came back at {at}")))
}

/// Data that flows through a port, there and back, until somebody has seen enough.
pub struct Flow {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(UnixStream, Result<u64, String>)>,
}

impl Flow {
    /// Has it flow.
    pub fn start(mut stream: UnixStream) -> Self {
        const BYTES: usize = 20_000;
        let is_over = Arc::new(AtomicBool::new(false));
        let (seed, ends) = (random_seed(), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut result = Ok(0);
            while !ends.load(Ordering::Relaxed)
                && let Ok(rounds) = result
            {
                result = echo(&mut stream, seed + rounds, BYTES).map(|()| rounds + 1);
            }
            (stream, result)
        });
        Self { is_over, thread }
    }

    /// The port's end, how often the bytes came back, or what came of it.
    pub fn end(self) -> (UnixStream, Result<u64, String>) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it says what came of it")
    }
}
