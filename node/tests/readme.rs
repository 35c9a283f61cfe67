//! The README's table of settings says what the program's table says.

use milena_node::config::SETTINGS;

#[test]
fn the_readme_has_every_setting_as_it_is() {
    let readme = include_str!("../../README.md");
    for setting in SETTINGS {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", setting.default)
        };
        let row = format!(
            "| `--{}` | `{}` | {default} | {} |",
            setting.name,
            setting.variable(),
            setting.doc
        );
        assert!(
            readme.lines().any(|line| line == row),
            "README.md lacks: {row}"
        );
    }
}
