//! The results as text: tables with ratios, and what was aimed at. Markdown, aligned so that it can be read as it is.

use std::fmt::Write;

use bench_page::aligned;

use crate::line::{Line, Whose};
use crate::noise;
use crate::results::{Measured, Results};
use crate::spread::Spread;

/// Whose lines ours are compared with, in which columns.
const NET_PEER: Whose = Whose::Dpdk;
/// See [`NET_PEER`].
const BLOCK_PEER: Whose = Whose::Libblkio;

/// All of it.
pub fn all(results: &Results) -> String {
    let setting = &results.setting;
    let memory = if setting.huge_pages { "huge pages" } else { "ordinary pages" };
    let mut text = format!(
        "On {}, {memory}, windows of {} ms, at most {} of each:\n",
        setting.processor, setting.window_millis, setting.samples
    );
    for (title, is_net) in [("Network cards", true), ("Disks", false)] {
        let lines = |measured: &&Measured| matches!(measured.line, Line::Net(_)) == is_net;
        let measured: Vec<&Measured> = results.measured.iter().filter(lines).collect();
        if !measured.is_empty() {
            let _ = write!(text, "\n{title}:\n\n{}", aligned(&rows(results, &measured, is_net)));
        }
    }
    let _ = write!(text, "\nTargets:\n\n{}", aligned(&targets(results)));
    let [used, noisy, far] = results.sample_counts();
    let near = results.distance.as_ref().map_or(0.0, |distance| distance.shortest_nanoseconds);
    let _ = writeln!(
        text,
        "\n{used} samples count. {noisy} were discarded, for other programs used more than {:.0} % of a processor; \
         and {far}, for the host had put the processors farther apart than usual (a cache line takes {near:.0} ns to the other one and back).",
        noise::LIMIT * 100.0
    );
    if results.measured.iter().any(Measured::is_spoiled) {
        text += "¹ no sample was clean: this is the median of those that were not.\n";
    }
    text
}

fn rows(results: &Results, measured: &[&Measured], is_net: bool) -> Vec<Vec<String>> {
    let rate = if is_net { "million frames/s" } else { "thousand requests/s" };
    let mut header = vec!["line", "whose", rate, "ours ÷ this", "cycles", "ours ÷ this"];
    header.push(if is_net { "in whole bursts" } else { "kicks" });
    header.extend(["submit", "complete", "instructions", "this ÷ ours", "allocations"]);
    let mut rows = vec![header.into_iter().map(String::from).collect()];
    for this in measured {
        let ours = results.of(this.line, Whose::Ours).filter(|_| this.whose != Whose::Ours);
        let mark = if this.is_spoiled() { "¹" } else { "" };
        let divisor = if is_net { 1e6 } else { 1e3 };
        let mut row = vec![this.line.to_string(), this.whose.name().into()];
        row.push(shown(this.rate(), divisor, 2) + mark);
        row.push(ratio(ours.and_then(Measured::rate), this.rate()));
        row.push(shown(this.cycles(), 1.0, 1));
        row.push(ratio(ours.and_then(Measured::cycles), this.cycles()));
        row.push(if is_net {
            this.whole_bursts().map_or("—".into(), |part| format!("{:.0} %", part.median * 100.0))
        } else {
            this.kicks().map_or("—".into(), |kicks| format!("{:.3}", kicks.median))
        });
        let counts = this.instructions;
        row.extend(counts.map_or(["—".into(), "—".into(), "—".into()], |counts| {
            [counts.submit, counts.complete, counts.both()].map(|count| format!("{count:.1}"))
        }));
        let by_ours = counts.zip(ours.and_then(|ours| ours.instructions));
        row.push(by_ours.map_or("—".into(), |(this, ours)| format!("{:.2}", this.both() / ours.both())));
        // DPDK's are not counted: its heap is its own.
        let is_counted = !matches!(this.whose, Whose::Dpdk | Whose::DpdkVectorized);
        row.push(if is_counted { this.allocations().to_string() } else { "—".into() });
        rows.push(row);
    }
    rows
}

fn shown(spread: Option<Spread>, divisor: f64, digits: usize) -> String {
    spread.map_or("—".into(), |Spread { median, deviation, .. }| {
        format!("{:.digits$} ± {:.digits$}", median / divisor, deviation / divisor)
    })
}

fn ratio(over: Option<Spread>, under: Option<Spread>) -> String {
    over.zip(under).map_or("—".into(), |(over, under)| format!("{:.2}", over.median / under.median))
}

/// The back-end's processor is the ceiling: a median of so much of the peer's counts as equal.
const EQUAL: f64 = 0.98;
/// What libblkio takes for a request, by our instructions, at least.
const INSTRUCTIONS_BY_OURS: f64 = 3.0;

fn targets(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["what", "target", "measured", ""].map(String::from).to_vec()];
    let mut add = |what: String, target: String, measured: f64, met: bool| {
        rows.push(vec![what, target, format!("{measured:.3}"), if met { "met" } else { "missed" }.into()]);
    };
    for ours in results.measured.iter().filter(|measured| measured.whose == Whose::Ours) {
        let line = ours.line;
        let peer = |whose| results.of(line, whose);
        let by = |value: fn(&Measured) -> Option<Spread>, peer: Option<&Measured>| {
            Some(value(ours)?.median / value(peer?)?.median)
        };
        match line {
            Line::Net(_) => {
                // Against whichever of DPDK's is faster.
                let peers = [NET_PEER, Whose::DpdkVectorized].into_iter().filter_map(peer);
                let fastest = peers.max_by(|one, other| rate_of(one).total_cmp(&rate_of(other)));
                if let Some(ratio) = by(Measured::rate, fastest) {
                    add(format!("{line}: rate by DPDK's"), format!("≥ {EQUAL}"), ratio, ratio >= EQUAL);
                }
                let peers = [NET_PEER, Whose::DpdkVectorized].into_iter().filter_map(peer);
                let leanest = peers.min_by(|one, other| cycles_of(one).total_cmp(&cycles_of(other)));
                if let Some(ratio) = by(Measured::cycles, leanest) {
                    add(format!("{line}: cycles by DPDK's"), "< 1".into(), ratio, ratio < 1.0);
                }
            }
            Line::Block(_) => {
                let peer = peer(BLOCK_PEER);
                let counts = peer.and_then(|peer| peer.instructions).zip(ours.instructions);
                if let Some((peer, ours)) = counts {
                    let ratio = peer.both() / ours.both();
                    let met = ratio >= INSTRUCTIONS_BY_OURS;
                    add(format!("{line}: libblkio's instructions by ours"), "≥ 3".into(), ratio, met);
                }
                if let (Some(kicks), Some(peer)) = (ours.kicks(), peer.and_then(Measured::kicks)) {
                    let met = kicks.median <= peer.median + 0.001;
                    add(format!("{line}: kicks"), format!("≤ {:.3}", peer.median), kicks.median, met);
                }
            }
        }
    }
    let ours = results.measured.iter().filter(|measured| measured.whose == Whose::Ours);
    let most = ours.map(Measured::allocations).max();
    if let Some(most) = most {
        #[allow(clippy::cast_precision_loss, reason = "few")]
        add("every line: allocations in a window".into(), "0".into(), most as f64, most == 0);
    }
    rows
}

fn rate_of(measured: &Measured) -> f64 {
    measured.rate().map_or(0.0, |rate| rate.median)
}

fn cycles_of(measured: &Measured) -> f64 {
    measured.cycles().map_or(f64::INFINITY, |cycles| cycles.median)
}
