//! Bars, for people.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::amount;

/// Bars of one kind.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Drawn to be noticed.
    pub(crate) ours: bool,
}

const WIDTH: i32 = 960;
const LABELS: i32 = 330;
const NUMBERS: i32 = 130;
const LINE: i32 = 26;
const TITLE: i32 = 46;
const OURS: RGBColor = RGBColor(0, 121, 107);
const OTHERS: RGBColor = RGBColor(160, 170, 180);

/// Draws panels one below the other.
pub(crate) fn draw(panels: &[Panel], path: &Path) -> anyhow::Result<()> {
    let drawn: Vec<_> = panels.iter().filter(|panel| !panel.bars.is_empty()).collect();
    let height: i32 = drawn.iter().map(|panel| TITLE + LINE * lines(panel)).sum::<i32>() + LINE;
    let area = SVGBackend::new(path, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut top = 0;
    for panel in drawn {
        let title = ("sans-serif", 17).into_font().style(FontStyle::Bold).into_text_style(&area);
        let heading = format!("{} ({})", panel.title, panel.unit);
        area.draw_text(&heading, &title, (12, top + 16)).map_err(|error| failed(&error))?;
        top += TITLE;
        let longest = panel.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        for bar in &panel.bars {
            let text = |horizontal| {
                let style = ("sans-serif", 14).into_font().into_text_style(&area);
                style.pos(Pos::new(horizontal, VPos::Center))
            };
            let middle = top + LINE / 2;
            let length = (f64::from(WIDTH - LABELS - NUMBERS) * bar.value / longest).round() as i32;
            let right = LABELS + length.max(1);
            let colour = if bar.ours { OURS } else { OTHERS };
            let shape = Rectangle::new([(LABELS, top + 4), (right, top + LINE - 4)], colour.filled());
            area.draw_text(&bar.label, &text(HPos::Right), (LABELS - 10, middle)).map_err(|error| failed(&error))?;
            area.draw(&shape).map_err(|error| failed(&error))?;
            let number = amount(bar.value);
            area.draw_text(&number, &text(HPos::Left), (right + 8, middle)).map_err(|error| failed(&error))?;
            top += LINE;
        }
    }
    area.present().map_err(|error| failed(&error))
}

fn lines(panel: &Panel) -> i32 {
    i32::try_from(panel.bars.len()).unwrap_or_default()
}
