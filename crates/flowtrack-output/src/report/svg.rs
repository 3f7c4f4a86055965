//! Charts as SVG: no script, colours by class so that the page's light and dark styles apply.
//!
//! Every text in a chart goes through [`escape`], whoever wrote it. What a pointer shows over a
//! chart is the SVG's own `<title>`.

use std::fmt::Write as _;

use flowtrack_event::Timestamp;

use crate::human;
use crate::summary::ROUND_SECONDS;

/// The horizontal axis: columns of equal length from a time on.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAxis {
    pub start: Timestamp,
    /// Seconds that a column covers.
    pub step: u32,
    pub columns: usize,
}

/// One line or area of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub name: String,
    /// Class of its colour.
    pub class: String,
    /// One value a column; none where there was nothing to measure.
    pub values: Vec<Option<f64>>,
}

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Of the axis, such as `Mbit/s`.
    pub name: &'static str,
    /// Values are divided by it for the axis.
    pub scale: f64,
    /// One value for a person.
    pub show: fn(f64) -> String,
}

impl Unit {
    /// Bits per second, in the unit that fits the largest.
    pub fn bit_rate(top: f64) -> Self {
        let units =
            [("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("Tbit/s", 1e12)];
        let (name, scale) = fitting(&units, top);
        Self { name, scale, show: human::bit_rate }
    }

    /// Parts of a whole, in percent.
    pub fn percent() -> Self {
        Self { name: "%", scale: 0.01, show: human::percent }
    }
}

fn fitting(units: &[(&'static str, f64)], top: f64) -> (&'static str, f64) {
    let fits = units.iter().rev().find(|(_, scale)| top >= *scale);
    *fits.unwrap_or(&units[0])
}

/// Areas stacked upon one another.
pub(super) fn stacked_areas(label: &str, axis: TimeAxis, series: &[Series], unit: Unit) -> String {
    let sums: Vec<f64> = (0..axis.columns)
        .map(|i| series.iter().filter_map(|s| s.values.get(i).copied().flatten()).sum())
        .collect();
    let plot = Plot::linear(axis, sums.iter().copied().fold(0.0, f64::max), unit);
    let mut svg = plot.begin(label);
    let mut floor = vec![0.0; axis.columns];
    for series in series {
        let mut ceiling = floor.clone();
        for (height, value) in ceiling.iter_mut().zip(&series.values) {
            *height += value.unwrap_or_default();
        }
        let mut path = plot.path(&ceiling, 'M', false);
        path.push_str(&plot.path(&floor, 'L', true));
        write!(svg, "<path class=\"area {}\" d=\"{path}Z\"/>", escape(&series.class))
            .expect(STRING);
        floor = ceiling;
    }
    plot.hover(&mut svg, |i| {
        let mut text = (unit.show)(sums[i]);
        for series in series {
            let value = series.values.get(i).copied().flatten().unwrap_or_default();
            if value > 0.0 {
                write!(text, "\n{} {}", series.name, (unit.show)(value)).expect(STRING);
            }
        }
        text
    });
    svg.push_str("</svg>");
    svg
}

/// Lines of durations in microseconds on a logarithmic scale, broken where nothing was measured;
/// a lone value is a dot.
pub(super) fn duration_lines(label: &str, axis: TimeAxis, series: &[Series]) -> String {
    let values = || series.iter().flat_map(|s| &s.values).copied().flatten();
    let plot = Plot::decades(axis, values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let mut svg = plot.begin(label);
    for series in series {
        let class = escape(&series.class);
        let mut at = 0;
        for run in series.values.chunk_by(|a, b| a.is_some() == b.is_some()) {
            let begin = at;
            at += run.len();
            let points: Vec<(f64, f64)> = run
                .iter()
                .enumerate()
                .filter_map(|(i, value)| value.map(|v| (plot.middle(begin + i), plot.y(v))))
                .collect();
            match points.as_slice() {
                [] => {}
                [(x, y)] => {
                    write!(
                        svg,
                        "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\"/>"
                    )
                    .expect(STRING);
                }
                points => {
                    write!(svg, "<polyline class=\"line {class}\" points=\"").expect(STRING);
                    for (x, y) in points {
                        write!(svg, "{x:.1},{y:.1} ").expect(STRING);
                    }
                    svg.push_str("\"/>");
                }
            }
        }
    }
    plot.hover(&mut svg, |i| {
        let mut text = String::new();
        for series in series {
            if let Some(value) = series.values.get(i).copied().flatten() {
                let time = human::micros(value as u32);
                writeln!(text, "{} {time}", series.name).expect(STRING);
            }
        }
        text
    });
    svg.push_str("</svg>");
    svg
}

/// Columns stacked upon one another.
pub(super) fn columns(label: &str, axis: TimeAxis, series: &[Series], unit: Unit) -> String {
    let sum = |i: usize| series.iter().filter_map(|s| s.values[i]).sum::<f64>();
    let plot = Plot::linear(axis, (0..axis.columns).map(sum).fold(0.0, f64::max), unit);
    let mut svg = plot.begin(label);
    let width = (plot.column() * 0.8).min(24.0);
    for i in 0..axis.columns {
        let mut floor = 0.0;
        for series in series {
            let value = series.values[i].unwrap_or_default();
            if value <= 0.0 {
                continue;
            }
            let (bottom, top) = (plot.y(floor), plot.y(floor + value));
            floor += value;
            write!(
                svg,
                "<rect class=\"area {}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
                 height=\"{:.1}\"/>",
                escape(&series.class),
                plot.middle(i) - width / 2.0,
                // What is there is never too small to be seen.
                (bottom - top).max(1.0),
            )
            .expect(STRING);
        }
    }
    plot.hover(&mut svg, |i| {
        let mut text = String::new();
        for series in series {
            if let Some(value) = series.values[i].filter(|&value| value > 0.0) {
                writeln!(text, "{} {}", series.name, (unit.show)(value)).expect(STRING);
            }
        }
        text
    });
    svg.push_str("</svg>");
    svg
}

/// A ring of parts of a whole, from the top on clockwise; `center` stands inside.
pub(super) fn donut(label: &str, parts: &[(String, String, f64)], center: &str) -> String {
    const RADIUS: f64 = 70.0;
    let circumference = 2.0 * std::f64::consts::PI * RADIUS;
    let sum: f64 = parts.iter().map(|(_, _, share)| share).sum();
    let mut svg = format!(
        "<svg class=\"donut\" viewBox=\"0 0 200 200\" role=\"img\" aria-label=\"{}\">",
        escape(label)
    );
    let mut offset = 0.0;
    for (name, class, share) in parts {
        let length = if sum > 0.0 { share / sum * circumference } else { 0.0 };
        // A gap of one unit between the parts, unless the part is smaller than that.
        let drawn = if length > 2.0 && parts.len() > 1 { length - 1.0 } else { length };
        write!(
            svg,
            "<circle class=\"arc {}\" cx=\"100\" cy=\"100\" r=\"{RADIUS}\" \
             stroke-dasharray=\"{drawn:.2} {:.2}\" stroke-dashoffset=\"{:.2}\" \
             transform=\"rotate(-90 100 100)\"><title>{} {}</title></circle>",
            escape(class),
            circumference - drawn,
            -offset,
            escape(name),
            escape(&human::percent(*share)),
        )
        .expect(STRING);
        offset += length;
    }
    write!(
        svg,
        "<text class=\"center\" x=\"100\" y=\"106\" text-anchor=\"middle\">{}</text></svg>",
        escape(center)
    )
    .expect(STRING);
    svg
}

/// A bar of one or two parts, for a cell of a table.
pub(super) fn cell_bar(parts: &[(&str, f64)]) -> String {
    const WIDTH: f64 = 120.0;
    let mut svg = format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    );
    svg.push_str("<rect class=\"track\" width=\"120\" height=\"8\" rx=\"2\"/>");
    let mut x = 0.0;
    for (class, share) in parts {
        let width = (share.clamp(0.0, 1.0) * WIDTH).min(WIDTH - x);
        if *share > 0.0 {
            let width = width.max(1.0);
            write!(
                svg,
                "<rect class=\"area {class}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"8\"/>"
            )
            .expect(STRING);
            x += width;
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Text inside an element or a quoted attribute, without what cannot be seen.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            c => escaped.push_str(&human::visible(c.encode_utf8(&mut [0; 4]))),
        }
    }
    escaped
}

/// The frame of a chart over time.
struct Plot {
    axis: TimeAxis,
    scale: Scale,
    /// Of the vertical axis; empty where its ticks tell.
    unit: &'static str,
    ticks: Vec<(f64, String)>,
}

/// From a value to a height.
enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// From one power of ten to another.
    Decades(f64, f64),
}

impl Plot {
    fn linear(axis: TimeAxis, top: f64, unit: Unit) -> Self {
        let (ticks, top) = value_ticks(top / unit.scale);
        let places = value_places(&ticks);
        let ticks =
            ticks.into_iter().map(|tick| (tick * unit.scale, format!("{tick:.places$}"))).collect();
        Self { axis, scale: Scale::Linear(top * unit.scale), unit: unit.name, ticks }
    }

    /// For durations in microseconds.
    fn decades(axis: TimeAxis, low: f64, top: f64) -> Self {
        let low = low.clamp(1.0, 1e9).log10().floor();
        let top = top.clamp(1.0, 1e10).log10().ceil().max(low + 1.0);
        let ticks = (low as i32..=top as i32).map(|power| {
            let (unit, below) = match power {
                ..3 => ("µs", 0),
                3..6 => ("ms", 3),
                _ => ("s", 6),
            };
            (10_f64.powi(power), format!("{} {unit}", 10_u64.pow((power - below).unsigned_abs())))
        });
        Self { axis, scale: Scale::Decades(low, top), unit: "", ticks: ticks.collect() }
    }

    fn column(&self) -> f64 {
        (RIGHT - LEFT) / self.axis.columns.max(1) as f64
    }

    fn middle(&self, column: usize) -> f64 {
        LEFT + (column as f64 + 0.5) * self.column()
    }

    fn y(&self, value: f64) -> f64 {
        let height = match self.scale {
            Scale::Linear(top) => value / top,
            Scale::Decades(low, top) => (value.max(1.0).log10() - low) / (top - low),
        };
        BOTTOM - height.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    /// The drawing with its axes, open at its end.
    fn begin(&self, label: &str) -> String {
        let mut svg = format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(label)
        );
        write!(svg, "<text class=\"unit\" x=\"{LEFT}\" y=\"12\">{}</text>", self.unit)
            .expect(STRING);
        for (tick, text) in &self.ticks {
            let y = self.y(*tick);
            write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                y + 4.0,
            )
            .expect(STRING);
        }
        let seconds = f64::from(self.axis.step) * self.axis.columns as f64;
        for (offset, text) in time_ticks(self.axis.start, seconds) {
            let x = LEFT + offset / seconds * (RIGHT - LEFT);
            write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                BOTTOM + 4.0,
                BOTTOM + 18.0,
            )
            .expect(STRING);
        }
        write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>"
        )
        .expect(STRING);
        svg
    }

