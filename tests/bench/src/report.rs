//! What a run found: on the terminal, and as JSON, Markdown and a chart.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, TableStyle, presets};
use serde::Serialize;

use crate::chart::{self, Panel};
use crate::effort::Effort;
use crate::goal::Goal;
use crate::machine::Machine;
use crate::series::Series;

/// What a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Unix seconds.
    began: u64,
    machine: Machine,
    effort: String,
    measures: Vec<Measure>,
    goals: Vec<Goal>,
    #[serde(skip)]
    tables: Vec<Table>,
    #[serde(skip)]
    panels: Vec<Panel>,
}

/// What one part of a run found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) measures: Vec<Measure>,
    pub(crate) goals: Vec<Goal>,
    pub(crate) tables: Vec<Table>,
    pub(crate) panels: Vec<Panel>,
}

/// A number that was measured in every round.
#[derive(Debug, Serialize)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) series: Series,
}

/// A table as people read it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// What the numbers are.
    pub(crate) about: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Report {
    pub(crate) fn new(effort: &Effort) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Report {
            began,
            machine: Machine::this(),
            effort: effort.to_string(),
            measures: Vec::new(),
            goals: Vec::new(),
            tables: Vec::new(),
            panels: Vec::new(),
        }
    }

    /// Prints a part's tables and keeps them.
    pub(crate) fn add(&mut self, findings: Findings) {
        findings.tables.iter().for_each(Table::print);
        self.measures.extend(findings.measures);
        self.goals.extend(findings.goals);
        self.tables.extend(findings.tables);
        self.panels.extend(findings.panels);
    }

    /// Prints how the goals fared and leaves everything in this folder.
    pub(crate) fn finish(mut self, folder: &Path) -> anyhow::Result<()> {
        // Those of one target together, whichever part measured them.
        self.goals.sort_by_key(|goal| goal.target.trim_start_matches('T').parse::<u32>().unwrap_or(u32::MAX));
        let goals = goals(&self.goals);
        goals.print();
        let mut markdown = format!("# What Hookgate costs\n\n{}\n\n{}\n", self.machine, self.effort);
        for table in [&goals].into_iter().chain(&self.tables) {
            let _ = write!(
                markdown,
                "\n## {}\n\n{}\n\n{}\n",
                table.title,
                table.about,
                table.laid_out(presets::ASCII_MARKDOWN)
            );
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let leave = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        leave("bench.json", &serde_json::to_string_pretty(&self)?)?;
        leave("bench.md", &markdown)?;
        chart::draw(&self.panels, &folder.join("bench.svg"))?;
        println!("\nbench.json, bench.md and bench.svg are in {}.", folder.display());
        Ok(())
    }
}

impl Table {
    /// On the terminal.
    pub(crate) fn print(&self) {
        println!("\n{}\n{}\n{}", self.title, self.about, self.laid_out(presets::UTF8_FULL_CONDENSED));
    }

    fn laid_out(&self, style: TableStyle) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.columns).add_rows(&self.rows);
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table
    }
}

fn goals(goals: &[Goal]) -> Table {
    let rows = goals.iter().map(|goal| {
        let number = |value: f64| format!("{}{}", amount(value), if goal.unit == "x" { "" } else { goal.unit });
        vec![
            goal.target.to_owned(),
            goal.what.clone(),
            goal.measured.map_or_else(|| "-".to_owned(), number),
            number(goal.must),
            number(goal.stretch),
            goal.verdict().word().to_owned(),
            goal.note.clone().unwrap_or_default(),
        ]
    });
    Table {
        title: "Targets".to_owned(),
        about: "Ratios unless a unit is given. A target that is missed stands here as missed.".to_owned(),
        columns: ["", "target", "measured", "must", "stretch", "", "note"].map(str::to_owned).into(),
        rows: rows.collect(),
    }
}

/// A number with three digits that count.
pub(crate) fn amount(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A median and its spread.
pub(crate) fn with_spread(series: &Series) -> String {
    format!("{} ±{:.0}%", amount(series.median()), series.spread() * 50.0)
}
