//! The shell on a console: somebody types, and what is on the screen afterwards is compared.

#[path = "common/console.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod console;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;
#[path = "common/person.rs"]
mod person;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use console::LIMIT;
use device::{Case, cases};
use person::{Person, is_like};
use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{ConsoleDevice, DiskDevice, Ended, Image, Machine, Qemu, Qmp, Running};
use serde_json::json;

const SECTORS: u64 = 4096;
/// How long the person does not know what to type, and the shell sleeps: for some of that time, on a busy host.
const THOUGHT: Duration = Duration::from_millis(300);
/// Backspace, as most terminals send it.
const BACKSPACE: &str = "\x7f";

/// A frame for everybody, as short as there are.
fn frame() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.resize(60, 0);
    frame
}

/// Everything that the shell knows of.
struct Desk {
    folder: tempfile::TempDir,
    image: Image,
    cable: UnixDatagram,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let image = Image::blank(SECTORS);
        let mut first = [0; 1024];
        first[..20].copy_from_slice(b"the first sector\x01\xfe\x80.");
        first[512..520].copy_from_slice(b"another.");
        let mut bytes = image.bytes();
        bytes[..1024].copy_from_slice(&first);
        fs::write(image.path(), bytes).expect("room on the host's disk");
        fs::write(folder.path().join("random"), (0..=255).collect::<Vec<u8>>()).expect("a file");
        let cable = UnixDatagram::bind(folder.path().join("host")).expect("a socket");
        Self { folder, image, cable }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A machine with all of it.
    fn qemu(&self, case: Case) -> Qemu {
        let Case { machine, connection, packed } = case;
        let disk = DiskDevice { connection: Some(connection), packed, ..DiskDevice::default() };
        let card = NetDevice { connection: Some(connection), packed, ..NetDevice::default() };
        let (own, peer) = (self.folder.path().join("guest"), self.folder.path().join("host"));
        let source = format!("rng-random,id=random,filename={}", self.path("random"));
        Qemu::new(machine, "example-shell")
            .with(&["-object", &source, "-device", &case.device("rng", ",rng=random")])
            .with(&["-device", &case.device("balloon", "")])
            .console(case.console(ConsoleDevice::default()))
            .disk(&self.image, disk)
            .card(Network::Datagrams { own, peer }, card)
    }

    /// Has frames come in.
    fn send_frames(&self, count: usize) {
        for _ in 0..count {
            self.cable.send_to(&frame(), Path::new(&self.path("guest"))).expect("the card listens");
        }
    }
}

/// Boots a shell, and sits down.
fn sit_down(qemu: &Qemu) -> (Running, Person) {
    let mut guest = qemu.clone().paused().boot();
    let mut person = Person::at(guest.console_port(0));
    let mut qmp = guest.qmp();
    console::wait_until_connected(&mut qmp, 0);
    qmp.execute("cont", &json!({}));
    guest.wait_for("shell: ready");
    if let Err(problem) = person.wait_for_row("> ") {
        guest.failed(&problem);
    }
    (guest, person)
}

