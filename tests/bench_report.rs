//! The report of `cargo bench --bench peers`, from lines as the frameworks print them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../benches/report.rs"]
mod report;

use report::{FRAMEWORKS, ROWS, Results, Row};
use serde_json::{Value, json};

fn line(row: &str, value: f64) -> String {
    json!({ "row": row, "version": "it 1.2.3", "unit": "us", "value": value, "flat": 1.5 })
        .to_string()
}

fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap()
}

#[test]
fn the_document_has_every_row_and_a_null_where_there_is_no_figure() {
    let mut results = Results::default();
    for value in [3.0, 1.0, 2.0] {
        results.add("ours", &line("ask_p50", value)).unwrap();
    }
    results.add("erlang", &line("ask_p50", 4.0)).unwrap();

    let text = results.document(&ROWS.iter().collect::<Vec<_>>());

    assert!(!text.contains('\n'));
    let document: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = document["rows"].as_object().unwrap().keys().collect();
    let mut expected = "tell_1_1 tell_4_1 ask_p50 ask_p99 ask_outside_p50 ask_outside_p99 spawn_ordered spawn_batch group_1000 restart_p50 \
                        restart_p99 crash_1000 idle_bytes critical_wait"
        .split_whitespace()
        .collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(
        document["rows"]["ask_p50"],
        json!({ "unit": "us", "ours": 2.0, "peers": { "ractor": null, "kameo": null, "actix": null, "erlang": 4.0 } })
    );
    assert_eq!(document["rows"]["idle_bytes"]["ours"], Value::Null);
}

#[test]
fn the_tables_show_spread_ratio_and_whether_each_target_is_reached() {
    let mut results = Results::default();
    results.add("ours", &line("tell_1_1", 9e6)).unwrap();
    results.add("ours", &line("tell_1_1", 11e6)).unwrap();
    results.add("ractor", &line("tell_1_1", 4e6)).unwrap();
    results.add("erlang", &line("tell_1_1", 5e6)).unwrap();

    let text = results.tables(&[row("tell_1_1")]);

    assert_eq!(
        text,
        "\
| row      | unit  | ours          | ractor      | kameo | actix | Erlang      |
|----------|-------|---------------|-------------|-------|-------|-------------|
| tell_1_1 | per_s | 10.00 M ±10 % | 4.00 M ±0 % | –     | –     | 5.00 M ±0 % |

| row      | ours ÷ ractor | ours ÷ kameo | ours ÷ actix | ours ÷ Erlang | has to be                    | reached |
|----------|---------------|--------------|--------------|---------------|------------------------------|---------|
| tell_1_1 | 2.50          | –            | –            | 2.00          | ≥ 3 × ractor, ≥ 1.5 × Erlang | NO, yes |

Beside the rows; `flat` is the median of the last tenth of a run by that of its first:

| row      | figure | ours | ractor | kameo | actix | Erlang |
|----------|--------|------|--------|-------|-------|--------|
| tell_1_1 | flat   | 1.50 | 1.50   | –     | –     | 1.50   |
"
    );
}

#[test]
fn a_framework_that_fails_loses_its_figures_of_that_group_and_no_others() {
    let mut results = Results::default();
    for framework in ["ours", "kameo"] {
        for name in ["ask_p50", "ask_p99", "tell_1_1"] {
            results.add(framework, &line(name, 1.0)).unwrap();
        }
    }

    results.fail("kameo", "ask", "it hung".to_owned());

    let rows = [row("ask_p50"), row("ask_p99"), row("tell_1_1")];
    let document: Value = serde_json::from_str(&results.document(&rows)).unwrap();
    assert_eq!(document["rows"]["ask_p50"]["peers"]["kameo"], Value::Null);
    assert_eq!(document["rows"]["ask_p99"]["peers"]["kameo"], Value::Null);
    assert_eq!(document["rows"]["tell_1_1"]["peers"]["kameo"], json!(1.0));
    assert_eq!(document["rows"]["ask_p50"]["ours"], json!(1.0));
    assert!(results.has_failed("kameo", "ask"));
    assert!(!results.has_failed("kameo", "tell_1_1"));
    assert!(!results.ours_failed());
    let tables = results.tables(&rows);
    assert!(
        tables.ends_with("\nNot measured:\n\n- kameo in `ask`: it hung\n"),
        "{tables}"
    );
}

#[test]
fn a_line_that_is_no_figure_is_refused_with_its_text() {
    let mut results = Results::default();

    assert!(
        results
            .add("ours", "oh no")
            .unwrap_err()
            .ends_with(": oh no")
    );
    assert_eq!(
        results.add("ours", r#"{"row":"ask_p50"}"#),
        Err(r#"a line without row, version and value: {"row":"ask_p50"}"#.to_owned())
    );
}

#[test]
fn the_file_says_where_it_was_measured_and_what_each_row_is() {
    let mut results = Results::default();
    for (framework, _) in FRAMEWORKS {
        results.add(framework, &line("idle_bytes", 8e3)).unwrap();
    }

    let rows: Vec<_> = ROWS.iter().collect();
    let text = results.file(&rows, "5 rounds.", &[("processor", "Z80".to_owned())]);

    assert!(
        text.contains("5 rounds.\n\n- processor: Z80\n- ours: it 1.2.3\n"),
        "{text}"
    );
    assert!(text.contains("- Erlang: it 1.2.3\n"), "{text}");
    for row in ROWS {
        assert!(
            text.contains(&format!("\n- `{}`: ", row.name)),
            "{}",
            row.name
        );
    }
}