    /// Points from the first column's left edge to the last one's right, or back.
    fn path(&self, values: &[f64], verb: char, back: bool) -> String {
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(values.len() + 2);
        if let (Some(&first), Some(&last)) = (values.first(), values.last()) {
            points.push((LEFT, self.y(first)));
            points.extend(values.iter().enumerate().map(|(i, &v)| (self.middle(i), self.y(v))));
            points.push((RIGHT, self.y(last)));
        }
        if back {
            points.reverse();
        }
        let mut path = String::new();
        for (i, (x, y)) in points.into_iter().enumerate() {
            let verb = if i == 0 { verb } else { 'L' };
            write!(path, "{verb}{x:.1} {y:.1}").expect(STRING);
        }
        path
    }

    /// What a pointer shows over each column.
    fn hover(&self, svg: &mut String, text: impl Fn(usize) -> String) {
        let width = self.column();
        for i in 0..self.axis.columns {
            let shown = text(i);
            if shown.is_empty() {
                continue;
            }
            let after = i64::from(self.axis.step) * i as i64;
            let at = Timestamp::from_secs(self.axis.start.secs().saturating_add(after));
            write!(
                svg,
                "<rect class=\"hover\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{:.1}\"><title>{}\n{}</title></rect>",
                LEFT + i as f64 * width,
                BOTTOM - TOP,
                human::date_time(at),
                escape(shown.trim_end()),
            )
            .expect(STRING);
        }
    }
}

