//! Where the instructions of a line go: by function, with those that were inlined, and by source line.
//!
//! QEMU writes down which instructions each of its translated blocks has, and which block runs when (`-d in_asm,exec,nochain`); the marks of the kernel are in between. Nothing in the kernel is changed
//! for that.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use addr2line::Loader;
use qemu_tests::{Architecture, kernel_to_measure};

use crate::lines::Setup;
use crate::machine::{DONE, machine};
use crate::marks::{Half, Mark};
use crate::output;

/// Operations that a profile is made of.
const PROFILED: u64 = 256;
/// As many rows as each table has at most.
const ROWS_MAX: usize = 60;

/// Where the instructions of a line go, as tables.
///
/// # Errors
/// The kernel has no such line, or cannot be read.
///
/// # Panics
/// If the kernel does not build, or does not run to its end.
pub fn of(setup: &Setup, line: &str) -> Result<String, String> {
    let kernel = kernel_to_measure(setup.whose.package(), &setup.program(), Architecture::X86_64);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let log = folder.path().join("log");
    let qemu = machine(setup, &format!("lines={line} operations={PROFILED}"));
    let qemu = qemu.with(&["-d", "in_asm,exec,nochain", "-dfilter", &filter(&kernel)?]);
    let printed = qemu.trace(&["memory_region_ops_write"], &log).run_to(DONE);
    let counted = output::lines(&printed).pop();
    let counted = counted.ok_or_else(|| format!("{} has no line {line}", setup.program()))?;
    let log = fs::read(&log).map_err(|error| format!("QEMU wrote no log: {error}"))?;
    let ran = Ran::read(&String::from_utf8_lossy(&log));
    let counts = [
        counted.submit.sum.cast_signed(),
        ran.instructions(Half::Submit),
        counted.complete.sum.cast_signed(),
        ran.instructions(Half::Complete),
    ];
    let [submit, submit_seen, complete, complete_seen] = counts.map(|count| per(count, counted.operations()));
    let tables = ran.tables(&kernel, counted.burst)?;
    Ok(format!(
        "{line}: submit {submit:.2} instructions per operation ({submit_seen:.2} in QEMU's log), complete {complete:.2} ({complete_seen:.2})\n{tables}"
    ))
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn per(count: i64, operations: u64) -> f64 {
    count as f64 / operations as f64
}

/// What ran in both halves of the operations of one line: by address, how often.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    counts: [HashMap<u64, i64>; 2],
    /// Bursts that were counted.
    pub bursts: u64,
}

impl Ran {
    /// Reads a log of QEMU's.
    pub fn read(log: &str) -> Self {
        let mut ran = Self::default();
        let mut half = None;
        // Blocks by where QEMU has their translation: the same instructions may be translated again in pieces.
        let mut blocks: HashMap<&str, Vec<u64>> = HashMap::new();
        let mut translated: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut current = None;
        // What ran last: it may be said later that it did not, or only in part.
        let mut last: Option<&str> = None;
        for line in log.lines() {
            if line.starts_with("IN:") {
                current = None;
            } else if let Some(address) = instruction(line) {
                let start = *current.get_or_insert(address);
                let block = translated.entry(start).or_default();
                if start == address {
                    block.clear();
                }
                block.push(address);
            } else if let Some((at, start)) = execution(line) {
                if let Some(block) = translated.remove(&start) {
                    blocks.insert(at, block);
                }
                if let (Some(half), Some(block)) = (half, blocks.get(at)) {
                    ran.add(half, block, 1);
                }
                last = Some(at);
            } else if let Some(from) = not_executed(line) {
                let block = last.take().and_then(|at| blocks.get(at)).map_or(&[][..], Vec::as_slice);
                let first = block.iter().position(|address| *address == from).unwrap_or(block.len());
                if let Some(half) = half {
                    ran.add(half, &block[first..], -1);
                }
            } else if let Some(mark) = Mark::read(line) {
                if mark == Mark::Line {
                    (ran.counts, ran.bursts) = Default::default();
                }
                ran.bursts += u64::from(mark == Mark::Complete);
                half = mark.half();
                last = None;
            }
        }
        ran
    }

    fn add(&mut self, half: Half, addresses: &[u64], count: i64) {
        for address in addresses {
            *self.counts[half as usize].entry(*address).or_default() += count;
        }
    }

    /// Instructions of one half.
    pub fn instructions(&self, half: Half) -> i64 {
        self.counts[half as usize].values().sum()
    }

