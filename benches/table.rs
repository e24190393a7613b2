//! Tables in Markdown.

/// A table whose columns are as wide as their widest cell; the first line is its head.
pub(crate) fn render(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<_> = line
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = width(column);
                format!("{cell:<width$}")
            })
            .collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if number == 0 {
            let rules: Vec<_> = (0..line.len())
                .map(|it| "-".repeat(width(it) + 2))
                .collect();
            text += &format!("|{}|\n", rules.join("|"));
        }
    }
    text
}