/// Round values from 0 to the first at or above `top`, about four of them.
fn value_ticks(top: f64) -> (Vec<f64>, f64) {
    if !top.is_finite() || top <= 0.0 {
        return (vec![0.0, 1.0], 1.0);
    }
    let rough = top / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(power * 10.0);
    let count = (top / step - 1e-9).ceil().max(1.0);
    ((0..=count as usize).map(|i| i as f64 * step).collect(), count * step)
}

/// Decimal places that tell the ticks apart.
fn value_places(ticks: &[f64]) -> usize {
    let exact = |places: i32| {
        ticks.iter().all(|tick| {
            let value = tick * 10_f64.powi(places);
            (value - value.round()).abs() < 1e-6 * value.abs().max(1.0)
        })
    };
    (0..6).find(|&places| exact(places)).unwrap_or(6) as usize
}

/// Round times within so many seconds from `start`: seconds after it, and how each is written.
fn time_ticks(start: Timestamp, seconds: f64) -> Vec<(f64, String)> {
    let rough = seconds / 7.0;
    let step = ROUND_SECONDS.into_iter().find(|&step| step as f64 >= rough);
    // Beyond the table, whole years of days.
    let step = step.unwrap_or_else(|| (rough / 31_536_000.0).ceil() as i64 * 31_536_000);
    let first =
        (start.secs().div_euclid(step) + i64::from(start.secs().rem_euclid(step) != 0)) * step;
    let mut ticks = Vec::new();
    let mut at = first;
    while ((at - start.secs()) as f64) < seconds && ticks.len() < 32 {
        let ts = Timestamp::from_secs(at);
        let text = match step {
            0..60 => human::time_of_day(ts),
            60..86_400 => human::time_of_day(ts)[..5].to_owned(),
            _ => human::date(ts),
        };
        ticks.push(((at - start.secs()) as f64, text));
        at += step;
    }
    ticks
}