    /// As tables, for so many operations in each burst.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn tables(&self, kernel: &Path, burst: u64) -> Result<String, String> {
        let loader = Loader::new(kernel).map_err(|error| format!("{}: {error}", kernel.display()))?;
        let mut functions: HashMap<String, [i64; 2]> = HashMap::new();
        let mut sources: HashMap<String, [i64; 2]> = HashMap::new();
        for half in [Half::Submit, Half::Complete] {
            for (address, count) in &self.counts[half as usize] {
                let (function, source) = named(&loader, *address);
                functions.entry(function).or_default()[half as usize] += count;
                sources.entry(source).or_default()[half as usize] += count;
            }
        }
        let operations = self.bursts * burst;
        let mut text = String::new();
        for (title, counts) in [("function", functions), ("source", sources)] {
            let _ = writeln!(text, "\n  submit complete  {title}");
            let mut rows: Vec<_> = counts.into_iter().collect();
            rows.sort_by_key(|(name, counts)| (-counts.iter().sum::<i64>(), name.clone()));
            for (name, counts) in rows.into_iter().take(ROWS_MAX) {
                let [submit, complete] = counts.map(|count| per(count, operations));
                let _ = writeln!(text, "{submit:8.2} {complete:8.2}  {name}");
            }
        }
        Ok(text)
    }
}

/// The address in a line of a translated block's instructions.
fn instruction(line: &str) -> Option<u64> {
    let (address, _) = line.strip_prefix("0x")?.split_once(':')?;
    u64::from_str_radix(address, 16).ok()
}

/// Where the translation is of a block that runs, and where its instructions are: `Trace 0: 0x7f… [00000000/000000000020f27a/…] …`.
fn execution(line: &str) -> Option<(&str, u64)> {
    let (at, rest) = line.strip_prefix("Trace ")?.split_once(": ")?.1.split_once(" [")?;
    let address = rest.split('/').nth(1)?;
    Some((at, u64::from_str_radix(address, 16).ok()?))
}

/// From which instruction on the last block was not executed after all: it is begun again, or the access to a device in it is done by itself.
fn not_executed(line: &str) -> Option<u64> {
    let address = match line.strip_prefix("cpu_io_recompile: rewound execution of TB to ") {
        Some(address) => address,
        None => {
            line.strip_prefix("Stopped execution of TB chain before ")?.split_once('[')?.1.split_once(']')?.0
        }
    };
    u64::from_str_radix(address, 16).ok()
}

/// The function that an address is in, and the source line: of those that were inlined into each other, the innermost that is not the language's own library's.
fn named(loader: &Loader, address: u64) -> (String, String) {
    let unknown = || {
        let symbol = loader.find_symbol(address).unwrap_or("?").to_owned();
        (symbol.clone(), symbol)
    };
    let Ok(mut frames) = loader.find_frames(address) else { return unknown() };
    let mut found = None;
    while let Ok(Some(frame)) = frames.next() {
        let (Some(function), Some(location)) = (frame.function, frame.location) else { continue };
        let (Ok(name), Some(path), Some(line)) = (function.demangle(), location.file, location.line) else {
            continue;
        };
        let file = path.split("/src/").last().unwrap_or(path);
        let is_library = path.contains("/library/");
        found = Some((format!("{file} {}", short(&name)), format!("{file}:{line}")));
        if !is_library {
            break;
        }
    }
    found.unwrap_or_else(unknown)
}

/// A function's name without what it is generic over.
fn short(name: &str) -> &str {
    name.split_once('<').map_or(name, |(name, _)| if name.is_empty() { "?" } else { name })
}

/// What of a kernel's text QEMU is to write down, as `-dfilter` has it: all but what waits for the clock before a program begins, which is most of what runs.
///
/// # Errors
/// The kernel cannot be read.
pub fn filter(kernel: &Path) -> Result<String, String> {
    let loader = Loader::new(kernel).map_err(|error| format!("{}: {error}", kernel.display()))?;
    let text = loader.get_section_range(b".text").ok_or("the kernel has no text")?;
    let is_left_out = |address| {
        let symbol = loader.find_symbol(address).unwrap_or_default();
        ["clock", "machine_main"].iter().any(|name| symbol.contains(name))
    };
    let (mut ranges, mut start) = (Vec::new(), None);
    for address in text.begin..=text.end {
        match start {
            None if address < text.end && !is_left_out(address) => start = Some(address),
            Some(first) if address == text.end || is_left_out(address) => {
                ranges.push(format!("{first:#x}..{:#x}", address - 1));
                start = None;
            }
            _ => {}
        }
    }
    Ok(ranges.join(","))
}