/// Has the host want all memory but so many bytes, and waits until it has it, while nobody types.
fn inflate_to(qmp: &mut Qmp, bytes: u64) {
    qmp.execute("balloon", &json!({ "value": bytes }));
    let end = Instant::now() + LIMIT;
    while qmp.execute("query-balloon", &json!({}))["actual"] != bytes {
        assert!(Instant::now() < end, "the balloon does not follow while nobody types");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Types lines, each when the answer to the one before is there, and leaves. Returns what is on the screen, and what the guest said on its serial port.
fn session(qemu: &Qemu, lines: &[&str]) -> (String, String) {
    let (mut guest, mut person) = sit_down(qemu);
    for line in lines {
        person.type_keys(line);
        person.type_keys("\r");
        if let Err(problem) = person.wait_for_row("> ") {
            guest.failed(&problem);
        }
    }
    person.type_keys("exit\r");
    let output = guest.finish(Ended::Success, "shell example: done");
    person.watch_to_the_end();
    (person.screen(), output)
}

const SCREEN: &str = "\
Welcome. `help` lists the commands.
> help
help        this list
mem         memory in use
disk        the disk's size, and how its first sectors begin
net         the network card, and what went through it
random      16 random bytes
balloon     how much memory the host wants, and has
echo TEXT   the text
log TEXT    the text, through the log
exit        ends the machine
> echo hello,  world
hello,  world
> mem
heap: # of # KiB used
device memory: # of # KiB used
> disk
4096 sectors of 512 bytes (2 MiB)
sector 0: 74 68 65 20 66 69 72 73 74 20 73 65 63 74 6f 72  the first sector
sector 1: 61 6e 6f 74 68 65 72 2e 00 00 00 00 00 00 00 00  another.........
> net
address 52:54:00:12:34:56, link up
received 3 frames (0 malformed), sent 0
> random
000102030405060708090a0b0c0d0e0f
> balloon
wanted  16384 frames (64 MiB)
held    16384 frames (64 MiB)
free    # frames (# MiB)
AtTarget
> log it is late
[INFO  example_shell::commands] it is late
> 
> dance
dance is no command; help lists them
> exit
";

#[test]
fn a_session_looks_the_same_on_every_machine() {
    for case in cases() {
        let desk = Desk::new();
        // Two letters the wrong way round, seen too late.
        let typo = format!("ehco h{}cho hello,  world", BACKSPACE.repeat(5));
        let (mut guest, mut person) = sit_down(&desk.qemu(case));
        desk.send_frames(3);
        inflate_to(&mut guest.qmp(), 192 << 20);

        for line in ["help", &typo, "mem", "disk", "net", "random", "balloon", "log it is late", "", "dance"]
        {
            person.type_keys(line);
            person.type_keys("\r");
            if let Err(problem) = person.wait_for_row("> ") {
                guest.failed(&problem);
            }
        }
        person.type_keys("exit\r");

        let output = guest.finish(Ended::Success, "shell example: done");
        person.watch_to_the_end();
        let screen = person.screen();
        assert!(is_like(&screen, SCREEN), "{case:?}: the screen is\n{screen}\nand not\n{SCREEN}");
        let layout = if case.packed { "layout: Packed" } else { "layout: Split" };
        assert!(output.contains(layout), "no {layout:?} in:\n{output}");
    }
}

#[test]
fn devices_that_are_absent_are_said_to_be() {
    let qemu = Qemu::new(Machine::Q35, "example-shell").console(ConsoleDevice::default());

    let (screen, _) = session(&qemu, &["disk", "net", "random", "balloon"]);

    let expected = "\
Welcome. `help` lists the commands.
> disk
absent: this machine has no virtio disk
> net
absent: this machine has no virtio network card
> random
absent: this machine has no virtio entropy device
> balloon
absent: this machine has no virtio balloon
> exit
";
    assert_eq!(screen, expected);
}

#[test]
fn a_line_is_edited_as_it_is_in_other_shells() {
    let qemu = Qemu::new(Machine::Q35, "example-shell").console(ConsoleDevice::default());
    let (mut guest, mut person) = sit_down(&qemu);
    let long = "x".repeat(200);
    let lines = [
        // More than there is to be taken back; the other kind of backspace; arrows, which do nothing.
        format!("ab{}echo 1\x08\x1b[A\x1b[1;5C2", BACKSPACE.repeat(4)),
        // What is taken back is not on the screen any more.
        format!("echo 78{BACKSPACE}"),
        // A line feed behind the return is part of it, and by itself ends a line as well.
        "echo 3\r\necho 4\n".into(),
        // Given up.
        "echo 5\x03echo 6".into(),
        // Longer than a row.
        format!("echo {long}"),
    ];
    for line in &lines {
        person.type_keys(line);
        person.type_keys("\r");
        if let Err(problem) = person.wait_for_row("> ") {
            guest.failed(&problem);
        }
    }
    thread::sleep(THOUGHT);
    person.type_keys("exit\r");
    let output = guest.finish(Ended::Success, "shell example: done");
    person.watch_to_the_end();

    let asleep = output.split_once("asleep: ").and_then(|(_, after)| after.split(' ').next()?.parse().ok());
    assert!(asleep.is_some_and(|millis: u128| millis >= THOUGHT.as_millis() / 3), "{output}");
    let kept = "x".repeat(71);
    let expected = format!(
        "Welcome. `help` lists the commands.\n> echo 2\n2\n> echo 7\n7\n> echo 3\n3\n> echo 4\n4\n> \n> echo 5\n> echo 6\n6\n> echo {kept}\n{kept}\n> exit\n"
    );
    assert_eq!(person.screen(), expected);
    assert!(person.bells > 100, "what does not fit is told");
}

#[test]
fn without_a_console_the_shell_says_what_to_add() {
    let output = Qemu::new(Machine::Q35, "example-shell").run_to_failure("error: no virtio console found");

    assert!(output.contains("-device virtconsole"), "{output}");
}