/// Writing into a String.
const STRING: &str = "a String takes everything";
/// Size of a chart over time, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
/// Edges of the area that values are drawn in.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 948.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 210.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        for (top, ticks) in [
            (17.2, vec![0.0, 5.0, 10.0, 15.0, 20.0]),
            (1.0, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            (100.0, vec![0.0, 25.0, 50.0, 75.0, 100.0]),
            (0.0, vec![0.0, 1.0]),
            (f64::NAN, vec![0.0, 1.0]),
        ] {
            assert_eq!(value_ticks(top).0, ticks, "{top}");
        }
        for exponent in -6..15 {
            for digit in 1..100 {
                let top = f64::from(digit) * 10_f64.powi(exponent);
                let (ticks, end) = value_ticks(top);
                assert!(end >= top * 0.999_999 && ticks.len() <= 6, "{top}: {ticks:?}");
            }
        }
    }

    #[test]
    fn decades_hold_every_duration() {
        let axis = TimeAxis { start: Timestamp::ZERO, step: 1, columns: 1 };
        for (low, top, first, last) in [
            (300.0, 1.1e6, "100 µs", "10 s"),
            (1.0, 1.0, "1 µs", "10 µs"),
            (1e6, 1e6, "1 s", "10 s"),
            (f64::MAX, 0.0, "1000 s", "10000 s"),
        ] {
            let plot = Plot::decades(axis, low, top);
            let ends = [plot.ticks.first(), plot.ticks.last()].map(|tick| tick.unwrap().1.as_str());
            assert_eq!(ends, [first, last], "{low} {top}");
        }
    }

    #[test]
    fn times_are_round_and_few() {
        let start = Timestamp::from_secs(1_767_258_003);
        for (seconds, first) in [
            (3.0, "09:00:03"),
            (60.0, "09:00:10"),
            (600.0, "09:02"),
            (86_400.0, "12:00"),
            (864_000.0, "2026-01-03"),
            (9e9, "2051-12-12"),
        ] {
            let ticks = time_ticks(start, seconds);
            assert!((2..=9).contains(&ticks.len()), "{seconds}: {ticks:?}");
            assert_eq!(ticks[0].1, first, "{seconds}");
            assert!(ticks.iter().all(|(at, _)| (0.0..seconds).contains(at)));
        }
    }

    #[test]
    fn charts_hold_no_markup_but_their_own() {
        let hostile = crate::samples::HOSTILE.concat();
        let axis = TimeAxis { start: Timestamp::ZERO, step: 1, columns: 3 };
        let series = [Series {
            name: hostile.clone(),
            class: hostile.clone(),
            values: vec![Some(1.0), None, Some(u64::MAX as f64)],
        }];
        for svg in [
            stacked_areas(&hostile, axis, &series, Unit::bit_rate(1.0)),
            duration_lines(&hostile, axis, &series),
            columns(&hostile, axis, &series, Unit::percent()),
            donut(&hostile, &[(hostile.clone(), hostile.clone(), 1.0)], &hostile),
        ] {
            assert!(
                !svg.contains("<script")
                    && !svg.contains("<img")
                    && !svg.contains("onload=alert(1)>")
            );
            assert!(!svg.contains('\u{1b}') && !svg.contains('\u{202e}'));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
