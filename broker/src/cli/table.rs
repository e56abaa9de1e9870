//! Tables for people: columns as wide as they need, two spaces apart.

/// Rows of text under a heading.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heading: &[&str]) -> Table {
        Table { rows: vec![heading.iter().map(|&text| text.to_owned()).collect()] }
    }

    /// Adds a row, of as many cells as the heading has.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        assert!(row.len() == self.rows[0].len(), "a row has as many cells as the heading");
        self.rows.push(row);
    }

    /// The lines, each ended. Numbers stand on the right of their column, all else on the left.
    pub fn text(&self) -> String {
        let columns = 0..self.rows[0].len();
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let is_number = |column: usize| {
            self.rows.len() > 1 && self.rows[1..].iter().all(|row| is_quantity(&row[column]))
        };
        let shapes: Vec<(usize, bool)> =
            columns.map(|column| (width(column), is_number(column))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&shapes)
                .map(|(cell, &(width, is_number))| match is_number {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number, a number of bytes, or the sign that there is none.
fn is_quantity(cell: &str) -> bool {
    match cell.split_once(' ') {
        None => cell == "-" || cell.bytes().all(|byte| byte.is_ascii_digit()),
        Some((number, unit)) => unit.ends_with('B') && number.parse::<f64>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_right_and_words_left() {
        let mut table = Table::new(&["NAME", "COUNT", "SIZE", "ISR"]);
        table.row(["orders", "12", "1.50 GiB", "1,2"].map(str::to_owned));
        table.row(["ö", "-", "7 B", ""].map(str::to_owned));
        let want = "NAME    COUNT      SIZE  ISR\norders     12  1.50 GiB  1,2\n\
                    ö           -       7 B\n";
        assert_eq!(table.text(), want);
    }
}
